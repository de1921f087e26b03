package mysql

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

// run is one backup in progress.
type run struct {
	s     *Source
	st    stage
	sums  *summing
	log   *slog.Logger
	srv   *server
	sn    *snapshot
	cats  []*catalog
	known map[string]bool // tables listed before the snapshot
	idx   index

	mu       sync.Mutex
	warnings []string
}

// dump takes the whole backup.
func (s *Source) dump(ctx context.Context, st stage, req backup.Request) (_ *run, err error) {
	log := req.Log
	defer func() { err = because(ctx, err) }()
	coord, err := s.open(ctx, readSettings())
	if err != nil {
		return nil, err
	}
	defer coord.close()
	srv, err := probe(ctx, coord)
	if err != nil {
		return nil, err
	}
	sums := &summing{stage: st, sums: map[string]sum{}}
	r := &run{s: s, st: sums, sums: sums, log: log, srv: srv, known: map[string]bool{}}
	if srv.reduced {
		r.warn("this server is only part of a MySQL: no lock, no promise of consistency, and routines and accounts cannot be read from it")
	}
	if err := r.list(ctx, coord); err != nil {
		return nil, err
	}
	sn, err := s.takeSnapshot(ctx, coord, srv, log, r.locked)
	if err != nil {
		return nil, err
	}
	defer sn.close(ctx)
	r.sn = sn
	sn.identify(ctx, req)
	if err := r.everything(ctx); err != nil {
		return nil, err
	}
	return r, r.finish(ctx)
}

// list finds out what there is before the snapshot: what must be read under the lock has to be known then.
func (r *run) list(ctx context.Context, c *session) error {
	have := r.srv.userSchemas()
	if miss := r.s.filter.missing(have); len(miss) > 0 {
		return &backup.Error{Op: "find", App: application, Instance: r.s.instance, Artifact: "schema " + strings.Join(miss, ", "),
			Err:    fmt.Errorf("named in Options.Include, not on the server"),
			Advice: "correct the name or remove it; the server has: " + strings.Join(have, ", ")}
	}
	r.cats = nil
	for _, schema := range have {
		if !r.s.filter.schema(schema) {
			continue
		}
		cat, err := c.listTables(ctx, r.srv, schema, r.s.filter)
		if err != nil {
			return err
		}
		r.cats = append(r.cats, cat)
		for _, t := range cat.tables {
			r.known[t.String()] = true
		}
	}
	return nil
}

// locked reads tables without transactions while the snapshot's lock keeps writers off them.
func (r *run) locked(ctx context.Context, sn *snapshot) {
	var waiting []*table
	var bytes int64
	for _, cat := range r.cats {
		for _, t := range cat.tables {
			if !t.transactions {
				waiting = append(waiting, t)
				bytes += t.bytes
			}
		}
	}
	if len(waiting) == 0 || bytes > r.s.opt.LockedBytes {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.s.opt.LockHold)
	defer cancel()
	if err := r.readLocked(ctx, waiting); err != nil {
		r.warn(fmt.Sprintf("tables without transactions could not all be read under the lock: %v", err))
	}
}

// readLocked uses a session of its own: when its time is up the session breaks, and a snapshot must not break with it.
func (r *run) readLocked(ctx context.Context, waiting []*table) error {
	c, err := r.s.open(ctx, readSettings())
	if err != nil {
		return err
	}
	defer c.close()
	for _, cat := range r.cats {
		if !slices.ContainsFunc(cat.tables, func(t *table) bool { return !t.transactions }) {
			continue
		}
		if err := c.describe(ctx, r.srv, cat); err != nil {
			return err
		}
	}
	for _, t := range waiting {
		t.newEntry(r.srv.flavour)
		if err := r.readChunk(ctx, c, chunk{t: t, seq: 1}); err != nil {
			t.entry = nil
			return err
		}
	}
	return nil
}

// everything reads definitions over the coordinator and data over the readers, at the same time.
func (r *run) everything(ctx context.Context) error {
	before := map[string]*tableEntry{}
	for _, cat := range r.cats {
		for _, t := range cat.tables {
			if t.entry != nil {
				before[t.String()] = t.entry
			}
		}
	}
	// Listed again: what was made or dropped between the first look and the snapshot would be missed or missing.
	if err := r.list(ctx, r.sn.coord); err != nil {
		return err
	}
	q := newQueue()
	for _, cat := range r.cats {
		if err := r.sn.coord.describe(ctx, r.srv, cat); err != nil {
			return err
		}
		for _, t := range cat.tables {
			if t.entry = before[t.String()]; t.entry != nil {
				continue // read under the lock
			}
			t.newEntry(r.srv.flavour)
			t.entry.Unlocked = !t.transactions
			q.push(job{table: t, bytes: t.bytes})
		}
	}
	r.warnUnlocked()
	g, ctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(ctx, q.stop)
	defer stop()
	for _, c := range r.sn.readers {
		g.Go(func() error { return r.work(ctx, c, q) })
	}
	g.Go(func() error { return r.definitions(ctx, r.sn.coord) })
	return g.Wait()
}

