// Package oracle backs up Oracle databases by copying their files while they are open, and with archived redo logs in between, so that Oracle's own tools can restore them, with or without this
// module. It is pure Go on github.com/sijms/go-ora/v2 and needs no Oracle client.
//
// # Words
//
// The item is the database, "database", with all its containers when it is multitenant. An SCN is a place in its history; a DBID is its identity for ever, and an incarnation one course of its history:
// OPEN RESETLOGS begins another. A thread is the redo of one instance, several in RAC; an archived log is a closed piece of it, numbered within thread and incarnation. In backup mode a
// data file may be copied while the database writes to it: blocks then come out half old, half new (fractured), and the redo written meanwhile repairs them. The inventory is the artifact inventory.json: what the
// server said of its database, and what the backup holds of it; see Inventory.
//
// # One run
//
//	ask the server what it is; refuse by name what cannot be copied while it is open
//	full:   for each tablespace, or for the database at once:
//	            note durably, in Options.StateDir, what is about to be put into backup mode
//	            BEGIN BACKUP; look at V$BACKUP; complete the note
//	            copy the data files, several at a time, checking each as it passes
//	            END BACKUP on a session of its own; look at V$BACKUP; remove the note
//	        read SCN and clock; ARCHIVE LOG CURRENT; copy the logs from the first BEGIN BACKUP to that SCN
//	log:    read clock and SCN; ARCHIVE LOG CURRENT; copy the logs from where the last link ended to that SCN
//	both:   control file (binary, and as SQL), the parameters as the server writes them and as V$PARAMETER lists them, password file, a script for the temporary files, the inventory
//
// Files are read where they lie (ModeLocal), or over the database connection as BFILEs (ModeRemote), in pieces that several sessions read at once, through DIRECTORY objects that are created for it and dropped. With another driver than
// go-ora, DBMS_LOB.READ fetches 32767 bytes at a time.
//
// # RMAN
//
// In ModeRMAN, Options.RMAN makes the backup, on the server's machine: backup sets or image copies into the stage or Options.ScratchDir, which this process takes over and removes at once. No backup mode is needed, and files in ASM
// are backed up too. The login of RMAN comes on its standard input only.
//
//	full:          BACKUP INCREMENTAL LEVEL 0 of the data files, by number, over Options.Files channels
//	differential:  BACKUP INCREMENTAL LEVEL 1 CUMULATIVE: relative to the last full and not to another differential, so that a restore takes one of them, and a level 1 of another tool does no harm
//	both:          ARCHIVE LOG CURRENT, and the logs from the oldest checkpoint of the data files to an SCN behind their backup; then control file and SPFILE
//	log:           BACKUP ARCHIVELOG SEQUENCE BETWEEN of exactly the logs since the last link, never NOT BACKED UP; then control file and SPFILE
//
// RMAN's word is not taken for it. Its exit status and the stack behind RMAN-00569 tell of failures; success is that V$BACKUP_PIECE, V$DATAFILE_COPY, V$BACKUP_DATAFILE and V$BACKUP_REDOLOG have each data file and log under the run's tag, of this incarnation, and
// that each piece is on disk and not shorter than recorded. BACKUP INCREMENTAL FROM SCN is not used: it is there to roll a standby forward, and RMAN does not
// count it among the backups of the database itself [RMAN].
//
// A differential is taken when the server still knows the level 0 of the full at the target, by tag and checkpoints, and no younger level 0 of anybody. Afterwards V$BACKUP_DATAFILE.INCREMENTAL_CHANGE# of each file must not be behind the checkpoint
// that the full has of it; else what was made is removed, and the run takes a full and says why.
//
// The server keeps the records of the last full's data files, whose pieces it has no more; everything else of ours is taken out of the control file by CHANGE ... UNCATALOG, by name. What a run makes is noted in Options.StateDir before RMAN starts: after a
// failure, a cancel or a death the channels with its command id are ended, its records removed by tag and its files by name, at once or by Recover. Nothing with another tag is touched.
//
// # What is taken
//
// Asked for a log, a run takes a full when a log would continue nothing: no backup at the target, another DBID, RESETLOGS, or a log that is at no destination any more. The item's reason says which. Logs go on over a later full, as if it had not
// been taken, so that the times before it stay restorable and a damaged one can be bridged; when they are gone, they begin anew at that full, with a warning.
//
// Offline and read-only tablespaces are copied without backup mode, and the run fails when they change meanwhile. A multitenant database is taken whole, from its root. Refused, with what to do: NOARCHIVELOG, standby databases, databases that are mounted
// or open read-only, a connection to a pluggable database, and, but in ModeRMAN, files in ASM. Tablespaces can be left out, but not SYSTEM and undo. Online logs and temporary files are never copied.
//
// # Restore
//
// Restore works on the machine of the database, under the account that owns the server. It puts back data files, the control file under all names of CONTROL_FILES, and, in a folder of its own, the archived logs, the
// parameters as init.ora, the password file, the script for temporary files, and restore.sql, the commented script for SQL*Plus that brings these files to the target. What runs is made of the same statements as the script.
// Pipeline.Script writes it for the files of Pipeline.Fetch, with the commands that copy them. Targets are the latest, a time, an SCN ("scn:N") and the beginning of a log ("sequence:THREAD/N").
//
// The options of a restore:
//
//	execute         none (the default): files and script. sqlplus: Options.SQLPlus starts the instance of ORACLE_SID with init.ora, and recovers. sql: the same over the connection, to an instance that was started with
//	                NOMOUNT and CONTROL_FILES that name where the control files go; go-ora's login to one is unproven
//	                rman: the same for backups of which RMAN made anything, by Options.RMAN. Its pieces and copies are put into the folder pieces below work, and catalogued; the script is restore.rman
//	open=resetlogs  opens the database, which begins a new incarnation. Without it a database that was recovered stays mounted
//	to=DIR          all files below this folder, also the names of online logs and temporary files: another machine, or another place
//	move:OLD=NEW    one data file elsewhere
//	work=DIR        the folder for logs, parameters and script. Default: restore, beside the first control file
//	files=DIR       where a script finds the fetched files
//	utc_offset      of the server's clock at the target, like +02:00, where the backups around it were taken by different ones
//
// Recovery goes UNTIL CHANGE or UNTIL TIME, never until CANCEL, so that it ends where it should or not at all. Redo is dated by the second: a restore to a time leaves out the second that it names; in the second in which the
// full ended it goes to the end of the full. The control file is that of the last backup that is applied to its
// end; a data file that came to be after the full is made anew from redo, one that was not backed up is taken offline.
//
// Without Overwrite nothing is replaced, and an instance that runs is left alone. With it, and execute=sqlplus or rman, the instance is ended by SHUTDOWN ABORT; execute=none refuses while the database answers. All files have temporary names
// until each is complete and checked as Verify does; so there must be room for both, and a restore that the disks cannot hold is refused before anything is written. Online logs are never written, but OPEN RESETLOGS gives up what they hold: a warning names them.
//
// # One tablespace
//
// A tablespace that is selected by its name, in a pluggable database PDB:NAME, is restored alone, in the database it is of, which is open and stays so: OFFLINE IMMEDIATE, its data files, RECOVER TABLESPACE, ONLINE. The database's own control file and
// online logs are used, and its archived logs where they lie; those that it has not any more come from the backups. Recovery is complete, to the state of the rest of the database: an earlier one is refused, and so are SYSTEM, undo, a whole
// pluggable database, and a database of another DBID or incarnation. When redo lacks anywhere between the backup and now, that is found before the tablespace is touched.
//
// Without Overwrite the data files that are missing are put back, and the others kept and recovered with them. So a restore that dies, on whatever line, is taken up by the next; meanwhile the tablespace is offline, and all else in use.
// With execute=none nothing in the database is changed: data files lie beside their places under temporary names, and restore-tablespaces.sql does the rest. move and work are as above; to, open and utc_offset have no meaning here.
//
// # Rehearsal
//
// Rehearse restores below a folder of this machine and removes it again. Method auxiliary, when Options.Auxiliary names an ORACLE_SID that nothing else uses, recovers the copy there, reads every block of it, opens it with RESETLOGS, asks the server about each
// file, has RMAN, where it is, look into the blocks, and ends the instance by SHUTDOWN ABORT. Method validate has RMAN know the files for a while at the database itself, and asks it whether a restore would find all it needs, and to read what RMAN made.
//
//	method=auxiliary|validate   default: auxiliary when Options.Auxiliary is set
//	parameter:NAME=VALUE        memory, processes and the like of the auxiliary instance
//	elsewhere=true              no disk group of the original can be reached from this machine
//	utc_offset                  as of a restore
//
// The auxiliary instance has parameters of its own, of which none names a place or a name of the original, registers with no listener, and runs no jobs. Before it is recovered, and again before it is opened, every file that the copy names must be below the folder. Statements that
// delete files (RENAME FILE of managed files, ending block change tracking or flashback) are refused where the original's may be on this machine. An instance is ended only when all its control files are in the folder of a rehearsal. A lock in the scratch
// folder, which ends with its process, tells a living rehearsal, which is backup.ErrBusy, from a dead one, which the next one ends and removes.
//
// # What is guaranteed
//
// No byte of a data file is read before BEGIN BACKUP has returned, and END BACKUP is sent on every way out, also on a panic, on a fresh session and a context of its own. When the process dies, or nobody knows
// whether the server has carried BEGIN BACKUP out, Recover, at the next run of the job, ends the backup mode of exactly those files whose V$BACKUP.CHANGE# the note has, or which have gone into it since the note,
// within an hour of it, when the process did not live to see the answer. What somebody else began is never ended. After a crash of the instance in backup mode nothing is ended, because only an administrator
// knows whether a data file was put back from a backup: the error says what to do.
//
// A full ends at an SCN read after the last END BACKUP and has all redo to it. A log covers Begin to End in every thread without a gap, by SCN. Windows are dated by the server's clock, read before the log was closed, so a restore to a time
// within one is never short. Each file is checked by package blockfile in the same pass that copies it: a block that is fractured without backup mode, a wrong checksum, another DBID, number or size fail the run, unless
// Options.KeepDoubtful.
//
// Archived logs are removed only when Options say so, only those that ended within a log backup, only after its manifest is durable, and only when the server knows each at all destinations that are required.
//
// # What is not
//
// Everything here was run against a simulator only (internal/sim/oraclesim), and the network errors and go-ora's BFILE calls against a fake of the wire, which answers as the source of the driver expects; neither an Oracle server nor a file that one wrote
// was at hand. What is known of servers is from the documents below. internal/e2e/oracle has the scenarios for genuine ones.
//
// When the room on a disk runs out during a restore all the same, what was put there is removed. Files that were already renamed when a restore with Overwrite dies are not brought back: repeat it.
//
// What is inside of a backup piece is Oracle's own form, and not checked: its length and checksum are, and that no piece is missing. Image copies are checked block by block. A retention policy of RMAN that counts redundancy counts the last full as a
// backup, and DELETE OBSOLETE may delete others for it.
//
// Changes made without logging are in no log; a log run names the files that have some. Keystores of encrypted data are not backed up; a warning names them. The rest of the Oracle home is not looked at.
//
// A file that this process removed stays in V$ARCHIVED_LOG until RMAN's CROSSCHECK. Whether a database opens with what was copied, only a restore or a rehearsal tells: Verify knows forms, not contents.
//
// In RAC the archived logs of all instances must be readable in one place, and the scratch folder be shared, since any instance may write the control file. Where the agent moves to another machine, Options.StateDir moves with it, or what a dead run
// left in backup mode counts as somebody else's.
//
// # Rights
//
// A login AS SYSBACKUP or SYSDBA; or one with ALTER DATABASE, ALTER SYSTEM, ALTER TABLESPACE and SELECT ANY DICTIONARY, which lists the parameters from V$PARAMETER, since it may not CREATE PFILE. In ModeRemote
// also CREATE ANY DIRECTORY, DROP ANY DIRECTORY and EXECUTE on UTL_FILE. The documents list no DROP ANY DIRECTORY for SYSBACKUP: what such a login creates stays, with a warning, and is used again. ALTER TABLESPACE is
// not needed where the whole database goes into backup mode at once.
//
// In a multitenant database the login is of a common user that sees all containers: AS SYSBACKUP or SYSDBA, or with CONTAINER_DATA=ALL. One that does not is refused: it sees no data file of PDB$SEED, or fewer data files than
// V$CONTROLFILE_RECORD_SECTION counts while its CONTAINER_DATA is not ALL. Files that were dropped alone refuse nothing.
//
// In ModeLocal the process must be able to read the data files, so it runs as the owner of the server or in its group. Written for Oracle Database 11.2 and later.
//
// # Sources
//
// Comments name them by these tags: [BRU] Backup and Recovery User's Guide, [SQL] SQL Language Reference, [RMAN] Backup and Recovery Reference, [REF] Database Reference, [ERR] Error Messages, [LOB] SecureFiles and Large Objects Developer's Guide, [PLS] PL/SQL Packages and Types Reference, [RMAN] Backup and
// Recovery Reference, all of release 18c; [GO] the source of go-ora v2.8.24.
package oracle
