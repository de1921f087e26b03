package exchange

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows/registry"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

// lab is an Exchange server and its agent.
type lab struct {
	t      *testing.T
	sim    *esebcli2.Server
	opt    exchange.Options
	sink   *backuptest.MemSink
	at     time.Time
	told   []string
	ledger []entry
}

// entry is what all databases held from a moment on.
type entry struct {
	at   time.Time
	held map[string]map[string]string
}

func newLab(t *testing.T, change ...func([]esebcli2.Group)) *lab {
	t.Helper()
	dll := os.Getenv("QSIM_DLL")
	if dll == "" {
		t.Skip("QSIM_DLL does not name the stand-in for esebcli2.dll; TestUnderWine does on Linux")
	}
	const dllPaths = `SYSTEM\CurrentControlSet\Control\BackupRestore\DLLPaths`
	key, _, err := registry.CreateKey(registry.LOCAL_MACHINE, dllPaths, registry.ALL_ACCESS)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, registry.DeleteKey(registry.LOCAL_MACHINE, dllPaths)) })
	defer key.Close()
	require.NoError(t, key.SetExpandStringValue("esebcli2", dll))

	l := &lab{t: t, at: time.Date(2007, 3, 9, 14, 0, 0, 0, time.UTC), sink: backuptest.NewMemSink()}
	dir := winetest.TempDir(t)
	groups := []esebcli2.Group{
		{ID: 0x1122334455667788, Name: "First Storage Group", Databases: []esebcli2.Database{
			{Name: "Mailbox Store", GUID: esebcli.GUID{1, 2, 3}, Stream: true, Mounted: true}, {Name: "Public Store", GUID: esebcli.GUID{4, 5, 6}, Mounted: true},
		}},
		{ID: -3, Name: "Zweite", Databases: []esebcli2.Database{{Name: "Archiv", GUID: esebcli.GUID{7, 8, 9}, Mounted: true}}},
	}
	for _, c := range change {
		c(groups)
	}
	l.sim, err = esebcli2.New(dir, machine(), l.now, groups...)
	require.NoError(t, err)
	t.Setenv("QSIM_EXCHANGE", l.sim.Description())
	l.opt = exchange.Options{Server: machine(), Way: exchange.WayESE, StateDir: filepath.Join(dir, "state"), SkipSystemState: true, Zone: time.UTC, Now: l.now, EndTimeout: time.Minute}
	l.opt.Tools.Management = administration{l.sim}
	return l
}

// now is a clock of which the library is told too. It moves whenever somebody looks at it.
func (l *lab) now() time.Time { return l.pass(time.Second) }

func (l *lab) pass(d time.Duration) time.Time {
	l.at = l.at.Add(d)
	if err := os.Setenv("QSIM_NOW", strconv.FormatInt(l.at.Unix(), 10)); err != nil {
		l.t.Error(err)
	}
	return l.at
}

// job is a pipeline, as a new process has one. It streams: what the stage does has nothing to do with the library.
func (l *lab) job() *backup.Pipeline {
	l.t.Helper()
	opt := l.opt
	s, err := exchange.New(&opt)
	require.NoError(l.t, err)
	p, err := backup.New(backup.Config{Job: "mail", Source: s, Sink: l.sink, PartSize: 64 << 10, Workers: 1, Now: l.now, Events: func(e backup.Event) {
		if w, ok := e.(backup.Warning); ok {
			l.told = append(l.told, w.Text)
		}
	}})
	require.NoError(l.t, err)
	return p
}

func (l *lab) take(kind backup.Kind) *backup.Manifest {
	l.t.Helper()
	m, err := l.job().Backup(l.t.Context(), kind)
	require.NoError(l.t, err)
	for _, it := range m.Items {
		require.False(l.t, it.Failed(), "%s: %s", it.Name, it.Error)
	}
	l.pass(time.Minute)
	return m
}

// write sets a key in every database, notes it in the ledger, and lets some pages reach the files.
func (l *lab) write(key, value string) {
	l.t.Helper()
	held := map[string]map[string]string{}
	for i := range l.sim.Groups {
		g := &l.sim.Groups[i]
		for j := range g.Databases {
			d := &g.Databases[j]
			require.NoError(l.t, l.sim.Put(g, d, key, d.Name+" "+value))
			held[d.Name] = map[string]string{}
			if n := len(l.ledger); n > 0 {
				held[d.Name] = maps.Clone(l.ledger[n-1].held[d.Name])
			}
			held[d.Name][key] = d.Name + " " + value
		}
		if len(l.ledger)%3 == 0 {
			require.NoError(l.t, l.sim.Flush(g))
		}
	}
	l.ledger = append(l.ledger, entry{l.at, held})
}

// work writes enough for several logs.
func (l *lab) work(name string) {
	l.t.Helper()
	for i := range 40 {
		l.write(fmt.Sprintf("message %d", i%25), strings.Repeat(name, 2000/len(name)))
	}
	l.write("last", name)
}

// compare finds the databases as the ledger has them at its n-th entry.
func (l *lab) compare(n int) {
	l.t.Helper()
	for _, g := range l.sim.Groups {
		for _, d := range g.Databases {
			got, err := esebcli2.Content(d.File)
			require.NoError(l.t, err)
			assert.Equal(l.t, l.ledger[n].held[d.Name], got, d.Name)
		}
	}
}

// machine is the name of this one, which plays the server: files of another are reached by its shares.
func machine() string {
	name, err := os.Hostname()
	if err != nil {
		panic(err)
	}
	return name
}

// administration is what administers the server.
type administration struct{ sim *esebcli2.Server }

func (a administration) Layout(context.Context) (exchange.Layout, error) {
	if err := a.sim.Refresh(); err != nil {
		return exchange.Layout{}, err
	}
	out := exchange.Layout{Server: machine(), Major: 8, Version: "Version 8.1 (Build 30240.6)"}
	for _, g := range a.sim.Groups {
		group := exchange.Group{Name: g.Name, LogDir: g.LogDir, SystemDir: g.SystemDir, LogBase: "E00"}
		for _, d := range g.Databases {
			group.Databases = append(group.Databases, exchange.Database{Name: d.Name, GUID: esebcli.GUID(d.GUID).String(), File: d.File, StreamFile: d.StreamFile, Mounted: d.Mounted, AllowRestore: d.Overwrite})
		}
		out.Groups = append(out.Groups, group)
	}
	return out, nil
}

func (a administration) change(name string, do func(*esebcli2.Database)) error {
	if err := a.sim.Refresh(); err != nil { // the library mounts too
		return err
	}
	for i := range a.sim.Groups {
		for j := range a.sim.Groups[i].Databases {
			if d := &a.sim.Groups[i].Databases[j]; d.Name == name {
				do(d)
				return a.sim.Describe()
			}
		}
	}
	return fmt.Errorf("no database %q", name)
}

func (a administration) Mount(_ context.Context, d exchange.Database) error {
	return a.change(d.Name, func(d *esebcli2.Database) { d.Mounted, d.Overwrite = true, false })
}

func (a administration) Dismount(_ context.Context, d exchange.Database) error {
	return a.change(d.Name, func(d *esebcli2.Database) { d.Mounted = false })
}

func (a administration) AllowRestore(_ context.Context, d exchange.Database) error {
	return a.change(d.Name, func(d *esebcli2.Database) { d.Overwrite = true })
}
