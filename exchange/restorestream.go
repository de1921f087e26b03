package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// environmentFile is what the engine keeps of a restore, in the folder of its logs.
const environmentFile = "restore.env"

// streaming is a restore by the streaming API.
type streaming struct {
	*restoring
	p    *place
	w    *swap
	call esebcli.Restore
	// logs is the folder for logs, as the engine named it.
	logs string
	// files are what is written, in order, with the artifact of each; the first are those of databases, as many as databases says.
	files     []streamed
	databases int
	// touched: files have been set aside, and must come back when it fails.
	touched bool
	// recovered: the engine has recovered the databases; from here on nothing is undone.
	recovered bool
}

// streamed is a file of the set: where it goes, as the server sees it, and what it is.
type streamed struct {
	to   string
	from placed
}

// stream restores copies by the streaming API: the server decides where files go and recovers them, with the logs that are put before it.
func (x *restoring) stream(ctx context.Context, p *place, w *swap) (err error) {
	list, work := p.batches(restoreOptions{recover: byEngine})
	if p.dir == "" {
		list, work = nil, nil
	}
	var reached []string
	for _, dir := range work {
		reached = append(reached, x.s.at(dir))
		if there(x.s.at(dir)) {
			return x.s.refuse("restore", p.item, "delete it: it holds what a restore that died did not finish, and copies from a backup only", "%s is there", dir)
		}
	}
	if err := w.begin(x.s.opt.Instance, p.item, x.s.opt.Now(), reached); err != nil {
		return err
	}
	st := &streaming{restoring: x, p: p, w: w}
	dismounted := false
	defer func() {
		if err == nil || st.recovered {
			return
		}
		switch {
		case st.touched:
			err = errors.Join(err, w.undo())
		case there(w.path):
			err = errors.Join(err, w.forget())
		}
		if dismounted {
			err = errors.Join(err, x.remount(ctx, p))
		}
	}()
	if p.dir == "" {
		dismounted = true
		if err := x.dismount(ctx, p, w); err != nil {
			return err
		}
	}
	if err := st.run(ctx, list, work); err != nil {
		return err
	}
	return st.ending(ctx)
}

// run carries the calls out, up to the recovery. Whatever happens the call is closed.
func (st *streaming) run(ctx context.Context, list []*recoverySet, work []string) (err error) {
	logs := ""
	if len(work) > 0 {
		logs = filepath.Join(work[0], "logs")
		if err := os.MkdirAll(st.s.at(logs), 0o750); err != nil {
			return err
		}
	}
	if st.call, err = st.s.opt.Tools.Streaming.RestoreOpen(ctx, st.s.opt.Server, esebcli.InformationStore, st.p.item, logs); err != nil {
		return fmt.Errorf("open the restore (HrESERestoreOpen): %w", err)
	}
	defer func() {
		undo, stop := context.WithTimeout(context.WithoutCancel(ctx), st.s.opt.EndTimeout)
		defer stop()
		if cerr := st.call.Close(undo, err != nil); cerr != nil {
			err = errors.Join(err, fmt.Errorf("close the restore (HrESERestoreClose): %w", cerr))
		}
	}()
	env, err := st.call.Environment(ctx)
	if err != nil {
		return fmt.Errorf("ask where logs go (HrESERestoreGetEnvironment): %w", err)
	}
	if st.logs = env.RestoreLogPath; st.logs == "" {
		return errors.New("the engine does not tell where logs go (wszRestoreLogPath)")
	}
	if err := st.add(ctx, list); err != nil {
		return err
	}
	if err := st.aside(); err != nil {
		return err
	}
	for _, f := range st.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := st.put(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", baseName(f.from.file), err)
		}
	}
	if err := st.proveLogs(ctx); err != nil {
		return err
	}
	if err := st.call.SaveEnvironment(ctx); err != nil {
		return fmt.Errorf("save the environment (HrESERestoreSaveEnvironment): %w", err)
	}
	if st.c.opt.recover == byPeople {
		return nil
	}
	target, flags := "", esebcli.CompleteFlags(0)
	if st.c.opt.forward {
		target = st.p.group.Name
	}
	if st.c.opt.mount {
		flags = esebcli.CompleteAttach
	}
	if err := st.moving(func() error { return st.call.Complete(ctx, st.logs, st.logs, target, flags) }); err != nil {
		return fmt.Errorf("recover with the logs of generation %s (HrESERestoreComplete): %w", generations(st.p.logs.first(), st.p.logs.last()), err)
	}
	st.recovered = true
	return nil
}

