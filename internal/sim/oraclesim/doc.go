// Package oraclesim is a small Oracle Database for tests: an instance with its states, a database in real files, and fake sqlplus and rman programs. [Instance.Connector] is a driver of database/sql. It
// shares no code with the agent that is tested against it, and it refuses what it was not taught with ORA-00900 "oraclesim does not know: ...", ORA-00942 for a view.
//
// No server and no genuine file was at hand. What is simulated comes from the manuals of release 18c: [BRU] Backup and Recovery User's Guide, chapters 29 to 31; [SQL] SQL Language Reference; [REF] Reference;
// [ERR] Error Messages; [RMAN] Backup and Recovery Reference; [LOB] SecureFiles and Large Objects Developer's Guide; [PLS] PL/SQL Packages and Types Reference; [GO] the source of go-ora v2.8.24.
//
// A database holds rows ([Instance.Commit], [Instance.Contents]), each with an SCN and a time, so that a test can compare what a restore brings back with a state that really was. [Create] makes a
// database and opens it, [Attach] is an idle instance over a folder where files were put back.
//
// # Files
//
// Below Config.Dir: home/dbs (SPFILE or PFILE, password file), oradata (data files, logs, a control file), fra (the recovery area, with the second control file), arch, diag. They are laid out by package
// blocks. Inside data blocks, redo and control files is this simulator's own content, JSON. A database is what its files say: a mounted instance knows the control file only, recovery reads the
// copies and the logs and nothing else.
//
// A commit is in redo when it returns, and in data files later. Blocks reach data files in an order that Config.Seed chooses, while others read them. One block at the start and one at the end of every file that
// is written to are always half written (head new, tail old), others in backup mode than outside it, so no open file is whole on disk. In backup mode the header is frozen and redo has whole blocks before their first change, and
// recovery repairs a copy with them [BRU 29.4]. A copy outside backup mode has blocks that redo does not repair: recovery ends with ORA-01578, or ORA-00600 [3020] where redo does not go with a
// block. A copy that begins before BEGIN BACKUP or goes on after END BACKUP is such a one as well. When an instance dies, the operating system finishes the writes that were under way.
//
// Online logs have no end in their header, so they are no archived logs. Logs are switched when they are full, by statement, and archived at once to all destinations that are VALID. A
// control file has, beside structure and checkpoint, the archived logs, incarnations, and what RMAN knows.
//
// # Statements
//
// All [SQL]; what may follow in brackets. A ';' at the end is ORA-00900.
//   - ALTER DATABASE BEGIN | END BACKUP; BACKUP CONTROLFILE TO 'f' [REUSE], TO TRACE [AS 'f' [REUSE]]; MOUNT; OPEN [READ ONLY | READ WRITE | RESETLOGS]; RENAME FILE; CREATE DATAFILE n | 'f' [AS 'f']; DATAFILE n | 'f'
//     END BACKUP | ONLINE | OFFLINE; TEMPFILE 'f' DROP; [NO]ARCHIVELOG.
//   - ALTER DATABASE RECOVER [AUTOMATIC] [FROM 'dir'] DATABASE | TABLESPACE x [, y] | DATAFILE n [UNTIL CANCEL | TIME 't' | CHANGE n] [USING BACKUP CONTROLFILE]; LOGFILE 'f'; CONTINUE [DEFAULT]; CANCEL.
//   - ALTER TABLESPACE BEGIN | END BACKUP, READ ONLY | WRITE, OFFLINE [NORMAL | IMMEDIATE], ONLINE, ADD TEMPFILE 'f' SIZE n [REUSE]; ALTER SYSTEM ARCHIVE LOG CURRENT, SWITCH LOGFILE, CHECKPOINT; ALTER PLUGGABLE DATABASE ALL OPEN.
//   - CREATE PFILE | SPFILE [='f'] FROM SPFILE | PFILE [='f'] | MEMORY; CREATE [OR REPLACE] DIRECTORY, DROP DIRECTORY; ALTER SESSION SET CONTAINER = x, and SET of all else, which does nothing.
//   - SELECT [DISTINCT] of columns, literals, COUNT, MIN, MAX, TO_CHAR, NVL, UPPER, SYS_CONTEXT, SYSTIMESTAMP, SYSDATE, USER, DBMS_LOB.GETLENGTH, FILEEXISTS and SUBSTR of BFILENAME, FROM one view WHERE with =, <>, <,
//     <=, >, >=, IN, IS [NOT] NULL, AND, OR, parentheses, ORDER BY. Views and columns are in view.go and rmanpiece.go [REF]. No joins, no LIKE, no GROUP BY.
//   - PL/SQL blocks of declarations, assignments and DBMS_LOB.FILEOPEN, READ, FILECLOSE, FILECLOSEALL, UTL_FILE.FREMOVE, with binds in and out [PLS, LOB].
//
// As with go-ora [GO], numbers come as text, dates as time.Time in the server's zone, an empty text as NULL, errors as *network.OracleError with all lines of the stack; a query on a lost connection is
// driver.ErrBadConn, a statement has the error itself. SYS logs in without a password, or with "oracle".
//
// # Recovery
//
// As [BRU 30] has it: ORA-00279 with 00289 and 00280 names the log that is needed, the answer is LOGFILE or CONTINUE DEFAULT until it succeeds, in the session that began. UNTIL TIME and CHANGE leave out that
// second and that SCN. With several threads changes are applied in the order of SCNs; with a backup control file the first log of threads other than 1 is asked for without a name. A file that
// redo tells of, and the control file does not, is ORA-01244. After it: ORA-01547 with 01194 (a file that was open), 01195 (one in backup mode whose END BACKUP was not reached) or 01113. OPEN RESETLOGS begins a new
// incarnation, with new logs from sequence 1; logs of another are ORA-00342.
// Guesses: whether an error of LOGFILE ends the recovery (Config.RecoveryEndsOnError chooses), 00342 for a log of another database, 00330 for one of another thread, and 00308 below 00279 when AUTOMATIC finds no log.
//
// # Errors
//
// Numbers and first lines follow [ERR]. Backup mode: 01123, 01128, 01140, 01142, 01146, 01149, 01150, 01199, 01642, 10873, 00258, 03217. State: 01033, 01034, 01081, 01100, 01109, 01126, 01219, 01507, 01531, 16000, 16005,
// 65011, 65040, 00205, 00214, 01103, 01078, 01589. Recovery: those above, 00264, 00283, 00308, 00310, 00326, 00328, 00334, 00353, 01112, 01124, 01139, 01152, 01153, 01156, 01157, 01190, 01207, 01610, 00274. Offline: 01145, 01191, 01539, 01541, 30042. Files: 01119, 01121, 01141,
// 01182, 01511, 01516, 01537, 01565, 01580, 19504, 19505, 19625, 27037, 27038, 27040. Space: 00257, 01653, 16038, 19809. BFILE: 22285 to 22290, 21560, 01403. Sessions: 01013, 01017, 01031, 03113, 03114, 12514.
//
// # Programs
//
// [Instance.RunProgram] is sqlplus, as "/ as sysdba", or rman. From another process [Program] does it, with an instance that [Instance.Listen]s: links named sqlplus and rman lead to the test binary, whose
// TestMain calls Program when [SocketVariable] is set.
//   - sqlplus: STARTUP [FORCE] [NOMOUNT | MOUNT | OPEN] [PFILE=f], SHUTDOWN, WHENEVER SQLERROR, SET HEADING, PAGESIZE, COLSEP, AUTORECOVERY, RECOVER with its prompts, PROMPT, HOST, SPOOL and others that change nothing, EXIT n | FAILURE |
//     SQL.SQLCODE, statements that end with ';', and PL/SQL that ends with '/'.
//   - rman: CONNECT TARGET, RUN, BACKUP of database, tablespace, data files, archived logs, all or by sequence, control file, SPFILE as sets, one for each channel, or copies, whole or incremental, FORMAT with the usual letters, TAG;
//     CHANGE ... UNCATALOG of a piece or copy by its name; SET UNTIL, NEWNAME, DBID, ARCHIVELOG DESTINATION, COMMAND ID;
//     RESTORE of control file, SPFILE, database [FROM TAG], and VALIDATE and PREVIEW; SWITCH DATAFILE | TEMPFILE ALL; RECOVER DATABASE; CATALOG; VALIDATE DATABASE, BACKUPSET; CHANGE BACKUP | COPY | ARCHIVELOG ALL UNCATALOG; HOST; CROSSCHECK; DELETE ARCHIVELOG ALL and DELETE EXPIRED; SQL; what sqlplus
//     starts and alters. CONFIGURE, ALLOCATE CHANNEL, LIST and the like change nothing. An error is a stack behind RMAN-00569 and exit status 1 [BRU 24, RMAN]. Sets are in a form of this simulator's own.
//     An image copy or set needs redo up to the end of its reading, as a server's does.
//
// Several instances are on one machine by [NewHost]: programs go to that of ORACLE_SID, and a database is mounted by one of them at a time, by its DB_UNIQUE_NAME (ORA-01102). RENAME FILE deletes a managed file (o1_mf_) of the old name. Block change tracking and a
// flashback log are one file each, which an open instance writes to and which switching them off deletes [SQL].
//
// # What is not simulated
//
// Grants, beside those of Config.Users, and CONTAINER_DATA for single views. Transactions: a row is one. ASM but for names, TDE, standby that applies redo, resizing, media managers, block media recovery, recovery through RESETLOGS, flashback, the listener. A hot
// file is written to by statements and commits of the test, not by a clock. Read-only files whose tablespace was written to after the control file was saved.
//
// # What tests can do
//
// Config.Hook is called before, inside and after each statement and fails it, holds it, kills its session ([ErrKillSession]) or the instance ([ErrKillInstance]). [Instance.Statements], [Instance.Sessions] and [Instance.InBackupMode]
// tell what ran and what is left. [Instance.Crash], [Instance.Shutdown], [Instance.Startup], [Instance.FillRecoveryArea], [Instance.DeferDest], [Instance.AddFile], [Instance.AddThread] and [Instance.KillSessions] change the server.
package oraclesim
