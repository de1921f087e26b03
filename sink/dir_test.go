package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

func newDir(t testing.TB) *Dir {
	t.Helper()
	d, err := OpenDir(filepath.Join(t.TempDir(), "made", "on demand"))
	require.NoError(t, err)
	return d
}

// TestDirWithoutHardLinks runs the suite where links are refused, as by FAT and some shares.
func TestDirWithoutHardLinks(t *testing.T) {
	t.Parallel()
	backuptest.TestSink(t, func(t *testing.T) backup.Sink {
		d := newDir(t)
		d.link = func(string, string) error { return &os.LinkError{Op: "link", Err: syscall.EPERM} }
		return d
	}, backuptest.SinkOptions{Big: 2 << 20, Many: 50})
}

// TestDirAcrossFileSystems runs the suite where each move out of the temporary directory is refused, as into a mounted directory.
func TestDirAcrossFileSystems(t *testing.T) {
	t.Parallel()
	d := newDir(t)
	var refused atomic.Int32
	across := func(move func(from, to string) error) func(from, to string) error {
		return func(from, to string) error {
			if filepath.Base(filepath.Dir(from)) == tempDir {
				refused.Add(1)
				return &os.LinkError{Op: "rename", Err: syscall.EXDEV}
			}
			return move(from, to)
		}
	}
	require.NoError(t, d.write(t.Context(), "a/b", strings.NewReader("one"), across(os.Rename)))
	require.NoError(t, d.write(t.Context(), "a/b", strings.NewReader("two"), across(os.Rename)))
	require.ErrorIs(t, d.write(t.Context(), "a/b", strings.NewReader("three"), across(d.moveIfAbsent)), fs.ErrExist)
	assert.EqualValues(t, 3, refused.Load())
	got, err := os.ReadFile(filepath.Join(d.Path(), "a", "b"))
	require.NoError(t, err)
	assert.Equal(t, "two", string(got))
	assertNoTemps(t, d)
}

// assertNoTemps checks that nothing but objects lies in the directory.
func assertNoTemps(t *testing.T, d *Dir) {
	t.Helper()
	assert.NoError(t, filepath.WalkDir(d.Path(), func(path string, e fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(e.Name(), tempDir+"-") || filepath.Base(filepath.Dir(path)) == tempDir {
			t.Errorf("left over: %s", path)
		}
		return err
	}))
}

func TestDirWaitsForAClaim(t *testing.T) {
	d := newDir(t)
	d.link = func(string, string) error { return errors.ErrUnsupported }
	claim := filepath.Join(d.Path(), tempDir+"-claim-lease.json")
	require.NoError(t, os.MkdirAll(claim, 0o700))
	began := time.Now()
	done := make(chan error, 1)
	go func() { done <- d.PutIfAbsent(t.Context(), "lease.json", strings.NewReader("x")) }()
	time.Sleep(50 * time.Millisecond)
	require.NoError(t, os.Remove(claim))
	require.NoError(t, <-done, "waits while another names the object")
	assert.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
}

func TestDirFailedPutsLeaveNothing(t *testing.T) {
	d := newDir(t)
	boom := errors.New("boom")
	require.ErrorIs(t, d.Put(t.Context(), "a/b", io.MultiReader(strings.NewReader("x"), &failingReader{boom})), boom)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Put(ctx, "a/b", strings.NewReader("x")), context.Canceled)
	require.NoError(t, d.PutIfAbsent(t.Context(), "a/b", strings.NewReader("x")))
	require.ErrorIs(t, d.PutIfAbsent(t.Context(), "a/b", strings.NewReader("y")), fs.ErrExist)
	assertNoTemps(t, d)
}

type failingReader struct{ err error }

func (f *failingReader) Read([]byte) (int, error) { return 0, f.err }

func TestDirPermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no permission bits")
	}
	d := newDir(t)
	require.NoError(t, d.Put(t.Context(), "a/b", strings.NewReader("x")))
	for path, want := range map[string]fs.FileMode{"a": 0o700, "a/b": 0o600} {
		info, err := os.Stat(filepath.Join(d.Path(), path))
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode().Perm(), path)
	}
}

