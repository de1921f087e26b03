package mssql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// undoPause is between two tries to let users in again: the server may not have noticed yet that the session that kept them out is gone.
const undoPause = 500 * time.Millisecond

// Messages that say of a log that the point to stop at lies behind it.
const (
	infoStopBehind  = 4329
	infoStopBehind2 = 4339
)

// Restore implements backup.Restorer: it restores the selected databases on the server of s, some at a time, each by the full, the differential and the logs of the
// plan WITH NORECOVERY and one recovery at the end.
//
// Everything that can be known beforehand is looked at for all databases before the first is touched: names that are taken, versions, certificates, files that would
// meet others, free space, chains. A database that exists is an error that wraps backup.ErrExists, unless Overwrite is set: then its sessions are
// thrown out and it is replaced. A database left restoring by an earlier try with the same full is continued without Overwrite, and begun anew with it.
//
// A plan of everything leaves master, model and msdb out, since every server has its own; by name they are restored under the rules of doc.go.
// When some databases fail, the others are still restored and the error wraps backup.ErrPartial. What failed is left as its error says.
func (s *Source) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	o, err := parseRestoreOptions(r.Options)
	if err != nil {
		return s.fail(ctx, "restore", "", err)
	}
	courses, err := s.coursesOf(r, set, o)
	if err != nil {
		return err
	}
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	h, err := c.host(ctx)
	if err != nil {
		return s.fail(ctx, "restore into", "", err)
	}
	if err := (&preflight{src: s, host: h, overwrite: r.Overwrite, log: r.Log, courses: courses}).run(); err != nil {
		return err
	}
	// From here on the server is changed.
	set.Expect(len(courses))
	run := &restoring{src: s, set: set, log: r.Log, from: newOrigin(s, set, r.Log)}
	run.from.filesOnly = h.singleUser
	defer run.from.close(ctx)
	if h.singleUser {
		return run.one(ctx, c, courses[0]) // this session is the only one there can be
	}
	c.close()
	return run.all(ctx, courses, s.opt.Databases)
}

// restoring is one restore in progress.
type restoring struct {
	src  *Source
	set  *backup.RestoreSet
	log  *slog.Logger
	from *origin
}

