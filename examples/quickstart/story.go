package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql"
)

// story is one run of the program: what the steps hand on to each other.
type story struct {
	o   options
	out *screen
	dir string // of our own: key, stage and, without -sink, the target
	safe

	srv     server
	version string
	data    dataset
	source  *mysql.Source
	pipe    *backup.Pipeline

	before          fingerprint
	rows            int
	tables, objects int

	manifest                *backup.Manifest
	plan                    *backup.RestorePlan
	backed, proved, brought time.Duration
	warnings                []string
}

// tell runs the story from start to end and cleans up behind it, whatever happens.
func tell(ctx context.Context, o options, out *screen) (err error) {
	s := &story{o: o, out: out}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"target", s.openTarget},
		{"server", s.startServer},
		{"data", s.fill},
		{"check", s.check},
		{"backup", s.backup},
		{"prove", s.prove},
		{"windows", s.windows},
		{"lose", s.lose},
		{"plan", s.planRestore},
		{"restore", s.restore},
		{"compare", s.compare},
	} {
		out.begin(step.name)
		if err := step.do(ctx); err != nil {
			return err
		}
	}
	s.summary()
	return nil
}

func (s *story) openTarget(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "quickstart"); err != nil {
		return err
	}
	if err := s.safe.open(ctx, s.o.sink, s.dir); err != nil {
		return err
	}
	s.out.end(s.where+", compressed with zstd, encrypted with age", "key "+s.recipient+", made for this run")
	return nil
}

