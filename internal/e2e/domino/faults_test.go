package domino

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

var pair = []string{"mail/a.nsf", "names.nsf"}

// moment is the first call of a function by the n-th process that the agent starts.
type moment struct {
	process int
	call    string
}

// act is what the agent does when its child dies.
type act struct {
	name string
	do   func(j *job) (*backup.Manifest, error)
}

var acts = []act{
	{"full", func(j *job) (*backup.Manifest, error) { return j.Backup(j.l.Context(), backup.Full) }},
	{"log", func(j *job) (*backup.Manifest, error) { return j.Backup(j.l.Context(), backup.Log) }},
	{"restore", func(j *job) (*backup.Manifest, error) {
		return nil, j.restore(backup.Target{Select: named(pair...)}, backup.RestoreOptions{Overwrite: true})
	}},
}

// prepared is a server with a full and a log behind it, and with change since: one database has another instance id.
func prepared(t *testing.T, path, lib string) (*lab, *backuptest.MemSink) {
	t.Helper()
	l := newLab(t, path, lib)
	l.opt.Parallel = 1
	l.create(pair...)
	sink := backuptest.NewMemSink()
	j := l.job(l.source(), sink, false)
	j.take(backup.Full)
	l.fill(1, pair...)
	j.take(backup.Log)
	l.fill(2, pair...)
	require.NoError(t, l.sim.Compact("mail/a.nsf"))
	l.write("names.nsf", "last", "words")
	return l, sink
}

// by is a job whose processes of Notes are started by open, which is told their number.
func (l *lab) by(sink backup.Sink, open func(ctx context.Context, process int) (notes.API, error)) *job {
	l.Helper()
	o := l.opt
	o.NotesINI = l.cmd.INI
	var mu sync.Mutex
	n := 0
	o.Open = func(ctx context.Context) (notes.API, error) {
		mu.Lock()
		n++
		process := n
		mu.Unlock()
		return open(ctx, process)
	}
	src, err := domino.New(&o)
	require.NoError(l, err)
	return l.job(src, sink, false)
}

// moments are all at which a child can die in an act, by asking the model, which calls the same functions in the same order.
func moments(t *testing.T, path, lib string, a act) (all []moment) {
	t.Helper()
	l, sink := prepared(t, path, lib)
	seen := map[moment]bool{}
	j := l.by(sink, func(_ context.Context, process int) (notes.API, error) {
		s, err := dominosim.New(filepath.Join(l.dir, "server"), dominosim.Config{Clock: time.Now, Style: notes.LogArchive, ExtentSize: 16 << 10})
		if err != nil {
			return nil, err
		}
		s.SetFault(func(_ context.Context, c dominosim.Call) error {
			m := moment{process, c.Name}
			if (strings.HasPrefix(c.Name, "NSF") || c.Name == "LOGRESTORECALLBACK") && !seen[m] {
				seen[m] = true
				all = append(all, m)
			}
			return nil
		})
		return s.Process(), nil
	})
	_, err := a.do(j)
	require.NoError(t, err)
	return all
}

// The child dies in each function that the agent calls, in each process that it starts. With -short it dies a few times only.
func TestChildDiesAtAnyCall(t *testing.T) {
	t.Parallel()
	path, lib := programs(t)
	for _, a := range acts {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			all := moments(t, path, lib, a)
			require.Greater(t, len(all), 3)
			for n, m := range all {
				if testing.Short() && n%7 != 3 {
					continue
				}
				how := [...]string{"abort", "exit"}[n%2]
				for _, w := range []string{"", "+"} { // before Domino has done it, and after
					t.Run(fmt.Sprintf("process %d %s%s %s", m.process, m.call, w, how), func(t *testing.T) {
						t.Parallel()
						l, sink := prepared(t, path, lib)
						l.dies(sink, a, m, w+"@1="+how)
					})
				}
			}
		})
	}
}

