package dominosim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

// Config says what kind of server it is.
type Config struct {
	// Clock dates transactions and backups, by the hundredth of a second. It is required.
	Clock func() time.Time
	// Style is how the log is kept; the zero value is circular.
	Style notes.LogStyle
	// ExtentSize is that of each extent in bytes; 0 means 64 KiB.
	ExtentSize int
	// MaxExtents is how many extents a circular or linear log keeps; 0 means 4. With the archive style it is the room on the log volume: a transaction that needs more fails as
	// the server would panic; 0 means without end.
	MaxExtents int
	// Unlogged switches transaction logging off for the whole server.
	Unlogged bool
}

// Server is a Domino server over a directory. It may be used by many goroutines.
type Server struct {
	dir string
	cfg Config

	mu      sync.Mutex // one at a time in this process; the lock file does the same between processes
	opened  map[string]int
	pending map[*Process]bool
	ledger  map[string][]entryAt
	archive *Process // the process that archives the log
	recover *Process // the process that recovers databases
	fault   Fault
	serial  uint64 // of handles, contexts and backups
}

// entryAt is a state of a database and the moment of the transaction that made it.
type entryAt struct {
	at    time.Time
	state map[string]string
}

// New makes a server in dir: data, log and the simulator's own files below it, with a notes.ini in the data directory. A server that is there already is continued, and its log
// keeps its style.
func New(dir string, cfg Config) (*Server, error) {
	if cfg.Clock == nil {
		return nil, errors.New("dominosim: Config.Clock is missing")
	}
	if cfg.ExtentSize == 0 {
		cfg.ExtentSize = 64 << 10
	}
	if cfg.MaxExtents == 0 && cfg.Style != notes.LogArchive {
		cfg.MaxExtents = 4
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, cfg: cfg, opened: map[string]int{}, pending: map[*Process]bool{}, ledger: map[string][]entryAt{}}
	for _, d := range [...]string{s.DataDir(), s.LogDir(), s.simDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, err
		}
	}
	if s.dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.writeIni(); err != nil {
		return nil, err
	}
	if _, err := s.loadControl(); !errors.Is(err, notes.StatusServerNotTransLogged) || cfg.Unlogged {
		return s, nil
	}
	return s, s.newLog()
}

// DataDir is the data directory, LogDir that of the transaction log.
func (s *Server) DataDir() string { return filepath.Join(s.dir, "data") }

// LogDir is the directory of the transaction log.
func (s *Server) LogDir() string { return filepath.Join(s.dir, "log") }

// IniPath is the notes.ini of the server.
func (s *Server) IniPath() string { return filepath.Join(s.DataDir(), "notes.ini") }

func (s *Server) simDir() string { return filepath.Join(s.dir, "sim") }

// lock keeps everybody else out, in this process and in others.
func (s *Server) lock() (unlock func(), err error) {
	s.mu.Lock()
	for {
		l, err := filelock.Take(filepath.Join(s.simDir(), "lock"))
		if err == nil {
			return func() {
				l.Release() // the file is ours to the end of the process at worst
				s.mu.Unlock()
			}, nil
		}
		if !errors.Is(err, filelock.ErrHeld) {
			s.mu.Unlock()
			return nil, err
		}
		time.Sleep(time.Millisecond)
	}
}

// newLog begins a series of log extents.
func (s *Server) newLog() error {
	c := &control{style: s.cfg.Style, id: s.newID(), number: 1, size: uint32(s.cfg.ExtentSize)}
	return s.newExtent(c)
}

// newID is an id as Notes makes them: a moment, and something that no other has.
func (s *Server) newID() (id notes.UNID) {
	now := timedate(s.cfg.Clock())
	copy(id[:], now[:])
	rand.Read(id[8:]) // never fails
	return id
}

// now is the server's clock.
func (s *Server) now() time.Time { return moment(s.cfg.Clock()) }

