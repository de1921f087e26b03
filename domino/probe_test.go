package domino

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// findings are what a check says.
func findings(t *testing.T, s Source) string {
	t.Helper()
	var b strings.Builder
	for _, f := range s.Check(t.Context(), backup.StageDir{}) {
		b.WriteString(f.What + "\n")
	}
	return b.String()
}

func TestCheckNamesTheWayAndOthers(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	l.create("names.nsf")
	program := filepath.Join(l.dir, "program")
	lib := filepath.Join(program, map[string]string{"windows": "nnotes.dll", "darwin": "libnotes.dylib"}[runtime.GOOS])
	if lib == program {
		lib = filepath.Join(program, "libnotes.so")
	}
	require.NoError(t, os.Mkdir(program, 0o700))
	require.NoError(t, os.WriteFile(lib, nil, 0o600))
	require.NoError(t, l.sim.SetIni("NotesProgram", program))
	l.file("dominobackup.nsf", "")
	l.opt.NotesINI = l.sim.IniPath()

	for _, s := range []Source{l.lab.source(), l.source(), l.offline()} {
		assert.NotContains(t, findings(t, s), "instead", "it works")
	}
	broken := l.over(func(context.Context) (notes.API, error) { return nil, errors.New("no library") })
	got := findings(t, broken)
	assert.Contains(t, got, "by way capi")
	assert.Contains(t, got, "way hook: "+filepath.Join(l.sim.DataDir(), "dominobackup.nsf"))
	assert.Contains(t, got, "way offline: "+l.sim.DataDir())

	l.hopt.Command[0] = filepath.Join(program, "server")
	got = findings(t, l.unmodelled())
	assert.Contains(t, got, "by way hook")
	assert.Contains(t, got, "way capi: "+lib)

	if runtime.GOOS == "linux" {
		defer holding(t, filepath.Join(l.sim.DataDir(), "names.nsf"))()
		got = findings(t, l.offline())
		assert.Contains(t, got, "by way offline")
		assert.Contains(t, got, "way capi: ")
		assert.Contains(t, got, "way hook: ")
		assert.Contains(t, findings(t, broken), "the server runs and must be stopped")
	}
	require.NoError(t, os.Remove(lib))
	require.NoError(t, os.Remove(filepath.Join(l.sim.DataDir(), "dominobackup.nsf")))
	got = findings(t, l.unmodelled())
	assert.NotContains(t, got, "way capi")
}

// A state directory that cannot be written to is found before a run, with what to do.
func TestCheckOfTheStateDirectory(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.create("names.nsf")
	l.opt.StateDir = filepath.Join(l.sim.DataDir(), "names.nsf", "state") // below a file, which stops root too
	var hints []string
	for _, f := range l.source().Check(t.Context(), backup.StageDir{}) {
		if f.Err != nil {
			hints = append(hints, f.Hint)
		}
	}
	assert.Equal(t, []string{adviceState}, hints)
}

// What a way cannot do it does not claim.
func TestWaysClaimWhatTheyCan(t *testing.T) {
	t.Parallel()
	l := withTask(newLab(t))
	for way, s := range map[Way]Source{CAPI: l.lab.source(), Hook: l.source(), Offline: l.offline()} {
		_, rehearses := s.(backup.Rehearser)
		_, recovers := s.(backup.Recoverer)
		_, scripts := s.(backup.Scripter)
		_, salvages := s.(backup.Salvager)
		assert.Equal(t, way == CAPI, rehearses, way)
		assert.Equal(t, way == CAPI, recovers, way)
		assert.Equal(t, way == CAPI, scripts, way)
		assert.Equal(t, way == Hook, salvages, way)
	}
}

func TestOptionsOfAnotherWay(t *testing.T) {
	t.Parallel()
	_, err := New(&Options{Way: "tape"})
	require.ErrorContains(t, err, `way "tape"`)
	_, err = New(&Options{Way: Hook, DataDir: t.TempDir(), StateDir: t.TempDir(), Command: []string{"server", optionsPlace}, Include: []string{"mail/*"}, Parallel: 3, Snapshot: true})
	for _, want := range []string{"include: the way hook", "parallel: the way hook", "snapshot: the way hook"} {
		require.ErrorContains(t, err, want)
	}
	_, err = New(&Options{StateDir: t.TempDir()})
	require.ErrorContains(t, err, "program directory")
}
