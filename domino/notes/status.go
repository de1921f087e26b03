package notes

import "fmt"

// Status is what a function of the C API answered: the code without the bits that say where it came from and whether it was shown [REF STATUS]. It is an error, compared by value with
// errors.Is; zero is never returned as one.
type Status uint16

// statusMask leaves of a status word what identifies it: 0x4000 says that it came from a remote machine, 0x8000 that it has been displayed [REF STATUS].
const statusMask = 0x3FFF

// ToStatus is the Status in a word that a function of the C API returned; zero when the function has succeeded.
func ToStatus(word uint16) Status { return Status(word & statusMask) }

// The codes a backup may meet; beside each, its name in the C API [REF], [JNA]. StatusNoNotesINI has none.
const (
	StatusNoExist                   Status = 0x0103 // ERR_NOEXIST
	StatusNoNotesINI                Status = 421    // NotesInitExtended found no notes.ini
	StatusNotNSF                    Status = 0x0201 // ERR_NOT_NSF
	StatusValueFlags                Status = 0x0208 // ERR_VALUE_FLAGS
	StatusNSFVersion                Status = 0x0219 // ERR_NSF_VERSION
	StatusNotLocal                  Status = 0x0220 // ERR_NOT_LOCAL
	StatusTransLogMissingSegs       Status = 0x0237 // ERR_TRANSLOG_MISSING_SEGS
	StatusNSFCorrupt                Status = 0x0238 // ERR_NSF_CORRUPT
	StatusNoAccess                  Status = 0x0246 // ERR_NOACCESS
	StatusObjectTruncated           Status = 0x024F // ERR_OBJECT_TRUNCATED
	StatusAlreadyLocked             Status = 0x0266 // ERR_ALREADY_LOCKED
	StatusNSFCorrupt2               Status = 0x0286 // ERR_NSF_CORRUPT2
	StatusRMCannotRecover           Status = 0x0294 // ERR_RM_CANNOT_RECOVER
	StatusCompactMode               Status = 0x02A6 // ERR_COMPACT_MODE
	StatusTransLogNotArchived       Status = 0x0EA1 // ERR_TRANSLOG_NOT_ARCHIVED
	StatusRMNewDBIID                Status = 0x0EA2 // ERR_RM_NEW_DBIID
	StatusBackupAlreadyInProgress   Status = 0x0EA4 // ERR_BACKUP_ALREADY_IN_PROGRESS
	StatusNotDoingBackup            Status = 0x0EA5 // ERR_NOT_DOING_BACKUP
	StatusInvalidChangeInfoContext  Status = 0x0EA6 // ERR_INVALID_CHANGE_INFO_CONTEXT
	StatusCorruptChangeInfo         Status = 0x0EA7 // ERR_CORRUPT_CHANGE_INFO
	StatusRMDupDBIID                Status = 0x0EA9 // ERR_RM_DUP_DBIID
	StatusTransLogArchiveInProgress Status = 0x0EAE // ERR_TRANSLOG_ARCHIVE_IN_PROGRESS
	StatusNSFCantBackup             Status = 0x13A9 // ERR_NSF_CANT_BACKUP
	StatusCantBackupDuringCompact   Status = 0x13AA // ERR_CANT_BACKUP_DURING_COMPACT
	StatusRMFixupDB                 Status = 0x13C1 // ERR_RM_FIXUP_DB
	StatusRMGeneralFailure          Status = 0x13C5 // ERR_RM_GENERAL_FAILURE
	StatusOnlyV5Databases           Status = 0x13C7 // ERR_ONLY_V5_DATABASES
	StatusNoSuchTransLog            Status = 0x13DC // ERR_NO_SUCH_TRANSLOG
	StatusNoArchivedExtent          Status = 0x13DD // ERR_NO_ARCHIVED_EXTENT
	StatusNoTransLogsToArchive      Status = 0x13DE // ERR_NO_TRANSLOGS_TO_ARCHIVE
	StatusRMMQLogError              Status = 0x13E3 // ERR_RM_MQ_LOG_ERROR
	StatusRMScanInProgress          Status = 0x13E8 // ERR_RM_SCAN_IN_PROGRESS
	StatusRMLogSpaceCritical        Status = 0x13E9 // ERR_RM_LOG_SPACE_CRITICAL
	StatusDBInUse                   Status = 0x13EA // ERR_DBINUSE
	StatusRMLateBackup              Status = 0x13EB // ERR_RM_LATE_BACKUP
	StatusRMOpenBackup              Status = 0x13F3 // ERR_RM_OPEN_BACKUP
	StatusRMDBIIDInUse              Status = 0x13F4 // ERR_RM_DBIID_IN_USE
	StatusRMDownLevel               Status = 0x13F5 // ERR_RM_DOWN_LEVEL
	StatusDBOffline                 Status = 0x13F9 // ERR_DBOFFLINE
	StatusRMRecoverNonbackup        Status = 0x13FA // ERR_RM_RECOVER_NONBACKUP
	StatusServerNotTransLogged      Status = 0x13FF // ERR_SERVER_NOT_TRANSLOGGED
	StatusBackupAborted2            Status = 0x2DD8 // ERR_BACKUP_ABORTED2
	StatusBackupAborted             Status = 0x3810 // ERR_BACKUP_ABORTED
)

