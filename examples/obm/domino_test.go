package main

import (
	"bytes"
	"errors"
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
	"github.com/quiesce-go/quiesce/examples/obm/cli"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/libnotes"
)

// dominoConfig is the configuration of the guide: a program directory with a library, and the server's notes.ini.
const dominoConfig = `
sink: file://DIR/target
stage: {dir: stage}
seal: {plain: true}
agent: {listen: none}
transfer: {retry: 0}
jobs:
  mail1:
    application: domino
    domino: {program: PROGRAM, library: LIBRARY, child: CHILD, notes_ini: INI, state_dir: state, instance: mail1/acme}
`

// dominoLab is obm in this process, with the child program built and a library in C for it to load, at a simulated server.
type dominoLab struct {
	*testing.T
	dir string
	sim *dominosim.Server
}

func newDominoLab(t *testing.T) *dominoLab {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	library, err := libnotes.Compile(t.Context(), dir)
	if errors.Is(err, libnotes.ErrNoCompiler) {
		t.Skip(err)
	}
	require.NoError(t, err)
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("quiesce-notes cannot be built here: ", err)
	}
	child := filepath.Join(dir, "quiesce-notes")
	if runtime.GOOS == "windows" {
		child += ".exe"
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", child, "./domino/quiesce-notes")
	build.Dir = filepath.Join("..", "..") // the module that has all it needs
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	l := &dominoLab{T: t, dir: dir}
	l.sim, err = dominosim.New(filepath.Join(dir, "server"), dominosim.Config{Clock: time.Now, Style: notes.LogArchive, ExtentSize: 16 << 10})
	require.NoError(t, err)
	text := strings.NewReplacer("DIR", dir, "PROGRAM", dir, "LIBRARY", library, "CHILD", child, "INI", l.sim.IniPath()).Replace(dominoConfig)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "obm.yaml"), []byte(text), 0o600))
	return l
}

// obm runs a command, which must end with a code.
func (l *dominoLab) obm(code int, args ...string) (stdout, stderr string) {
	l.Helper()
	var out, say bytes.Buffer
	p := &cli.Program{Applications: applications(), Stdout: &out, Stderr: &say}
	got := p.Run(l.Context(), append([]string{"--config", filepath.Join(l.dir, "obm.yaml")}, args...))
	require.Equal(l, code, got, "%v\n%s\n%s", args, &out, &say)
	return out.String(), say.String()
}

// write fills more than an extent of the log.
func (l *dominoLab) write(db, value string) {
	l.Helper()
	for i := range 12 {
		require.NoError(l, l.sim.Write(db, fmt.Sprintf("document %d", i), value+strings.Repeat(".", 2000)))
	}
}

func (l *dominoLab) read(db string) map[string]string {
	l.Helper()
	all, err := l.sim.Read(db)
	require.NoError(l, err)
	return all
}

// TestDominoDay is what an operator does with a server: check, back up, look, prove, and restore a database beside and in place.
func TestDominoDay(t *testing.T) {
	t.Parallel()
	l := newDominoLab(t)
	for _, db := range []string{"names.nsf", "mail/jdoe.nsf"} {
		require.NoError(t, l.sim.CreateDB(db, dominosim.DB{Title: db}))
		l.write(db, "first")
	}
	out, _ := l.obm(0, "check", "mail1")
	assert.Contains(t, out, "archive style")
	assert.Contains(t, out, "2 databases to back up")

	out, _ = l.obm(0, "backup", "mail1", "--kind", "log")
	assert.Contains(t, out, "mail/jdoe.nsf: full", "a log has nothing to continue")
	time.Sleep(20 * time.Millisecond)
	l.write("mail/jdoe.nsf", "second")
	first := l.read("mail/jdoe.nsf")
	time.Sleep(20 * time.Millisecond) // times have hundredths of a second
	at := time.Now()
	time.Sleep(20 * time.Millisecond)
	l.write("mail/jdoe.nsf", "third")
	out, _ = l.obm(0, "backup", "mail1", "--kind", "log")
	assert.Contains(t, out, "transaction log: log")
	out, _ = l.obm(0, "windows", "mail1", "--json")
	assert.Contains(t, out, `"item": "mail/jdoe.nsf"`)
	l.obm(0, "verify", "mail1", "--level", "format")
	l.obm(0, "rehearse", "mail1", "--to", "quiesce-rehearsal")
	assert.NoDirExists(t, filepath.Join(l.sim.DataDir(), "quiesce-rehearsal"))

	l.obm(0, "restore", "mail1", "--item", "mail/jdoe.nsf", "--as", "restored/jdoe.nsf", "--at", at.UTC().Format(time.RFC3339Nano), "--yes")
	assert.Equal(t, first, l.read("restored/jdoe.nsf"))
	latest := l.read("mail/jdoe.nsf")
	require.NoError(t, l.sim.Corrupt("mail/jdoe.nsf"))
	_, say := l.obm(4, "restore", "mail1", "--item", "mail/jdoe.nsf", "--yes")
	assert.Contains(t, say, "overwriting")
	l.obm(0, "restore", "mail1", "--item", "mail/jdoe.nsf", "--overwrite", "--yes")
	assert.Equal(t, latest, l.read("mail/jdoe.nsf"))
	out, _ = l.obm(0, "backup", "mail1", "--kind", "log")
	assert.Contains(t, out, "mail/jdoe.nsf: full", "it is a new instance")

	// What is damaged costs itself only; a child that is gone costs the run.
	require.NoError(t, l.sim.Corrupt("names.nsf"))
	_, say = l.obm(3, "backup", "mail1", "--kind", "full")
	assert.Contains(t, say, "names.nsf")
	require.NoError(t, os.Remove(filepath.Join(l.dir, "quiesce-notes")))
	_, say = l.obm(1, "backup", "mail1", "--kind", "log")
	assert.Contains(t, say, "quiesce-notes")
	left, err := l.sim.InBackup()
	require.NoError(t, err)
	assert.Empty(t, left)
}

