package oraclesim

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// Config describes an instance and the database that [Create] makes.
type Config struct {
	// SID names the instance. Required.
	SID string
	// Name is the database's, at most eight characters. It defaults to SID.
	Name string
	// Dir is the folder that everything is below: home/dbs, oradata, arch, fra. Required.
	Dir string
	// Now is the clock of the server; its location is the server's zone. Required.
	Now func() time.Time
	// DBID defaults to a number made of Name.
	DBID uint32
	// Version is V$INSTANCE.VERSION_FULL, by default 19.3.0.0.0. Before 12.1 there are no containers, before 18 no VERSION_FULL.
	Version string
	// NoArchiveLog: the database keeps no redo.
	NoArchiveLog bool
	// NoSPFile: the parameters are in init<SID>.ora.
	NoSPFile bool
	// Threads is how many RAC instances write redo; 0 is 1.
	Threads int
	// PDBs makes the database a CDB with PDB$SEED and these.
	PDBs []string
	// Dropped is how many data files were dropped before: the control file goes on counting their records.
	Dropped int
	// Tablespaces are those beside SYSTEM, SYSAUX, UNDOTBS1 and TEMP. nil: USERS with one file.
	Tablespaces []Tablespace
	// ManagedFiles gives data files the names of Oracle Managed Files.
	ManagedFiles bool
	// ASM has V$DATAFILE and V$ARCHIVED_LOG name files as in a disk group: +DATA/... They are in Dir all the same; statements and SET NEWNAME take them by number.
	ASM bool
	// BlockSizeBytes of data files defaults to 8192.
	BlockSizeBytes int
	// Blocks is the length of data files whose tablespace says nothing, without block 0. It defaults to 24.
	Blocks int
	// LogBlocks is after how many blocks of 512 bytes a log is full. It defaults to 8192.
	LogBlocks int
	// ArchiveDests are the folders that logs are archived to, as LOG_ARCHIVE_DEST_1 and so on. nil: Dir/arch. "USE_DB_RECOVERY_FILE_DEST" is the recovery area, Dir/fra.
	ArchiveDests []string
	// ArchiveFormat is LOG_ARCHIVE_FORMAT, by default %t_%s_%r.dbf.
	ArchiveFormat string
	// Role is DATABASE_ROLE, by default PRIMARY.
	Role string
	// Users are those that may log in, beside SYS, whose password is "oracle".
	Users map[string]User
	// SessionMaxOpenFiles is the parameter of that name, by default 10.
	SessionMaxOpenFiles int
	// RecoveryEndsOnError: an error of RECOVER LOGFILE ends the recovery. Otherwise the log is asked for again.
	RecoveryEndsOnError bool
	// Seed chooses which blocks are written when.
	Seed uint64
	// Hook is called at each statement, without a lock. What it returns is the statement's error; see [Moment].
	Hook func(ctx context.Context, s Statement, m Moment) error
}

// Tablespace describes one to be created.
type Tablespace struct {
	Name string
	// Files is how many data files it has, 0 for 1; a bigfile tablespace has one.
	Files int
	// Blocks is the length of each, 0 for Config.Blocks.
	Blocks int
	// Bigfile, ReadOnly and Offline are its state once the database is made.
	Bigfile, ReadOnly, Offline bool
	// PDB is the container it is in, "" for the root.
	PDB string
}

// User is somebody who may log in.
type User struct {
	Password string
	// Administrative lists the privileges it may ask for: SYSDBA, SYSBACKUP.
	Administrative []string
	// Powerless: CREATE SESSION is all it may do; others have what a backup needs.
	Powerless bool
	// Without are rights of [Rights] that it lacks all the same. They do not matter in an administrative login.
	Without []string
	// Containers are those whose rows it sees in the root of a CDB, beside rows of the root and of the CDB as a whole: their names, or ALL. It is the CONTAINER_DATA of ALTER USER [SQL]. Administrative logins see all.
	Containers []string
}

// Rights are what a [User] has unless it is Powerless: system privileges, and EXECUTE on SYS.UTL_FILE, which a new database grants to PUBLIC.
func Rights() []string {
	return []string{alterDatabase, alterSystem, alterTablespace, createDirectory, dropDirectory, selectDictionary, executeUTLFile}
}

const (
	alterDatabase    = "ALTER DATABASE"
	alterSystem      = "ALTER SYSTEM"
	alterTablespace  = "ALTER TABLESPACE"
	createDirectory  = "CREATE ANY DIRECTORY"
	dropDirectory    = "DROP ANY DIRECTORY"
	selectDictionary = "SELECT ANY DICTIONARY"
	executeUTLFile   = "EXECUTE ON UTL_FILE"
)

// Moment is when a hook is called.
type Moment int

// The moments of a statement. Before: nothing has happened; an error is its answer. Inside: half of it has happened, called by those that have parts (BEGIN and END BACKUP between files, a log switch
// between switch and archiving, recovery between two changes). After: all has happened, an error is the answer instead of the true one.
const (
	Before Moment = iota
	Inside
	After
)

// Statement is one that a session ran.
type Statement struct {
	// Session numbers sessions from 1.
	Session int
	User    string
	// Program is "sql", "sqlplus" or "rman".
	Program string
	Text    string
	At      time.Time
	// Err is what it answered; nil in a hook.
	Err error
}

func (c Config) filled() (Config, error) {
	if c.SID == "" || c.Dir == "" || c.Now == nil {
		return c, fmt.Errorf("oraclesim: SID, Dir and Now are needed")
	}
	def(&c.Name, c.SID)
	def(&c.Version, "19.3.0.0.0")
	def(&c.ArchiveFormat, "%t_%s_%r.dbf")
	def(&c.Role, "PRIMARY")
	def(&c.Threads, 1)
	def(&c.BlockSizeBytes, 8192)
	def(&c.Blocks, 24)
	def(&c.LogBlocks, 8192)
	def(&c.SessionMaxOpenFiles, 10)
	if c.DBID == 0 {
		c.DBID = 1_000_000_000
		for _, b := range []byte(c.Name) {
			c.DBID += uint32(b)*7919 + c.DBID>>9
		}
	}
	if len(c.Name) > 8 || c.Blocks < 8 {
		return c, fmt.Errorf("oraclesim: a name has at most 8 characters, a data file at least 8 blocks")
	}
	if c.Tablespaces == nil {
		c.Tablespaces = []Tablespace{{Name: "USERS"}}
	}
	if c.ArchiveDests == nil {
		c.ArchiveDests = []string{filepath.Join(c.Dir, "arch")}
	}
	return c, nil
}

func def[T comparable](to *T, value T) {
	var zero T
	if *to == zero {
		*to = value
	}
}
