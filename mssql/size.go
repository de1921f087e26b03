package mssql

import (
	"context"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// minimumBytes is what a backup takes beside its pages: headers, and a piece of log.
const minimumBytes = 1 << 20

// size estimates the bytes of a backup: allocated or changed pages for data, used log for logs. Where the server does not tell, the size of the files stands for
// it. A compressed backup is taken to be half as large, which errs on the safe side for most data.
func (c *session) size(ctx context.Context, f facts, kind backup.Kind, compressed bool) int64 {
	n := f.bytes
	switch kind {
	case backup.Log:
		if used, ok := c.sum(ctx, f.name, "dm_db_log_space_usage", "used_log_space_in_bytes", 1); ok {
			n = used
		}
	case backup.Differential:
		if changed, ok := c.sum(ctx, f.name, "dm_db_file_space_usage", "modified_extent_page_count", pageBytes); ok {
			n = changed
			break
		}
		fallthrough
	default:
		if used, ok := c.sum(ctx, f.name, "dm_db_file_space_usage", "allocated_extent_page_count", pageBytes); ok {
			n = used
		}
	}
	if compressed {
		return packed(n + minimumBytes)
	}
	return n + minimumBytes
}

// packed is what a size estimated for a plain backup is for a compressed one.
func packed(bytes int64) int64 { return (bytes-minimumBytes)/2 + minimumBytes }

// sum adds up a column of a view of the database; ok is false where the server lacks the view or the column, or does not grant it.
func (c *session) sum(ctx context.Context, database, view, column string, unit int64) (n int64, ok bool) {
	rows, err := c.query(ctx, "SELECT * FROM "+quoteName(database)+".sys."+view) // all columns: versions differ in them
	if err != nil {
		return 0, false
	}
	for _, r := range rows {
		if r.has(column) {
			n, ok = n+r.int(column)*unit, true
		}
	}
	return n, ok
}

// Estimate implements backup.Estimator: what the server counts as allocated, changed or logged in the databases of the run.
func (s *Source) Estimate(ctx context.Context, r backup.Request) (int64, error) {
	a, err := s.asked(r)
	if err != nil {
		return 0, err
	}
	c, err := s.open(ctx)
	if err != nil {
		return 0, err
	}
	defer c.close()
	w, err := s.survey(ctx, c, a, r)
	if err != nil {
		return 0, s.fail(ctx, "estimate", "", err)
	}
	var sum int64
	for _, t := range w.tasks {
		if t.choice.kind != "" {
			sum += c.size(ctx, *t.facts, t.choice.kind, s.compresses(w.server))
		}
	}
	return sum, nil
}

// compresses reports whether backups will be compressed.
func (s *Source) compresses(v server) bool {
	return s.opt.Compression == CompressionOn || s.opt.Compression == CompressionAuto && v.compresses()
}

// compression is the clause of BACKUP for it.
func (s *Source) compression(v server) string {
	switch {
	case s.compresses(v):
		return "COMPRESSION"
	case s.opt.Compression == CompressionOff && v.major >= 10 && !strings.HasPrefix(v.edition, "Web"):
		return "NO_COMPRESSION"
	}
	return ""
}

var _ backup.Estimator = (*Source)(nil)
