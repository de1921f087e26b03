package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	scriptName = "restore.sql"
	// unplaced ends the names of files until all of them are there.
	unplaced = ".quiesce-new"
)

// Restore implements backup.Restorer, on the machine of the database. It puts all files in place and leaves restore.sql beside them, the script that brings them to the target; the option execute has it carried out.
// See the package's documentation for the options. Tablespaces that are selected by name are restored alone, in the database that is open.
//
// Files stay under temporary names until each is there and is what it was when it was taken; nothing is replaced before.
func (s *Source) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	c, err := s.plan(ctx, r, set)
	if err != nil {
		return err
	}
	if err := c.absolute(); err != nil {
		return err
	}
	if len(c.parts) > 0 {
		return s.repair(ctx, r, set, c)
	}
	p, err := s.putting(c, set, r.Overwrite)
	if err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	in, err := s.meet(ctx, p)
	if err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	for _, look := range []func() error{p.free, p.room} {
		if err := look(); err != nil {
			return s.fail(ctx, "restore", "", err)
		}
	}
	set.Expect(1)
	if err := p.all(ctx, in); err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	script := joinServer(c.work, c.scriptName())
	r.Log.Info("all files are in place", "script", script, "parameters", c.parameters)
	c.warnOfOnlineLogs(set)
	switch c.opt.execute {
	case bySQLPlus:
		err = s.bySQLPlus(ctx, c, set, r.Overwrite)
	case byRMAN:
		err = s.byRMAN(ctx, c, set)
	case bySQL:
		err = s.bySQL(ctx, c, set, r.Overwrite)
	default:
		set.Warn(fmt.Sprintf("the files are in place, and the database is not recovered: with the instance down, run %s%s", c.runner(), script))
	}
	if err != nil {
		return &backup.Error{Op: "recover", App: application, Instance: s.instance, Artifact: script, Advice: backup.Hint(err), Err: fmt.Errorf("the files are in place, with this script: %w", err)}
	}
	switch {
	case c.opt.execute == byNobody:
	case !c.opt.open:
		set.Warn("the database is recovered and mounted, not open: ALTER DATABASE OPEN RESETLOGS, and take a full backup at once")
	default:
		set.Warn("a new incarnation has begun: take a full backup at once")
	}
	set.ItemDone()
	return nil
}

// scriptName and runner are the script of a restore, and what runs it.
func (c *course) scriptName() string {
	if c.rman != nil {
		return rmanScriptName
	}
	return scriptName
}

func (c *course) runner() string {
	if c.rman != nil {
		return "rman target / nocatalog @"
	}
	return "sqlplus / as sysdba @"
}

// warnOfOnlineLogs tells of logs that OPEN RESETLOGS writes anew.
func (c *course) warnOfOnlineLogs(set *backup.RestoreSet) {
	var there []string
	for _, path := range c.online {
		if _, err := os.Stat(path); err == nil {
			there = append(there, path)
		}
	}
	if len(there) > 0 {
		set.Warn(fmt.Sprintf("online logs are there, and may hold redo that no backup has; OPEN RESETLOGS gives it up: %s", strings.Join(there, ", ")))
	}
}

// putting puts the files of a course in place.
type putting struct {
	src       *Source
	set       *backup.RestoreSet
	course    *course
	overwrite bool
	// texts are the files that are written here, by name.
	texts map[string]string
	// later is what the server itself will write, in bytes by name.
	later map[string]int64

	mu   sync.Mutex
	made []string // files and folders, to be removed when it fails
}

// putting is that of a whole database.
func (s *Source) putting(c *course, set *backup.RestoreSet, overwrite bool) (*putting, error) {
	var script strings.Builder
	if err := c.write(&script, nil); err != nil {
		return nil, err
	}
	return &putting{src: s, set: set, course: c, overwrite: overwrite, later: c.later(),
		texts: map[string]string{c.parameters: c.pfile, joinServer(c.work, c.scriptName()): script.String()}}, nil
}

