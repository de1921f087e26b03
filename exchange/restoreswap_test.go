package exchange

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/filelock"
)

// swapLab is a folder with a database, a log and restored files for both, and one place where nothing was.
type swapLab struct {
	t   *testing.T
	dir string
	s   *Source
}

func newSwapLab(t *testing.T) *swapLab {
	l := &swapLab{t: t, dir: t.TempDir()}
	l.s = &Source{opt: Options{StateDir: filepath.Join(l.dir, "state"), Instance: "x"}}
	for name, text := range map[string]string{"db.edb": "old database", "E00.log": "old log", "E0000000007.log": "only here", "work/db.edb": "new database", "work/second.edb": "new second"} {
		l.write(name, text)
	}
	return l
}

func (l *swapLab) write(name, text string) {
	l.t.Helper()
	at := filepath.Join(l.dir, name)
	require.NoError(l.t, os.MkdirAll(filepath.Dir(at), 0o700))
	require.NoError(l.t, os.WriteFile(at, []byte(text), 0o600))
}

// files is all that is in the folder but for the state.
func (l *swapLab) files() map[string]string {
	l.t.Helper()
	out := map[string]string{}
	require.NoError(l.t, filepath.WalkDir(l.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(l.dir, path)
		if err != nil || filepath.Dir(rel) == "state" {
			return err
		}
		text, err := os.ReadFile(path)
		out[filepath.ToSlash(rel)] = string(text)
		return err
	}))
	return out
}

func (l *swapLab) open() *swap {
	l.t.Helper()
	w, err := l.s.openSwap("group")
	require.NoError(l.t, err)
	l.t.Cleanup(func() { assert.NoError(l.t, w.close()) })
	return w
}

func (l *swapLab) planned() *swap {
	w := l.open()
	require.NoError(l.t, w.begin("x", "group", day, []string{filepath.Join(l.dir, "work")}))
	w.plan(filepath.Join(l.dir, "db.edb"), filepath.Join(l.dir, "work", "db.edb"), false)
	w.plan(filepath.Join(l.dir, "second.edb"), filepath.Join(l.dir, "work", "second.edb"), false)
	w.plan(filepath.Join(l.dir, "E00.log"), "", false)
	w.plan(filepath.Join(l.dir, "E0000000007.log"), "", true)
	return w
}

var oldFiles = map[string]string{"db.edb": "old database", "E00.log": "old log", "E0000000007.log": "only here"}

func TestASwapIsCarriedOut(t *testing.T) {
	t.Parallel()
	l := newSwapLab(t)
	w := l.planned()
	require.NoError(t, w.exchange())
	kept, err := w.finish()
	require.NoError(t, err)
	aside := filepath.Join(l.dir, asideFolder+day.Format("20060102T150405.000"), "E0000000007.log")
	assert.Equal(t, []string{aside}, kept)
	rel, err := filepath.Rel(l.dir, aside)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"db.edb": "new database", "second.edb": "new second", filepath.ToSlash(rel): "only here"}, l.files(), "a log that no backup has is never deleted")
	assert.NoFileExists(t, w.path)
}

// Whatever rename fails, everything is as it was.
func TestASwapThatFailsIsUndone(t *testing.T) {
	t.Parallel()
	l := newSwapLab(t)
	w := l.planned()
	w.plan(filepath.Join(l.dir, "third.edb"), filepath.Join(l.dir, "work", "missing.edb"), false)
	require.ErrorIs(t, w.exchange(), os.ErrNotExist)
	assert.Equal(t, oldFiles, l.files())
	assert.NoFileExists(t, w.path)
}

