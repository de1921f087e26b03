package domino

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// ahead is how many databases are noted at once, so that a tree of many small ones does not wait for the disk before each.
const ahead = 32

// marker is the durable note of what one run puts into backup: lines of JSON, the first naming the run, the others what is about to be begun and what has ended. Domino does not tell who put a database
// into backup; this does, though a name in it may not have been begun yet. Beginnings are on disk before NSFBackupStart is called. Ends need not be: to find a database that is no longer in backup
// does no harm.
type marker struct {
	path string

	mu    sync.Mutex
	f     *os.File
	noted map[string]bool
	begun map[string]bool // of those noted, for which Domino was called
}

// markerLine is one line of the note.
type markerLine struct {
	Format int       `json:"format,omitempty"`
	Job    string    `json:"job,omitempty"`
	ID     backup.ID `json:"id,omitempty"`
	Begin  []string  `json:"begin,omitempty"`
	End    string    `json:"end,omitempty"`
}

// short is a name that stands for a longer one.
func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func (s *capiSource) statePath(job, what string) string {
	return filepath.Join(s.opt.StateDir, "domino-"+short(s.opt.Instance+"\x00"+job)+"."+what)
}

func (s *capiSource) markerPath(job string) string { return s.statePath(job, "inbackup") }

// newMarker begins the note of a run, which takes over what an earlier one could not end.
func (s *capiSource) newMarker(req backup.Request, left []string) (*marker, error) {
	m := &marker{path: s.markerPath(req.Job), noted: map[string]bool{}, begun: map[string]bool{}}
	for _, n := range left {
		m.noted[n], m.begun[n] = true, true
	}
	var text []byte
	for _, l := range []markerLine{{Format: 1, Job: req.Job, ID: req.ID}, {Begin: left}} {
		line, err := json.Marshal(l)
		if err != nil {
			return nil, err
		}
		text = append(append(text, line...), '\n')
	}
	err := atomicfile.Write(m.path, text)
	if err == nil {
		m.f, err = os.OpenFile(m.path, os.O_APPEND|os.O_WRONLY, 0o600)
	}
	if err != nil {
		return nil, &backup.Error{Op: "note what goes into backup in", App: application, Instance: s.opt.Instance, Artifact: m.path, Err: err, Advice: adviceState}
	}
	return m, nil
}

func (m *marker) write(durably bool, line markerLine) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	if _, err := m.f.Write(append(text, '\n')); err != nil || !durably {
		return err
	}
	return m.f.Sync()
}

// announce notes databases that are about to be put into backup.
func (m *marker) announce(names []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var fresh []string
	for _, n := range names {
		if !m.noted[n] {
			fresh = append(fresh, n)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := m.write(true, markerLine{Begin: fresh}); err != nil {
		return err
	}
	for _, n := range fresh {
		m.noted[n] = true
	}
	return nil
}

// begin tells that a database that was announced is put into backup now.
func (m *marker) begin(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun[name] = true
}

// end notes that a database is not in backup by us.
func (m *marker) end(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.noted[name] {
		delete(m.noted, name)
		delete(m.begun, name)
		_ = m.write(false, markerLine{End: name}) // without it the next run looks at one database more
	}
}

// close removes the note when nothing is left in backup.
func (m *marker) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.f.Close(); err != nil || len(m.begun) > 0 {
		return err
	}
	return dropState(m.path)
}

func dropState(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// leftInBackup reads what a run of that job may have left in backup, and which run that was. A last line that is torn was never acted upon.
func (s *capiSource) leftInBackup(job string) (names []string, id backup.ID, err error) {
	f, err := os.Open(s.markerPath(job))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	open := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var l markerLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if lines.Scan() {
				return nil, "", fmt.Errorf("read the note of what is in backup, %s: %w", f.Name(), err)
			}
			break
		}
		if l.ID != "" {
			id = l.ID
		}
		for _, n := range l.Begin {
			open[n] = true
		}
		delete(open, l.End)
	}
	for n := range open {
		names = append(names, n)
	}
	slices.Sort(names)
	return names, id, lines.Err()
}

// syncDir makes names in a directory durable. One that is gone has none.
func syncDir(dir string) error {
	if err := atomicfile.SyncDir(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
