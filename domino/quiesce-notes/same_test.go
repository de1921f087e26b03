package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// world is a server, and a program with one thread at it that does what it is told.
type world struct {
	s     *dominosim.Server
	th    notes.Thread
	dir   string // for copies and extents
	times []time.Time

	handles  []notes.Handle
	opened   []string
	backups  []underway
	applies  []notes.ApplyContext
	info     [][]byte // that was got, in order
	released map[string]func() error
	extents  []notes.Extent
}

type underway struct {
	h    notes.Handle
	c    notes.BackupContext
	size int64
}

func newWorld(t *testing.T, w way) *world {
	t.Helper()
	s := newServer(t)
	api := w.open(t, s)
	t.Cleanup(func() { api.Close() })
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	for i, db := range databases {
		require.NoError(t, s.CreateDB(db, dominosim.DB{Title: db, Unlogged: i == 2}))
	}
	return &world{s: s, th: th, dir: t.TempDir(), released: map[string]func() error{}, times: []time.Time{time.Now()}}
}

var databases = [...]string{"a.nsf", "sub/b.nsf", "c.nsf"}

// says is what came of a step in words that are the same in both worlds, where ids, handles and clocks differ.
func says(err error, results ...any) string {
	var s notes.Status
	switch {
	case err == nil:
		return fmt.Sprint(append([]any{"ok "}, results...)...)
	case errors.As(err, &s):
		return fmt.Sprint(append([]any{s.Error(), " "}, results...)...)
	case errors.Is(err, fs.ErrNotExist):
		return "no file"
	}
	_, what, _ := strings.Cut(err.Error(), ": ") // a path comes before
	return "another error: " + what
}

// digest tells contents apart.
func digest(contents map[string]string) string {
	return fmt.Sprintf("%d keys %08x", len(contents), crc32.ChecksumIEEE(fmt.Append(nil, contents)))
}

// step is one thing that may happen. The numbers say of which it happens, the same in both worlds.
type step struct {
	name string
	do   func(ctx context.Context, w *world, a, b int) string
}

func of[T any](all []T, n int) (T, bool) {
	var none T
	if len(all) == 0 {
		return none, false
	}
	return all[n%len(all)], true
}

