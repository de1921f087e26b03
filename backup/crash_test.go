package backup_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

// crashPlan is what a child process is told: where its world lies and when it kills itself.
type crashPlan struct {
	Dir    string `json:"dir"`
	Staged bool   `json:"staged"`
	Shared bool   `json:"shared"`
	// Own lets the application truncate its log itself; Files lets it write the log into the stage itself.
	Own   bool        `json:"own,omitempty"`
	Files bool        `json:"files,omitempty"`
	Kind  backup.Kind `json:"kind"`
	// Restore makes the child restore, into a server of its own.
	Restore bool          `json:"restore,omitempty"`
	Ahead   time.Duration `json:"ahead"`
	Call    int           `json:"call,omitempty"`     // the call of the sink that is its last
	AppCall int           `json:"app_call,omitempty"` // or that of the application
	Given   int           `json:"given,omitempty"`    // or the time the application gives log up
	After   time.Duration `json:"after,omitempty"`    // or the time it has
}

func (p crashPlan) ballast() int64 {
	if p.Own {
		return 100 << 10 // it is the log that counts
	}
	return 600 << 10
}

// crashEnv holds the plan of a child process.
const crashEnv = "QUIESCE_TEST_CRASH"

// crashWorkers is how many parts may be in flight.
const crashWorkers = 2

// crashWorld is an application with a target and a stage, all on disk, that processes come and go in.
type crashWorld struct {
	l      *backuptest.Ledger
	target *sink.Dir
	puts   *putLog
	cfg    backup.Config
	p      *backup.Pipeline
	faults *backuptest.FaultySink
	// resumed says that a dead run was completed from its stage.
	resumed bool
}

func openCrashWorld(plan crashPlan) (*crashWorld, error) {
	l, err := backuptest.OpenLedger(plan.Dir, &backuptest.LedgerOptions{Ballast: plan.ballast(), SharedLog: plan.Shared, TruncatesItself: plan.Own})
	if err != nil {
		return nil, err
	}
	target, err := sink.OpenDir(filepath.Join(plan.Dir, "target"))
	if err != nil {
		return nil, err
	}
	w := &crashWorld{l: l, target: target, puts: &putLog{Sink: target, name: filepath.Join(plan.Dir, "puts.txt")}}
	w.faults = backuptest.NewFaultySink(w.puts)
	w.cfg = backup.Config{
		Job: worldJob, Source: l.Source(nil), Sink: w.faults, PartSize: 64 << 10, Workers: crashWorkers, LeaseTTL: time.Second,
		Now: func() time.Time { return time.Now().Add(plan.Ahead) },
		Events: func(e backup.Event) {
			if r, ok := e.(backup.RunStarted); ok && r.Resumed {
				w.resumed = true
			}
		},
	}
	if plan.Own {
		w.cfg.Source = l.SalvagingSource(&backuptest.LedgerSourceOptions{ServerFiles: plan.Files})
	}
	if plan.Staged {
		w.cfg.Stager = backup.DirStager{Dir: filepath.Join(plan.Dir, "stage")}
	}
	w.p, err = backup.New(w.cfg)
	return w, err
}

// putLog notes on disk every part the target has accepted, so that it survives its process.
type putLog struct {
	backup.Sink
	name string
	mu   sync.Mutex
}

func (p *putLog) Put(ctx context.Context, key string, r io.Reader) error {
	if strings.Contains(key, "/runs/") {
		time.Sleep(6 * time.Millisecond) // a network is slower than the application
	}
	if err := p.Sink.Put(ctx, key, r); err != nil || !strings.Contains(key, "/runs/") {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f, err := os.OpenFile(p.name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, key)
	return err
}

func (p *putLog) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	return p.Sink.(backup.PutIfAbsenter).PutIfAbsent(ctx, key, r)
}

// accepted returns the keys noted since the last call.
func (p *putLog) accepted(t *testing.T) map[string]int {
	text, err := os.ReadFile(p.name)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
		require.NoError(t, os.Remove(p.name))
	}
	keys := map[string]int{}
	for key := range strings.FieldsSeq(string(text)) {
		keys[key]++
	}
	return keys
}

// TestCrashChild is the process that is killed. It does nothing in an ordinary test run.
func TestCrashChild(t *testing.T) {
	text, ok := os.LookupEnv(crashEnv)
	if !ok {
		t.Skip("only run as the child of TestKillAtAnyMoment")
	}
	var plan crashPlan
	require.NoError(t, json.Unmarshal([]byte(text), &plan))
	w, err := openCrashWorld(plan)
	require.NoError(t, err)
	switch {
	case plan.Call > 0:
		w.faults.Script(backuptest.Fault{Nth: plan.Call, Action: backuptest.Pass, Do: die})
	case plan.AppCall > 0:
		w.l.AtCall(plan.AppCall, die)
	case plan.Given > 0:
		left := plan.Given
		w.l.AtTruncation(func() {
			if left--; left == 0 {
				die()
			}
		})
	default:
		time.AfterFunc(plan.After, die)
	}
	if plan.Restore {
		_, err := w.restore(t)
		require.NoError(t, err)
		return
	}
	require.NoError(t, w.l.Mutate(3))
	_, err = w.p.Backup(t.Context(), plan.Kind)
	require.NoError(t, err)
}

// restore brings everything up in another server, as the same job with the same stage.
func (w *crashWorld) restore(t *testing.T) (*backuptest.Ledger, error) {
	scratch := backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
	cfg := w.cfg
	cfg.Source = scratch.Source(nil)
	p, err := backup.New(cfg)
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{})
	if err != nil {
		return nil, err
	}
	return scratch, p.Restore(t.Context(), plan, backup.RestoreOptions{})
}

