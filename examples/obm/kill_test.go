//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
)

// crashPoints is how often each of the commands backup and run is killed; the variable QUIESCE_CRASH_POINTS says otherwise.
func crashPoints(t *testing.T) int {
	text, ok := os.LookupEnv("QUIESCE_CRASH_POINTS")
	if !ok {
		return 10
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Programs are killed at random points of their runs, sometimes several in a row, while the application goes on and the agent's state is
// damaged. After each death nothing at the target is half; the next start takes the job, makes a backup, and leaves nothing behind;
// all of the application's recorded past that is advertised comes back.
func TestKilledPrograms(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"backup", "run"} {
		for name, staged := range map[string]bool{"staged": true, "streaming": false} {
			t.Run(command+" "+name, func(t *testing.T) {
				t.Parallel()
				killAgainAndAgain(t, command, staged, (crashPoints(t)+1)/2)
			})
		}
	}
}

func killAgainAndAgain(t *testing.T, command string, staged bool, deaths int) {
	seed := rand.Uint64()
	if text, ok := os.LookupEnv("QUIESCE_CRASH_SEED"); ok {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("QUIESCE_CRASH_SEED=%d", seed)
	w := newKillWorld(t, command, staged, rand.New(rand.NewPCG(seed, 1)))
	for w.killed < deaths {
		w.mutate(t)
		w.kill(t)
		w.whole(t)
		w.damageState(t)
		if w.rnd.IntN(4) == 0 && w.killed < deaths {
			continue // it dies again before anything is well
		}
		w.mutate(t)
		w.lives(t)
		w.tidy(t)
		w.restores(t)
	}
	slices.Sort(w.takeovers)
	t.Logf("%d killed (%s), %d had ended before; next starts: %d at once, %d after the lease had expired (waits %v); %d runs completed from their stage, %d buried; %d restores",
		w.killed, w.how(), w.ended, w.atOnce, len(w.takeovers), w.takeovers, len(w.resumed), len(w.buried), w.restored)
}

// killWorld is a machine with an application, its backups, and a program that is killed there.
type killWorld struct {
	dir     string
	command string
	staged  bool
	rnd     *rand.Rand
	// usual is how long a run takes that is left alone.
	usual time.Duration

	killed, ended, atOnce, restored int
	ways                            map[string]int
	takeovers                       []time.Duration
	resumed, buried                 map[backup.ID]bool
}

const killConfig = `
sink: file://%s/target
%sseal: {recipients: [%s], identity_file: key.txt}
transfer: {part_size: 64KiB, workers: 2, lease: 1s, cleanup: 10s}
agent: {state: state, listen: none, log: {format: json}}
jobs:
  books:
    application: ledger
    ledger: {dir: app}
    schedule: {log: "@every 1s", full: "@every 4s"}
    retention: {last: 3}
`

func newKillWorld(t *testing.T, command string, staged bool, rnd *rand.Rand) *killWorld {
	w := &killWorld{dir: t.TempDir(), command: command, staged: staged, rnd: rnd, ways: map[string]int{},
		resumed: map[backup.ID]bool{}, buried: map[backup.ID]bool{}}
	require.NoError(t, os.Mkdir(w.path("app"), 0o700))
	l, err := backuptest.OpenLedger(w.path("app"), &backuptest.LedgerOptions{Ballast: 400 << 10})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	var key cli.NewKey
	w.obmJSON(t, &key, "keygen", "--out", w.path("key.txt"))
	stage := ""
	if staged {
		stage = "stage: {dir: stage}\n"
	}
	text := fmt.Sprintf(killConfig, w.dir, stage, key.Recipient)
	require.NoError(t, os.WriteFile(w.path("obm.yaml"), []byte(text), 0o600))
	begun := time.Now()
	code, _ := w.backup(t, "full")
	require.Zero(t, code)
	w.usual = time.Since(begun)
	return w
}

func (w *killWorld) path(elem ...string) string {
	return filepath.Join(append([]string{w.dir}, elem...)...)
}

func (w *killWorld) how() string {
	var ways []string
	for way, n := range w.ways {
		ways = append(ways, fmt.Sprintf("%s %d", way, n))
	}
	slices.Sort(ways)
	return strings.Join(ways, ", ")
}

// child is the program as a process of its own. Its standard error goes to log.
func (w *killWorld) child(t *testing.T, d *mortality, log io.Writer, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), "mortal", append([]string{"--config", w.path("obm.yaml")}, args...)...)
	cmd.Dir = w.dir
	cmd.Stderr = log
	if d != nil {
		text, err := json.Marshal(d)
		require.NoError(t, err)
		cmd.Env = append(os.Environ(), mortalEnv+"="+string(text))
	}
	return cmd
}

