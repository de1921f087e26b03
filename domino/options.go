package domino

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Options says how a server is reached, and what of it is backed up. Where a field is of some ways only, it says so, and is refused with the others.
type Options struct {
	// Way is how the server is reached. Default CAPI.
	Way Way
	// Instance is the name of the server in manifests and messages. Default: "server".
	Instance string
	// StateDir is a directory of this machine that survives the process: a run notes there what it puts into backup, or what Domino was told, so that the next run can end what a dead one left; and what it last saw of each
	// database, so that a log run opens only what changed. It is created when it is not there. Two jobs may share it. Required with CAPI and Hook, the others have none.
	StateDir string
	// DataDir is the data directory of the server. Required with Hook, and with Offline, where it is that of a server that is stopped, or a snapshot of one. With CAPI Domino says where it is.
	DataDir string
	// NotesINI is the path of notes.ini. Default: Notes.INI, or else notes.ini in the data directory, where it is on Unix. What paths it has must be right for a snapshot too.
	NotesINI string
	// SkipFiles leaves out plain files and notes.ini, SkipAttachments the attachment store (DAOS).
	SkipFiles, SkipAttachments bool

	// Include limits the backup to databases of which one of these patterns matches the name, such as "mail/*"; none means all. In a pattern, * stands for any text, also with slashes, and ? for one
	// character; case is ignored. A pattern without wildcards must find its database. With Hook the patterns of Domino's own configuration decide.
	Include []string
	// Exclude leaves out what one of these patterns matches; it wins over Include.
	Exclude []string
	// SkipLinks leaves out what directory and database links lead to. The link files themselves are always taken.
	SkipLinks bool

	// Console is a program with its arguments that has the running server do a console command; "{command}" in it becomes the command. It runs in the data directory.
	// On Linux: /opt/hcl/domino/bin/server -c "{command}"; on Windows: nserver.exe -c "{command}". With it a restore asks the server which objects of the attachment store restored databases lack
	// ("tell daosmgr listnlo"), puts these back and has it count again ("tell daosmgr resync"). Without it a warning says what to ask. With CAPI and Hook.
	Console []string
	// ConsoleTimeout is how long the server may take over the list of one database. Default 2 minutes.
	ConsoleTimeout time.Duration

	// Notes is the child process that has the Notes C API: quiesce-notes, built from the package of that name below this one, with the program directory and notes.ini of the server. Each call starts one, and ends it.
	// Required with CAPI.
	Notes notes.Command
	// Open starts a process that has the Notes C API, in place of Notes: once for a run, for each worker, and again when it dies. With CAPI.
	Open func(ctx context.Context) (notes.API, error)
	// Parallel is how many databases are copied at a time, 1 to 16, each on a thread of Notes of its own. Default 2. With CAPI.
	Parallel int
	// OfflineWait is how long a restore waits for users to leave a database that is to be replaced. Default 30 seconds. With CAPI.
	OfflineWait time.Duration
	// EndTimeout bounds what ends a backup after the run was cancelled, and the wait for an answer of Domino that is overdue by then. Default 1 minute. With CAPI.
	EndTimeout time.Duration

	// Command has Domino begin a backup; "{options}" in it becomes what is asked for, such as -b. It runs in the data directory and may return before the backup has ended.
	// On Linux: /opt/hcl/domino/bin/server -c "load backup {options}"; on Windows: nserver.exe -c "load backup {options}". Required with Hook.
	Command []string
	// CallDir is where quiesce-hook finds the agent: a directory that only this account may enter, of one job alone, and on Unix with a short path. Default: hook below StateDir. With Hook.
	CallDir string
	// NoLog says that the server does not keep its log in archive style: there is no log to take, and only fulls can be asked for. With Hook; CAPI asks Domino.
	NoLog bool
	// StartTimeout is how long Domino may take from the command to its first call. Default 5 minutes. With Hook.
	StartTimeout time.Duration
	// IdleTimeout is how long after its last call Domino is taken to be through when it does not say so. Default 30 minutes. With Hook.
	IdleTimeout time.Duration
	// RestoreTimeout is how long a restore waits for the next request of Domino's restore task, which an administrator starts. Default 1 hour. With Hook.
	RestoreTimeout time.Duration

	// Snapshot says that DataDir is a snapshot. What is in it is as after a power cut, unless the server was stopped when it was made, and no server is looked for. With Offline.
	Snapshot bool
	// SkipLog leaves out the files of the transaction log. With Offline.
	SkipLog bool

	// Now is the clock of the server, which is that of this machine. Nil means the machine's.
	Now func() time.Time
}

const (
	maxParallel  = 16
	optionsPlace = "{options}"
)

// settled is options with their defaults, or everything that is wrong with them.
func settled(given *Options) (Options, error) {
	var o Options
	if given != nil {
		o = *given
	}
	if o.Way == "" {
		o.Way = CAPI
	}
	if o.Way == CAPI {
		if o.NotesINI == "" {
			o.NotesINI = o.Notes.INI
		}
		if o.Notes.INI == "" {
			o.Notes.INI = o.NotesINI
		}
	}
	if err := o.validate(); err != nil {
		return o, err
	}
	return o.withDefaults(), nil
}

