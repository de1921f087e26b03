package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/libnotes"
)

// childVariable makes of the test binary the program itself.
const childVariable = "QUIESCE_NOTES_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(run(os.Args, os.Stderr))
	}
	dir, err := os.MkdirTemp("", "quiesce-notes")
	if err != nil {
		panic(err)
	}
	standIn = sync.OnceValues(func() (string, error) { return libnotes.Compile(context.Background(), dir) })
	status := m.Run()
	os.RemoveAll(dir)
	os.Exit(status)
}

// standIn compiles the library that keeps the rules of a Domino server, once.
var standIn func() (library string, err error)

// compile makes a library of the C source that checks what it is given, with what cc is told beside it.
func compile(t *testing.T, more ...string) (library string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("no C compiler, or not for this system: no library that the program could load")
	}
	library = filepath.Join(t.TempDir(), libnotes.Name())
	out, err := exec.Command(cc, append([]string{"-shared", "-fPIC", "-o", library, "../capi/testdata/abi.c", "-lpthread"}, more...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return library
}

// command is the program with a library, a program directory and notes.ini of its own.
func command(t *testing.T, library string, env ...string) notes.Command {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	ini := filepath.Join(t.TempDir(), "notes.ini")
	require.NoError(t, os.WriteFile(ini, []byte("[Notes]\n"), 0o600))
	return notes.Command{Path: self, Program: filepath.Dir(library), INI: ini, Library: library, Grace: 30 * time.Second,
		Env: append(append(os.Environ(), childVariable+"=1"), env...)}
}

// begin starts the program with a thread.
func begin(t *testing.T, c notes.Command) (notes.API, notes.Thread) {
	t.Helper()
	api, err := notes.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() { api.Close() })
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	return api, th
}

// The library prints on standard output and reads standard input when it is initialised: it must disturb nothing and find nothing.
func TestTheProgram(t *testing.T) {
	t.Parallel()
	term := filepath.Join(t.TempDir(), "term")
	c := command(t, compile(t), "ABI_TERM="+term)
	c.Library = "" // libnotes.so of the program directory
	api, th := begin(t, c)
	ctx := t.Context()
	h, err := th.Open(ctx, "mail/jürgen.nsf")
	require.NoError(t, err)
	b, size, err := th.BackupStart(ctx, h)
	require.NoError(t, err)
	assert.Equal(t, int64(5)<<32|0xFFFFFFF0, size)
	buf := make([]byte, 1<<20)
	n, err := th.NextChangeInfo(ctx, h, b, buf)
	require.NoError(t, err)
	a, err := th.ApplyStart(ctx, "/stage/x", 1<<32|0x80000000)
	require.NoError(t, err)
	require.NoError(t, th.Apply(ctx, a, buf[:n]))
	_, err = th.Open(ctx, "no.nsf")
	require.EqualError(t, err, `NSFDbOpen: file does not exist (ERR_NOEXIST, 0x0103): "text of 259"`)
	var asked []string
	r, err := th.Recover(ctx, []string{"a.nsf", "b.nsf"}, notes.RecoverPointInTime|notes.RecoverZapReplicaID, time.Date(1970, 1, 2, 4, 0, 5, 0, time.UTC),
		func(_ context.Context, _ notes.UNID, _ uint32, path string) error {
			asked = append(asked, path)
			return nil
		})
	require.NoError(t, err)
	assert.Equal(t, -1, r.Failed)
	assert.Equal(t, []string{"/log/ä/4294967293", "/log/ä/4294967294", "/log/ä/4294967295"}, asked)
	require.NoError(t, api.Close())
	assert.FileExists(t, term, "NotesTerm was called")
}

func TestTheLibraryCrashes(t *testing.T) {
	t.Parallel()
	_, th := begin(t, command(t, compile(t)))
	_, err := th.Open(t.Context(), "crash.nsf")
	require.ErrorIs(t, err, notes.ErrGone)
	require.ErrorContains(t, err, "PANIC: insufficient memory")
}

func TestTheLibraryHangs(t *testing.T) {
	t.Parallel()
	c := command(t, compile(t), "ABI_GO=/nowhere/go")
	c.Grace = 200 * time.Millisecond
	api, th := begin(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := th.Open(ctx, "hang.nsf")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	other, err := api.Thread(t.Context())
	require.NoError(t, err)
	_, err = other.DataDirectory(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, api.Close(), "killed")
}

func TestDominoThatCannotBeLoaded(t *testing.T) {
	t.Parallel()
	missing := command(t, filepath.Join(t.TempDir(), "libnotes.so"))
	_, err := notes.Start(t.Context(), missing)
	require.ErrorContains(t, err, missing.Library)
	assert.Contains(t, backup.Hint(err), "program directory")

	_, err = notes.Start(t.Context(), command(t, compile(t, "-DNSFBackupStop=gone")))
	require.ErrorContains(t, err, "NSFBackupStop")

	wrong := command(t, compile(t))
	wrong.INI, wrong.Dir = "/nowhere/notes.ini", t.TempDir()
	_, err = notes.Start(t.Context(), wrong)
	require.ErrorIs(t, err, notes.StatusNoNotesINI)
	assert.Contains(t, backup.Hint(err), "notes.ini")
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-what"}, {"-program", "/x", "more"}} {
		var said bytes.Buffer
		assert.Equal(t, 2, run(append([]string{"quiesce-notes"}, args...), &said), args)
		assert.NotEmpty(t, strings.TrimSpace(said.String()))
	}
}
