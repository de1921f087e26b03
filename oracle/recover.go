package oracle

import (
	"context"
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
)

// Recover implements backup.Recoverer. It ends the backup mode of data files of which the note in Options.StateDir proves that a dead run of this job began it, drops the DIRECTORY objects of the
// job, and removes what dead runs of RMAN made, the files and what the control file knows of them. What somebody else began stays as it is.
func (s *Source) Recover(ctx context.Context, job string, h backup.History) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	inv := &Inventory{}
	if err := c.askDatabase(ctx, inv); err != nil {
		return s.fail(ctx, "look at", "", err)
	}
	if err := s.endOfDead(ctx, c, job, inv); err != nil {
		return err
	}
	if err := s.endOfRMAN(ctx, job, inv.DBID, h); err != nil {
		return err
	}
	if s.opt.Mode == ModeRemote && inv.OpenMode == openReadWrite {
		if err := c.dropDirectories(ctx, s.directoryPrefix(job)); !said(err, oraNoRights) { // without the right to drop them they stay, and are used again
			return s.fail(ctx, "drop the DIRECTORY objects of", job, err)
		}
	}
	return nil
}

func (s *Source) endOfDead(ctx context.Context, c *session, job string, inv *Inventory) error {
	keep := s.markersOf(job, inv.DBID)
	m, err := keep.load()
	if err != nil {
		return &backup.Error{Op: "recover", App: application, Instance: s.instance, Artifact: job, Err: err,
			Advice: "look at V$BACKUP: end what is ACTIVE there by ALTER DATABASE DATAFILE n END BACKUP if nobody else is backing it up, then remove the file"}
	}
	if m == nil {
		return nil
	}
	if m.DBID != inv.DBID || m.Job != job {
		return s.fail(ctx, "recover", job, fmt.Errorf("%s is a note of job %q and database %d", keep.path, m.Job, m.DBID))
	}
	if inv.OpenMode != openReadWrite {
		// After a crash of the instance only an administrator knows whether a data file was put back from a backup, and then END BACKUP destroys it [BRU 29.4.2.3].
		return &backup.Error{Op: "end the backup mode of", App: application, Instance: s.instance, Artifact: scope{tablespace: m.Scope}.String(), Advice: adviceEnd,
			Err: fmt.Errorf("run %s left it, and the database is %s", m.ID, inv.OpenMode)}
	}
	if err := c.endOwn(ctx, m); err != nil {
		return s.fail(ctx, "end the backup mode of", scope{tablespace: m.Scope}.String(), err)
	}
	if m.Begun == nil && inv.Taken.Before(m.At.Add(beginWindow)) {
		return nil // its BEGIN BACKUP may be at work in the server to this moment: the next run looks again
	}
	return keep.drop()
}

var _ backup.Recoverer = (*Source)(nil)
