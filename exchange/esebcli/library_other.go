//go:build !windows || (!386 && !amd64)

package esebcli

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/quiesce-go/quiesce/backup"
)

func find() (string, error) { return "", unsupported("find esebcli2.dll", why()) }

func load(string) (caller, error) { return nil, unsupported("load esebcli2.dll", why()) }

func enablePrivileges() error { return unsupported("enable privileges", why()) }

func why() string {
	return "the streaming API of Exchange is a library for Windows on 386 and amd64, and this program is for " + runtime.GOOS + " on " + runtime.GOARCH
}

// unsupported is the error of a machine where the library cannot run.
func unsupported(op, why string) error {
	return &backup.Error{
		App: "exchange", Op: op, Err: fmt.Errorf("%s: %w", why, errors.ErrUnsupported),
		Advice: "stream from a Windows machine that has the management tools of Exchange 2000 to 2007, of the bitness of this program, or back up by snapshots",
	}
}
