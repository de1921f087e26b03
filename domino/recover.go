package domino

import (
	"context"
	"os"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// Recover implements backup.Recoverer. It ends what a dead run of this job left in backup, as far as the C API allows: the context of a backup dies with its process and there is no function to end the backup of
// another, so all that can be done is to begin a backup of the same database and to abort it. Where Domino still answers that a backup is in progress, the note stays, runs go on, and that database fails by its name
// with what to do. What the note does not name is not touched.
func (s *capiSource) Recover(ctx context.Context, job string, _ backup.History) error {
	names, id, err := s.leftInBackup(job)
	if err != nil {
		return &backup.Error{Op: "recover", App: application, Instance: s.opt.Instance, Artifact: job, Err: err, Advice: "remove the file; a database that is in backup then fails by its name"}
	}
	if len(names) == 0 {
		return s.fail(ctx, "recover", job, s.dropMarker(job))
	}
	var left []string
	err = s.with(ctx, func(calls context.Context, t *thread) error {
		for _, name := range names {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err := s.endBackup(calls, t, name)
			switch {
			case said(err, notes.StatusBackupAlreadyInProgress):
				left = append(left, name)
			case err != nil && !isStatus(err):
				return err
			}
		}
		return nil
	})
	if err != nil {
		return s.fail(ctx, "end the backups of run "+string(id)+" of", job, err)
	}
	if len(left) == 0 {
		return s.fail(ctx, "recover", job, s.dropMarker(job))
	}
	m, err := s.newMarker(backup.Request{Job: job, ID: id}, left)
	if err != nil {
		return err
	}
	return m.close()
}

func (s *capiSource) dropMarker(job string) error {
	if _, err := os.Stat(s.markerPath(job)); os.IsNotExist(err) {
		return nil
	}
	return dropState(s.markerPath(job))
}

// endBackup begins a backup and aborts it at once.
func (s *capiSource) endBackup(ctx context.Context, t *thread, name string) error {
	h, err := t.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { _ = t.Close(ctx, h) }()
	c, _, err := t.BackupStart(ctx, h)
	if err != nil {
		return err
	}
	return t.BackupEnd(ctx, h, c, true)
}

var _ backup.Recoverer = (*capiSource)(nil)
