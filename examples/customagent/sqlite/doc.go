// Package sqlite is the agent of SQLite databases, written to be read: doc/custom-agent.md of the repository walks through it.
//
// One database file is one instance with one item, named as the file. Package keeper brings the log; this package speaks to the pipeline.
//
//	k, err := keeper.New("/var/lib/library/library.db", nil)
//	...
//	err = k.Hold(ctx)
//	go k.Keep(ctx) // for as long as the database is protected
//	p, err := backup.New(backup.Config{Job: "library", Source: sqlite.New(k, nil), Sink: target})
//
// # What the kinds are here
//
// A full is every page of the database as of one moment. A log is every page that changed since the last link, change by change. A log becomes a full, and says
// why, when there is no full yet, when the stream is another one, or when the journal was given up beyond the last link. There is no differential.
//
// # Times
//
// A restore to a time gives everything that was seen by then and nothing that was committed later. What was committed shortly before may be missing: at
// most as long before as the next look took to come. A log link lets a restore stop at any moment when nobody looked away for longer
// than Options.Resolution before any of its changes; else it gives its end only.
//
// # Restoring
//
// The database is built beside its place, checked by SQLite, and renamed. Whatever exists is refused without overwriting, and what a program has
// open is refused always. Selecting the item under another name restores a file of that name in the same directory. The scratch
// place of a rehearsal is a directory. The restored file
// can be read by its owner only. There are no options.
//
// # What it needs
//
// The database must be in WAL mode, and the agent must be able to write to it and to its directory: SQLite keeps locks in a file there, and keeper its
// journal. Nothing is ever changed in the database itself. A dead run leaves nothing behind, since locks and snapshots of SQLite end with their process: there
// is no Recoverer. The journal holds the log for one job; of two jobs, each makes the other take fulls.
package sqlite
