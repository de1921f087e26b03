package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// oracleFile is a file of Oracle Database of one kind, whatever its name ends in. It is read to its end.
type oracleFile struct{ kind blockfile.Kind }

func (o oracleFile) Type() string { return "Oracle " + string(o.kind) }

func (o oracleFile) Match(head []byte, _ int64) bool {
	kind, ok := blockfile.Match(head)
	return ok && kind == o.kind
}

func (o oracleFile) Inspect(ctx context.Context, f *os.File) (r Report, err error) {
	switch o.kind {
	case blockfile.Data:
		var d *blockfile.DataFile
		d, err = blockfile.VerifyData(ctx, f, blockfile.Options{Hot: true}) // where the header says that it was in backup mode
		r.Details = oracleData(d)
	case blockfile.Redo:
		var l *blockfile.RedoLog
		l, err = blockfile.VerifyRedo(ctx, f)
		r.Details = oracleRedo(l)
	case blockfile.Control:
		var c *blockfile.ControlFile
		c, err = blockfile.VerifyControl(ctx, f)
		r.Details = oracleIdentity(c.Database, c.DBID, c.Compatible, c.BigEndian, c.BlockSizeBytes, c.Blocks)
		r.Details["checked"] = oracleChecked(c.Depth)
		r.Details["sequence"] = c.Sequence
	}
	for _, e := range joined(err) {
		if !errors.Is(e, backup.ErrCorrupt) {
			return r, e
		}
		r.problem("%v", e)
	}
	return r, nil
}

// oracleIdentity is what the headers of all kinds say. SCNs are text everywhere: they are longer than what programs take for a number.
func oracleIdentity(name string, dbid uint32, compatible blockfile.Version, big bool, size int, blocks uint32) map[string]any {
	order := "little-endian"
	if big {
		order = "big-endian"
	}
	return map[string]any{"database": plain(name), "dbid": dbid, "compatible": compatible.String(), "byte_order": order, "block_bytes": size, "blocks": blocks}
}

func oracleData(d *blockfile.DataFile) map[string]any {
	m := oracleIdentity(d.Database, d.DBID, d.Compatible, d.BigEndian, d.BlockSizeBytes, d.Blocks)
	state := "closed"
	switch {
	case d.InBackup():
		state = "in backup mode since SCN " + scn(d.BackupSCN)
	case d.Fuzzy():
		state = "open, and not in backup mode"
	}
	m["file"], m["relative_file"], m["tablespace"], m["tablespace_number"], m["bigfile"] = d.File, d.RelativeFile, plain(d.TablespaceName), d.Tablespace, d.Bigfile
	m["state"], m["checkpoint_scn"], m["checkpoint_time"], m["highest_scn"] = state, scn(d.CheckpointSCN), serverTime(d.CheckpointTime), scn(d.HighestSCN)
	m["creation_scn"], m["resetlogs_id"], m["resetlogs_scn"] = scn(d.CreationSCN), d.ResetlogsID, scn(d.ResetlogsSCN)
	m["never_written"], m["fractured"], m["without_checksum"], m["checked"] = d.Zero, d.Fractured, d.Unsummed, oracleChecked(d.Depth)
	if d.Fractured > 0 {
		list := []string{}
		for _, f := range d.Findings {
			list = append(list, fmt.Sprintf("block %d: %s", f.Block, f.What))
		}
		m["fractured_blocks"] = list
	}
	if len(d.Warnings) > 0 {
		m["warnings"] = d.Warnings
	}
	return m
}

func oracleRedo(l *blockfile.RedoLog) map[string]any {
	m := oracleIdentity(l.Database, l.DBID, l.Compatible, l.BigEndian, l.BlockSizeBytes, l.Blocks)
	m["thread"], m["sequence"], m["resetlogs_id"], m["resetlogs_scn"] = l.Thread, l.Sequence, l.ResetlogsID, scn(l.ResetlogsSCN)
	m["first_scn"], m["first_time"], m["next_scn"], m["next_time"] = scn(l.FirstSCN), serverTime(l.FirstTime), scn(l.NextSCN), serverTime(l.NextTime)
	m["description"], m["without_checksum"], m["checked"] = plain(l.Description), l.Unsummed, oracleChecked(l.Depth)
	if len(l.Warnings) > 0 {
		m["warnings"] = l.Warnings
	}
	return m
}

// oracleChecked says how much the absence of problems is worth.
func oracleChecked(d blockfile.Depth) string {
	switch d {
	case blockfile.Summed:
		return "structure, and all blocks by their checksums"
	case blockfile.Walked:
		return "structure, and the blocks that are whole and have a checksum"
	case blockfile.Measured:
		return "header and length; only a server reads the content"
	}
	return "up to the first problem"
}

func scn(v uint64) string {
	if v == blockfile.NoSCN {
		return "none"
	}
	return strconv.FormatUint(v, 10)
}

// serverTime is a time without a zone.
func serverTime(t time.Time) string {
	if t.IsZero() {
		return "unknown"
	}
	return t.Format(time.DateTime) + " server's time"
}

// plain is text of a file, fit for a terminal.
func plain(s string) string {
	q := strconv.QuoteToGraphic(s)
	return q[1 : len(q)-1]
}
