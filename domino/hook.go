package domino

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
)

// hookSource is the way Hook: Domino's own backup task, of release 12 and later, calls quiesce-hook for each file. It needs no C API.
type hookSource struct {
	opt Options
	// base walks and copies files.
	base *capiSource
	// begin has Domino begin a backup.
	begin func(ctx context.Context, options string) error
}

func newHook(opt Options) *hookSource {
	h := &hookSource{opt: opt, base: newCAPI(opt)}
	h.begin = h.command
	return h
}

// Close implements io.Closer.
func (h *hookSource) Close() error { return nil }

// Describe implements backup.Source.
func (h *hookSource) Describe() backup.Description {
	d := backup.Description{Application: application, Instance: h.base.opt.Instance, Kinds: []backup.Kind{backup.Full}}
	if !h.opt.NoLog {
		d.Kinds, d.PointInTime = append(d.Kinds, backup.Log), true
	}
	return d
}

// String names the server.
func (h *hookSource) String() string { return h.base.String() }

// LogValue implements slog.LogValuer.
func (h *hookSource) LogValue() slog.Value { return h.base.LogValue() }

// command runs the configured command.
func (h *hookSource) command(ctx context.Context, options string) error {
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
func (h *hookSource) Check(ctx context.Context, _ backup.StageDir) (out []backup.Finding) {
	note := func(what string, err error) {
		f := backup.Finding{What: what, Err: err}
		if err != nil {
			f.Hint = advice(err)
		}
		out = append(out, f)
	}
	out = append(out, h.base.way())
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
	if err != nil {
		out = append(out, h.base.otherWays(ctx)...)
	}
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
func (h *hookSource) Estimate(ctx context.Context, req backup.Request) (bytes int64, err error) {
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
