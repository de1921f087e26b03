package cli

import (
	"context"
	"errors"
	"os"
	"regexp"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// notesDatabase is a database, template or mailbox of Notes and Domino, whatever its name ends in. It is read to its end.
type notesDatabase struct{}

func (notesDatabase) Type() string { return "Notes database" }

func (notesDatabase) Match(head []byte, _ int64) bool { return nsf.Match(head) }

func (notesDatabase) Inspect(ctx context.Context, f *os.File) (Report, error) {
	var r Report
	d, err := nsf.Verify(ctx, f, -1)
	r.Details = map[string]any{"ods": d.ODS, "release": orElse(d.Release, "unknown"), "class": d.Class.String(), "title": plain(d.Title), "replica_id": d.ReplicaID, "bytes": d.FileBytes,
		"dbiid": "none", "log_id": "none", "data_modified": notesTime(d.Modified), "design_modified": notesTime(d.DesignModified)}
	for key, value := range map[string]string{"categories": d.Categories, "template": d.Template, "inherits_from": d.Inherits} {
		if value != "" {
			r.Details[key] = plain(value)
		}
	}
	if !d.DBIID.IsZero() {
		r.Details["dbiid"] = d.DBIID.String()
	}
	if !d.LogID.IsZero() {
		r.Details["log_id"] = d.LogID.String()
	}
	if len(d.Notes) > 0 {
		r.Details["notes"] = d.Notes
	}
	r.Details["checked"] = "up to the first problem"
	switch {
	case d.Depth == nsf.Measured:
		r.Details["checked"] = "header, length and superblocks; only Notes reads the content"
	case err == nil:
		r.Details["checked"] = "signature and length; the structure is not known here"
	}
	for _, e := range joined(err) {
		if !errors.Is(e, backup.ErrCorrupt) {
			return r, e
		}
		r.problem("%v", e)
	}
	return r, nil
}

// notesTime is a time, which Notes keeps in GMT.
func notesTime(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.Format(time.RFC3339)
}

// notesExtent is a file of Domino's transaction log, known by its name only.
type notesExtent struct{}

func (notesExtent) Type() string { return "Domino log extent" }

func (notesExtent) Match([]byte, int64) bool { return false }

var extentName = regexp.MustCompile(`(?i)^S\w{7}\.TXN$`)

// MatchName goes by S, seven characters and .TXN [ADM Transaction logging].
func (notesExtent) MatchName(base string) bool { return extentName.MatchString(base) }

func (notesExtent) Inspect(_ context.Context, f *os.File) (r Report, err error) {
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	r.Details = map[string]any{"bytes": info.Size(), "checked": "name only; the format is not published, and the name does not tell the number of the extent"}
	if info.Size() == 0 {
		r.problem("is empty")
	}
	return r, nil
}
