package exchange

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// marker is the durable note of what one run may leave behind when it dies. It is on disk before anything is made that outlives the process.
type marker struct {
	path string

	mu   sync.Mutex
	text markerText
}

type markerText struct {
	Format int       `json:"format"`
	Job    string    `json:"job"`
	ID     backup.ID `json:"id"`
	Way    Way       `json:"way"`
	// Shadow is what Shadows.Remove needs to end the snapshot; empty: none was begun.
	Shadow []byte `json:"shadow,omitempty"`
}

const markerFormat = 1

// markPath is where the agent keeps something of a job in its state directory.
func (s *Source) markPath(job, what string) string {
	sum := sha256.Sum256([]byte(s.opt.Instance + "\x00" + job))
	return filepath.Join(s.opt.StateDir, "exchange-"+hex.EncodeToString(sum[:8])+"."+what)
}

func (s *Source) workDir(job string) string  { return s.markPath(job, "work") }
func (s *Source) stateDir(job string) string { return s.markPath(job, "systemstate") }

// newMarker begins the note of a run.
func (s *Source) newMarker(req backup.Request, way Way) (*marker, error) {
	m := &marker{path: s.markPath(req.Job, "open.json"), text: markerText{Format: markerFormat, Job: req.Job, ID: req.ID, Way: way}}
	if err := m.write(); err != nil {
		return nil, &backup.Error{Op: "note what is begun in", App: application, Instance: s.opt.Instance, Artifact: m.path, Err: err,
			Advice: "let the state directory be one that this process may write to, with room"}
	}
	return m, nil
}

func (m *marker) write() error {
	text, err := json.Marshal(m.text)
	if err != nil {
		return err
	}
	return atomicfile.Write(m.path, text)
}

// note keeps what ends a snapshot.
func (m *marker) note(shadow []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.text.Shadow = shadow
	return m.write()
}

// drop removes the note: nothing is left.
func (m *marker) drop() error {
	err := os.Remove(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, atomicfile.SyncDir(filepath.Dir(m.path)))
}

// leftOpen reads the note that a dead run of the job left; nil: there is none.
func (s *Source) leftOpen(job string) (*marker, error) {
	m := &marker{path: s.markPath(job, "open.json")}
	text, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no note is the normal case
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &m.text); err != nil {
		return nil, damaged("%s: %v", m.path, err)
	}
	if m.text.Format != markerFormat {
		return nil, fmt.Errorf("%s: format %d is not known to this version", m.path, m.text.Format)
	}
	return m, nil
}

// makeWorkDir makes the folder for the scripts of a snapshot.
func (r *run) makeWorkDir() error {
	dir := r.s.workDir(r.req.Job)
	if err := removeDir(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}
