// Package libnotes is a stand-in for HCL Domino's libnotes, written in C: a shared library with the documented functions of the Notes C API that a backup needs, under their documented names and
// signatures, and with the rules and files of package dominosim. With it the way from Go to a C library is tested as it is: loading, handles, threads, text, callbacks. It is not HCL's library,
// shares nothing with it, and proves nothing about it.
//
// # Use
//
// [Build] compiles the library for a test. A server is made by package dominosim, which also does the transactions; NotesInitExtended is given its notes.ini as the argument "=/path/notes.ini".
// Both work on the same files under the same locks, so that a test can write to a database while the library, in another process, has it in backup. What is open is known to each process alone.
//
// # Functions
//
// NotesInitExtended, NotesTerm, NotesInitThread, NotesTermThread, OSLoadString (texts of its own), OSTranslate (modes 0, 1, 20, 22, 23, 24; native is UTF-8), OSGetDataDirectory,
// OSGetEnvironmentString; NSFDbOpen, NSFDbClose, NSFDbReopen, NSFDbModeGet, NSFDbPathGet, NSFDbGetLogInfo; the NSFBackup functions; NSFGetTransLogStyle, NSFBeginArchivingLogs,
// NSFGetFirstLogToArchive, NSFGetNextLogToArchive, NSFDoneArchivingLog, NSFEndArchivingLogs; NSFTakeDatabaseOffline (also with deletion), NSFBringDatabaseOnline, NSFRecoverDatabases, whose first
// callback comes from a thread that the program does not know.
//
// A call without NotesInitThread, a handle of another thread or one that is not open, and whatever else the reference forbids without naming a status, ends the process by abort with a message on standard
// error. LMBCS is that of group 1: bytes from 0x80 are code page 850, and what it lacks is UTF-16 behind 0x14.
//
// # Settings
//
// QSIM_FAULT, in the environment or in notes.ini, has faults, separated by blanks: "NSFBackupStop@2=abort" is the second call. A + after the name means after the work was done. abort, exit and hang end or stop
// the process; a number in hex is the status returned. LOGRESTORECALLBACK is the name for the callback. QSIM_NOW in the environment is a fixed time in nanoseconds since 1970.
package libnotes