// add names the databases to the engine, and learns where their files go: where they are expected, or nothing is touched.
func (st *streaming) add(ctx context.Context, list []*recoverySet) error {
	for _, t := range st.p.targets {
		id, err := guid(t.copy.guid)
		if err != nil {
			return err
		}
		var from, to []string
		for _, f := range t.copy.files() {
			from = append(from, f.file)
		}
		switch {
		case st.p.dir != "":
			for _, b := range list {
				if slices.Contains(b.targets, t) {
					for _, f := range t.copy.files() {
						to = append(to, b.fresh(f))
					}
				}
			}
			err = st.call.AddDatabaseTo(ctx, t.copy.name, id, from, to)
		case st.p.elsewhere:
			to = t.paths()
			err = st.call.AddDatabaseTo(ctx, t.copy.name, id, from, to)
		default:
			if to, err = st.call.AddDatabase(ctx, t.copy.name, id, from); err == nil && !slices.EqualFunc(to, t.paths(), samePath) {
				return st.s.refuse("restore", t.copy.name, "remove the recovery storage group, or restore into it by the name of the database there; or restore into a folder (to=DIR)",
					"the server would put it to %s, and not to %s", strings.Join(to, ", "), strings.Join(t.paths(), ", "))
			}
		}
		if err != nil {
			return fmt.Errorf("add database %q (HrESERestoreAddDatabase): %w", t.copy.name, err)
		}
		for i, f := range t.copy.files() {
			st.files = append(st.files, streamed{to[i], f})
		}
	}
	st.databases = len(st.files)
	for i, l := range st.p.logs.logs {
		st.files = append(st.files, streamed{filepath.Join(st.logs, st.p.logName(i)), placed{l.step, l.entry, l.name}})
	}
	for _, f := range st.p.patches {
		st.files = append(st.files, streamed{filepath.Join(st.logs, baseName(f.file)), f})
	}
	return nil
}

// paths are where the files of a database are at the server.
func (t *destination) paths() []string {
	if t.copy.stm == nil {
		return []string{t.edb}
	}
	return []string{t.edb, t.stm}
}

func samePath(a, b string) bool { return strings.EqualFold(filepath.Clean(a), filepath.Clean(b)) }

// aside clears the places of the files: what is there is set aside.
func (st *streaming) aside() error {
	written := map[string]bool{}
	for _, f := range st.files {
		written[st.s.at(f.to)] = true
	}
	old, err := oldEnvironment(st.s.at(st.logs))
	if err != nil {
		return err
	}
	for _, f := range old {
		if !st.r.Overwrite {
			return st.s.refuse("restore", st.p.item, "look whether another restore is under way; else delete them, or allow overwriting, then they are set aside", "%s has files of another restore, such as %s", st.logs, f)
		}
		if !written[f] {
			st.w.plan(f, "", false)
		}
	}
	for _, f := range st.files {
		if st.p.dir == "" {
			st.w.plan(st.s.at(f.to), "", false)
		}
	}
	if st.p.dir == "" {
		for _, f := range st.files[st.databases:] {
			st.w.note.Work = append(st.w.note.Work, st.s.at(f.to))
		}
		st.w.note.Work = append(st.w.note.Work, filepath.Join(st.s.at(st.logs), environmentFile))
	}
	if st.p.dir == "" && !st.p.elsewhere {
		if err := noteRestored(st.s.opt.StateDir, st.s.opt.Instance, st.p.item, st.s.opt.Now()); err != nil {
			return err
		}
	}
	st.touched = true
	return st.w.exchange()
}

// oldEnvironment are files of a restore in a folder for logs.
func oldEnvironment(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if _, log := ese.ParseLogName(e.Name()); !e.IsDir() && (log || strings.EqualFold(e.Name(), environmentFile)) {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out, nil
}

// put writes a file of the set, or lets the library do it.
func (st *streaming) put(ctx context.Context, f streamed) error {
	file, atFileLevel, err := st.call.OpenFile(ctx, f.to)
	if err != nil {
		return fmt.Errorf("open it (HrESERestoreOpenFile): %w", err)
	}
	if atFileLevel {
		return st.create(ctx, f.from.step, f.from.entry, st.s.at(f.to))
	}
	in, err := st.set.Open(ctx, f.from.step, f.from.entry)
	if err != nil {
		return errors.Join(err, file.Close(ctx))
	}
	defer func() { _ = in.Close() }() // it was read to its end, or its error is known
	_, err = io.Copy(restoreWriter{ctx, file}, in)
	return errors.Join(err, file.Close(ctx))
}

// restoreWriter writes through the library. It keeps the context, because it lives within the copy of one file.
type restoreWriter struct {
	ctx  context.Context
	file esebcli.RestoreFile
}

func (w restoreWriter) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := w.file.Write(w.ctx, p[n:])
		if n += m; err != nil {
			return n, err
		}
		if m == 0 {
			return n, io.ErrShortWrite
		}
	}
	return n, nil
}

// proveLogs verifies the logs as one series before the engine sees them.
func (st *streaming) proveLogs(ctx context.Context) error {
	_, err := st.chain(ctx, st.p, st.s.at(st.logs))
	return err
}

// ending looks at what the engine recovered, and removes what it replaced.
func (st *streaming) ending(ctx context.Context) error {
	if st.c.opt.recover == byPeople {
		st.w.note.Work = nil // the command needs them
		st.set.Warn(fmt.Sprintf(`%q is not recovered yet: eseutil /cc "%s"; then eseutil /mh must say "Clean Shutdown" of each database. What was there before is kept: %s. %s`, st.p.item, st.logs, st.w.note.left(), st.p.summary()))
		return st.w.keep()
	}
	for _, f := range st.files[:st.databases] {
		if strings.EqualFold(filepath.Ext(f.from.file), ".stm") || st.c.opt.mount {
			continue // a mounted database is in use
		}
		if err := st.settled(ctx, st.s.at(f.to)); err != nil {
			return errors.Join(err, st.w.keep())
		}
	}
	if st.p.dir != "" {
		if err := removeTree(st.s.at(st.logs)); err != nil {
			return err
		}
		st.w.plan(st.s.at(st.p.dir), st.w.note.Work[0], false)
		if err := st.w.exchange(); err != nil {
			return err
		}
	}
	_, err := st.w.finish()
	return err
}
