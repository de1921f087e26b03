package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// pageProof is what a rehearsal found.
type pageProof struct {
	databases     int
	good, unused  int64
	bytes         int64
	systemFiles   int
	recoveredWith []string
}

// rehearsalFolder is made in the scratch folder, and removed with what is in it.
const rehearsalFolder = "quiesce-rehearsal"

// Rehearse implements backup.Rehearser. scratch is a folder of this machine with room for the databases and their logs. In a folder of its own below it the databases are restored and recovered, by eseutil or, copies by the
// streaming API, by the server, which must see the folder by the same path; then every page is read and must have the right checksum, and every header must say that no log is needed. The files of a system state are read only. Then all is removed.
func (s *Source) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) (err error) {
	if len(r.Options) > 0 {
		return s.fail(ctx, "rehearse", "", fmt.Errorf("%w: a rehearsal takes no options", backup.ErrOption))
	}
	if !filepath.IsAbs(scratch) {
		return s.refuse("rehearse", scratch, "name an absolute path of a folder with room for the databases", "the scratch folder is %q", scratch)
	}
	dir := filepath.Join(scratch, rehearsalFolder)
	c, err := s.newCourse(r, set, restoreOptions{to: dir, recover: byEngine})
	if err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	for _, g := range c.groups {
		if g.way == WayESE {
			dir, scratch = s.at(dir), s.at(scratch)
		}
	}
	if there(dir) {
		return s.refuse("rehearse", dir, "let the other rehearsal end; what one that died left may be deleted", "%s is there", dir)
	}
	made := there(scratch)
	defer func() {
		rerr := removeTree(dir)
		if !made {
			rerr = errors.Join(rerr, os.Remove(scratch))
		}
		if rerr != nil {
			err = errors.Join(err, s.fail(ctx, "remove what was rehearsed in", dir, rerr))
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return s.fail(ctx, "rehearse", dir, err)
	}
	x := &restoring{s: s, r: r, set: set, c: c, proving: true}
	if err := x.all(ctx); err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	x.note()
	return nil
}

// prove reads every page of a recovered database.
func (x *restoring) prove(ctx context.Context, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var d *ese.Database
	err = x.moving(func() (err error) {
		d, err = ese.VerifyDatabase(ctx, f, info.Size())
		return err
	})
	if err != nil {
		return fmt.Errorf("%s, recovered: %w", filepath.Base(path), err)
	}
	x.proved.databases++
	x.proved.good += d.Good
	x.proved.unused += d.Unused
	x.proved.bytes += d.SizeBytes
	return nil
}

// note puts into the proof what was found.
func (x *restoring) note() {
	for _, g := range x.c.groups {
		x.proved.recoveredWith = append(x.proved.recoveredWith, g.summary())
	}
	x.set.Note("databases recovered", fmt.Sprint(x.proved.databases))
	x.set.Note("pages verified", fmt.Sprintf("%d with their checksums, %d never used, %d bytes", x.proved.good, x.proved.unused, x.proved.bytes))
	if len(x.proved.recoveredWith) > 0 {
		x.set.Note("logs", strings.Join(x.proved.recoveredWith, "; "))
	}
	if len(x.c.system) > 0 {
		x.set.Note("system state", fmt.Sprintf("%d files read", x.proved.systemFiles))
	}
}

var _ backup.Rehearser = (*Source)(nil)
