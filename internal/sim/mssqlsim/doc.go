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
//   - BACKUP DATABASE name TO devices WITH COPY_ONLY, COMPRESSION, NO_COMPRESSION, INIT, NOINIT, FORMAT, NOFORMAT, SKIP, NOSKIP, CHECKSUM, NO_CHECKSUM, STOP_ON_ERROR,
//     DIFFERENTIAL, NAME, DESCRIPTION, MEDIANAME, MEDIADESCRIPTION, STATS [= n] [DOC BACKUP].
//   - BACKUP LOG, the same without DIFFERENTIAL, and NORECOVERY, which leaves the database restoring [DOC BACKUP, Tail-Log Backups].
//   - RESTORE DATABASE or LOG name FROM devices WITH RECOVERY, NORECOVERY, REPLACE, CHECKSUM, NO_CHECKSUM, STOP_ON_ERROR, FILE, STATS, MOVE, STOPAT (text with T between date and
//     time, or a datetime variable, in server time); RESTORE DATABASE name WITH RECOVERY alone [DOC RESTORE, RESTORE Arguments].
//   - RESTORE HEADERONLY, FILELISTONLY, LABELONLY, VERIFYONLY FROM devices WITH FILE, CHECKSUM, NO_CHECKSUM, STOP_ON_ERROR, STATS. Columns are those of the pages of these
//     names up to 2019, in their order; the code of each (header, fileRow, label) is the list.
//   - ALTER DATABASE name SET RECOVERY model, SET MULTI_USER, SET SINGLE_USER WITH ROLLBACK IMMEDIATE [DOC ALTER DATABASE SET].
//   - USE name.
//   - SELECT of a number, @@SPID, @@SERVERNAME, @@VERSION, DB_NAME(), SYSDATETIMEOFFSET(), SERVERPROPERTY('name'), with or without AS.
//   - SELECT columns or * FROM sys.databases, sys.database_recovery_status, sys.master_files, sys.dm_exec_requests (running backups), msdb.dbo.backupset, backupfile or
//     msdb.dbo.backupmediafamily, WHERE column =, <>, IS NULL or IS NOT NULL, joined by AND, ORDER BY one column [DESC] [DOC, the page of each view; the columns are in
//     the code of its rows].
//
// # Errors and messages
//
// Number, severity and text from 3000 to 3613 and from 4000 to 4157 were compared with the list "Database Engine events and errors" of the SQL Server documentation; the
// others, 4208 to 4335 among them, are as widely known and were not compared. After an error of BACKUP or RESTORE comes 3013.
// Backup: 3021 in a transaction, 3023 another one runs, 3147 tempdb, 3024 and 4212 master, 4208 log of a simple database, 4214 no log chain, 3035 no base, 927 restoring,
// 3231 another number of devices, 3201 device, 3202 write, 3098, 3266 and 3241 devices that nothing can be added to, 3204 cancelled, 911 no database.
// Restore: 3101 and 3102 in use, 3159 tail not saved, 3154 another database, 3118, 3153, 3117 nothing to roll forward, 3136 wrong base, 4305 and 4326 log too late and too early, 4330
// another fork, 4335 past that moment, 3135 another kind of set, 3145 moment in a simple database, 3132, 3258 and 4038 devices, 3187 no checksums, 3234 no such file,
// 3241, 3242 and 3254 not a backup, 3183, 3189, 3203, 3256 and 3287 damage.
// Others: 102, 105, 137, 207, 208, 241, 924, 927, 2812, 4060, 5052. Information: 3014, 3211 (sent at once), 3262, 4035, 4322.
//
// # Rules that hold
//
// A log backup begins where the last one ended, the first at the full that began the chain. Copy-only backups change nothing. A differential belongs to
// the last full that is not copy-only. The simple model ends the chain; the next full or differential begins one. A recovered database begins a new recovery fork at that LSN,
// and its log continues from there. FamilyGUID stays with a database for ever, BindingID changes when it is recovered. A cancelled or failed backup leaves neither set nor history.
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
// WITH COMPRESSION a file is the container MSSQLBAK of version 2. Its head is SQL Server's, the rest is DEFLATE instead of XPRESS, which only this simulator reads.
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
// Page counts, durations and sizes are made up. Backup devices of other kinds, mirrors, encryption, expiry, files and file groups, bulk-logged changes, stand-by,
// availability groups, snapshots, permissions, locks, resource limits, joins. Restoring master or over files that are there is not hindered.
// The statement is read as a whole before it runs, but a name or option error is 50000 where the server would say 102.
package mssqlsim
