package oracle

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Mode says how the bytes of the database's files reach this process.
type Mode string

const (
	// ModeLocal reads the files under the names that the server gives them: this process runs on the server's machine, under an account that may read them.
	ModeLocal Mode = "local"
	// ModeRemote reads them over the database connection, so that nothing of ours has to run on the server's machine.
	ModeRemote Mode = "remote"
	// ModeRMAN has RMAN, the program, back the database up, files in ASM too: this process runs on the server's machine, where the pieces are made.
	ModeRMAN Mode = "rman"
)

// RMANFormat is what the data files of a full become in ModeRMAN.
type RMANFormat string

const (
	// RMANBackupSet has RMAN make backup pieces, which leave out blocks that were never used.
	RMANBackupSet RMANFormat = formatSet
	// RMANCopy has it make image copies, which are checked block by block as data files are.
	RMANCopy RMANFormat = formatCopy
)

// Options adjusts a Source. StateDir is required; ScratchDir is too in ModeRemote.
type Options struct {
	// Instance is the name the database goes by in manifests and messages. Default: host, port and service of the DSN.
	Instance string
	// Mode says how files are read. Default ModeLocal.
	Mode Mode
	// StateDir is a directory of this machine in which a run notes, before it puts anything into backup mode, what it is about to do. The next run finds there what a dead one left, so the directory
	// must survive the process and a restart of the machine, and move with the job when that moves to another machine. It is created when it is not there.
	StateDir string
	// ScratchDir is a folder of the server's machine into which the server writes copies of its control file and parameters, each replaced by the next run, and out of which this process reads
	// them. In ModeLocal it is the job's stage unless it is set here. So in ModeRMAN, where RMAN writes its pieces there too.
	ScratchDir string
	// Include limits the backup to tablespaces whose name one of these patterns matches; none means all. In a pattern, * stands for any text and ? for one character; case is ignored. A pattern
	// without wildcards must find its tablespace. SYSTEM and undo are never left out.
	Include []string
	// Exclude leaves out what one of these patterns matches; it wins over Include.
	Exclude []string
	// WholeDatabase puts all data files into backup mode at once. By default one tablespace after the other is, which makes less redo. A multitenant database is always
	// taken at once.
	WholeDatabase bool
	// Files is how many data files are copied at a time, and how many channels RMAN has, 1 to 32. Default 2.
	Files int
	// Connections is how many sessions read files in ModeRemote, 1 to 32. They share the files that are being read. Default 4.
	Connections int
	// ChunkSize is how many bytes one call reads in ModeRemote, 64 KiB to 16 MiB; twice as many chunks as Connections lie in memory for each of Files. Default 1 MiB.
	ChunkSize int
	// Directories is how the names of DIRECTORY objects begin that ModeRemote creates and drops. Default QUIESCE.
	Directories string
	// ArchiveWait bounds the wait for logs to be archived after a switch. Default 10 minutes.
	ArchiveWait time.Duration
	// ConnectTimeout bounds a login. Default 1 minute.
	ConnectTimeout time.Duration
	// KeepDoubtful keeps a copy, with a warning, when its blocks or its header are not what package blockfile takes for right. By default the run fails then: the file is damaged on the server, or
	// was not in backup mode while it was copied.
	KeepDoubtful bool
	// PurgeArchived removes archived logs from the server's machine once they are in a log backup whose manifest is durable, and the server knows each at all of RequiredDestinations. The files are
	// removed; the control file goes on listing them until RMAN's CROSSCHECK. In ModeRMAN it is RMAN that deletes them, and its deletion policy may keep some.
	PurgeArchived bool
	// RequiredDestinations are the DEST_IDs of V$ARCHIVE_DEST that must have a log before PurgeArchived may remove it. Default: each whose STATUS is VALID.
	RequiredDestinations []int
	// SQLPlus is the program that restores with execute=sqlplus run, on this machine, with ORACLE_HOME and ORACLE_SID in the environment of this process. Default sqlplus, found in PATH.
	SQLPlus string
	// Auxiliary is the ORACLE_SID of an instance of this machine that rehearsals may start and end: of no database, up to 12 letters and digits, the first a letter. It needs no parameter file and no password file. None: rehearsals ask RMAN what the
	// backups are good for, see Rehearse.
	Auxiliary string
	// AuxiliaryHome is the ORACLE_HOME of Auxiliary, of the version of the database. Default: that in the environment of this process. SQLPlus and RMAN without a folder are then those of its folder bin.
	AuxiliaryHome string
	// RMAN is the program of that name, on this machine, with ORACLE_HOME and ORACLE_SID in the environment of this process. Default rman, found in PATH.
	RMAN string
	// RMANConnect is what follows CONNECT TARGET, such as user/password@service AS SYSBACKUP. It is a secret, and reaches RMAN on its standard input only. Default /, the administrator of the operating system.
	RMANConnect string
	// RMANFormat is what data files become in a full. Default RMANBackupSet. A differential and logs are always in backup sets.
	RMANFormat RMANFormat
	// RMANCompressed compresses backup sets, by the algorithm that RMAN is configured for. What the pipeline compresses is then compressed twice.
	RMANCompressed bool
}

