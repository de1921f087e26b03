package domino

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

const (
	itemLog = "transaction log"
	// tick is the resolution of times in Notes.
	tick = 10 * time.Millisecond
)

// lab is a server that the test writes to as its users do, and that the agent reaches by the child and the library in C.
type lab struct {
	testing.TB
	dir string
	sim *dominosim.Server
	cmd notes.Command
	opt domino.Options
}

func newLab(t testing.TB, path, lib string, change ...func(*dominosim.Config)) *lab {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	l := &lab{TB: t, dir: dir}
	cfg := dominosim.Config{Clock: time.Now, Style: notes.LogArchive, ExtentSize: 16 << 10}
	for _, c := range change {
		c(&cfg)
	}
	l.sim, err = dominosim.New(filepath.Join(dir, "server"), cfg)
	require.NoError(t, err)
	l.cmd = notes.Command{Path: path, Program: filepath.Dir(lib), INI: l.sim.IniPath()}
	l.opt = domino.Options{Instance: "mail1/acme", StateDir: filepath.Join(dir, "state"), OfflineWait: 100 * time.Millisecond}
	return l
}

func lodge(t *testing.T, change ...func(*dominosim.Config)) *lab {
	t.Helper()
	path, lib := programs(t)
	return newLab(t, path, lib, change...)
}

func (l *lab) create(names ...string) {
	l.Helper()
	for _, name := range names {
		require.NoError(l, l.sim.CreateDB(name, dominosim.DB{Title: name}))
		l.write(name, "created", name)
	}
}

func (l *lab) write(db, key, value string) {
	l.Helper()
	require.NoError(l, l.sim.Write(db, key, value))
}

// fill makes more log than fits into an extent, and changes all databases.
func (l *lab) fill(round int, dbs ...string) {
	l.Helper()
	for i := range 12 {
		l.write(dbs[i%len(dbs)], fmt.Sprintf("document %d", i), fmt.Sprintf("%d %s", round, strings.Repeat("x", 2000)))
	}
}

func (l *lab) read(db string) map[string]string {
	l.Helper()
	all, err := l.sim.Read(db)
	require.NoError(l, err)
	return all
}

// busy has users write to databases until it is told to stop.
func (l *lab) busy(dbs []string) (stop func()) {
	quit, done := make(chan struct{}), make(chan error, 1)
	go func() {
		r := rand.New(rand.NewPCG(3, 5))
		for n := 0; ; n++ {
			select {
			case <-quit:
				done <- nil
				return
			case <-time.After(time.Duration(r.IntN(4000)) * time.Microsecond):
			}
			if err := l.sim.Write(dbs[r.IntN(len(dbs))], fmt.Sprintf("document %d", r.IntN(12)), fmt.Sprintf("%d %s", n, strings.Repeat("y", r.IntN(2500)))); err != nil {
				done <- err
				return
			}
		}
	}()
	return func() {
		l.Helper()
		close(quit)
		require.NoError(l, <-done)
	}
}

func (l *lab) source() domino.Source {
	l.Helper()
	o := l.opt
	o.Notes = l.cmd
	s, err := domino.New(&o)
	require.NoError(l, err)
	return s
}

// job is a pipeline of the lab.
type job struct {
	*backup.Pipeline
	l *lab
}

func (l *lab) job(src backup.Source, sink backup.Sink, streaming bool) *job {
	l.Helper()
	cfg := backup.Config{Job: "mail", Source: src, Sink: sink, PartSize: 64 << 10}
	if !streaming {
		cfg.Stager = backup.DirStager{Dir: filepath.Join(l.dir, "stage")}
	}
	p, err := backup.New(cfg)
	require.NoError(l, err)
	return &job{p, l}
}

func (l *lab) staged() *job { return l.job(l.source(), backuptest.NewMemSink(), false) }

func (j *job) take(kind backup.Kind) *backup.Manifest {
	j.l.Helper()
	m, err := j.Backup(j.l.Context(), kind)
	require.NoError(j.l, err)
	j.l.tidy()
	return m
}

func (j *job) restore(t backup.Target, o backup.RestoreOptions) error {
	j.l.Helper()
	plan, err := j.Plan(j.l.Context(), t)
	require.NoError(j.l, err)
	return j.Restore(j.l.Context(), plan, o)
}

// same restores each database under another name and compares it with what it is.
func (j *job) same(below string, dbs ...string) {
	j.l.Helper()
	var pick []backup.Selection
	for _, db := range dbs {
		pick = append(pick, backup.Selection{Name: db, As: below + "/" + db})
	}
	require.NoError(j.l, j.restore(backup.Target{Select: pick}, backup.RestoreOptions{}))
	for _, db := range dbs {
		equal(j.l, j.l.read(db), j.l.read(below+"/"+db), "%s", db)
	}
}

