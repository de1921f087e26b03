package esebcli2

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// Group is a storage group of a Server.
type Group struct {
	ID        int64
	Name      string
	Databases []Database
	// Circular: logs are written with the flag of circular logging. None is deleted for it.
	Circular bool

	LogDir, SystemDir string // made by New
	series            esefile.Signature
}

// Database is one of a Group.
type Database struct {
	Name string
	GUID [16]byte
	// Stream: it has a .stm.
	Stream bool
	// Mounted and Overwrite ("can be overwritten by a restore") may be changed; Describe tells the library.
	Mounted, Overwrite bool

	File, StreamFile string // made by New

	id     byte
	dbtime uint64
	pages  map[string]uint32       // where a key is
	late   map[uint32]esefile.Page // what is in the log, not yet in the file
}

// Server is storage groups whose databases can be written to.
type Server struct {
	// Name is what the library answers to, beside the name of the machine.
	Name   string
	Groups []Group
	// Now is the clock, of which files have seconds.
	Now func() time.Time

	dir string
}

const (
	base      = "E00"
	pageBytes = 8192 // Exchange 2007
	logBytes  = 64 << 10
)

// New makes the files of a server in dir, which exists. Mounted databases are empty; their logs begin at generation 1.
func New(dir, name string, now func() time.Time, groups ...Group) (*Server, error) {
	s := &Server{Name: name, Groups: groups, Now: now, dir: dir}
	for i := range s.Groups {
		if err := s.create(&s.Groups[i], i); err != nil {
			return nil, err
		}
	}
	return s, s.Describe()
}

func (s *Server) create(g *Group, n int) error {
	g.LogDir, g.SystemDir = filepath.Join(s.dir, fmt.Sprintf("logs%d", n)), filepath.Join(s.dir, fmt.Sprintf("system%d", n))
	data := filepath.Join(s.dir, fmt.Sprintf("data%d", n))
	for _, dir := range [...]string{g.LogDir, g.SystemDir, data} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	stamp := s.stamp()
	g.series = esefile.NewSignature(uint32(1000+n), stamp, s.Name)
	h := esefile.LogHeader{Generation: 1, Bytes: logBytes, PageBytes: pageBytes, Created: stamp, Signature: g.series, SystemPath: g.SystemDir, LogPath: g.LogDir}
	if g.Circular {
		h.Flags = esefile.FlagCircular
	}
	for i := range g.Databases {
		d := &g.Databases[i]
		d.id, d.pages, d.late = byte(i+1), map[string]uint32{}, map[uint32]esefile.Page{}
		d.File = filepath.Join(data, strings.ReplaceAll(d.Name, " ", "_")+".edb")
		head := esefile.Header{
			PageBytes: pageBytes, State: esefile.Dirty, ID: uint32(d.id), Signature: esefile.NewSignature(uint32(100*n+i), stamp, s.Name), LogSignature: g.series,
			MinRequired: 1, MaxRequired: 1, MaxCommitted: 1, MaxRequiredTime: stamp, Revision: 0x0C,
		}
		if err := os.WriteFile(d.File, append(head.Encode(), make([]byte, pageBytes)...), 0o600); err != nil {
			return err
		}
		if d.Stream {
			d.StreamFile = strings.TrimSuffix(d.File, ".edb") + ".stm"
			if err := os.WriteFile(d.StreamFile, append(head.Stream().Encode(), strings.Repeat("streamed", 3*pageBytes/8)...), 0o600); err != nil {
				return err
			}
		}
		h.Databases = append(h.Databases, esefile.Attached{ID: d.id, Signature: head.Signature, Path: d.File})
	}
	log, err := esefile.NewLog(h)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(g.log(0), log.Bytes(), 0o600), g.checkpoint(esefile.Position{Generation: 1, Sector: 8}))
}

// stamp is the time of the server as files have it, in UTC.
func (s *Server) stamp() esefile.Stamp { return esefile.StampOf(s.Now(), time.UTC, false) }

func (g *Group) log(generation uint32) string {
	if generation == 0 {
		return filepath.Join(g.LogDir, base+".log")
	}
	return filepath.Join(g.LogDir, fmt.Sprintf("%s%05X.log", base, generation))
}

func (g *Group) checkpoint(at esefile.Position) error {
	k := esefile.Checkpoint{At: at, Signature: g.series, SystemPath: g.SystemDir, LogPath: g.LogDir}
	return os.WriteFile(filepath.Join(g.SystemDir, base+".chk"), k.Encode(), 0o600)
}

// Description is the file that QSIM_EXCHANGE must name.
func (s *Server) Description() string { return filepath.Join(s.dir, "exchange.txt") }

