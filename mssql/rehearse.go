package mssql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// rehearsalPrefix begins the names of the databases of rehearsals: prefix, job, run, number, with a sign between that no job's name holds.
const (
	rehearsalPrefix = "quiesce_rehearsal"
	rehearsalSign   = "~"
)

// Rehearse implements backup.Rehearser: it restores the databases one by one on the server that scratch names, a DSN as for New, under names that no
// database has, runs DBCC CHECKDB on each and drops it, whatever happened. What CHECKDB finds is an error that wraps backup.ErrCorrupt. The proof tells, per database, how
// long the restore and the check took by the server's clock.
//
// The scratch server must be able to read the job's stage under the same name as the server of s, and have the certificates the backups need. It may be the server
// of s itself when the option same_instance is "true". The other options are those of Restore, as far as they leave a database online.
//
// Databases that a dead rehearsal of the same job left there are dropped first: those of its names whose lock nobody holds.
func (s *Source) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) (err error) {
	o, err := parseRestoreOptions(r.Options)
	if err == nil && o.state != recovered {
		err = fmt.Errorf("%w: restore option recovery=%s: a rehearsal needs the database online", backup.ErrRefused, o.state)
	}
	if err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	opt := s.opt
	opt.Instance = ""
	other, err := New(scratch, &opt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, other.Close()) }()
	courses, err := other.coursesOf(r, set, o)
	if err != nil {
		return err
	}
	reh := &rehearsal{source: s, scratch: other, request: r, set: set, options: o, job: courses[0].links[0].step.Manifest.Job, run: strings.ToLower(rand.Text()[:12]),
		from: newOrigin(other, set, r.Log)}
	defer reh.from.close(ctx)
	return reh.all(ctx, courses)
}

// rehearsal is one rehearsal in progress.
type rehearsal struct {
	source, scratch *Source
	request         backup.RestoreRequest
	set             *backup.RestoreSet
	options         restoreOptions
	job, run        string
	from            *origin
}

func (r *rehearsal) all(ctx context.Context, courses []*course) error {
	lock, err := r.scratch.open(ctx)
	if err != nil {
		return err
	}
	defer lock.close() // and with it the lock
	if err := r.otherInstance(ctx, lock); err != nil {
		return err
	}
	if ok, err := lock.appLock(ctx, r.name()); err != nil || !ok {
		return r.scratch.fail(ctx, "rehearse on", "", errors.Join(err, backup.ErrBusy))
	}
	if err := r.sweep(ctx, lock); err != nil {
		return err
	}
	h, err := lock.host(ctx)
	if err != nil {
		return r.scratch.fail(ctx, "rehearse on", "", err)
	}
	for i, t := range courses {
		t.name = fmt.Sprintf("%s%s%d", r.name(), rehearsalSign, i+1)
	}
	if err := (&preflight{src: r.scratch, host: h, log: r.request.Log, courses: courses}).run(); err != nil {
		return err
	}
	r.set.Note("server", fmt.Sprintf("%s, version %s", h.server, dotted(h.version)))
	r.set.Expect(len(courses))
	for _, t := range courses {
		if err := r.database(ctx, t); err != nil {
			return err
		}
		r.set.ItemDone()
	}
	return nil
}

// name is common to all databases of the rehearsal; its lock tells that it lives.
func (r *rehearsal) name() string {
	return strings.Join([]string{rehearsalPrefix, r.job, r.run}, rehearsalSign)
}

// otherInstance sees that the scratch server is not the one the backups are of, unless that was said to be right. One that cannot be asked is another one.
func (r *rehearsal) otherInstance(ctx context.Context, c *session) error {
	if r.options.sameInstance {
		return nil
	}
	there, err := c.probe(ctx)
	if err != nil {
		return r.scratch.fail(ctx, "rehearse on", "", err)
	}
	own, err := r.source.open(ctx)
	if err != nil {
		return ctx.Err()
	}
	defer own.close()
	here, err := own.probe(ctx)
	if err == nil && strings.EqualFold(here.name, there.name) {
		return &backup.Error{Op: "rehearse on", App: application, Instance: r.scratch.instance, Err: fmt.Errorf("%w: it is the server %s itself", backup.ErrRefused, here.name),
			Advice: "name another server, or allow this one by the option same_instance=true"}
	}
	return ctx.Err()
}

// appLock takes a lock of the server's that lives as long as the session. It is not taken when another session has it.
func (c *session) appLock(ctx context.Context, resource string) (bool, error) {
	row, ok, err := c.one(ctx, "DECLARE @r int; EXEC @r = sp_getapplock @Resource = "+quoteText(resource)+
		", @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 0; SELECT @r AS result")
	if err != nil {
		return false, fmt.Errorf("take the lock %s: %w", resource, err)
	}
	return ok && row.has("result") && row.int("result") >= 0, nil
}

