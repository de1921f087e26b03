package oraclesim

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is how far an instance is started.
type State string

// The states of an instance.
const (
	Down    State = "SHUTDOWN"
	Started State = "STARTED"
	Mounted State = "MOUNTED"
	Open    State = "OPEN"
)

// Instance is an instance of Oracle Database, with all threads of a RAC in one. It is safe for use by several goroutines.
type Instance struct {
	config Config
	host   *Host // nil: a machine of its own

	mu          sync.Mutex
	state       State
	readOnly    bool // OPEN READ ONLY
	epoch       int  // grows when the instance dies: what belonged to it is void
	params      parameters
	spfile      string // in use, "" for a PFILE
	ctl         *control
	scn         uint64
	cache       map[int]map[uint32]*block // of open files, what is in memory
	dirty       map[int]map[uint32]bool
	inflight    map[int]map[uint32]bool // half written
	imaged      map[int]map[uint32]bool // whole in redo since BEGIN BACKUP
	unflushed   map[int]bool            // groups
	unsettled   bool                    // files were written whole inside a log switch
	random      *rand.Rand
	fraFull     bool
	directories map[string]string
	recovery    *recovery
	sessions    map[int]*session
	lastSession int
	seen        []Statement
	destStates  map[int]*archiveDest
	dbid        uint32 // SET DBID of RMAN
	units       uint64 // names that %U made
	corrupt     []row  // what VALIDATE found
}

// Create makes a database below Config.Dir and returns its instance, open.
func Create(c Config) (*Instance, error) {
	i, err := newInstance(c)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := i.create(); err != nil {
		return nil, fmt.Errorf("oraclesim: create database %s: %w", i.config.Name, err)
	}
	return i, nil
}

// Attach returns an idle instance over a folder, where STARTUP finds what is there.
func Attach(c Config) (*Instance, error) {
	i, err := newInstance(c)
	if err != nil {
		return nil, err
	}
	return i, os.MkdirAll(i.home(), 0o750)
}

func newInstance(c Config) (*Instance, error) {
	c, err := c.filled()
	if err != nil {
		return nil, err
	}
	i := &Instance{config: c, random: rand.New(rand.NewPCG(c.Seed, 1)), directories: map[string]string{}, sessions: map[int]*session{}}
	i.idle()
	return i, nil
}

// idle forgets what an instance has in memory.
func (i *Instance) idle() {
	i.host.release(i)
	i.state, i.readOnly, i.ctl, i.recovery = Down, false, nil, nil
	i.params, i.spfile, i.corrupt = nil, "", nil
	i.destStates = map[int]*archiveDest{}
	i.forget()
}

// forget drops the buffer cache.
func (i *Instance) forget() {
	i.cache, i.dirty, i.inflight, i.imaged = map[int]map[uint32]*block{}, map[int]map[uint32]bool{}, map[int]map[uint32]bool{}, map[int]map[uint32]bool{}
	i.unflushed = map[int]bool{}
}

func (i *Instance) home() string { return filepath.Join(i.config.Dir, "home", "dbs") }

func (i *Instance) oradata(more ...string) string {
	return filepath.Join(append([]string{i.config.Dir, "oradata", i.config.Name}, more...)...)
}

// State returns how far the instance is started.
func (i *Instance) State() State {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.state
}

// SCN returns the number of the last change.
func (i *Instance) SCN() uint64 {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.scn
}

// Home is the folder of the parameter and password files.
func (i *Instance) Home() string { return i.home() }

// Statements returns what sessions ran, oldest first.
func (i *Instance) Statements() []Statement {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.seen)
}

// Sessions returns how many are open.
func (i *Instance) Sessions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.sessions)
}

// InBackupMode returns the numbers of the data files that are.
func (i *Instance) InBackupMode() (files []int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ctl == nil {
		return nil
	}
	for _, f := range i.ctl.Files {
		if f.Begin != 0 {
			files = append(files, f.No)
		}
	}
	return files
}

// File is a data file.
type File struct {
	No         int
	Path       string
	Tablespace string
	SizeBytes  int64
}

// Files returns the data files that the control file knows.
func (i *Instance) Files() (all []File) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.ctl == nil {
		return nil
	}
	for _, f := range i.ctl.Files {
		all = append(all, File{No: f.No, Path: f.Name, Tablespace: i.ctl.tablespace(f.TS).Name, SizeBytes: int64(f.Blocks+1) * int64(f.BlockSize)})
	}
	return all
}

// FillRecoveryArea makes the archiver find no room, or find it again.
func (i *Instance) FillRecoveryArea(full bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fraFull = full
}

func (i *Instance) archiverStuck() bool { return i.fraFull && i.ctl.LogMode == "ARCHIVELOG" }

