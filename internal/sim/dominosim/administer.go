package dominosim

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// What can befall a database besides transactions. Names are as for CreateDB.

// Compact rebuilds a database: it gets a new DBIID, and what was backed up before can not be rolled forward beyond this moment.
func (s *Server) Compact(db string) error { return s.newLife(db, func(header) {}) }

// Fixup is a forced fixup; it gives a new DBIID too.
func (s *Server) Fixup(db string) error { return s.newLife(db, func(header) {}) }

// SetLogged switches logging of one database on or off. Both give it a new DBIID.
func (s *Server) SetLogged(db string, on bool) error {
	return s.newLife(db, func(h header) { h.setFlag(flagSwitched, !on) })
}

func (s *Server) newLife(db string, change func(header)) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	path, m, st, err := s.usable(db)
	if err == nil && st.is(stateInBackup) {
		err = notes.StatusAlreadyLocked
	}
	if err != nil {
		return fmt.Errorf("dominosim: %s: %w", db, err)
	}
	change(m.header)
	_, inside := s.below(path)
	if err := s.joinLog(path, m.header, !inside); err != nil {
		return err
	}
	m.seal()
	if err := os.WriteFile(path, m.bytes(), 0o600); err != nil {
		return err
	}
	st.dbiid, st.lsn = m.dbiid(), m.lsn()
	if err := s.saveState(st); err != nil {
		return err
	}
	return s.touch(path)
}

// Corrupt damages the header of a database: it can not be opened any more.
func (s *Server) Corrupt(db string) error { return s.damage(db, atSim+4) }

// CorruptPage damages a page that nobody looks at until the contents are needed. Copies have the damage too.
func (s *Server) CorruptPage(db string) error {
	return s.damage(db, int64(headerSize(newestODS)+2*superblockSize+pageHeader))
}

func (s *Server) damage(db string, at int64) error {
	return s.lockedAt(db, func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeAt(path, []byte{^b[at]}, at)
	})
}

// Hold says that somebody uses the database, so that it can not be taken offline, until release is called.
func (s *Server) Hold(db string) (release func() error, err error) { return s.mark(db, stateHeld) }

// Compacting says that a copy-style compact runs until done is called: the database can not be opened. [ERR_COMPACT_MODE]
func (s *Server) Compacting(db string) (done func() error, err error) {
	return s.mark(db, stateCompacting)
}

// CompactingInPlace says that an in-place compact runs until done is called: no backup begins.
func (s *Server) CompactingInPlace(db string) (done func() error, err error) {
	return s.mark(db, stateInPlace)
}

// Replicating says that the database is replicated or copied until done is called: no backup begins. [ERR_ALREADY_LOCKED]
func (s *Server) Replicating(db string) (done func() error, err error) {
	return s.mark(db, stateLocked)
}

func (s *Server) mark(db string, flag uint32) (func() error, error) {
	set := func(on bool) error {
		return s.lockedAt(db, func(path string) error {
			return s.update(path, func(st *state) error { st.set(flag, on); return nil })
		})
	}
	return func() error { return set(false) }, set(true)
}

// InBackup are the databases in backup, by absolute path: those whose backup program is at work, or dead.
func (s *Server) InBackup() ([]string, error) { return s.with(stateInBackup) }

// Offline are the databases that were taken offline, by absolute path.
func (s *Server) Offline() ([]string, error) { return s.with(stateOffline) }

func (s *Server) with(flag uint32) (paths []string, err error) {
	err = s.locked(func() error {
		all, err := s.states()
		for _, st := range all {
			if st.is(flag) {
				paths = append(paths, st.path)
			}
		}
		return err
	})
	return paths, err
}

// ResetBackup ends a backup whose program is dead, as an administrator would.
func (s *Server) ResetBackup(db string) error {
	return s.lockedAt(db, func(path string) error { return s.endBackup(path, false) })
}

// Rename moves a database within the data directory; it stays the same database.
func (s *Server) Rename(from, to string) error {
	return s.lockedAt(from, func(old string) error {
		st, err := s.loadState(old)
		if err != nil {
			return err
		}
		path := filepath.Join(s.DataDir(), filepath.FromSlash(to))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.Rename(old, path); err != nil {
			return err
		}
		s.ledger[path] = s.ledger[old]
		delete(s.ledger, old)
		st.path = path
		return errors.Join(s.saveState(st), os.Remove(s.stateFile(old)))
	})
}

// Delete removes a database, and forgets it.
func (s *Server) Delete(db string) error {
	return s.lockedAt(db, func(path string) error { return errors.Join(os.Remove(path), os.RemoveAll(s.stateFile(path))) })
}

// SwitchLog closes the current extent, so that it can be archived.
func (s *Server) SwitchLog() error { return s.lockedLog(s.roll) }

// RecreateLog begins a new series of the log, as after the loss of the old one: all databases get a new DBIID.
func (s *Server) RecreateLog() error {
	return s.locked(func() error {
		names, err := filepath.Glob(filepath.Join(s.LogDir(), "*"))
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
		return s.newLog() // NSFDbOpen and Write find that the series is another one
	})
}

// LogID is the series of the log; zero when the server does not log.
func (s *Server) LogID() (id notes.UNID, err error) {
	err = s.lockedLog(func(c *control) error { id = c.id; return nil })
	if errors.Is(err, notes.StatusServerNotTransLogged) {
		err = nil
	}
	return id, err
}

// CurrentExtent is the number of the extent that is being written.
func (s *Server) CurrentExtent() (number uint32, err error) {
	err = s.lockedLog(func(c *control) error { number = c.number; return nil })
	return number, err
}

// Restart stops the server and starts it again: all processes die, backups under way are over, databases are neither held nor offline, and what is known of them is read from their files anew.
// A server whose log directory has lost its control file and all extents begins a new series.
func (s *Server) Restart() error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, p := range keys(s.pending) {
		p.die()
	}
	all, err := s.states()
	if err != nil {
		return err
	}
	for _, st := range all {
		if st.is(stateInBackup) {
			if err := s.endBackup(st.path, false); err != nil && !errors.Is(err, notes.StatusNoExist) {
				return err
			}
		}
		if err := os.Remove(s.stateFile(st.path)); err != nil {
			return err
		}
	}
	s.opened = map[string]int{}
	if _, err := s.loadControl(); !errors.Is(err, notes.StatusServerNotTransLogged) || s.cfg.Unlogged {
		return nil
	}
	return s.newLog()
}

func keys[K comparable, V any](m map[K]V) []K {
	var all []K
	for k := range maps.Keys(m) {
		all = append(all, k)
	}
	return all
}
