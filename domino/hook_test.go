package domino

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/domino/hook"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/backuptask"
)

// hookLab is a simulated server with Domino's own backup, which calls an agent.
type hookLab struct {
	*lab
	task  *backuptask.Task
	hopt  Options
	loads sync.WaitGroup
	// switches has each backup of the log find all that was written: a server archives full extents only.
	switches bool
	// asked are the options of each load, and said what its console showed.
	asked []string
	mu    sync.Mutex
	// hidden are databases whose file is not where Domino says.
	hidden map[string]bool
}

// withTask gives a lab Domino's backup.
func withTask(l *lab) *hookLab {
	dir, err := os.MkdirTemp("", "hk") // short, for a socket
	require.NoError(l.t, err)
	l.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program, err := os.Executable() // never run: see source
	require.NoError(l.t, err)
	h := &hookLab{lab: l, switches: true, hopt: Options{Way: Hook, Instance: "mail1/acme", StateDir: filepath.Join(l.dir, "hookstate"), CallDir: filepath.Join(dir, "calls"), DataDir: l.sim.DataDir(), NotesINI: l.sim.IniPath(),
		Command: []string{program, "-c", "load backup {options}"}, Now: l.clock.now, StartTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second, RestoreTimeout: 20 * time.Second}}
	h.task = &backuptask.Task{API: l.sim.Process(), DataDir: l.sim.DataDir(), Clock: l.clock.now, Command: h.call(), Post: h.call("done")}
	l.t.Cleanup(h.loads.Wait)
	return h
}

// call runs quiesce-hook in this process.
func (l *hookLab) call(word ...string) func(context.Context, []string) string {
	return func(ctx context.Context, args []string) string {
		l.mu.Lock()
		if len(word) == 0 && l.hidden[filepath.ToSlash(args[1])] {
			args[0] += " is elsewhere"
		}
		l.mu.Unlock()
		var out bytes.Buffer
		hook.Program(ctx, "", append(append([]string{"-dir=" + l.hopt.CallDir}, word...), args...), func(string) string { return "" }, &out)
		return out.String()
	}
}

func (l *hookLab) source() *hookSource {
	h := l.unmodelled()
	h.begin = func(_ context.Context, options string) error {
		l.mu.Lock()
		l.asked = append(l.asked, options)
		l.mu.Unlock()
		if options == "-t" && l.switches {
			if err := l.sim.SwitchLog(); err != nil {
				return err
			}
		}
		l.loads.Go(func() { _ = l.task.Load(context.Background(), options) }) // its console is nobody's
		return nil
	}
	return h
}

// unmodelled is a source that runs its command.
func (l *hookLab) unmodelled() *hookSource {
	l.t.Helper()
	s, err := New(&l.hopt)
	require.NoError(l.t, err)
	return s.(*hookSource)
}

// options are those of the loads since the last call.
func (l *hookLab) options() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := l.asked
	l.asked = nil
	return out
}

// administrated is a source whose restores an administrator requests at the server.
type administrated struct {
	*hookSource
	l *hookLab
}

func (a administrated) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		if err := a.l.request(ctx, set); err != nil {
			cancel(err)
		}
	}()
	defer cancel(nil)
	return a.hookSource.Restore(ctx, r, set)
}

// request is what an administrator does in dominobackup.nsf for the databases of a plan.
func (l *hookLab) request(ctx context.Context, set *backup.RestoreSet) error {
	until := map[string]time.Time{}
	var steps []*backup.RestoreStep
	for _, step := range set.Steps() {
		if _, ok := step.Find(databasePrefix + step.Item.Name); ok {
			steps = append(steps, step)
		}
		for _, name := range step.For {
			if until[name] = step.Until; step.Until.IsZero() {
				until[name] = laterOf(step.Item.Window.To, until[name]).Add(tick)
			}
		}
	}
	if len(steps) == 0 {
		return nil
	}
	for { // until the restore waits
		if _, err := hook.Ask(ctx, l.hopt.CallDir, hook.Call{Op: hook.Restore, Name: "none", To: "/none"}); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Millisecond):
		}
	}
	for _, step := range steps {
		e, _ := step.Find(databasePrefix + step.Item.Name)
		for _, entry := range l.task.Entries() {
			if entry.Reference != e.Meta[metaReference] {
				continue
			}
			to := until[entry.Name]
			if at := step.Item.Window.To.Add(tick); to.Before(at) {
				to = at
			}
			if err := l.task.Restore(ctx, entry, to.Truncate(tick)); err != nil {
				return fmt.Errorf("restore %s: %w", entry.Name, err)
			}
		}
	}
	_, err := hook.Ask(ctx, l.hopt.CallDir, hook.Call{Op: hook.Done})
	return err
}

func (l *hookLab) job() *job { return l.jobOn(backuptest.NewMemSink()) }