// A process that dies between any two renames: the next restore puts back what was there. Where a restored file has the place already, it does that only when overwriting is allowed.
func TestASwapThatDiesIsPutBack(t *testing.T) {
	t.Parallel()
	for n := range 6 {
		l := newSwapLab(t)
		w := l.planned()
		w.note.State = swapPlacing
		w.note.Dismounted = []string{"db"}
		require.NoError(t, w.save())
		steps := w.steps()
		require.Len(t, steps, 5)
		for _, step := range steps[:n] {
			require.NoError(t, step())
		}
		require.NoError(t, w.close())

		next := l.open()
		before := l.files()
		m, err := next.mend(false, false)
		require.NoError(t, err)
		if n > 3 { // the database has its place
			require.Len(t, m.both, 1, "after %d renames", n)
			assert.Equal(t, before, l.files(), "nothing is touched")
			assert.Contains(t, next.note.left(), filepath.Dir(m.both[0].Aside))
			m, err = next.mend(true, false)
			require.NoError(t, err)
		}
		require.Empty(t, m.both)
		require.Len(t, m.told, 2)
		assert.Contains(t, m.told[1], "had dismounted db")
		want := map[string]string{}
		for name, text := range oldFiles {
			want[name] = text
		}
		if n == 5 { // nobody knows whether it is in use now
			want["second.edb"] = "new second"
		}
		assert.Equal(t, want, l.files(), "after %d renames", n)
		assert.NoFileExists(t, next.path)
	}
}

func TestASwapThatDiedBeforeOrAfterRenames(t *testing.T) {
	t.Parallel()
	t.Run("restoring", func(t *testing.T) {
		t.Parallel()
		l := newSwapLab(t)
		require.NoError(t, l.planned().close())
		m, err := l.open().mend(false, false)
		require.NoError(t, err)
		assert.Empty(t, m)
		assert.Equal(t, oldFiles, l.files(), "copies that were not finished are removed")
	})
	t.Run("removing", func(t *testing.T) {
		t.Parallel()
		l := newSwapLab(t)
		w := l.planned()
		require.NoError(t, w.exchange())
		w.note.State = swapPlaced
		require.NoError(t, w.save())
		require.NoError(t, w.close())
		m, err := l.open().mend(false, false)
		require.NoError(t, err)
		require.Len(t, m.told, 1)
		assert.Contains(t, m.told[0], "1 logs that were at the server and are in no backup")
		assert.Equal(t, "new database", l.files()["db.edb"])
		assert.Len(t, l.files(), 3)
	})
	t.Run("in use", func(t *testing.T) {
		t.Parallel()
		l := newSwapLab(t)
		w := l.planned()
		require.NoError(t, w.exchange())
		require.NoError(t, w.close())
		m, err := l.open().mend(true, true)
		require.NoError(t, err)
		require.Len(t, m.told, 1)
		assert.Contains(t, m.told[0], "is still there")
		assert.Equal(t, "new database", l.files()["db.edb"])
		assert.Len(t, l.files(), 5, "nothing is deleted")
	})
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		l := newSwapLab(t)
		w := l.planned()
		require.NoError(t, w.exchange())
		require.NoError(t, w.keep())
		require.NoError(t, w.close())
		next := l.open()
		m, err := next.mend(false, false)
		require.NoError(t, err)
		require.Len(t, m.told, 1)
		assert.Contains(t, m.told[0], "is still there")
		assert.Len(t, l.files(), 5, "new ones in place and old ones aside")
		assert.NoFileExists(t, next.path)
	})
}

func TestOneRestoreOfAGroupAtATime(t *testing.T) {
	t.Parallel()
	l := newSwapLab(t)
	l.open()
	_, err := l.s.openSwap("GROUP")
	require.ErrorIs(t, err, filelock.ErrHeld)
}

func TestAGroupThatWasRestoredIsRemembered(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	_, restored, err := restoredSince(dir, "x", "group")
	require.NoError(t, err)
	assert.False(t, restored)
	require.NoError(t, noteRestored(dir, "x", "group", day))
	at, restored, err := restoredSince(dir, "x", "Group")
	require.NoError(t, err)
	assert.True(t, restored)
	assert.Equal(t, day, at)
	_, other, err := restoredSince(dir, "y", "group")
	require.NoError(t, err)
	assert.False(t, other)

	require.NoError(t, forgetRestored(dir, "x", "group", day.Add(-time.Second)), "a full that began before the restore")
	_, restored, err = restoredSince(dir, "x", "group")
	require.NoError(t, err)
	assert.True(t, restored)
	require.NoError(t, os.WriteFile(groupPath(dir, "x", "group", "restored"), []byte("{"), 0o600))
	_, restored, err = restoredSince(dir, "x", "group")
	require.NoError(t, err)
	assert.True(t, restored, "a torn note is one")
	require.NoError(t, forgetRestored(dir, "x", "group", day))
	_, restored, err = restoredSince(dir, "x", "group")
	require.NoError(t, err)
	assert.False(t, restored)
}
