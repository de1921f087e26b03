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
	"github.com/quiesce-go/quiesce/internal/atomicfile"
	"github.com/quiesce-go/quiesce/internal/filelock"
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
	done, err := s.scratch(ctx, dir, scratch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.fail(ctx, "remove what was rehearsed in", dir, done())) }()
	x := &restoring{s: s, r: r, set: set, c: c, proving: true}
	if err := x.all(ctx); err != nil {
		return s.fail(ctx, "rehearse", "", err)
	}
	x.note()
	return nil
}

// scratch makes the folder of a rehearsal, and removes what one that died left there, as its note tells. done removes the folder.
func (s *Source) scratch(ctx context.Context, dir, scratch string) (done func() error, err error) {
	note := groupPath(s.opt.StateDir, s.opt.Instance, dir, "rehearsing")
	if err := os.MkdirAll(s.opt.StateDir, 0o700); err != nil {
		return nil, s.fail(ctx, "rehearse", dir, err)
	}
	lock, err := filelock.Take(groupPath(s.opt.StateDir, s.opt.Instance, dir, "rehearsal.lock"))
	if errors.Is(err, filelock.ErrHeld) {
		err = fmt.Errorf("%w: another rehearsal runs there", backup.ErrBusy)
	}
	if err != nil {
		return nil, s.fail(ctx, "rehearse", dir, err)
	}
	fail := func(err error) (func() error, error) {
		return nil, s.fail(ctx, "rehearse", dir, errors.Join(err, lock.Release()))
	}
	if there(dir) && !there(note) {
		return fail(s.refuse("rehearse", dir, "delete it when nobody wants what is in it", "%s is there, and no rehearsal noted that it made it", dir))
	}
	if err := removeTree(dir); err != nil {
		return fail(err)
	}
	had := there(scratch)
	if err := errors.Join(atomicfile.Write(note, []byte(dir+"\n")), os.MkdirAll(dir, 0o700)); err != nil {
		return fail(err)
	}
	return func() error {
		err := removeTree(dir)
		if !had {
			err = errors.Join(err, os.Remove(scratch))
		}
		if err == nil {
			err = os.Remove(note)
		}
		return errors.Join(err, lock.Release())
	}, nil
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
