package domino

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	filePrefix = "files/"
	// maxNamed is how many files are named in warnings; the others are counted.
	maxNamed = 20
)

// files takes everything in the data directory that is no database and is not made anew by Domino, and notes.ini. A file that cannot be read is named, and the others go on.
//
// Files have no log. They are given a place in that of the databases, so that everything can be restored to one time: files then are those of the full before it.
func (r *run) files(ctx context.Context, p *plan) (backup.Item, error) {
	now, reason := r.s.opt.Now(), p.reason
	it := backup.Item{Name: itemFiles, Kind: backup.Full, Reason: reason, Window: backup.Window{From: now, To: now}}
	if n, ok := p.current.last(); ok {
		it.Stream, it.End = p.current.id().String(), position(n, now)
	}
	if err := r.notesINI(ctx, itemFiles); err != nil {
		if stageError(err) != nil || ctx.Err() != nil {
			return it, err
		}
		return r.failed(ctx, wanted{file: file{name: itemFiles}, reason: reason}, err), nil
	}
	kept, unread := 0, 0
	for _, f := range r.inv.files {
		if ctx.Err() != nil {
			return it, context.Cause(ctx)
		}
		err := r.plain(ctx, backup.Artifact{Name: filePrefix + f.name, Item: itemFiles, Role: backup.RoleConfig, Meta: map[string]string{"mode": modeOf(f.path)}}, f.path)
		switch {
		case stageError(err) != nil || ctx.Err() != nil:
			return it, err
		case err == nil:
			kept++
		case errors.Is(err, fs.ErrNotExist):
		default:
			if unread++; unread <= maxNamed {
				r.warn("%s is not in the backup: %v", f.name, err)
			}
		}
	}
	if unread > maxNamed {
		r.warn("%d more files could not be read and are not in the backup", unread-maxNamed)
	}
	if kept == 0 && r.inv.ini == nil {
		return r.failed(ctx, wanted{file: file{name: itemFiles}, reason: reason}, fmt.Errorf("none of %d plain files could be read, and notes.ini was not found", len(r.inv.files))), nil
	}
	return it, nil
}

// modeOf is the permission of a file, for its return.
func modeOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%o", info.Mode().Perm())
}