// dominoConsole is a program that has the simulated server in a directory do a console command.
func dominoConsole() {
	s, err := dominosim.New(os.Args[1], dominosim.Config{Clock: time.Now, Style: notes.LogArchive})
	if err == nil {
		err = s.Console(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// TestDominoAttachments: an attachment that is missing comes back with its database; one that no backup has makes the restore partial, and is named.
func TestDominoAttachments(t *testing.T) {
	t.Parallel()
	l := newDominoLab(t)
	l.configure("instance: mail1/acme", fmt.Sprintf("instance: mail1/acme, console: [domino-console, %q, %q]", filepath.Join(l.dir, "server"), "{command}"))
	require.NoError(t, l.sim.SetIni("DAOSBasePath", "DAOS"))
	require.NoError(t, l.sim.CreateDB("names.nsf", dominosim.DB{}))
	object := func(name string) string { return filepath.Join(l.sim.DataDir(), "DAOS", "0001", name) }
	for _, name := range []string{"AA01.nlo", "AA02.nlo"} {
		require.NoError(t, l.sim.Attach("names.nsf", name, "0001/"+name, name))
	}
	require.NoError(t, os.Remove(object("AA02.nlo")))
	l.obm(0, "check", "mail1")
	l.obm(0, "backup", "mail1", "--kind", "full")
	require.NoError(t, os.Remove(object("AA01.nlo")))
	_, say := l.obm(3, "restore", "mail1", "--item", "names.nsf", "--item", "attachments", "--overwrite", "--yes")
	assert.Contains(t, say, "names.nsf")
	assert.Contains(t, say, "0001/AA02.nlo")
	assert.NotContains(t, say, "AA01")
	assert.FileExists(t, object("AA01.nlo"))
	require.NoError(t, os.WriteFile(object("AA02.nlo"), []byte("AA02.nlo"), 0o600))
	l.obm(0, "restore", "mail1", "--item", "names.nsf", "--overwrite", "--yes")
}

// TestDominoWays: keys of another way are refused, a way that cannot work names those that could, and one that cannot rehearse says what to do instead.
func TestDominoWays(t *testing.T) {
	t.Parallel()
	l := newDominoLab(t)
	require.NoError(t, l.sim.CreateDB("names.nsf", dominosim.DB{}))
	require.NoError(t, os.Remove(filepath.Join(l.dir, "quiesce-notes")))
	out, _ := l.obm(1, "check", "mail1")
	assert.Contains(t, out, "by way capi")
	assert.Contains(t, out, "instead, this machine would allow way offline: "+l.sim.DataDir())

	l.configure("domino: {", fmt.Sprintf("domino: {way: offline, data_dir: %q, ", l.sim.DataDir()))
	_, say := l.obm(2, "check", "mail1")
	assert.Contains(t, say, "program: the way offline has no use for it")
	text := l.configuration()
	at := strings.Index(text, "program:")
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "obm.yaml"), []byte(text[:at]+"instance: mail1/acme}\n"), 0o600))
	l.obm(0, "backup", "mail1", "--kind", "full")
	_, say = l.obm(1, "rehearse", "mail1", "--to", "scratch")
	assert.Contains(t, say, "cannot rehearse")
	assert.Contains(t, say, "verify the backups by format")
}

func (l *dominoLab) configuration() string {
	l.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, "obm.yaml"))
	require.NoError(l, err)
	return string(text)
}

// configure replaces a text in the configuration.
func (l *dominoLab) configure(old, text string) {
	l.Helper()
	was := l.configuration()
	require.Contains(l, was, old)
	require.NoError(l, os.WriteFile(filepath.Join(l.dir, "obm.yaml"), []byte(strings.Replace(was, old, text, 1)), 0o600))
}
