package notes

import (
	"context"
	"time"
)

// API is a process in which the Notes C API has been initialised: the child process that Start runs, or a model of one. Its methods may be called from many goroutines.
type API interface {
	// Thread begins a thread of Notes' own. Handles are valid only in the thread that made them [REF NotesInitThread].
	Thread(ctx context.Context) (Thread, error)
	// Close ends all threads and the process.
	Close() error
}

// Thread is one thread of Notes. Its methods are the functions of the C API that a backup needs, one for one, and are called one at a time. A call that Domino answered with
// a status returns a Status; any other error means that the process behind it is gone or was told wrongly, and that nothing is known of the call.
//
// When ctx has ended before a call, nothing is asked. When it ends before Domino has answered, an API may wait a little for the answer, as that of Start does, and then the call returns the reason, the thread is lost
// and every later call on it fails. Domino's own state is what it is, so ends and aborts must be called with a context of their own.
type Thread interface {
	// DataDirectory is OSGetDataDirectory.
	DataDirectory(ctx context.Context) (string, error)
	// Environment is OSGetEnvironmentString: a value of notes.ini, and whether there is one.
	Environment(ctx context.Context, name string) (string, bool, error)

	// Open is NSFDbOpen. The path is absolute, or relative to the data directory.
	Open(ctx context.Context, path string) (Handle, error)
	// Close is NSFDbClose.
	Close(ctx context.Context, h Handle) error
	// IsDirectory is NSFDbModeGet: NSFDbOpen opens directories too.
	IsDirectory(ctx context.Context, h Handle) (bool, error)
	// Path is NSFDbPathGet: the expanded path, after links were followed.
	Path(ctx context.Context, h Handle) (string, error)
	// LogInfo is NSFDbGetLogInfo.
	LogInfo(ctx context.Context, h Handle) (LogInfo, error)

	// BackupStart is NSFBackupStart. It returns how many bytes of the file are to be copied.
	BackupStart(ctx context.Context, h Handle) (BackupContext, int64, error)
	// BackupHighWater is NSFBackupSetHighWaterMark: everything below offset has been read.
	BackupHighWater(ctx context.Context, h Handle, c BackupContext, offset int64) error
	// BackupStop is NSFBackupStop, before which there is no change information.
	BackupStop(ctx context.Context, h Handle, c BackupContext) error
	// ChangeInfoSize is NSFBackupGetChangeInfoSize.
	ChangeInfoSize(ctx context.Context, h Handle, c BackupContext) (int64, error)
	// NextChangeInfo is NSFBackupGetNextChangeInfo: how much of buf was filled, 0 at the end.
	NextChangeInfo(ctx context.Context, h Handle, c BackupContext, buf []byte) (int, error)
	// BackupEnd is NSFBackupEnd.
	BackupEnd(ctx context.Context, h Handle, c BackupContext, abort bool) error

	// ApplyStart is NSFBackupStartApplyChangeInfo on a copy, with the size of all change information.
	ApplyStart(ctx context.Context, copyPath string, size int64) (ApplyContext, error)
	// Apply is NSFBackupApplyNextChangeInfo.
	Apply(ctx context.Context, a ApplyContext, info []byte) error
	// ApplyEnd is NSFBackupEndApplyChangeInfo.
	ApplyEnd(ctx context.Context, a ApplyContext, abort bool) error

	// LogStyle is NSFGetTransLogStyle.
	LogStyle(ctx context.Context) (LogStyle, error)
	// ArchivingBegin is NSFBeginArchivingLogs; ArchivingEnd is NSFEndArchivingLogs.
	ArchivingBegin(ctx context.Context) error
	ArchivingEnd(ctx context.Context) error
	// FirstLog is NSFGetFirstLogToArchive, NextLog NSFGetNextLogToArchive. With StatusNoTransLogsToArchive the extent is the current one, not yet full.
	FirstLog(ctx context.Context) (Extent, error)
	NextLog(ctx context.Context) (Extent, error)
	// LogDone is NSFDoneArchivingLog: Domino may reuse or delete the extent.
	LogDone(ctx context.Context, id UNID, number uint32) error

	// TakeOffline is NSFTakeDatabaseOffline with OFFLINE_NODELETE; wait is by the millisecond.
	TakeOffline(ctx context.Context, path string, wait time.Duration) error
	// BringOnline is NSFBringDatabaseOnline.
	BringOnline(ctx context.Context, path string) error
	// Recover is NSFRecoverDatabases for all paths at once. For each extent that the recovery needs, in the order it needs them, put is called and must place it exactly at
	// the path it is given; its error ends the recovery. put may be nil unless the style is archive. Recovering consumes the backups.
	Recover(ctx context.Context, paths []string, flags RecoverFlags, until time.Time, put func(ctx context.Context, id UNID, number uint32, path string) error) (Recovered, error)

	// End is NotesTermThread.
	End() error
}

// What follows means nothing outside its thread.
type (
	// Handle is a DBHANDLE.
	Handle uint64
	// BackupContext is the context of NSFBackupStart.
	BackupContext uint64
	// ApplyContext is the context of NSFBackupStartApplyChangeInfo.
	ApplyContext uint64
)

// LogInfo is what the log knows of a database.
type LogInfo struct {
	// Logged says that changes of the database go into the transaction log.
	Logged bool
	// LogID names the series of the log, DBIID this life of the database in it. A backup can be rolled forward only while both stay.
	LogID, DBIID UNID
	// Extent is the number of the first extent that is needed to roll a backup forward that begins now.
	Extent uint32
}

// Extent is one file of the transaction log. LogID and Number are its identity; the name of its file is none.
type Extent struct {
	LogID  UNID
	Number uint32
	Path   string
}

// LogStyle is how the server keeps its log.
type LogStyle uint16

// The styles [REF NSFGetTransLogStyle].
const (
	LogCircular LogStyle = 0
	LogArchive  LogStyle = 1
	LogLinear   LogStyle = 2
)

// RecoverFlags are options of Recover [REF DBRECOVER_xxx].
type RecoverFlags uint32

const (
	RecoverZapID           RecoverFlags = 0x02 // a new DBIID: another database than the one it was taken of
	RecoverPointInTime     RecoverFlags = 0x08 // to the time given; a new DBIID
	RecoverZapReplicaID    RecoverFlags = 0x10 // also a new replica id, so that replication does not overwrite it
	RecoverAltRetrievePath RecoverFlags = 0x40 // extents are placed below TRANSLOG_RECOVER_PATH instead of the log directory
)

// Recovered is what Recover reports, also beside an error.
type Recovered struct {
	// Failed is the index in paths of the database at which it failed, -1 for none in particular.
	Failed int
	// Last is the time of the last transaction that was applied; zero when unknown.
	Last time.Time
}