func TestDirRefusesKeysThatLeaveIt(t *testing.T) {
	d := newDir(t)
	for _, key := range []string{"", "/", "/etc/passwd", "../x", "a/../b", "a/..", "./a", "a//b", "a/"} {
		assert.ErrorIs(t, d.Put(t.Context(), key, strings.NewReader("x")), fs.ErrInvalid, "%q", key)
		_, err := d.Get(t.Context(), key)
		assert.ErrorIs(t, err, fs.ErrInvalid, "%q", key)
		assert.ErrorIs(t, d.Delete(t.Context(), key), fs.ErrInvalid, "%q", key)
	}
}

func TestDirPrunesEmptyDirectories(t *testing.T) {
	d := newDir(t)
	require.NoError(t, d.Put(t.Context(), "job/runs/1/a/part", strings.NewReader("x")))
	require.NoError(t, d.Put(t.Context(), "job/manifest", strings.NewReader("x")))
	require.NoError(t, d.Delete(t.Context(), "job/runs/1/a/part"))
	_, err := os.Stat(filepath.Join(d.Path(), "job", "runs"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, err = os.Stat(filepath.Join(d.Path(), "job", "manifest"))
	assert.NoError(t, err)
	require.NoError(t, d.Put(t.Context(), "job/runs/2/a/part", strings.NewReader("x")), "a pruned directory is made again")
}

// TestDirPrunedByAnotherProcess lets a second Dir, which shares no memory with the first, empty directories under it.
func TestDirPrunedByAnotherProcess(t *testing.T) {
	d := newDir(t)
	other, err := OpenDir(d.Path())
	require.NoError(t, err)
	var wg sync.WaitGroup
	for w, target := range []*Dir{d, other, d, other} {
		wg.Go(func() {
			for i := range 100 {
				key := fmt.Sprintf("job/runs/x/part-%d-%d", w, i)
				if !assert.NoError(t, target.Put(t.Context(), key, strings.NewReader("x"))) {
					return
				}
				assert.NoError(t, target.Delete(t.Context(), key))
			}
		})
	}
	wg.Wait()
}

func TestDirHidesWhatIsNotItsOwn(t *testing.T) {
	d := newDir(t)
	require.NoError(t, d.Put(t.Context(), "a", strings.NewReader("x")))
	for _, name := range []string{".hidden", "100%", "%zz", "%41", "nul", "%2F"} {
		require.NoError(t, os.WriteFile(filepath.Join(d.Path(), name), nil, 0o600))
	}
	var keys []string
	for o, err := range d.List(t.Context(), "") {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	assert.Equal(t, []string{"a"}, keys)
}

func TestDirFollowsLinksAndSurvivesCircles(t *testing.T) {
	d := newDir(t)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, filepath.Join(d.Path(), "job")); err != nil {
		t.Skipf("no symbolic links: %v", err)
	}
	require.NoError(t, d.Put(t.Context(), "job/part", strings.NewReader("x")))
	require.NoError(t, os.Symlink(d.Path(), filepath.Join(elsewhere, "circle")))
	n := 0
	for o, err := range d.List(t.Context(), "") {
		require.NoError(t, err)
		assert.Equal(t, "job/part", o.Key)
		n++
	}
	assert.Equal(t, 1, n)
}

func TestDirUnreadableDirectoryIsAnError(t *testing.T) {
	if os.Getuid() <= 0 {
		t.Skip("root and Windows read everything")
	}
	d := newDir(t)
	require.NoError(t, d.Put(t.Context(), "a/b", strings.NewReader("x")))
	require.NoError(t, os.Chmod(filepath.Join(d.Path(), "a"), 0))
	t.Cleanup(func() { os.Chmod(filepath.Join(d.Path(), "a"), 0o700) })
	var last error
	for _, err := range d.List(t.Context(), "") {
		last = err
	}
	assert.ErrorIs(t, last, fs.ErrPermission)
}

func TestDirDiskFull(t *testing.T) {
	d := newDir(t)
	full := &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}
	if runtime.GOOS == "windows" {
		full.Err = syscall.Errno(112)
	}
	err := d.failed("put", "job/part", full)
	assert.Contains(t, backup.Hint(err), d.Path())
	assert.Contains(t, err.Error(), "job/part")
	assert.False(t, Retryable(err))
}

// TestDirOnAFullDisk writes to a real small file system, where QUIESCE_SMALLFS names one of a few MiB.
func TestDirOnAFullDisk(t *testing.T) {
	small := os.Getenv("QUIESCE_SMALLFS")
	if small == "" {
		t.Skip("QUIESCE_SMALLFS names no directory on a small file system (mount -t tmpfs -o size=4m tmpfs DIR)")
	}
	d, err := OpenDir(filepath.Join(small, "target"))
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(d.Path()) })
	err = d.Put(t.Context(), "job/part", bytes.NewReader(make([]byte, 64<<20)))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Contains(t, backup.Hint(err), d.Path())
	assertNoTemps(t, d)
	require.NoError(t, d.Put(t.Context(), "job/part", strings.NewReader("fits")))
}

