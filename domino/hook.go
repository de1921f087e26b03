package domino

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
)

// HookOptions adjusts a HookSource. StateDir, DataDir and Command are required.
type HookOptions struct {
	// Instance is the name of the server in manifests and messages. Default: "server".
	Instance string
	// StateDir is a directory of this machine that survives the process: a run notes there what Domino was told. It is created when it is not there.
	StateDir string
	// CallDir is where quiesce-hook finds the agent: a directory that only this account may enter, of one job alone, and on Unix with a short path. Default: hook below StateDir.
	CallDir string
	// DataDir is the data directory of the server.
	DataDir string
	// NotesINI is the path of notes.ini. Default: notes.ini in the data directory.
	NotesINI string
	// Command has Domino begin a backup; "{options}" in it becomes what is asked for, such as -b. It runs in the data directory and may return before the backup has ended.
	// On Linux: /opt/hcl/domino/bin/server -c "load backup {options}"; on Windows: nserver.exe -c "load backup {options}".
	Command []string
	// NoLog says that the server does not keep its log in archive style: there is no log to take, and only fulls can be asked for.
	NoLog bool
	// SkipFiles leaves out plain files and notes.ini, SkipAttachments the attachment store (DAOS).
	SkipFiles, SkipAttachments bool
	// StartTimeout is how long Domino may take from the command to its first call. Default 5 minutes.
	StartTimeout time.Duration
	// IdleTimeout is how long after its last call Domino is taken to be through when it does not say so. Default 30 minutes.
	IdleTimeout time.Duration
	// RestoreTimeout is how long a restore waits for the next request of Domino's restore task, which an administrator starts. Default 1 hour.
	RestoreTimeout time.Duration
	// Now is the clock of the server, which is that of this machine. Nil means the machine's.
	Now func() time.Time
}

const optionsPlace = "{options}"

func (o HookOptions) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	for what, dir := range map[string]string{"state dir": o.StateDir, "data dir": o.DataDir} {
		bad(!filepath.IsAbs(dir), "%s %q: want an absolute path", what, dir)
	}
	bad(o.CallDir != "" && !filepath.IsAbs(o.CallDir), "call dir %q: want an absolute path", o.CallDir)
	bad(o.NotesINI != "" && !filepath.IsAbs(o.NotesINI), "notes.ini %q: want an absolute path", o.NotesINI)
	bad(len(o.Command) == 0 || !strings.Contains(strings.Join(o.Command, " "), optionsPlace), "command: want the program and its arguments with which Domino loads its backup task, with %s where the options of the task go", optionsPlace)
	bad(o.StartTimeout < 0 || o.IdleTimeout < 0 || o.RestoreTimeout < 0, "start, idle and restore timeouts: want no negative time")
	return errors.Join(errs...)
}

func (o HookOptions) withDefaults() HookOptions {
	if o.CallDir == "" {
		o.CallDir = filepath.Join(o.StateDir, "hook")
	}
	for _, d := range []struct {
		to *time.Duration
		is time.Duration
	}{{&o.StartTimeout, 5 * time.Minute}, {&o.IdleTimeout, 30 * time.Minute}, {&o.RestoreTimeout, time.Hour}} {
		if *d.to == 0 {
			*d.to = d.is
		}
	}
	return o
}

// HookSource backs up a server by Domino's own backup task, of release 12 and later, which calls quiesce-hook for each file. It needs no C API. It is safe for concurrent use, one run at a time.
type HookSource struct {
	opt HookOptions
	// files are walked and copied as those of a Source.
	base *Source
	// begin has Domino begin a backup.
	begin func(ctx context.Context, options string) error
}

// NewHook returns a HookSource. It does no I/O.
func NewHook(o *HookOptions) (*HookSource, error) {
	var opt HookOptions
	if o != nil {
		opt = *o
	}
	if err := opt.validate(); err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Instance: opt.Instance, Err: err}
	}
	opt = opt.withDefaults()
	h := &HookSource{opt: opt, base: &Source{opt: Options{Instance: opt.Instance, StateDir: opt.StateDir, NotesINI: opt.NotesINI,
		SkipFiles: opt.SkipFiles, SkipAttachments: opt.SkipAttachments, Now: opt.Now}.withDefaults()}}
	h.begin = h.command
	return h, nil
}

