package exchangesim

import (
	"errors"
	"fmt"
	"os"
)

// What happens to a server, and what other programs do to it.

// AddGroup adds a storage group with its databases, from 2010 on a database.
func (s *Server) AddGroup(c Group) error {
	return s.locked(func() error {
		check := Config{Version: s.cfg.Version, Now: s.cfg.Now, Groups: []Group{c}}
		if err := check.complete(); err != nil {
			return err
		}
		return s.add(len(s.groups), c)
	})
}

// Truncations counts how often the end of a backup deleted logs.
func (s *Server) Truncations() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.truncations
}

// DeleteLogs deletes the closed logs of a group up to a generation, as another program does that truncates.
func (s *Server) DeleteLogs(name string, last uint32) error {
	return s.inGroup(name, func(g *group) error {
		_, err := g.deleteBelow(last + 1)
		return err
	})
}

// DamageLog changes two bits in a closed log of a group: in its first segment, or where the format has none, in its header.
func (s *Server) DamageLog(name string, gen uint32) error {
	return s.inGroup(name, func(g *group) error {
		at := int64(100)
		if s.cfg.segmented() {
			at += 4096
		}
		return flip(g.closedLog(gen), at)
	})
}

// ResetLog begins a new series of logs in a group, as an administrator does who dismounts its databases and removes the logs.
func (s *Server) ResetLog(name string) error {
	return s.inGroup(name, func(g *group) error {
		dbs := g.mounted()
		for _, d := range dbs {
			if err := dismountOf(d); err != nil {
				return err
			}
		}
		if _, err := g.deleteBelow(1<<32 - 1); err != nil {
			return err
		}
		if err := errors.Join(os.Remove(g.currentLog()), os.Remove(g.checkpointFile())); err != nil {
			return err
		}
		for _, d := range dbs {
			if err := mountOf(d); err != nil {
				return err
			}
		}
		return nil
	})
}

// CorruptPage changes two bits in the page of a key in the file. The server goes on with what it has in memory, and repairs the page when it writes it the next time.
func (s *Server) CorruptPage(path, key string) error {
	return s.page(path, key, func(d *database, n uint32) error {
		return flip(d.file, int64(n+2)*int64(d.header.PageBytes)-9)
	})
}

// RepairPage writes the page of a key again.
func (s *Server) RepairPage(path, key string) error {
	return s.page(path, key, func(*database, uint32) error { return nil })
}

// page writes the page of a key, and then has f do something to it.
func (s *Server) page(path, key string, f func(*database, uint32) error) error {
	return s.running(path, func(d *database) error {
		n, ok := d.keys[key]
		if !ok {
			return fmt.Errorf("exchangesim: no key %q", key)
		}
		if err := d.flushPages([]uint32{n}); err != nil {
			return err
		}
		return f(d, n)
	})
}

// flip changes two bits of a byte of a file.
func flip(path string, at int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err = f.ReadAt(b, at); err == nil {
		b[0] ^= 0x11
		_, err = f.WriteAt(b, at)
	}
	return errors.Join(err, f.Close())
}