// targets are the files that come to be.
func (p *putting) targets() []string {
	out := sortedKeys(p.texts)
	for _, f := range p.course.put {
		out = append(out, f.to...)
	}
	for _, m := range p.course.made {
		out = append(out, m.to)
	}
	return out
}

// free refuses to overwrite, before anything is changed.
func (p *putting) free() error {
	var there []string
	for _, path := range append(p.targets(), p.course.written()...) {
		_, err := os.Lstat(path)
		switch {
		case err == nil:
			there = append(there, path)
		case !missing(err):
			return err
		}
	}
	if len(there) == 0 || p.overwrite {
		return nil
	}
	slices.Sort(there)
	return &backup.Error{Op: "restore", App: application, Instance: p.src.instance, Artifact: there[0], Err: fmt.Errorf("%d of the files are there: %w", len(there), backup.ErrExists),
		Advice: "restore to another place (option to), or allow overwriting; if the current control file and online logs are undamaged, put back only what is lost, by hand, and no commit is lost"}
}

// meet looks at the instance that the restore has to do with, and refuses one that is in its way.
func (s *Source) meet(ctx context.Context, p *putting) (in instance, err error) {
	c := p.course
	switch c.opt.execute {
	case bySQLPlus, byRMAN:
		if in, err = s.look(ctx, p.set); err != nil || in.status == "" {
			return in, err
		}
		if !p.overwrite {
			return in, &backup.Error{Op: "restore", App: application, Instance: s.instance, Err: fmt.Errorf("its instance is %s: %w", in.status, backup.ErrExists),
				Advice: "SHUTDOWN it, set ORACLE_SID to another name, or allow overwriting, which ends it with SHUTDOWN ABORT"}
		}
	case bySQL:
		if in, err = s.ask(ctx); err != nil {
			return in, err
		}
		if in.status != "STARTED" {
			return in, s.refuse("SHUTDOWN it and STARTUP NOMOUNT, with CONTROL_FILES naming where the control files go, then restore again",
				"execute=sql needs an instance in NOMOUNT, since it puts the control files in place; this one is %s", in.status)
		}
	default:
		return instance{}, s.down(ctx, p)
	}
	return in, s.ours(in, c)
}

// ours refuses an instance that has another database, or this one in another place.
func (s *Source) ours(in instance, c *course) error {
	switch {
	case in.dbid == 0:
	case in.dbid != c.full.inv.DBID:
		return s.refuse("set ORACLE_SID to the instance that is to be restored", "the instance has the database with DBID %d, and the backup is of %d", in.dbid, c.full.inv.DBID)
	case !slices.ContainsFunc(in.controls, func(name string) bool { return slices.Contains(c.controls, name) }):
		return s.refuse("set ORACLE_SID to another name for the restored database", "the instance that runs has its control files elsewhere (%s), and would be ended", strings.Join(in.controls, ", "))
	}
	return nil
}

// down refuses to replace files under an instance that runs, or of which nobody knows.
func (s *Source) down(ctx context.Context, p *putting) error {
	if !p.overwrite || p.course.opt.to != "" {
		return nil
	}
	const hint = "SHUTDOWN it first, or restore to another place (option to)"
	in, err := s.ask(ctx)
	switch {
	case err == nil && in.dbid == p.course.full.inv.DBID:
		return s.refuse(hint, "the database is %s, and its files would be replaced under it", in.status)
	case err == nil || ctx.Err() == nil && (said(err, 1034, 12505, 12514, 12541) || lost(err)):
		return nil
	}
	return &backup.Error{Op: "look whether the instance is down", App: application, Instance: s.instance, Advice: hint, Err: err}
}

// ask is the state of the instance that the connection leads to.
func (s *Source) ask(ctx context.Context) (in instance, err error) {
	err = s.with(ctx, func(c *session) error {
		if err := c.one(ctx, "SELECT STATUS FROM V$INSTANCE", func(r row) { in.status = r.text("STATUS") }); err != nil || in.status == "STARTED" {
			return err
		}
		return c.one(ctx, "SELECT DBID FROM V$DATABASE", func(r row) { in.dbid = r.uint("DBID") })
	})
	return in, err
}