// obm is the program in this process, for commands that are not killed. It returns what it printed.
func (w *killWorld) obm(t *testing.T, args ...string) string {
	t.Helper()
	var out, log bytes.Buffer
	p := &cli.Program{Applications: config.Registry{"ledger": config.App(openLedger)}, Stdout: &out, Stderr: &log}
	code := p.Run(t.Context(), append([]string{"--config", w.path("obm.yaml")}, args...))
	require.Zero(t, code, "obm %s\n%s%s", strings.Join(args, " "), &out, &log)
	return out.String()
}

func (w *killWorld) obmJSON(t *testing.T, v any, args ...string) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(w.obm(t, append(args, "--json")...)), v))
}

// mutate lets the application go on.
func (w *killWorld) mutate(t *testing.T) {
	l := w.ledger(t, "app")
	require.NoError(t, l.Mutate(1+w.rnd.IntN(5)))
	require.NoError(t, l.Close())
}

func (w *killWorld) ledger(t *testing.T, dir string) *backuptest.Ledger {
	l, err := backuptest.OpenLedger(w.path(dir), nil)
	require.NoError(t, err)
	return l
}

// kill starts the program and kills it, or lets it kill itself. A run that ended before that is started anew by the caller.
func (w *killWorld) kill(t *testing.T) {
	var d *mortality
	way, after := "any time", time.Duration(0)
	switch w.rnd.IntN(3) {
	case 0:
		after = time.Duration(w.rnd.Float64() * 1.2 * float64(w.usual))
	case 1:
		d = &mortality{Objects: 1 + w.rnd.IntN(40), Dir: w.path("target")}
		way = "by objects"
	case 2:
		d = &mortality{Point: points()[w.rnd.IntN(len(points()))], Nth: 1}
		way = "at a point"
	}
	args := []string{"backup", "books", "--kind", w.kind()}
	if w.command == "run" {
		args = []string{"run"}
		after *= 4
		if d != nil && d.Point != "" {
			d.Nth += w.rnd.IntN(3)
		}
	}
	var log bytes.Buffer
	cmd := w.child(t, d, &log, args...)
	require.NoError(t, cmd.Start())
	if d == nil {
		time.Sleep(after)
		_ = cmd.Process.Kill() // it may have ended
	} else if w.command == "run" {
		defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
	}
	var exit *exec.ExitError
	switch err := cmd.Wait(); {
	case err == nil:
		w.ended++
	case errors.As(err, &exit) && killed(exit):
		w.killed++
		w.ways[way]++
	case errors.As(err, &exit) && exit.ExitCode() == 5:
		w.ended++ // the one before was killed a moment ago, and holds the job
	default:
		require.Fail(t, "it ended by itself", "%s: %v\n%s", args, err, &log)
	}
}

func killed(exit *exec.ExitError) bool {
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

func (w *killWorld) kind() string {
	return []string{"full", "log", "log"}[w.rnd.IntN(3)]
}

// whole verifies that no backup is half, whatever died.
func (w *killWorld) whole(t *testing.T) {
	var v cli.Verified
	w.obmJSON(t, &v, "verify", "books")
	require.Empty(t, v.Bad)
	require.NotZero(t, v.CheckedParts)
	for _, b := range w.list(t) {
		require.Empty(t, b.Damaged)
		for _, it := range b.Items {
			require.Empty(t, it.Error)
			require.Empty(t, it.Reason, "%s of %s: the chain was broken", b.ID, it.Name)
		}
	}
	w.note(t)
}

func (w *killWorld) list(t *testing.T) (list []cli.ListedBackup) {
	w.obmJSON(t, &list, "list", "books")
	return list
}

// note remembers what became of dead runs, before retention removes it.
func (w *killWorld) note(t *testing.T) {
	for _, m := range w.manifests(t) {
		if m.Abandoned != "" {
			w.buried[m.ID] = true
		} else if m.Resumed {
			w.resumed[m.ID] = true
		}
	}
}

func (w *killWorld) manifests(t *testing.T) []backup.Manifest {
	return manifestsAt(t, w.path("target", "books"))
}

// manifestsAt are those of a job, oldest first.
func manifestsAt(t *testing.T, job string) (all []backup.Manifest) {
	names, err := filepath.Glob(filepath.Join(job, "manifests", "*.json"))
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var m backup.Manifest
		require.NoError(t, json.Unmarshal(text, &m))
		all = append(all, m)
	}
	return all
}