func (r *run) warnUnlocked() {
	var names []string
	for _, cat := range r.cats {
		for _, t := range cat.tables {
			if t.entry.Unlocked {
				names = append(names, t.String())
			}
			if t.entry.Versioned {
				r.warn(fmt.Sprintf("%s: current rows only, the history of system versioning is not kept", t))
			}
		}
	}
	if len(names) > 0 {
		r.warn("tables without transactions, read after the snapshot and not consistent with the rest: " + strings.Join(names, ", "))
	}
}

func (r *run) work(ctx context.Context, c *session, q *queue) error {
	for {
		j, ok := q.pop()
		if !ok {
			return context.Cause(ctx)
		}
		if err := r.do(ctx, c, q, j); err != nil {
			return err // the group's context ends, which stops the queue
		}
		q.done()
	}
}

func (r *run) do(ctx context.Context, c *session, q *queue, j job) error {
	var err error
	t := j.table
	if j.chunk != nil {
		t = j.chunk.t
		err = r.readChunk(ctx, c, *j.chunk)
	} else {
		err = r.cut(ctx, c, t, func(k chunk) { q.push(job{chunk: &k, bytes: k.bytes}) })
	}
	if (number(err) == erTableDefChanged || number(err) == erNoSuchTable) && !r.known[t.String()] {
		r.warn(fmt.Sprintf("%s was made while the backup began and is not in it", t))
		r.forget(t)
		return nil
	}
	return err
}

// forget takes a table out of the backup that the snapshot does not know.
func (r *run) forget(t *table) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.entry.Artifact = ""
}

// readChunk writes one chunk. One without rows leaves no artifact.
func (r *run) readChunk(ctx context.Context, c *session, k chunk) error {
	name := k.t.chunkName(k.seq)
	w, err := r.st.create(ctx, backup.Artifact{Name: name, Item: ItemName, Role: backup.RoleData})
	if err != nil {
		return r.s.fail(ctx, "stage", name, err)
	}
	defer w.Close()
	rw := &rowWriter{w: w, cols: k.t.entry.Columns, buf: make([]byte, 0, flushAt+64<<10)}
	if err := rw.run(ctx, c, k.query(r.srv)); err != nil {
		return r.s.fail(ctx, "read", k.t.String(), err)
	}
	if rw.rows > 0 {
		w.Annotate("rows", strconv.FormatInt(rw.rows, 10))
		if err := w.Commit(); err != nil {
			return r.s.fail(ctx, "stage", name, err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e := k.t.entry
	if rw.rows > 0 {
		e.Chunks = append(e.Chunks, chunkEntry{name, rw.rows, rw.bytes})
	}
	e.Rows += rw.rows
	e.Bytes += rw.bytes
	return nil
}

func (r *run) warn(w string) {
	r.log.Warn(w, "app", application, "instance", r.s.instance)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = append(r.warnings, w)
}

// finish writes the index: with it the backup is complete.
func (r *run) finish(ctx context.Context) error {
	x := &r.idx
	x.Format, x.Server, x.Complete = indexFormat, r.sn.checkpoint(), true
	for i := range x.Schemas {
		s := &x.Schemas[i]
		s.Tables = slices.DeleteFunc(s.Tables, func(t *tableEntry) bool { return t.Artifact == "" })
		for _, t := range s.Tables {
			slices.SortFunc(t.Chunks, func(a, b chunkEntry) int {
				return cmp.Or(cmp.Compare(len(a.Artifact), len(b.Artifact)), cmp.Compare(a.Artifact, b.Artifact))
			})
			x.Rows += t.Rows
			x.Bytes += t.Bytes
		}
	}
	x.Statements = x.statements()
	x.Artifacts = r.sums.sums
	x.Warnings = append(slices.Clone(r.sn.warnings), r.warnings...)
	w, err := r.st.create(ctx, backup.Artifact{Name: indexName, Item: ItemName, Role: backup.RoleControl})
	if err != nil {
		return r.s.fail(ctx, "stage", indexName, err)
	}
	defer w.Close()
	if err := x.encode(w); err != nil {
		return r.s.fail(ctx, "stage", indexName, err)
	}
	return r.s.fail(ctx, "stage", indexName, w.Commit())
}
