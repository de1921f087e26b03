package mssql

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/mssql"
)

// conformance asks the agent every rule of the contract. The suite's directories lie in the folder that the server sees.
func conformance(t *testing.T, s server) {
	local, _ := s.folder()
	t.Setenv("TMPDIR", local)
	n := 0
	backuptest.TestSource(t, func() (backuptest.Application, error) {
		n++
		return newSubject(s, n)
	})
}

// subject is a server with two databases of its own for one rule.
type subject struct {
	server  server
	names   []string
	sources []*mssql.Source

	mu     sync.Mutex
	change int
	past   map[string]bool
}

func newSubject(s server, n int) (*subject, error) {
	a := &subject{server: s, names: []string{named(fmt.Sprintf("a%d", n)), named(fmt.Sprintf("b%d", n))}, past: map[string]bool{}}
	ctx := context.Background()
	for _, name := range a.names {
		if err := errors.Join(s.drop(ctx, name), s.create(ctx, name, "FULL")); err != nil {
			return nil, err
		}
		for i := range 40 {
			if err := s.insert(ctx, name, fmt.Sprintf("%d %s", i, strings.Repeat("x", 1600))); err != nil {
				return nil, err
			}
		}
	}
	return a, a.remember(ctx)
}

func (a *subject) Source() backup.Source {
	src, err := mssql.New(a.server.dsn(), &mssql.Options{Include: a.names, Compression: mssql.CompressionOff})
	if err != nil {
		panic(err)
	}
	a.sources = append(a.sources, src)
	return src
}

// StageIn maps a directory of the suite to the name the server has for it.
func (a *subject) StageIn(dir string) backup.DirStager {
	local, remote := a.server.folder()
	rel, err := filepath.Rel(local, dir)
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		panic(err)
	}
	return stagerAt(dir, joinRemote(remote, strings.Split(filepath.ToSlash(rel), "/")...))
}

func (a *subject) remember(ctx context.Context) error {
	fp, err := a.Fingerprint(ctx)
	for part := range strings.SplitSeq(fp, ";") {
		a.past[part] = true
	}
	return err
}

func (a *subject) Mutate(ctx context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.change++
		for _, name := range a.names {
			if err := a.server.insert(ctx, name, fmt.Sprintf("change %d", a.change)); err != nil {
				return err
			}
		}
		if err := a.remember(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (a *subject) Fingerprint(ctx context.Context) (string, error) {
	fp := ""
	for _, name := range a.names {
		texts, err := a.server.contents(ctx, name)
		if err != nil {
			return "", err
		}
		fp += fmt.Sprintf("%s: %d, %.40s;", name, len(texts), texts[len(texts)-1])
	}
	return fp, nil
}

func (a *subject) Lose(ctx context.Context) error {
	for _, name := range a.names {
		if err := a.server.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (a *subject) Quiesced(ctx context.Context) error { return a.server.left(ctx) }

func (a *subject) Now(ctx context.Context) (time.Time, error) { return a.server.now(ctx) }

func (a *subject) Committed(_ context.Context, fp string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for part := range strings.SplitSeq(fp, ";") { // each database is consistent in itself, as at a moment of its own
		if !a.past[part] {
			return false, nil
		}
	}
	return true, nil
}

func (a *subject) AddItem(ctx context.Context) (string, error) {
	name := a.names[0] + "_more"
	if err := errors.Join(a.server.drop(ctx, name), a.server.create(ctx, name, "FULL"), a.server.insert(ctx, name, "first")); err != nil {
		return "", err
	}
	a.names = append(slices.Clone(a.names), name)
	return name, nil
}

func (a *subject) Close() error {
	var errs []error
	for _, src := range a.sources {
		errs = append(errs, src.Close())
	}
	return errors.Join(append(errs, a.Lose(context.Background()))...)
}
