// Package domino backs up HCL (Lotus, IBM) Domino servers while they run: all databases by the backup functions of the Notes C API, the extents of the transaction log, the attachment store and every other file
// of the data directory; and it restores databases to any time. The C API is reached in a child process, package notes, so that this package needs neither cgo nor Domino's library.
//
// [New] returns the Source of the way that Options.Way names: CAPI, which most of this page is about, Hook or Offline. Check says which one is used, and which other this machine would allow where that cannot work.
//
// # Words
//
// A database is a file of the server: *.ns?, *.nt? and *.box below its data directory, or where directory and database links lead. Its instance id, DBIID, names one life of it in the transaction log: compact (but
// for -b), fixup, recovery and moving it give it another, and log does not lead from one life to the next. The log is one series of numbered extents, named by its LogID; an extent is known by LogID and number, never by the
// name of its file. In archive style an extent stays until somebody tells Domino that it is archived. Change information is the before-images of what was written to a database while it was copied: applied
// to the copy it makes it the database as it was when its backup began. An NLO is an object of the attachment store, DAOS: databases hold references to it only.
//
// # Items
//
//	mail/jdoe.nsf    each database, by its name below the data directory: a full, continued by the log while its instance id stays
//	transaction log  the extents, and what is in the one being written; with notes.ini
//	files            notes.ini with what it includes, IDs and all other plain files; in fulls
//	attachments      the NLOs; all in a full, those that came since in a log run
//
// # One run
//
//	ask for the style of the log, the data directory, and what the log has to offer; walk the directory
//	log run: decide for each database whether log continues its full; open only those whose file has changed since it was last looked at
//	for each database to copy, Options.Parallel at a time, each worker in a process of its own:
//	    note durably, in Options.StateDir, that it is put into backup
//	    NSFBackupStart; copy as many bytes as it says, telling how far the copy is; NSFBackupStop
//	    apply the change information to the copy; or store it beside the copy, as NAME.delta, when the job streams
//	    NSFBackupEnd
//	copy files and attachments, which must come after the databases
//	copy the extents that are new, and the current one in part, never telling Domino that this one is archived
//	once the manifest is durable: NSFDoneArchivingLog for every full extent that is in it, or was in one before
//
// A log run makes a full of a database, and says why in Item.Reason, when none is at the target, its instance id has changed, the log between is not whole, its changes are not logged and its file has changed. When the server
// writes another series of the log than any full at the target, it takes fulls of everything and no log; that follows with the next run. Databases that are being compacted or replicated are tried once more at the
// end. One that is damaged, in use or dies with its process fails by its name, and the others go on; one that vanished is named in a warning.
//
// In circular and linear style nothing can be archived: log runs are refused, with what to do; fulls work, each database standing for itself.
//
// # Restore
//
// The stored copy is brought to a temporary name beside its place, its change information applied, and recovered there by NSFRecoverDatabases: all databases of a plan in one call, to the time asked for, or else to the end of
// the log in the plan. Domino asks for the extents that it needs, from the first, and only these are fetched. Then the database in its place is taken offline, replaced, and the new one brought online; what was
// there is kept until that is done. A recovery consumes the copy and gives a new instance id, so that the next log run takes a full of it by itself; take one at once.
//
// A restore that is killed leaves the original at its place, or beside it as NAME.quiesce-old, and never loses it. The next one puts it back where nothing is in its place; where the restored database is there, too, it refuses, and says
// which file is which and what to do. Backups name such a file in a warning.
//
// Nothing is overwritten unless the restore allows it, and notes.ini never, where there is one. NLOs that are missing are put back; none is overwritten. The options of a restore:
//
//	to=DIR         databases go below this directory of the data directory, under their names; Selection.As names a single one
//	replica=new    a new replica id, so that replication does not overwrite what was restored, nor spread it
//	log=none       databases as they were when their fulls began; log that the plan has is left out
//	mode=server    a whole server into the empty data directory data=DIR, for a server that is installed with the same directories and not started: files, notes.ini told to rebuild the control file
//	               of the log, the extents into the log directory, and the databases, when the job's process of Notes works in that directory
//	machine=other  with mode=server, when it is not the machine of the backups: media recovery only
//	files=DIR      where a script finds the fetched files
//
// With Options.Console the server is then asked what the databases refer to in the attachment store and is not there; exactly these objects are put back when items were selected, and what is in no backup of the plan ends the
// restore with an error that wraps backup.ErrPartial and names database and objects. What could not be asked is a warning, and all objects are put back.
//
// A rehearsal restores into a directory below the data directory as new replicas, opens each database, and removes all of it.
//
// # Without the C API
//
// The way Hook has Domino's own backup, of release 12 and later, do the work: Domino calls the program quiesce-hook for each file, package hook carries the call to the run that waits, and the file is read into the stage while Domino keeps the database in
// backup mode. Domino takes a file for safe once it was told so, and gives up extents of its log then; that is noted on disk before it is told, extents lie in the stage by then, and Salvage makes a backup of what a dead run left
// there. Domino tells neither the numbers of extents nor which a database needs, so they are counted, and the chain begins anew, with fulls and the reason, whenever the count at the target and the note on this machine differ. A restore waits for
// Domino's restore task, which a person starts, and brings the files that it asks for. A copy whose change information did not come is a failed item. It was run against a model of the two tasks, internal/sim/dominosim/backuptask.
//
// The way Offline copies the files of a server that is stopped, or a snapshot of one. It refuses a directory of which a process has databases open, as far as that can be seen, and fails when one changes during the copy. There is no log to roll
// forward. Of a snapshot it says that the databases are as after a power cut.
//
// # From one way to another
//
// Each backup notes the way that made it, "way" in its meta: capi, hook or offline. Every way verifies what the others made, and puts plain files and attachments of it back. With databases it is so:
//
//	made by   CAPI                                    Hook         Offline
//	capi      restores                                refuses      refuses
//	hook      restores, with log=none where it has    restores     refuses
//	          log, for which Domino told no numbers
//	offline   restores, as plain copies that need     refuses      restores
//	          a fixup
//
// A refusal names the way that can, and touches nothing. A log run never continues what another way made: it takes a full of all databases, and says so.
//
// # What is guaranteed
//
// BackupEnd or abort is called on every way out, on a context of its own. No extent is given up before it is in a durable manifest. The partial one never is. Extents that are offered again are not stored twice, but Domino is told. A gap
// in the log, because another program archives it too, is found, named, and mended by fulls. A log run costs what changed: every file is looked at, and those that changed are opened.
//
// Memory is bounded by a block of 1 MiB for each worker, beside what the pipeline takes and a few hundred bytes for each file of the data directory.
//
// # What is not
//
// No Domino server was at hand. All this was run against a model of one, internal/sim/dominosim, that keeps the documented rules. What no document says was decided so: with the answer that no full extent waits, Domino names the
// current one; the list of daosmgr listnlo is whole when no process has it open and it has not changed for a second; a recovery to a time accepts an extent that was copied before it was full, as the last it reads; and a database restored to the moment of its full, without log in the plan, can be recovered with what the server's own log
// directory still has, or else needs a fixup, of which a warning tells.
//
// A context of NSFBackupStart dies with its process. quiesce-notes ends what it began when the agent dies; when it dies itself, Domino may hold the database in backup until the server is restarted. Recover, at the next run, tries to
// begin and abort a backup; where that is refused, the database fails by its name, with what to do, and the others go on. IBM's product had a command that resets this state; the C API has none.
//
// Plain files have no log. They are restored as they were in the full before the time asked for. Unlogged databases can be restored to the moments of their fulls only, so a restore of everything to a time between is refused: select
// items. An unlogged database that is written to in the moment between the last look at its file and NSFBackupEnd is not copied again before its next change.
//
// Verify compares sizes and checksums with those taken when Domino gave the bytes, and looks at headers with package nsf. Neither the pages of databases nor extents have a published format: only a rehearsal proves them.
//
// # Rights
//
// The process runs on the machine of the server, as the user that owns it. The ID of the server must have no password. One program alone may archive the log. The deferred deletion interval of DAOS must be as long as backups
// are kept, or restored databases refer to objects that are gone.
//
// # Sources
//
// Comments name them by these tags: [UG] HCL C API User Guide, chapter Backup and Recovery; [REF x] HCL C API Reference, entry x; [ADM page] HCL Domino Administrator documentation; [JNA] names of statuses in domino-jna; [LIBNSF] the
// documentation of libnsfdb.
package domino
