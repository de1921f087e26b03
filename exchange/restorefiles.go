package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/exchange/ese"
)

// recoverySet is databases that are recovered together, in one folder.
type recoverySet struct {
	// work is the folder they are restored into, logs that of their logs.
	work, logs string
	targets    []*destination
}

// fresh is where a file of the batch is until it has its place. It has the name that the logs know.
func (b *recoverySet) fresh(f placed) string { return filepath.Join(b.work, baseName(f.file)) }

// batches arranges the databases of a place by folder.
func (p *place) batches(o restoreOptions) (list []*recoverySet, work []string) {
	byDir := map[string]*recoverySet{}
	name := workFolder + "-" + folderName(p.item)
	top := ""
	if p.dir != "" {
		top = filepath.Join(filepath.Dir(p.dir), workFolder+"-"+filepath.Base(p.dir))
		work = append(work, top)
	}
	for _, t := range p.targets {
		dir := filepath.Dir(t.edb)
		b := byDir[dir]
		if b == nil {
			b = &recoverySet{work: filepath.Join(dir, name)}
			if p.dir != "" {
				rel, err := filepath.Rel(p.dir, dir)
				if err != nil {
					rel = "."
				}
				b.work = filepath.Join(top, rel)
			} else {
				work = append(work, b.work)
			}
			b.logs = filepath.Join(b.work, "logs")
			byDir[dir] = b
			list = append(list, b)
		}
		b.targets = append(b.targets, t)
	}
	if p.dir == "" && o.recover != byEngine {
		logs := filepath.Join(p.group.LogDir, name+"-logs")
		work = append(work, logs)
		for _, b := range list {
			b.logs = logs
		}
	}
	return list, work
}

