package exchangesim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// on runs f for a database of a server that is up.
func (s *Server) on(path string, f func(d *database) error) error {
	return s.locked(func() error {
		if s.down {
			return errors.New("exchangesim: the server is down")
		}
		d, err := s.database(path)
		if err != nil {
			return err
		}
		return f(d)
	})
}

// running runs f for a database that is mounted.
func (s *Server) running(path string, f func(d *database) error) error {
	return s.on(path, func(d *database) error {
		if !d.mounted {
			return fmt.Errorf("exchangesim: %s is not mounted", path)
		}
		return f(d)
	})
}

// Write gives a key a value in a database, which is named group/name, or by its name if no other has it.
func (s *Server) Write(path, key, value string) error {
	return s.running(path, func(d *database) error { return d.set(key, value) })
}

// Read returns what a database has that is mounted or in clean shutdown.
func (s *Server) Read(path string) (values map[string]string, err error) {
	err = s.locked(func() error {
		d, err := s.database(path)
		if err != nil {
			return err
		}
		if d.mounted {
			values = d.values()
			return nil
		}
		values, err = ReadFile(d.file)
		return err
	})
	return values, err
}

// At is what a database had at a moment, with the changes of that moment.
func (s *Server) At(path string, t time.Time) (map[string]string, error) {
	return s.recall(path, func(e event) bool { return !e.at.After(t) })
}

// AtGeneration is what a database had at the end of a generation of its log. Where a restore made generations anew, it is the end of the last of them.
func (s *Server) AtGeneration(path string, gen uint32) (map[string]string, error) {
	return s.recall(path, func(e event) bool { return e.generation <= gen })
}

// Generation is that of the current log of a group.
func (s *Server) Generation(name string) (gen uint32, err error) {
	err = s.inGroup(name, func(g *group) error {
		gen = g.generation()
		return nil
	})
	return gen, err
}

// inGroup runs f for a group whose log runs.
func (s *Server) inGroup(name string, f func(g *group) error) error {
	return s.locked(func() error {
		g, err := s.group(name)
		if err == nil && g.log == nil {
			err = fmt.Errorf("exchangesim: no database of %s is mounted", name)
		}
		if err != nil {
			return err
		}
		return f(g)
	})
}

// Rotate closes the current log of a group and begins the next.
func (s *Server) Rotate(name string) error { return s.inGroup(name, (*group).roll) }

// SetCircular switches circular logging of a group from its next log on.
func (s *Server) SetCircular(name string, on bool) error {
	return s.locked(func() error {
		g, err := s.group(name)
		if err != nil {
			return err
		}
		g.circled = g.circled || g.circular
		g.circular = on
		return nil
	})
}

// Flush writes all pages of a database.
func (s *Server) Flush(path string) error {
	return s.running(path, func(d *database) error {
		if err := d.flush(func(esefile.Position) bool { return true }); err != nil {
			return err
		}
		return d.g.writeCheckpoint()
	})
}

// DamageReads flips one bit in every read of a file by the streaming API that has this byte of the stream; below 0 ends that.
func (s *Server) DamageReads(path string, at int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.damage, path)
	if at >= 0 {
		s.damage[path] = at
	}
}

// RestoreByLibrary has restores write files through the library, instead of leaving it to the caller.
func (s *Server) RestoreByLibrary(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.through = on
}

// SetCopies changes what Layout tells of the copies of a database.
func (s *Server) SetCopies(path string, copies []exchange.Copy) error {
	return s.on(path, func(d *database) error {
		d.copies = copies
		return nil
	})
}

// Mount mounts a database as an administrator does, Dismount dismounts it.
func (s *Server) Mount(path string) error { return s.on(path, mountOf) }

// Dismount detaches a database, which then needs no log.
func (s *Server) Dismount(path string) error { return s.on(path, dismountOf) }

func mountOf(d *database) error {
	if d.g.backup != nil {
		return jet(errBackupInProgress, "%s is in backup", d.g.name)
	}
	if d.mounted {
		return nil
	}
	return d.mount()
}

