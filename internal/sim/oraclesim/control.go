package oraclesim

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// noSCN is NEXT_CHANGE# of what has no end yet.
const noSCN = 1<<64 - 1

// control is what a control file says.
type control struct {
	DBID           uint32
	Name           string
	Type           string // CURRENT or BACKUP
	Version        uint64 // grows with each write
	LogMode        string
	Role           string
	CDB            bool
	SCN            uint64 // the last checkpoint
	MadeAt         time.Time
	Clean          bool   // closed in order
	OpenResetlogs  string // NOT ALLOWED, ALLOWED, REQUIRED
	RecoveredTo    uint64 // what the recovery that is to be followed by RESETLOGS reached
	Incarnations   []incarnation
	PDBs           []pdb
	Tablespaces    []*tablespace
	Files          []*dataFile
	Temps          []*tempFile
	Threads        []*thread
	Groups         []*logGroup
	Archived       []*archivedLog
	Pieces         []*piece
	Tracking       string // the block change tracking file
	Flashback      string // the flashback log
	LastRecid      int
	LastLogSwitch  time.Time
	ArchivedChange uint64
}

type incarnation struct {
	No          int
	SCN, Prior  uint64
	At          time.Time
	ResetlogsID uint32
	Status      string // CURRENT, PARENT, ORPHAN
	PriorNo     int
}

type pdb struct {
	ConID int
	Name  string
	Mode  string // READ WRITE, READ ONLY, MOUNTED
}

type tablespace struct {
	No       int
	Name     string
	ConID    int
	Contents string // PERMANENT, UNDO, TEMPORARY
	Status   string // ONLINE, OFFLINE, READ ONLY
	Bigfile  bool
}

type dataFile struct {
	No, TS, RFile, ConID int
	Name                 string
	Blocks, BlockSize    int
	Status               string // SYSTEM, ONLINE, OFFLINE, RECOVER
	Enabled              string // READ WRITE, READ ONLY, DISABLED
	Created              uint64
	CreatedAt            time.Time
	Checkpoint           uint64
	CheckpointAt         time.Time
	Begin                uint64 // of the backup mode it is in
	BeginAt              time.Time
}

type tempFile struct {
	No, TS, ConID int
	Name          string
	Blocks        int
}

type thread struct {
	No       int
	Enabled  string // PUBLIC
	Open     bool
	Sequence uint32
}

type logGroup struct {
	No, Thread  int
	Members     []string
	Sequence    uint32
	First, Next uint64
	FirstAt     time.Time
	NextAt      time.Time
	Archived    bool
	Status      string // UNUSED, CURRENT, ACTIVE, INACTIVE
	// used is what has been written, bytes of records. It is read from the file when the database is mounted.
	used []byte
}

type archivedLog struct {
	Recid, Dest, Thread int
	Name                string
	Sequence            uint32
	ResetlogsID         uint32
	ResetlogsSCN        uint64
	First, Next         uint64
	FirstAt, NextAt     time.Time
	Done                time.Time
	Blocks              int
	Deleted             bool
	Status              string // A, D, U, X
	Creator             string
	FRA                 bool
	Standby             bool
	Backups             int
}

func (c *control) incarnation() *incarnation {
	for i := range c.Incarnations {
		if c.Incarnations[i].Status == "CURRENT" {
			return &c.Incarnations[i]
		}
	}
	return &incarnation{}
}

func (c *control) file(no int) *dataFile {
	for _, f := range c.Files {
		if f.No == no {
			return f
		}
	}
	return nil
}

func (c *control) fileNamed(name string) *dataFile {
	for _, f := range c.Files {
		if f.Name == name || fmt.Sprint(f.No) == name {
			return f
		}
	}
	return nil
}

func (c *control) tablespace(no int) *tablespace {
	for _, t := range c.Tablespaces {
		if t.No == no {
			return t
		}
	}
	return &tablespace{}
}

// tablespaceNamed finds one in a container. Names of tablespaces are unique within theirs.
func (c *control) tablespaceNamed(name string, con int) *tablespace {
	for _, t := range c.Tablespaces {
		if strings.EqualFold(t.Name, name) && t.ConID == con {
			return t
		}
	}
	return nil
}