// die ends the process at once, as kill -9 does.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}

// crashPoints is how often a process is killed in all; more by the variable QUIESCE_CRASH_POINTS.
func crashPoints(t *testing.T) int {
	text, ok := os.LookupEnv("QUIESCE_CRASH_POINTS")
	if !ok {
		return 52
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Processes are killed at random calls and at random times, sometimes several in a row. After each death no manifest is without its
// parts; the next run that lives goes on, sends no part again that was accepted except those in flight, and leaves nothing behind.
func TestKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	points := crashPoints(t)
	modes(t, func(t *testing.T, staged bool) {
		for name, shared := range map[string]bool{"own logs": false, "shared log": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				killAgainAndAgain(t, crashPlan{Staged: staged, Shared: shared}, points/4)
			})
		}
	})
}

func killAgainAndAgain(t *testing.T, plan crashPlan, points int) {
	seed := rand.Uint64()
	if text, ok := os.LookupEnv("QUIESCE_CRASH_SEED"); ok {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("QUIESCE_CRASH_SEED=%d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	plan.Dir = t.TempDir()
	accepted := map[string]int{}
	killed, resumed, alive := 0, 0, false
	for run := 0; killed < points; run++ {
		plan.Ahead += 10 * time.Minute
		plan.Kind = []backup.Kind{backup.Full, backup.Full, backup.Log, backup.Differential}[rnd.IntN(4)]
		plan.Call, plan.AppCall, plan.Given, plan.After, plan.Restore = 0, 0, 0, 0, alive && rnd.IntN(5) == 0
		if n := rnd.IntN(3); plan.Own && !plan.Restore && n == 0 {
			plan.AppCall = 1 + rnd.IntN(30)
		} else if plan.Own && !plan.Restore && n == 1 {
			plan.Given = 1 + rnd.IntN(2)
		} else if rnd.IntN(3) > 0 {
			plan.Call = 1 + rnd.IntN(70)
		} else {
			plan.After = time.Duration(rnd.IntN(200)) * time.Millisecond
		}
		if crash(t, plan) {
			killed++
		}
		plan.Ahead += 10 * time.Minute
		w, err := openCrashWorld(plan)
		require.NoError(t, err)
		again(t, accepted, w.puts.accepted(t))
		w.whole(t)
		if rnd.IntN(3) > 0 || killed == points {
			alive = true
			due := resumable(t, plan, w)
			if w.lives(t) {
				resumed++
			} else {
				require.False(t, due, "everything was in the stage, and it was not completed from there")
			}
			again(t, accepted, w.puts.accepted(t))
			clear(accepted)
			if plan.Own {
				w.unbroken(t)
			}
		}
		require.NoError(t, w.l.Close())
	}
	t.Logf("%d processes killed, %d runs completed from their stage", killed, resumed)
}

// resumable reports whether a dead run had delivered everything to its stage, and has no manifest yet.
func resumable(t *testing.T, plan crashPlan, w *crashWorld) bool {
	names, err := filepath.Glob(filepath.Join(plan.Dir, "stage", worldJob, "*", "journal.jsonl"))
	require.NoError(t, err)
	h, err := w.p.History(t.Context())
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		_, result, found := strings.Cut(string(text), `{"result":`)
		if _, sealed := h.Find(backup.ID(filepath.Base(filepath.Dir(name)))); found && strings.Contains(result, "\n") && !sealed {
			return true
		}
	}
	return false
}

// crash runs a child and reports whether it was killed before its run ended.
func crash(t *testing.T, plan crashPlan) bool {
	text, err := json.Marshal(plan)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCrashChild$", "-test.count=1")
	cmd.Env = append(os.Environ(), crashEnv+"="+string(text))
	out, err := cmd.CombinedOutput()
	if err == nil {
		return false
	}
	require.NotContains(t, string(out), "--- FAIL", "the child failed by itself:\n%s", out)
	require.NotContains(t, string(out), "panic", "the child failed by itself:\n%s", out)
	return true
}

// again adds what one more process sent. What had been accepted before and was sent again must have been in flight when its process died.
func again(t *testing.T, before, now map[string]int) {
	twice := 0
	for key := range now {
		if before[key] > 0 && !strings.Contains(key, "/entries") && !strings.Contains(key, "/parts.") {
			twice++
		}
		before[key]++
	}
	require.LessOrEqual(t, twice, crashWorkers, "parts sent again though the target had accepted them")
}

// whole verifies that every backup with a manifest has all its parts.
func (w *crashWorld) whole(t *testing.T) {
	t.Helper()
	rep, err := w.p.Verify(t.Context(), backup.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, rep.Err(), "a manifest without all its parts")
}

// lives makes a run that is not killed, checks what it leaves, restores it elsewhere, and reports whether it completed a dead one.
func (w *crashWorld) lives(t *testing.T) bool {
	t.Helper()
	require.NoError(t, w.l.Mutate(3))
	_, err := w.p.Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	require.Empty(t, w.l.Open())
	if st, ok := w.cfg.Stager.(backup.DirStager); ok {
		requireEmptyStage(t, st.Dir) // also of what a killed restore left
	}
	w.whole(t)
	requireTidy(t, t.Context(), w.target)
	scratch, err := w.restore(t)
	require.NoError(t, err)
	require.Empty(t, w.l.Current().Diff(scratch.Current()))
	return w.resumed
}
