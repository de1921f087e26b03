package exchange_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// copied is a backup in memory.
type copied struct {
	manifest backup.Manifest
	item     backup.Item
	entries  []backup.Entry
	bytes    map[string][]byte
}

// copyist is an agent that copies what it is told to restore, so that a test can change it.
type copyist struct {
	*exchange.Source
	steps []copied
}

func (c *copyist) Restore(ctx context.Context, _ backup.RestoreRequest, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		s := copied{manifest: *step.Manifest, item: step.Item, entries: step.Entries, bytes: map[string][]byte{}}
		for _, e := range step.Entries {
			in, err := set.Open(ctx, step, e)
			if err != nil {
				return err
			}
			if s.bytes[e.Name], err = io.ReadAll(in); err != nil {
				return err
			}
			if err := in.Close(); err != nil {
				return err
			}
		}
		c.steps = append(c.steps, s)
	}
	return nil
}

// author makes a backup of what was copied.
type author struct {
	*exchange.Source
	next copied
}

func (a *author) Backup(ctx context.Context, _ backup.Request, st *backup.Stage) (backup.Result, error) {
	for _, e := range a.next.entries {
		w, err := st.Create(ctx, e.Artifact)
		if err != nil {
			return backup.Result{}, err
		}
		_, err = w.Write(a.next.bytes[e.Name])
		if err == nil {
			err = w.Commit()
		}
		if err != nil {
			return backup.Result{}, err
		}
	}
	it := a.next.item
	it.Artifacts, it.Parts, it.Bytes = 0, 0, 0
	return backup.Result{Items: []backup.Item{it}, Meta: a.next.manifest.Meta}, nil
}

// A plan as it should not be: a log is missing, another has been exchanged. It is refused with the names, and before anything is touched when what the backups say of themselves tells it.
func TestDamagedChainsAreRefused(t *testing.T) {
	t.Parallel()
	const second, third = "DB1/E0000000003.log", "DB1/E0000000004.log"
	drop := func(name string) func(*copied) {
		return func(c *copied) {
			var kept []backup.Entry
			for _, e := range c.entries {
				if e.Name != name {
					kept = append(kept, e)
				}
			}
			c.entries = kept
		}
	}
	annotate := func(name, key, value string) func(*copied) {
		return func(c *copied) {
			for i, e := range c.entries {
				if e.Name == name {
					meta := map[string]string{}
					for k, v := range e.Meta {
						meta[k] = v
					}
					meta[key] = value
					c.entries[i].Meta = meta
				}
			}
		}
	}
	for name, c := range map[string]struct {
		change func(*copied)
		is     error
		says   string
	}{
		"as it was":                     {},
		"a log is missing":              {change: drop(second), is: backup.ErrChainBroken, says: "the logs of generation 0x3 are not in the backups of this plan, and E0000000004.log, which is, comes after them"},
		"a log says that it is foreign": {change: annotate(third, "signature", strings.Repeat("0", 56)), is: backup.ErrChainBroken, says: "E0000000004.log"},
		"a log continues another":       {change: annotate(third, "previous", strings.Repeat("01", 8)), is: backup.ErrChainBroken, says: "E0000000004.log does not continue E0000000003.log"},
		"a log is not what it says": {change: func(c *copied) {
			if c.bytes[third] != nil {
				c.bytes[third] = c.bytes[second]
			}
		}, is: backup.ErrChainBroken, says: "E00.log"},
		"a log is damaged": {change: func(c *copied) {
			if b := c.bytes[second]; b != nil {
				b[5000] ^= 3
			}
		}, is: backup.ErrCorrupt, says: "E0000000003.log"},
		"a log does not say its generation": {change: annotate(second, "generation", "many"), is: backup.ErrCorrupt, says: `generation "many"`},
		"a database needs more":             {change: annotate("DB1/DB1.edb", "required", "1-9"), is: backup.ErrChainBroken, says: `it needs the logs of generation 0x1 to 0x9, and the plan has`},
		"the way is unknown":                {change: func(c *copied) { c.manifest.Meta = map[string]string{"way": "teleport"} }, is: backup.ErrRefused, says: "teleport"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := prepared(t, 2019, exchange.WayVSS, databases("DB1"))
			for i := range 3 {
				l.write("DB1", "DB1", "k", fmt.Sprint("r", i))
				require.NoError(t, l.sim.Rotate("DB1"))
			}
			l.take(backup.Log)
			opt := l.opt
			opt.Tools = l.sim.Tools()
			s, err := exchange.New(&opt)
			require.NoError(t, err)
			reader := &copyist{Source: s}
			p, err := backup.New(backup.Config{Job: "mail", Source: reader, Sink: l.sink})
			require.NoError(t, err)
			_, err = l.restoreBy(p, backup.Target{}, backup.RestoreOptions{})
			require.NoError(t, err)
			require.Len(t, reader.steps, 3)

			l.sink = backuptest.NewMemSink()
			for _, step := range reader.steps {
				if c.change != nil {
					c.change(&step)
				}
				writer, err := backup.New(backup.Config{Job: "mail", Source: &author{s, step}, Sink: l.sink, Now: l.clock.now})
				require.NoError(t, err)
				_, err = writer.Backup(t.Context(), step.item.Kind)
				require.NoError(t, err)
			}
			before := content(t, l.sim.Dir())
			_, err = l.restore(backup.Target{}, inPlace())
			if c.is == nil {
				require.NoError(t, err)
				assert.Equal(t, "r2", l.k("DB1"))
				return
			}
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
			assert.Equal(t, before, content(t, l.sim.Dir()))
			assert.Equal(t, "r2", l.k("DB1"))
		})
	}
}

