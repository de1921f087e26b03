// Package mssql backs up the databases of a SQL Server instance as .bak and .trn files that any SQL Server can restore, with or without this module.
//
// # Words
//
// An item is a database, by its name. A full stands alone, a differential holds what changed since the full that is its base, and a log holds the transaction log since the
// last log backup. An LSN is a place in that log. A family is the identity of a database for ever, whatever it is called; a recovery fork is one course of
// its history: a restore to an earlier point begins another. A chain is a full with what continues it without a gap. A backup set is what one
// BACKUP statement wrote; it may be spread over stripes, files that are written at once. A copy-only backup changes nothing in the database's chain. The tail is the
// last log of a database that is about to be restored.
//
// # One run
//
//	list the databases; leave out tempdb, snapshots and what Options excludes
//	decide for each what to take: compare the server's family, fork, log and differential base with the last record at the target
//	for several databases at a time, the largest first:
//	    reserve a file per stripe in the stage; read the server's clock
//	    BACKUP ... WITH FORMAT, INIT, SKIP, CHECKSUM, STATS, and COMPRESSION where the edition has it
//	    RESTORE HEADERONLY, LABELONLY and FILELISTONLY of what was written: is it the backup that was meant, and does it continue the chain?
//	    RESTORE VERIFYONLY where nobody else can check the file: compressed, encrypted, or without checksums
//	    keep the files; record the header as the checkpoint from which the next run goes on
//
// # What is taken
//
// Asked for a full, each database gives a full. Asked for a differential, it gives one when the base on the server is the newest full at the target. Asked
// for a log, it gives one when the log goes on where the target's ends. Otherwise the smallest backup that mends the chain is taken, and the item's reason says why: master gives
// fulls only; a database in SIMPLE gives a differential in a log run; a database that is new, was switched from SIMPLE, was restored, or
// was replaced by another of its name gives a differential where the base is at the target and a full where it is not; and so does one of which
// another tool took a log or a full. That tool's backup is named when msdb knows it.
//
// A database that is OFFLINE, RESTORING or in standby is left out with a warning, or fails when it was asked for by its name. Other states fail. No failure of one
// database keeps the others from being backed up.
//
// In an availability group each replica asks sys.fn_hadr_backup_is_preferred_replica, so that the same schedule, with one job at one target, may run on all of them: the lease lets one work at a time,
// the shared history tells each where the log goes on, and what is left to another replica stands in Meta as left_to_another_replica. A secondary takes logs,
// and copy-only fulls where data are asked for; logs continue those, differentials do not.
//
// # Options of one run
//
// copy_only=true, tail=norecovery|no_truncate|continue_after_error (with the kind log and the databases named), databases=patterns separated by commas.
//
// # A restore
//
//	take the steps of the plan by database; check their headers: family, fork, base, LSNs without a gap, all stripes
//	ask the server: databases, files, version, certificates, room; refuse what would fail before anything is touched
//	for several databases at a time:
//	    bring the files of the first step to the stage; then SINGLE_USER WITH ROLLBACK IMMEDIATE, when one is to be overwritten
//	    RESTORE DATABASE or LOG ... WITH NORECOVERY, step by step, while the files of the next one come; drop each when it was used
//	    RESTORE DATABASE ... WITH RECOVERY (or STANDBY, or neither), MULTI_USER; see that it is online
//
// A database in place keeps the paths of its files. Under another name, or where another database has the path, files go to data_dir and log_dir, or to the server's
// directories for new databases, under names made of the database's.
//
// What was interrupted is left RESTORING. The same restore without overwriting goes on where the server stands, when the full it began with is that of the plan; with overwriting it
// begins anew. A time is cut to the 1/300 s in which SQL Server dates commits, and given in the server's local time; where the clock was changed inside the log, it is refused.
// Places in the log are "lsn:N", "mark:NAME" and "before-mark:NAME".
//
// A plan of everything leaves master, model and msdb out and says so, at any time; a rehearsal too. By name, msdb and model restore to the build they are of, with overwriting and after the Agent was stopped;
// master restores on a server in single-user mode only, which then ends itself.
//
// Script writes the same statements for sqlcmd, and WriteScript those of a plan that package chain made from files alone. Verify reads plain files by itself and asks the server about compressed and encrypted ones. Rehearse restores on
// another server, runs DBCC CHECKDB and drops.
//
// Options: recovery=recovery|norecovery|standby, standby_file, data_dir, log_dir, move:LOGICAL=PATH, stop_at_mark, stop_before_mark, stop_before_lsn (these three with a target of
// the latest state), restricted_user, keep_replication, keep_cdc (true), broker=enable|new|error; files (of a script: the folder with the fetched files), same_instance=true (of a rehearsal).
//
// # Without a stage
//
// SQL Server 2022 and later, not Express, back up to and restore from S3. With Options.Endpoint and no Stager, each run serves a bucket of its own over https (package
// s3endpoint), creates the credential for it, and has the server write to URLs there; what comes goes straight on to the target. Restores, rehearsals and the verification of
// compressed backups read from it in the same way. To set it up:
//
//	make a certificate for the name under which the server reaches this machine (s3endpoint.NewCertificate), and keep certificate and key
//	have the server trust it: on Linux a file in /var/opt/mssql/security/ca-certificates and a restart of the service, on Windows the trusted roots of the local machine
//	let the server connect to Addr, GRANT ALTER ANY CREDENTIAL to the login, and ask Check: it sends a small backup and says what is wrong
//
// What was sent cannot be read back by the server, so there is no RESTORE VERIFYONLY, and the facts of a backup are those of its record in msdb. Plain backups are
// walked and their checksums compared as they pass, before the server hears that they are complete, and what they say of themselves must be what msdb says. Of compressed ones nothing is known before the job verifies
// them. Backups too large for one URL are spread over more of them than Stripes says; MaxTransferSize does not hold for them.
//
// BACKUP LOG truncates the log once the pipeline has accepted all of it: a target that fails before that fails the statement, and the log stays. Accepted is not offsite. The last parts may
// still be in memory, and nothing counts before the manifest: when the process dies or the target fails in between, or the connection breaks before the statement's result is known, the log is lost that the run took, and there is no
// stage to complete the run from. The next run sees the gap and takes a differential or a full, so that later times can be restored; those between cannot. Where that is too much, give logs a job with a stage.
//
// The credential has a random secret, is good for that bucket only, and is dropped at the end of the run on every path. When the process is killed, the job's next run drops it, knowing it by
// its name and by a lock that nobody holds.
//
// # What is guaranteed
//
// What is recorded as a link continues the chain by the header of the file itself, not by what was decided before it was written. Windows are dated by the
// server's clock: a log reaches to the moment just before its BACKUP began, since all that was committed before is in it. When another tool takes a log between the decision and
// our own log backup, ours is kept as an artifact beside the differential or full that then follows, because the server has truncated it; no restore of the job uses it.
//
// When a run fails or is cancelled, the statement is stopped and half-written files are removed, but for logs that may be whole; no backup that failed changes a chain. A tail WITH NORECOVERY that could not be kept is undone: the
// database is brought online again.
//
// A restore leaves no database shut to its users: one that is online after a failure is opened again. None is recovered to another point than the one asked for.
//
// # What is not
//
// SQL Server truncates the log at the end of BACKUP LOG by itself, before anything is offsite. From then on the file in the stage is the only copy, until it
// is at the target. It is not removed when the run fails or dies: the next run on the machine asks Salvage, which reads what committed files say of themselves and has the server read
// and verify a log file that was not committed, and what is whole is brought to the target. If the stage is lost too, the next run sees from the LSNs that the log went on without the
// target and takes a differential or a full, and the times between are lost. Use a stage that survives what the database's own disk would not.
//
// A restore needs the certificates and keys of encrypted databases and backups. They are named in a warning unless an export is known; they are never part of
// a backup. Logins, jobs and linked servers are in master and msdb; settings outside the databases, such as startup parameters, are in no backup.
//
// The server writes the files by itself, so it needs a folder that both sides see (Stager). A job without one is refused, unless Options.Endpoint is set.
//
// # Rights
//
// sysadmin, or db_backupoperator in every database with CREATE ANY DATABASE for reading headers, VIEW SERVER STATE for sizes and VIEW ANY DEFINITION for the state of the chains; for an endpoint ALTER ANY CREDENTIAL, and
// what everybody has by default, reading the history in msdb. Written for
// SQL Server 2008 and later; Azure SQL Database has no BACKUP.
package mssql