func (s *Server) writeIni() error {
	if _, err := os.Stat(s.IniPath()); err == nil {
		return nil
	}
	status := 1
	if s.cfg.Unlogged {
		status = 0
	}
	style := 0
	if s.cfg.Style == notes.LogArchive {
		style = 1
	}
	text := fmt.Sprintf("[Notes]\nKitType=2\nDirectory=%s\nKeyFilename=server.id\nTRANSLOG_Status=%d\nTRANSLOG_Style=%d\nTRANSLOG_Path=%s\nQSIM_Directory=%s\n",
		s.DataDir(), status, style, s.LogDir(), s.simDir())
	return os.WriteFile(s.IniPath(), []byte(text), 0o600)
}

// SetIni sets a value of notes.ini.
func (s *Server) SetIni(name, value string) error {
	return s.locked(func() error { return s.setIni(name, value) })
}

func (s *Server) setIni(name, value string) error {
	b, err := os.ReadFile(s.IniPath())
	if err != nil {
		return err
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if k, _, _ := strings.Cut(line, "="); !strings.EqualFold(strings.TrimSpace(k), name) {
			lines = append(lines, line)
		}
	}
	return os.WriteFile(s.IniPath(), []byte(strings.Join(lines, "")+name+"="+value+"\n"), 0o600)
}

// ini returns a value of notes.ini.
func (s *Server) ini(name string) (string, bool, error) {
	b, err := os.ReadFile(s.IniPath())
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	for line := range strings.Lines(string(b)) {
		if k, v, ok := strings.Cut(line, "="); ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v), true, nil
		}
	}
	return "", false, nil
}

// resolve follows a name as NSFDbOpen does: relative to the data directory, .nsf may be omitted, directory links (.dir) and database links (small text files named .nsf) lead elsewhere.
// linked says that such a link was followed.
func (s *Server) resolve(name string) (path string, linked bool, err error) {
	if strings.Contains(name, "!!") {
		return "", false, notes.StatusNotLocal
	}
	path = filepath.FromSlash(name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.DataDir(), path)
	}
	path = filepath.Clean(path)
	if rel, ok := s.below(path); ok {
		parts := strings.Split(rel, string(filepath.Separator))
		for i := range len(parts) {
			link := filepath.Join(s.DataDir(), filepath.Join(parts[:i+1]...)) + ".dir"
			if to, ok := readLink(link); ok {
				path, linked = filepath.Join(append([]string{to}, parts[i+1:]...)...), true
				break
			}
		}
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && filepath.Ext(path) != ".nsf" {
		path += ".nsf"
	}
	if to, ok := readLink(path); ok {
		path, linked = to, true
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path, linked, nil
}

// below is the path relative to the data directory when it lies in it.
func (s *Server) below(path string) (string, bool) {
	rel, err := filepath.Rel(s.DataDir(), path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return rel, true
}

// readLink reads a link of Notes: one line of text, an absolute path.
func readLink(path string) (string, bool) {
	i, err := os.Stat(path)
	if err != nil || !i.Mode().IsRegular() || i.Size() == 0 || i.Size() >= 1024 {
		return "", false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	line = strings.TrimSpace(line)
	return filepath.Clean(line), filepath.IsAbs(line)
}

// do runs f under the lock unless ctx has ended.
func (s *Server) do(ctx context.Context, f func() error) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return s.locked(f)
}

// locked runs f under the lock.
func (s *Server) locked(f func() error) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return f()
}

// lockedAt is locked with the place of a database.
func (s *Server) lockedAt(db string, f func(path string) error) error {
	return s.locked(func() error {
		path, _, err := s.resolve(db)
		if err != nil {
			return err
		}
		return f(path)
	})
}

// lockedLog is locked with what the control file of the log says.
func (s *Server) lockedLog(f func(c *control) error) error {
	return s.locked(func() error {
		c, err := s.loadControl()
		if err != nil {
			return err
		}
		return f(c)
	})
}

// nextSerial numbers handles, contexts and backups. The high bit is set: a handle is not a small number, and whoever cuts it loses it.
func (s *Server) nextSerial() uint64 {
	s.serial++
	return 1<<31 | s.serial
}