func TestRestoreOfASystemState(t *testing.T) {
	t.Parallel()
	for version, command := range map[int]string{2003: "ntbackup", 2016: "wbadmin start systemstaterecovery -version:VERSION"} {
		l := newRestoreLab(t, version, exchange.WayVSS, databases("DB1"))
		l.opt.SkipSystemState = false
		l.write("DB1", "DB1", "k", "1")
		l.take(backup.Full)
		_, err := l.restore(backup.Target{Select: only("system state", "")}, backup.RestoreOptions{})
		require.ErrorIs(t, err, backup.ErrRefused)
		require.ErrorContains(t, err, "is not replaced by copying files")
		dir := t.TempDir()
		options := backup.RestoreOptions{Options: map[string]string{"to": dir}}
		told, err := l.restore(backup.Target{Select: only("system state", "")}, options)
		require.NoError(t, err)
		assert.Contains(t, told, command)
		files := content(t, filepath.Join(dir, "system state"))
		assert.NotEmpty(t, files)
		for name, text := range files {
			assert.Contains(t, text, name+" of EXCH1")
		}
		_, err = l.restore(backup.Target{Select: only("system state", "")}, options)
		require.ErrorIs(t, err, backup.ErrExists)
		options.Overwrite = true
		_, err = l.restore(backup.Target{Select: only("system state", "")}, options)
		require.NoError(t, err)
		assert.Equal(t, files, content(t, filepath.Join(dir, "system state")))
		assert.Len(t, content(t, dir), len(files), "nothing else is left")

		options = backup.RestoreOptions{Options: map[string]string{"to": t.TempDir()}}
		_, err = l.restore(backup.Target{}, options)
		require.NoError(t, err)
		assert.NoDirExists(t, filepath.Join(options.Options["to"], "system state"), "it is restored only by its name")
	}
}