// all restores some databases at a time. One that fails does not stop the others.
func (r *restoring) all(ctx context.Context, courses []*course, parallel int) error {
	errs := make([]error, len(courses))
	var g errgroup.Group
	g.SetLimit(max(1, parallel))
	for i, t := range courses {
		g.Go(func() error {
			if errs[i] = context.Cause(ctx); errs[i] == nil {
				errs[i] = r.database(ctx, t)
			}
			return nil
		})
	}
	_ = g.Wait() // the errors are in errs
	var failed []backup.ItemError
	for i, err := range errs {
		if err != nil {
			failed = append(failed, backup.ItemError{Item: courses[i].name, Err: err})
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(failed) == len(courses):
		return errors.Join(errs...)
	}
	return &backup.ItemErrors{Total: len(courses), Failed: failed}
}

// database restores one database in a session of its own.
func (r *restoring) database(ctx context.Context, t *course) error {
	c, err := r.src.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return r.one(ctx, c, t)
}

// one restores a database. The session is the one that shuts the others out.
func (r *restoring) one(ctx context.Context, c *session, t *course) error {
	begun := 0 // the steps applied, for the account of a failure
	touched, err := r.steps(ctx, c, t, &begun)
	if err != nil {
		return r.left(ctx, c, t, touched, begun, err)
	}
	r.set.ItemDone()
	r.log.Info("restored", "database", t.name, "item", t.item, "steps", len(t.links), "state", string(t.options.state))
	return nil
}

// steps does the work and reports whether the database was touched.
func (r *restoring) steps(ctx context.Context, c *session, t *course, begun *int) (touched bool, err error) {
	*begun = t.done
	files := newSupply(ctx, r.from, t.links[t.done:])
	defer files.close()
	for i := t.done; i < len(t.links); i++ {
		devices, err := files.next()
		if err != nil {
			return touched, err
		}
		if i == 0 {
			// Only now: what can be missing is there, and users are kept out no longer than needed.
			for _, st := range t.before() {
				touched = true
				if err := c.run(ctx, st, nil); err != nil {
					return touched, err
				}
			}
		}
		touched = true
		st := t.apply(i, devices)
		r.log.Info("restoring", "database", t.name, "step", i+1, "of", len(t.links), "kind", t.links[i].set.Type.Kind(), "id", t.links[i].step.ID)
		if err := c.run(ctx, st, func(int) { r.set.Moved() }); err != nil {
			return touched, errors.Join(files.failure(), err)
		}
		*begun = i + 1
		if err := files.used(); err != nil {
			return touched, err
		}
		if reached, err := r.reached(ctx, c, t, i); reached || err != nil {
			if err != nil {
				return touched, err
			}
			break
		}
	}
	return true, r.finish(ctx, c, t)
}

// reached reports whether the point to stop at lay in log i, so that what follows is left out. Where a mark is only the server knows; and the windows of logs, which are
// of the clock, may end a moment before the logs do. A server that stopped inside a log goes on before its end.
func (r *restoring) reached(ctx context.Context, c *session, t *course, i int) (bool, error) {
	set := t.links[i].set
	if !t.stops() || set.Type != mtf.Log {
		return false, nil
	}
	behind := slices.ContainsFunc(c.notices, func(n int32) bool { return n == infoStopBehind || n == infoStopBehind2 })
	if last := i == len(t.links)-1; last || behind {
		if last && behind && t.until.IsZero() {
			return false, &backup.Error{Op: "restore", App: application, Instance: r.src.instance, Artifact: t.name, Advice: "look at the name of the mark, or at msdb.dbo.logmarkhistory of the source",
				Err: fmt.Errorf("%w: the point to stop at (%s) is in none of the logs", backup.ErrNoBackup, t.stop(t.links[i]))}
		}
		return false, nil
	}
	if !t.until.IsZero() && set.Finished.Add(time.Second).Before(t.until) {
		return false, nil // a header's time is cut to the second
	}
	d, err := c.state(ctx, t.name)
	if err != nil || d == nil || d.redo.IsZero() || d.redo.Compare(set.LastLSN) >= 0 {
		return false, err
	}
	r.log.Info("the point to stop at lies in this log", "database", t.name, "id", t.links[i].step.ID, "redo_lsn", d.redo)
	return true, nil
}

// finish recovers the database, lets users in, and looks at what came out.
func (r *restoring) finish(ctx context.Context, c *session, t *course) error {
	if isMaster(t.name) {
		return nil // the server ends itself
	}
	if err := r.reachedEnd(ctx, c, t); err != nil {
		return err
	}
	if st, ok := t.finish(); ok {
		if err := c.run(ctx, st, func(int) { r.set.Moved() }); err != nil {
			return err
		}
	}
	for _, st := range t.after() {
		if err := c.run(ctx, st, nil); err != nil {
			return err
		}
	}
	d, err := c.state(ctx, t.name)
	if err != nil {
		return err
	}
	want := "ONLINE"
	if t.options.state == unfinished {
		want = "RESTORING"
	}
	if d == nil || d.state != want || d.standby != (t.options.state == standby) {
		return fmt.Errorf("the server took all steps, but the database is %s, not %s", d.describe(), want)
	}
	return nil
}

// reachedEnd warns when the server stands elsewhere than the last log ends.
func (r *restoring) reachedEnd(ctx context.Context, c *session, t *course) error {
	last := t.links[len(t.links)-1].set
	if last.Type != mtf.Log || t.stops() {
		return nil
	}
	d, err := c.state(ctx, t.name)
	if err != nil {
		return err
	}
	if d != nil && !d.redo.IsZero() && d.redo.Compare(last.LastLSN) < 0 {
		r.set.Warn(fmt.Sprintf("%q was restored up to LSN %s, its last log ends at %s", t.name, d.redo, last.LastLSN))
	}
	return nil
}

// describe is the state for people.
func (d *hostDatabase) describe() string {
	switch {
	case d == nil:
		return "absent"
	case d.standby:
		return "STANDBY"
	}
	return d.state
}

// state looks at one database; nil when there is none of that name.
func (c *session) state(ctx context.Context, name string) (*hostDatabase, error) {
	h := &host{}
	if err := errors.Join(c.hostOfDatabases(ctx, h), c.hostOfFiles(ctx, h)); err != nil {
		return nil, err
	}
	return h.find(name), nil
}

// left ends a restore that failed: it lets users in again where that is possible and says what is there now and how to go on. It works on a
// context of its own, since that of the restore may have ended.
func (r *restoring) left(ctx context.Context, c *session, t *course, touched bool, begun int, cause error) error {
	out := &backup.Error{Op: "restore", App: application, Instance: r.src.instance, Artifact: t.name, Advice: backup.Hint(cause), Err: told(cause)}
	if out.Advice == "" {
		out.Advice = advice(cause)
	}
	if !touched {
		return out
	}
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	d, err := r.settle(clean, c, t)
	if err != nil {
		out.Err = fmt.Errorf("%w; and its state is not known: %w", out.Err, err)
		return out
	}
	out.Err = fmt.Errorf("%w (the database is %s now; %d of %d steps were applied)", out.Err, d.describe(), begun, len(t.links))
	if next := goOnAdvice(t, d, begun); next != "" {
		out.Advice = strings.TrimPrefix(out.Advice+"; "+next, "; ")
	}
	return out
}

func goOnAdvice(t *course, d *hostDatabase, begun int) string {
	switch {
	case d == nil, !d.waiting():
		return "run the restore again"
	case begun == 0:
		return "run the restore again with overwrite, or DROP DATABASE " + quoteName(t.name)
	}
	return "run the restore again without overwrite to go on from there, or with overwrite to begin anew; RESTORE DATABASE " + quoteName(t.name) +
		" WITH RECOVERY brings it up as it is"
}

// settle finds out what became of the database. If it is online and shut to others by us, it is opened again: in the same session if that lives, else in a new one.
func (r *restoring) settle(ctx context.Context, c *session, t *course) (*hostDatabase, error) {
	for {
		d, err := r.reopen(ctx, c, t)
		if err == nil {
			return d, nil
		}
		if c.close(); ctx.Err() != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(undoPause):
		}
		fresh, oerr := r.src.open(ctx)
		if oerr != nil {
			if ctx.Err() != nil || lost(oerr) {
				return nil, errors.Join(err, oerr)
			}
			continue
		}
		defer fresh.close()
		fresh.outlive(ctx, c.spid)
		c = fresh
	}
}