// kept fails when Domino has removed an extent of the log, because it was told that it is archived, of which no manifest at the target says that it holds it.
func (j *job) kept() {
	j.l.Helper()
	h, err := j.History(j.l.Context())
	require.NoError(j.l, err)
	stored := map[uint32]bool{}
	for _, b := range h {
		it, ok := b.Item(itemLog)
		if !ok || it.Failed() {
			continue
		}
		for n := numberOf(j.l, it.Begin); n < numberOf(j.l, it.End); n++ {
			stored[n] = true
		}
	}
	gone, err := j.l.gone()
	require.NoError(j.l, err)
	for _, n := range gone {
		assert.True(j.l, stored[n], "extent %d was given up and is in no manifest", n)
	}
}

// gone are the extents that Domino has removed, because it was told that they are archived.
func (l *lab) gone() (numbers []uint32, err error) {
	current, err := l.sim.CurrentExtent()
	for n := uint32(1); n < current; n++ {
		if _, err := os.Stat(filepath.Join(l.sim.LogDir(), fmt.Sprintf("S%07X.TXN", n))); os.IsNotExist(err) {
			numbers = append(numbers, n)
		}
	}
	return numbers, err
}

// numberOf is the extent that a position names.
func numberOf(t testing.TB, p backup.Position) (n uint32) {
	t.Helper()
	number, _, _ := strings.Cut(string(p), ".")
	_, err := fmt.Sscan(strings.TrimLeft(number, "0"), &n)
	require.NoError(t, err, "position %s", p)
	return n
}

// tidy: nothing is in backup or offline, nothing of ours lies in the data directory, nobody archives the log, and no note of a run is left.
func (l *lab) tidy() {
	l.Helper()
	require.NoError(l, l.left(l.Context()))
}

func (l *lab) left(ctx context.Context) error {
	in, err := l.sim.InBackup()
	if err != nil || len(in) > 0 {
		return errors.Join(fmt.Errorf("in backup: %v", in), err)
	}
	return l.unused(ctx)
}

// unused is left, but for databases in backup.
func (l *lab) unused(ctx context.Context) error {
	off, err := l.sim.Offline()
	off = slices.DeleteFunc(off, func(path string) bool { // what a rehearsal removed was taken from the server first
		_, err := os.Stat(path)
		return os.IsNotExist(err)
	})
	if err != nil || len(off) > 0 {
		return errors.Join(fmt.Errorf("offline: %v", off), err)
	}
	p := l.sim.Process()
	defer p.Close()
	t, err := p.Thread(ctx)
	if err != nil {
		return err
	}
	if err := t.ArchivingBegin(ctx); errors.Is(err, notes.StatusTransLogNotArchived) {
		return l.leavings()
	} else if err != nil {
		return fmt.Errorf("the log is being archived: %w", err)
	}
	if err := t.ArchivingEnd(ctx); err != nil {
		return err
	}
	if left, err := filepath.Glob(filepath.Join(l.opt.StateDir, "*.inbackup*")); err != nil || len(left) > 0 {
		return errors.Join(fmt.Errorf("a note of what is in backup is left: %v", left), err)
	}
	return l.leavings()
}

// leavings are files of ours in the data directory.
func (l *lab) leavings() error {
	return filepath.WalkDir(l.sim.DataDir(), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(path, ".quiesce") || strings.HasSuffix(path, ".quiesce-old")) {
			return fmt.Errorf("%s is left", path)
		}
		return err
	})
}

// failed are the items that failed, with what is said of them.
func failed(m *backup.Manifest) map[string]string {
	out := map[string]string{}
	for _, it := range m.Items {
		if it.Failed() {
			out[it.Name] = it.Error
		}
	}
	return out
}

func kinds(m *backup.Manifest) map[string]backup.Kind {
	out := map[string]backup.Kind{}
	for _, it := range m.Items {
		if !it.Failed() {
			out[it.Name] = it.Kind
		}
	}
	return out
}

func named(names ...string) (out []backup.Selection) {
	for _, n := range names {
		out = append(out, backup.Selection{Name: n})
	}
	return out
}

// equal compares contents, and shows keys with the first bytes of their values only.
func equal(t testing.TB, want, got map[string]string, format string, args ...any) {
	t.Helper()
	short := func(all map[string]string) map[string]string {
		out := map[string]string{}
		for k, v := range all {
			out[k] = fmt.Sprintf("%.20s (%d)", v, len(v))
		}
		return out
	}
	if !maps.Equal(want, got) {
		require.Equal(t, short(want), short(got), append([]any{format}, args...)...)
		require.Fail(t, "values differ behind their first bytes", append([]any{format}, args...)...)
	}
}