// files restores copies from a snapshot: into folders of their own first, where they are recovered while the databases still run; then they take their places.
func (x *restoring) files(ctx context.Context, p *place, w *swap) (err error) {
	list, work := p.batches(x.c.opt)
	for _, dir := range work {
		if there(dir) {
			return x.s.refuse("restore", p.item, "delete it: it holds what a restore that died did not finish, and copies from a backup only", "%s is there", dir)
		}
	}
	if err := w.begin(x.s.opt.Instance, p.item, x.s.opt.Now(), work); err != nil {
		return err
	}
	placed, dismounted := false, false
	defer func() {
		if err == nil || placed {
			return
		}
		if there(w.path) {
			err = errors.Join(err, w.forget())
		}
		if dismounted {
			err = errors.Join(err, x.remount(ctx, p))
		}
	}()
	if x.c.opt.forward {
		dismounted = true
		if err := x.dismount(ctx, p, w); err != nil {
			return err
		}
		if err := x.extend(ctx, p); err != nil {
			return err
		}
	}
	for i, b := range list {
		if err := x.fetch(ctx, p, b, i == 0 || b.logs != list[0].logs); err != nil {
			return err
		}
		if err := x.recover(ctx, p, b); err != nil {
			return err
		}
	}
	if p.dir == "" && !dismounted {
		dismounted = true
		if err := x.dismount(ctx, p, w); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := x.planMoves(p, w, list); err != nil {
		return err
	}
	if p.dir == "" && !p.elsewhere {
		if err := noteRestored(x.s.opt.StateDir, x.s.opt.Instance, p.item, x.s.opt.Now()); err != nil {
			return err
		}
	}
	if err := w.exchange(); err != nil {
		return err
	}
	placed = true
	return x.ending(ctx, p, w)
}

// planMoves lists what takes the place of what.
func (x *restoring) planMoves(p *place, w *swap, list []*recoverySet) error {
	if p.dir != "" {
		w.plan(p.dir, w.note.Work[0], false)
		return nil
	}
	for _, b := range list {
		for _, t := range b.targets {
			w.plan(t.edb, b.fresh(t.copy.edb), false)
			if t.copy.stm != nil {
				w.plan(t.stm, b.fresh(*t.copy.stm), false)
			}
		}
	}
	if !p.whole || p.elsewhere {
		return nil // its logs serve the other databases
	}
	fresh := map[string]string{}
	if x.c.opt.recover != byEngine {
		for i := range p.logs.logs {
			fresh[filepath.Join(p.group.LogDir, p.logName(i))] = filepath.Join(list[0].logs, p.logName(i))
		}
	}
	old, err := oldLogs(p.group)
	if err != nil {
		return err
	}
	if len(p.group.LogBase) != baseLength || p.group.LogDir == "" {
		x.set.Warn(fmt.Sprintf("where the logs of group %q are and what they are called is not known, so they were left there: move them and the checkpoint away before the databases are mounted, which are in clean shutdown and need none", p.group.Name))
	}
	for _, f := range old {
		w.plan(f, fresh[f], !p.stored(f))
		delete(fresh, f)
	}
	for _, to := range sortedKeys(fresh) {
		w.plan(to, fresh[to], false)
	}
	return nil
}

// ending mounts what was restored, when that was told, and removes what it replaced once it is known to be whole.
func (x *restoring) ending(ctx context.Context, p *place, w *swap) error {
	switch {
	case p.dir == "" && x.c.opt.mount:
		err := x.mount(ctx, p)
		if err == nil && x.c.opt.recover == byMount {
			err = x.newSeries(ctx, p, w)
		}
		if err != nil && there(w.path) {
			return errors.Join(fmt.Errorf("the restored files are in place; %s: %w", w.note.left(), err), w.keep())
		} else if err != nil {
			return errors.Join(err, x.remount(ctx, p))
		}
	case p.dir == "" && x.c.opt.recover == byPeople:
		x.set.Warn(fmt.Sprintf("%q was not recovered yet, so what was there before is kept: %s", p.item, w.note.left()))
		x.commands(p, filepath.Dir(p.targets[0].edb), p.group.LogDir)
		return w.keep()
	case x.c.opt.recover == byPeople:
		for _, dir := range dirsOf(p) {
			x.commands(p, dir, filepath.Join(dir, "logs"))
		}
	}
	kept, err := w.finish()
	if len(kept) > 0 {
		x.set.Warn(keptText(kept))
	}
	return err
}

// newSeries dismounts what the store has recovered, which is clean then, and sets its logs aside before it is mounted again: going on with the logs of the backup, the server would give new logs the numbers and the signature of
// others that are in backups.
func (x *restoring) newSeries(ctx context.Context, p *place, w *swap) error {
	for _, t := range p.targets {
		if err := x.s.opt.Tools.Management.Dismount(ctx, t.db); err != nil {
			return fmt.Errorf("dismount %q after its recovery: %w", t.db.Name, err)
		}
	}
	for _, t := range p.targets {
		if err := x.settled(ctx, t.edb); err != nil {
			return err
		}
	}
	logs, err := oldLogs(p.group)
	if err != nil {
		return err
	}
	for _, f := range logs {
		w.plan(f, "", false)
	}
	if err := w.exchange(); err != nil {
		return err
	}
	return x.mount(ctx, p)
}

func dirsOf(p *place) []string {
	dirs := map[string]bool{}
	for _, t := range p.targets {
		dirs[filepath.Dir(t.edb)] = true
	}
	return sortedKeys(dirs)
}

// logName is the name under which the i-th log of the plan is put. Soft recovery wants the last one under the name of the log that is being written, as it is after a crash; the streaming API wants each under its own.
func (p *place) logName(i int) string {
	name := p.logs.logs[i].name
	if i == len(p.logs.logs)-1 && p.way != WayESE {
		return p.base + filepath.Ext(name)
	}
	return name
}

// fetch brings the databases of a batch, and with withLogs the logs, to their folders, and compares what the files say of themselves.
func (x *restoring) fetch(ctx context.Context, p *place, b *recoverySet, withLogs bool) error {
	if withLogs {
		for i, l := range p.logs.logs {
			to := filepath.Join(b.logs, p.logName(i))
			if err := x.fetchLog(ctx, l, to); err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
		}
	}
	series, err := x.chain(ctx, p, b.logs)
	if err != nil {
		return err
	}
	for _, t := range b.targets {
		for _, f := range t.copy.files() {
			if err := x.create(ctx, f.step, f.entry, b.fresh(f)); err != nil {
				return fmt.Errorf("%s: %w", baseName(f.file), err)
			}
		}
		d, err := header(ctx, b.fresh(t.copy.edb))
		if err != nil {
			return fmt.Errorf("%s: %w", baseName(t.copy.edb.file), err)
		}
		if d.Clean() || p.way == WayESE { // what a copy by the streaming API needs stands in its last page, and was compared
			continue
		}
		if len(p.logs.logs) > 0 && d.LogSignature != series {
			return broken("database %q belongs to another series of logs (%s) than those of the plan (%s)", t.copy.name, d.LogSignature, series)
		}
		if err := p.logs.covers(d.RequiredFirst, max(d.RequiredLast, d.CommittedLast)); err != nil {
			return fmt.Errorf("database %q: %w", t.copy.name, err)
		}
	}
	return nil
}

// fetchLog brings a log to a file: from the backup, or from the server.
func (x *restoring) fetchLog(ctx context.Context, l logFile, to string) error {
	if l.local == "" {
		return x.create(ctx, l.step, l.entry, to)
	}
	in, err := os.Open(l.local)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, in)
	x.set.Moved()
	return errors.Join(err, f.Close())
}

// chain verifies the logs in a folder as one series, and returns its signature.
func (x *restoring) chain(ctx context.Context, p *place, dir string) (series ese.Signature, err error) {
	var logs []ese.NamedLog
	for i := range p.logs.logs {
		name := p.logName(i)
		l, err := verifyLogFile(ctx, filepath.Join(dir, name))
		if err != nil {
			return series, fmt.Errorf("%s: %w", p.logs.logs[i].name, err)
		}
		logs, series = append(logs, ese.NamedLog{Name: name, Log: l}), l.Signature
	}
	return series, ese.CheckChain(series, logs)
}