var steps = [...]step{
	{"write", func(_ context.Context, w *world, a, b int) string {
		db := databases[a%3]
		err := w.s.Write(db, fmt.Sprint("k", b%20), fmt.Sprintf("%0*d", b%700+1, b))
		w.times = append(w.times, time.Now())
		return says(err)
	}},
	{"write much", func(_ context.Context, w *world, a, b int) string {
		for i := range 40 {
			if err := w.s.Write(databases[a%3], fmt.Sprint("k", i%20), fmt.Sprintf("%0*d", 900, b+i)); err != nil {
				return says(err)
			}
		}
		return says(nil)
	}},
	{"read", func(_ context.Context, w *world, a, _ int) string {
		m, err := w.s.Read(databases[a%3])
		return says(err, digest(m))
	}},
	{"compact", func(_ context.Context, w *world, a, _ int) string { return says(w.s.Compact(databases[a%3])) }},
	{"logging", func(_ context.Context, w *world, a, b int) string {
		return says(w.s.SetLogged(databases[a%3], b%2 == 0))
	}},
	{"switch log", func(_ context.Context, w *world, _, _ int) string { return says(w.s.SwitchLog()) }},
	{"busy", func(_ context.Context, w *world, a, b int) string {
		db := databases[a%3]
		how := [...]func(string) (func() error, error){w.s.Hold, w.s.Compacting, w.s.CompactingInPlace, w.s.Replicating}[b%4]
		over := w.released[db]
		switch {
		case over != nil:
			delete(w.released, db)
			return says(over())
		case b%3 > 0:
			return ""
		}
		over, err := how(db)
		if err == nil {
			w.released[db] = over
		}
		return says(err)
	}},
	{"directory", func(ctx context.Context, w *world, _, _ int) string {
		d, err := w.th.DataDirectory(ctx)
		return says(err, d == w.s.DataDir())
	}},
	{"environment", func(ctx context.Context, w *world, a, _ int) string {
		v, is, err := w.th.Environment(ctx, [...]string{"TRANSLOG_Style", "translog_STATUS", "none"}[a%3])
		return says(err, v, is)
	}},
	{"open", func(ctx context.Context, w *world, a, b int) string {
		path := [...]string{databases[0], databases[1], databases[2], "a", "sub", "none.nsf", "restored.nsf", "notes.ini"}[a%8]
		h, err := w.th.Open(ctx, path)
		if err == nil {
			w.handles, w.opened = append(w.handles, h), append(w.opened, path)
		}
		return says(err)
	}},
	{"ask", func(ctx context.Context, w *world, a, _ int) string {
		h, ok := of(w.handles, a)
		if !ok {
			return ""
		}
		dir, err := w.th.IsDirectory(ctx, h)
		path, err2 := w.th.Path(ctx, h)
		info, err3 := w.th.LogInfo(ctx, h)
		rel, _ := filepath.Rel(w.s.DataDir(), path)
		return says(err, dir) + says(err2, rel) + says(err3, info.Logged, info.LogID.IsZero(), info.DBIID.IsZero(), info.Extent)
	}},
	{"start", func(ctx context.Context, w *world, a, _ int) string {
		h, ok := of(w.handles, a)
		if !ok {
			return ""
		}
		c, size, err := w.th.BackupStart(ctx, h)
		if err == nil {
			w.backups = append(w.backups, underway{h, c, size})
		}
		return says(err, size)
	}},
	{"mark", func(ctx context.Context, w *world, a, b int) string {
		u, ok := of(w.backups, a)
		if !ok {
			return ""
		}
		return says(w.th.BackupHighWater(ctx, u.h, u.c, [...]int64{0, 4096, 8192, u.size, u.size + 1, 1 << 40}[b%6]))
	}},
	{"copy", func(ctx context.Context, w *world, a, _ int) string {
		u, ok := of(w.backups, a)
		if !ok {
			return ""
		}
		path, err := w.th.Path(ctx, u.h)
		if err != nil {
			return says(err)
		}
		return says(copyFile(path, filepath.Join(w.dir, "copy")))
	}},
	{"write on", func(_ context.Context, w *world, a, b int) string {
		return says(w.s.Write(databases[a%3], fmt.Sprint("k", b%20), fmt.Sprintf("%0*d", 300, b)))
	}},
	{"stop", func(ctx context.Context, w *world, a, _ int) string {
		u, ok := of(w.backups, a)
		if !ok {
			return ""
		}
		return says(w.th.BackupStop(ctx, u.h, u.c))
	}},
	{"size", func(ctx context.Context, w *world, a, _ int) string {
		u, ok := of(w.backups, a)
		if !ok {
			return ""
		}
		n, err := w.th.ChangeInfoSize(ctx, u.h, u.c)
		return says(err, n)
	}},
	{"apply begins", func(ctx context.Context, w *world, a, b int) string {
		size := int64(0)
		if u, ok := of(w.backups, a); ok {
			size, _ = w.th.ChangeInfoSize(ctx, u.h, u.c)
		}
		path := [...]string{filepath.Join(w.dir, "copy"), filepath.Join(w.dir, "none"), w.s.IniPath()}[b%3]
		c, err := w.th.ApplyStart(ctx, path, size)
		if err == nil {
			w.applies = append(w.applies, c)
		}
		return says(err)
	}},
	{"next", func(ctx context.Context, w *world, a, b int) string {
		u, ok := of(w.backups, a)
		if !ok {
			return ""
		}
		buf := make([]byte, [...]int{100, 5000, 1 << 20}[b%3])
		n, err := w.th.NextChangeInfo(ctx, u.h, u.c, buf)
		if n > 0 {
			w.info = append(w.info, buf[:n])
		}
		return says(err, n)
	}},
	{"apply", func(ctx context.Context, w *world, a, b int) string {
		c, ok := of(w.applies, a)
		if !ok {
			return ""
		}
		info := bytes.Repeat([]byte("?"), 50)
		if len(w.info) > 0 && b%8 > 0 {
			info, w.info = w.info[0], w.info[1:]
		}
		return says(w.th.Apply(ctx, c, info))
	}},
	{"applied", func(ctx context.Context, w *world, a, b int) string {
		if len(w.applies) == 0 {
			return ""
		}
		c := w.applies[0]
		w.applies = w.applies[1:]
		return says(w.th.ApplyEnd(ctx, c, b%3 == 0))
	}},
	{"end", func(ctx context.Context, w *world, a, b int) string {
		u, ok := of(w.backups, a)
		if !ok {
			return ""
		}
		return says(w.th.BackupEnd(ctx, u.h, u.c, b%2 == 0))
	}},
	{"close", func(ctx context.Context, w *world, a, _ int) string {
		if len(w.handles) == 0 {
			return ""
		}
		n := a % len(w.handles)
		h := w.handles[n]
		if slices.ContainsFunc(w.backups, func(u underway) bool { return u.h == h }) && a%4 > 0 {
			return ""
		}
		w.handles, w.opened = slices.Delete(w.handles, n, n+1), slices.Delete(w.opened, n, n+1)
		w.backups = slices.DeleteFunc(w.backups, func(u underway) bool { return u.h == h })
		return says(w.th.Close(ctx, h))
	}},
	{"style", func(ctx context.Context, w *world, _, _ int) string {
		s, err := w.th.LogStyle(ctx)
		return says(err, s)
	}},
	{"archive", func(ctx context.Context, w *world, _, _ int) string { return says(w.th.ArchivingBegin(ctx)) }},
	{"first", func(ctx context.Context, w *world, _, _ int) string { return w.offered(w.th.FirstLog(ctx)) }},
	{"next log", func(ctx context.Context, w *world, _, _ int) string { return w.offered(w.th.NextLog(ctx)) }},
	{"done", func(ctx context.Context, w *world, a, b int) string {
		e, ok := of(w.extents, a)
		if !ok {
			return ""
		}
		return says(w.th.LogDone(ctx, e.LogID, e.Number+uint32(b%8/7)))
	}},
	{"archived", func(ctx context.Context, w *world, _, _ int) string { return says(w.th.ArchivingEnd(ctx)) }},
	{"offline", func(ctx context.Context, w *world, a, _ int) string {
		return says(w.th.TakeOffline(ctx, w.path(a), 0))
	}},
	{"online", func(ctx context.Context, w *world, a, _ int) string {
		return says(w.th.BringOnline(ctx, w.path(a)))
	}},
	{"a whole backup", func(ctx context.Context, w *world, a, b int) string { return w.backUp(ctx, databases[a%3], b) }},
	{"write a little", func(_ context.Context, w *world, a, b int) string {
		err := w.s.Write(databases[a%3], "last", fmt.Sprint(b))
		w.times = append(w.times, time.Now())
		return says(err)
	}},
	{"all logs", func(ctx context.Context, w *world, _, _ int) string { return w.archive(ctx) }},
	{"put back", func(_ context.Context, w *world, a, _ int) string {
		if slices.Contains(w.opened, "restored.nsf") {
			return ""
		}
		return says(copyFile(filepath.Join(w.dir, "copy"), filepath.Join(w.s.DataDir(), "restored.nsf")))
	}},
	{"recover", func(ctx context.Context, w *world, a, b int) string {
		flags := [...]notes.RecoverFlags{0, notes.RecoverZapID, notes.RecoverZapID | notes.RecoverZapReplicaID, notes.RecoverPointInTime}[b%4]
		until, _ := of(w.times, a)
		var asked []uint32
		put := func(_ context.Context, _ notes.UNID, n uint32, path string) error {
			asked = append(asked, n)
			return copyFile(filepath.Join(w.dir, fmt.Sprint("S", n)), path)
		}
		r, err := w.th.Recover(ctx, []string{"restored.nsf"}, flags, until, put)
		m, rerr := w.s.Read("restored.nsf")
		return says(err, r.Failed, asked, says(rerr, digest(m)))
	}},
}

