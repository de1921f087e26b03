package exchange

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/backup"
)

// Recover implements backup.Recoverer. It ends the snapshot that a dead run of this job left, as its note tells, and removes what that had saved of the system state. A session of the streaming API needs nothing: the server
// ends it when the process is gone, as failed. Nothing is truncated, and what is of other jobs is not touched.
func (s *Source) Recover(ctx context.Context, job string, _ backup.History) error {
	m, err := s.leftOpen(job)
	if err != nil {
		return &backup.Error{Op: "recover", App: application, Instance: s.opt.Instance, Artifact: job, Err: err,
			Advice: "remove the file, and snapshots that are left (vssadmin list shadows)"}
	}
	if m != nil && len(m.text.Shadow) > 0 {
		if err := s.opt.Tools.Shadows.Remove(ctx, m.text.Shadow); err != nil {
			return s.fail(ctx, "remove the snapshot that run "+string(m.text.ID)+" left, of", job, err)
		}
	}
	err = errors.Join(removeDir(s.workDir(job)), s.dropState(ctx, s.stateDir(job)))
	if err == nil && m != nil {
		err = m.drop()
	}
	return s.fail(ctx, "recover", job, err)
}

var _ backup.Recoverer = (*Source)(nil)
