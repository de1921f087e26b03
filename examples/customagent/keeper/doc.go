// Package keeper gives a SQLite database what larger servers have by themselves: a log that is kept until it is backed up, with times.
//
// # Words
//
// The write-ahead log is SQLite's own, the file that ends in -wal. It holds committed pages until they are written into the database; then SQLite begins it
// anew and the pages are gone. A Keeper looks at it every second or so and copies what was committed since into a journal, a small database
// beside the protected one that ends in -quiesce. Each such copy is a change: it has a position, the next number, and the time of the look.
// A stream is a history without a gap; within one, positions compare.
//
// # A look
//
//	take the database's write lock: readers go on, writers wait, for some milliseconds
//	read the write-ahead log, checking every checksum, up to its last commit
//	find in it the place where the look before ended; when it is not there, decide whether this can only be the log that followed
//	write the changed pages and the time into the journal; wait until they are on disk
//	move the hold, and when the log has become long, let SQLite write it into the database
//	take the snapshots of a backup, if this look is for one
//	give the lock back
//
// # The hold
//
// A hold is a read transaction. While it lasts, nobody can throw away what was committed after its beginning, whoever
// checkpoints: SQLite may begin the log anew at most once, and only when all of it had been in the database at the beginning of the hold. So a log that
// does not hold the place where the last look ended, but has the next salt, is known to be its successor, as long as the hold was there. Without a
// hold it is not known, and a new stream begins.
//
// # What is guaranteed
//
// Within a stream no commit is missing: what cannot be proven to follow begins another stream. That covers checkpoints by others, a
// replaced or restored file, a log that lost its end with the power, a Keeper that was killed and a journal that was deleted. A change bears a time at or
// after that of each of its commits, to the millisecond, by SQLite's clock, which never goes back within a journal. Several Keepers, also in several
// processes, may keep one database.
//
// # What is not
//
// Log is kept while a Keeper holds it. When none runs, the chain goes on only if nothing began the log anew meanwhile; a database that every program has closed
// has no log, so a new stream begins. Commits between two looks bear one time. The journal grows until Forget is called; without
// backups it fills the disk. A look reads the whole write-ahead log into memory, and Keep keeps that short, unless a reader of hours, such
// as a full over a slow line, keeps it from being checkpointed. Programs must use a busy timeout, as with any second writer. Linking two different SQLite libraries into one process breaks the locks of
// both: keep in a process of its own, or with the same driver.
package keeper