func (l *hookLab) jobOn(sink *backuptest.MemSink) *job {
	p, err := backup.New(backup.Config{Job: "mail", Source: administrated{l.source(), l}, Sink: sink, PartSize: 64 << 10, Workers: 2, Stager: backup.DirStager{Dir: filepath.Join(l.dir, "stage")}})
	require.NoError(l.t, err)
	return &job{p, l.t, sink}
}

// conformantHook is the harness of the suite. Every backup of the log finds the extent closed, as on no real server, so that the suite's short histories are in it.
type conformantHook struct {
	*conformant
	h *hookLab
}

func newConformantHook(t *testing.T) (*conformantHook, error) {
	a, err := newConformant(t)
	if err != nil {
		return nil, err
	}
	h := withTask(a.lab)
	h.task.Exclude = func(name string) bool { return strings.HasPrefix(name, "others/") }
	return &conformantHook{a, h}, nil
}

func (a *conformantHook) Source() backup.Source { return administrated{a.h.source(), a.h} }

func (a *conformantHook) Quiesced(ctx context.Context) error {
	a.h.loads.Wait()
	return a.conformant.Quiesced(ctx)
}

func (a *conformantHook) FailItem(context.Context) (string, func(context.Context) error, error) {
	const name = "mail.box"
	hide := func(is bool) {
		a.h.mu.Lock()
		defer a.h.mu.Unlock()
		a.h.hidden = map[string]bool{name: is}
	}
	hide(true)
	return name, func(context.Context) error { hide(false); return nil }, nil
}

// AtTruncation: Domino gives up an extent once it was told that it was processed.
func (a *conformantHook) AtTruncation(fn func()) {
	a.sim.SetFault(func(_ context.Context, c dominosim.Call) error {
		if fn != nil && c.Name == "NSFDoneArchivingLog" && c.After {
			fn()
		}
		return nil
	})
}

func TestHookConformance(t *testing.T) {
	t.Parallel()
	backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformantHook(t) })
}

// TestHookRuns: what a run asks of Domino, and what becomes of it.
func TestHookRuns(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	l.create("names.nsf", "mail/jdoe.nsf")
	l.file("server.id", "an id")
	j := l.job()
	full := j.take(backup.Full)
	assert.Equal(t, map[string]backup.Kind{"names.nsf": backup.Full, "mail/jdoe.nsf": backup.Full, itemFiles: backup.Full, itemLog: backup.Log}, kinds(full))
	assert.Equal(t, []string{"-b", "-t"}, l.options())

	l.write("names.nsf", "a", "1")
	m := j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(m))
	assert.Equal(t, []string{"-t", "-i"}, l.options())
	it, _ := m.Item(itemLog)
	before, _ := full.Item(itemLog)
	assert.Equal(t, before.End, it.Begin)

	l.create("mail/new.nsf")
	require.NoError(t, l.sim.Compact("names.nsf"))
	m = j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log, "mail/new.nsf": backup.Full, "names.nsf": backup.Full}, kinds(m))
	it, _ = m.Item("names.nsf")
	assert.Contains(t, it.Reason, "new instance (DBIID)")

	require.NoError(t, l.sim.RecreateLog())
	m = j.take(backup.Log)
	assert.Len(t, kinds(m), 4, "everything: %v", kinds(m))
	for _, it := range m.Items {
		assert.Contains(t, it.Reason, "begun anew (LogID)")
	}
	m = j.take(backup.Log)
	assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(m))
	link, _ := m.Item(itemLog)
	assert.Greater(t, link.End, link.Begin, "the extents that were left to this run")
}

// TestHookTellsWhatItDoesNotKnow: when the note of what Domino was told is gone, or what it was told is not at the target, everything is taken.
func TestHookTellsWhatItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(l *hookLab, j *job){
		"not on this machine": func(l *hookLab, _ *job) { require.NoError(t, os.RemoveAll(l.hopt.StateDir)) },
		"and no backup came of it": func(l *hookLab, j *job) {
			broken := errors.New("target is gone")
			faulty := backuptest.NewFaultySink(j.sink, backuptest.Fault{Op: backuptest.OpPut, Key: "/manifests/", Err: broken, Times: -1}, backuptest.Fault{Op: backuptest.OpPutIfAbsent, Key: "/manifests/", Err: broken, Times: -1})
			p, err := backup.New(backup.Config{Job: "mail", Source: administrated{l.source(), l}, Sink: faulty, PartSize: 64 << 10})
			require.NoError(t, err)
			_, err = p.Backup(t.Context(), backup.Log) // streams: nothing is left to be salvaged
			require.Error(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := withTask(newLab(t))
			l.create("names.nsf")
			j := l.job()
			j.take(backup.Full)
			l.write("names.nsf", "a", "1")
			lose(l, j)
			m := j.take(backup.Log)
			it, ok := m.Item("names.nsf")
			require.True(t, ok)
			assert.Contains(t, it.Reason, name)
			assert.Equal(t, "hook-"+string(m.ID), it.Stream)
			m = j.take(backup.Log)
			assert.Equal(t, map[string]backup.Kind{itemLog: backup.Log}, kinds(m), "the chain goes on")
		})
	}
}

