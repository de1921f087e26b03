// Package domino runs the agent for Domino the way it runs in production: as a program that starts quiesce-notes, which loads a library in C and calls its functions. The library is that of package libnotes, compiled
// here: it has the names, signatures and rules that the documents of the C API give, and is not HCL's. Users, played by package dominosim, write to the same files meanwhile, and its ledger says what a restore must bring back.
//
//	go test -v ./internal/e2e/domino
//
// It needs a C compiler and the go command; without them tests are skipped with the reason. In every run: check; fulls and logs, staged and streamed, while users write; restores to the end and to moments, compared with the
// ledger; in place over a damaged database; the child dying in every function that the agent calls, in every process it starts, and hanging; settings that are wrong; and the conformance suite. With -short the child dies a few times
// only, and the suite is left to package domino, which asks it over the model.
//
// # A Domino server of your own
//
// Nothing here has met one. TestOwnServer runs on the machine of a server, as its user, beside whatever backs it up otherwise; the server may be in use:
//
//	QUIESCE_DOMINO_PROGRAM  the program directory, like /opt/hcl/domino/notes/latest/linux; without it the test is skipped
//	QUIESCE_DOMINO_INI      the server's notes.ini
//	QUIESCE_DOMINO_FOLDER   a directory below the data directory, named relative to it, with the databases to try it on: logged copies that nobody needs
//	QUIESCE_DOMINO_CHILD    quiesce-notes; default: it is built
//	QUIESCE_DOMINO_LIBRARY  the library; default: that of the program directory
//
// It checks, and then, staged and streamed, takes a full of the databases in the folder with the log, takes a log where the style is archive, verifies, rehearses below FOLDER-rehearsal, which is removed again, and restores the databases as new replicas below
// FOLDER-restored-*, which stay, to be opened in a client. It never tells Domino that an extent is archived, replaces no database, and takes no database offline but its rehearsal's. It does open every database of the folder, put each
// into backup and end that, and it is the archiver of the log for as long as that is copied, which refuses another one meanwhile. All extents that wait are copied with the databases into TMPDIR,
// twice when staged. No child is killed there: what Domino does with the backup of a dead process is known to its server only. See doc/domino.md.
package domino
