package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// piece is an artifact of binary log.
type piece struct {
	entry backup.Entry
	at    place // where it begins
	to    uint64
}

// pieces are the logs of a step in their order, each where the one before it ended.
func pieces(step *backup.RestoreStep) ([]piece, error) {
	var all []piece
	for _, e := range step.Entries {
		if !isLog(e.Name) {
			return nil, fmt.Errorf("artifact %s in a backup of binary log: %w", e.Name, backup.ErrCorrupt)
		}
		from, err1 := strconv.ParseUint(e.Meta[metaFrom], 10, 64)
		to, err2 := strconv.ParseUint(e.Meta[metaTo], 10, 64)
		if err1 != nil || err2 != nil || e.Meta[metaFile] == "" || to <= from {
			return nil, fmt.Errorf("artifact %s does not say which part of which file it is (%q, from %q to %q): %w", e.Name, e.Meta[metaFile], e.Meta[metaFrom], e.Meta[metaTo], backup.ErrCorrupt)
		}
		all = append(all, piece{entry: e, at: place{file: e.Meta[metaFile], pos: from}, to: to})
	}
	slices.SortFunc(all, func(a, b piece) int { return cmp.Compare(a.at.position(), b.at.position()) })
	want := step.Item.Begin
	for i, p := range all {
		begins := p.at.position()
		if i > 0 && p.at.file != all[i-1].at.file {
			want = begins // a file begins where it begins; that none is between them is known from their own last events
			if p.at.pos != uint64(len(binlog.Magic)) {
				return nil, fmt.Errorf("artifact %s begins in the middle of its file: %w", p.entry.Name, backup.ErrCorrupt)
			}
		}
		if i == 0 && p.at.pos == uint64(len(binlog.Magic)) && begins > want {
			want = begins // the last link ended with the file before
		}
		if begins != want {
			return nil, fmt.Errorf("artifact %s begins at %s, where %s comes next: %w", p.entry.Name, begins, want, backup.ErrChainBroken)
		}
		want = place{file: p.at.file, pos: p.to}.position()
	}
	if want != step.Item.End {
		return nil, fmt.Errorf("the binary log of backup %s ends at %s, not at %s: %w", step.ID, want, step.Item.End, backup.ErrChainBroken)
	}
	return all, nil
}

// walkLog calls do for every event of a step's log. Artifacts and events are checked as they are read.
func walkLog(ctx context.Context, m material, step *backup.RestoreStep, do func(piece, binlog.Step) error) error {
	all, err := pieces(step)
	if err != nil {
		return err
	}
	for _, p := range all {
		if err := walkPiece(ctx, m, p, do); err != nil {
			return fmt.Errorf("%s: %w", p.entry.Name, err)
		}
	}
	return nil
}

func walkPiece(ctx context.Context, m material, p piece, do func(piece, binlog.Step) error) error {
	r, err := m.open(ctx, p.entry.Name)
	if err != nil {
		return err
	}
	defer r.Close()
	w := binlog.NewWalker(r)
	first := true
	for n := 0; ; n++ {
		st, err := w.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if n%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// Behind the format, which may be made up for the piece, the place of the first event is known.
		if first && w.Format() != nil && st.Next != 0 && n > 0 {
			if at := st.Next - uint32(len(st.Raw)); p.at.pos > uint64(len(binlog.Magic)) && at != uint32(p.at.pos) {
				return fmt.Errorf("its first event stood at %d, not at %d: %w", at, p.at.pos, backup.ErrCorrupt)
			}
			first = false
		}
		if err := do(p, st); err != nil {
			return err
		}
	}
	if w.Inside() {
		return fmt.Errorf("it ends inside a transaction: %w", backup.ErrCorrupt)
	}
	return nil
}

// verifyLog checks the binary log of a step without a server.
func verifyLog(ctx context.Context, m material, step *backup.RestoreStep) error {
	return walkLog(ctx, m, step, func(piece, binlog.Step) error { return nil })
}

// replaying is the part of a restore that follows the full.
type replaying struct {
	*restoring
	conn *session
	rep  *binlog.Replayer
	all  bool            // every schema is restored
	sel  filter          // what was backed up of them
	want map[string]bool // those that are, unless all
	stop stop            // where it ends
	done bool            // that has been reached
	last *binlog.Transaction
	n    int64
}