// Describe writes the description. It is to be called after a change of Mounted or Overwrite.
func (s *Server) Describe() error {
	var b strings.Builder
	fmt.Fprintf(&b, "server\t%s\n", s.Name)
	flag := map[bool]int{true: 1}
	for _, g := range s.Groups {
		fmt.Fprintf(&b, "group\t%d\t%s\t%s\t%s\t%s\n", g.ID, g.Name, g.LogDir, g.SystemDir, base)
		for _, d := range g.Databases {
			fmt.Fprintf(&b, "database\t%s\t%s\t%d\t%d\t%s\t%s\n", d.Name, hex.EncodeToString(d.GUID[:]), flag[d.Mounted], flag[d.Overwrite], d.File, d.StreamFile)
		}
	}
	return os.WriteFile(s.Description(), []byte(b.String()), 0o600)
}

// Refresh takes over which databases the library has mounted.
func (s *Server) Refresh() error {
	b, err := os.ReadFile(s.Description())
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(line, "\t")
		for i := range s.Groups {
			for j := range s.Groups[i].Databases {
				if d := &s.Groups[i].Databases[j]; f[0] == "database" && f[1] == d.Name {
					d.Mounted = f[3] == "1"
				}
			}
		}
	}
	return nil
}

// Put sets a key of a database: in the log at once, in the file with the next Flush.
func (s *Server) Put(g *Group, d *Database, key, value string) error {
	number, known := d.pages[key]
	if !known {
		number = uint32(len(d.pages) + 1)
		d.pages[key] = number
	}
	d.dbtime++
	r := esefile.Record{Type: esefile.RecordSet, Database: d.id, Page: number, DBTime: d.dbtime, UnixNano: s.Now().UnixNano(), Key: key, Value: value}
	if err := s.append(g, r); err != nil {
		return err
	}
	d.late[number] = esefile.Page{Number: number, DBTime: d.dbtime, Key: key, Value: value}
	return nil
}

func (s *Server) append(g *Group, r esefile.Record) error {
	for {
		log, err := g.current()
		if err != nil {
			return err
		}
		if _, _, _, ok := log.Append(r, s.stamp()); ok {
			return os.WriteFile(g.log(0), log.Bytes(), 0o600)
		}
		if err := s.roll(g, log); err != nil {
			return err
		}
	}
}

func (g *Group) current() (*esefile.Log, error) {
	b, err := os.ReadFile(g.log(0))
	if err != nil {
		return nil, err
	}
	log, _, err := esefile.DecodeLog(b)
	return log, err
}

// roll closes the current log, which is full.
func (s *Server) roll(g *Group, log *esefile.Log) error {
	h := log.Header
	if err := os.Rename(g.log(0), g.log(h.Generation)); err != nil {
		return err
	}
	h.Generation, h.PrevCreated, h.Created = h.Generation+1, h.Created, s.stamp()
	next, err := esefile.NewLog(h)
	if err != nil {
		return err
	}
	return os.WriteFile(g.log(0), next.Bytes(), 0o600)
}

// Flush writes to the databases what is in the logs only, and the checkpoint.
func (s *Server) Flush(g *Group) error {
	log, err := g.current()
	if err != nil {
		return err
	}
	for i := range g.Databases {
		d := &g.Databases[i]
		if !d.Mounted {
			continue
		}
		if err := d.flush(log.Header); err != nil {
			return err
		}
	}
	return g.checkpoint(log.End())
}

func (d *Database) flush(log esefile.LogHeader) error {
	h, err := esefile.ReadHeader(d.File)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.File, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, p := range d.late {
		_, werr := f.WriteAt(p.Encode(pageBytes), (int64(p.Number)+1)*pageBytes)
		err = errors.Join(err, werr)
	}
	clear(d.late)
	h.State, h.DBTime = esefile.Dirty, max(h.DBTime, d.dbtime)
	h.MinRequired, h.MaxRequired, h.MaxCommitted, h.MaxRequiredTime = log.Generation, log.Generation, log.Generation, log.Created
	return errors.Join(err, f.Close(), esefile.WriteHeader(d.File, h))
}

// Content reads the keys of a database file, which must be in clean shutdown.
func Content(path string) (map[string]string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	h, err := esefile.DecodeHeader(b)
	if err != nil {
		return nil, err
	}
	if h.State != esefile.Clean {
		return nil, fmt.Errorf("%s is in state %d, want clean shutdown", path, h.State)
	}
	keys := map[string]string{}
	size := int(h.PageBytes)
	for n := 1; (n+2)*size <= len(b); n++ {
		p, err := esefile.DecodePage(b[(n+1)*size:(n+2)*size], uint32(n))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if p.Key != "" {
			keys[p.Key] = p.Value
		}
	}
	return keys, nil
}

// Logs are the closed generations that a group has.
func (g *Group) Logs() (list []uint32, err error) {
	entries, err := os.ReadDir(g.LogDir)
	for _, e := range entries {
		var generation uint32
		if n, _ := fmt.Sscanf(e.Name(), base+"%05X.log", &generation); n == 1 && len(e.Name()) == len("E0000001.log") {
			list = append(list, generation)
		}
	}
	slices.SortFunc(list, cmp.Compare)
	return list, err
}