func (c *control) filesOf(ts int) (all []*dataFile) {
	for _, f := range c.Files {
		if f.TS == ts {
			all = append(all, f)
		}
	}
	return all
}

func (c *control) currentGroup(thread int) *logGroup {
	for _, g := range c.Groups {
		if g.Thread == thread && g.Status == "CURRENT" {
			return g
		}
	}
	return nil
}

// saveControl writes the control file to each of its paths.
func (i *Instance) saveControl() error {
	i.ctl.Version++
	for _, path := range i.params.list("control_files") {
		if err := i.writeControl(path, i.ctl); err != nil {
			return err
		}
	}
	return nil
}

func (i *Instance) writeControl(path string, c *control) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return os.WriteFile(path, controlImage(c, text), 0o640)
}

// readControl reads one that was written by writeControl.
func readControl(path string) (*control, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text, err := controlText(b)
	if err != nil {
		return nil, err
	}
	c := &control{}
	return c, json.Unmarshal(text, c)
}

// copyControl is a control file as a backup has it.
func (i *Instance) copyControl() (*control, error) {
	text, err := json.Marshal(i.ctl)
	if err != nil {
		return nil, err
	}
	c := &control{}
	if err := json.Unmarshal(text, c); err != nil {
		return nil, err
	}
	c.Type, c.OpenResetlogs, c.MadeAt = "BACKUP", "REQUIRED", i.config.Now()
	return c, nil
}

func (i *Instance) backupControl(path string, reuse bool) error {
	if err := creatable(path, reuse); err != nil {
		return stack(fault(1580, "error creating control backup file %s", path), asFault(err))
	}
	c, err := i.copyControl()
	if err != nil {
		return err
	}
	if err := i.writeControl(path, c); err != nil {
		return stack(fault(1580, "error creating control backup file %s", path), fault(27040, "file create error, unable to create file"))
	}
	return nil
}

// creatable says why a file cannot be made.
func creatable(path string, reuse bool) error {
	if !filepath.IsAbs(path) {
		return fault(27040, "file create error, unable to create file (oraclesim wants absolute paths)")
	}
	if _, err := os.Lstat(path); err == nil && !reuse {
		return fault(27038, "created file already exists")
	}
	if st, err := os.Stat(filepath.Dir(path)); err != nil || !st.IsDir() {
		return fault(27040, "file create error, unable to create file\nLinux-x86_64 Error: 2: No such file or directory")
	}
	return nil
}

// traceControl is the script of BACKUP CONTROLFILE TO TRACE.
func (i *Instance) traceControl() string {
	var b strings.Builder
	fmt.Fprintf(&b, "STARTUP NOMOUNT\nCREATE CONTROLFILE REUSE DATABASE \"%s\" RESETLOGS %s\n", i.ctl.Name, i.ctl.LogMode)
	b.WriteString("LOGFILE\n")
	for n, g := range i.ctl.Groups {
		fmt.Fprintf(&b, "  GROUP %d '%s' SIZE %dK BLOCKSIZE 512%s\n", g.No, g.Members[0], i.config.LogBlocks/2, comma(n, len(i.ctl.Groups)))
	}
	b.WriteString("DATAFILE\n")
	for n, f := range i.ctl.Files {
		fmt.Fprintf(&b, "  '%s'%s\n", f.Name, comma(n, len(i.ctl.Files)))
	}
	b.WriteString("CHARACTER SET AL32UTF8\n;\nRECOVER DATABASE USING BACKUP CONTROLFILE\nALTER DATABASE OPEN RESETLOGS;\n")
	for _, t := range i.ctl.Temps {
		fmt.Fprintf(&b, "ALTER TABLESPACE %s ADD TEMPFILE '%s' SIZE %d REUSE;\n", i.ctl.tablespace(t.TS).Name, t.Name, t.Blocks*i.config.BlockSizeBytes)
	}
	return b.String()
}

func comma(n, of int) string {
	if n+1 < of {
		return ","
	}
	return ""
}

// sortedThreads lists the numbers of the enabled threads.
func (c *control) sortedThreads() (all []int) {
	for _, t := range c.Threads {
		if t.Enabled != "DISABLED" {
			all = append(all, t.No)
		}
	}
	slices.Sort(all)
	return all
}
