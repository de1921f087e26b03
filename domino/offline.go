package domino

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	// itemLogFiles are the files of the log as they lie beside databases that were copied without Domino.
	itemLogFiles  = "log files"
	logFilePrefix = "logfiles/"
)

// offlineSource is the way Offline: it copies the files of a server that does not run.
type offlineSource struct {
	opt  Options
	base *capiSource
}

func newOffline(opt Options) *offlineSource { return &offlineSource{opt, newCAPI(opt)} }

// Close implements io.Closer.
func (o *offlineSource) Close() error { return nil }

// Describe implements backup.Source. Without Domino there is no log that can be rolled forward.
func (o *offlineSource) Describe() backup.Description {
	return backup.Description{Application: application, Instance: o.base.opt.Instance, Kinds: []backup.Kind{backup.Full}}
}

// String names the server.
func (o *offlineSource) String() string { return o.base.String() }

// LogValue implements slog.LogValuer.
func (o *offlineSource) LogValue() slog.Value { return o.base.LogValue() }

const (
	adviceStopped  = "stop the server, or take a snapshot of its volumes and say so (snapshot); only the ways capi and hook copy from a server that runs"
	warnSnapshot   = "the databases are as after a power cut: the copy is a snapshot, of which nobody knows whether the server was stopped. Start Domino on a restored copy only with the log files of the same snapshot, or run fixup on its databases"
	warnUnprovable = "that no server runs on the data directory could not be made sure of: %s"
)

// idle refuses when a process has databases open. What cannot be known is returned as a sentence.
func (o *offlineSource) idle(ctx context.Context, op string, inv *inventory) (unknown string, err error) {
	if o.opt.Snapshot {
		return "", nil
	}
	var paths []string
	for _, f := range inv.databases {
		paths = append(paths, f.path)
	}
	held, unknown, err := holders(ctx, inv.data, paths)
	if err != nil {
		return "", err
	}
	if len(held) > 0 {
		return "", o.base.refuse(op, "", adviceStopped, "files of the server are in use: %s", abbreviated(held))
	}
	return unknown, nil
}

// Backup implements backup.Source. Every database is copied as it lies there, after it was made sure, as far as can be known, that no server has it open; one that changes meanwhile shows that there is one.
func (o *offlineSource) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (backup.Result, error) {
	r := &run{s: o.base, req: req, st: st, now: seen{}}
	out, err := o.all(ctx, r)
	if err != nil {
		return backup.Result{}, o.base.fail(ctx, "back up", "", err)
	}
	return out, nil
}

func (o *offlineSource) all(ctx context.Context, r *run) (out backup.Result, err error) {
	if ctx.Err() != nil {
		return out, context.Cause(ctx)
	}
	if r.inv, err = o.base.lookIn(ctx, o.opt.DataDir, dataValue); err != nil {
		return out, err
	}
	unknown, err := o.idle(ctx, "back up", r.inv)
	if err != nil {
		return out, err
	}
	meta := map[string]string{"data": r.inv.data, metaWay: string(Offline), "consistency": "stopped"}
	switch {
	case o.opt.Snapshot:
		meta["consistency"] = "crash"
		r.warn("%s", warnSnapshot)
	case unknown != "":
		r.warn(warnUnprovable, unknown)
	}
	p := &plan{full: true}
	for _, db := range r.inv.databases {
		p.take = append(p.take, wanted{file: db})
	}
	r.expect(p)
	items, err := o.items(ctx, r, p)
	if err != nil {
		return out, err
	}
	if err := o.unchanged(ctx, r.inv); err != nil {
		return out, err
	}
	return backup.Result{Items: items, Untaken: r.inv.left, Meta: meta, Warnings: slices.Concat(r.inv.warnings, r.warnings)}, nil
}

