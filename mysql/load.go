package mysql

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	driver "github.com/go-sql-driver/mysql"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

// loadJob is one chunk on its way into its table.
type loadJob struct {
	t *tableTarget
	c chunkEntry
}

// load fills the tables over all connections. Chunks of different tables take turns, because loads into one table wait for each other; the largest
// table comes first in every round. Whoever loads the last chunk of a table builds its indexes.
func (r *restoring) load(ctx context.Context, c *session) error {
	r.infile = !r.srv.reduced && r.srv.on("local_infile")
	jobs := r.jobs()
	if len(jobs) == 0 {
		return nil
	}
	if !r.infile && !r.srv.reduced {
		r.log.Warn("local_infile is off on the server: loading by INSERT, which takes about twice as long", "hint", "SET GLOBAL local_infile=1")
	}
	var mu sync.Mutex
	next := func() (loadJob, bool) {
		mu.Lock()
		defer mu.Unlock()
		if len(jobs) == 0 {
			return loadJob{}, false
		}
		j := jobs[0]
		jobs = jobs[1:]
		return j, true
	}
	last := func(t *tableTarget) bool {
		mu.Lock()
		defer mu.Unlock()
		t.left--
		return t.left == 0
	}
	g, ctx := errgroup.WithContext(ctx)
	for range min(r.s.opt.Connections, len(jobs)) {
		g.Go(func() error { return r.loader(ctx, next, last) })
	}
	return g.Wait()
}

func (r *restoring) jobs() []loadJob {
	var tables []*tableTarget
	for _, t := range r.targets {
		tables = append(tables, t.tables...)
	}
	slices.SortStableFunc(tables, func(a, b *tableTarget) int { return cmp.Compare(b.Bytes, a.Bytes) })
	var jobs []loadJob
	for round := 0; ; round++ {
		n := len(jobs)
		for _, t := range tables {
			if round < len(t.Chunks) {
				jobs = append(jobs, loadJob{t, t.Chunks[round]})
			}
		}
		if len(jobs) == n {
			return jobs
		}
	}
}

func (r *restoring) loader(ctx context.Context, next func() (loadJob, bool), last func(*tableTarget) bool) error {
	c, err := r.s.open(ctx, restoreSettings("binary", r.noBinlog))
	if err != nil {
		return err
	}
	defer c.close()
	for {
		j, ok := next()
		if !ok {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		where := fmt.Sprintf("%s into %s.%s", j.c.Artifact, j.t.in.as, j.t.Name)
		if err := r.loadChunk(ctx, c, j); err != nil {
			return r.s.fail(ctx, "load", where, err)
		}
		if !last(j.t) || !j.t.bare {
			continue
		}
		// Names in the clauses are utf8mb4 whatever the data are.
		if err := c.exec(ctx, "SET NAMES utf8mb4"); err != nil {
			return r.s.fail(ctx, "load", where, err)
		}
		for _, ix := range j.t.def.Indexes() {
			if err := c.exec(ctx, "ALTER TABLE "+qualified(j.t.in.as, j.t.Name)+" "+ix); err != nil {
				return r.s.fail(ctx, "build the indexes of", j.t.in.as+"."+j.t.Name, err)
			}
		}
		if err := c.exec(ctx, "SET NAMES binary"); err != nil {
			return r.s.fail(ctx, "load", where, err)
		}
	}
}

// loadChunk loads one chunk in one transaction, which is rolled back unless exactly the chunk's rows went in.
func (r *restoring) loadChunk(ctx context.Context, c *session, j loadJob) error {
	rd, err := r.m.open(ctx, j.c.Artifact)
	if err != nil {
		return err
	}
	defer rd.Close()
	if err := c.exec(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	var n int64
	if r.infile && len(j.t.Columns) > 0 {
		n, err = r.infileChunk(ctx, c, j, rd)
	} else {
		n, err = insertChunk(ctx, c, j, rd)
	}
	if err == nil && n != j.c.Rows {
		err = fmt.Errorf("%d rows went in, the index says %d: %w", n, j.c.Rows, backup.ErrCorrupt)
	}
	if err != nil {
		// The session is ended by its owner after an error; an open transaction goes with it.
		return err
	}
	return c.exec(ctx, "COMMIT")
}

// infileChunk streams the chunk through LOAD DATA LOCAL.
func (r *restoring) infileChunk(ctx context.Context, c *session, j loadJob, rd io.Reader) (int64, error) {
	src := &failingReader{r: rd}
	name := fmt.Sprintf("quiesce-%p", src) // the driver's names are shared by the whole process; an address in use is one of a kind
	driver.RegisterReaderHandler(name, func() io.Reader { return src })
	defer driver.DeregisterReaderHandler(name)
	res, err := c.conn.ExecContext(ctx, loadStatement("Reader::"+name, qualified(j.t.in.as, j.t.Name), j.t.Columns))
	// The driver ends the transfer in good order when our reader fails, so the server takes what came so far for the whole.
	if src.err != nil {
		return 0, src.err
	}
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, err
	}
	return n, complaints(ctx, c)
}

// complaints turns warnings into an error: LOCAL makes warnings of duplicate keys and bad values, and drops or bends the row.
func complaints(ctx context.Context, c *session) error {
	rs, err := c.rows(ctx, "SHOW WARNINGS LIMIT 5")
	if err != nil {
		return err
	}
	var list []string
	for _, row := range rs {
		if row.get("level") != "Note" {
			list = append(list, fmt.Sprintf("%s (%s)", row.get("message"), row.get("code")))
		}
	}
	if len(list) == 0 {
		return nil
	}
	return errors.New("the server changed or dropped rows: " + strings.Join(list, "; "))
}

// failingReader remembers why it failed.
type failingReader struct {
	r   io.Reader
	err error
}

func (f *failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && err != io.EOF {
		f.err = err
	}
	return n, err
}