func TestRehearsal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version int
		way     exchange.Way
	}{{2003, exchange.WayESE}, {2007, exchange.WayVSS}, {2019, exchange.WayVSS}} {
		t.Run(fmt.Sprint(c.version, c.way), func(t *testing.T) {
			t.Parallel()
			groups := restoreGroups()
			if c.version >= 2010 {
				groups = databases("DB1", "DB2")
			}
			l := prepared(t, c.version, c.way, groups)
			p := l.job()
			plan, err := p.Plan(t.Context(), backup.Target{})
			require.NoError(t, err)
			scratch := filepath.Join(t.TempDir(), "scratch")
			before := content(t, l.sim.Dir())
			require.NoError(t, p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{}))
			assert.NoDirExists(t, scratch)
			after := content(t, l.sim.Dir())
			for name := range after {
				assert.Contains(t, before, name, "the server is left alone")
			}
			h, err := p.History(t.Context())
			require.NoError(t, err)
			for _, b := range h {
				assert.Equal(t, backup.ProofRestored, b.Proof, b.ID)
			}

			err = p.Rehearse(t.Context(), plan, "relative", backup.RestoreOptions{})
			require.ErrorIs(t, err, backup.ErrRefused)
			err = p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{Options: map[string]string{"to": "/x"}})
			require.ErrorIs(t, err, backup.ErrOption)
		})
	}
	t.Run("after one that died", func(t *testing.T) {
		t.Parallel()
		l := prepared(t, 2019, exchange.WayVSS, databases("DB1"))
		p := l.job()
		plan, err := p.Plan(t.Context(), backup.Target{})
		require.NoError(t, err)
		scratch, left, state := t.TempDir(), t.TempDir(), t.TempDir()
		l.sim.SetFault(func(c exchangesim.Call) error {
			if c.Name == "Engine.Recover" && !c.After {
				image(t, scratch, left)
				image(t, l.opt.StateDir, state)
			}
			return nil
		})
		require.NoError(t, p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{}))
		l.sim.SetFault(nil)
		assert.NotEmpty(t, content(t, left))
		image(t, left, scratch)
		image(t, state, l.opt.StateDir)
		require.NoError(t, p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{}))
		assert.Empty(t, content(t, scratch))

		own := filepath.Join(scratch, "quiesce-rehearsal", "of somebody")
		require.NoError(t, os.MkdirAll(filepath.Dir(own), 0o700))
		require.NoError(t, os.WriteFile(own, nil, 0o600))
		require.ErrorIs(t, p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{}), backup.ErrRefused)
		assert.FileExists(t, own)
	})
	t.Run("on a machine without the tools", func(t *testing.T) {
		t.Parallel()
		for way, says := range map[exchange.Way]string{exchange.WayESE: "has no streaming API", exchange.WayVSS: "nothing that recovers databases"} {
			l := prepared(t, 2007, way, databases("DB1"))
			p := l.jobOf(l.opt)
			plan, err := p.Plan(t.Context(), backup.Target{})
			require.NoError(t, err)
			scratch := filepath.Join(t.TempDir(), "scratch")
			err = p.Rehearse(t.Context(), plan, scratch, backup.RestoreOptions{})
			require.ErrorIs(t, err, backup.ErrRefused)
			require.ErrorContains(t, err, says)
			assert.NoDirExists(t, scratch)

			dir := t.TempDir() // the files can be had, and what to do with them is told
			told, err := l.restoreBy(p, backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": dir, "recover": "none"}})
			require.NoError(t, err)
			assert.FileExists(t, filepath.Join(dir, "DB1", "DB1.edb"))
			assert.NotEmpty(t, content(t, filepath.Join(dir, "DB1", "logs")))
			assert.Contains(t, told, map[exchange.Way]string{exchange.WayESE: "which only a server of their version recovers", exchange.WayVSS: "eseutil /r"}[way])
		}
	})
}

func TestScript(t *testing.T) {
	t.Parallel()
	l := prepared(t, 2007, exchange.WayVSS, restoreGroups())
	script := func(target backup.Target, o backup.RestoreOptions) (string, error) {
		p := l.jobOf(l.opt) // no tool of the server is needed
		plan, err := p.Plan(t.Context(), target)
		require.NoError(t, err)
		var text strings.Builder
		err = p.Script(t.Context(), plan, o, &text)
		return text.String(), err
	}
	text, err := script(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"files": `X:\fetched`}})
	require.NoError(t, err)
	for _, want := range []string{
		`$files = 'X:\fetched'`, `database "Mailbox Store" needs the logs of generation 0x1`, "without a gap", "# generation 0x1",
		"& eseutil /r E00 /l '" + l.file("D", "First Storage Group", "quiesce-restore-First Storage Group", "logs") + "'", "/i; Check",
		"Dismount-Database -Identity 'Mailbox Store'", "# Mount-Database -Identity 'Mailbox Store'", "is there'", "take a full backup at once",
	} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, strings.ReplaceAll(text, "\r\n", ""), "\n", "lines end as on Windows")
	text, err = script(backup.Target{Select: only("Public Store", "")}, backup.RestoreOptions{Overwrite: true, Options: map[string]string{"mount": "true"}})
	require.NoError(t, err)
	assert.Contains(t, text, "pub.edb.replaced")
	assert.Contains(t, text, "\nMount-Database -Identity 'Public Store'")
	assert.NotContains(t, text, "'Mailbox Store'")
	assert.NotContains(t, text, "E01")
	text, err = script(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": `R:\restored`}})
	require.NoError(t, err)
	assert.Contains(t, text, `/d 'R:\restored\First Storage Group'`)
	assert.NotContains(t, text, "Dismount")
	for _, bad := range []backup.RestoreOptions{{Options: map[string]string{"forward": "true"}}, {Options: map[string]string{"recover": "none"}}, {Options: map[string]string{"nonsense": "1"}}} {
		_, err = script(backup.Target{}, bad)
		require.ErrorIs(t, err, backup.ErrOption)
	}

	l = prepared(t, 2003, exchange.WayESE, databases("DB1"))
	text, err = script(backup.Target{}, backup.RestoreOptions{})
	require.NoError(t, err)
	assert.Contains(t, text, "eseutil /cc")
	assert.Contains(t, text, "generation 0x2")
	assert.NotContains(t, text, "Copy-Item")
}
