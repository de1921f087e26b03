package libnotes_test

import (
	"context"
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/libnotes"
)

func Example() {
	dir, err := os.MkdirTemp("", "libnotes")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	lib, err := libnotes.Compile(context.Background(), dir)
	if err != nil {
		return // no compiler here
	}
	_ = lib // to be loaded, with "=" and Server.IniPath() as an argument of NotesInitExtended
}

func TestBuild(t *testing.T) {
	t.Parallel()
	lib := libnotes.Build(t)
	assert.FileExists(t, lib)
	assert.Equal(t, libnotes.Name(), filepath.Base(lib))
	entries, err := os.ReadDir(filepath.Dir(lib))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing else is left")
}

func TestNoCompiler(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	_, err := libnotes.Compile(t.Context(), t.TempDir())
	assert.ErrorIs(t, err, libnotes.ErrNoCompiler)
}

func TestFunctions(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("the library is no ELF file on " + runtime.GOOS)
	}
	f, err := elf.Open(libnotes.Build(t))
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	require.NoError(t, err)
	var names []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			names = append(names, s.Name)
		}
	}
	assert.ElementsMatch(t, []string{
		"NotesInitExtended", "NotesTerm", "NotesInitThread", "NotesTermThread", "OSLoadString", "OSTranslate", "OSGetDataDirectory", "OSGetEnvironmentString",
		"NSFDbOpen", "NSFDbClose", "NSFDbReopen", "NSFDbModeGet", "NSFDbPathGet", "NSFDbGetLogInfo",
		"NSFBackupStart", "NSFBackupSetHighWaterMark", "NSFBackupStop", "NSFBackupGetChangeInfoSize", "NSFBackupGetNextChangeInfo", "NSFBackupEnd",
		"NSFBackupStartApplyChangeInfo", "NSFBackupApplyNextChangeInfo", "NSFBackupEndApplyChangeInfo",
		"NSFGetTransLogStyle", "NSFBeginArchivingLogs", "NSFEndArchivingLogs", "NSFGetFirstLogToArchive", "NSFGetNextLogToArchive", "NSFDoneArchivingLog",
		"NSFTakeDatabaseOffline", "NSFBringDatabaseOnline", "NSFRecoverDatabases",
	}, names, "what is documented, and no more")
}

// program is the driver in C, built, and a server for it.
type program struct {
	path string
	s    *dominosim.Server
}

func build(t *testing.T) program {
	t.Helper()
	lib := libnotes.Build(t)
	p := program{path: filepath.Join(t.TempDir(), "driver")}
	out, err := exec.CommandContext(t.Context(), "cc", "-std=c99", "-D_DEFAULT_SOURCE", "-o", p.path, filepath.Join("testdata", "driver.c"), lib, "-Wl,-rpath,"+filepath.Dir(lib), "-lpthread").CombinedOutput()
	require.NoError(t, err, "%s", out)
	p.s, err = dominosim.New(t.TempDir(), dominosim.Config{Clock: time.Now, Style: notes.LogArchive})
	require.NoError(t, err)
	require.NoError(t, p.s.CreateDB("a.nsf", dominosim.DB{}))
	return p
}

// run returns what the driver said, and how it ended.
func (p program) run(t *testing.T, what string, env ...string) (said string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), p.path, "="+p.s.IniPath(), "a.nsf", what)
	cmd.Env = append(os.Environ(), env...)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

func TestMisuseEndsTheProcess(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler named cc")
	}
	p := build(t)
	for what, want := range map[string]string{
		"too early": "before NotesInitExtended", "too late": "after NotesTerm", "unknown thread": "without NotesInitThread", "foreign handle": "of another thread", "closed": "not open",
	} {
		said, err := p.run(t, what)
		require.Error(t, err, what)
		assert.Contains(t, said, want, what)
	}
	for what, want := range map[string]string{
		"nothing": "0000\n", "reopened handle": "0000\nreopened 0000\n", "text": "0000\n4d816c6c65722f14041614d83d14f6de14f601 1 1\n",
	} {
		said, err := p.run(t, what)
		require.NoError(t, err, said)
		assert.Equal(t, want, said, what)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler named cc")
	}
	p := build(t)
	said, err := p.run(t, "nothing", "QSIM_FAULT=NSFDbOpen@1=246")
	require.NoError(t, err)
	assert.Contains(t, said, "0246\n")
	said, err = p.run(t, "nothing", "QSIM_FAULT=NSFDbOpen@2=246")
	require.NoError(t, err)
	assert.Equal(t, "0000\n", said, "the second call, of which there is none")
	_, err = p.run(t, "nothing", "QSIM_FAULT=NotesInitExtended@1=abort")
	require.Error(t, err)
	var exit *exec.ExitError
	_, err = p.run(t, "nothing", "QSIM_FAULT=NSFDbOpen+@1=exit")
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 3, exit.ExitCode())
	require.NoError(t, p.s.SetIni("QSIM_FAULT", "NSFDbOpen@1=13f9"))
	said, err = p.run(t, "nothing")
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(said, "13f9\n"), said)
}
