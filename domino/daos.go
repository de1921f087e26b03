package domino

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	attachmentPrefix = "attachments/"
	attachmentList   = "attachments.jsonl"
	attachmentStream = "attachments"
	// maxRecent bounds the names in a checkpoint; recentSpan is how far before the newest object others may appear that are older.
	maxRecent  = 2000
	recentSpan = 10 * time.Minute
)

// attachmentCheckpoint is the note of a link of the attachment store: objects up to Newest are taken, and Recent names those of the last minutes before it.
type attachmentCheckpoint struct {
	Newest int64    `json:"newest"` // modification time, nanoseconds since 1970
	Recent []string `json:"recent,omitempty"`
	// Before is the link before a full, from which the next log link begins: so that objects which came between it and the full are in a link too, and no time between them is lost.
	Before *attachmentBefore `json:"before,omitempty"`
}

// attachmentBefore is where a link ended.
type attachmentBefore struct {
	End    backup.Position `json:"end"`
	To     time.Time       `json:"to"`
	Newest int64           `json:"newest"`
}

// attachmentLine is one object in the list of a backup.
type attachmentLine struct {
	Name string `json:"name"`
	Size int64  `json:"size"`
}

// attachments takes the objects of the attachment store (DAOS), which are written once and never change: all of them in a full, in a log those that came since. They are taken after the
// databases, so that what these refer to is there [ADM DAOS backup considerations].
func (r *run) attachments(ctx context.Context, p *plan) (backup.Item, error) {
	at := r.s.opt.Now()
	it := backup.Item{Name: itemAttachments, Kind: backup.Full, Stream: attachmentStream, Reason: p.reason, PointInTime: true}
	var since attachmentCheckpoint
	last := r.req.Anchors[itemAttachments].Last
	known := last != nil && json.Unmarshal(last.Checkpoint, &since) == nil
	if known && since.Before == nil {
		since.Before = &attachmentBefore{End: last.End, To: last.Window.To, Newest: since.Newest}
	} else if known {
		since.Newest, since.Recent = since.Before.Newest, nil
	}
	switch {
	case p.full:
	case !known:
		it.Reason, since = "no full backup of it is at the target", attachmentCheckpoint{}
	default:
		it.Kind, it.Parent, it.Begin = backup.Log, last.ID, since.Before.End
	}
	n, note, err := r.objects(ctx, it.Kind == backup.Full, since)
	if err != nil {
		if stageError(err) != nil || ctx.Err() != nil {
			return it, err
		}
		return r.failed(ctx, wanted{file: file{name: itemAttachments}, reason: it.Reason}, err), nil
	}
	if it.Kind == backup.Full {
		note.Before = since.Before
	}
	if it.Checkpoint, err = json.Marshal(note); err != nil {
		return it, err
	}
	end := at
	if last != nil {
		end = laterOf(at, last.Window.To)
	}
	it.End = backup.Position(fmt.Sprintf("%020d", end.UnixNano()))
	it.Window = backup.Window{From: end, To: end}
	if it.Kind == backup.Log {
		it.Window.From = since.Before.To
	} else {
		it.PointInTime = false
	}
	if last != nil && it.End < last.End {
		it.End = last.End
	}
	r.req.Log.Info("attachment store", "objects", n, "kind", it.Kind)
	return it, nil
}

// objects copies the objects and writes their list.
func (r *run) objects(ctx context.Context, all bool, since attachmentCheckpoint) (n int, next attachmentCheckpoint, err error) {
	old := map[string]bool{}
	for _, name := range since.Recent {
		old[name] = true
	}
	w, err := r.st.Create(ctx, backup.Artifact{Name: attachmentList, Item: itemAttachments, Role: backup.RoleControl})
	if err != nil {
		return 0, next, staging{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	sum := newSum()
	out := bufio.NewWriter(writers{w, sum})
	next.Newest = since.Newest
	recent := map[string]int64{}
	for name := range old {
		recent[name] = since.Newest
	}
	skipped, oldestSkipped := 0, int64(math.MaxInt64)
	err = filepath.WalkDir(r.inv.attachments, func(at string, e fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			if at == r.inv.attachments {
				return local{err}
			}
			skipped++
			return nil
		}
		if e.IsDir() || !strings.EqualFold(path.Ext(e.Name()), ".nlo") {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return nil //nolint:nilerr // it was deleted, as objects are that nothing refers to
		}
		rel, err := filepath.Rel(r.inv.attachments, at)
		if err != nil {
			return local{err}
		}
		name, mod := filepath.ToSlash(rel), info.ModTime().UnixNano()
		if !all && (old[name] || mod < since.Newest-int64(recentSpan)) {
			return nil
		}
		err = r.plain(ctx, backup.Artifact{Name: attachmentPrefix + name, Item: itemAttachments, Role: backup.RoleData}, at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil && (stageError(err) != nil || ctx.Err() != nil):
			return err
		case err != nil:
			skipped, oldestSkipped = skipped+1, min(oldestSkipped, mod) // in use: the next run takes it
			return nil                                                  //nolint:nilerr // it was deleted since
		}
		n++
		next.Newest = max(next.Newest, mod)
		recent[name] = mod
		line, err := json.Marshal(attachmentLine{name, info.Size()})
		if err != nil {
			return err
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return staging{err}
		}
		return nil
	})
	if err != nil {
		return n, next, err
	}
	if skipped > 0 {
		r.warn("%d objects of the attachment store could not be read; those that are in use come with a later run", skipped)
	}
	next.Newest = min(next.Newest, oldestSkipped)
	for name, mod := range recent {
		if mod >= next.Newest-int64(recentSpan) && len(next.Recent) < maxRecent {
			next.Recent = append(next.Recent, name)
		}
	}
	if err := out.Flush(); err != nil {
		return n, next, staging{err}
	}
	w.Annotate(metaSum, sumText(sum))
	w.Annotate("objects", fmt.Sprint(n))
	if err := w.Commit(); err != nil {
		return n, next, staging{err}
	}
	return n, next, nil
}

// writers writes to the stage, and to the sum what the stage took.
type writers struct {
	w   *backup.Writer
	sum interface{ Write([]byte) (int, error) }
}

func (w writers) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	_, _ = w.sum.Write(p[:n])
	return n, err
}

// directoryThere reports whether a path is a directory.
func directoryThere(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