// damageState does to what the agent remembers what bad disks and careless people do.
func (w *killWorld) damageState(t *testing.T) {
	name := w.path("state", "books.json")
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	require.NoError(t, err)
	switch w.rnd.IntN(6) {
	case 0:
		err = os.WriteFile(name, text[:w.rnd.IntN(len(text)+1)], 0o600)
	case 1:
		err = os.WriteFile(name, []byte("\x00\xffgarbage"), 0o600)
	case 2:
		err = os.Remove(name)
	case 3:
		err = os.RemoveAll(w.path("state"))
	}
	require.NoError(t, err)
}

// lives starts the program as after a reboot and has it make a backup.
func (w *killWorld) lives(t *testing.T) {
	begun := time.Now()
	var busy bool
	if w.command == "run" {
		busy = w.agentLives(t)
	} else {
		busy = w.backupLives(t)
	}
	w.note(t)
	if busy {
		w.takeovers = append(w.takeovers, time.Since(begun).Round(10*time.Millisecond))
		return
	}
	w.atOnce++
}

// backupLives takes a backup: at once, or else as soon as the lease of the dead has expired. Nothing but the lease may be in the way.
func (w *killWorld) backupLives(t *testing.T) (busy bool) {
	kind := w.kind()
	code, log := w.backup(t, kind)
	if code == 5 {
		busy = true
		time.Sleep(time.Until(w.expiry(t)))
		code, log = w.backup(t, kind)
	}
	require.Zero(t, code, "%s", log)
	return busy
}

// backup runs the command and returns its exit code.
func (w *killWorld) backup(t *testing.T, kind string) (code int, log string) {
	var out bytes.Buffer
	err := w.child(t, nil, &out, "backup", "books", "--kind", kind).Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return exit.ExitCode(), out.String()
	}
	require.NoError(t, err)
	return 0, out.String()
}

// expiry is when the lease at the target expires by the clock of its holder, which is ours.
func (w *killWorld) expiry(t *testing.T) (last time.Time) {
	names, err := filepath.Glob(w.path("target", "books", "lease", "*.json"))
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var lease struct{ Expires time.Time }
		require.NoError(t, json.Unmarshal(text, &lease))
		if lease.Expires.After(last) {
			last = lease.Expires
		}
	}
	require.NotZero(t, last, "the job is busy and has no lease")
	return last
}

// agentLives starts the agent, waits for a good backup and stops it.
func (w *killWorld) agentLives(t *testing.T) (busy bool) {
	name := w.path("agent.log")
	log, err := os.Create(name)
	require.NoError(t, err)
	defer log.Close()
	cmd := w.child(t, nil, log, "run")
	require.NoError(t, cmd.Start())
	defer func() { _ = cmd.Process.Kill() }()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(patience); !slices.Contains(w.outcomes(t, name), agent.OutcomeOK); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-ended:
			require.Fail(t, "the agent ended by itself", "%v\n%s", err, readFile(t, name))
		default:
			require.True(t, time.Now().Before(end), "no good backup within %s\n%s", patience, readFile(t, name))
		}
	}
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, <-ended, "%s", readFile(t, name))
	for _, o := range w.outcomes(t, name) {
		busy = busy || o == agent.OutcomeBusy
		require.Contains(t, []agent.Outcome{agent.OutcomeOK, agent.OutcomeBusy}, o, "%s", readFile(t, name))
	}
	return busy
}

