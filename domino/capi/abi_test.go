//go:build (linux || darwin) && (amd64 || arm64)

package capi_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/capi"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// compile makes a library of C source, with what cc is told beside it.
func compile(t *testing.T, source string, more ...string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler: the C API is not called here")
	}
	lib := filepath.Join(t.TempDir(), "libnotes.so")
	out, err := exec.Command(cc, append([]string{"-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", lib, source, "-lpthread"}, more...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return lib
}

var (
	errTest = errors.New("test")
	series  = notes.UNID{0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x85, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}
	until   = time.Date(1970, 1, 2, 4, 0, 5, 0, time.UTC)
)

// The library says by ERR_VALUE_FLAGS when it gets something else than was sent.
func TestEveryFunctionIsCalledAsDocumented(t *testing.T) {
	lib := compile(t, "testdata/abi.c")
	ini := filepath.Join(t.TempDir(), "notes.ini")
	require.NoError(t, os.WriteFile(ini, nil, 0o600))
	for _, width := range []string{"4", "8"} {
		t.Run("handles of "+width+" bytes", func(t *testing.T) {
			t.Setenv("ABI_HANDLE", width)
			term := filepath.Join(t.TempDir(), "term")
			t.Setenv("ABI_TERM", term)
			api, err := capi.Open(capi.Config{Program: "/opt/domino", INI: ini, Library: lib})
			require.NoError(t, err)
			th, err := api.Thread(t.Context())
			require.NoError(t, err)
			asks(t, th)
			databases(t, th)
			logs(t, th)
			recoveries(t, th)
			require.NoError(t, th.End())
			require.NoError(t, th.End())
			_, err = th.DataDirectory(t.Context())
			require.Error(t, err)
			require.NoError(t, api.Close())
			require.NoError(t, api.Close())
			b, err := os.ReadFile(term)
			require.NoError(t, err)
			assert.Equal(t, "1", string(b), "NotesTerm on a thread that Notes knows")
		})
	}
}

func asks(t *testing.T, th notes.Thread) {
	t.Helper()
	ctx := t.Context()
	dir, err := th.DataDirectory(ctx)
	require.NoError(t, err)
	assert.Equal(t, "/local/däta", dir)
	v, is, err := th.Environment(ctx, "TRANSLOG_Path")
	require.NoError(t, err)
	assert.True(t, is)
	assert.Equal(t, "/log", v)
	_, is, err = th.Environment(ctx, "other")
	require.NoError(t, err)
	assert.False(t, is)
	_, err = th.Open(ctx, "no.nsf")
	require.EqualError(t, err, `NSFDbOpen: file does not exist (ERR_NOEXIST, 0x0103): "text of 259"`)
	_, err = th.Open(ctx, strings.Repeat("x", 256))
	require.ErrorContains(t, err, "255")
	assert.NotEmpty(t, backup.Hint(err))
	for _, bad := range []string{"", "a\x00b", "a\xFFb"} {
		_, err = th.Open(ctx, bad)
		require.Error(t, err)
	}
}

func databases(t *testing.T, th notes.Thread) {
	t.Helper()
	ctx := t.Context()
	h, err := th.Open(ctx, "mail/jürgen.nsf")
	require.NoError(t, err)
	assert.NotZero(t, h>>31, "the top bit is set")
	dir, err := th.IsDirectory(ctx, h)
	require.NoError(t, err)
	assert.True(t, dir)
	path, err := th.Path(ctx, h)
	require.NoError(t, err)
	assert.Equal(t, "/local/x.nsf", path)
	info, err := th.LogInfo(ctx, h)
	require.NoError(t, err)
	assert.Equal(t, notes.LogInfo{Logged: true, LogID: series, DBIID: notes.UNID{1, 2, 3, 4, 15: 0xFF}, Extent: 0xFFFFFFFE}, info)
	c, size, err := th.BackupStart(ctx, h)
	require.NoError(t, err)
	assert.Equal(t, notes.BackupContext(0x80000003), c)
	assert.Equal(t, int64(5)<<32|0xFFFFFFF0, size)
	require.NoError(t, th.BackupHighWater(ctx, h, c, 3<<32|0x80000001))
	require.NoError(t, th.BackupStop(ctx, h, c))
	size, err = th.ChangeInfoSize(ctx, h, c)
	require.NoError(t, err)
	assert.Equal(t, int64(1)<<32|0x80000000, size)
	a, err := th.ApplyStart(ctx, "/stage/x", size)
	require.NoError(t, err)
	buf := make([]byte, 1<<20)
	n, err := th.NextChangeInfo(ctx, h, c, buf)
	require.NoError(t, err)
	assert.Equal(t, len(buf)-1, n)
	require.NoError(t, th.Apply(ctx, a, buf[:n]))
	require.NoError(t, th.Apply(ctx, a, nil))
	require.ErrorIs(t, th.Apply(ctx, a, buf[1:n]), notes.StatusCorruptChangeInfo)
	require.NoError(t, th.ApplyEnd(ctx, a, true))
	require.NoError(t, th.BackupEnd(ctx, h, c, true))
	require.ErrorIs(t, th.BackupEnd(ctx, h, c, false), notes.StatusValueFlags, "the library sees what it gets")
	require.NoError(t, th.Close(ctx, h))
}

func logs(t *testing.T, th notes.Thread) {
	t.Helper()
	ctx := t.Context()
	style, err := th.LogStyle(ctx)
	require.NoError(t, err)
	assert.Equal(t, notes.LogLinear, style)
	require.NoError(t, th.ArchivingBegin(ctx))
	e, err := th.FirstLog(ctx)
	require.NoError(t, err)
	assert.Equal(t, notes.Extent{LogID: series, Number: 0x80000007, Path: "/log/S1.TXN"}, e)
	require.NoError(t, th.LogDone(ctx, e.LogID, e.Number))
	e, err = th.NextLog(ctx)
	require.ErrorIs(t, err, notes.StatusNoTransLogsToArchive)
	assert.Equal(t, notes.Extent{LogID: series, Number: 8, Path: "/log/S2.TXN"}, e, "filled in beside the status")
	require.ErrorIs(t, th.ArchivingEnd(ctx), notes.StatusTransLogArchiveInProgress)
}

func recoveries(t *testing.T, th notes.Thread) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, th.TakeOffline(ctx, "/local/x.nsf", 1500*time.Millisecond))
	require.NoError(t, th.BringOnline(ctx, "/local/x.nsf"))
	names := []string{"a.nsf", "b.nsf"}
	r, err := th.Recover(ctx, names, 0, time.Time{}, nil)
	require.ErrorIs(t, err, notes.StatusRMLateBackup)
	assert.Equal(t, 1, r.Failed)
	var asked []string
	place := func(_ context.Context, id notes.UNID, n uint32, path string) error {
		asked = append(asked, fmt.Sprint(id == series, " ", n, " ", path))
		return nil
	}
	flags := notes.RecoverPointInTime | notes.RecoverZapReplicaID
	r, err = th.Recover(ctx, names, flags, until, place)
	require.NoError(t, err)
	assert.Equal(t, []string{"true 4294967293 /log/ä/4294967293", "true 4294967294 /log/ä/4294967294", "true 4294967295 /log/ä/4294967295"}, asked)
	assert.Equal(t, notes.Recovered{Failed: -1, Last: time.Date(1970, 1, 2, 0, 0, 1, 0, time.UTC)}, r)
	for name, bad := range map[string]func() error{"error": func() error { return errTest }, "panic": func() error { panic("placing") }} {
		asks := 0
		_, err = th.Recover(ctx, names, flags, until, func(context.Context, notes.UNID, uint32, string) error { asks++; return bad() })
		require.ErrorIs(t, err, notes.StatusRMMQLogError, name)
		assert.Equal(t, 1, asks, name)
		if name == "error" {
			require.ErrorIs(t, err, errTest)
		}
	}
	_, err = th.Recover(ctx, nil, 0, time.Time{}, nil)
	require.Error(t, err)
	_, err = th.Recover(ctx, []string{"a", strings.Repeat("x", 256)}, 0, time.Time{}, nil)
	require.ErrorContains(t, err, "255")
}

