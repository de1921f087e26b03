package dominosim

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Flags of a database's state.
const (
	stateInBackup   = 1 << iota
	stateStopped    // NSFBackupStop was called
	stateOffline    // taken offline
	stateHeld       // somebody uses it
	stateCompacting // by a copy
	stateInPlace    // compacted in place
	stateLocked     // replicated or copied elsewhere
)

const stateSize = 64

// state is what the server knows of a database beside its file: one small file each, so that other processes see it too.
type state struct {
	path   string // of the database, absolute
	flags  uint32
	size   uint64 // of the backup
	read   uint64 // the high water mark
	serial uint64 // of the backup
	lsn    uint64 // the last one seen
	dbiid  notes.UNID
}

func (s *state) is(flag uint32) bool { return s.flags&flag != 0 }

func (s *state) set(flag uint32, on bool) {
	s.flags &^= flag
	if on {
		s.flags |= flag
	}
}

// stateFile is where the state of a database is kept; changesFile where its before-images are.
func (s *Server) stateFile(path string) string {
	return filepath.Join(s.simDir(), pathHash(path)+".st")
}
func (s *Server) changesFile(path string) string {
	return filepath.Join(s.simDir(), pathHash(path)+".chg")
}

func pathHash(path string) string {
	h := fnv.New64a()
	h.Write([]byte(path))
	return fmt.Sprintf("%016x", h.Sum64())
}

func (s *Server) loadState(path string) (*state, error) {
	b, err := os.ReadFile(s.stateFile(path))
	if errors.Is(err, fs.ErrNotExist) {
		return &state{path: path}, nil
	}
	if err != nil {
		return nil, err
	}
	return parseState(b)
}

func parseState(b []byte) (*state, error) {
	if len(b) < stateSize || string(b[:4]) != "QST1" || stateSize+int(le.Uint32(b[56:])) != len(b) {
		return nil, errors.New("dominosim: state file is damaged")
	}
	return &state{
		path: string(b[stateSize:]), flags: le.Uint32(b[4:]), size: le.Uint64(b[8:]), read: le.Uint64(b[16:]), serial: le.Uint64(b[24:]), lsn: le.Uint64(b[32:]), dbiid: notes.UNID(b[40:56]),
	}, nil
}

func (s *Server) saveState(st *state) error {
	b := make([]byte, stateSize)
	copy(b, "QST1")
	le.PutUint32(b[4:], st.flags)
	le.PutUint64(b[8:], st.size)
	le.PutUint64(b[16:], st.read)
	le.PutUint64(b[24:], st.serial)
	le.PutUint64(b[32:], st.lsn)
	copy(b[40:], st.dbiid[:])
	le.PutUint32(b[56:], uint32(len(st.path)))
	return os.WriteFile(s.stateFile(st.path), append(b, st.path...), 0o600)
}

// states are those of all databases the server has seen.
func (s *Server) states() ([]*state, error) {
	names, err := filepath.Glob(filepath.Join(s.simDir(), "*.st"))
	if err != nil {
		return nil, err
	}
	var all []*state
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		st, err := parseState(b)
		if err != nil {
			return nil, err
		}
		all = append(all, st)
	}
	return all, nil
}

// update changes the state of a database under the server's lock.
func (s *Server) update(path string, change func(*state) error) error {
	st, err := s.loadState(path)
	if err != nil {
		return err
	}
	if err := change(st); err != nil {
		return err
	}
	return s.saveState(st)
}