func dismountOf(d *database) error {
	if d.g.backup != nil {
		return jet(errBackupInProgress, "%s is in backup", d.g.name)
	}
	if !d.mounted {
		return nil
	}
	return d.dismount()
}

// Crash is the death of the server: databases are left as their files are, sessions end.
func (s *Server) Crash() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = true
	for _, g := range s.groups {
		if g.backup != nil {
			g.backup.rundown()
		}
		for _, d := range g.dbs {
			d.crashed, d.mounted = d.mounted || d.crashed, false
		}
		g.log = nil
	}
}

// Start starts the server after a crash: databases that were mounted are recovered with their logs and mounted.
func (s *Server) Start() error {
	return s.locked(func() error {
		s.down = false
		for _, g := range s.groups {
			if err := g.restart(); err != nil {
				return err
			}
		}
		return nil
	})
}

func (g *group) restart() error {
	for _, d := range g.dbs {
		if !d.crashed {
			continue
		}
		d.crashed = false
		if err := d.mount(); err != nil {
			return err
		}
	}
	return nil
}

// management is the Exchange Management Shell of a program.
type management struct{ c *Client }

// versions are what Layout tells, by the year.
func (s *Server) version() (int, string) {
	switch s.cfg.Version {
	case 2000:
		return 6, "Version 6.0 (Build 6249.4)"
	case 2003:
		return 6, "Version 6.5 (Build 7638.2)"
	case 2007:
		return 8, "Version 8.3 (Build 83.6)"
	case 2010:
		return 14, "Version 14.3 (Build 123.4)"
	case 2013:
		return 15, "Version 15.0 (Build 1497.2)"
	case 2016:
		return 15, "Version 15.1 (Build 2507.6)"
	}
	return 15, "Version 15.2 (Build 1118.7)"
}

// Layout tells what the server has.
func (m *management) Layout(ctx context.Context) (l exchange.Layout, err error) {
	s := m.c.s
	err = m.c.remote(ctx, "Management.Layout", nil, func() error {
		l.Server = s.cfg.Name
		l.Major, l.Version = s.version()
		for _, g := range s.groups {
			out := exchange.Group{Name: g.name, LogDir: g.logDir, SystemDir: g.sysDir, LogBase: g.base, Circular: g.circular}
			for _, d := range g.dbs {
				out.Databases = append(out.Databases, exchange.Database{
					Name: d.name, GUID: d.guid.String(), File: d.file, StreamFile: d.stm, Mounted: d.mounted, BackupInProgress: g.backup != nil || g.snapshots > 0, Recovery: d.recovery,
					AllowRestore: d.allow, LastFull: d.lastFull, LastLog: d.lastLog, LastCopy: d.lastCopy, Copies: d.copies,
				})
			}
			l.Groups = append(l.Groups, out)
		}
		return nil
	})
	return l, err
}

func (m *management) on(ctx context.Context, name string, d exchange.Database, f func(*database) error) error {
	return m.c.remote(ctx, "Management."+name, []string{d.Name}, func() error {
		db, err := m.c.s.byGUID(d.GUID)
		if err != nil {
			return err
		}
		return f(db)
	})
}

// Mount mounts a database.
func (m *management) Mount(ctx context.Context, d exchange.Database) error {
	return m.on(ctx, "Mount", d, mountOf)
}

// Dismount dismounts it.
func (m *management) Dismount(ctx context.Context, d exchange.Database) error {
	return m.on(ctx, "Dismount", d, dismountOf)
}

// AllowRestore lets its files be replaced.
func (m *management) AllowRestore(ctx context.Context, d exchange.Database) error {
	return m.on(ctx, "AllowRestore", d, func(db *database) error {
		if db.recovery {
			return fmt.Errorf("%s is a recovery database, which can always be overwritten: %w", d.Name, esebcli.HrInvalidArgument)
		}
		db.allow = true
		return nil
	})
}

var _ exchange.Management = (*management)(nil)