func TestManyThreads(t *testing.T) {
	lib := compile(t, "testdata/abi.c")
	api, err := capi.Open(capi.Config{Program: "/opt/domino", Library: lib})
	require.NoError(t, err)
	done := make(chan error, 20)
	for range cap(done) {
		go func() {
			th, err := api.Thread(t.Context())
			if err != nil {
				done <- err
				return
			}
			var errs []error
			for range 50 {
				h, err := th.Open(t.Context(), "mail/jürgen.nsf")
				errs = append(errs, err, th.Close(t.Context(), h))
			}
			done <- errors.Join(append(errs, th.End())...)
		}()
	}
	for range cap(done) {
		require.NoError(t, <-done)
	}
	require.NoError(t, api.Close())
}

func TestACallThatIsGivenUp(t *testing.T) {
	lib := compile(t, "testdata/abi.c")
	release := filepath.Join(t.TempDir(), "go")
	t.Setenv("ABI_GO", release)
	api, err := capi.Open(capi.Config{Program: "/opt/domino", Library: lib})
	require.NoError(t, err)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errTest)
	defer cancel()
	_, err = th.Open(ctx, "hang.nsf")
	require.ErrorIs(t, err, errTest)
	_, err = th.DataDirectory(t.Context())
	require.ErrorIs(t, err, errTest, "the thread is lost")
	require.ErrorIs(t, th.End(), errTest)
	other, err := api.Thread(t.Context())
	require.NoError(t, err)
	_, err = other.DataDirectory(t.Context())
	require.NoError(t, err, "others are not")
	require.ErrorContains(t, api.Close(), "without NotesTerm")
	require.NoError(t, os.WriteFile(release, nil, 0o600))
}

func TestLibrariesThatAreNone(t *testing.T) {
	_, err := capi.Open(capi.Config{Program: t.TempDir()})
	require.ErrorContains(t, err, "libnotes")
	assert.Contains(t, backup.Hint(err), "program directory")

	lib := compile(t, "testdata/abi.c", "-DNSFRecoverDatabases=other", "-DNotesInitThread=another")
	_, err = capi.Open(capi.Config{Program: "/opt/domino", Library: lib})
	require.ErrorContains(t, err, "NSFRecoverDatabases")
	require.ErrorContains(t, err, "NotesInitThread", "all that are missing")

	_, err = capi.Open(capi.Config{Program: "/opt/domino", Library: compile(t, "testdata/abi.c"), INI: "/nowhere/notes.ini"})
	require.ErrorIs(t, err, notes.StatusNoNotesINI)
	assert.Contains(t, backup.Hint(err), "notes.ini")
}