// sweep drops what dead rehearsals of the job left.
func (r *rehearsal) sweep(ctx context.Context, c *session) error {
	h := &host{}
	if err := c.hostOfDatabases(ctx, h); err != nil {
		return r.scratch.fail(ctx, "rehearse on", "", err)
	}
	for _, d := range h.databases {
		rest, ours := strings.CutPrefix(d.name, rehearsalPrefix+rehearsalSign+r.job+rehearsalSign)
		run, _, numbered := strings.Cut(rest, rehearsalSign)
		if !ours || !numbered || run == r.run {
			continue
		}
		// The lock is kept until the session ends, so that nobody else takes the same name for a while.
		dead, err := c.appLock(ctx, strings.Join([]string{rehearsalPrefix, r.job, run}, rehearsalSign))
		if err != nil {
			return r.scratch.fail(ctx, "rehearse on", "", err)
		}
		if !dead {
			continue
		}
		r.set.Warn(fmt.Sprintf("the database %q of a rehearsal that died is dropped on %s", d.name, r.scratch.instance))
		if err := c.run(ctx, dropStatement(d.name), nil); err != nil {
			return r.scratch.fail(ctx, "drop", d.name, err)
		}
	}
	return nil
}

func dropStatement(name string) statement {
	return statement{SQL: "DROP DATABASE " + quoteName(name), What: fmt.Sprintf("drop %q", name)}
}

// database restores, checks and drops one.
func (r *rehearsal) database(ctx context.Context, t *course) (err error) {
	c, err := r.scratch.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	defer func() { err = errors.Join(err, r.remove(ctx, c, t)) }()
	began, err := c.now(ctx)
	if err != nil {
		return r.scratch.fail(ctx, "rehearse", t.item, err)
	}
	applied := 0
	if _, err := (&restoring{src: r.scratch, set: r.set, log: r.request.Log, from: r.from}).steps(ctx, c, t, &applied); err != nil {
		return r.scratch.fail(ctx, "rehearse", t.item, err)
	}
	restored, err := c.now(ctx)
	if err != nil {
		return r.scratch.fail(ctx, "rehearse", t.item, err)
	}
	if err := r.check(ctx, c, t); err != nil {
		return err
	}
	checked, err := c.now(ctx)
	if err != nil {
		return r.scratch.fail(ctx, "rehearse", t.item, err)
	}
	r.set.Note("database "+t.item, fmt.Sprintf("restored from %d backups in %s, DBCC CHECKDB found no errors in %s", len(t.links),
		restored.Sub(began).Round(time.Millisecond), checked.Sub(restored).Round(time.Millisecond)))
	return nil
}

// check runs DBCC CHECKDB and tells all it finds.
func (r *rehearsal) check(ctx context.Context, c *session, t *course) error {
	st := statement{SQL: "DBCC CHECKDB (" + quoteText(t.name) + ") WITH NO_INFOMSGS, ALL_ERRORMSGS", What: "check"}
	err := c.run(ctx, st, func(int) { r.set.Moved() })
	var found *refusal
	if errors.As(err, &found) && !unsupported(err) {
		err = &backup.Error{Op: "check", App: application, Instance: r.scratch.instance, Artifact: t.item, Err: fmt.Errorf("%w: DBCC CHECKDB: %w", backup.ErrCorrupt, found),
			Advice: "run DBCC CHECKDB on the database itself: if it is whole there, restore older backups to find when the damage came"}
	}
	return r.scratch.fail(ctx, "check", t.item, err)
}

// remove drops the database on a context of its own, in another session when this one is gone.
func (r *rehearsal) remove(ctx context.Context, c *session, t *course) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	d, err := c.state(clean, t.name)
	if err == nil && d == nil {
		return nil
	}
	if err == nil {
		err = c.run(clean, dropStatement(t.name), nil)
	}
	if err == nil {
		return nil
	}
	fresh, oerr := r.scratch.open(clean)
	if oerr != nil {
		return r.scratch.fail(clean, "drop", t.name, errors.Join(err, oerr))
	}
	defer fresh.close()
	if d, err := fresh.state(clean, t.name); err == nil && d == nil {
		return nil
	}
	return r.scratch.fail(clean, "drop", t.name, fresh.run(clean, dropStatement(t.name), nil))
}

var _ backup.Rehearser = (*Source)(nil)