// backUp is a backup as an agent does it, while the database is written to.
func (w *world) backUp(ctx context.Context, db string, b int) (story string) {
	h, err := w.th.Open(ctx, db)
	if err != nil {
		return says(err)
	}
	c, size, err := w.th.BackupStart(ctx, h)
	if err != nil {
		return says(err) + says(w.th.Close(ctx, h))
	}
	path, err := w.th.Path(ctx, h)
	whole := "ok whole: "
	tell := func(err error, results ...any) {
		story += says(err, results...) + " "
		if err != nil {
			whole = "in part: "
		}
	}
	tell(err, size)
	tell(copyFile(path, filepath.Join(w.dir, "copy")))
	for i := range 5 {
		tell(w.s.Write(db, fmt.Sprint("k", (b+i)%20), fmt.Sprintf("%0*d", 300, b)))
	}
	tell(w.th.BackupStop(ctx, h, c))
	size, err = w.th.ChangeInfoSize(ctx, h, c)
	tell(err, size)
	a, err := w.th.ApplyStart(ctx, filepath.Join(w.dir, "copy"), size)
	tell(err)
	buf := make([]byte, 3000)
	for n := 1; n > 0 && err == nil; {
		n, err = w.th.NextChangeInfo(ctx, h, c, buf)
		tell(err, n)
		if n > 0 && err == nil {
			err = w.th.Apply(ctx, a, buf[:n])
			tell(err)
		}
	}
	tell(w.th.ApplyEnd(ctx, a, err != nil))
	f, err := dominosim.ReadFile(filepath.Join(w.dir, "copy"))
	tell(err, digest(f.Contents), f.Backup, f.FirstExtent)
	tell(w.th.BackupEnd(ctx, h, c, false))
	tell(w.th.Close(ctx, h))
	return whole + story
}