// outlive waits until a session whose connection broke has ended on the server, which may not have noticed yet and still be at work. Who may not
// see the sessions of others does not wait.
func (c *session) outlive(ctx context.Context, spid int) {
	ctx, cancel := context.WithTimeout(ctx, undoTime/2)
	defer cancel()
	for spid != c.spid {
		rows, err := c.query(ctx, fmt.Sprintf("SELECT session_id FROM sys.dm_exec_sessions WHERE session_id = %d", spid))
		if err != nil || len(rows) == 0 || pause(ctx, undoPause) != nil {
			return
		}
	}
}

// reopen gives a database that is online its access of before.
func (r *restoring) reopen(ctx context.Context, c *session, t *course) (*hostDatabase, error) {
	if c.conn == nil {
		return nil, errBadConn
	}
	d, err := c.state(ctx, t.name)
	if err != nil || d == nil || len(t.before()) == 0 || d.state != "ONLINE" || d.access != singleUser || t.found.access == singleUser {
		return d, err
	}
	access := multiUser
	if t.found.access == restrictedUser {
		access = restrictedUser
	}
	return d, c.run(ctx, statement{SQL: "ALTER DATABASE " + quoteName(t.name) + " SET " + access, What: fmt.Sprintf("let sessions into %q again", t.name)}, nil)
}

// User access of a database, as sys.databases and ALTER DATABASE spell it.
const (
	multiUser      = "MULTI_USER"
	singleUser     = "SINGLE_USER"
	restrictedUser = "RESTRICTED_USER"
)

var _ backup.Restorer = (*Source)(nil)
