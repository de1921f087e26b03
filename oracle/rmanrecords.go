package oracle

import (
	"context"
	"fmt"
	"slices"
)

// What the control file knows of backups [REF]. A row of V$BACKUP_DATAFILE has no tag: the set, by stamp and count, leads to the pieces, which do.
const (
	queryPieces = "SELECT SET_STAMP, SET_COUNT, PIECE#, HANDLE, BYTES, STATUS, TAG FROM V$BACKUP_PIECE WHERE DEVICE_TYPE = 'DISK' ORDER BY SET_COUNT, PIECE#"
	queryCopies = "SELECT NAME, TAG, FILE#, STATUS, BLOCKS, BLOCK_SIZE, INCREMENTAL_LEVEL, RESETLOGS_CHANGE#, CHECKPOINT_CHANGE#, ABSOLUTE_FUZZY_CHANGE# FROM V$DATAFILE_COPY ORDER BY FILE#"
	// Rows of the control file have FILE# 0.
	querySaved = "SELECT SET_STAMP, SET_COUNT, FILE#, INCREMENTAL_LEVEL, INCREMENTAL_CHANGE#, RESETLOGS_CHANGE#, CHECKPOINT_CHANGE#, ABSOLUTE_FUZZY_CHANGE#, MARKED_CORRUPT, MEDIA_CORRUPT " +
		"FROM V$BACKUP_DATAFILE ORDER BY FILE#"
	queryRedo     = "SELECT SET_STAMP, SET_COUNT, THREAD#, SEQUENCE#, RESETLOGS_CHANGE#, FIRST_CHANGE#, NEXT_CHANGE# FROM V$BACKUP_REDOLOG ORDER BY THREAD#, SEQUENCE#"
	querySPFiles  = "SELECT SET_STAMP, SET_COUNT FROM V$BACKUP_SPFILE"
	queryChannels = "SELECT SID, SERIAL#, CLIENT_INFO FROM V$SESSION WHERE CLIENT_INFO IS NOT NULL"
	available     = "A"
)

// setKey names a backup set.
type setKey struct{ stamp, count uint64 }

func (r row) set() setKey { return setKey{r.uint("SET_STAMP"), r.uint("SET_COUNT")} }

// pieceRecord is a backup piece as the server recorded it.
type pieceRecord struct {
	set    setKey
	number int
	handle string
	bytes  int64
	status string
	tag    string
}

// fileRecord is a data file in a set, or an image copy of one, as the server recorded it. File 0 is the control file.
type fileRecord struct {
	set  setKey // zero for a copy
	file int
	// level is -1 where there is none.
	level                        int
	base, resets, checkpoint, to SCN
	corrupt                      int64

	// Of a copy.
	name, tag, status string
	bytes             int64 // without block 0
	size              int   // of a block
}

func (f fileRecord) copied() bool { return f.name != "" }

// redoRecord is an archived log in a set.
type redoRecord struct {
	set setKey
	RMANLog
	resets SCN
}

// records is what the server knows of backups.
type records struct {
	pieces  []pieceRecord
	files   []fileRecord
	redo    []redoRecord
	spfiles []setKey
}

// records reads all of it.
func (c *session) records(ctx context.Context) (*records, error) {
	out := &records{}
	err := c.each(ctx, queryPieces, func(r row) {
		out.pieces = append(out.pieces, pieceRecord{r.set(), int(r.int("PIECE#")), r.text("HANDLE"), r.int("BYTES"), r.text("STATUS"), r.text("TAG")})
	})
	if err != nil {
		return nil, err
	}
	level := func(r row) int {
		if r.text("INCREMENTAL_LEVEL") == "" {
			return -1
		}
		return int(r.int("INCREMENTAL_LEVEL"))
	}
	err = c.each(ctx, queryCopies, func(r row) {
		if r.text("NAME") == "" {
			return // deleted
		}
		out.files = append(out.files, fileRecord{
			file: int(r.int("FILE#")), level: level(r), resets: r.scn("RESETLOGS_CHANGE#"), checkpoint: r.scn("CHECKPOINT_CHANGE#"), to: r.scn("ABSOLUTE_FUZZY_CHANGE#"),
			name: r.text("NAME"), tag: r.text("TAG"), status: r.text("STATUS"), bytes: r.int("BLOCKS") * r.int("BLOCK_SIZE"), size: int(r.int("BLOCK_SIZE")),
		})
	})
	if err != nil {
		return nil, err
	}
	err = c.each(ctx, querySaved, func(r row) {
		out.files = append(out.files, fileRecord{
			set: r.set(), file: int(r.int("FILE#")), level: level(r), base: r.scn("INCREMENTAL_CHANGE#"), resets: r.scn("RESETLOGS_CHANGE#"), checkpoint: r.scn("CHECKPOINT_CHANGE#"),
			to: r.scn("ABSOLUTE_FUZZY_CHANGE#"), corrupt: r.int("MARKED_CORRUPT") + r.int("MEDIA_CORRUPT"),
		})
	})
	if err != nil {
		return nil, err
	}
	err = c.each(ctx, queryRedo, func(r row) {
		out.redo = append(out.redo, redoRecord{r.set(), RMANLog{int(r.int("THREAD#")), r.uint("SEQUENCE#"), r.scn("FIRST_CHANGE#"), r.scn("NEXT_CHANGE#")}, r.scn("RESETLOGS_CHANGE#")})
	})
	if err != nil {
		return nil, err
	}
	return out, c.each(ctx, querySPFiles, func(r row) { out.spfiles = append(out.spfiles, r.set()) })
}

// tagged are the records of one backup that are available.
func (all *records) tagged(tag string) *records {
	out := &records{}
	ours := map[setKey]bool{}
	for _, p := range all.pieces {
		if p.tag == tag && p.status == available {
			ours[p.set] = true
			out.pieces = append(out.pieces, p)
		}
	}
	for _, f := range all.files {
		if f.copied() && f.tag == tag && f.status == available || !f.copied() && ours[f.set] {
			out.files = append(out.files, f)
		}
	}
	for _, l := range all.redo {
		if ours[l.set] {
			out.redo = append(out.redo, l)
		}
	}
	for _, s := range all.spfiles {
		if ours[s] {
			out.spfiles = append(out.spfiles, s)
		}
	}
	return out
}

// usable reports whether a set has a piece that is available, or the copy is.
func (all *records) usable(f fileRecord) bool {
	if f.copied() {
		return f.status == available
	}
	return slices.ContainsFunc(all.pieces, func(p pieceRecord) bool { return p.set == f.set && p.status == available })
}

// applies says why a differential would not be relative to the full with that tag; empty when it would. checkpoints are those of its data files. A cumulative one is relative to the newest level 0 that the server
// knows [BRU 8], whoever took it.
func (all *records) applies(tag string, resets SCN, checkpoints map[int]SCN) string {
	known := map[int]bool{}
	for _, f := range all.tagged(tag).files {
		known[f.file] = known[f.file] || f.level == 0 && f.checkpoint == checkpoints[f.file]
	}
	for _, f := range all.files {
		base, ours := checkpoints[f.file]
		switch {
		case !ours || f.level != 0 || f.resets != resets || !all.usable(f):
		case f.checkpoint > base:
			return fmt.Sprintf("another level 0 of data file %d, at SCN %d, was taken since the last full, and RMAN would take that as the base", f.file, f.checkpoint)
		}
	}
	for file := range checkpoints {
		if !known[file] {
			return fmt.Sprintf("the server does not know the last full (tag %s) any more, which a differential is relative to: its record was deleted, or is out of the control file", tag)
		}
	}
	return ""
}
