// Package esebcli is the backup client of the Extensible Storage Engine: the streaming API of esebcli2.dll, by which a running Exchange 2000, 2003 or 2007 hands its databases and logs out and takes them back.
//
// API, Session and Restore are its functions, one for one. [Load] loads the library itself, without cgo, on Windows for 386 and amd64; anywhere else it fails with errors.ErrUnsupported, and a model stands behind the same interfaces.
//
// # A backup
//
// Prepare tells what the server has. Setup begins with one storage group: from then on no database of it can be mounted or dismounted. Each stream of each database is opened, read to its end and closed. LogFiles closes the current log and names those that belong to the
// backup; they are read like databases, of which none can be opened any more. When all is safely stored, TruncateLogs deletes what no database needs, and EndInstance notes in the databases that there was a backup. A copy of a database made so is fuzzy: it always needs the logs.
// The server ends a backup whose process is gone, as failed: logs stay.
//
// # A restore
//
// Databases are dismounted and marked as ones that may be overwritten. RestoreOpen and Environment tell where logs go. Every database is announced by AddDatabase, every file by OpenFile, which normally answers that the caller is to write it. SaveEnvironment writes restore.env; Complete
// recovers with the restored logs, and with those that the target still has.
//
// # What it needs
//
// A [Library] needs esebcli2.dll of the bitness of the program: GOARCH=386 for that of Exchange 2000 and 2003, amd64 for that of 2007. The account needs the privileges SeBackupPrivilege and SeRestorePrivilege, which every session enables for the process, see [EnablePrivileges].
// Programs built by Go 1.21 and later need Windows 10 or Windows Server 2016, on which none of these versions of Exchange runs. So a program runs on a newer machine with the management tools of Exchange, from which the library speaks to the server by RPC;
// Exchange 2007 SP1 allows that only after "Enable Remote Streaming Backup" was set to 1 at MSExchangeIS\ParametersSystem [SDK07]. Nobody has tried this here.
//
// # What is guaranteed, and what is not
//
//   - All that the library allocates is given back to it; End and Close end a session once, however often they are called and whatever has become of the context. What is asked of a session that has ended is os.ErrClosed and reaches nobody.
//   - An error of the library has its [HRESULT] in its tree, and where the library says hrErrorFromESECall, what GetLastError answered: an HRESULT of the engine, or a syscall.Errno. A hint says what to do where that is known.
//   - Calls cannot be cancelled. One that hangs hangs its caller, also when the context ends, because the library keeps the buffers; only the end of the process ends it, and with it the backup, at the server.
//   - Nothing here has met Exchange, its library or Windows. The arguments, structures and order of calls are those of the documents; they were exercised on amd64, under Wine, against a library written from the same documents (internal/sim/exchangesim/esebcli2).
//     For 386 the words and bytes of arguments and structures are tested in a program of 32 bits, without a library. What the documents leave open is said where it is decided.
//
// # Where the facts are from
//
// Comments name their source: [SDK03] and [SDK07] are the Software Development Kits of Exchange Server 2003 and 2007 at Microsoft Learn, [ESE] the source of the engine that Microsoft has published
// (microsoft/Extensible-Storage-Engine), [BAC] the plugin for Exchange of the project Bacula, which names constants that the documents leave out.
package esebcli
