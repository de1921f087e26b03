package exchangesim

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// database is a database of a group.
type database struct {
	g         *group
	id        byte
	name      string
	guid      esebcli.GUID
	file, stm string
	recovery  bool
	allow     bool // may be overwritten by a restore
	copies    []exchange.Copy

	header  esefile.Header // as it is in the file
	mounted bool
	crashed bool // was mounted when the server died
	dbtime  uint64
	pages   map[uint32]esefile.Page
	keys    map[string]uint32
	dirty   map[uint32]esefile.Position // pages not written since: the first record that is not in the file
	touched map[uint32]uint32           // the generation of the last record of such a page
	newest  uint32                      // the highest generation of a record that is in the file

	lastFull, lastLog, lastCopy time.Time
}

// create makes an empty database in clean shutdown.
func (d *database) create() error {
	s := d.g.s
	d.header = esefile.Header{PageBytes: uint32(s.cfg.PageBytes), State: esefile.Clean, ID: uint32(d.id), DBTime: 1, Signature: s.signature(d.name), Revision: map[int]uint32{2000: 0x09, 2003: 0x0b, 2007: 0x0c, 2010: 0x11}[s.cfg.Version]}
	if d.header.Revision == 0 {
		d.header.Revision = 0x14
	}
	if err := os.MkdirAll(filepath.Dir(d.file), 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(d.file); err == nil {
		return fmt.Errorf("%s is there already", d.file)
	}
	if err := os.WriteFile(d.file, d.header.Encode(), 0o600); err != nil {
		return err
	}
	if d.stm == "" {
		return nil
	}
	content := make([]byte, 2*s.cfg.PageBytes)
	for i := range content {
		content[i] = byte(i*7 + int(d.id) + i>>8)
	}
	return os.WriteFile(d.stm, append(d.header.Stream().Encode(), content...), 0o600)
}

// writeHeader puts the header into the files.
func (d *database) writeHeader(h esefile.Header) error {
	if err := esefile.WriteHeader(d.file, h); err != nil {
		return err
	}
	d.header = h
	if d.stm == "" {
		return nil
	}
	return esefile.WriteHeader(d.stm, h.Stream())
}

// mount attaches the database to the log of its group. One in dirty shutdown is recovered with the logs in the folder of the group first, if no other database has these open.
func (d *database) mount() error {
	h, err := esefile.ReadHeader(d.file)
	if err == nil && h.State == esefile.Dirty && h.FullCur.First == 0 && d.g.log == nil {
		if err := d.g.recover(); err != nil {
			return err
		}
	}
	img, err := loadImage(d.file)
	if errors.Is(err, fs.ErrNotExist) {
		return jet(errFileNotFound, "%s: %v", d.file, err)
	}
	if err != nil {
		return err
	}
	switch h = img.header; {
	case h.State != esefile.Clean || h.FullCur.First != 0:
		return jet(errDirtyShutdown, "%s is not in clean shutdown: it must be recovered first", d.file)
	case h.ID != uint32(d.id) && !d.recovery:
		return jet(errDatabaseSignature, "%s is another database of the group", d.file)
	case !d.allow && !d.recovery && (h.DBTime != d.header.DBTime || h.Signature != d.header.Signature || h.Detach != d.header.Detach || h.DetachTime != d.header.DetachTime):
		return fmt.Errorf("%s was replaced, and the database may not be overwritten by a restore: %w", d.file, esebcli.HrDatabaseInUse)
	}
	if err := d.checkStream(img.header); err != nil {
		return err
	}
	if err := d.g.start(); err != nil {
		return err
	}
	d.pages, d.keys, d.dirty, d.dbtime = img.pages, map[string]uint32{}, map[uint32]esefile.Position{}, img.header.DBTime
	d.touched = map[uint32]uint32{}
	for n, p := range d.pages {
		d.keys[p.Key] = n
	}
	at, err := d.g.append(esefile.Record{Type: esefile.RecordAttach, Database: d.id, DBTime: d.dbtime, UnixNano: d.g.s.cfg.Now().UnixNano(), Key: d.name, Value: d.file})
	if err != nil {
		return err
	}
	h = img.header
	h.ID = uint32(d.id) // a recovery database may be any
	h.LogSignature, h.Attach, h.AttachTime, h.State = d.g.log.Header.Signature, at, d.g.s.stamp(), esefile.Dirty
	h.Detach, h.DetachTime = esefile.Position{}, esefile.Stamp{}
	d.header, d.mounted, d.allow, d.newest = h, true, false, at.Generation
	d.g.s.remember(d, "", "")
	if err := d.sync(); err != nil {
		return err
	}
	return d.g.writeCheckpoint()
}

// recover is what the store does before it mounts the first database of a group.
func (g *group) recover() error {
	ours := map[*database]bool{} // files that are as the server left them
	for _, d := range g.dbs {
		h, err := esefile.ReadHeader(d.file)
		ours[d] = err == nil && h == d.header
	}
	if err := g.s.recoverSoft(exchange.Recovery{Base: g.base, LogDir: g.logDir, SystemDir: g.sysDir}); err != nil {
		return err
	}
	for d := range ours {
		if !ours[d] {
			continue
		}
		h, err := esefile.ReadHeader(d.file)
		if err != nil {
			return err
		}
		d.header = h
	}
	return nil
}

// checkStream compares the .stm file with its database.
func (d *database) checkStream(h esefile.Header) error {
	if d.stm == "" {
		return nil
	}
	s, err := esefile.ReadHeader(d.stm)
	if errors.Is(err, fs.ErrNotExist) {
		return jet(errFileNotFound, "%s: %v", d.stm, err)
	}
	if err != nil || s.Signature != h.Signature || s.DBTime != h.DBTime {
		return jet(errStreamFileMismatch, "%s does not belong to %s", d.stm, d.file)
	}
	return nil
}

// set gives a key a value: in the log at once, in the file when the page is written.
func (d *database) set(key, value string) error {
	if len(key) == 0 || len(key)+len(value) > esefile.MaxRecord {
		return fmt.Errorf("exchangesim: key and value of %d bytes: want a key, and at most %d", len(key)+len(value), esefile.MaxRecord)
	}
	n, ok := d.keys[key]
	if !ok {
		n = uint32(len(d.pages) + 1)
	}
	now := d.g.s.cfg.Now()
	r := esefile.Record{Type: esefile.RecordSet, Database: d.id, Page: n, DBTime: d.dbtime + 1, UnixNano: now.UnixNano(), Key: key, Value: value}
	at, err := d.g.append(r)
	if err != nil {
		return err
	}
	d.dbtime++
	d.keys[key] = n
	d.pages[n] = esefile.Page{Number: n, DBTime: d.dbtime, Key: key, Value: value}
	if _, ok := d.dirty[n]; !ok {
		d.dirty[n] = at
	}
	d.touched[n] = at.Generation
	d.g.s.remember(d, key, value)
	if d.dbtime%3 == 0 { // some pages are newer in the file than others
		return d.flushPages([]uint32{n})
	}
	return d.sync()
}

// flush writes the pages whose first record lies where wanted says.
func (d *database) flush(wanted func(esefile.Position) bool) error {
	var pages []uint32
	for n, at := range d.dirty {
		if wanted(at) {
			pages = append(pages, n)
		}
	}
	return d.flushPages(pages)
}

func (d *database) flushPages(pages []uint32) error {
	slices.Sort(pages)
	f, err := os.OpenFile(d.file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	size := int64(d.header.PageBytes)
	for _, n := range pages {
		if _, werr := f.WriteAt(d.pages[n].Encode(int(size)), int64(n+1)*size); werr != nil && err == nil {
			err = werr
		}
		d.newest = max(d.newest, d.touched[n])
		delete(d.dirty, n)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.sync()
}

// sync brings the header up to date: which logs the file needs.
func (d *database) sync() error {
	h, g := d.header, d.g
	h.MinRequired = g.generation()
	for _, at := range d.dirty {
		h.MinRequired = min(h.MinRequired, at.Generation)
	}
	h.MaxCommitted = g.generation()
	if last := max(h.MinRequired, d.newest); last != h.MaxRequired {
		h.MaxRequired = last
		created, err := d.g.created(last)
		if err != nil {
			return err
		}
		h.MaxRequiredTime = created
	}
	if h == d.header {
		return nil
	}
	h.DBTime = d.dbtime
	return d.writeHeader(h)
}

// created is when a log of the group was.
func (g *group) created(gen uint32) (esefile.Stamp, error) {
	if gen == g.generation() {
		return g.log.Header.Created, nil
	}
	h, err := esefile.ReadLogHeader(g.closedLog(gen))
	return h.Created, err
}

// dismount detaches the database: all its pages are written, and it needs no log.
func (d *database) dismount() error {
	if err := d.flush(func(esefile.Position) bool { return true }); err != nil {
		return err
	}
	g := d.g
	at, err := g.append(esefile.Record{Type: esefile.RecordDetach, Database: d.id, DBTime: d.dbtime, UnixNano: g.s.cfg.Now().UnixNano(), Key: d.name, Value: d.file})
	if err != nil {
		return err
	}
	h := d.header
	h.State, h.DBTime, h.MinRequired, h.MaxRequired, h.MaxCommitted, h.MaxRequiredTime = esefile.Clean, d.dbtime, 0, 0, 0, esefile.Stamp{}
	h.Consistent, h.ConsistentTime, h.Detach, h.DetachTime = at, g.s.stamp(), at, g.s.stamp()
	d.mounted = false
	if err := d.writeHeader(h); err != nil {
		return err
	}
	err = g.writeCheckpoint()
	if len(g.mounted()) == 0 {
		g.log = nil
	}
	return err
}

// values is what the database has.
func (d *database) values() map[string]string {
	m := map[string]string{}
	for k, n := range d.keys {
		m[k] = d.pages[n].Value
	}
	return m
}

// ReadFile reads a database in clean shutdown, wherever it lies.
func ReadFile(path string) (map[string]string, error) {
	img, err := loadImage(path)
	if err != nil {
		return nil, err
	}
	if img.header.State != esefile.Clean || img.header.FullCur.First != 0 {
		return nil, jet(errDirtyShutdown, "%s is not in clean shutdown", path)
	}
	return img.values(), nil
}

// event is a change in the ledger.
type event struct {
	db         *database
	at         time.Time
	generation uint32
	key, value string
	state      map[string]string // all of it, when it was mounted
}

// remember notes what became of a database, which was mounted when there is no key.
func (s *Server) remember(d *database, key, value string) {
	e := event{db: d, at: s.cfg.Now(), generation: d.g.generation(), key: key, value: value}
	if key == "" {
		e.state = d.values()
	}
	s.ledger = append(s.ledger, e)
}

// recall is the state of a database after all events that were in time.
func (s *Server) recall(path string, in func(event) bool) (map[string]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d, err := s.database(path)
	if err != nil {
		return nil, err
	}
	state := map[string]string{}
	for _, e := range s.ledger {
		switch {
		case e.db != d || !in(e):
		case e.state != nil:
			state = maps.Clone(e.state)
		default:
			state[e.key] = e.value
		}
	}
	return state, nil
}
