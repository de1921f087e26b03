package dominosim

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// DB is what a new database is like.
type DB struct {
	Title    string // ASCII, at most 127 bytes
	ODS      uint32 // 41 to 55, or older to be refused; 0 means 55
	Template bool
	Unlogged bool // an administrator has switched logging off for it
	Pages    int  // empty pages to begin with, 4096 bytes each; 0 means 8
}

// Op is one change of a transaction: Key is set to Value, or deleted. Both together have at most 4068 bytes.
type Op struct {
	Key, Value string
	Delete     bool
}

// ErrLogFull is returned when a transaction needs an extent more than the log volume holds. A genuine server panics then.
var ErrLogFull = errors.New("dominosim: PANIC: the log volume is full, archive the extents")

// CreateDB makes a database in the data directory, or elsewhere by an absolute path. Its name has slashes and ends in .nsf, .ntf or .box.
func (s *Server) CreateDB(name string, o DB) error {
	if o.ODS == 0 {
		o.ODS = newestODS
	}
	if o.Pages == 0 {
		o.Pages = 8
	}
	if len(o.Title) >= titleSize {
		return fmt.Errorf("dominosim: title of %s is longer than %d bytes", name, titleSize-1)
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	path := filepath.FromSlash(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.DataDir(), path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("dominosim: %s: %w", name, os.ErrExist)
	}
	var replica [8]byte
	rand.Read(replica[:])
	now := s.now()
	m := newImage(newHeader(o, replica, now), o.Pages)
	m.setFlag(flagSwitched, o.Unlogged)
	if err := s.joinLog(path, m.header, false); err != nil {
		return err
	}
	m.seal()
	if err := os.WriteFile(path, m.bytes(), 0o600); err != nil {
		return err
	}
	s.remember(path, m, now)
	if err := s.touch(path); err != nil {
		return err
	}
	return s.update(path, func(st *state) error {
		st.dbiid, st.lsn = m.dbiid(), m.lsn()
		return nil
	})
}

// joinLog gives a database a new life in the server's log, or one outside of it.
func (s *Server) joinLog(path string, h header, linked bool) error {
	c, err := s.logging()
	if err != nil && !errors.Is(err, notes.StatusServerNotTransLogged) {
		return err
	}
	_, inside := s.below(path)
	if c == nil || !inside && !linked || h.switchedOff() || h.ods() < oldestODS {
		h.join(h.logID(), s.newID(), false, 0)
		return nil
	}
	h.join(c.id, s.newID(), true, c.position()-1) // the next record stands at that position, and is not yet in the database
	return nil
}

// Write does a transaction that sets one key.
func (s *Server) Write(db, key, value string) error {
	return s.Transact(db, Op{Key: key, Value: value})
}

// Transact does a transaction: the record in the log first, then the pages, with their before-images when the database is in backup.
func (s *Server) Transact(db string, ops ...Op) error {
	for _, op := range ops {
		if 4+len(op.Key)+len(op.Value) > maxEntry {
			return fmt.Errorf("dominosim: key and value of %q are longer than %d bytes", op.Key, maxEntry-4)
		}
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	path, m, st, err := s.usable(db)
	if err != nil {
		return fmt.Errorf("dominosim: write to %s: %w", db, err)
	}
	now := s.now()
	lsn := m.lsn() + 1
	if m.logged() {
		if lsn, err = s.logTransaction(record{at: now, dbiid: m.dbiid(), ops: ops}); err != nil {
			return err
		}
	}
	old := m.clone()
	m.apply(ops, lsn, now)
	if err := s.store(path, old, m, st); err != nil {
		return err
	}
	s.remember(path, m, now)
	st.lsn = lsn
	if err := s.saveState(st); err != nil {
		return err
	}
	return s.touch(path)
}

func (s *Server) logTransaction(r record) (uint64, error) {
	c, err := s.loadControl()
	if err != nil {
		return 0, err
	}
	if c.style == notes.LogArchive && s.cfg.MaxExtents > 0 && int(c.end)+len(r.encode()) > int(c.size) {
		numbers, err := s.extents(c.id)
		if err != nil {
			return 0, err
		}
		if len(numbers) >= s.cfg.MaxExtents {
			return 0, ErrLogFull
		}
	}
	return s.append(c, r)
}

// usable is a database that its server has in use: neither offline nor an unrecovered backup.
func (s *Server) usable(db string) (string, *image, *state, error) {
	path, linked, err := s.resolve(db)
	if err != nil {
		return "", nil, nil, err
	}
	if _, err := s.admit(path, linked); err != nil {
		return "", nil, nil, err
	}
	m, err := loadImage(path)
	if err != nil {
		return "", nil, nil, err
	}
	if err := m.check(); err != nil && !m.backup() {
		return "", nil, nil, notes.StatusNSFCorrupt2
	}
	st, err := s.loadState(path)
	return path, m, st, err
}

// store brings what differs between two images to the file, and what was there before to the change information of a backup under way.
func (s *Server) store(path string, before, after *image, st *state) error {
	old, new := before.bytes(), after.bytes()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	journal := func(from, to int) error { return nil }
	if st.is(stateInBackup) && !st.is(stateStopped) {
		if journal, err = s.journal(path, old, st); err != nil {
			return err
		}
	}
	head := len(after.header)
	blocks := []int{0, head}
	for at := head + 2*superblockSize; at <= len(new); at += pageSize {
		blocks = append(blocks, at)
	}
	// The header comes last, so that a copy made from front to back meets every order of old and new.
	for i := len(blocks) - 2; i >= 0; i-- {
		from, to := blocks[i], blocks[i+1]
		if to <= len(old) && bytes.Equal(old[from:to], new[from:to]) {
			continue
		}
		if to <= len(old) {
			if err := journal(from, to); err != nil {
				return err
			}
		}
		if _, err := f.WriteAt(new[from:to], int64(from)); err != nil {
			return err
		}
	}
	return f.Close()
}

// journal returns the function that keeps before-images for a backup: once for each block, and only of what the backup program has not yet read.
func (s *Server) journal(path string, old []byte, st *state) (func(from, to int) error, error) {
	name := s.changesFile(path)
	kept, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	have := map[uint64]bool{}
	for at := 0; at < len(kept); {
		have[le.Uint64(kept[at:])] = true
		at += changeHeader + int(le.Uint32(kept[at+8:]))
	}
	return func(from, to int) error {
		if have[uint64(from)] || uint64(from) >= st.size || uint64(to) <= st.read {
			return nil
		}
		have[uint64(from)] = true
		b := make([]byte, changeHeader, changeHeader+to-from)
		le.PutUint64(b, uint64(from))
		le.PutUint32(b[8:], uint32(to-from))
		le.PutUint32(b[12:], crc32.ChecksumIEEE(old[from:to]))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(append(b, old[from:to]...))
		return errors.Join(err, f.Close())
	}, nil
}

// touch dates the file by the server's clock.
func (s *Server) touch(path string) error {
	now := s.cfg.Clock()
	return os.Chtimes(path, now, now)
}

// remember adds the state of a database to the ledger.
func (s *Server) remember(path string, m *image, at time.Time) {
	s.ledger[path] = append(s.ledger[path], entryAt{at, m.contents()})
}

// Read is the present state of a database.
func (s *Server) Read(db string) (map[string]string, error) {
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	_, m, _, err := s.usable(db)
	if err != nil {
		return nil, fmt.Errorf("dominosim: read %s: %w", db, err)
	}
	return m.contents(), nil
}

// At is the state of a database after the last transaction not later than t, by the ledger that this Server keeps in memory, and whether there was such a state.
func (s *Server) At(db string, t time.Time) (map[string]string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, _, err := s.resolve(db)
	if err != nil {
		return nil, false
	}
	var found map[string]string
	for _, e := range s.ledger[path] {
		if !e.at.After(moment(t)) {
			found = e.state
		}
	}
	return maps.Clone(found), found != nil
}

// LastTransaction is when the last transaction of a database was, by the same ledger.
func (s *Server) LastTransaction(db string) (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path, _, err := s.resolve(db)
	if err != nil || len(s.ledger[path]) == 0 {
		return time.Time{}, false
	}
	all := s.ledger[path]
	return all[len(all)-1].at, true
}
