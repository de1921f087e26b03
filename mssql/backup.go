package mssql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
)

// undoTime bounds what is undone after a failure.
const undoTime = 30 * time.Second

// maxSteps is how many backups one run takes of a database: what was decided, and twice something larger when another tool came in between.
const maxSteps = 3

// Backup implements backup.Source: one backup of every database of the run, several at a time. A database that fails is an item with an error, and the others go
// on. What a database gets may be more than was asked for; its item says why.
func (s *Source) Backup(ctx context.Context, req backup.Request, st *backup.Stage) (res backup.Result, err error) {
	a, err := s.asked(req)
	if err != nil {
		return backup.Result{}, err
	}
	dest, err := s.newDestination(ctx, req, st)
	if err != nil {
		return backup.Result{}, err
	}
	defer func() {
		if cerr := dest.close(ctx); cerr != nil { // no reason to lose good backups
			req.Log.Warn("something of the run stays behind", "err", cerr)
			res.Warnings = append(res.Warnings, cerr.Error())
		}
	}()
	c, err := s.open(ctx)
	if err != nil {
		return backup.Result{}, err
	}
	defer c.close()
	w, err := s.survey(ctx, c, a, req)
	if err != nil {
		return backup.Result{}, s.fail(ctx, "look at", "", err)
	}
	r := &run{s: s, ask: a, req: req, st: st, dest: dest, server: w.server}
	if st.Streaming() && s.opt.VerifyOnly == VerifyAlways {
		r.warn("streamed backups cannot be read back by the server before they are kept: verify the backup by the job")
	}
	items, err := r.all(ctx, w)
	if err != nil {
		return backup.Result{}, s.fail(ctx, "back up", "", err)
	}
	r.warnOfKeys(ctx, c)
	slices.Sort(r.warnings)
	out := backup.Result{Items: items, Meta: r.meta(w), Warnings: r.warnings}
	if req.Kind == backup.Full { // only a full run tells what is gone
		out.Untaken = w.untaken
	}
	return out, nil
}

// run is one call of Backup.
type run struct {
	s      *Source
	ask    ask
	req    backup.Request
	st     *backup.Stage
	dest   destination
	server server

	mu       sync.Mutex
	items    []backup.Item
	sets     []chain.Set
	warnings []string
}

func (r *run) warn(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, fmt.Sprintf(format, args...))
}

func (r *run) add(it backup.Item) {
	r.mu.Lock()
	r.items = append(r.items, it)
	r.mu.Unlock()
	r.st.ItemDone()
}

