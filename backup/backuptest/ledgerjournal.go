package backuptest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// OpenLedger starts the Ledger kept in dir, or a new one there. The options must be the same every time. A process that is killed
// loses no event that an operation returned from; the disk is not asked to survive a power failure. Close it.
func OpenLedger(dir string, o *LedgerOptions) (*Ledger, error) {
	l := &Ledger{o: o.withDefaults(), failing: map[string]error{}}
	l.state = newState(l.o)
	name := filepath.Join(dir, "ledger.jsonl")
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("ledger: open: %w", err)
	}
	// A line without its end was being written when the process was killed: it never happened.
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	for line := range bytes.Lines(text) {
		var e event
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("ledger: open %s: event %d: %w", name, len(l.events), err)
		}
		l.state.apply(e)
		l.events = append(l.events, e)
	}
	l.journal, err = os.OpenFile(name, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger: open: %w", err)
	}
	if err := errors.Join(l.journal.Truncate(int64(len(text))), l.seekEnd()); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger: open: %w", err), l.journal.Close())
	}
	for _, db := range l.o.Databases[min(len(l.events), len(l.o.Databases)):] {
		if err := l.Create(db); err != nil {
			return nil, errors.Join(err, l.journal.Close())
		}
	}
	return l, nil
}

func (l *Ledger) seekEnd() error {
	_, err := l.journal.Seek(0, 2)
	return err
}

// Close ends the use of the Ledger's directory. A Ledger in memory need not be closed.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.journal == nil {
		return nil
	}
	return l.journal.Close()
}

// Attach gives db a file of its own that belongs to its content, such as a document store. It must not change while attached.
func (l *Ledger) Attach(db, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("ledger: attach to %s: %w", db, err)
	}
	return l.commit(event{Op: opAttach, DB: db, Path: path, File: fmt.Sprintf("%x", sha256.Sum256(text))})
}

// commit checks, records and applies an event.
func (l *Ledger) commit(e event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.commitLocked(e)
}

func (l *Ledger) commitLocked(e event) error {
	if err := l.state.check(e); err != nil {
		return err
	}
	e.Time = l.state.Now.Add(max(e.Duration, time.Second))
	if l.journal != nil {
		line, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("ledger: record %s: %w", e.Op, err)
		}
		if _, err := l.journal.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("ledger: record %s: %w", e.Op, err)
		}
	}
	l.events = append(l.events, e)
	l.state.apply(e)
	return nil
}
