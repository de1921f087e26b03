// Package backup is the contract and the pipeline of application-consistent backup: it takes what an application's agent delivers,
// carries it offsite, proves it, and knows at any time which moments can be restored.
//
// # Words
//
// An application (mysql) runs as an instance (one server). A job is one instance with its backups at a target; its name is a key
// prefix. An item is the smallest thing with a history of its own that a user restores alone, such as a database. An artifact is one file or
// stream of a backup. A backup is of a kind: full, differential (all since the last full) or log (only the new transaction log).
//
// Artifacts may rest in a stage, a temporary directory, or stream through. The offsite target is a sink. An artifact is cut into parts, immutable
// objects of up to PartSize bytes; the part is the unit of parallelism, retry, resume and integrity. The manifest is the record of
// one backup and is written last: no manifest, no backup. A checkpoint is an agent's note of where the next link begins. A chain is a full and the links that continue it without
// a gap; a window is a span of times an item can be restored to. A proof says how far a backup was checked:
// sealed, bytes, format, restored.
//
// # Who implements what
//
// The author of an agent implements Source, which is two methods, and as many of Restorer, Scripter, Locator, Verifier, Rehearser, Checker, Estimator, Recoverer and
// Salvager as the application allows. Package backuptest holds the suite that tells whether the agent keeps the contract. The vendor of a backup
// product configures a Pipeline and calls it. Stager and Sink have implementations in this module (DirStager, package sink)
// and suites of their own.
//
// # A run
//
//	take the job's lease on the sink
//	read the history: manifests and marks only
//	complete what an interrupted run left in its stage, or what of it a Salvager vouches for; bury the others
//	let the source's Recoverer end what a dead run left in the application
//	ask the Checker; compare the Estimator with the room in the stage
//	Source.Backup writes artifacts into the Stage; meanwhile parts are sealed, put, and read back
//	write the entries and the sums, then the manifest, created only if absent
//	Pending.Commit: only now may the application truncate its log
//	give stage and lease back
//
// # What is guaranteed
//
// Whatever dies on whatever line, there is no manifest without all its parts, no log truncated before the manifest is durable, and
// either Pending.Commit or Pending.Abort was called unless the process itself died; then the Recoverer gets its turn before the next run. Two machines on one job never both publish
// a run: the lease is numbered, every manifest carries the number, and the key of a dead run's manifest is taken before its parts
// are removed. A restore never hands out a byte whose part was not checked against its digest.
//
// Some applications do not wait to be told and give their log up when the backup of it ends. For these the promise about log is kept by the stage and a
// Salvager: a run that ended before the source had delivered everything, killed or failed at whatever line, becomes a backup with all that was whole
// in its stage. It holds on the machine that has the stage, until another machine takes the job over and buries the run, and for 29 days.
//
// Whatever the size of the application, at most (2 x Workers + artifacts being written at once) parts lie in memory, and beside them what
// compression needs and headroom of the garbage collector; Config.Workers has figures.
//
// # What is not
//
// A run that streams has no stage, and nothing of it can be salvaged: log that the application gave up for a streamed run that died is lost, and the next run
// finds the gap and begins anew. The same holds for parts that were sent already when compression or encryption of the target are changed before the next run, and, after a power
// cut, for what passed through us and was not committed.
//
// The pipeline cannot tell whether a source's data are consistent; backuptest and rehearsals can. A sink without
// PutIfAbsenter leaves a moment in which two machines may both take a job. Manifests are plain text: names of items, sizes and times can be read at the target,
// contents and lists of artifacts cannot when the sink encrypts. Keys of parts contain the names of artifacts.
package backup