func verifyLogFile(ctx context.Context, path string) (*ese.Log, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ese.VerifyLog(ctx, f)
}

// recover brings the databases of a batch into clean shutdown.
func (x *restoring) recover(ctx context.Context, p *place, b *recoverySet) error {
	if x.c.opt.recover != byEngine || p.way == WayESE {
		return nil
	}
	dirty := false
	for _, t := range b.targets {
		d, err := header(ctx, b.fresh(t.copy.edb))
		if err != nil {
			return err
		}
		dirty = dirty || !d.Clean()
	}
	if dirty {
		err := x.moving(func() error {
			return x.s.opt.Tools.Engine.Recover(ctx, Recovery{Base: p.base, LogDir: b.logs, SystemDir: b.logs, DatabaseDir: b.work, IgnoreMissing: len(b.targets) < p.total})
		})
		if err != nil {
			return fmt.Errorf("recover with the logs of generation %s: %w", generations(p.logs.first(), p.logs.last()), err)
		}
	}
	for _, t := range b.targets {
		if err := x.settled(ctx, b.fresh(t.copy.edb)); err != nil {
			return err
		}
	}
	if p.dir != "" {
		return removeTree(b.logs) // what is clean needs none
	}
	return nil
}

// extend adds the logs that the server has and no backup does, as far as they continue those of the plan.
func (x *restoring) extend(ctx context.Context, p *place) error {
	files, err := oldLogs(p.group)
	if err != nil {
		return err
	}
	byGeneration := map[uint32]logFile{}
	for _, f := range files {
		name, ok := ese.ParseLogName(filepath.Base(f))
		if !ok {
			continue
		}
		l, err := verifyLogFile(ctx, f)
		if err != nil {
			x.set.Warn(fmt.Sprintf("%s at the server is damaged, and is not played: %v", f, err))
			continue
		}
		byGeneration[l.Generation] = logFile{name: filepath.Base(f), base: name.Base, generation: l.Generation, partial: name.Generation == 0, created: l.Created, previous: l.PreviousCreated,
			signature: p.signature(), local: f}
	}
	n := len(p.logs.logs)
	for n > 0 {
		last := p.logs.logs[len(p.logs.logs)-1]
		if same, ok := byGeneration[last.generation]; ok && last.partial && same.created == last.created {
			p.logs.logs[len(p.logs.logs)-1] = same // more of it
		}
		next, ok := byGeneration[last.generation+1]
		if !ok || next.previous != last.created {
			break
		}
		p.logs.logs, p.logs.holds = append(p.logs.logs, next), time.Time{}
	}
	if played := len(p.logs.logs) - n; played > 0 {
		x.set.Warn(fmt.Sprintf("%q: %d logs that were still at the server are played too, to the end of generation %s", p.item, played, generation(p.logs.last())))
	} else {
		x.set.Warn(fmt.Sprintf("%q: the server has no newer logs that continue those of the backups", p.item))
	}
	return nil
}

// signature is that of the logs of the plan.
func (p *place) signature() string {
	if len(p.logs.logs) == 0 {
		return ""
	}
	return p.logs.logs[0].signature
}

// movingEvery is how often a restore says that it is at work while a tool is.
const movingEvery = 10 * time.Second

// moving calls do, which moves no byte through us.
func (x *restoring) moving(do func() error) error {
	done := make(chan struct{})
	defer close(done)
	go func() {
		tick := time.NewTicker(movingEvery)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				x.set.Moved()
			}
		}
	}()
	return do()
}

// commands tells how to recover what was restored and not recovered.
func (x *restoring) commands(p *place, databases, logs string) {
	if p.way == WayESE {
		x.set.Warn(fmt.Sprintf("the databases of %q are copies by the streaming API, which only a server of their version recovers: restore there, into its place or with to=DIR", p.item))
		return
	}
	ignore := ""
	if len(p.targets) < p.total {
		ignore = " /i"
	}
	then := ""
	if p.dir == "" {
		then = fmt.Sprintf("; then move %s*.log and %s.chk out of %s before you mount it, so that a new series of logs begins", p.base, p.base, logs)
	}
	x.set.Warn(fmt.Sprintf("recover the databases of %q before they are used: %s; then each must say \"Clean Shutdown\": eseutil /mh FILE%s. %s", p.item, softRecovery(p.base, logs, databases, ignore), then, p.summary()))
}

// softRecovery is the command that recovers databases.
func softRecovery(base, logs, databases, more string) string {
	return fmt.Sprintf(`eseutil /r %s /l "%s" /s "%s" /d "%s"%s`, base, logs, logs, databases, more)
}