// all fetches and checks every file under a temporary name, and then gives them their own.
func (p *putting) all(ctx context.Context, in instance) (err error) {
	defer func() {
		if err != nil {
			p.undo()
		}
	}()
	if err := p.fetchAll(ctx); err != nil {
		return err
	}
	if in.status != "" && (p.course.opt.execute == bySQLPlus || p.course.opt.execute == byRMAN) {
		if _, err := p.src.sqlplus(ctx, p.set, preamble+"SHUTDOWN ABORT\n"); err != nil {
			return err
		}
	}
	for _, m := range p.course.made {
		if err := os.Remove(m.to); err != nil && !missing(err) {
			return err
		}
	}
	return p.settle(p.targets())
}

// fetchAll brings every file to its place, under a temporary name.
func (p *putting) fetchAll(ctx context.Context) error {
	for _, dir := range append(p.course.folders(), p.course.work) {
		if err := p.folder(dir); err != nil {
			return err
		}
	}
	for _, path := range append(p.targets(), p.course.written()...) {
		if err := p.folder(filepath.Dir(path)); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.src.opt.Files)
	for _, f := range p.course.put {
		g.Go(func() error { return p.fetch(gctx, f) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for path, text := range p.texts {
		if err := p.create(path, func(w io.Writer) error { _, err := io.WriteString(w, text); return err }); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// folder makes a folder with its parents.
func (p *putting) folder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := p.folder(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o750); err != nil {
		return err
	}
	p.made = append(p.made, dir)
	return nil
}

// fetch brings one artifact to all its places, and checks it as Verify does on its way.
func (p *putting) fetch(ctx context.Context, f placing) error {
	v := &verifying{src: p.src, set: p.set}
	write := func(w io.Writer) error { return v.copy(ctx, f.from.step, f.from.inv, f.entry, w) }
	for _, path := range f.to[1:] {
		inner := write
		write = func(w io.Writer) error {
			return p.create(path, func(other io.Writer) error { return inner(io.MultiWriter(w, other)) })
		}
	}
	err := p.create(f.to[0], write)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return &backup.Error{Op: "put in place", App: application, Instance: p.src.instance, ID: f.from.step.ID, Artifact: f.to[0], Err: err,
			Advice: "the process must be able to write there, best as the owner of the server, and there must be room"}
	}
	return err
}

// create writes a file under its temporary name, durably.
func (p *putting) create(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path+unplaced, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.made = append(p.made, path+unplaced)
	p.mu.Unlock()
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// settle gives files their names. Until here nothing that was there is changed.
func (p *putting) settle(paths []string) error {
	var dirs []string
	for _, path := range paths {
		if slices.ContainsFunc(p.course.made, func(m renaming) bool { return m.to == path }) {
			continue
		}
		_, err := os.Lstat(path)
		fresh := missing(err)
		if err := os.Rename(path+unplaced, path); err != nil {
			return err
		}
		if fresh {
			p.made = append(p.made, path)
		}
		if dir := filepath.Dir(path); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// undo removes what was made. A folder that holds anything else stays.
func (p *putting) undo() {
	for _, path := range slices.Backward(p.made) {
		_ = os.Remove(path)
	}
}

// bySQL mounts, recovers and opens over the connection, on one session: a recovery belongs to it.
func (s *Source) bySQL(ctx context.Context, c *course, set *backup.RestoreSet, overwrite bool) error {
	return s.with(ctx, func(conn *session) error {
		for _, statement := range c.mounted() {
			if err := conn.exec(ctx, statement); err != nil {
				return recoveryError(err)
			}
			set.Moved()
		}
		if err := c.converse(ctx, conn, set, overwrite); err != nil || !c.opt.open {
			return err
		}
		for _, statement := range c.opened() {
			if err := conn.exec(ctx, statement); err != nil {
				return recoveryError(err)
			}
			set.Moved()
		}
		return nil
	})
}

var _ backup.Restorer = (*Source)(nil)
