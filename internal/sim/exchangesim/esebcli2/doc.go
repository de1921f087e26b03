// Package esebcli2 is a stand-in for esebcli2.dll of Microsoft Exchange, written in C: a library for Windows with the documented functions of the streaming backup API, under their documented names and signatures, which keeps to the documented
// call order and states. With it the way from Go to a stdcall library is tested as it is: loading, structures, 64-bit numbers and GUIDs by value, memory that the library allocates, sessions that die with their process. It is not
// Microsoft's library, shares nothing with it, and proves nothing about it.
//
// # Use
//
// [Compile] makes the library with the C compiler of MinGW, on the machine that builds. [New] makes a [Server]: storage groups with genuine files in the format of package esefile, and the description that the library reads, whose
// path stands in the environment variable QSIM_EXCHANGE. The library and the Server work on the same files. Neither expects the other to be at work at the same moment: a test does one thing after the other, in one process or in several.
//
// # Rules
//
// The functions are those of the reference "Exchange Server 2003 SDK": HrESEBackup* and HrESERestore* without GetNodes, GetRegistered and LoadEnvironment, and those that free. They ask for SeBackupPrivilege and SeRestorePrivilege, a server of the name
// in the description or of this machine, and the annotation Microsoft Information Store. One backup of a storage group runs at a time, in any process; it ends when its process dies. Logs only wants a full by streaming in the header
// of every mounted database, and no circular logging. No database can be opened after the logs were asked for. The current log is closed when they are asked for. Reads are sometimes short, an .edb has a trailer, and a damaged page is refused. Truncation takes the logs below the checkpoint that the
// backup began with; with logs only, below the present one. Headers note a backup when it ends with success. Databases that are mounted, or may not be overwritten, are not restored; recovery wants all logs from the trailer's first on, without a gap, of one series.
//
// # Settings
//
// QSIM_FAULT: "HrESEBackupReadFile@3=C8000230" makes the third call return that, "=kill" ends the process; a + after the name means after the work was done, and * is a call of any function. QSIM_RESTORE_FILES, when set, makes the library write the files of a restore itself. QSIM_NOW,
// seconds since 1970, is the time that the library writes into logs.
// QsimOutstanding returns how much memory, sessions and files have not been given back.
package esebcli2