func TestDirSweepsOnlyWhatIsOld(t *testing.T) {
	d := newDir(t)
	require.NoError(t, os.MkdirAll(filepath.Join(d.Path(), tempDir), 0o700))
	young, old := filepath.Join(d.Path(), tempDir, "young.tmp"), filepath.Join(d.Path(), tempDir, "old.tmp")
	for _, name := range []string{young, old} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	ago := time.Now().Add(-staleAfter - time.Minute)
	require.NoError(t, os.Chtimes(old, ago, ago))
	require.NoError(t, d.Put(t.Context(), "a", strings.NewReader("x")))
	assert.FileExists(t, young, "a write may be under way")
	assert.NoFileExists(t, old)
}

func TestDirShortFileIsAnError(t *testing.T) {
	d := newDir(t)
	require.NoError(t, d.Put(t.Context(), "a", strings.NewReader("0123456789")))
	rc, err := d.Get(t.Context(), "a")
	require.NoError(t, err)
	defer rc.Close()
	require.NoError(t, os.Truncate(filepath.Join(d.Path(), "a"), 4))
	_, err = io.ReadAll(rc)
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

func TestKeysAndNamesAreOneToOne(t *testing.T) {
	for key, want := range map[string]string{
		"job/manifests/20261122T120000Z-ab.json": "job/manifests/20261122T120000Z-ab.json",
		"a b/ü":                                  "a b/ü",
		`c:\x`:                                   "c%3A%5Cx",
		"con":                                    "%63on",
		"Com1.log":                               "%43om1.log",
		"common":                                 "common",
		".x":                                     "%2Ex",
		"x.":                                     "x%2E",
		"...":                                    "%2E.%2E",
		"x ":                                     "x%20",
		"100%":                                   "100%25",
		"a\x00b\xff":                             "a%00b%FF",
		"lost+found/x":                           "%6Cost+found/x",
	} {
		got, err := keyPath(key)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assertInverse(t, key)
	}
}

func assertInverse(t *testing.T, key string) {
	t.Helper()
	path, err := keyPath(key)
	if err != nil {
		return
	}
	elements := strings.Split(path, "/")
	for i, e := range elements {
		assert.False(t, strings.HasPrefix(e, "."), "%q is a name this package keeps for itself", e)
		back, ok := unescapeElement(e)
		require.True(t, ok, "%q", e)
		elements[i] = back
	}
	assert.Equal(t, key, strings.Join(elements, "/"))
}

func FuzzKeysAndNames(f *testing.F) {
	for _, k := range []string{"a/b", "%", "a%2", ".", "..", "con.x/\xff", "a\\b", "¹", "COM¹"} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, key string) {
		assertInverse(t, key)
		// And back: a name that stands for a key is the name of that key.
		if e, ok := unescapeElement(key); ok {
			assert.Equal(t, key, escapeElement(e))
		}
	})
}

func BenchmarkDirPut(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 32 << 20} {
		for _, workers := range []int{1, 8} {
			b.Run(fmt.Sprintf("%dKiB/workers=%d", size>>10, workers), func(b *testing.B) {
				d := newDir(b)
				body := make([]byte, size)
				b.SetBytes(int64(size))
				var n atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range workers {
					wg.Go(func() {
						for i := n.Add(1); i <= int64(b.N); i = n.Add(1) {
							if err := d.Put(b.Context(), fmt.Sprintf("job/runs/1/part-%d", i%64), bytes.NewReader(body)); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