// Error reads "database is offline (ERR_DBOFFLINE, 0x13F9)"; of a code that is not known here, its number.
func (s Status) Error() string {
	k, known := statuses[s]
	switch {
	case !known:
		return fmt.Sprintf("Notes status 0x%04X", uint16(s))
	case k.name == "":
		return fmt.Sprintf("%s (status %d)", k.text, uint16(s))
	}
	return fmt.Sprintf("%s (%s, 0x%04X)", k.text, k.name, uint16(s))
}

// Name is what the C API calls the code, "ERR_NOEXIST", or "" when it is not known here.
func (s Status) Name() string { return statuses[s].name }

// Text says in our words what the code means, or is empty.
func (s Status) Text() string { return statuses[s].text }

// Hint says what an operator can do about it, or is empty.
func (s Status) Hint() string { return statuses[s].hint }

// CallError is a call that was answered with a status.
type CallError struct {
	Call   string // the function of the C API, like NSFDbOpen
	Status Status
	Detail string // Domino's own text of the status, in its language; may be empty
}

// Error reads `NSFDbOpen: file does not exist (ERR_NOEXIST, 0x0103): "File does not exist"`.
func (e *CallError) Error() string {
	s := e.Call + ": " + e.Status.Error()
	if e.Detail != "" {
		s += fmt.Sprintf(": %q", e.Detail)
	}
	return s
}

// Unwrap returns the Status.
func (e *CallError) Unwrap() error { return e.Status }

// known is what is known of a code: its name, what it means, and what to do.
type known struct{ name, text, hint string }

const (
	damaged    = "run fixup on the database, then back it up in full"
	compacting = "wait until compact has ended and run the backup again"
	spoilt     = "the files being recovered are unusable now: fetch the backup again, with all log extents it needs"
	unarchived = "set TRANSLOG_Style=1 in notes.ini and restart the server, or take full backups only"
)