// dies has a child die in an act, and looks at what is left and at what comes next.
func (l *lab) dies(sink backup.Sink, a act, at moment, fault string) {
	l.Helper()
	var victim notes.API
	j := l.by(sink, func(ctx context.Context, process int) (notes.API, error) {
		c := l.cmd
		if process != at.process {
			return notes.Start(ctx, c)
		}
		c.Env = append(os.Environ(), "QSIM_FAULT="+at.call+fault)
		api, err := notes.Start(ctx, c)
		victim = api
		return api, err
	})
	m, err := a.do(j)
	require.NotNil(l, victim)
	_, gone := victim.Thread(l.Context())
	require.ErrorContains(l, gone, "libnotes stand-in: fault: "+at.call, "the child died there")
	j.kept()
	if a.name == "restore" {
		l.again(sink, err)
		return
	}
	if err != nil && m != nil {
		require.ErrorIs(l, err, backup.ErrPartial)
		assert.NotEmpty(l, failed(m))
	}
	stuck, serr := l.sim.InBackup()
	require.NoError(l, serr)
	for _, path := range stuck {
		rel, rerr := filepath.Rel(l.sim.DataDir(), path)
		require.NoError(l, rerr)
		require.Error(l, err)
		if m != nil {
			assert.Contains(l, failed(m), filepath.ToSlash(rel))
		}
	}
	next := l.job(l.source(), sink, false)
	if len(stuck) > 0 {
		m, err := next.Backup(l.Context(), backup.Full)
		require.ErrorIs(l, err, backup.ErrPartial)
		require.Len(l, failed(m), len(stuck))
		for name, text := range failed(m) {
			assert.Contains(l, text, "restart", "what to do about %s", name)
			require.NoError(l, l.sim.ResetBackup(name))
		}
	}
	next.take(backup.Kind(a.name))
	next.same("restored", pair...)
	next.kept()
}

// again repeats a restore that broke off, as the guide tells: it puts everything in place.
func (l *lab) again(sink backup.Sink, err error) {
	l.Helper()
	next := l.job(l.source(), sink, false)
	if err != nil {
		require.NoError(l, next.restore(backup.Target{Select: named(pair...)}, backup.RestoreOptions{Overwrite: true}))
	}
	off, oerr := l.sim.Offline()
	require.NoError(l, oerr)
	assert.Empty(l, off)
	var pick []backup.Selection
	for _, name := range pair {
		pick = append(pick, backup.Selection{Name: name, As: "beside/" + name})
	}
	require.NoError(l, next.restore(backup.Target{Select: pick}, backup.RestoreOptions{}))
	for _, name := range pair {
		equal(l, l.read("beside/"+name), l.read(name), "%s", name)
	}
	next.take(backup.Full)
}

// A function of Domino that never returns is waited for; when the run is cancelled, the child is killed, and what it held is named.
func TestChildHangs(t *testing.T) {
	t.Parallel()
	l := lodge(t)
	l.cmd.Grace, l.opt.EndTimeout = 300*time.Millisecond, 300*time.Millisecond
	l.create("names.nsf")
	sink := backuptest.NewMemSink()
	j := l.job(l.source(), sink, false)
	j.take(backup.Full)
	l.fill(1, "names.nsf")
	want := l.read("names.nsf")
	require.NoError(t, l.sim.SetIni("QSIM_FAULT", "NSFBackupStart+@1=hang"))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := j.Backup(ctx, backup.Full)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		in, err := l.sim.InBackup()
		return err == nil && len(in) == 1
	}, time.Minute, tick)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, l.sim.SetIni("QSIM_FAULT", ""))
	m, err := j.Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Contains(t, failed(m)["names.nsf"], "restart")
	require.NoError(t, l.sim.ResetBackup("names.nsf"))
	j.take(backup.Full)
	j.kept()

	require.NoError(t, l.sim.SetIni("QSIM_FAULT", "NSFRecoverDatabases@1=hang"))
	ctx, cancel = context.WithCancel(t.Context())
	plan, err := j.Plan(t.Context(), backup.Target{Select: named("names.nsf")})
	require.NoError(t, err)
	go func() { ended <- j.Restore(ctx, plan, backup.RestoreOptions{Overwrite: true}) }()
	require.Eventually(t, func() bool { return l.leavings() != nil }, time.Minute, tick)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, l.sim.SetIni("QSIM_FAULT", ""))
	equal(t, want, l.read("names.nsf"), "what is in place stays")
	require.NoError(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{Overwrite: true}))
	equal(t, want, l.read("names.nsf"), "restored")
	l.tidy()
}