func readFile(t *testing.T, name string) string {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// outcomes are those of the actions in the agent's log.
func (w *killWorld) outcomes(t *testing.T, name string) (all []agent.Outcome) {
	for line := range strings.Lines(readFile(t, name)) {
		var entry struct {
			Action  agent.Action
			Outcome agent.Outcome
		}
		if !strings.HasSuffix(line, "\n") {
			break // it is being written
		}
		require.NoError(t, json.Unmarshal([]byte(line), &entry), "%s", line)
		if entry.Outcome != "" {
			all = append(all, entry.Outcome)
		}
	}
	return all
}

// tidy requires that every object belongs to a backup, and nothing is left in the stage or open in the application.
func (w *killWorld) tidy(t *testing.T) {
	w.whole(t)
	l := w.ledger(t, "app")
	require.Empty(t, l.Open())
	require.NoError(t, l.Close())
	require.Empty(t, filesBelow(w.path("stage")))

	parts, known := map[string]int{}, map[string]bool{}
	for _, b := range w.list(t) {
		parts[string(b.ID)] = b.Parts + 2 // the entries and the sums
		known[string(b.ID)] = true
	}
	graves := map[string]bool{}
	for _, m := range w.manifests(t) {
		graves[string(m.ID)] = m.Abandoned != ""
	}
	leases := 0
	for name := range filesBelow(w.path("target")) {
		rel, err := filepath.Rel(w.path("target"), name)
		require.NoError(t, err)
		elems := strings.Split(filepath.ToSlash(rel), "/")
		if elems[0] == ".quiesce-tmp" {
			continue // puts that died; no object, and swept an hour later
		}
		require.Equal(t, "books", elems[0])
		id, _, _ := strings.Cut(elems[2], ".")
		switch elems[1] {
		case "runs":
			parts[id]--
			require.GreaterOrEqual(t, parts[id], 0, "%s belongs to no backup", rel)
		case "manifests":
			require.True(t, known[id] || graves[id], "%s is no backup", rel)
		case "proofs":
			require.True(t, known[id], "%s is about no backup", rel)
		case "lease":
			leases++
		default:
			require.Fail(t, "unknown object", rel)
		}
	}
	require.LessOrEqual(t, leases, 1)
	for id, n := range parts {
		require.Zero(t, n, "backup %s lacks %d objects", id, n)
	}
}

// restores brings back the latest state and one of the past, elsewhere.
func (w *killWorld) restores(t *testing.T) {
	var windows []cli.ItemWindow
	w.obmJSON(t, &windows, "windows", "books")
	l := w.ledger(t, "app")
	defer l.Close()
	require.Len(t, windows, len(l.Current()))
	latest := slices.MaxFunc(windows, func(a, b cli.ItemWindow) int { return a.To.Compare(b.To) }).To
	want := l.At(latest)
	if newest := slices.MaxFunc(w.manifests(t), func(a, b backup.Manifest) int { return strings.Compare(string(a.ID), string(b.ID)) }); !newest.Resumed {
		require.Empty(t, want.Diff(l.Current()), "the newest backup holds everything") // a full that was asked for and one that died may be one
	}
	var past []time.Time
	for _, at := range l.Moments() {
		if !slices.ContainsFunc(windows, func(i cli.ItemWindow) bool { return !advertised(i, at) }) {
			past = append(past, at)
		}
	}
	w.restore(t, want)
	require.NotEmpty(t, past)
	at := past[w.rnd.IntN(len(past))]
	w.restore(t, l.At(at), "--at", at.UTC().Format(time.RFC3339Nano))
}

// advertised reports whether an item can be restored to a time.
func advertised(w cli.ItemWindow, at time.Time) bool {
	return !at.Before(w.From) && !at.After(w.To) &&
		!slices.ContainsFunc(w.Gaps, func(g backup.Gap) bool { return at.After(g.From) && at.Before(g.To) })
}

func (w *killWorld) restore(t *testing.T, want backuptest.Books, args ...string) {
	w.restored++
	dir := fmt.Sprintf("restored-%d", w.restored)
	require.NoError(t, os.Mkdir(w.path(dir), 0o700))
	w.obm(t, append([]string{"restore", "books", "--to", w.path(dir), "--overwrite", "--yes"}, args...)...)
	l := w.ledger(t, dir)
	require.Empty(t, want.Diff(l.Current()), "%v", args)
	require.NoError(t, l.Close())
}
