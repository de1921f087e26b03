// Package dominosim is a small Domino server for tests: databases that are files, a transaction log, and the Notes C API of backup and recovery over both, as the interface that package notes has for
// it. It was written from the documents named below, never compared with a genuine server, and shares no code with the agent that is tested against it. What it was not taught it refuses.
//
// # Words
//
// A database is a file with the header of an NSF and pages of our own, on which keys have values. A transaction sets or deletes keys ([Server.Transact]); it is dated by [Config.Clock], to the
// hundredth of a second as everything in Notes is. The ledger ([Server.At]) remembers every state, so that a test can compare what a recovery brings back with what really was.
// [Server.Process] is a program with the Notes API. It can die at any call ([Server.SetFault], [Process.Kill]), and what the server knew of it stays as it was.
//
// All that lasts is in files, and each call has the server's lock while it reads and changes them. Several Servers over one directory, in one process or in several, are therefore one server, and so is the
// library in C of package libnotes. Alone in memory are the ledger, the fault, and which files a process has open.
//
// # Rules and where they come from
//
// [UG] is the Backup and Recovery chapter of the HCL C API User Guide, [REF x] the page of x in the reference of the same, [SMP] HCL's sample programs dbbackup and dbrecs, [ADM] the administrator's help.
//   - Handles belong to a thread, a thread does one call at a time, calls of another thread's handle fail [REF NotesInitThread]. What ends the caller's context loses the thread [notes.Thread].
//   - From NSFBackupStart to NSFBackupEnd the file is a recoverable backup of itself, writers go on, and before-images are kept of every page not yet below the high water mark
//     [UG, REF NSFBackupSetHighWaterMark]. A mark set too far makes an inconsistent copy. Change information is there after NSFBackupStop, is of size 0 when nothing changed, and makes the copy
//     the state at NSFBackupStart [UG]. It may be cut anywhere, as a stream stored beside the copy is. Change information of another backup is 0x0EA7.
//   - One backup at a time for each database (0x0EA4), and that of a dead program goes on until the server is restarted or an administrator resets it ([Server.ResetBackup]); its program is told 0x3810.
//   - Opening a backup removes what makes it one, but a logged backup in the data directory is refused with 0x13F3 [UG, REF ERR_RM_OPEN_BACKUP]. Recovering consumes it [SMP]. A recovery that breaks
//     off in the middle (0x13E3, 0x13E9, 0x0237, the death of the process) leaves a file that is worth nothing; one that is refused (0x13EB, 0x13E8, 0x13F4, 0x0103) leaves it alone [REF NSFRecoverDatabases].
//   - Compact, fixup, logging switched off and on, a new series of the log, recovery with a new id, opening by a path outside the data directory and copying an active database give a new DBIID [UG, ADM].
//     An older file in the place of a database that is online is 0x13F5.
//   - The archive list is made by NSFGetFirstLogToArchive; at its end 0x13DE comes with the current extent. An extent that was called done is deleted; one that was not is offered again [UG, SMP].
//     One program archives at a time (0x0EAE), until it ends or dies.
//   - Circular and linear logs keep the last extents only ([Config.MaxExtents]) and are not archived (0x0EA1); a recovery that needs an older one is 0x0294.
//   - NSFRecoverDatabases reads the log from the first extent that any of the databases needs, in order, calls back for those not in the log directory, and removes them after. A point in time includes
//     transactions of that hundredth of a second. TRANSLOG_Recreate_Logctrl and TRANSLOG_MEDIAONLY of notes.ini make it take the extents in the log directory for the log [UG].
//
// Guesses, where the documents name no status: NSFBackupGetChangeInfoSize before the stop is 0x0EA6; NSFBackupEnd without abort before it and marks that go back or beyond the file are 0x0208; calls of
// the archive list out of order are 0x13DC; NSFDoneArchivingLog of the current extent, or one not offered, is 0x13DD; bringing online what is online is no error;
// an extent that was copied before it was full ends a recovery to a time, and is 0x0237 for one to the end of the log. A backup neither changes the modification
// time of its file nor takes part in any race with a compact: those exclude each other.
//
// Objects of the attachment store (DAOS) are files to which a value may refer ([Server.Attach]); the console lists those that a database lacks ([Server.Console]). There is no catalog of them, no count of references and no deletion.
//
// Not simulated: NSFIsNewBackupNeeded, databases of DB2, users and their rights, timeouts of backups, undo at recovery (transactions here are done when they are logged), and all of a database that
// is not backup.
//
// # FORMAT
//
// Integers are little-endian. Checksums are CRC-32 (IEEE).
//
// A database: header (1024 bytes, from ODS 53 on 2048), two superblocks of 4096 bytes that begin with 0E 00, pages of 4096 bytes. In the header are Domino's fields signature (0), header size (2), ODS (6),
// dates (10, 34, 136, 172, 834), class (42), file size in units of 256 bytes (88), replica id (180), title (200), superblocks (560, 568), DBIID (688, 16 bytes), last backup (704), number of the first extent (728), LogID
// (768) and the bit "is a backup" (810, bit 0; its place in the field is ours). From 912 on they are ours: "QSIM", flags (916: 1 logged, 2 switched off), last LSN (920), LSN when the backup began (928), its time in
// hundredths of a second since 1970 (936), sum of all pages (944: checksum of the page times 0x9E3779B97F4A7C15, added up), number of pages (952), checksum of the header without this field (956), end of
// the log when the backup began (960), serial number of the backup (968). A file whose pages do not add up is a mixture of moments; a backup whose two LSNs differ lacks its change information.
//
// A page: "QPG1", number (4), LSN of the last change (8), checksum without this field (16), length of the payload (20), payload (24): entries of key length and value length (2 bytes each), key, value. A key is put on
// the first page with room.
//
// An LSN is the number of an extent in the upper and an offset in it in the lower half. An extent: "QTXN", version 1, LogID (8), number (24), size of the file (28), end (32; 0 while it is the current one), padded to
// 64 bytes; then records of length, checksum of what follows, LSN (8), time in nanoseconds since 1970 (16), DBIID (24), number of operations (40), padded to 52 bytes; an operation is 1 (set) or 2 (delete), lengths
// of key and value (2 bytes each), key, value. Extents are named S, seven hex digits, .TXN. NLOGCTRL.LFH: "QLFH", style (4), LogID (8), number of the current extent (24), size of extents (28), end of the current one (32).
//
// Change information: "QCHG", four bytes of 0, DBIID (8), serial number of the backup (24), length of what follows (32); then blocks of offset (8 bytes), length, checksum, bytes as they were.
//
// The directory beside data and log, which notes.ini calls QSIM_Directory, has for each database, named by the FNV-1a hash of its path, a .st file ("QST1", flags, size, high water mark and serial number of
// the backup, last LSN, DBIID, path) and a .chg file with the blocks above while it is in backup; and the lock files lock, archiver and recovery.
package dominosim
