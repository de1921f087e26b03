package domino

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// mend looks for what a restore that was killed left at the places of this one. A database that it had set aside, with nothing in its place, is put back. Where both are there nobody but a person knows which one is
// wanted, and the restore is refused, with what to do.
func (x *restoring) mend(ctx context.Context) error {
	for _, t := range x.c.targets {
		old := t.to + replaced
		aside, err := there(old)
		if err != nil {
			return err
		}
		if !aside {
			continue
		}
		is, err := there(t.to)
		if err != nil {
			return err
		}
		if is {
			return x.s.refuse("restore", t.item, fmt.Sprintf("look at %s: when it is as it should be, delete %s; to have the original back, take the database offline (drop all, dbcache flush) and rename %s to %s; then restore again", t.to, old, old, t.to),
				"a restore of it was killed before it was through: %s is what it restored, and %s is the original that was there before", t.to, old)
		}
		if err := os.Rename(old, t.to); err != nil {
			return err
		}
		if err := errors.Join(syncDir(filepath.Dir(t.to)), x.online(ctx, t)); err != nil {
			return err
		}
		x.set.Warn(fmt.Sprintf("a restore of %s was killed while the original was set aside as %s; it was put back to its place", t.item, old))
	}
	return nil
}