// create makes the files of a new database and opens it.
func (i *Instance) create() error {
	c := i.config
	dirs := []string{i.home(), i.oradata(), filepath.Join(c.Dir, "fra"), filepath.Join(c.Dir, "diag")}
	for _, d := range c.ArchiveDests {
		if d != recoveryDest {
			dirs = append(dirs, d)
		}
	}
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return err
		}
	}
	if err := i.createParameters(); err != nil {
		return err
	}
	i.scn = 1_000_000 + uint64(c.DBID%1000)
	now := c.Now()
	i.ctl = &control{
		DBID: c.DBID, Name: strings.ToUpper(c.Name), Type: "CURRENT", LogMode: "ARCHIVELOG", Role: c.Role, CDB: c.PDBs != nil, OpenResetlogs: "NOT ALLOWED", MadeAt: now, SCN: i.scn,
		Incarnations: []incarnation{{No: 1, SCN: i.scn - 500, At: now, ResetlogsID: c.DBID%100_000_000 + 1, Status: "CURRENT"}},
	}
	if c.NoArchiveLog {
		i.ctl.LogMode = "NOARCHIVELOG"
	}
	i.createLogs()
	for n := range i.config.Threads {
		if err := i.writeLog(i.ctl.currentGroup(n + 1)); err != nil {
			return err
		}
	}
	if err := i.createSpaces(); err != nil {
		return err
	}
	i.state = Open
	for _, t := range i.ctl.Threads {
		t.Open = true
	}
	if err := i.checkpoint(); err != nil {
		return err
	}
	if c.Role != "PHYSICAL STANDBY" {
		return i.settle()
	}
	for _, f := range i.ctl.Files {
		if f.writable() {
			if err := i.close(f); err != nil {
				return err
			}
		}
	}
	i.readOnly, i.ctl.Clean = true, true
	return i.saveControl()
}

func (i *Instance) createLogs() {
	now := i.config.Now()
	for range i.config.Threads {
		i.createThread(now)
	}
}

// createThread adds a thread and its three groups.
func (i *Instance) createThread(now time.Time) *thread {
	t := &thread{No: len(i.ctl.Threads) + 1, Enabled: "PUBLIC", Sequence: 1}
	i.ctl.Threads = append(i.ctl.Threads, t)
	for g := 1; g <= 3; g++ {
		no := (t.No-1)*3 + g
		group := &logGroup{No: no, Thread: t.No, Members: []string{i.oradata(fmt.Sprintf("redo%02d.log", no))}, Next: noSCN, Status: "UNUSED"}
		if g == 1 {
			group.Status, group.Sequence, group.First, group.FirstAt = "CURRENT", 1, i.scn, now
		}
		i.ctl.Groups = append(i.ctl.Groups, group)
	}
	return t
}

// AddThread adds an instance to a RAC, whose redo begins now. It returns its number, for CommitOn.
func (i *Instance) AddThread() (int, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.state != Open {
		return 0, fault(1109, "database not open")
	}
	i.scn++
	now := i.config.Now()
	t := i.createThread(now)
	t.Open = true
	if err := i.log(t.No, change{SCN: i.scn, At: now.UnixNano(), Kind: nothing}); err != nil {
		return 0, err
	}
	if err := i.flush(); err != nil {
		return 0, err
	}
	return t.No, i.saveControl()
}

// createSpaces makes the tablespaces and their files.
func (i *Instance) createSpaces() error {
	containers := []pdb{{ConID: 0}}
	if i.ctl.CDB {
		containers = []pdb{{ConID: 1}, {ConID: 2, Name: "PDB$SEED", Mode: "READ ONLY"}}
		for n, name := range i.config.PDBs {
			containers = append(containers, pdb{ConID: n + 3, Name: strings.ToUpper(name), Mode: "READ WRITE"})
		}
	}
	for _, p := range containers {
		if p.ConID > 1 {
			i.ctl.PDBs = append(i.ctl.PDBs, p)
		}
		if err := i.createContainer(p); err != nil {
			return err
		}
	}
	return nil
}

func (i *Instance) createContainer(p pdb) error {
	spaces := []Tablespace{{Name: "SYSTEM"}, {Name: "SYSAUX"}}
	if p.ConID <= 1 {
		spaces = append(spaces, Tablespace{Name: "UNDOTBS1"})
	}
	for _, t := range i.config.Tablespaces {
		if strings.EqualFold(t.PDB, p.Name) {
			spaces = append(spaces, t)
		}
	}
	for _, t := range spaces {
		contents := "PERMANENT"
		if strings.HasPrefix(t.Name, "UNDO") {
			contents = "UNDO"
		}
		for n := range max(t.Files, 1) {
			def(&t.Blocks, i.config.Blocks)
			if _, err := i.addFile(t, contents, p, i.fileName(t.Name, p.Name, n+1), t.Blocks); err != nil {
				return err
			}
		}
		space := i.ctl.tablespaceNamed(t.Name, p.ConID)
		if p.Mode == "READ ONLY" {
			continue
		}
		switch {
		case t.ReadOnly:
			if err := i.setReadOnly(space, true); err != nil {
				return err
			}
		case t.Offline:
			if err := i.setOffline(space); err != nil {
				return err
			}
		}
	}
	temp := &tablespace{No: len(i.ctl.Tablespaces), Name: "TEMP", ConID: p.ConID, Contents: "TEMPORARY", Status: "ONLINE"}
	i.ctl.Tablespaces = append(i.ctl.Tablespaces, temp)
	return i.addTemp(temp, i.fileName("TEMP", p.Name, 1), i.config.Blocks)
}

