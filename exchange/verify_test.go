package exchange_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
)

// kept is an artifact with its content.
type kept struct {
	backup.Artifact
	body []byte
}

// replay is a Source that takes what it was given, and verifies by the agent.
type replay struct {
	*exchange.Source
	items []backup.Item
	kept  []kept
}

func (r *replay) Backup(ctx context.Context, _ backup.Request, st *backup.Stage) (backup.Result, error) {
	for _, a := range r.kept {
		w, err := st.Create(ctx, a.Artifact)
		if err != nil {
			return backup.Result{}, err
		}
		if _, err := w.Write(a.body); err != nil {
			return backup.Result{}, errors.Join(err, w.Close())
		}
		if err := w.Commit(); err != nil {
			return backup.Result{}, err
		}
	}
	return backup.Result{Items: r.items, Meta: map[string]string{"way": "vss"}}, nil
}

func (r *replay) Check(context.Context, backup.StageDir) []backup.Finding { return nil }

func (r *replay) Recover(context.Context, string, backup.History) error { return nil }

func (r *replay) Estimate(context.Context, backup.Request) (int64, error) { return 0, nil }

// Restore only looks.
func (r *replay) Restore(ctx context.Context, _ backup.RestoreRequest, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		for _, e := range step.Entries {
			in, err := set.Open(ctx, step, e)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(in)
			if err := errors.Join(err, in.Close()); err != nil {
				return err
			}
			r.kept = append(r.kept, kept{e.Artifact, body})
		}
	}
	return nil
}

// read fetches the artifacts of one group of a backup.
func (j *job) read(m *backup.Manifest, group string) []kept {
	j.l.t.Helper()
	r := &replay{Source: j.l.source()}
	p, err := backup.New(backup.Config{Job: "mail", Source: r, Sink: j.sink, PartSize: 64 << 10, Workers: 2})
	require.NoError(j.l.t, err)
	plan, err := p.Plan(context.Background(), backup.Target{ID: m.ID, Select: []backup.Selection{{Name: group}}})
	require.NoError(j.l.t, err)
	require.NoError(j.l.t, p.Restore(context.Background(), plan, backup.RestoreOptions{}))
	return r.kept
}

// verify stores an item with its artifacts as another backup and verifies that.
func (l *lab) verify(it backup.Item, artifacts []kept) error {
	l.t.Helper()
	r := &replay{Source: l.source(), items: []backup.Item{it}, kept: artifacts}
	p, err := backup.New(backup.Config{Job: "mail", Source: r, Sink: backuptest.NewMemSink(), PartSize: 64 << 10, Workers: 2})
	require.NoError(l.t, err)
	_, err = p.Backup(context.Background(), backup.Full)
	require.NoError(l.t, err)
	rep, err := p.Verify(context.Background(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(l.t, err)
	return rep.Err()
}

// Verify finds what is missing and what was exchanged, not only what was changed.
func TestVerify(t *testing.T) {
	t.Parallel()
	for _, s := range []server{{2003, exchange.WayESE}, {2007, exchange.WayVSS}, {2019, exchange.WayVSS}} {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			l := s.lab(t)
			j := l.job()
			l.fill(70)
			m := j.take(backup.Full)
			group, other := l.groups()[0], l.groups()[1]
			it, good := item(t, m, group), j.read(m, group)
			it2, foreign := item(t, m, other), j.read(m, other)
			require.NoError(t, l.verify(it, good))
			is := func(kind string) func(kept) bool { return func(a kept) bool { return a.Meta["kind"] == kind } }
			without := func(which func(kept) bool) []kept { return slices.DeleteFunc(slices.Clone(good), which) }
			last := func(kind string) int {
				n := -1
				for i, a := range good {
					if a.Meta["kind"] == kind {
						n = i
					}
				}
				return n
			}
			changed := func(n int, body []byte, sums map[string]string) []kept {
				out := slices.Clone(good)
				out[n].body = body
				out[n].Meta = map[string]string{}
				for k, v := range good[n].Meta {
					out[n].Meta[k] = v
				}
				for k, v := range sums {
					out[n].Meta[k] = v
				}
				return out
			}
			for i, a := range good {
				if a.Meta["kind"] == "chk" {
					continue
				}
				body := slices.Clone(a.body)
				body[len(body)*2/3] ^= 4
				require.ErrorIs(t, l.verify(it, changed(i, body, nil)), backup.ErrCorrupt, "a bit in %s", a.Name)
			}
			theirs := foreign[slices.IndexFunc(foreign, is("log"))]
			wrong := it
			wrong.Stream = it2.Stream
			for name, c := range map[string]struct {
				it   backup.Item
				kept []kept
				want string
			}{
				"no logs":                      {it, without(is("log")), ""},
				"without its last log":         {it, without(func(a kept) bool { return a.Name == good[last("log")].Name }), ""},
				"without a database":           {it, without(func(a kept) bool { return a.Name == good[0].Name }), "missing"},
				"without its note":             {it, without(is("note")), "group.json is missing"},
				"with a log of another group":  {it, changed(last("log"), theirs.body, map[string]string{"size": theirs.Meta["size"], "crc32c": theirs.Meta["crc32c"]}), ""},
				"said to be of another series": {wrong, good, ""},
			} {
				err := l.verify(c.it, c.kept)
				require.ErrorIs(t, err, backup.ErrCorrupt, name)
				assert.ErrorContains(t, err, c.want, name)
			}
		})
	}
}

// A link must begin where it says, and have all logs from there.
func TestVerifyLinks(t *testing.T) {
	t.Parallel()
	l := server{2019, exchange.WayVSS}.lab(t)
	j := l.job()
	l.fill(70)
	j.take(backup.Full)
	l.fill(150)
	link := j.take(backup.Log)
	it := item(t, link, "DB01")
	artifacts := j.read(link, "DB01")
	artifacts = artifacts[len(artifacts)-it.Artifacts:] // those behind are of the full
	require.NoError(t, l.verify(it, artifacts))
	require.ErrorContains(t, l.verify(it, artifacts[1:]), "it begins with log")
	require.ErrorContains(t, l.verify(it, slices.Delete(slices.Clone(artifacts), 1, 2)), "missing")
	early := it
	early.Begin = "0000000001"
	require.ErrorIs(t, l.verify(early, artifacts), backup.ErrCorrupt)
}
