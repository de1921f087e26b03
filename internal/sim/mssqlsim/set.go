package mssqlsim

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// LSN is a log sequence number in the form of numeric(25,0): virtual log file, block and slot as decimal digits.
type LSN uint64

const (
	firstLSN   LSN = 36*1e15 + 128*1e5 + 1
	blockOfLSN LSN = 8 * 1e5 // how far one record moves the log on
)

// String gives the digits, as result sets hold them.
func (l LSN) String() string { return fmt.Sprint(uint64(l)) }

// Model is a recovery model as sys.databases spells it.
type Model string

// The recovery models.
const (
	Simple     Model = "SIMPLE"
	Full       Model = "FULL"
	BulkLogged Model = "BULK_LOGGED"
)

func (m Model) known() bool { return m == Simple || m == Full || m == BulkLogged }

// SetType is the BackupType of RESTORE HEADERONLY.
type SetType int

// The types of backup sets made here.
const (
	DatabaseSet     SetType = 1
	LogSet          SetType = 2
	DifferentialSet SetType = 5
)

func (t SetType) words() (description, letter string) {
	switch t {
	case LogSet:
		return "Transaction Log", "L"
	case DifferentialSet:
		return "Database Differential", "I"
	default:
		return "Database", "D"
	}
}

// Record is one change of a database: what a full backup holds as pages and a log backup as log.
type Record struct {
	LSN  LSN
	At   time.Time
	Text string
	// Mark is the name of the marked transaction that wrote it, if it was one.
	Mark string
	// Bulk: minimally logged, so that a log backup with it cannot be stopped inside.
	Bulk bool
}

// File is one file of a database.
type File struct {
	ID       int
	Logical  string
	Physical string
	Log      bool
	Bytes    int64
	// Group is the file group, "" for PRIMARY; logs have none. Stream is a container of FILESTREAM data, a folder, which sits in a group of its own.
	Group    string
	Stream   bool
	ReadOnly bool
}

// Set is a backup set: what its headers say, and what it holds.
type Set struct {
	ID                                   tds.GUID
	Type                                 SetType
	Name, Description                    string
	Database, Server, User               string
	Created, Start, Finish               time.Time // of the database, of the backup
	First, Last, Checkpoint, DatabaseLSN LSN
	Binding, FamilyGUID                  tds.GUID
	FirstFork, Fork                      tds.GUID
	ForkPoint                            LSN // 0 when both forks are one
	BaseLSN                              LSN // of a differential
	BaseID                               tds.GUID
	DatabaseID                           tds.GUID // of the full backup that DatabaseLSN is of
	Model                                Model
	CopyOnly, Checksum, Compressed       bool
	BeginsChain, Tail                    bool
	Version                              tds.Version
	Files                                []File
	Bytes                                int64 // of pages or log, over all devices
	Ballast                              int64 // of Bytes, pages that stand for data nobody looks at; see Instance.Fill
	Incomplete                           bool  // the device ends inside it, or before its end was written
	Records                              []Record

	// LogEnd is the moment up to which a restore can go, LastValidRestoreTime. The zero time means Finish.
	LogEnd time.Time
	// Expires is when INIT may overwrite the set, the zero time for at once.
	Expires time.Time
	// BulkLogged: the log has minimally logged changes. Damaged: the database was when it was backed up; IncompleteMetadata: so much that its metadata could not be read.
	BulkLogged, Damaged, IncompleteMetadata bool
	// KeyAlgorithm is that of an encrypted backup, EncryptorThumbprint names its certificate or key, TDEThumbprint the certificate of a database with transparent encryption.
	KeyAlgorithm, EncryptorType        string
	EncryptorThumbprint, TDEThumbprint []byte
	// CompressionAlgorithm is "" when the set is not compressed.
	CompressionAlgorithm string
	// TransferSize is what MAXTRANSFERSIZE was, 0 for the default.
	TransferSize                int
	ReadOnly, SingleUser        bool
	Broker, Captured, Published bool // what KEEP_CDC, KEEP_REPLICATION and the broker options are about
}

// end is the moment up to which a restore of the set can go.
func (s Set) end() time.Time {
	if s.LogEnd.IsZero() {
		return s.Finish
	}
	return s.LogEnd
}

func newGUID() tds.GUID {
	var g tds.GUID
	_, _ = rand.Read(g[:]) // never fails
	g[6], g[8] = g[6]&0x0F|0x40, g[8]&0x3F|0x80
	return g
}

// newFamilyID has four bytes that differ: a media header has no room for more.
func newFamilyID() tds.GUID {
	g := newGUID()
	clear(g[4:])
	return g
}
