// Package exchange backs up Microsoft Exchange Server while it runs: the system state with the Active Directory, databases and transaction logs. Exchange 2000 to 2007 are taken by the streaming API of the Extensible
// Storage Engine, Exchange 2003 and all later ones by snapshots with the Exchange writer. Every page and every log is checked while it is copied, by package ese, so that what is damaged on the server does not become a backup.
//
// # Words
//
// A database is an .edb file, up to Exchange 2003 with an .stm beside it. A group is databases that share one series of logs: a storage group up to Exchange 2007, a single database since; it is backed up and restored as
// one. A log has a generation, its number in the series; the series has a signature. A closed log is never written again; the current one, E00.log, is. To truncate is to delete logs that no database needs and that are in a
// backup. A way is how data are taken: "ese", the streaming API, or "vss", snapshots. A checkpoint here is the agent's own note of where the next link begins; the checkpoint file, E00.chk, is where a recovery begins.
//
// # Items
//
//	NAME          each group, by its name: a full, continued by links of its logs; its databases are objects where it has several
//	system state  what wbadmin or ntbackup save of this machine; in fulls, first of all, restored when it is asked for by its name
//
// The artifacts of a group are NAME/FILE: databases, logs, the checkpoint file, and group.json, the agent's note of what the group was. A position is a generation, in ten decimal digits: the state before anything in that
// log. A full from a snapshot ends inside the current log, at GENERATION.partial, and the next link holds that log again, whole.
//
// # One run
//
//	ask the management and the streaming API what there is, decide the way, choose groups and, in an availability group, what this member takes
//	note durably, in Options.StateDir, what a dead run would leave behind
//	full: save the system state, copy it, remove what was saved
//	way ese, group by group, each in a session of its own:
//	    HrESEBackupPrepare, HrESEBackupSetup; in a full copy the databases; HrESEBackupGetLogAndPatchFiles; copy the logs that are new
//	way vss:
//	    logs: read the headers where they lie, copy the closed ones that are new; no snapshot is needed
//	    fulls: one snapshot of all groups that need one; copy databases and logs, with the current one, and the checkpoint file out of it
//	    check that logs and databases of each group can be recovered by each other
//	once the manifest is durable: HrESEBackupTruncateLogs and HrESEBackupInstanceEnd, or "end backup" of the snapshot, after which Exchange truncates
//
// A log run makes a full of a group, and says why in Item.Reason, when no full of it is at the target, the last backup was made by the other way, a database of the group is in no full, its logs are not whole from where the
// last link ended to now, or they were begun anew. With circular logging a log run is refused for the group, with what to do, and a full works.
//
// Logs are truncated after streamed fulls and log runs, and after a snapshot. A log run by way vss truncates nothing: the next full does. Nothing is truncated with Options.KeepLogs, after a full with the run option copy=true, for
// a group of which a database was not taken, and after a snapshot of which a group failed: a snapshot is given up as a whole. Before a session truncates it is asked which logs that would be; one that is newer than the last in the backup keeps all.
//
// A group that fails, because a page is damaged or a file cannot be read, costs itself only. A database that is not mounted is named in a warning; one that was asked for by its name fails.
//
// # Ways
//
// Without Options.Way, Exchange 2000 and 2003 are streamed and later versions taken by snapshots. A chain is of one way: the server itself keeps apart what it was told of streamed backups and of snapshots. The mark of
// the way is "way" in the manifest's meta.
//
// # Restores
//
// A restore refuses first, before it touches anything: a log that is missing or of another history, by its name; a database that is there, without leave to overwrite; one that is mounted, or may not be overwritten, without
// dismount=true; too little room. Then, for each group:
//
//	way vss: copy databases and the chosen logs into folders of their own beside their places, while the databases that are there run on; verify the logs as one chain
//	    recover them there (eseutil /r); the headers must say clean shutdown
//	    dismount and allow, when that was told; set aside what is there, put the restored files in place; where all databases of the group are restored, set its logs and its checkpoint file aside too, so that a new series begins
//	way ese: HrESERestoreOpen, HrESERestoreAddDatabase; set aside what is where the server wants the files; HrESERestoreOpenFile and write each; HrESERestoreSaveEnvironment, HrESERestoreComplete; the headers must say clean shutdown
//	mount, when that was told; remove what was replaced, but for logs that no backup of the plan has: these stay aside, and are named
//
// The last log of a soft recovery is put as the current one, E00.log, as it is after a crash. A restore to a time or generation leaves out the logs that were not over by then, and says which generation it ended with, which logs
// each database required, and up to when all changes are in. The current log that a full from a snapshot holds is replaced by the closed one of that generation when this was over too.
//
// A failure puts back what was there, and mounts again what the restore had dismounted; only where mounting fails the restored files stay, with what was there beside them. What a process that died left is noted in
// Options.StateDir: the next restore puts back what was there, or keeps it and says where. After a restore to its place the next run takes a full of the group.
//
//	to=DIR             into DIR/GROUP, recovered, instead of to the server; where names of files meet, a folder for each database
//	dismount=true      dismount databases that are mounted, and let their files be replaced
//	mount=true         mount the databases afterwards
//	recover=engine     eseutil, or the streaming API, recovers; the default
//	recover=mount      way vss, with mount=true: the store recovers, when it mounts; then it is dismounted and mounted again without the logs of the backup, so that a new series begins
//	recover=none       people recover: the command is told
//	forward=true       to the latest only: the newer logs that the server still has are played too
//	files=DIR          for scripts: where the fetched files are
//
// An item or a database is restored into a recovery database, or into a recovery storage group, when it is restored under the name of that. A place in the log is "generation:0x49" or "log:E0000000049.log": the state before
// that log. The system state is restored as files into a folder (to) only; the commands that put it back are told, and never run.
//
// Where the server is another machine than this one (Options.Server), files of a restore by the streaming API are written through the administrative shares of its volumes, and a folder (to) is one of the server; that was not tried
// with any server. Restores by way vss are done on the server itself.
//
// A rehearsal restores into a folder below the scratch folder, recovers, reads every page, and removes all.
//
// # What is guaranteed
//
// No log is truncated before it is in a durable manifest. On every way out sessions are ended, as failed unless the manifest is durable, and the snapshot is removed; what a process that died could not end, the next run ends
// by its note. All pages of a database and all segments of a log since Exchange 2013 had the right checksum when they were copied; a full holds the logs that its databases require; a link continues what is at the target, by signature, generation,
// creation time and, since Exchange 2013, the checksums of the log before. Restores to a time go log by log: a log is applied when it was certainly over by then. Until a restore is through, what it replaces is on disk: at its place, or aside
// and named; logs that no backup has are never deleted.
//
// Memory is bounded: 512 KiB for the file that is copied, beside what the pipeline takes, and a few hundred bytes for each log.
//
// # What is not
//
// No Exchange server, no Windows and no esebcli2.dll were at hand. All this was run against a model, internal/sim/exchangesim, that keeps the documented rules over files with genuine headers, checksums and chains; programs and the library were exercised
// with stand-ins. What no document says was decided so: names of logs that the streaming API returns are those of closed ones; a copy by it that is not to count is ended as failed; a log file that is closed can be read while Exchange runs.
//
// Logs up to Exchange 2010 have no checksums that are known here, nor have .stm files: for them length, header, chain and the agent's own sum are what is checked. Whether tables and messages in whole pages make sense only a
// recovery and the server tell.
//
// Times between the last log backup and a full that follows cannot be restored: what lies between is in the full only as far as that needs it, and is truncated. Take a log backup just before a full where that matters.
//
// The moment of a log's end is known to the second up to Exchange 2010, and is that of the next log's creation. What was written to the current log is in no log backup by way vss before that log is closed.
//
// Copies by the streaming API are recovered only by a server of their version; elsewhere their files can be had, and are not usable. Databases of one storage group whose files have the same name cannot be told apart by eseutil (/d): each
// is recovered in a folder of its own, which was tried on the model only. Copies in an availability group must be seeded anew after a restore, which people do. A time of the hour that a zone repeats in autumn may be an hour off
// where the engine writes local time.
//
// Where only some storage groups of Exchange 2003 or 2007 are taken by a snapshot, nothing is truncated: single groups cannot be named to their writer by any documented name.
//
// # Rights
//
// The process runs elevated on the Exchange server, as an account with the rights to back up and restore files that may use the management of Exchange; the 386 build for Exchange 2000 and 2003, the amd64 build for later ones. On other
// systems everything but the capture works: verification, inspection, scripts; Check says what is missing.
//
// # Sources
//
// Comments name them by these tags: [SDK03], [SDK07], [SDK10] Exchange Server SDK of that version at Microsoft Learn; [ESE] the engine's source as Microsoft has published it (microsoft/Extensible-Storage-Engine); [BAC] the
// Windows plugin for Exchange of the project Bacula; [CSS] the scripts VSSTester of microsoft/CSS-Exchange.
package exchange
