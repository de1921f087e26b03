package dominosim

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// TakeOffline is NSFTakeDatabaseOffline with OFFLINE_NODELETE.
func (t *Thread) TakeOffline(ctx context.Context, name string, wait time.Duration) error {
	return t.unlocked(ctx, "NSFTakeDatabaseOffline", []string{name, wait.String()}, func() error {
		patience := time.NewTimer(wait)
		defer patience.Stop()
		for {
			err := t.p.s.do(ctx, func() error { return t.p.s.takeOffline(name) })
			if !errors.Is(err, notes.StatusDBInUse) {
				return err
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-patience.C:
				return err
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
}

func (s *Server) takeOffline(name string) error {
	path, _, err := s.resolve(name)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return notes.StatusNoExist
	}
	return s.update(path, func(st *state) error {
		switch {
		case st.is(stateOffline):
			return notes.StatusDBOffline
		case st.is(stateHeld | stateInBackup | stateCompacting | stateInPlace | stateLocked), s.opened[path] > 0:
			return notes.StatusDBInUse
		}
		st.set(stateOffline, true)
		return nil
	})
}

// BringOnline is NSFBringDatabaseOnline. A database that is online stays so.
func (t *Thread) BringOnline(ctx context.Context, name string) error {
	return t.call(ctx, "NSFBringDatabaseOnline", []string{name}, func() error {
		s := t.p.s
		path, _, err := s.resolve(name)
		if err != nil {
			return err
		}
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return notes.StatusNoExist
		}
		return s.update(path, func(st *state) error {
			if st.is(stateOffline) {
				st.set(stateOffline, false)
				st.lsn = 0 // what lies there now may be older, and is meant to be
			}
			return nil
		})
	})
}