func (o *offlineSource) items(ctx context.Context, r *run, p *plan) (items []backup.Item, err error) {
	add := func(it backup.Item, err error) error {
		if err == nil {
			items = append(items, it)
			r.st.ItemDone()
		}
		return err
	}
	for _, w := range p.take {
		if err := add(o.database(ctx, r, w)); err != nil {
			return nil, err
		}
	}
	if !o.opt.SkipFiles {
		if err := add(r.files(ctx, p)); err != nil {
			return nil, err
		}
	}
	if r.inv.attachments != "" && !o.opt.SkipAttachments {
		if err := add(r.attachments(ctx, p)); err != nil {
			return nil, err
		}
	}
	if it, there, err := o.logFiles(ctx, r); err != nil || there {
		if err := add(it, err); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// database copies one database.
func (o *offlineSource) database(ctx context.Context, r *run, w wanted) (backup.Item, error) {
	at := o.base.opt.Now()
	it := backup.Item{Name: w.name, Kind: backup.Full, Window: backup.Window{From: at, To: at}, Checkpoint: wayNote(Offline)}
	damage, err := r.checked(ctx, backup.Artifact{Name: databasePrefix + w.name, Item: w.name, Role: backup.RoleData}, w.path, !o.opt.Snapshot)
	if err == nil && damage != nil {
		if !o.opt.Snapshot {
			return r.failed(ctx, w, damage), nil
		}
		r.warn("%s needs the log of the snapshot, or a fixup: %v", w.name, damage)
	}
	switch {
	case err == nil:
		return it, nil
	case ctx.Err() != nil:
		return it, context.Cause(ctx)
	case stageError(err) != nil:
		return it, err
	}
	return r.failed(ctx, w, err), nil
}

// unchanged refuses when a database is not as it was found: somebody writes.
func (o *offlineSource) unchanged(ctx context.Context, inv *inventory) error {
	if o.opt.Snapshot {
		return nil
	}
	for _, f := range inv.databases {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if now, err := statOf(f.path); err != nil || now != f.stamp() {
			return o.base.refuse("back up", f.name, adviceStopped, "it changed while the data directory was copied: a server runs on it")
		}
	}
	return nil
}

// logDir is where the files of the transaction log are, empty when notes.ini has none.
func logDir(inv *inventory) string {
	dir := fromSlash(inv.ini.get("TRANSLOG_Path"))
	if dir == "" || inv.ini.get("TRANSLOG_Status") == "0" {
		return ""
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(inv.data, dir)
	}
	return dir
}

// logFiles copies extents and control file, for Domino's restart recovery of these very databases. They can never roll a backup forward.
func (o *offlineSource) logFiles(ctx context.Context, r *run) (it backup.Item, there bool, err error) {
	dir := logDir(r.inv)
	if dir == "" || o.opt.SkipLog {
		return it, false, nil
	}
	at := o.base.opt.Now()
	it = backup.Item{Name: itemLogFiles, Kind: backup.Full, Window: backup.Window{From: at, To: at}, Checkpoint: wayNote(Offline)}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		r.warn("the log directory %s is not there, and its files are not in the backup", dir)
		return it, false, nil
	}
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		if !e.Type().IsRegular() || ext != ".txn" && ext != ".lfh" {
			continue
		}
		there = true
		if err = r.plain(ctx, backup.Artifact{Name: logFilePrefix + e.Name(), Item: itemLogFiles, Role: backup.RoleData}, filepath.Join(dir, e.Name())); err != nil {
			break
		}
	}
	switch {
	case err == nil:
		return it, there, nil
	case ctx.Err() != nil:
		return it, false, context.Cause(ctx)
	case stageError(err) != nil:
		return it, false, err
	}
	return r.failed(ctx, wanted{file: file{name: itemLogFiles}}, err), true, nil
}

// Check implements backup.Checker.
func (o *offlineSource) Check(ctx context.Context, _ backup.StageDir) (out []backup.Finding) {
	note := func(what string, err error) {
		out = append(out, backup.Finding{What: what, Err: err, Hint: advice(err)})
	}
	out = append(out, o.base.way())
	inv, err := o.base.lookIn(ctx, o.opt.DataDir, dataValue)
	note("data directory can be read: "+o.opt.DataDir, o.base.fail(ctx, "look at the data directory of", "", err))
	if err != nil {
		return out
	}
	note(told(inv), nil)
	for _, w := range inv.warnings {
		note(w, nil)
	}
	if o.opt.Snapshot {
		note(warnSnapshot, nil)
		return out
	}
	unknown, err := o.idle(ctx, "check", inv)
	note("no server runs on the data directory", err)
	if err != nil {
		out = append(out, o.base.otherWays(ctx)...)
	}
	if unknown != "" {
		note(fmt.Sprintf(warnUnprovable, unknown), nil)
	}
	return out
}

// Estimate implements backup.Estimator.
func (o *offlineSource) Estimate(ctx context.Context, _ backup.Request) (bytes int64, err error) {
	inv, err := o.base.lookIn(ctx, o.opt.DataDir, dataValue)
	if err != nil {
		return 0, o.base.fail(ctx, "estimate", "", err)
	}
	for _, f := range append(inv.databases, inv.files...) {
		bytes += f.size
	}
	if dir := logDir(inv); dir != "" && !o.opt.SkipLog {
		if entries, err := os.ReadDir(dir); err == nil {
			for _, e := range entries {
				if info, err := e.Info(); err == nil {
					bytes += info.Size()
				}
			}
		}
	}
	return bytes + storeSize(inv), nil
}

// Verify implements backup.Verifier as Source does: sizes, checksums and headers.
func (o *offlineSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return o.base.verify(ctx, set)
}

// plain proves a step of the way offline.
func (v *verifying) plain(ctx context.Context) error {
	if v.step.Item.Name != itemLogFiles {
		return v.all(ctx)
	}
	for _, e := range v.step.Entries {
		if err := v.copy(ctx, e, io.Discard); err != nil {
			return err
		}
	}
	return nil
}

var _ Source = (*offlineSource)(nil)
