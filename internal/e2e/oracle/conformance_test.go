package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/oracle"
)

// conformance asks the agent every rule of the contract. Each rule has the server in its first state. The suite's directories lie in the folder that the server sees.
func conformance(t *testing.T, s server, mode oracle.Mode) {
	g, real := s.(*genuine)
	switch {
	case !here(s):
		t.Skip("the agent is not on the machine of the database, where it restores")
	case real && os.Getenv("QUIESCE_ORACLE_CONFORMANCE") != "1":
		t.Skip("QUIESCE_ORACLE_CONFORMANCE is not 1: on a genuine server the suite takes hours")
	}
	local, _ := s.shared()
	t.Setenv("TMPDIR", local)
	backuptest.TestSource(t, func() (backuptest.Application, error) {
		var fresh server
		if real {
			fresh = g.fresh(t)
		} else {
			fresh = startSimulator(t)
		}
		return newSubject(fresh, mode)
	})
}

// subject is a database for one rule.
type subject struct {
	server  server
	mode    oracle.Mode
	state   string
	sources []*oracle.Source

	mu     sync.Mutex
	change int
}

func newSubject(s server, mode oracle.Mode) (*subject, error) {
	state, err := os.MkdirTemp("", "state")
	if err != nil {
		return nil, err
	}
	a := &subject{server: s, mode: mode, state: state}
	return a, s.insert(context.Background(), "first")
}

func (a *subject) Source() backup.Source {
	_, remote := a.server.shared()
	src, err := a.server.agent(oracle.Options{Mode: a.mode, StateDir: a.state, ScratchDir: remote + "/scratch"})
	if err != nil {
		panic(err)
	}
	a.sources = append(a.sources, src)
	return executing{src}
}

// executing restores as an operator does who wants the database open at the end.
type executing struct{ *oracle.Source }

func (e executing) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	r.Options = maps.Clone(r.Options)
	if r.Options == nil {
		r.Options = map[string]string{}
	}
	r.Options["execute"], r.Options["open"] = "sqlplus", "resetlogs"
	return e.Source.Restore(ctx, r, set)
}

func (a *subject) Mutate(ctx context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.change++
		if err := a.server.insert(ctx, fmt.Sprintf("change %d", a.change)); err != nil {
			return err
		}
	}
	return nil
}

func (a *subject) Fingerprint(ctx context.Context) (string, error) {
	texts, err := a.server.contents(ctx)
	if err != nil || len(texts) == 0 {
		return "", err
	}
	return fmt.Sprintf("%d rows, last %s", len(texts), texts[len(texts)-1]), nil
}

// Lose removes what an earlier restore has left beside the files too: a second one would find it in its way.
func (a *subject) Lose(ctx context.Context) error {
	controls, err := a.server.query(ctx, "SELECT NAME FROM V$CONTROLFILE")
	if err != nil {
		return err
	}
	if err := a.server.lose(ctx); err != nil {
		return err
	}
	for _, name := range controls {
		if err := a.server.remove(ctx, path.Join(path.Dir(name), "restore")); err != nil {
			return err
		}
	}
	return nil
}

func (a *subject) Quiesced(ctx context.Context) error {
	active, err := a.server.query(ctx, "SELECT FILE# FROM V$BACKUP WHERE STATUS = 'ACTIVE'")
	if err == nil && len(active) > 0 {
		err = fmt.Errorf("data files are in backup mode: %v", active)
	}
	if err != nil {
		return err
	}
	local, _ := a.server.shared()
	left, err := filepath.Glob(filepath.Join(local, "scratch", "*"))
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("files are left in the scratch folder: %v", left)
	}
	return err
}

func (a *subject) Now(ctx context.Context) (time.Time, error) { return a.server.now(ctx) }

func (a *subject) Close() error {
	var errs []error
	for _, src := range a.sources {
		errs = append(errs, src.Close())
	}
	return errors.Join(append(errs, os.RemoveAll(a.state))...)
}
