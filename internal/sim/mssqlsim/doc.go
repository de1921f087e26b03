// Package mssqlsim is a small SQL Server for tests: databases, their logs, backups of them and restores, behind the wire protocol of package tds. It shares no code with
// the agent that is tested against it, and it refuses what it was not taught with error 50000 "mssqlsim does not know: ...".
//
// A database holds records ([Instance.Insert], [Instance.Contents]), each with an LSN and a time, so that a test can compare what a restore brings back
// with a state that really was. A backup set holds the records as well as its headers. Devices are behind [Media]: [MemoryMedia] keeps them in memory, [FileMedia] in files
// with the layout of SQL Server's own, and package s3device behind s3:// URLs.
//
// # Statements
//
// Names are bare, in [] or "", and variables in BACKUP and RESTORE; text is '..', N'..' or a variable; one or more devices are DISK = text. [DOC] is the page of the statement
// in the Transact-SQL reference.
//   - BACKUP DATABASE name TO devices WITH COPY_ONLY, DIFFERENTIAL, COMPRESSION [(ALGORITHM = name [, LEVEL = name])], NO_COMPRESSION, ENCRYPTION (ALGORITHM = name, SERVER
//     CERTIFICATE | ASYMMETRIC KEY = name), INIT, NOINIT, FORMAT, NOFORMAT, SKIP, NOSKIP, CHECKSUM, NO_CHECKSUM, STOP_ON_ERROR, CONTINUE_AFTER_ERROR, NAME, DESCRIPTION, MEDIANAME,
//     MEDIADESCRIPTION, RETAINDAYS, EXPIREDATE, BLOCKSIZE, BUFFERCOUNT, MAXTRANSFERSIZE, STATS [= n]; MIRROR TO is read, to be refused [DOC BACKUP, Backup Encryption].
//   - BACKUP LOG, the same without DIFFERENTIAL, and NORECOVERY, STANDBY, NO_TRUNCATE [DOC BACKUP, Tail-Log Backups].
//   - Devices are DISK = text, or URL = 's3://..' with CREATE, ALTER and DROP CREDENTIAL [name] WITH IDENTITY = text, SECRET = text [DOC BACKUP, Backup to URL S3].
//   - RESTORE DATABASE or LOG name FROM devices WITH RECOVERY, NORECOVERY, STANDBY, REPLACE, RESTRICTED_USER, KEEP_REPLICATION, KEEP_CDC, ENABLE_BROKER, NEW_BROKER,
//     ERROR_BROKER_CONVERSATIONS, CHECKSUM, NO_CHECKSUM, STOP_ON_ERROR, CONTINUE_AFTER_ERROR, FILE, STATS, BLOCKSIZE, BUFFERCOUNT, MAXTRANSFERSIZE, MOVE, STOPAT (text with T between
//     date and time and up to seven digits of a second, or a varchar or datetime variable, in server time), STOPATMARK and STOPBEFOREMARK = 'mark' | 'lsn:n' [AFTER time];
//     RESTORE DATABASE name WITH RECOVERY, STANDBY or NORECOVERY alone [DOC RESTORE, RESTORE Arguments].
//   - RESTORE HEADERONLY, FILELISTONLY, LABELONLY, VERIFYONLY FROM devices WITH FILE, CHECKSUM, NO_CHECKSUM, STOP_ON_ERROR, STATS. Columns are those of the pages of these
//     names, in their order, those of 2022 when the server is that version; the code of each (header, fileRow, label) is the list.
//   - ALTER DATABASE name SET RECOVERY model, MULTI_USER, SINGLE_USER, RESTRICTED_USER, ONLINE, OFFLINE, EMERGENCY, WITH ROLLBACK IMMEDIATE, ROLLBACK AFTER n or NO_WAIT
//     [DOC ALTER DATABASE SET]; CREATE DATABASE name; DROP DATABASE [IF EXISTS] names.
//   - DBCC CHECKDB [(name)] WITH NO_INFOMSGS, ALL_ERRORMSGS, PHYSICAL_ONLY, EXTENDED_LOGICAL_CHECKS, DATA_PURITY, TABLOCK [DOC DBCC CHECKDB].
//   - USE name; SET NOCOUNT ON; SET LOCK_TIMEOUT n; and one batch with a variable, which takes a lock by sp_getapplock (see parser.lock).
//   - SELECT [DISTINCT] [TOP (n)] of literals, variables, columns, MAX, MIN, COUNT(*), CAST, CONVERT, ISNULL, COALESCE, the globals and functions listed in the code (global,
//     functions), FROM views [[LEFT] JOIN .. ON] WHERE with =, <>, <, <=, >, >=, IN, LIKE, IS [NOT] NULL, NOT, AND, OR, ORDER BY. The views and their columns are in the code
//     of views [DOC, the page of each view]; those of a database take its name before them. CROSS APPLY sys.dm_os_volume_stats(database_id, file_id) goes with sys.master_files.
//
// # Errors and messages
//
// Number, severity and text from 3000 to 3613 and from 4000 to 4355 were compared with the list "Database Engine events and errors" of the SQL Server documentation, 4208 to 4353 and
// 3011 to 3296 among them, and so were 942, 1834 and 33111. 4030 has severity 10 there and 16 here, where the backup fails. Others (102 to 976, 1801, 1844, 3701 to 3752, 50xx, 5133, 7983,
// 15151 to 15530, 18461, the 89xx of DBCC) are as widely known and were not compared. Which of 3217 and 3250 answers a size, 5 or 50 a URL, and 1844 encryption in small editions, is
// a guess. After an error of BACKUP or RESTORE comes 3013.
// Backup: 3021 in a transaction, 3023 another one runs, 3147 tempdb, 3024 and 4212 master, 4220 model, 3002 snapshot, 4208 log of a simple database, 4214 no log chain, 3035 no base, 927
// restoring, 942 offline, 3033 emergency, 926 suspect, 945 data lost, 3036 standby, 4202 bulk-logged changes in lost data, 3043 damaged page, 3059 and 3062 secondary, 262 permission,
// 1844 and 3214 to 3218 edition, 3250, 3253 and 3217 sizes, 3031 options that exclude each other, 15151 and 3096 certificate, 3011, 3044, 3057, 3205, 3231 devices, 3201 device, 3202 write, 3095,
// 3098, 3266, 3241, 3296, 4030 and 4037 devices that nothing can be added to, 3233 and 3291 URL, 3204 cancelled, 911 no database.
// Restore: 3101 and 3102 in use, 3104 replica, 3108, 3109, 3112 and 3150 master, 3110 and 262 permission, 3159 and 3173 tail not saved, 3154 another database, 3118, 3153, 4333, 3117 nothing to
// roll forward, 4319 after an interrupted one, 4323 and 3182 damaged database, 3136 and 3120 differential, 4305 and 4326 log too late and too early, 4330 another fork, 4335 and 4338 past that
// moment, 4334 and 4340 mark, 4341 bulk-logged, 3135 another kind of set, 3145 moment in a simple database, 3168, 3169 and 3180 version, 3132, 3227, 3258 and 4038 devices, 3187 no checksums,
// 33111 certificate, 3199 transfer size, 1834, 3142, 3156, 3174, 3176, 3179, 3234, 3257, 4353, 5133 and then 3119 files, 3241, 3242 and 3254 not a backup, 3183, 3189, 3203, 3256, 3287 damage.
// Others: 102, 105, 137, 207, 208, 209, 241, 245, 916, 924, 976, 1801, 2812, 3701, 3702, 3708, 3752, 4060, 4104, 5011, 5052, 5064, 5069, 5070, 7983, 8928, 8939, 15247, 15530, 18461.
// Information: 2528, 3014, 3042, 3211 (sent at once), 3262, 4035, 4322, 4329, 8958, 8989, 8990.
//
// # Rules that hold
//
// A log backup begins where the last one ended, the first at the full that began the chain. Copy-only backups change nothing. A differential belongs to
// the last full that is not copy-only. The simple model ends the chain; the next full or differential begins one. A recovered database begins a new recovery fork at that LSN,
// and its log continues from there. A data backup holds what was there when it began. A restore with a moment or a mark stops in the log that reaches it and leaves the database
// restoring before; one that is broken off leaves it restoring as well, after a full with nothing to continue from. FamilyGUID stays with a database for ever, BindingID changes when it is recovered. A cancelled or failed backup leaves neither set nor history.
//
// # Files
//
// [FileMedia] writes Microsoft Tape Format by package tapesim: media header and stripes, and for each set the two descriptions with LSNs, GUIDs, forks, dates, zone, version, names
// and files, then pages (of full and differential) or log. What is read comes from the bytes of the file alone. The headers of genuine files can be read too, their data cannot.
//
// Pages of 8 KiB go round the stripes, log in blocks of 64 KiB; they hold records, at most four on each, or filler ([Instance.Fill] gives a database a size). This content, and with it
// everything inside the data streams, is this simulator's own. So is one record, QSIM, in each description of a set: it has as JSON what RESTORE HEADERONLY tells and the tape
// format as it is known has no place for: copy-only, recovery model, whether checksums were asked for, begin of a chain, tail, build, and so on.
//
// WITH COMPRESSION or ENCRYPTION a file is the container MSSQLBAK of version 2. Its head is SQL Server's, the rest is DEFLATE instead of XPRESS, and not encrypted at all.
//
// A file is written from front to back while the backup runs, and one that was cancelled, or that failed, stays as it is ([FileOptions].Torn). Such a set is *** INCOMPLETE *** for HEADERONLY, and
// 3203 or 3256 for those who want its data; 3266 keeps other sets from being added behind it. WITH CHECKSUM, damage is 3183 in a page with records and 3189 elsewhere (servers were also seen to
// answer 3203 with system error 13); without, it goes unnoticed where the page can still be read, as on a server. A damaged header is 3241, or 3287 for one set of several.
// A file that is being written is system error 32 for all others.
//
// INIT keeps the media set that is there, FORMAT begins a new one, sets with and without compression do not mix (3098), and a file that is no backup is overwritten by FORMAT only, unless it is
// empty.
//
// # What is not simulated
//
// Page counts, durations and sizes are made up. Tape and virtual devices, mirrors, file and page restores, the other replicas of an availability group, which hold their own log,
// and waiting for locks. Rights are four kinds of login ([Right]), not grants. Of master only the records are restored, not what it knows of the server. A single-user server does not look at
// the name of the program. The data of encrypted sets is not encrypted.
//
// # What tests can do
//
// Besides changing the server ([Instance.SetState], [Instance.Corrupt], [Instance.LoseData], [Instance.Encrypt], [Instance.JoinGroup] and so on), a test holds statements by
// [Config].Pace, strikes them by [Instance.Inject], and sees what ran and who is there by [Instance.Statements] and [Instance.Sessions].
//
// The statement is read as a whole before it runs, but a name or option error is 50000 where the server would say 102.
package mssqlsim