// all works the tasks off and returns the items by name.
func (r *run) all(ctx context.Context, w survey) ([]backup.Item, error) {
	var todo []*task
	for _, t := range w.tasks {
		switch ch := t.choice; {
		case ch.fail != "":
			r.add(r.failed(ctx, t, errors.New(ch.fail)))
		case ch.skip != "":
			r.req.Log.Debug("database left out", "item", t.facts.name, "why", ch.skip)
			if !ch.left && !ch.meant {
				r.warn("%s was left out: %s", t.facts.name, ch.skip)
			}
		default:
			todo = append(todo, t)
		}
	}
	for _, name := range w.missing {
		r.add(r.failed(ctx, &task{facts: &facts{name: name}, choice: choice{kind: r.ask.kind}}, errors.New("there is no database of this name on the server")))
	}
	r.st.Expect(len(todo)+len(r.items), 0)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.s.opt.Databases)
	for _, t := range todo {
		g.Go(func() error {
			it, err := r.database(gctx, t)
			if err == nil {
				r.add(it)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(r.items, func(a, b backup.Item) int { return cmp.Compare(a.Name, b.Name) })
	return r.items, nil
}

// failed is the item of a database that could not be backed up.
func (r *run) failed(ctx context.Context, t *task, err error) backup.Item {
	err = r.s.fail(ctx, "back up", t.facts.name, err)
	text := err.Error()
	if hint := backup.Hint(err); hint != "" {
		text += " (" + hint + ")"
	}
	r.req.Log.Warn("database failed", "item", t.facts.name, "err", err)
	return backup.Item{Name: t.facts.name, Kind: t.choice.kind, Reason: t.choice.reason, Error: text}
}

// runError ends the run, not only its item: the stage or its target failed.
type runError struct{ error }

func (e runError) Unwrap() error { return e.error }

// database takes the backup of one database. Its error ends the run.
func (r *run) database(ctx context.Context, t *task) (backup.Item, error) {
	if ctx.Err() != nil {
		return backup.Item{}, context.Cause(ctx)
	}
	it, err := r.steps(ctx, t)
	var whole runError
	switch {
	case err == nil:
		return it, nil
	case errors.As(err, &whole):
		return it, r.s.fail(ctx, "back up", t.facts.name, whole.error)
	case ctx.Err() != nil:
		return it, r.s.fail(ctx, "back up", t.facts.name, err)
	}
	return r.failed(ctx, t, err), nil
}

// steps takes what was decided, and what has to follow when the server then turns out not to have it.
func (r *run) steps(ctx context.Context, t *task) (backup.Item, error) {
	c, err := r.s.open(ctx)
	if err != nil {
		return backup.Item{}, err
	}
	defer c.close()
	for range maxSteps {
		it, again, err := r.take(ctx, c, t)
		if err != nil || again == nil {
			return it, err
		}
		again.reason += c.stranger(ctx, t)
		t.choice = *again
		r.req.Log.Info("another backup is taken", "item", t.facts.name, "kind", again.kind, "why", again.reason)
	}
	return backup.Item{}, fmt.Errorf("%w: other backups of the database keep coming in between, last: %s", backup.ErrChainBroken, t.choice.reason)
}

// take writes one backup, reads its header and keeps it. A choice comes back when something else has to be taken after it.
func (r *run) take(ctx context.Context, c *session, t *task) (it backup.Item, again *choice, err error) {
	ch, f := t.choice, *t.facts
	bytes := c.size(ctx, f, ch.kind, false)
	stripes, err := r.dest.stripes(r.s.opt.Stripes, bytes)
	if err != nil {
		return it, nil, err
	}
	if r.s.compresses(r.server) {
		bytes = packed(bytes)
	}
	room, err := r.dest.open(ctx, artifacts(f.name, ch, stripes), bytes/int64(stripes)+1)
	if err != nil {
		if errors.Is(err, backup.ErrStageFull) {
			return it, nil, err
		}
		return it, nil, runError{err}
	}
	// given: the server may have truncated the log that is in the file.
	given := false
	defer func() {
		if err != nil && given {
			// The file is the only copy of that log. It stays where it is, the run ends, and the next one asks Salvage what is in it.
			err = runError{err}
			return
		}
		if cerr := room.close(); cerr != nil {
			err = errors.Join(err, fmt.Errorf("remove a half-written backup: %w", cerr))
		}
	}()
	if ch.tail == TailNoRecovery {
		defer func() {
			if err != nil {
				err = errors.Join(err, r.bringBack(ctx, f.name))
			}
		}()
	}
	before, err := r.write(ctx, c, f, ch, room.devices())
	given = ch.kind == backup.Log && !ch.copyOnly && (err == nil || number(err) == 0)
	if next, ok := r.mend(t, err); ok {
		return it, next, nil
	} else if err != nil {
		return it, nil, errors.Join(room.failure(), err)
	}
	after, err := c.now(ctx)
	if err != nil {
		return it, nil, err
	}
	set, err := r.read(ctx, c, f, ch, room)
	if err != nil {
		return it, nil, err
	}
	t.own = append(t.own, set.GUID)
	if ch.kind == backup.Differential {
		t.facts.baseGUID = set.DifferentialBaseGUID
	}
	next, other := ch.next(r.ask, f, t.base, set)
	if other && ch.kind != backup.Log {
		return it, &next, nil
	}
	if err := r.verify(ctx, c, room, set); err != nil {
		return it, nil, err
	}
	names := artifacts(f.name, ch, stripes)
	for i := range set.Devices {
		set.Devices[i] = names[i].Name
	}
	if other {
		ch.loose = next.reason
	}
	if it, err = ch.record(set, t.base, before, after); err == nil {
		err = annotate(room, it)
	}
	if err != nil {
		return it, nil, err
	}
	if err := room.commit(); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return it, nil, err
		}
		return it, nil, runError{err}
	}
	if other {
		// The log is truncated on the server, so what was taken is the only copy of it, and whoever took the log before may want it.
		r.warn("%s: the log from %s to %s does not continue what is at the target; it is kept beside the %s backup that follows, as %s, and no restore of this job uses it",
			f.name, set.FirstLSN, set.LastLSN, next.kind, names[0].Name)
		return it, &next, nil
	}
	r.note(f, ch, set)
	return it, nil, nil
}

// mend says what to take when the server refused for want of a chain or a base, which nobody could know before.
func (r *run) mend(t *task, err error) (*choice, bool) {
	ch, f := t.choice, *t.facts
	if ch.tail != "" || !unchained(err) {
		return nil, false
	}
	var next choice
	switch ch.kind {
	case backup.Log:
		next = instead(r.ask, f, t.base, "the server has no log chain for it")
	case backup.Differential:
		next = fullFor(r.ask, f, "the server has no full backup to build a differential on")
	default:
		return nil, false
	}
	return &next, true
}

// write runs the statement and returns the server's clock just before.
func (r *run) write(ctx context.Context, c *session, f facts, ch choice, to []device) (before time.Time, err error) {
	st := backupStatement(f.name, to, r.options(f, ch))
	r.req.Log.Debug("statement", "item", f.name, "sql", st.SQL)
	err = r.s.patiently(ctx, func() error {
		r.st.Moved()
		if before, err = c.now(ctx); err != nil {
			return err
		}
		return c.run(ctx, st, func(int) { r.st.Moved() })
	}, func() {
		r.req.Log.Info("another backup of the database runs, waiting", "item", f.name, "dur", r.s.opt.BusyWait)
	})
	return before, err
}

// patiently runs a BACKUP, again after a pause while another one of the same database is at work.
func (s *Source) patiently(ctx context.Context, do func() error, waiting func()) error {
	for try := 1; ; try++ {
		err := do()
		if number(err) != errBusy || try >= s.opt.BusyAttempts {
			return err
		}
		waiting()
		if err := pause(ctx, s.opt.BusyWait); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// defaultTDETransfer is MAXTRANSFERSIZE where encrypted databases need one above 64 KiB to be compressed; it is what later versions choose.
const defaultTDETransfer = 128 << 10

func (r *run) options(f facts, ch choice) backupOptions {
	opt := r.s.opt
	o := backupOptions{
		differential: ch.kind == backup.Differential, log: ch.kind == backup.Log, copyOnly: ch.copyOnly, tail: ch.tail, noChecksum: opt.NoChecksum,
		compression: r.s.compression(r.server), encryption: opt.Encryption, blockSize: opt.BlockSize, bufferCount: opt.BufferCount, maxTransferSize: opt.MaxTransferSize,
		name: fmt.Sprintf("%s %s", r.req.ID, ch.kind), description: fmt.Sprintf("Quiesce backup %s of job %s", r.req.ID, r.req.Job),
	}
	if f.encrypted && o.maxTransferSize == 0 && o.compression == "COMPRESSION" && r.server.tdeNeedsTransfer() {
		o.maxTransferSize = defaultTDETransfer
	}
	r.dest.tune(&o)
	return o
}

// read takes the facts of what was just written, and refuses what is not what was asked for.
func (r *run) read(ctx context.Context, c *session, f facts, ch choice, from target) (chain.Set, error) {
	sets, err := from.sets(ctx, c, f)
	if err != nil {
		return chain.Set{}, err
	}
	if len(sets) != 1 {
		return chain.Set{}, fmt.Errorf("the file holds %d backups, not the one that was taken: another program writes to it", len(sets))
	}
	if why := ch.wrong(f, sets[0]); why != "" {
		return sets[0], errors.New(why)
	}
	return sets[0], nil
}

// verify reads back what was written where Options says so and the server can.
func (r *run) verify(ctx context.Context, c *session, from target, set chain.Set) error {
	opaque := set.Compressed || set.KeyAlgorithm != "" || !set.Checksums
	if r.s.opt.VerifyOnly == VerifyNever || r.s.opt.VerifyOnly == VerifyAuto && !opaque || !from.readable() {
		return nil
	}
	return c.run(ctx, verifyStatement(from.devices(), set.Position, set.Checksums), func(int) { r.st.Moved() })
}

// bringBack recovers a database whose tail was taken but not kept, so that it is as it was found. Its own log still holds everything.
func (r *run) bringBack(ctx context.Context, database string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	c, err := r.s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	row, ok, err := c.one(ctx, "SELECT state_desc FROM sys.databases WHERE name = @p1", database)
	if err != nil || !ok || row.text("state_desc") != "RESTORING" {
		return err
	}
	return c.run(ctx, statement{SQL: "RESTORE DATABASE " + quoteName(database) + " WITH RECOVERY", What: "bring " + strconv.Quote(database) + " back online"}, nil)
}

// note remembers a good set for what is told at the end.
func (r *run) note(f facts, ch choice, set chain.Set) {
	r.mu.Lock()
	r.sets = append(r.sets, set)
	r.mu.Unlock()
	if ch.loose != "" {
		r.warn("%s: the tail of the log continues nothing at the target: %s", f.name, ch.loose)
	}
	if set.IncompleteMetadata {
		r.warn("%s: the tail of the log lacks metadata, which the server could not read", f.name)
	}
	if f.encrypted && set.Compressed && r.s.opt.MaxTransferSize > 0 && r.s.opt.MaxTransferSize <= transferUnit && r.server.tdeNeedsTransfer() {
		r.warn("%s: its pages are encrypted, and with a max transfer size of %d this version compresses them encrypted, to no effect: use more than %d",
			f.name, r.s.opt.MaxTransferSize, transferUnit)
	}
}

// meta is what an operator sees with the backup.
func (r *run) meta(w survey) map[string]string {
	m := map[string]string{"server": w.server.name, "version": w.server.version, "edition": w.server.edition, "stripes": strconv.Itoa(r.s.opt.Stripes)}
	var left []string
	for _, t := range w.tasks {
		if t.choice.left {
			left = append(left, t.facts.name)
		}
	}
	slices.Sort(left)
	if len(left) > 0 {
		m["left_to_another_replica"] = strings.Join(left, ", ")
	}
	if r.ask.tail != "" {
		m["tail"] = r.ask.tail
	}
	return m
}

var _ backup.Source = (*Source)(nil)
