package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/filelock"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// rehearsalPrefix begins the names of what rehearsals make below the scratch folder. The lock beside the folder stays; it is empty.
const rehearsalPrefix = "quiesce-rehearsal-"

// lockRehearsal takes the place below the scratch folder, so that one rehearsal is there at a time. The lock ends with the process, however that ends: what is in the folder then is of a dead one.
func lockRehearsal(scratch, name string) (dir string, lock *filelock.Lock, err error) {
	dir = filepath.Join(scratch, rehearsalPrefix+name)
	lock, err = filelock.Take(dir + ".lock")
	if errors.Is(err, filelock.ErrHeld) {
		err = &backup.Error{Op: "rehearse in", App: application, Artifact: dir, Err: fmt.Errorf("another rehearsal is at work there: %w", backup.ErrBusy), Advice: "wait for it, or name another scratch folder and auxiliary instance"}
	}
	return dir, lock, err
}

// rehearseAuxiliary recovers the database in the auxiliary instance, looks at it and removes it.
func (s *Source) rehearseAuxiliary(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string, o rehearsalOptions) (err error) {
	dir, lock, err := lockRehearsal(scratch, s.opt.Auxiliary)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	aux := s.auxiliaryOf(set, dir)
	aux.elsewhere = o.elsewhere
	r.Options = map[string]string{"to": dir, "open": "resetlogs"}
	for key, value := range o.restore {
		r.Options[key] = value
	}
	c, err := aux.plan(ctx, r, set)
	if err != nil {
		return err
	}
	// Names first, so that the instance of the original is not even asked.
	for _, refuse := range []func(c *course) error{aux.apart, aux.harmless} {
		if err := refuse(c); err != nil {
			return err
		}
	}
	if err := aux.sweep(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, aux.clear(ctx)) }()
	if c.rman != nil {
		c.rman.alone = true
	}
	c.pfile = aux.parameters(c, o.parameters)
	if err := os.MkdirAll(aux.traces(), 0o750); err != nil {
		return err
	}
	p, err := aux.putting(c, set, false)
	if err != nil {
		return err
	}
	if err := p.room(); err != nil {
		return err
	}
	if err := p.all(ctx, instance{}); err != nil {
		return err
	}
	return aux.bringUp(ctx, c)
}

// sweep ends and removes what a dead rehearsal left.
func (a *auxiliary) sweep(ctx context.Context) error {
	ended, err := a.end(ctx)
	if err != nil {
		return err
	}
	if ended {
		a.set.Warn(fmt.Sprintf("the auxiliary instance %s of a rehearsal that died was ended", a.sid))
	}
	if _, err := os.Lstat(a.dir); missing(err) {
		return nil
	}
	a.set.Warn(fmt.Sprintf("the files of a rehearsal that died are removed: %s", a.dir))
	return os.RemoveAll(a.dir)
}

// clear ends the instance and removes its files, on a context of its own. Files of an instance that does not end stay.
func (a *auxiliary) clear(ctx context.Context) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if _, err := a.end(clean); err != nil {
		return err
	}
	return os.RemoveAll(a.dir)
}

// bringUp takes the copy from files to an open database, and checks it at each stage.
func (a *auxiliary) bringUp(ctx context.Context, c *course) error {
	phases := []struct {
		note string
		do   func(ctx context.Context, c *course) error
	}{
		{"", a.mount}, {"recovered", a.recovered}, {"blocks", a.blocks}, {"opened", a.opened}, {"checked", a.checked},
	}
	var began time.Time
	for _, p := range phases {
		if err := p.do(ctx, c); err != nil {
			return err
		}
		at, err := a.clock(ctx)
		if err != nil {
			return err
		}
		if p.note != "" {
			a.set.Note(p.note, at.Sub(began).String())
		}
		began = at
	}
	a.set.Note("instance", fmt.Sprintf("%s, database %s (DBID %d) from %d backups", a.sid, c.control.inv.Name, c.control.inv.DBID, len(c.steps)))
	a.set.Note("target", c.goal)
	return nil
}

// clock is the server's, to the second.
func (a *auxiliary) clock(ctx context.Context) (time.Time, error) {
	r, err := a.rows(ctx, "SELECT TO_CHAR(SYSDATE, 'YYYY-MM-DD HH24:MI:SS') FROM DUAL")
	if err == nil && (len(r) != 1 || len(r[0]) != 1) {
		err = errors.New("the instance does not tell the time")
	}
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.DateTime, r[0][0])
}

// mount starts the instance and gives the copy names of its own.
func (a *auxiliary) mount(ctx context.Context, c *course) error {
	var err error
	if c.rman != nil {
		err = a.chapters(ctx, a.set, c.started())
	} else {
		err = a.mountBySQLPlus(ctx, c, a.set)
	}
	if err != nil {
		return err
	}
	if err := a.detach(ctx, c); err != nil {
		return err
	}
	if err := a.quiet(ctx); err != nil {
		return err
	}
	if c.rman != nil {
		if err := a.chapters(ctx, a.set, c.restored()); err != nil {
			return err
		}
	}
	return a.contained(ctx, c)
}

// quiet keeps the copy from backing up its control file by itself, to where the original does [RMAN, CONFIGURE]: the control file has those settings too.
func (a *auxiliary) quiet(ctx context.Context) error {
	if !a.hasRMAN() {
		return nil
	}
	for _, command := range []string{"CONFIGURE CONTROLFILE AUTOBACKUP OFF;\n", "CONFIGURE SNAPSHOT CONTROLFILE NAME TO " + quoteText(filepath.Join(a.dir, "snapshot.ctl")) + ";\n"} {
		if _, err := a.rman(ctx, a.set.Moved, command); err != nil {
			return err
		}
	}
	return nil
}

