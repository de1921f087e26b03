package backup_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// Every place in the log that a plan reaches gives the state before or after that transaction: in all, each state that was.
func TestEveryPositionGivesTheStateThatWas(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprint("shared=", shared), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, false)
			w.l = backuptest.NewLedger(&backuptest.LedgerOptions{SharedLog: shared})
			first := w.backup(t, backup.Full)
			for _, kind := range []backup.Kind{backup.Log, backup.Log, backup.Log} {
				w.backup(t, kind)
			}
			require.NoError(t, w.l.Mutate(3)) // what no backup has

			last, err := w.pipeline(t).History(t.Context())
			require.NoError(t, err)
			from, ok := first.Item("shop")
			require.True(t, ok)
			until := last[len(last)-1].Items[0].Window.To
			var were []string // the states of shop from the first full to the last log
			for _, m := range w.l.Moments() {
				if s := shopAt(w.l.At(m)); !m.Before(from.Window.To) && !m.After(until) && (len(were) == 0 || were[len(were)-1] != s) {
					were = append(were, s)
				}
			}
			require.Greater(t, len(were), 10)

			// Into another Ledger.
			into := backuptest.NewLedger(&backuptest.LedgerOptions{SharedLog: shared, Databases: []string{}})
			w.source = into.Source(nil)
			p := w.pipeline(t)
			shop := backup.Target{Select: []backup.Selection{{Name: "shop"}}}
			var got []string
			refused := map[backup.Cause]bool{}
			for n := 1; n < 60; n++ {
				for _, side := range []string{"", "+"} {
					to, err := p.Locate(t.Context(), shop, fmt.Sprintf("tx:%d%s", n, side))
					require.NoError(t, err)
					plan, err := p.Plan(t.Context(), to)
					if err != nil {
						require.ErrorIs(t, err, backup.ErrRefused)
						refused[plan.Refused[0].Cause] = true
						continue
					}
					require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true}), plan.Text())
					if s := shopAt(into.Current()); len(got) == 0 || got[len(got)-1] != s {
						got = append(got, s)
					}
				}
			}
			assert.Equal(t, were, got)
			assert.Equal(t, map[backup.Cause]bool{backup.CauseTooOld: true, backup.CauseTooNew: true}, refused)
		})
	}
}

func shopAt(b backuptest.Books) string { return b.Only("shop").Fingerprint() }

// located is a source whose Locator answers as it is told, and which cannot stop at positions.
type located struct {
	*files
	to  backup.Target
	err error
}

func (l located) Locate(context.Context, backup.History, string, string) (backup.Target, error) {
	return l.to, l.err
}

func TestPlacesThatAreNone(t *testing.T) {
	t.Parallel()
	mem := backuptest.NewMemSink()
	all := backup.Target{Select: []backup.Selection{{Name: "all", As: "other"}}, MinProof: backup.ProofBytes}
	src := located{files: &files{content: map[string][]byte{"a": []byte("a")}}}
	with := func(src backup.Source) *backup.Pipeline { return newPipeline(t, backup.Config{Source: src, Sink: mem}) }
	m, err := with(src).Backup(t.Context(), backup.Full)
	require.NoError(t, err)

	_, err = with(src.files).Locate(t.Context(), all, "mark:x")
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = with(src).Locate(t.Context(), backup.Target{}, "mark:x")
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "select exactly one item")
	_, err = with(src).Locate(t.Context(), all, "mark:x")
	require.ErrorIs(t, err, backup.ErrNoBackup, "no place is not the latest state")
	src.err = backup.ErrOption
	_, err = with(src).Locate(t.Context(), all, "mork:x")
	require.ErrorIs(t, err, backup.ErrOption)
	src.err, src.to = nil, backup.Target{ID: m.ID, Select: []backup.Selection{{Name: "something else"}}}
	got, err := with(src).Locate(t.Context(), all, "mark:x")
	require.NoError(t, err)
	assert.Equal(t, backup.Target{ID: m.ID, Select: all.Select, MinProof: all.MinProof}, got)
}

// An agent that knows nothing of positions would restore the whole link. It is not asked.
func TestPositionsAreForSourcesThatStopThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	full := w.backup(t, backup.Full)
	w.backup(t, backup.Log)
	it, ok := full.Item("shop")
	require.True(t, ok)
	to := backup.Target{Position: it.End, After: true, Select: []backup.Selection{{Name: "shop"}}}
	src := &switches{LedgerSource: w.l.Source(nil)}
	w.source = blind{src}
	p := w.pipeline(t)
	plan, err := p.Plan(t.Context(), to)
	require.NoError(t, err)
	for name, do := range map[string]func() error{
		"restore":  func() error { return p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true}) },
		"script":   func() error { return p.Script(t.Context(), plan, backup.RestoreOptions{}, io.Discard) },
		"rehearse": func() error { return p.Rehearse(t.Context(), plan, t.TempDir(), backup.RestoreOptions{}) },
	} {
		calls := w.l.Calls()
		err := do()
		require.ErrorIs(t, err, errors.ErrUnsupported, name)
		assert.ErrorContains(t, err, "cannot stop at a position")
		assert.Equal(t, calls, w.l.Calls(), "the application was touched by %s", name)
	}
	require.NoError(t, p.Fetch(t.Context(), plan, t.TempDir()), "files are files")
}

// blind knows nothing of positions.
type blind struct{ *switches }

func (blind) Script(context.Context, backup.RestoreRequest, *backup.RestoreSet, io.Writer) error {
	return errors.New("asked for a script")
}

func (b blind) Describe() backup.Description {
	d := b.switches.Describe()
	d.Positions = false
	return d
}
