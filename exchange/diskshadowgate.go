package exchange

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/internal/filelock"
)

// gate keeps diskshadow, whose session is lost when it ends, between its commands: exec runs gate.cmd, which waits until the agent decides. Both speak through files of one folder. gate.cmd makes "ready". The agent makes "complete", and
// gate.cmd succeeds, so that end backup comes next, or "abort", and gate.cmd fails, on which diskshadow quits ("exec" of the Windows commands). The agent holds "alive" open and shares it with nobody. When gate.cmd can delete it the agent
// has died, and gate.cmd fails as well.
type gate struct {
	dir   string
	alive *filelock.Lock
}

const (
	gateReady    = "ready"
	gateComplete = "complete"
	gateAbort    = "abort"
	gateAlive    = "alive"
	gateFile     = "gate.cmd"
)

// gateText is the same for every run; it knows its folder by itself. ping is what waits a second without a console, which timeout needs. An exit without /b ends the interpreter with its code however diskshadow started it.
const gateText = "@echo off\r\n" +
	"cd /d \"%~dp0\"\r\n" +
	"type nul >ready\r\n" +
	":wait\r\n" +
	"if exist complete exit 0\r\n" +
	"if exist abort exit 1\r\n" +
	"del alive >nul 2>nul\r\n" +
	"if not exist alive exit 1\r\n" +
	"ping -n 2 127.0.0.1 >nul\r\n" +
	"goto wait\r\n"

// openGate writes gate.cmd and begins to hold "alive".
func openGate(dir string) (*gate, error) {
	g := &gate{dir: dir}
	if err := os.WriteFile(g.path(gateFile), []byte(gateText), 0o600); err != nil {
		return nil, err
	}
	var err error
	g.alive, err = filelock.Take(g.path(gateAlive))
	return g, err
}

func (g *gate) path(name string) string { return filepath.Join(g.dir, name) }

// reached is when gate.cmd was started.
func (g *gate) reached() (time.Time, bool) {
	i, err := os.Stat(g.path(gateReady))
	if err != nil {
		return time.Time{}, false
	}
	return i.ModTime(), true
}

// say decides what gate.cmd waits for.
func (g *gate) say(word string) error {
	f, err := os.OpenFile(g.path(word), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// close lets go of "alive" and removes the files, when gate.cmd does not run any more.
func (g *gate) close() error {
	errs := []error{g.alive.Release()}
	for _, name := range []string{gateReady, gateComplete, gateAbort, gateAlive, gateFile} {
		errs = append(errs, removed(g.path(name)))
	}
	return errors.Join(errs...)
}

// removed removes a file, or an empty folder, if it is there.
func removed(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
