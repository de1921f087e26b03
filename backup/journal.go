package backup

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// journal records in the stage how far a run has come, so that a run whose process died can be completed without asking
// the application again. It is a file of JSON lines; a torn last line counts as not written.
type journal struct {
	mu   sync.Mutex
	f    *os.File
	size int64 // of the lines written whole
}

// record is one line; exactly one field is set.
type record struct {
	Run      *runRecord      `json:"run,omitempty"`
	Artifact *artifactRecord `json:"artifact,omitempty"`
	Spooled  *spooledRecord  `json:"spooled,omitempty"`
	Commit   *commitRecord   `json:"commit,omitempty"`
	Hashed   *commitRecord   `json:"hashed,omitempty"`
	Discard  *discardRecord  `json:"discard,omitempty"`
	Stored   *storedRecord   `json:"stored,omitempty"`
	Result   *resultRecord   `json:"result,omitempty"`
}

type runRecord struct {
	ID       ID                `json:"id"`
	Job      string            `json:"job"`
	Kind     Kind              `json:"kind"`
	Options  map[string]string `json:"options,omitempty"`
	Token    string            `json:"token"` // of the lease, proof that its holder was the process that wrote this
	Started  time.Time         `json:"started"`
	PartSize int64             `json:"part_size"`
	Suffix   string            `json:"suffix"`
	Boot     string            `json:"boot,omitempty"` // which start of the machine; see bootID
	App      string            `json:"app,omitempty"`  // the application; journals of the first versions do not say
}

type artifactRecord struct {
	N int `json:"n"`
	Artifact
	Key  string `json:"key"`
	File string `json:"file,omitempty"` // name in the stage, for an artifact that is one file
}

// spooledRecord says that a part lies complete in the stage. CRC is CRC-32C, against a file system that lost it in a power cut.
type spooledRecord struct {
	N    int    `json:"n"`
	Part int    `json:"part"`
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc"`
}

type commitRecord struct {
	N      int               `json:"n"`
	Size   int64             `json:"size"`
	SHA256 Digest            `json:"sha256"`
	Meta   map[string]string `json:"meta,omitempty"`
}

type discardRecord struct {
	N int `json:"n"`
}

type storedRecord struct {
	N    int `json:"n"`
	Part int `json:"part"`
	EntryPart
}

type resultRecord struct {
	Items    []Item            `json:"items"`
	Untaken  []string          `json:"untaken,omitempty"`
	Meta     map[string]string `json:"meta,omitempty"`
	Warnings []string          `json:"warnings,omitempty"`
	// Salvaged are the artifacts of a run whose source had not finished; all others of it count as discarded. Nil for a run whose source had.
	Salvaged []salvagedRecord `json:"salvaged,omitempty"`
}

// salvagedRecord is an artifact that a Salvager vouched for.
type salvagedRecord struct {
	N int `json:"n"`
	Artifact
	Size int64 `json:"size"`
}

const journalName = "journal.jsonl"

func createJournal(dir string, r runRecord) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, journalName), os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{f: f}
	return j, j.write(record{Run: &r})
}

// reopenJournal continues the journal of a run that is being resumed, cut to the bytes that were read from it.
func reopenJournal(dir string, valid int64) (*journal, error) {
	name := filepath.Join(dir, journalName)
	if err := os.Truncate(name, valid); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{f: f, size: valid}, nil
}

func (j *journal) write(r record) error {
	if j == nil {
		return nil // streaming: there is nothing to resume from
	}
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.f.Write(append(line, '\n'))
	if err != nil {
		// Half a line would hide all that follow it. When even this fails, what follows is lost with it.
		return fmt.Errorf("journal: %w", errors.Join(stageError(err), j.f.Truncate(j.size)))
	}
	j.size += int64(n)
	return nil
}

func (j *journal) sync() error {
	if j == nil {
		return nil
	}
	return j.f.Sync()
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return j.f.Close()
}

// readJournal yields the records of a stage to fn and returns how many bytes of the file they fill.
func readJournal(dir string, fn func(record) error) (valid int64, err error) {
	f, err := os.Open(filepath.Join(dir, journalName))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return valid, nil
		}
		if err != nil {
			return valid, err
		}
		var rec record
		if json.Unmarshal(line, &rec) != nil {
			return valid, nil // torn by a power cut; what follows is later than what was lost
		}
		if err := fn(rec); err != nil {
			return valid, err
		}
		valid += int64(len(line))
	}
}