// archive takes all extents on offer and says so.
func (w *world) archive(ctx context.Context) (story string) {
	if err := w.th.ArchivingBegin(ctx); err != nil {
		return says(err)
	}
	for e, err := w.th.FirstLog(ctx); ; e, err = w.th.NextLog(ctx) {
		story += w.offered(e, err)
		if err != nil {
			return story + says(w.th.ArchivingEnd(ctx))
		}
		story += says(w.th.LogDone(ctx, e.LogID, e.Number))
	}
}

func (w *world) path(n int) string {
	return filepath.Join(w.s.DataDir(), [...]string{"a.nsf", "sub/b.nsf", "restored.nsf", "none.nsf"}[n%4])
}

func (w *world) offered(e notes.Extent, err error) string {
	if e.Path != "" {
		w.extents = append(w.extents, e)
		if cerr := copyFile(e.Path, filepath.Join(w.dir, fmt.Sprint("S", e.Number))); cerr != nil {
			return "no extent at " + filepath.Base(e.Path)
		}
	}
	return says(err, e.Number, e.LogID.IsZero(), filepath.Base(e.Path))
}

// state is all that can be seen of a server.
func (w *world) state() string {
	var b bytes.Buffer
	for _, db := range databases {
		m, err := w.s.Read(db)
		fmt.Fprintln(&b, db, says(err, digest(m)))
		f, err := dominosim.ReadFile(filepath.Join(w.s.DataDir(), filepath.FromSlash(db)))
		fmt.Fprintln(&b, says(err, f.Title, f.Logged, f.Backup, f.FirstExtent, f.LogID.IsZero()))
	}
	in, err := w.s.InBackup()
	fmt.Fprintln(&b, "in backup", says(err, w.relative(in)))
	off, err := w.s.Offline()
	fmt.Fprintln(&b, "offline", says(err, w.relative(off)))
	n, err := w.s.CurrentExtent()
	fmt.Fprintln(&b, "extent", says(err, n))
	logs, err := filepath.Glob(filepath.Join(w.s.LogDir(), "*"))
	for _, l := range logs {
		i, err := os.Stat(l)
		fmt.Fprintln(&b, filepath.Base(l), err, i.Size())
	}
	fmt.Fprintln(&b, err)
	return b.String()
}

func (w *world) relative(paths []string) (all []string) {
	for _, p := range paths {
		r, _ := filepath.Rel(w.s.DataDir(), p)
		all = append(all, r)
	}
	slices.Sort(all)
	return all
}

// The model and what is far from it must answer every step alike, whatever came before, and leave the same behind.
func TestTheSameStepsHaveTheSameAnswers(t *testing.T) {
	t.Parallel()
	const length = 200
	seeds := uint64(4)
	if testing.Short() {
		seeds = 1 // too few to come to every step
	}
	for _, far := range ways[1:] {
		t.Run(far.name, func(t *testing.T) {
			t.Parallel()
			done := map[string]int{}
			for seed := range seeds {
				alike(t, far, seed, length, done)
			}
			for _, s := range steps {
				if s.name == "apply" || testing.Short() {
					continue // the right piece at the right time is left to whole backups
				}
				assert.Positive(t, done[s.name], "%q never succeeded: nothing is shown of it", s.name)
			}
		})
	}
}

// alike takes the same steps in two worlds, and counts those that succeeded.
func alike(t *testing.T, far way, seed uint64, length int, done map[string]int) {
	t.Helper()
	one, two := newWorld(t, ways[0]), newWorld(t, far)
	r := rand.New(rand.NewPCG(seed, 0))
	var story []string
	at := 0
	for n := range length {
		if at++; r.IntN(5) == 0 || at == len(steps) { // they are in a sensible order, which is often kept
			at = r.IntN(len(steps))
		}
		s, a, b := steps[at], r.IntN(1000), r.IntN(1000)
		want := s.do(t.Context(), one, a, b)
		got := s.do(t.Context(), two, a, b)
		story = append(story, fmt.Sprintf("%s %d %d: %s", s.name, a, b, want))
		require.Equal(t, want, got, "seed %d, step %d\n%s", seed, n, story)
		if strings.HasPrefix(want, "ok") {
			done[s.name]++
		}
		if n%20 == 19 {
			require.Equal(t, one.state(), two.state(), "seed %d, after step %d\n%s", seed, n, story)
		}
	}
}