func (a *auxiliary) hasRMAN() bool {
	_, err := exec.LookPath(a.opt.RMAN)
	return err == nil
}

func (a *auxiliary) recovered(ctx context.Context, c *course) error {
	var err error
	if c.rman != nil {
		err = a.chapters(ctx, a.set, c.recovering())
	} else {
		err = a.recoverBySQLPlus(ctx, c, a.set, preamble, false)
	}
	// Redo does not go with a block, or the block is damaged [ERR].
	if m := damagedFile.FindStringSubmatch(fmt.Sprint(err)); m != nil && said(err, 1578, 600, 10567) {
		return c.damaged(m[1], "", err)
	}
	if err != nil {
		return err
	}
	return a.contained(ctx, c) // a file that redo told of is in the control file since
}

var damagedFile = regexp.MustCompile(`file ?# ?(\d+)`)

// blocks reads the recovered files. The database is not open yet, so each block must be whole: redo has repaired those that were half written while they were copied.
func (a *auxiliary) blocks(ctx context.Context, c *course) error {
	all, err := a.rows(ctx, "SELECT FILE#, NAME FROM V$DATAFILE ORDER BY FILE#")
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(a.opt.Files)
	for _, r := range all {
		if inside(a.dir, r[1]) {
			g.Go(func() error { return a.block(gctx, c, r[0], r[1]) })
		}
	}
	return g.Wait()
}

func (a *auxiliary) block(ctx context.Context, c *course, number, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read only
	have, err := blockfile.VerifyData(ctx, alive{f, a.set}, blockfile.Options{})
	if err == nil && fmt.Sprint(have.File) != number {
		err = wrong("it says that it is data file %d, not %s", have.File, number)
	}
	if !errors.Is(err, backup.ErrCorrupt) {
		return err
	}
	return c.damaged(number, path, err)
}

// alive counts what is read as progress.
type alive struct {
	*os.File
	set *backup.RestoreSet
}

func (r alive) Read(p []byte) (int, error) {
	r.set.Moved()
	return r.File.Read(p)
}

// damaged is a data file of the copy that is not as it should be, by its name in the original.
func (c *course) damaged(number, path string, err error) error {
	name := path
	for _, d := range c.control.inv.DataFiles {
		if fmt.Sprint(d.File) == number {
			name = d.Name
		}
	}
	if !errors.Is(err, backup.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", backup.ErrCorrupt, err)
	}
	return &backup.Error{Op: "check the recovered data file", App: application, ID: c.full.step.ID, Artifact: name, Err: fmt.Errorf("data file %s: %w", number, err),
		Advice: "check the file in the database itself (RMAN: VALIDATE DATAFILE " + number + "): if it is whole there, take a full now and rehearse older backups to find when the damage came"}
}

func (a *auxiliary) opened(ctx context.Context, c *course) error {
	if c.rman != nil {
		return a.openByRMAN(ctx, c, a.set)
	}
	return a.openBySQLPlus(ctx, c, a.set)
}

// checked asks the open copy about its files: none needs recovery, each header can be read and belongs to the new incarnation.
func (a *auxiliary) checked(ctx context.Context, c *course) error {
	ignored := func(number string) bool {
		return slices.ContainsFunc(c.offline, func(d DataFile) bool { return fmt.Sprint(d.File) == number })
	}
	lacking, err := a.rows(ctx, "SELECT FILE#, ONLINE_STATUS, ERROR FROM V$RECOVER_FILE WHERE ONLINE_STATUS = 'ONLINE'")
	if err != nil {
		return err
	}
	for _, r := range lacking {
		if !ignored(r[0]) {
			return c.damaged(r[0], "", fmt.Errorf("it still needs recovery: %s", strings.Join(r[1:], " ")))
		}
	}
	headers, err := a.rows(ctx, "SELECT FILE#, STATUS, RECOVER, ERROR, NAME FROM V$DATAFILE_HEADER ORDER BY FILE#")
	if err != nil {
		return err
	}
	seen := 0
	for _, r := range headers {
		switch {
		case len(r) != 5:
			return fmt.Errorf("V$DATAFILE_HEADER answered %q", strings.Join(r, column))
		case ignored(r[0]) || r[1] == "OFFLINE":
			continue
		case r[3] != "" || strings.EqualFold(r[2], "YES"):
			return c.damaged(r[0], r[4], fmt.Errorf("its header: error %q, recovery needed %q", r[3], r[2]))
		}
		seen++
	}
	a.set.Note("data files", fmt.Sprintf("%d opened, each block read and whole", seen))
	return a.logical(ctx, c)
}

// logical has RMAN look into every block, where it is there. What it finds it lists in a view, and does not fail by it [RMAN].
func (a *auxiliary) logical(ctx context.Context, c *course) error {
	if !a.hasRMAN() {
		a.set.Note("logical check", "not done: there is no program "+a.opt.RMAN)
		return nil
	}
	if _, err := a.rman(ctx, a.set.Moved, "VALIDATE CHECK LOGICAL DATABASE;\n"); err != nil {
		return err
	}
	bad, err := a.rows(ctx, "SELECT FILE#, BLOCK#, BLOCKS, CORRUPTION_TYPE FROM V$DATABASE_BLOCK_CORRUPTION")
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return c.damaged(bad[0][0], "", fmt.Errorf("VALIDATE CHECK LOGICAL lists %d ranges of blocks; first, from block %s on, %s blocks: %s", len(bad), bad[0][1], bad[0][2], bad[0][3]))
	}
	a.set.Note("logical check", "RMAN found no damage")
	return nil
}
