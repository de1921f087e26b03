// Package notes is the part of the Notes C API that a backup needs, as Go sees it, and the way to have it run in another process.
//
// # Words
//
// An API is a process in which Domino's library has been initialised, a Thread one of its threads. A Status is what a function of the library answers when it fails. The child is the process that Start runs, by default the
// program quiesce-notes; the parent is the agent. The library, its environment, threads, signal handlers and crashes stay in the child: this package loads nothing, and links nothing that does.
//
// # Life
//
//	parent                                    child
//	Start: finds the program, sets Domino's
//	    environment, runs it
//	                                          loads the library, initialises Domino, Serve:
//	                                          says hello, with the version of the protocol, or why not
//	Thread: begins a thread                   a thread of its own
//	a method of Thread: sends the call        makes it, answers with results, status and Domino's words on it
//	                                          NSFRecoverDatabases wants an extent: asks for it
//	places the extent, says so
//	Close: ends the child's input             ends what is open, ends itself
//
// Messages go over the child's standard input and output: a mark, two lengths, a head in JSON, and bytes as they are, at most 16 MiB of each. Threads work at the same time, each does one call after the other.
//
// # What is guaranteed
//
// No call waits for ever: when the child dies, is killed, or writes what is not the protocol, the call under way and all later ones fail with ErrGone, what it said on standard error, and its path. When a
// caller's context ends during a call, Domino has Command.Grace to answer; the answer counts, so that a handle is not lost. After that the thread is given up, and the child ends what it has begun when the call comes back.
// A context that has ended before a call asks nothing, and the thread stays usable: a run that was cancelled ends its backups with a context of its own.
//
// Close ends the child in order, and kills it after Command.Grace. It is waited for in any case, and none of its descriptors are kept. When the parent dies, the child sees the end of its input, aborts the backups and
// applications of change information that are open, ends the archiving of logs, closes databases, and itself.
//
// # What is not
//
// A call inside Domino cannot be interrupted. When the child is killed, or dies with its parent while a call hangs, Domino's state is what it is: a database may stay in backup, or offline. Databases taken offline
// are never brought online by the child on its own. Names must be UTF-8.
//
// No Domino server was at hand. Codes and meanings are those of the vendor's documents and of public code:
//
//	[REF x]       HCL-TECH-SOFTWARE/domino-c-api-docs, docs/reference, the page of x
//	[User Guide]  the same, docs/howto/user_guide
//	[JNA]         klehmann/domino-jna
//	[LIBNSF]      libyal/libnsfdb, documentation
package notes