func (s *story) startServer(ctx context.Context) error {
	srv, small, err := start(ctx, s.o)
	if err != nil {
		return err
	}
	s.srv = srv
	db, err := open(srv.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	if s.version, err = reach(ctx, db); err != nil {
		return err
	}
	s.data = dataset{orders: 20000, batch: 500, full: !small}
	if small {
		s.data = dataset{orders: 150, batch: 100}
	}
	if s.o.orders > 0 {
		s.data.orders = s.o.orders
	}
	if y, ok := srv.(*yours); ok {
		s.data.prefix = "quickstart_"
		if err := y.claim(ctx, db, s.data.schemas()); err != nil {
			return err
		}
	}
	s.out.end(s.version + ", " + srv.Place())
	return nil
}

func (s *story) fill(ctx context.Context) error {
	return s.withDB(func(db *sql.DB) (err error) {
		total := s.data.expect()
		s.rows, err = s.data.build(ctx, db, func(rows int) {
			s.out.progress(float64(rows)/float64(total), "%s rows", count(rows))
		})
		if err != nil {
			return err
		}
		if s.before, s.tables, s.objects, err = take(ctx, db, s.data.schemas(), s.data.accounts()); err != nil {
			return err
		}
		s.out.end(fmt.Sprintf("%s rows in %s, schemas %s", count(s.rows), many(s.tables, "table"), strings.Join(s.data.schemas(), ", ")), s.data.describe()...)
		return nil
	})
}

// withDB lends fn a pool to the server as it is now.
func (s *story) withDB(fn func(*sql.DB) error) error {
	db, err := open(s.srv.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	return fn(db)
}

// connect makes source and pipeline for the server as it is now. After a loss that is another one.
func (s *story) connect() (err error) {
	o := &mysql.Options{}
	if _, ok := s.srv.(*yours); ok {
		// What else is on a server of yours, its accounts among it, is none of our business.
		o.Include, o.NoAccounts = s.data.schemas(), true
	}
	if s.source != nil {
		s.source.Close()
	}
	if s.source, err = mysql.New(s.srv.DSN(), o); err != nil {
		return err
	}
	s.pipe, err = backup.New(backup.Config{
		Job:    s.job,
		Source: s.source,
		Sink:   s.sealed,
		Stager: backup.DirStager{Dir: filepath.Join(s.dir, "stage")},
		Events: s.event,
	})
	return err
}

// event draws what the pipeline reports.
func (s *story) event(e backup.Event) {
	switch e := e.(type) {
	case backup.PhaseStarted:
		s.out.progress(-1, "%s", e.Phase)
	case backup.Progress:
		s.moved(e)
	case backup.Warning:
		s.warnings = append(s.warnings, e.Text)
	case backup.Stalled:
		s.out.line("", fmt.Sprintf("no byte has moved for %s", e.For))
	}
}

// moved draws how far a phase has come.
func (s *story) moved(e backup.Progress) {
	share, rest := -1.0, ""
	if e.Expected > 0 {
		share = float64(e.Shipped) / float64(e.Expected)
	}
	if e.ETA > 0 {
		rest = ", " + e.ETA.Round(time.Second).String() + " left"
	}
	switch e.Phase {
	case backup.PhaseBackup, backup.PhaseShip:
		s.out.progress(share, "%s staged, %s offsite as %s, %.0f MB/s%s", size(e.Staged), size(e.Shipped), size(e.Stored), e.Rate/1e6, rest)
	case backup.PhaseRestore:
		if share >= 1 {
			s.out.progress(share, "%s read, the server puts it in order", size(e.Shipped))
			return
		}
		s.out.progress(share, "%s read, %.0f MB/s%s", size(e.Shipped), e.Rate/1e6, rest)
	case backup.PhaseVerify:
		s.out.progress(share, "%s read, %.0f MB/s", size(e.Shipped), e.Rate/1e6)
	}
}

func (s *story) check(ctx context.Context) error {
	if err := s.connect(); err != nil {
		return err
	}
	findings := s.source.Check(ctx, backup.StageDir{})
	var lines []string
	var errs []error
	for _, f := range findings {
		mark := "ok    "
		if f.Err != nil {
			mark = "FAILS "
			errs = append(errs, &backup.Error{Op: "check that " + f.What, App: "mysql", Err: f.Err, Advice: f.Hint})
		}
		lines = append(lines, mark+f.What)
	}
	s.out.end(fmt.Sprintf("%d of %d hold", len(findings)-len(errs), len(findings)), lines...)
	return errors.Join(errs...)
}

func (s *story) backup(ctx context.Context) (err error) {
	began := time.Now()
	if s.manifest, err = s.pipe.Backup(ctx, backup.Full); err != nil {
		return err
	}
	s.backed = time.Since(began)
	m := s.manifest
	s.out.end(fmt.Sprintf("%s: %s in %s, %s offsite in %s", m.ID, size(m.Bytes), many(m.Artifacts, "artifact"), size(m.StoredBytes), many(m.Parts, "part")),
		s.warn()...)
	return nil
}

// warn returns the warnings so far, once.
func (s *story) warn() (lines []string) {
	for _, w := range slices.Compact(s.warnings) {
		lines = append(lines, "note: "+w)
	}
	s.warnings = nil
	return lines
}

func (s *story) prove(ctx context.Context) error {
	began := time.Now()
	report, err := s.pipe.Verify(ctx, backup.VerifyOptions{Level: backup.ProofFormat})
	if err != nil {
		return err
	}
	if err := report.Err(); err != nil {
		return err
	}
	s.proved = time.Since(began)
	s.out.end(fmt.Sprintf("%s read back, every digest right, every artifact understood", many(report.CheckedParts, "part")))
	return nil
}

func (s *story) windows(ctx context.Context) error {
	h, err := s.pipe.History(ctx)
	if err != nil {
		return err
	}
	var lines []string
	for _, c := range h.Coverages() {
		for _, span := range c.Spans {
			text := stamp(span.From)
			if !span.To.Equal(span.From) {
				text += " to " + stamp(span.To)
			}
			lines = append(lines, fmt.Sprintf("%s can be restored to %s", c.Item, text))
		}
		for _, g := range c.Gaps {
			lines = append(lines, fmt.Sprintf("%s: gap from %s: %s", c.Item, stamp(g.From), g.Why))
		}
	}
	if len(lines) == 0 {
		return &backup.Error{Op: "show windows", Err: backup.ErrNoBackup}
	}
	s.out.end(lines[0], lines[1:]...)
	return nil
}

// stamp writes a time so that -at takes it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func (s *story) lose(ctx context.Context) error {
	if err := s.srv.Lose(ctx); err != nil {
		return err
	}
	return s.withDB(func(db *sql.DB) error {
		_, tables, _, err := take(ctx, db, s.data.schemas(), nil)
		if err != nil {
			return err
		}
		if tables > 0 {
			return fmt.Errorf("%s left after the loss", many(tables, "table"))
		}
		text := "the server is gone with all its data; an empty one took its place"
		if _, ok := s.srv.(*yours); ok {
			text = "all schemas dropped"
		}
		s.out.end(text + ": 0 tables")
		return s.connect()
	})
}

func (s *story) planRestore(ctx context.Context) (err error) {
	s.plan, err = s.pipe.Plan(ctx, backup.Target{Time: s.o.at, MinProof: backup.ProofFormat})
	if err != nil && !s.o.at.IsZero() {
		return fmt.Errorf("return to %s: %w", stamp(s.o.at), err)
	}
	if err != nil {
		return err
	}
	var lines []string
	for i, step := range s.plan.Steps {
		lines = append(lines, fmt.Sprintf("%d. %s of %q from %s: %s, proof %s", i+1, step.Item.Kind, step.Item.Name, step.ID, size(step.Item.Bytes), step.Proof))
	}
	s.out.end(many(len(s.plan.Steps), "step"), lines...)
	return nil
}

func (s *story) restore(ctx context.Context) error {
	began := time.Now()
	if err := s.pipe.Restore(ctx, s.plan, backup.RestoreOptions{}); err != nil {
		return err
	}
	s.brought = time.Since(began)
	s.out.end(size(s.manifest.Bytes)+" brought back", s.warn()...)
	return nil
}

func (s *story) compare(ctx context.Context) error {
	return s.withDB(func(db *sql.DB) error {
		after, tables, objects, err := take(ctx, db, s.data.schemas(), s.data.accounts())
		if err != nil {
			return err
		}
		if diff := s.before.differences(after); len(diff) > 0 {
			return &backup.Error{Op: "compare", Err: fmt.Errorf("%s: %s", many(len(diff), "difference"), strings.Join(diff[:min(len(diff), 20)], "; ")),
				Advice: "this is a defect of Quiesce; please report it with this output"}
		}
		s.out.end(fmt.Sprintf("%s by checksum, %s by text: identical", many(tables, "table"), many(tables+objects, "definition")))
		return nil
	})
}

// close ends everything that was started, even when ctx has ended.
func (s *story) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	if s.source != nil {
		errs = append(errs, s.source.Close())
	}
	if s.srv != nil {
		errs = append(errs, s.srv.Close(ctx, s.o.keep))
	}
	errs = append(errs, s.safe.close(ctx, s.o.keep && s.manifest != nil))
	if s.dir != "" && !(s.o.keep && s.manifest != nil) {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