const (
	maxParallel    = 32
	minChunk       = 64 << 10
	maxChunk       = 16 << 20
	maxPrefix      = 7 // of a DIRECTORY object: two hashes and this make the 30 bytes that all versions take
	defaultPrefix  = "QUIESCE"
	maxDestination = 31 // [REF] V$ARCHIVE_DEST
)

// validate reports everything that is wrong at once.
func (o Options) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(!slices.Contains([]Mode{"", ModeLocal, ModeRemote, ModeRMAN}, o.Mode), "mode %q: want %s, %s or %s", o.Mode, ModeLocal, ModeRemote, ModeRMAN)
	bad(o.StateDir == "", "state dir: want a directory that survives this process, for the note of what is in backup mode")
	bad(o.StateDir != "" && !filepath.IsAbs(o.StateDir), "state dir %q: want an absolute path", o.StateDir)
	bad(o.Mode == ModeRemote && o.ScratchDir == "", "scratch dir: in remote mode, want a folder of the server's machine that the server may write to")
	bad(strings.ContainsAny(o.ScratchDir, "\r\n\x00"), "scratch dir %q: want no line break", o.ScratchDir)
	bad(o.Files < 0 || o.Files > maxParallel, "files %d: want 1 to %d at a time", o.Files, maxParallel)
	bad(o.Connections < 0 || o.Connections > maxParallel, "connections %d: want 1 to %d", o.Connections, maxParallel)
	bad(o.ChunkSize != 0 && (o.ChunkSize < minChunk || o.ChunkSize > maxChunk), "chunk size %d: want %d to %d bytes", o.ChunkSize, minChunk, maxChunk)
	bad(o.Directories != "" && !regexp.MustCompile(`^[A-Z][A-Z0-9]*$`).MatchString(o.Directories) || len(o.Directories) > maxPrefix,
		"directories %q: want up to %d capital letters and digits", o.Directories, maxPrefix)
	bad(o.ArchiveWait < 0 || o.ConnectTimeout < 0, "archive wait and connect timeout: want no negative time")
	bad(len(o.RequiredDestinations) > 0 && !o.PurgeArchived, "required destinations: they are for purging, which is off")
	for _, d := range o.RequiredDestinations {
		bad(d < 1 || d > maxDestination, "required destination %d: want 1 to %d", d, maxDestination)
	}
	bad(o.Auxiliary != "" && !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,11}$`).MatchString(o.Auxiliary), "auxiliary %q: want up to 12 letters and digits, the first a letter", o.Auxiliary)
	bad(o.AuxiliaryHome != "" && (o.Auxiliary == "" || !filepath.IsAbs(o.AuxiliaryHome)), "auxiliary home %q: want an absolute path, with auxiliary", o.AuxiliaryHome)
	errs = append(errs, o.validateRMAN())
	return errors.Join(errs...)
}

func (o Options) validateRMAN() error {
	var errs []error
	if o.RMANFormat != "" && o.RMANFormat != RMANBackupSet && o.RMANFormat != RMANCopy {
		errs = append(errs, fmt.Errorf("rman format %q: want %s or %s", o.RMANFormat, RMANBackupSet, RMANCopy))
	}
	if o.Mode != ModeRMAN && (o.RMANFormat != "" || o.RMANCompressed) {
		errs = append(errs, errors.New("rman format and rman compressed: they are for mode rman"))
	}
	if strings.ContainsAny(o.RMANConnect, "\"\r\n\x00") {
		errs = append(errs, errors.New("rman connect: want no double quote and no line break")) // it is a secret
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	set := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	if o.Mode == "" {
		o.Mode = ModeLocal
	}
	set(&o.Files, 2)
	set(&o.Connections, 4)
	set(&o.ChunkSize, 1<<20)
	if o.Directories == "" {
		o.Directories = defaultPrefix
	}
	if o.SQLPlus == "" {
		o.SQLPlus = "sqlplus"
	}
	if o.RMAN == "" {
		o.RMAN = "rman"
	}
	if o.RMANConnect == "" {
		o.RMANConnect = "/"
	}
	if o.RMANFormat == "" {
		o.RMANFormat = RMANBackupSet
	}
	if o.ArchiveWait == 0 {
		o.ArchiveWait = 10 * time.Minute
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = time.Minute
	}
	return o
}
