package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// eseFiles are the files of the Extensible Storage Engine that were looked at: databases and logs of Exchange, Active Directory and other programs of Windows.
type eseFiles struct {
	databases   []eseFound[*ese.Database]
	logs        []eseFound[*ese.Log]
	checkpoints []eseFound[*ese.Checkpoint]
}

// eseFound is what a file was found to be.
type eseFound[T any] struct {
	path string
	what T
}

// dir and base are the two parts of the path.
func (f eseFound[T]) dir() string  { return filepath.Dir(f.path) }
func (f eseFound[T]) base() string { return filepath.Base(f.path) }

// eseRange is generations of logs. In JSON they are numbers, for people they are written as in names of logs.
type eseRange struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

func (r eseRange) String() string {
	switch {
	case r == eseRange{}:
		return "none"
	case r.First == r.Last:
		return fmt.Sprintf("0x%X", r.First)
	}
	return fmt.Sprintf("0x%X to 0x%X", r.First, r.Last)
}

// eseProblems are what is wrong with a file.
func eseProblems(r *Report, err error) error {
	for _, e := range joined(err) {
		if !errors.Is(e, backup.ErrCorrupt) {
			return e
		}
		r.problem("%v", e)
	}
	return nil
}

// eseChecked says how much the absence of problems is worth.
func eseChecked(d ese.Depth) string {
	switch d {
	case ese.Summed:
		return "header, and all that was ever written by its checksums"
	case ese.Measured:
		return "header and length; only the server reads the content"
	case ese.HeaderRead:
		return "header"
	}
	return "up to the first problem"
}

// eseDatabase is a database, whatever its name ends in. It is read to its end.
type eseDatabase struct{ all *eseFiles }

func (eseDatabase) Type() string { return "ESE database" }

func (eseDatabase) Match(head []byte, _ int64) bool { return ese.Match(head) }

func (i eseDatabase) Inspect(ctx context.Context, f *os.File) (r Report, err error) {
	d, err := ese.VerifyDatabase(ctx, f, -1)
	r.Details = map[string]any{"bytes": d.SizeBytes, "checked": eseChecked(d.Depth)}
	if d.PageSizeBytes > 0 {
		eseHeader(r.Details, d)
		i.all.databases = append(i.all.databases, eseFound[*ese.Database]{f.Name(), d})
	}
	return r, eseProblems(&r, err)
}

func eseHeader(m map[string]any, d *ese.Database) {
	required := eseRange{d.RequiredFirst, d.RequiredLast}
	switch {
	case d.Trailer != nil:
		required = eseRange{d.Trailer.Full.First, d.Trailer.Full.Last}
	case !d.FullCurrent.IsZero():
		required = eseRange{d.FullCurrent.First, d.FullCurrent.Last}
	}
	m["state"], m["required_logs"], m["committed_log"] = d.State.String(), required, eseRange{d.CommittedLast, d.CommittedLast}
	m["page_bytes"], m["pages_good"], m["pages_unused"], m["pages_bad"] = d.PageSizeBytes, d.Good, d.Unused, d.Bad
	m["database_signature"], m["log_signature"], m["server"] = d.Signature.String(), d.LogSignature.String(), plain(d.LogSignature.Computer)
	m["format"] = fmt.Sprintf("0x%X,%d", d.Format, d.FormatMinor)
	for key, mark := range map[string]ese.BackupMark{"last_full": d.FullPrevious, "last_incremental": d.IncrementalPrevious, "last_copy": d.CopyPrevious, "last_differential": d.DifferentialPrevious} {
		m[key] = mark.String()
	}
	for key, set := range map[string]bool{"streaming_file": d.Streaming, "streaming_copy": !d.FullCurrent.IsZero(), "snapshot_copy": !d.SnapshotCurrent.IsZero()} {
		if set {
			m[key] = true
		}
	}
	for key, n := range map[string]int64{"pages_old_checksum": d.Old, "repairs": int64(d.Repairs)} {
		if n > 0 {
			m[key] = n
		}
	}
	if len(d.Notes) > 0 {
		m["notes"] = d.Notes
	}
}

// eseLog is a log. It is read to its end.
type eseLog struct{ all *eseFiles }

func (eseLog) Type() string { return "ESE log" }

func (eseLog) Match(head []byte, _ int64) bool { return ese.MatchLog(head) }

// MatchName knows a log by the number in its name, so that one with a damaged header is called that.
func (eseLog) MatchName(base string) bool {
	name, ok := ese.ParseLogName(base)
	return ok && name.Generation > 0
}

func (i eseLog) Inspect(ctx context.Context, f *os.File) (r Report, err error) {
	l, err := ese.VerifyLog(ctx, f)
	r.Details = map[string]any{"bytes": l.SizeBytes, "checked": eseChecked(l.Depth)}
	if l.Major > 0 {
		r.Details["generation"], r.Details["log_signature"], r.Details["server"] = eseRange{l.Generation, l.Generation}, l.Signature.String(), plain(l.Signature.Computer)
		r.Details["created"], r.Details["previous_created"], r.Details["circular"] = l.Created.String(), l.PreviousCreated.String(), l.Circular
		r.Details["format"] = fmt.Sprintf("%d.%d.%d.%d", l.Major, l.Minor, l.UpdateMajor, l.UpdateMinor)
		if l.Major >= 8 {
			r.Details["segments_data"], r.Details["segments_unused"], r.Details["segments_bad"] = l.Data, l.Unused, l.Bad
		}
		i.all.logs = append(i.all.logs, eseFound[*ese.Log]{f.Name(), l})
	}
	return r, eseProblems(&r, err)
}

// eseCheckpoint is a checkpoint file.
type eseCheckpoint struct{ all *eseFiles }

func (eseCheckpoint) Type() string { return "ESE checkpoint" }

func (eseCheckpoint) Match(head []byte, size int64) bool {
	return ese.MatchCheckpoint(head) || size == 8192 && len(head) == 8192 && ese.MatchCheckpoint(head[4096:])
}

func (i eseCheckpoint) Inspect(ctx context.Context, f *os.File) (r Report, err error) {
	c, err := ese.VerifyCheckpoint(ctx, f)
	r.Details = map[string]any{}
	if !c.Signature.IsZero() {
		r.Details["checkpoint"], r.Details["log_signature"], r.Details["server"] = c.At.String(), c.Signature.String(), plain(c.Signature.Computer)
		i.all.checkpoints = append(i.all.checkpoints, eseFound[*ese.Checkpoint]{f.Name(), c})
	}
	return r, eseProblems(&r, err)
}

// eseReserve is disk space that the engine keeps for its last logs, known by its name only: all zero, and never part of a backup.
type eseReserve struct{}

func (eseReserve) Type() string { return "ESE reserve log" }

func (eseReserve) Match([]byte, int64) bool { return false }

var reserveName = regexp.MustCompile(`(?i)^(...res0000[12]\.jrs|res[12]\.log)$`)

func (eseReserve) MatchName(base string) bool { return reserveName.MatchString(base) }

func (eseReserve) Inspect(_ context.Context, f *os.File) (r Report, err error) {
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	r.Details = map[string]any{"bytes": info.Size(), "checked": "name only; there is nothing in it, and no recovery needs it"}
	return r, nil
}