// Close has nothing to release.
func (h *HookSource) Close() error { return nil }

// Describe implements backup.Source.
func (h *HookSource) Describe() backup.Description {
	d := backup.Description{Application: application, Instance: h.base.opt.Instance, Kinds: []backup.Kind{backup.Full}}
	if !h.opt.NoLog {
		d.Kinds, d.PointInTime = append(d.Kinds, backup.Log), true
	}
	return d
}

// String names the server.
func (h *HookSource) String() string { return h.base.String() }

// LogValue implements slog.LogValuer.
func (h *HookSource) LogValue() slog.Value { return h.base.LogValue() }

// command runs the configured command.
func (h *HookSource) command(ctx context.Context, options string) error {
	args := filled(h.opt.Command, optionsPlace, options)
	ctx, stop := context.WithTimeout(ctx, h.opt.StartTimeout)
	defer stop()
	if err := runCommand(ctx, h.opt.DataDir, args); err != nil {
		return &backup.Error{Op: "have Domino begin a backup of", App: application, Instance: h.base.opt.Instance, Artifact: strings.Join(args, " "), Err: err,
			Advice: "run the command by hand, as the account of the server, in its data directory; the server must be up"}
	}
	return nil
}

// hookAdvice is how Domino is told to call.
const hookAdvice = "in the configuration document of dominobackup.nsf let Backup DB Command, Backup Translog Command and Post-Backup Command call quiesce-hook with the directory of this job, as doc/domino.md shows; " +
	"look at the console and the backup log there for what the task said"

// dataValue is a value of notes.ini as it is on disk.
func dataValue(n *ini, key string) (string, error) { return n.get(key), nil }

// Check implements backup.Checker. Whether Domino calls is only known from a run.
func (h *HookSource) Check(ctx context.Context, _ backup.StageDir) (out []backup.Finding) {
	note := func(what string, err error) {
		f := backup.Finding{What: what, Err: err}
		if err != nil {
			f.Hint = advice(err)
		}
		out = append(out, f)
	}
	inv, err := h.base.lookIn(ctx, h.opt.DataDir, dataValue)
	note("data directory can be read: "+h.opt.DataDir, h.base.fail(ctx, "look at the data directory of", "", err))
	if err == nil {
		note(told(inv), nil)
		for _, w := range inv.warnings {
			note(w, nil)
		}
		if !h.opt.NoLog && inv.ini.get("TRANSLOG_Style") != "1" {
			note("notes.ini does not say that the log is kept in archive style (TRANSLOG_Style=1): without it Domino has no log to give, and no_log belongs into the configuration", nil)
		}
	}
	_, err = exec.LookPath(h.opt.Command[0])
	note("command that begins a backup can be run: "+h.opt.Command[0], err)
	note("state directory can be written to: "+h.opt.StateDir, h.base.checkState())
	l, err := hook.Listen(h.opt.CallDir)
	if err == nil {
		err = l.Close()
	}
	if errors.Is(err, backup.ErrBusy) {
		note("calls of Domino can be waited for, and a run does: "+h.opt.CallDir, nil)
		return out
	}
	note("calls of Domino can be waited for: "+h.opt.CallDir, err)
	return out
}

// Estimate implements backup.Estimator. What log there is Domino alone knows.
func (h *HookSource) Estimate(ctx context.Context, req backup.Request) (bytes int64, err error) {
	if req.Kind != backup.Full {
		return 0, nil
	}
	inv, err := h.base.lookIn(ctx, h.opt.DataDir, dataValue)
	if err != nil {
		return 0, h.base.fail(ctx, "estimate", "", err)
	}
	for _, f := range append(inv.databases, inv.files...) {
		bytes += f.size
	}
	return bytes + storeSize(inv), nil
}

// there reports whether something is at a path.
func there(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

var (
	_ backup.Checker   = (*HookSource)(nil)
	_ backup.Estimator = (*HookSource)(nil)
)