var statuses = map[Status]known{
	StatusNoExist:    {"ERR_NOEXIST", "file does not exist", "check the path; it is absolute or relative to the data directory"},
	StatusNoNotesINI: {"", "notes.ini was not found", "name the server's notes.ini by its full path, readable for the account of the server"},
	StatusNotNSF:     {"ERR_NOT_NSF", "file is not a database", "exclude the file, or restore it if it was a database"},
	StatusValueFlags: {"ERR_VALUE_FLAGS", "invalid parameter", ""},
	StatusNSFVersion: {"ERR_NSF_VERSION", "database has a version that this Domino does not know", "use the program directory of the server that owns the database"},
	StatusNotLocal:   {"ERR_NOT_LOCAL", "database is not on this machine", "run the agent on the machine of the Domino server"},
	StatusTransLogMissingSegs: {"ERR_TRANSLOG_MISSING_SEGS", "a log extent is missing or damaged",
		"restore to a time before the missing extent, or take a full backup to begin anew"},
	StatusNSFCorrupt:          {"ERR_NSF_CORRUPT", "database is damaged", damaged},
	StatusNoAccess:            {"ERR_NOACCESS", "not authorised", "run the agent under the account and with the ID of the Domino server"},
	StatusObjectTruncated:     {"ERR_OBJECT_TRUNCATED", "database is damaged: an object is truncated", damaged},
	StatusAlreadyLocked:       {"ERR_ALREADY_LOCKED", "database is being replicated or copied", "run the backup again later"},
	StatusNSFCorrupt2:         {"ERR_NSF_CORRUPT2", "database is damaged", damaged},
	StatusRMCannotRecover:     {"ERR_RM_CANNOT_RECOVER", "recovery is impossible", "restore an earlier backup"},
	StatusCompactMode:         {"ERR_COMPACT_MODE", "database is being compacted", compacting},
	StatusTransLogNotArchived: {"ERR_TRANSLOG_NOT_ARCHIVED", "the transaction log is not of the archive style", unarchived},
	StatusRMNewDBIID:          {"ERR_RM_NEW_DBIID", "database got a new DBIID", "take a full backup of it"},
	StatusBackupAlreadyInProgress: {"ERR_BACKUP_ALREADY_IN_PROGRESS", "another backup holds the database, or one that died has left it so",
		"end the other backup; when there is none, restart the server to release the database"},
	StatusNotDoingBackup:            {"ERR_NOT_DOING_BACKUP", "no backup of the database is under way", ""},
	StatusInvalidChangeInfoContext:  {"ERR_INVALID_CHANGE_INFO_CONTEXT", "no change information is being applied under this context", ""},
	StatusCorruptChangeInfo:         {"ERR_CORRUPT_CHANGE_INFO", "change information is damaged or of another file", "fetch the backup again, or restore another one"},
	StatusRMDupDBIID:                {"ERR_RM_DUP_DBIID", "another database has the same DBIID", "restore as another database, with a new DBIID"},
	StatusTransLogArchiveInProgress: {"ERR_TRANSLOG_ARCHIVE_IN_PROGRESS", "another process is archiving the transaction log", "leave the archiving of logs to one program"},
	StatusNSFCantBackup:             {"ERR_NSF_CANT_BACKUP", "a page that changed during the backup could not be recorded", "look for a full disk, then back the database up again"},
	StatusCantBackupDuringCompact:   {"ERR_CANT_BACKUP_DURING_COMPACT", "database is being compacted in place", compacting},
	StatusRMFixupDB: {"ERR_RM_FIXUP_DB", "database is damaged, or a backup of another system or of a log that was formatted anew",
		"restore the database without rolling it forward, or run fixup"},
	StatusRMGeneralFailure:     {"ERR_RM_GENERAL_FAILURE", "recovery manager failed", "see the server's console; transaction logging may be off"},
	StatusOnlyV5Databases:      {"ERR_ONLY_V5_DATABASES", "database has a format before release 5 or is not logged", "compact the database into a newer format"},
	StatusNoSuchTransLog:       {"ERR_NO_SUCH_TRANSLOG", "log extent is not among those to be archived", ""},
	StatusNoArchivedExtent:     {"ERR_NO_ARCHIVED_EXTENT", "log extent has not been archived", ""},
	StatusNoTransLogsToArchive: {"ERR_NO_TRANSLOGS_TO_ARCHIVE", "no full log extent is waiting", ""},
	StatusRMMQLogError:         {"ERR_RM_MQ_LOG_ERROR", "log extents that the recovery needs could not be fetched", spoilt},
	StatusRMScanInProgress:     {"ERR_RM_SCAN_IN_PROGRESS", "another recovery is under way", "run it again when the other has ended; the backups are unharmed"},
	StatusRMLogSpaceCritical:   {"ERR_RM_LOG_SPACE_CRITICAL", "the circular log was filling up, the recovery was ended", spoilt},
	StatusDBInUse:              {"ERR_DBINUSE", "database is in use", "end its sessions with the console command drop, or wait, and run it again"},
	StatusRMLateBackup:         {"ERR_RM_LATE_BACKUP", "backup is later than the wanted time", "restore an earlier backup; this one is unharmed"},
	StatusRMOpenBackup:         {"ERR_RM_OPEN_BACKUP", "a backup must be recovered before it is opened", "restore it, or run fixup on it"},
	StatusRMDBIIDInUse:         {"ERR_RM_DBIID_IN_USE", "a database with this DBIID is active", "take the original offline, or restore as another database, with a new DBIID"},
	StatusRMDownLevel:          {"ERR_RM_DOWN_LEVEL", "file is not the latest copy of the database", "restore the newer one, or with a new DBIID"},
	StatusDBOffline:            {"ERR_DBOFFLINE", "database is offline", "bring it online: a restore may be under way or have died"},
	StatusRMRecoverNonbackup:   {"ERR_RM_RECOVER_NONBACKUP", "file is not, or no longer, a backup that can be recovered", "recovering or opening consumes a backup: fetch it again"},
	StatusServerNotTransLogged: {"ERR_SERVER_NOT_TRANSLOGGED", "transaction logging is off", "turn it on in the server document, or take full backups only"},
	StatusBackupAborted2:       {"ERR_BACKUP_ABORTED2", "backup took too long and was ended", "run it again when there is less load"},
	StatusBackupAborted:        {"ERR_BACKUP_ABORTED", "backup took too long and was ended", "run it again when there is less load"},
}
