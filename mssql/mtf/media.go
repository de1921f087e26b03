package mtf

import (
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Container is how a file wraps its content.
type Container string

const (
	// Plain is Microsoft Tape Format, as BACKUP writes it without COMPRESSION and ENCRYPTION.
	Plain Container = "MTF"
	// Wrapped is the container MSSQLBAK, in which compressed and encrypted backups are written. Only a server reads what is in it.
	Wrapped Container = "MSSQLBAK"
)

// Depth is how far a file was checked, from weak to strong.
type Depth int

const (
	// Recognised: the file begins as one of its kind. No more can be said of a Wrapped one.
	Recognised Depth = iota
	// Walked: all blocks and streams follow each other to the exact end of the file, and the checksum of each header is right. The data may be anything.
	Walked
	// Summed: besides, every byte of pages and log was read and gives the checksum that the server wrote. It needs backups taken WITH CHECKSUM,
	// or without data, as an empty log is.
	Summed
)

// String is one word.
func (d Depth) String() string {
	switch d {
	case Recognised:
		return "recognised"
	case Walked:
		return "walked"
	case Summed:
		return "summed"
	}
	return fmt.Sprintf("Depth(%d)", int(d))
}

// Media is one backup file, which is one media family: all of a media set, or one stripe of it.
type Media struct {
	Container Container
	// ContainerVersion is 1 up to SQL Server 2012 and 2 later, for a Wrapped file; else 0.
	ContainerVersion int
	// Depth is how far the file was found good.
	Depth Depth
	// SizeBytes is the whole file; 0 when it was not read to its end because of an error.
	SizeBytes int64

	// SetID is common to all stripes of a media set.
	SetID GUID
	// FamilyID is this file's own number.
	FamilyID uint32
	// Family is which stripe this is, from 1 to Families.
	Family, Families int
	// Name and Description are MEDIANAME and MEDIADESCRIPTION.
	Name, Description string
	// Software is the name of the program that wrote the file, "Microsoft SQL Server".
	Software string
	// Written is when the media header was, in the server's local time, expressed as UTC since the header names no zone.
	Written time.Time
	// PasswordProtected: a media password was set. The content is not changed by it, but a server asks for it.
	PasswordProtected bool
	// FilemarkBytes is the size of a file mark: 512, or the sector size of the volume.
	FilemarkBytes int
	// Sets are the backups in the file, in order of Position.
	Sets []*Set
}

// Type is the letter by which SQL Server tells what a backup is of.
type Type string

const (
	// Database is a full backup.
	Database Type = "D"
	// Differential is what changed since the full backup named by DifferentialBaseGUID.
	Differential Type = "I"
	// Log is transaction log.
	Log Type = "L"
)

// Kind is the kind of link that a backup of this type is in a chain. It is empty for types not seen yet.
func (t Type) Kind() backup.Kind {
	switch t {
	case Database:
		return backup.Full
	case Differential:
		return backup.Differential
	case Log:
		return backup.Log
	}
	return ""
}

// Set is one backup in a file. A striped backup has a Set in each file, equal but for the data.
type Set struct {
	// Position is the number of the set in the file, from 1: FILE = n of a restore.
	Position int
	Type     Type
	// CopyOnly comes from a flag that is documented but was on in no genuine file at hand; ask RESTORE HEADERONLY where it matters.
	CopyOnly bool
	// GUID is the BackupSetGUID, by which differentials name their base. It is equal in all stripes.
	GUID GUID
	// Name and Description are those of WITH NAME and DESCRIPTION. User took the backup.
	Name, Description, User string

	Database string
	// Server is the instance, Machine the computer, Device the drive that was written to.
	Server, Machine, Device string
	// VersionMajor and VersionMinor are the server's: 10 and 50 for 2008 R2, 13 and 0 for 2016.
	VersionMajor, VersionMinor int
	// DatabaseVersion is the internal number: 661 for 2008 R2, 852 for 2016. A database restores to a server of its own or a later version.
	DatabaseVersion    int
	CompatibilityLevel int
	CodePage           int
	SortOrder          int
	LocaleID           uint32
	CompareStyle       uint32

	// DatabaseCreated, Started and Finished are the server's local time, to the second. They carry its zone when ZoneKnown, else they are expressed as UTC.
	// A zone is positive east of Greenwich and is the one at the time of the backup.
	DatabaseCreated, Started, Finished time.Time
	ZoneKnown                          bool

	// FirstLSN and LastLSN bound the log in the set: from FirstLSN up to, and without, LastLSN.
	FirstLSN, LastLSN LSN
	CheckpointLSN     LSN
	// DatabaseBackupLSN is the CheckpointLSN of the newest full backup when this one was taken, DatabaseBackupGUID its GUID; zero when there was none.
	DatabaseBackupLSN  LSN
	DatabaseBackupGUID GUID
	// DifferentialBaseLSN and DifferentialBaseGUID name the full backup that a differential needs; else they are zero.
	DifferentialBaseLSN  LSN
	DifferentialBaseGUID GUID
	// BindingID identifies the database and changes when it is restored; FamilyGUID stays for ever.
	BindingID, FamilyGUID GUID
	// RecoveryForkID is the branch of history at the end of the set. FirstRecoveryForkID is that at its start: the same, unless a fork lies in between, at
	// ForkPointLSN.
	RecoveryForkID, FirstRecoveryForkID GUID
	ForkPointLSN                        LSN

	// BackupSizeBytes is what the server says the backup takes, over all stripes.
	BackupSizeBytes int64
	FileGroups      []FileGroup
	Files           []File

	// PasswordProtected: the set has a password, which a server asks for.
	PasswordProtected bool
	// Encrypted and Compressed: streams of the set say so in their headers. What they hold is then not read.
	Encrypted, Compressed bool
	// Checksums: all data of the set in this file carries the checksums of WITH CHECKSUM. It is false for a set without data, such as an empty log.
	Checksums bool
	// PageBytes and LogBytes are the data of the set in this file, without headers.
	PageBytes, LogBytes int64
	// Offset is where in the file the set begins, in bytes.
	Offset int64
}

// Empty reports whether a log backup holds no log record, so that a chain is complete without it.
func (s *Set) Empty() bool { return s.Type == Log && s.FirstLSN == s.LastLSN }

// Version is the server's, "10.50".
func (s *Set) Version() string { return fmt.Sprintf("%d.%d", s.VersionMajor, s.VersionMinor) }

// FileGroup is a group of data files.
type FileGroup struct {
	ID   uint32
	Name string
}

// File is a file of the database when it was backed up.
type File struct {
	ID uint32
	// Group is the ID of its FileGroup, 0 for a log file.
	Group uint32
	// Logical is the name that MOVE takes, Physical the path on the server.
	Logical, Physical string
	SizeBytes         int64
	PageSizeBytes     int
	// Pages is how many of its pages the set holds, over all stripes.
	Pages int64
	// Log: it holds the transaction log.
	Log bool
}
