package exchangesim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// Config says what kind of server it is.
type Config struct {
	// Version is the year in the name of the product: 2000, 2003, 2007, 2010, 2013, 2016 or 2019.
	Version int
	// Name is that of the server; empty: EXCH1.
	Name string
	// Groups are the storage groups; from 2010 on each has one database, and its name.
	Groups []Group
	// PageBytes and LogBytes are the sizes of pages and logs; 0: those of the version, and 64 KiB.
	PageBytes, LogBytes int
	// Zone is where the server is; nil means UTC.
	Zone *time.Location
	// Now is the clock. It is required.
	Now func() time.Time
}

// Group is a storage group.
type Group struct {
	Name string
	// Base is the base name of the logs; empty: E00, E01 and so on.
	Base string
	// Circular switches circular logging on.
	Circular  bool
	Databases []Database
}

// Database is a database.
type Database struct {
	Name string
	// File is the path of the .edb below the directory of the server; empty: D/group/name.edb.
	File string
	// Unmounted leaves it dismounted at the start, Recovery makes it a recovery database.
	Unmounted, Recovery bool
	// Copies are told by Layout as they are.
	Copies []exchange.Copy
}

// Server is an Exchange server over a directory. It may be used by many goroutines.
type Server struct {
	dir string
	cfg Config

	mu      sync.Mutex
	down    bool
	groups  []*group
	clients map[*Client]bool
	serial  int // of shadows, handles and restores
	calls   int
	fault   Fault
	damage  map[string]int64
	through bool // restores write through the library
	ledger  []event
	shadows map[int]*shadow

	truncations int // by a backup
}

// New makes a server below dir, which is made when it is not there and must be empty: volumes D, with the databases, and E, with the logs.
func New(dir string, cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("exchangesim: %w", err)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		return nil, errors.Join(fmt.Errorf("exchangesim: %s is not empty", dir), err)
	}
	s := &Server{dir: dir, cfg: cfg, clients: map[*Client]bool{}, damage: map[string]int64{}, shadows: map[int]*shadow{}}
	for i, g := range cfg.Groups {
		if err := s.add(i, g); err != nil {
			return nil, fmt.Errorf("exchangesim: %w", err)
		}
	}
	return s, nil
}

func (c *Config) complete() error {
	if c.Now == nil {
		return errors.New("Config.Now is missing")
	}
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	if c.Name == "" {
		c.Name = "EXCH1"
	}
	page := map[int]int{2000: 4 << 10, 2003: 4 << 10, 2007: 8 << 10, 2010: 32 << 10, 2013: 32 << 10, 2016: 32 << 10, 2019: 32 << 10}[c.Version]
	if page == 0 {
		return fmt.Errorf("version %d is none of ours", c.Version)
	}
	if c.PageBytes == 0 {
		c.PageBytes = page
	}
	if c.LogBytes == 0 {
		c.LogBytes = 64 << 10
	}
	if c.LogBytes%4096 != 0 || c.LogBytes < 16<<10 {
		return fmt.Errorf("logs of %d bytes are too short, or no multiple of 4096", c.LogBytes)
	}
	for _, g := range c.Groups {
		if c.Version >= 2010 && (len(g.Databases) != 1 || g.Databases[0].Name != g.Name) {
			return fmt.Errorf("group %s: from 2010 on a group is one database of the same name", g.Name)
		}
		if len(g.Databases) == 0 {
			return fmt.Errorf("group %s has no database", g.Name)
		}
	}
	return nil
}

// segmented says that logs are of version 8.
func (c *Config) segmented() bool { return c.Version >= 2013 }

// add makes a group with its databases.
func (s *Server) add(i int, c Group) error {
	g := &group{s: s, id: int64(i+1)<<33 | 1, name: c.Name, base: c.Base, circular: c.Circular}
	if g.base == "" {
		g.base = fmt.Sprintf("E%02X", i)
	}
	g.logDir = filepath.Join(s.dir, "E", g.name)
	g.sysDir = filepath.Join(s.dir, "E", g.name)
	s.groups = append(s.groups, g)
	if err := os.MkdirAll(g.logDir, 0o700); err != nil {
		return err
	}
	for n, d := range c.Databases {
		db := &database{g: g, id: byte(n + 1), name: d.Name, guid: newGUID(c.Name + "/" + d.Name), recovery: d.Recovery, copies: d.Copies}
		file := d.File
		if file == "" {
			file = filepath.Join("D", g.name, d.Name+".edb")
		}
		db.file = filepath.Join(s.dir, filepath.FromSlash(file))
		if s.cfg.Version <= 2003 {
			db.stm = strings.TrimSuffix(db.file, ".edb") + ".stm"
		}
		g.dbs = append(g.dbs, db)
		if err := db.create(); err != nil {
			return err
		}
	}
	for n, d := range c.Databases {
		if d.Unmounted {
			continue
		}
		if err := g.dbs[n].mount(); err != nil {
			return err
		}
	}
	if g.log == nil { // all are unmounted
		return nil
	}
	return g.reserves()
}

// Dir is the directory of the server.
func (s *Server) Dir() string { return s.dir }

// newGUID is a GUID that is always the same for a name.
func newGUID(name string) (g esebcli.GUID) {
	h := fnv.New128a()
	h.Write([]byte(name))
	copy(g[:], h.Sum(nil))
	return g
}

func (s *Server) newSerial() int {
	s.serial++
	return s.serial
}

func (s *Server) stamp() esefile.Stamp { return s.stampOf(s.cfg.Now()) }

func (s *Server) stampOf(t time.Time) esefile.Stamp {
	return esefile.StampOf(t, s.cfg.Zone, s.cfg.segmented())
}

// signature makes one that no other has.
func (s *Server) signature(of string) esefile.Signature {
	h := fnv.New32a()
	h.Write([]byte(fmt.Sprint(of, s.newSerial(), s.cfg.Now().UnixNano(), s.dir)))
	return esefile.NewSignature(h.Sum32(), s.stamp(), s.cfg.Name)
}

// group finds a group by its name.
func (s *Server) group(name string) (*group, error) {
	for _, g := range s.groups {
		if g.name == name {
			return g, nil
		}
	}
	return nil, fmt.Errorf("exchangesim: no group %q", name)
}

// database finds a database by group/name, or by its name if only one has it.
func (s *Server) database(path string) (*database, error) {
	var found []*database
	for _, g := range s.groups {
		for _, d := range g.dbs {
			if path == d.name || path == g.name+"/"+d.name {
				found = append(found, d)
			}
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("exchangesim: %d databases are called %q", len(found), path)
	}
	return found[0], nil
}

// byGUID finds a database as tools name it.
func (s *Server) byGUID(guid string) (*database, error) {
	for _, g := range s.groups {
		for _, d := range g.dbs {
			if strings.EqualFold(d.guid.String(), guid) {
				return d, nil
			}
		}
	}
	return nil, fmt.Errorf("exchangesim: no database has the GUID %s: %w", guid, esebcli.HrDatabaseNotFound)
}

// locked runs f under the lock.
func (s *Server) locked(f func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return f()
}

// jet is an error of the engine.
func jet(code int, format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), esebcli.FromJET(code))
}