// replay opens the one connection over which all log goes.
func (r *restoring) replay(ctx context.Context) (*replaying, error) {
	p := &replaying{restoring: r, want: map[string]bool{}, all: r.everything, stop: r.stop}
	p.stop.after = r.req.Target.After
	for _, t := range r.targets {
		if t.as != t.entry.Name {
			return nil, fmt.Errorf("restore %q as %q: binary log names schemas as they were, so only a full can be restored under another name: leave the time out, or restore on another server: %w", t.entry.Name, t.as, backup.ErrRefused)
		}
		p.want[t.as] = true
	}
	if r.definer {
		r.log.Warn("definers in the binary log stay as they are; option definer=current is for the full only")
	}
	var err error
	if p.sel, err = newFilter(r.idx.Server.Include, r.idx.Server.Exclude); err != nil {
		return nil, err
	}
	c, err := r.s.open(ctx, replaySettings(r.noBinlog))
	if err != nil {
		return nil, err
	}
	packet, err := c.text(ctx, "SELECT @@session.max_allowed_packet")
	if err == nil {
		var n int
		if n, err = strconv.Atoi(packet); err == nil {
			p.rep, err = binlog.NewReplayer(replayConn{c}, binlog.ReplayOptions{MariaDB: r.srv.flavour == MariaDB, MaxPacket: min(n, 16<<20), Want: p.wants})
		}
	}
	if err != nil {
		c.close()
		return nil, r.s.fail(ctx, "prepare to replay on", "", err)
	}
	p.conn = c
	return p, nil
}

func replaySettings(noBinlog bool) []string {
	set := []string{"SET NAMES binary", "?SET SESSION wait_timeout=86400", "?SET SESSION net_read_timeout=1800", "?SET SESSION max_statement_time=0", "?SET SESSION innodb_lock_wait_timeout=3600"}
	if noBinlog {
		set = append(set, "SET SESSION sql_log_bin=0")
	}
	return set
}

// wants tells what of the log belongs to the restore. Rows of the server's own tables do not: accounts are in statements.
func (p *replaying) wants(schema, table string) bool {
	if table != "" && systemSchema(schema) {
		return false
	}
	if systemSchema(schema) || schema == "" {
		return p.all
	}
	if p.all {
		return p.sel.schema(schema) && (table == "" || p.sel.table(schema, table))
	}
	return p.want[schema]
}

// step replays the log of one backup, up to the moment at which it is to stop.
func (p *replaying) step(ctx context.Context, m material, step *backup.RestoreStep) error {
	if p.done {
		return nil
	}
	errStop := errors.New("the moment has come")
	p.stop.step = step
	err := walkLog(ctx, m, step, func(at piece, st binlog.Step) error {
		if st.First && p.stop.here(st.Transaction, place{file: at.at.file, pos: uint64(st.Next) - uint64(len(st.Raw))}) {
			return errStop
		}
		if st.First {
			p.last = st.Transaction
			p.n++
		}
		return p.rep.Apply(ctx, st)
	})
	if errors.Is(err, errStop) {
		p.done, err = true, nil
	}
	return err
}

// after reports whether a transaction was committed after a moment. One whose time is known to the second only counts as committed at the end of that second.
func after(t *binlog.Transaction, until time.Time) bool {
	switch {
	case until.IsZero():
		return false
	case t.Precise:
		return t.Commit.After(until)
	}
	return t.Commit.Add(time.Second).After(until)
}

// findStop looks for the transaction that ends the replay, before anything is changed.
func (r *restoring) findStop(ctx context.Context) error {
	if r.stop.gtid == "" {
		return nil
	}
	errFound := errors.New("found")
	for _, l := range r.logs {
		err := walkLog(ctx, l.material, l.step, func(_ piece, st binlog.Step) error {
			if st.First && st.Transaction.GTID == r.stop.gtid {
				return errFound
			}
			return nil
		})
		if errors.Is(err, errFound) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return &backup.Error{Op: "restore to", App: application, Instance: r.s.instance, Artifact: r.stop.gtid, Err: fmt.Errorf("no such transaction in the binary log behind the full: %w", backup.ErrNoBackup),
		Advice: "if it is older than the newest full, plan the restore from an older one (a time before that full); if it is newer than the last log backup, take one"}
}

// finish ends the replay and tells what was done.
func (p *replaying) finish(ctx context.Context) error {
	if err := p.rep.Finish(ctx); err != nil {
		return err
	}
	if p.rep.Skipped > 0 {
		p.log.Info("statements outside the selected schemas were left out of the replay", "statements", p.rep.Skipped)
	}
	if len(p.rep.Unknown) > 0 {
		p.log.Warn("statements in the binary log carried session state that this version does not know; compare what they made", "codes", p.rep.Unknown)
	}
	last := "none"
	if p.last != nil {
		last = p.last.String()
	}
	p.log.Info("replayed", "transactions", p.n, "last", last)
	return nil
}

func (p *replaying) close() {
	if p != nil {
		p.conn.close()
	}
}

// replayConn is a session as package binlog wants it.
type replayConn struct{ c *session }

func (r replayConn) Exec(ctx context.Context, statement string) error {
	return r.c.exec(ctx, statement)
}

func (r replayConn) Row(ctx context.Context, query string) ([]string, error) {
	row, ok, err := r.c.one(ctx, query)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%s: no such row", query)
	}
	return []string{row.col(0), row.col(1)}, nil
}

// systemSchema reports whether a schema is the server's own.
func systemSchema(name string) bool {
	switch strings.ToLower(name) {
	case "information_schema", "performance_schema", "mysql", "sys", "ndbinfo":
		return true
	}
	return false
}
