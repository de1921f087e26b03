package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// repair restores tablespaces. Until all that comes from the backups is there, whole, under temporary names, nothing in the database is changed; what dies later leaves the tablespaces offline, and is taken up by the next attempt.
func (s *Source) repair(ctx context.Context, req backup.RestoreRequest, set *backup.RestoreSet, c *course) error {
	what := strings.Join(c.parts, ", ")
	r, err := s.repairOf(ctx, c, req.Overwrite)
	if err == nil {
		err = c.absolute()
	}
	if err == nil && c.opt.execute == bySQLPlus {
		err = r.reached(ctx, set)
	}
	if err != nil {
		return s.fail(ctx, "restore", what, err)
	}
	p, err := r.putting(set)
	if err != nil {
		return s.fail(ctx, "restore", what, err)
	}
	for _, look := range []func() error{func() error { return r.free(p) }, p.room} {
		if err := look(); err != nil {
			return s.fail(ctx, "restore", what, err)
		}
	}
	set.Expect(1)
	r.notes(set)
	if err := r.bring(ctx, p); err != nil {
		p.undo()
		return s.fail(ctx, "restore", what, err)
	}
	script := joinServer(r.work, repairScript)
	req.Log.Info("all files are there", "script", script)
	if c.opt.execute == byNobody {
		set.Warn(fmt.Sprintf("the files are there, under temporary names, and nothing in the database is changed: run sqlplus / as sysdba @%s while it is open", script))
		set.ItemDone()
		return nil
	}
	if err := s.hands(ctx, r, set, func(h hands) error { return r.all(ctx, p, h) }); err != nil {
		return &backup.Error{Op: "recover", App: application, Instance: s.instance, Artifact: what, Err: fmt.Errorf("it may be offline now, and all else is as it was: %w", err),
			Advice: strings.TrimPrefix(backup.Hint(err)+"; then restore it again: what is in place is kept", "; ")}
	}
	set.ItemDone()
	return nil
}

// reached refuses a sqlplus that leads to another instance than the connection.
func (r *repair) reached(ctx context.Context, set *backup.RestoreSet) error {
	in, err := r.src.look(ctx, set)
	if err != nil {
		return err
	}
	if in.dbid != r.now.DBID || !slices.ContainsFunc(in.controls, func(name string) bool { return slices.Contains(r.now.ControlFiles, name) }) {
		return r.src.refuse("set ORACLE_SID to the instance of the job's database, or restore with execute=sql", "sqlplus leads to another instance (%s, DBID %d, control files %s)",
			in.status, in.dbid, strings.Join(in.controls, ", "))
	}
	return nil
}

// putting puts the files of a repair in place.
func (r *repair) putting(set *backup.RestoreSet) (*putting, error) {
	var script strings.Builder
	if err := r.write(&script, nil, r.moves()); err != nil {
		return nil, err
	}
	p := &putting{src: r.src, set: set, course: r.course, overwrite: r.overwrite, texts: map[string]string{joinServer(r.work, repairScript): script.String()}, later: map[string]int64{}}
	for _, f := range r.files {
		if f.fate == madeFile {
			p.later[f.path] = r.size(f.DataFile)
		}
	}
	return p, nil
}

// size is that of a data file. The server tells none of one that it cannot read [REF]; the last backup may know it.
func (r *repair) size(d DataFile) int64 {
	for _, was := range r.last.inv.DataFiles {
		if d.Bytes == 0 && was.File == d.File && was.CreationSCN == d.CreationSCN {
			d = was
		}
	}
	return d.Bytes + d.Block1Offset
}

// free refuses to overwrite. What becomes of data files was decided, a script of ours may be replaced, and a log that is there under the name of one that is brought is another.
func (r *repair) free(p *putting) error {
	logs := slices.DeleteFunc(slices.Clone(r.put), func(f placing) bool { return r.isData(f.to[0]) })
	return (&putting{src: p.src, overwrite: p.overwrite, course: &course{put: logs}}).free()
}

func (r *repair) isData(path string) bool {
	return slices.ContainsFunc(r.files, func(f repaired) bool { return f.path == path })
}

