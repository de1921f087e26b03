package dominosim

import "github.com/quiesce-go/quiesce/domino/notes"

// What the simulator answers. The values are Domino's; the names are those of the C API without ERR_.
const (
	StatusNoExist                  notes.Status = 0x0103
	StatusNotNSF                   notes.Status = 0x0201
	StatusValueFlags               notes.Status = 0x0208
	StatusNSFVersion               notes.Status = 0x0219
	StatusNotLocal                 notes.Status = 0x0220
	StatusTransLogMissingSegs      notes.Status = 0x0237
	StatusNSFCorrupt               notes.Status = 0x0238
	StatusNoAccess                 notes.Status = 0x0246
	StatusObjectTruncated          notes.Status = 0x024F
	StatusAlreadyLocked            notes.Status = 0x0266
	StatusNSFCorrupt2              notes.Status = 0x0286
	StatusCannotRecover            notes.Status = 0x0294
	StatusCompactMode              notes.Status = 0x02A6
	StatusTransLogNotArchived      notes.Status = 0x0EA1
	StatusBackupAlreadyInProgress  notes.Status = 0x0EA4
	StatusNotDoingBackup           notes.Status = 0x0EA5
	StatusInvalidChangeInfoContext notes.Status = 0x0EA6
	StatusCorruptChangeInfo        notes.Status = 0x0EA7
	StatusArchiveInProgress        notes.Status = 0x0EAE
	StatusCantBackupDuringCompact  notes.Status = 0x13AA
	StatusFixupDB                  notes.Status = 0x13C1
	StatusOnlyV5Databases          notes.Status = 0x13C7
	StatusNoSuchTransLog           notes.Status = 0x13DC
	StatusNoArchivedExtent         notes.Status = 0x13DD
	StatusNoTransLogsToArchive     notes.Status = 0x13DE
	StatusMQLogError               notes.Status = 0x13E3
	StatusScanInProgress           notes.Status = 0x13E8
	StatusLogSpaceCritical         notes.Status = 0x13E9
	StatusDBInUse                  notes.Status = 0x13EA
	StatusLateBackup               notes.Status = 0x13EB
	StatusOpenBackup               notes.Status = 0x13F3
	StatusDBIIDInUse               notes.Status = 0x13F4
	StatusDownLevel                notes.Status = 0x13F5
	StatusDBOffline                notes.Status = 0x13F9
	StatusRecoverNonbackup         notes.Status = 0x13FA
	StatusServerNotTransLogged     notes.Status = 0x13FF
	StatusBackupAborted            notes.Status = 0x3810
)
