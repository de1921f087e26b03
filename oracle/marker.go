package oracle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// beginWindow is how long after the note a file may have gone into backup mode and still count as ours, when the process died before it could see the answer of BEGIN BACKUP:
// that statement waits for a checkpoint.
const beginWindow = time.Hour

// marker is the durable note of what one run puts into backup mode. V$BACKUP does not say who began; the note does: it is on disk before BEGIN BACKUP is sent, and it is amended
// with the SCN of each file once the server has answered. It lives beside the agent, not in the database, because it must be readable when the database is not open, and a backup
// has no business creating tables.
type marker struct {
	Format int       `json:"format"`
	Job    string    `json:"job"`
	ID     backup.ID `json:"id"`
	DBID   uint64    `json:"dbid"`
	// Scope is what was begun: a tablespace, or all of the database when it is empty.
	Scope string `json:"tablespace,omitempty"`
	// SCN and At are the server's, before BEGIN BACKUP was sent.
	SCN SCN       `json:"scn"`
	At  time.Time `json:"at"`
	// Files are those of the scope, none of which was in backup mode then.
	Files []int `json:"files"`
	// Begun has the CHANGE# of each file in V$BACKUP; nil until the server has answered.
	Begun map[int]SCN `json:"begun,omitempty"`
}

// owns reports whether the marker proves that it was us who put the file into backup mode.
func (m *marker) owns(file int, b backupState) bool {
	if m.Begun != nil {
		change, ok := m.Begun[file]
		return ok && change == b.change
	}
	for _, f := range m.Files {
		if f == file {
			return b.change >= m.SCN && !b.at.After(m.At.Add(beginWindow))
		}
	}
	return false
}

// markers keeps the note of one job and database.
type markers struct{ path string }

func (s *Source) markersOf(job string, dbid uint64) markers {
	return markers{filepath.Join(s.opt.StateDir, fmt.Sprintf("oracle-%s-%d.json", short(job, 16), dbid))}
}

// short is a name that stands for a longer one.
func short(text string, digits int) string {
	sum := sha256.Sum256([]byte(text))
	return strings.ToUpper(hex.EncodeToString(sum[:]))[:digits]
}

// load returns the note, or nil when there is none.
func (k markers) load() (*marker, error) {
	text, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m := &marker{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read the note of what is in backup mode, %s: %w", k.path, err)
	}
	return m, nil
}

// save makes the note durable: whole or not at all, whatever dies.
func (k markers) save(m *marker) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(k.path, append(text, '\n')); err != nil {
		return &backup.Error{Op: "note what goes into backup mode in", App: application, Artifact: k.path, Err: err, Advice: "let Options.StateDir be a directory that this process may write to, with room"}
	}
	return nil
}

// drop removes the note.
func (k markers) drop() error {
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(k.path))
}

// syncDir makes names in a directory durable. One that is gone has none.
func syncDir(dir string) error {
	if err := atomicfile.SyncDir(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
