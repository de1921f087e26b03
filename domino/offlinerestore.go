package domino

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
)

// Restore implements backup.Restorer: files go back where they were below Options.DataDir, or with the option data=DIR below that directory, while no server runs there. notes.ini and log files that are there are left
// alone.
func (o *offlineSource) Restore(ctx context.Context, req backup.RestoreRequest, set *backup.RestoreSet) error {
	return o.base.fail(ctx, "restore", "", o.restore(ctx, req, set))
}

func (o *offlineSource) restore(ctx context.Context, req backup.RestoreRequest, set *backup.RestoreSet) error {
	if err := o.base.only(Offline, "without Domino its databases cannot be completed with their change information, nor rolled forward with their log", set); err != nil {
		return err
	}
	data := o.opt.DataDir
	for key, value := range req.Options {
		if key != "data" || !filepath.IsAbs(value) {
			return fmt.Errorf("%w: restore option %s=%q: this way knows data=DIR, an absolute path", backup.ErrOption, key, value)
		}
		data = value
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return err
	}
	to := *o.base
	to.pick, to.opt.NotesINI = filter{}, ""
	if data == o.opt.DataDir {
		to.opt.NotesINI = o.opt.NotesINI
	}
	inv, err := to.lookIn(ctx, data, dataValue)
	if errors.Is(err, os.ErrNotExist) { // notes.ini is to come back
		to.opt.NotesINI = ""
		inv, err = to.lookIn(ctx, data, dataValue)
	}
	if err != nil {
		return err
	}
	into := &offlineSource{base: &to}
	unknown, err := into.idle(ctx, "restore", inv)
	if err != nil {
		return err
	}
	if unknown != "" {
		set.Warn(fmt.Sprintf(warnUnprovable, unknown))
	}
	c := &course{data: data, opt: restoreOptions{server: data != o.opt.DataDir}}
	var logs []*backup.RestoreStep
	for _, step := range set.Steps() {
		switch step.Item.Name {
		case itemFiles:
			c.files = append(c.files, step)
		case itemAttachments:
			c.attachments = append(c.attachments, step)
		case itemLog: // of a way that has one; it says of which time the files are
		case itemLogFiles:
			logs = append(logs, step)
		default:
			t, err := c.addDatabase(step, req)
			if err != nil {
				return err
			}
			c.targets = append(c.targets, t)
		}
	}
	there, err := c.occupied()
	if err != nil {
		return err
	}
	if len(there) > 0 && !req.Overwrite {
		return &backup.Error{Op: "restore", App: application, Instance: o.base.opt.Instance, Artifact: there[0], Err: fmt.Errorf("%d of the files are there: %w", len(there), backup.ErrExists),
			Advice: "restore into another directory (data=DIR), or allow overwriting"}
	}
	set.Expect(len(c.targets) + len(c.files) + len(c.attachments) + len(logs))
	x := &restoring{s: &to, r: req, set: set, c: c}
	return o.put(ctx, x, logs)
}

// put writes everything: plain files first, since notes.ini says where the rest goes.
func (o *offlineSource) put(ctx context.Context, x *restoring, logs []*backup.RestoreStep) error {
	for _, f := range x.c.plainFiles() {
		if err := x.plain(ctx, f); err != nil {
			return err
		}
	}
	for range x.c.files {
		x.set.ItemDone()
	}
	for _, t := range x.c.targets {
		if err := o.replace(ctx, x, t); err != nil {
			return err
		}
		x.set.ItemDone()
	}
	inv, err := x.s.lookIn(ctx, x.c.data, dataValue)
	if err != nil {
		return err
	}
	switch x.attachmentBase = inv.attachments; {
	case len(x.c.attachments) == 0:
	case x.attachmentBase == "":
		x.set.Warn("notes.ini names no attachment store (DAOSBasePath), and its objects were not restored")
	default:
		if err := x.attachments(ctx); err != nil {
			return err
		}
	}
	if err := o.putLogs(ctx, x, logDir(inv), logs); err != nil {
		return err
	}
	if len(x.c.targets) > 0 {
		x.set.Warn("databases were put back as plain copies: before Domino starts, let the log directory hold the log files of the same backup, or nothing (TRANSLOG_Path to an empty directory), and take a full at once")
	}
	return nil
}

// replace puts a database in place.
func (o *offlineSource) replace(ctx context.Context, x *restoring, t *target) error {
	if err := x.create(ctx, t.copy, t.temp, t.temp, 0o640); err != nil {
		return err
	}
	if err := os.Rename(t.temp, t.to); err != nil {
		return errors.Join(err, os.Remove(t.temp))
	}
	return syncDir(filepath.Dir(t.to))
}

// putLogs puts log files into a log directory that has none. Others there belong to other databases, or to later ones.
func (o *offlineSource) putLogs(ctx context.Context, x *restoring, dir string, logs []*backup.RestoreStep) error {
	for _, step := range logs {
		if dir == "" {
			x.set.Warn("notes.ini names no directory for the transaction log (TRANSLOG_Path), and log files were not restored")
			return nil
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return err
		}
		if is, err := os.ReadDir(dir); err != nil || len(is) > 0 {
			if err == nil {
				x.set.Warn(fmt.Sprintf("%s is not empty and was left alone: log files of the backup were not restored", dir))
			}
			return err
		}
		for _, e := range step.Entries {
			to := filepath.Join(dir, filepath.Base(e.Name))
			if err := x.create(ctx, placed{step, e}, to, to+unfinished, 0o640); err != nil {
				return err
			}
		}
		x.set.ItemDone()
	}
	return nil
}