// validate reports everything that is wrong at once.
func (o Options) validate() error {
	if o.Way != CAPI && o.Way != Hook && o.Way != Offline {
		return fmt.Errorf("way %q: want %s, %s or %s", o.Way, CAPI, Hook, Offline)
	}
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Way != Offline && o.StateDir == "", "state dir: want a directory that survives this process, for the note of what is in backup")
	bad(o.Way != CAPI && o.DataDir == "", "data dir: want the data directory of the server")
	for _, p := range [][2]string{{"state dir", o.StateDir}, {"data dir", o.DataDir}, {"notes.ini", o.NotesINI}, {"call dir", o.CallDir}} {
		bad(p[1] != "" && !filepath.IsAbs(p[1]), "%s %q: want an absolute path", p[0], p[1])
	}
	bad(o.Way == CAPI && o.Open == nil && o.Notes.Program == "" && o.Notes.Path == "", "notes: want Domino's program directory")
	bad(o.Way == Hook && !strings.Contains(strings.Join(o.Command, " "), optionsPlace), "command: want the program and its arguments with which Domino loads its backup task, with %s where the options of the task go", optionsPlace)
	bad(len(o.Console) > 0 && !strings.Contains(strings.Join(o.Console[1:], " "), commandPlace), "console: want the program and its arguments that send the server a console command, with %s where the command goes", commandPlace)
	bad(o.Parallel < 0 || o.Parallel > maxParallel, "parallel %d: want 1 to %d databases at a time", o.Parallel, maxParallel)
	for name, d := range map[string]time.Duration{"offline wait": o.OfflineWait, "end timeout": o.EndTimeout, "console timeout": o.ConsoleTimeout,
		"start timeout": o.StartTimeout, "idle timeout": o.IdleTimeout, "restore timeout": o.RestoreTimeout} {
		bad(d < 0, "%s %s: want no negative time", name, d)
	}
	for _, p := range slices.Concat(o.Include, o.Exclude) {
		bad(p == "" || strings.ContainsAny(p, "\r\n\x00"), "pattern %q: want the name of a database below the data directory, with * for any text and ? for one character", p)
	}
	return errors.Join(append(errs, o.misplaced()...)...)
}

// misplaced are options that the way would not look at.
func (o Options) misplaced() (errs []error) {
	for _, f := range []struct {
		name  string
		given bool
		ways  []Way
	}{
		{"state dir", o.StateDir != "", []Way{CAPI, Hook}},
		{"data dir", o.DataDir != "", []Way{Hook, Offline}},
		{"include", len(o.Include) > 0, []Way{CAPI, Offline}},
		{"exclude", len(o.Exclude) > 0, []Way{CAPI, Offline}},
		{"skip links", o.SkipLinks, []Way{CAPI, Offline}},
		{"console", len(o.Console) > 0, []Way{CAPI, Hook}},
		{"console timeout", o.ConsoleTimeout != 0, []Way{CAPI, Hook}},
		{"program", o.Notes.Program != "", []Way{CAPI}},
		{"child", o.Notes.Path != "", []Way{CAPI}},
		{"library", o.Notes.Library != "", []Way{CAPI}},
		{"open", o.Open != nil, []Way{CAPI}},
		{"parallel", o.Parallel != 0, []Way{CAPI}},
		{"offline wait", o.OfflineWait != 0, []Way{CAPI}},
		{"end timeout", o.EndTimeout != 0, []Way{CAPI}},
		{"command", len(o.Command) > 0, []Way{Hook}},
		{"call dir", o.CallDir != "", []Way{Hook}},
		{"no log", o.NoLog, []Way{Hook}},
		{"start timeout", o.StartTimeout != 0, []Way{Hook}},
		{"idle timeout", o.IdleTimeout != 0, []Way{Hook}},
		{"restore timeout", o.RestoreTimeout != 0, []Way{Hook}},
		{"snapshot", o.Snapshot, []Way{Offline}},
		{"skip log", o.SkipLog, []Way{Offline}},
	} {
		if f.given && !slices.Contains(f.ways, o.Way) {
			errs = append(errs, fmt.Errorf("%s: the way %s has no use for it; leave it out", f.name, o.Way))
		}
	}
	return errs
}

func (o Options) withDefaults() Options {
	if o.Instance == "" {
		o.Instance = "server"
	}
	if o.Parallel == 0 {
		o.Parallel = 2
	}
	if o.CallDir == "" {
		o.CallDir = filepath.Join(o.StateDir, "hook")
	}
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{
		{&o.OfflineWait, 30 * time.Second}, {&o.EndTimeout, time.Minute}, {&o.ConsoleTimeout, 2 * time.Minute},
		{&o.StartTimeout, 5 * time.Minute}, {&o.IdleTimeout, 30 * time.Minute}, {&o.RestoreTimeout, time.Hour},
	} {
		if *d.to == 0 {
			*d.to = d.is
		}
	}
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the server runs on this machine, so its clock is this one
	}
	return o
}
