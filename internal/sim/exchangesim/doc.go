// Package exchangesim is a small Exchange server for tests, from 2000 to 2019: storage groups with transaction logs and databases, all in files, and the tools of the agent over them: the streaming API, snapshots with the writer of Exchange,
// the management shell, the system state, and recovery. It was written from the documents named below, never compared with a genuine server, and shares no code with the agent but the interfaces. What it was not taught it refuses.
//
// # Words
//
// A database has keys with values ([Server.Write]). A change is in the log at once and in the file later, some pages sooner than others, so that a snapshot is in dirty shutdown, and a streamed copy a mixture of moments: both need their logs. The ledger
// ([Server.At], [Server.AtGeneration]) remembers every change, so that a test can compare what a restore brings back with what was. [Server.Client] is a program with the tools. It can die at any call ([Server.SetFault], [Client.Kill]).
//
// The directory has a folder for each volume: D the databases, E the logs; and the snapshots. Files of the server are genuine in all that has a checksum: package esefile describes them. All time is from [Config.Now].
//
// # Rules and where they come from
//
// [SDK03], [SDK07] and [SDK10] are the Software Development Kits of Exchange Server 2003, 2007 and 2010 at Microsoft Learn, [ESE] the published source of the engine, [BAC] the plugin of Bacula for Exchange.
//
// Streaming API, to Exchange 2007 [SDK03 ms878511, SDK07 aa579133, BAC]:
//   - Prepare lists instances and databases; from Setup to EndInstance no database of the instance is mounted or dismounted (-505). One backup of an instance at a time: hrBackupInProgress.
//   - Setup comes before OpenFile and LogFiles, LogFiles before logs are opened, no database is opened after it, TruncateLogs comes after it: JET_errInvalidBackupSequence. Without Setup: JET_errNoBackup.
//   - A database that is not mounted is not backed up (hrCBDatabaseNotFound), and holds truncation back.
//   - A full backup needs the logs from the checkpoint at Setup to the last one closed by LogFiles, which closes the current log. The copy has fullCur in its header and a trailer behind its last page. Reads may be short; pages are
//     checked, and a damaged one is -1018.
//   - Logs alone need a full of every mounted database by this API (hrMissingFullBackup, ErrLGCheckIncrementalBackup in [ESE]) and logs from there on; with circular logging -526.
//   - TruncateLogs deletes what no mounted database needs, after a full only below the logs of the backup, and nothing that a database needs that was not backed up in it. EndInstance(true) writes the backup into the headers; End without it, and
//     the death of the program, is EndInstance(false). Where the engine fails in a way that the library has no name for, the answer is hrErrorFromESECall, with the number of the engine behind it.
//
// Restore by it [SDK03, BAC, eseutil.cxx in ESE]: a database must be dismounted and allowed to be overwritten (hrCBDatabaseInUse), every file opened first (the answer is to write it oneself, unless [Server.RestoreByLibrary]), the environment
// saved before Complete. Hard recovery checks every page, the trailer, series and row of the logs (hrLogfileHasBadSignature, hrLogfileNotContiguous, -557), replays them, with a target the newer logs of that group too, and leaves the
// databases in clean shutdown without a mark of a backup, so that logs alone are refused until the next full.
//
// Snapshots, from Exchange 2003 on [SDK10 aa579157]: the writer takes part; one snapshot at a time, and none while a group streams. Complete marks full, type 1, in the headers and deletes logs that were not needed at the snapshot and are not needed now, in groups
// that were not excluded and whose databases are all mounted; with Copy it marks a copy and deletes nothing. Abort and the death of the program do nothing; after the latter the snapshot stays until Remove. Groups cannot be excluded before 2010, unless it is a copy.
//
// Recovery [eseutil.cxx, logredo.cxx in ESE]: logs of one series without gaps, from the checkpoint if there is one (-528, -530, -515, -590), the required range (-543) and the committed one unless loss is allowed (-582), every database that the logs name unless
// missing ones are ignored (-1216), no streamed copy (-544), no file that the server has open (-1032). A database that the logs attached with another counter than it has after replay has another past: -551.
// When the current log is missing, recovery makes the next one.
//
// Mounting: the file must be there (-1811). When it is the first of its group and in dirty shutdown, all databases of the group are recovered with the logs in their folder; a streamed copy, or a dirty file beside databases that are mounted, is -550.
// A file that was replaced is mounted only if that was allowed, or if it is a recovery database. The first database begins a new series in a folder without logs; logs without the current one are -528.
//
// Guesses, where documents name nothing: which reads are short; that EndInstance writes the marks also when nothing was truncated; that LogFiles may be called once; the numbers of errors outside the calls named; that copies of a
// database availability group are only told, and this server has the files of all it names.
//
// Not simulated: users and rights, mail, patch files of Exchange 2000, recovery in the background (CompleteNoWait), remote servers, differential snapshots, asynchronous truncation, torn writes of the server itself.
package exchangesim
