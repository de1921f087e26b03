package domino

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Options adjusts a Source. StateDir is required.
type Options struct {
	// Instance is the name of the server in manifests and messages. Default: "server".
	Instance string
	// StateDir is a directory of this machine in which a run notes which databases it puts into backup, so that the next run can end what a dead one left, and keeps what it last saw of each
	// database, so that a log run opens only what changed. It must survive the process. It is created when it is not there. Two jobs may share it.
	StateDir string
	// NotesINI is the path of notes.ini. Default: notes.ini in the data directory, where it is on Unix.
	NotesINI string
	// Include limits the backup to databases of which one of these patterns matches the name, such as "mail/*"; none means all. In a pattern, * stands for any text, also with slashes, and ? for one
	// character; case is ignored. A pattern without wildcards must find its database.
	Include []string
	// Exclude leaves out what one of these patterns matches; it wins over Include.
	Exclude []string
	// SkipLinks leaves out what directory and database links lead to. The link files themselves are always taken.
	SkipLinks bool
	// SkipFiles leaves out plain files and notes.ini, SkipAttachments the attachment store (DAOS).
	SkipFiles, SkipAttachments bool
	// Parallel is how many databases are copied at a time, 1 to 16, each on a thread of Notes of its own. Default 2.
	Parallel int
	// Console is a program with its arguments that has the running server do a console command; "{command}" in it becomes the command. It runs in the data directory.
	// On Linux: /opt/hcl/domino/bin/server -c "{command}"; on Windows: nserver.exe -c "{command}". With it a restore asks the server which objects of the attachment store restored databases lack
	// ("tell daosmgr listnlo"), puts these back and has it count again ("tell daosmgr resync"). Without it a warning says what to ask.
	Console []string
	// ConsoleTimeout is how long the server may take over the list of one database. Default 2 minutes.
	ConsoleTimeout time.Duration
	// OfflineWait is how long a restore waits for users to leave a database that is to be replaced. Default 30 seconds.
	OfflineWait time.Duration
	// EndTimeout bounds what ends a backup after the run was cancelled, and the wait for an answer of Domino that is overdue by then. Default 1 minute.
	EndTimeout time.Duration
	// Now is the clock of the server, which is that of this machine. Nil means the machine's.
	Now func() time.Time
}

const maxParallel = 16

// validate reports everything that is wrong at once.
func (o Options) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.StateDir == "", "state dir: want a directory that survives this process, for the note of what is in backup")
	bad(o.StateDir != "" && !filepath.IsAbs(o.StateDir), "state dir %q: want an absolute path", o.StateDir)
	bad(o.NotesINI != "" && !filepath.IsAbs(o.NotesINI), "notes.ini %q: want an absolute path", o.NotesINI)
	bad(o.Parallel < 0 || o.Parallel > maxParallel, "parallel %d: want 1 to %d databases at a time", o.Parallel, maxParallel)
	bad(len(o.Console) > 0 && !strings.Contains(strings.Join(o.Console[1:], " "), commandPlace), "console: want the program and its arguments that send the server a console command, with %s where the command goes", commandPlace)
	bad(o.OfflineWait < 0 || o.EndTimeout < 0 || o.ConsoleTimeout < 0, "offline wait, end and console timeout: want no negative time")
	for _, p := range append(append([]string{}, o.Include...), o.Exclude...) {
		bad(p == "" || strings.ContainsAny(p, "\r\n\x00"), "pattern %q: want the name of a database below the data directory, with * for any text and ? for one character", p)
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Instance == "" {
		o.Instance = "server"
	}
	if o.Parallel == 0 {
		o.Parallel = 2
	}
	if o.OfflineWait == 0 {
		o.OfflineWait = 30 * time.Second
	}
	if o.ConsoleTimeout == 0 {
		o.ConsoleTimeout = 2 * time.Minute
	}
	if o.EndTimeout == 0 {
		o.EndTimeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the server runs on this machine, so its clock is this one
	}
	return o
}