// TestHookWithoutDelta: a copy whose change information never came is not called a backup, and the next run takes the database again.
func TestHookWithoutDelta(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	l.create("names.nsf")
	l.task.DropEmptyDelta = true
	m, err := l.job().Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	it, _ := m.Item("names.nsf")
	assert.Contains(t, it.Error, "without its change information")
	assert.Contains(t, it.Error, "Backup keep empty Delta Files")
}

// TestNobodyCalls: a server that is not configured for us is an error that says what to do.
func TestNobodyCalls(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	l.create("names.nsf")
	l.hopt.StartTimeout = 20 * time.Millisecond
	h := l.source()
	h.begin = func(context.Context, string) error { return nil }
	p, err := backup.New(backup.Config{Job: "mail", Source: h, Sink: backuptest.NewMemSink()})
	require.NoError(t, err)
	_, err = p.Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, errSilent)
	assert.Contains(t, backup.Hint(err), "Post-Backup Command")
	assert.Contains(t, l.call()(t.Context(), []string{"/data/names.nsf", "names.nsf"}), "Return: ERROR - no backup or restore of Quiesce is waiting")
}

// TestHookWithoutPost: Domino's silence is taken for its end, and said.
func TestHookWithoutPost(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	l.create("names.nsf")
	l.task.Post, l.hopt.IdleTimeout, l.hopt.NoLog = nil, 500*time.Millisecond, true
	m := l.job().take(backup.Full)
	assert.Equal(t, backup.Full, kinds(m)["names.nsf"])
	assert.Contains(t, fmt.Sprint(m.Warnings), "did not say that its backup (-b) was through")
}

func TestHookRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(&Options{Way: Hook})
	for _, want := range []string{"state dir", "data dir", "{options}"} {
		require.ErrorContains(t, err, want)
	}
	l := withTask(newLab(t))
	l.create("names.nsf")
	j := l.job()
	m := j.take(backup.Full)
	err = j.restore(backup.Target{ID: m.ID}, backup.RestoreOptions{Overwrite: true, Options: map[string]string{"to": "x"}})
	require.ErrorIs(t, err, backup.ErrOption)
	l.hopt.NoLog = true
	_, err = l.source().Backup(t.Context(), backup.Request{Kind: backup.Log}, nil)
	require.ErrorIs(t, err, backup.ErrRefused)
	for _, f := range l.source().Check(t.Context(), backup.StageDir{}) {
		require.NoError(t, f.Err, f.What)
	}
}

// TestHookCommand: what was configured is run in the data directory, with the options in it; what it says when it fails is told.
func TestHookCommand(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	l := withTask(newLab(t))
	l.hopt.Command = []string{sh, "-c", "echo 'load backup {options}' > asked"}
	require.NoError(t, l.unmodelled().command(t.Context(), "-b"))
	asked, err := os.ReadFile(filepath.Join(l.sim.DataDir(), "asked"))
	require.NoError(t, err)
	assert.Equal(t, "load backup -b\n", string(asked))

	l.hopt.Command = []string{sh, "-c", "echo server is down for {options}; exit 3"}
	err = l.unmodelled().command(t.Context(), "-t")
	require.ErrorContains(t, err, "exit status 3: server is down for -t")
	assert.Contains(t, backup.Hint(err), "as the account of the server")
}

// TestHookExtentThatIsNotInThePlan: a request for a file that no backup of the plan has is answered with an error that names it, and the restore goes on waiting, here in vain.
func TestHookExtentThatIsNotInThePlan(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	l.create("names.nsf")
	l.hopt.RestoreTimeout = 2 * time.Second
	j := l.job()
	j.take(backup.Full)
	p, err := backup.New(backup.Config{Job: "mail", Source: l.source(), Sink: j.sink})
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{Select: named("names.nsf")})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true}) }()
	var a hook.Answer
	require.Eventually(t, func() bool {
		a, err = hook.Ask(t.Context(), l.hopt.CallDir, hook.Call{Op: hook.Restore, Name: "S0000001.TXN", Reference: "log", Mode: modeTranslog, To: filepath.Join(l.dir, "extent"), Ref: "other/000001"})
		return err == nil
	}, time.Minute, time.Millisecond)
	assert.Contains(t, a.Error, "S0000001.TXN")
	assert.Contains(t, a.Error, "not in the backups of this plan")
	err = <-done
	require.ErrorIs(t, err, errSilent) // "domino did not ask for"
}
