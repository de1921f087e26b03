// Package capi is the Notes C API of a real Domino, loaded at run time without cgo, as notes.API. It is meant for one program, quiesce-notes, which runs as a child of the agent: nothing else should import it, so that
// nothing else is linked with github.com/ebitengine/purego or shares a process with Domino's threads, signals and crashes.
//
// # Life
//
//	Open        loads libnotes, looks up every function, NotesInitExtended on a thread that stays until Close
//	Thread      an operating system thread of its own: NotesInitThread, the calls one after the other, NotesTermThread
//	Close       waits for the threads, NotesTerm; after that the process should end
//
// Functions are called with exactly the documented signatures; see functions.go. Handles are taken in zeroed variables of eight bytes and passed back in registers, so that it does not matter whether a build of Domino
// has them in four or eight. A status loses its two upper bits, and Domino is asked for its words on it (OSLoadString). Text goes through OSTranslate unless it is ASCII. Paths longer than 255 bytes are
// refused, because the C API has no more room. The files of databases taken offline are never deleted by it: OFFLINE_NODELETE is always given.
//
// # What is guaranteed
//
// A function that is missing in the library is an error of Open that names it, and nothing has been called then. A call whose context ends is given up: its thread is lost, the memory it was given stays its own, and Close
// then leaves out NotesTerm. Extents that a recovery wants are asked for one at a time, on whatever thread Domino asks; a panic in the function that places them ends the recovery, not the process.
//
// # What is not
//
// No Domino server was at hand: signatures, codes and rules are those of the vendor's documents, and what was run against them is a library of our own, compiled from C, on Linux amd64. Windows and macOS are compiled,
// and not run. On 32-bit Windows the functions and the callback are called as stdcall, and are looked up by their plain names. There, no structure is passed whose packing matters.
//
// # Sources
//
//	[REF x]   HCL-TECH-SOFTWARE/domino-c-api-docs, docs/reference, the page of x
//	[UG]      the same, User Guide
//	[JNA]     klehmann/domino-jna
package capi