// notes tells what an operator might not expect.
func (r *repair) notes(set *backup.RestoreSet) {
	for _, f := range r.files {
		switch {
		case f.fate == keptFile && !r.behind[f.File]:
			set.Warn(fmt.Sprintf("data file %d, %s, is there and is kept: to have it replaced by that of the backup, allow overwriting", f.File, f.path))
		case f.fate == madeFile:
			set.Warn(fmt.Sprintf("data file %d, %s, is in no backup: it is made anew, and redo fills it", f.File, f.path))
		case f.fate == putFile && f.UnrecoverableSCN > r.copyOf(f.DataFile).CheckpointSCN:
			set.Warn(fmt.Sprintf("data file %d, %s, has changes made without logging at SCN %d, behind the backup: their blocks will be unreadable", f.File, f.path, f.UnrecoverableSCN))
		}
	}
}

// bring fetches everything, and gives all but the data files their names.
func (r *repair) bring(ctx context.Context, p *putting) error {
	if err := p.fetchAll(ctx); err != nil {
		return err
	}
	return p.settle(slices.DeleteFunc(p.targets(), r.isData))
}

// all takes the tablespaces offline, puts their data files in place, recovers them and brings them online again.
func (r *repair) all(ctx context.Context, p *putting, h hands) error {
	if err := h.run(ctx, r.offline()...); err != nil {
		p.undo()
		return err
	}
	var data []string
	for _, f := range r.files {
		if f.fate == putFile {
			data = append(data, f.path)
		}
	}
	if err := p.settle(data); err != nil {
		return err
	}
	if err := h.run(ctx, r.placed()...); err != nil {
		return err
	}
	for {
		err := h.recover(ctx)
		if err == nil {
			break
		}
		if !errors.Is(err, backup.ErrChainBroken) {
			return err
		}
		// A log may have been archived since the server was looked at.
		if more, rerr := r.refresh(ctx); rerr != nil || !more {
			return errors.Join(err, rerr)
		}
	}
	return h.run(ctx, r.online()...)
}

// hands carry out the statements of a repair, in the container that they are about.
type hands interface {
	run(ctx context.Context, statements ...string) error
	recover(ctx context.Context) error
}

// hands are those that the option execute names.
func (s *Source) hands(ctx context.Context, r *repair, set *backup.RestoreSet, do func(h hands) error) error {
	if r.opt.execute == bySQLPlus {
		return do(sqlplusHands{s, r, set})
	}
	// One session: a recovery belongs to it, and so does the container.
	return s.with(ctx, func(conn *session) error {
		h := sqlHands{conn, r, set}
		if err := h.run(ctx, r.entering()...); err != nil {
			return err
		}
		return do(h)
	})
}

// repairError says what an operator can do about a statement that failed.
func repairError(err error) error {
	switch {
	case said(err, 1113):
		return &backup.Error{Op: "bring online", App: application, Advice: "the server wants more redo than the recovery found: look at V$RECOVER_FILE and the alert log", Err: tidy(err)}
	case said(err, 1150):
		return &backup.Error{Op: "take offline", App: application, Advice: adviceInBackup, Err: tidy(err)}
	case said(err, 1539, 1540):
		return &backup.Error{Op: "take offline", App: application, Advice: "somebody else takes the tablespace offline or brings it online at this moment: see V$DATAFILE", Err: tidy(err)}
	}
	return recoveryError(err)
}

type sqlHands struct {
	conn *session
	r    *repair
	set  *backup.RestoreSet
}

func (h sqlHands) run(ctx context.Context, statements ...string) error {
	for _, statement := range statements {
		if err := h.conn.exec(ctx, statement); err != nil {
			return repairError(err)
		}
		h.set.Moved()
	}
	return nil
}

func (h sqlHands) recover(ctx context.Context) error { return h.r.converse(ctx, h.conn, h.set, false) }

type sqlplusHands struct {
	src *Source
	r   *repair
	set *backup.RestoreSet
}

func (h sqlplusHands) before() string { return preamble + terminated(h.r.entering()...) }

func (h sqlplusHands) run(ctx context.Context, statements ...string) error {
	if len(statements) == 0 {
		return nil
	}
	_, err := h.src.sqlplus(ctx, h.set, h.before()+terminated(statements...))
	return repairError(err)
}

func (h sqlplusHands) recover(ctx context.Context) error {
	return h.src.recoverBySQLPlus(ctx, h.r.course, h.set, h.before(), false)
}