func (i *Instance) addTemp(t *tablespace, path string, length int) error {
	tf := &tempFile{No: len(i.ctl.Temps) + 1, TS: t.No, ConID: t.ConID, Name: path, Blocks: length}
	if err := os.WriteFile(path, make([]byte, (length+1)*i.config.BlockSizeBytes), 0o640); err != nil {
		return fault(1119, "error in creating database file '%s'", path)
	}
	i.ctl.Temps = append(i.ctl.Temps, tf)
	return i.saveControl()
}

func (i *Instance) fileName(space, pdb string, n int) string {
	dir := i.oradata()
	if pdb != "" {
		dir = i.oradata(strings.ToLower(strings.ReplaceAll(pdb, "$", "")))
	}
	name := fmt.Sprintf("%s%02d.dbf", strings.ToLower(space), n)
	if i.config.ManagedFiles {
		dir = filepath.Join(dir, "datafile")
		i.scn++
		name = fmt.Sprintf("o1_mf_%s_%s_.dbf", strings.ToLower(space), omf(i.scn))
	}
	_ = os.MkdirAll(dir, 0o750) // the file that follows says what is wrong
	return filepath.Join(dir, name)
}

// addFile adds a data file, and its tablespace when it is new.
func (i *Instance) addFile(t Tablespace, contents string, p pdb, path string, length int) (*dataFile, error) {
	space := i.ctl.tablespaceNamed(t.Name, p.ConID)
	now := i.config.Now()
	c := change{At: now.UnixNano(), Kind: created}
	if space == nil {
		space = &tablespace{No: len(i.ctl.Tablespaces), Name: strings.ToUpper(t.Name), ConID: p.ConID, Contents: contents, Status: "ONLINE", Bigfile: t.Bigfile}
		if contents == "PERMANENT" && strings.EqualFold(t.Name, "SYSTEM") {
			space.Status = "ONLINE"
		}
		i.ctl.Tablespaces = append(i.ctl.Tablespaces, space)
		c.Space = space
	}
	i.scn++
	f := &dataFile{
		No: len(i.ctl.Files) + 1, TS: space.No, ConID: p.ConID, Name: path, Blocks: length, BlockSize: i.config.BlockSizeBytes, Status: "ONLINE", Enabled: "READ WRITE",
		Created: i.scn, CreatedAt: now, Checkpoint: i.scn, CheckpointAt: now,
	}
	f.RFile = f.No
	if t.Bigfile {
		f.RFile = 1024
	}
	if space.Name == "SYSTEM" {
		f.Status = "SYSTEM"
	}
	if p.Mode == "READ ONLY" {
		f.Enabled = "READ ONLY"
	}
	status := uint16(0)
	if f.writable() {
		status = 4
	}
	i.ctl.Files = append(i.ctl.Files, f)
	if err := createDataFile(path, i.headerOf(i.ctl, f, status)); err != nil {
		i.ctl.Files = i.ctl.Files[:len(i.ctl.Files)-1]
		return nil, fault(1119, "error in creating database file '%s'", path)
	}
	copied := *f
	c.SCN, c.File, c.New = i.scn, f.No, &copied
	if err := i.log(1, c); err != nil {
		return nil, err
	}
	if err := i.flush(); err != nil {
		return nil, err
	}
	return f, i.saveControl()
}

func (f *dataFile) online() bool   { return f.Status == "ONLINE" || f.Status == "SYSTEM" }
func (f *dataFile) writable() bool { return f.online() && f.Enabled == "READ WRITE" }

// AddFile adds a data file to a tablespace of the root, or makes the tablespace. It returns the path.
func (i *Instance) AddFile(space, path string) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.state != Open {
		return "", fault(1109, "database not open")
	}
	con := 0
	if i.ctl.CDB {
		con = 1
	}
	if path == "" {
		path = i.fileName(space, "", len(i.ctl.Files)+1)
	}
	f, err := i.addFile(Tablespace{Name: space}, "PERMANENT", pdb{ConID: con}, path, i.config.Blocks)
	if err != nil {
		return "", err
	}
	return path, i.touch(f)
}
