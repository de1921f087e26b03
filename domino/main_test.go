package domino

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// asConsole is the first argument with which the test binary is the program that sends a command to the console of a simulated server: its directory, how it behaves, and the command.
const asConsole = "server-console"

func TestMain(m *testing.M) {
	if len(os.Args) == 5 && os.Args[1] == asConsole {
		if err := consoled(os.Args[2], os.Args[3], os.Args[4]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func consoled(dir, how, command string) error {
	s, err := dominosim.New(dir, dominosim.Config{Clock: time.Now, Style: notes.LogArchive})
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(dir, "console.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(log, command)
	if err := errors.Join(err, log.Close()); err != nil {
		return err
	}
	list := filepath.Join(s.DataDir(), strings.Fields(command)[min(4, len(strings.Fields(command))-1)])
	switch {
	case strings.HasSuffix(command, "resync") && how != "resync fails":
		return s.Console(command)
	case how == "fails", how == "resync fails" && strings.HasSuffix(command, "resync"):
		return errors.New("no server is running")
	case how == "silent":
		return nil
	case how == "prose":
		return os.WriteFile(list, []byte("DAOS is not enabled\n"), 0o600)
	case how == "stale": // the catalog knows nothing of objects that somebody put back
		objects, err := s.References("mail/a.nsf")
		if err != nil {
			return err
		}
		return os.WriteFile(list, []byte(strings.Join(objects, "\r\n")), 0o600)
	case how == "later":
		self, err := os.Executable()
		if err != nil {
			return err
		}
		return exec.Command(self, asConsole, dir, "slowly", command).Start()
	case how == "slowly":
		f, err := os.Create(list)
		if err != nil {
			return err
		}
		time.Sleep(3 * listQuiet)
		if err := s.Console(strings.Replace(command, filepath.Base(list), "whole.txt", 1)); err != nil {
			return err
		}
		text, err := os.ReadFile(filepath.Join(s.DataDir(), "whole.txt"))
		if err != nil {
			return err
		}
		_, err = f.Write(text)
		return errors.Join(err, f.Close(), os.Remove(filepath.Join(s.DataDir(), "whole.txt")))
	}
	return s.Console(command)
}
