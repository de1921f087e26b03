package esebcli

import "context"

// BackupType is what a backup of an instance takes [SDK03].
type BackupType uint32

const (
	// Full is databases with the logs that they need.
	Full BackupType = 1
	// LogsOnly is logs only. It needs an earlier full of every database of the instance by the same API.
	LogsOnly BackupType = 2
	// FullWithAllLogs is databases with all logs.
	FullWithAllLogs BackupType = 3
)

// The services that register with the library, by their annotation [SDK03].
const (
	InformationStore       = "Microsoft Information Store"
	SiteReplicationService = "Microsoft Site Replication Service"
	KeyManagementService   = "Microsoft Key Management Service"
)

// CompleteFlags say how a restore ends [SDK03].
type CompleteFlags uint32

const (
	// CompleteAttach mounts the databases after recovery.
	CompleteAttach CompleteFlags = 0x00000001
	// CompleteNoWait returns at once and recovers in the background.
	CompleteNoWait CompleteFlags = 0x00010000
	// CompleteKeepLogs keeps the restored logs after recovery.
	CompleteKeepLogs CompleteFlags = 0x00020000
)

// Instance is a storage group: databases with one series of logs.
type Instance struct {
	ID        int64
	Name      string
	Databases []Database
}

// Database is one database of an instance.
type Database struct {
	Name string
	GUID GUID
	// Streams are the paths of its files as the server sees them: the .edb and, up to Exchange 2003, the .stm.
	Streams []string
	// Mounted: only such a database can be backed up (fDatabaseFlags 0x10 [ESE]).
	Mounted bool
}

// Environment is what the engine keeps of a restore in restore.env.
type Environment struct {
	// RestoreLogPath is where the logs must be put.
	RestoreLogPath string
	SourceInstance string
	TargetInstance string
	// First and Last are the generations of the logs of the backup.
	First, Last uint32
	// LogBase is the base name of the logs: "E00".
	LogBase string
}

// API begins sessions with the library. Calls cannot be cancelled: when ctx has ended before a call nothing is asked, and a call that was made is waited for. A failure of the library is an HRESULT in the tree of the error.
type API interface {
	// Prepare is HrESEBackupPrepare for a server, empty for this machine, and an annotation. A session backs one instance up at a time; instances side by side need a session each.
	Prepare(ctx context.Context, server, annotation string) (Session, []Instance, error)
	// RestoreOpen is HrESERestoreOpen. source is the name of the instance that was backed up; logPath may be empty, then the engine chooses.
	RestoreOpen(ctx context.Context, server, annotation, source, logPath string) (Restore, error)
	// RestoreReopen is HrESERestoreReopen on the path of an environment that SaveEnvironment wrote.
	RestoreReopen(ctx context.Context, server, annotation, logPath string) (Restore, error)
}

// Session is a backup: an HCCX. Its methods are called one at a time.
type Session interface {
	// Setup is HrESEBackupSetup. Until EndInstance no database of the instance can be mounted or dismounted.
	Setup(ctx context.Context, instance int64, t BackupType) error
	// OpenFile is HrESEBackupOpenFile for a stream of a database or a log, with a hint of how much will be read at once, and returns the size of what will be read.
	OpenFile(ctx context.Context, path string, readHint uint32) (File, int64, error)
	// LogFiles is HrESEBackupGetLogAndPatchFiles. After it no database can be opened.
	LogFiles(ctx context.Context) ([]string, error)
	// TruncateLogFiles is HrESEBackupGetTruncateLogFiles: which logs TruncateLogs would delete.
	TruncateLogFiles(ctx context.Context) ([]string, error)
	// TruncateLogs is HrESEBackupTruncateLogs.
	TruncateLogs(ctx context.Context) error
	// EndInstance is HrESEBackupInstanceEnd.
	EndInstance(ctx context.Context, success bool) error
	// End is HrESEBackupEnd, which ends an instance that is still in backup as failed, and frees what Prepare returned. The session is over, whatever it returns.
	End(ctx context.Context) error
}

// File is open in a backup.
type File interface {
	// Read is HrESEBackupReadFile. Short reads are normal; at the end it returns 0 and io.EOF.
	Read(ctx context.Context, p []byte) (int, error)
	// Close is HrESEBackupCloseFile.
	Close(ctx context.Context) error
}

// Restore is a restore: an HCCX. Its methods are called one at a time.
type Restore interface {
	// Environment is HrESERestoreGetEnvironment.
	Environment(ctx context.Context) (Environment, error)
	// AddDatabase is HrESERestoreAddDatabase: the server decides where its streams go, and tells.
	AddDatabase(ctx context.Context, name string, id GUID, streams []string) ([]string, error)
	// AddDatabaseTo is HrESERestoreAddDatabaseNS: the caller decides.
	AddDatabaseTo(ctx context.Context, name string, id GUID, streams, destinations []string) error
	// OpenFile is HrESERestoreOpenFile, which must be called for every file of the set. AtFileLevel true, the normal answer, means that the caller writes the file itself, with ordinary calls, and there is no RestoreFile.
	OpenFile(ctx context.Context, path string) (f RestoreFile, atFileLevel bool, err error)
	// SaveEnvironment is HrESERestoreSaveEnvironment.
	SaveEnvironment(ctx context.Context) error
	// Complete is HrESERestoreComplete: recovery with the restored logs, and with target set, the name of an instance, with the logs that this still has.
	Complete(ctx context.Context, checkpointPath, logPath, target string, flags CompleteFlags) error
	// Close is HrESERestoreClose. The session is over, whatever it returns.
	Close(ctx context.Context, abort bool) error
}

// RestoreFile is a file that the library writes.
type RestoreFile interface {
	// Write is HrESERestoreWriteFile.
	Write(ctx context.Context, p []byte) (int, error)
	// Close is HrESERestoreCloseFile.
	Close(ctx context.Context) error
}
