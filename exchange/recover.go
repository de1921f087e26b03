package exchange

import (
	"context"

	"github.com/quiesce-go/quiesce/backup"
)

// Recover implements backup.Recoverer. It ends the snapshot that a dead run of this job left, as its note tells, and removes what that had saved of the system state. A session of the streaming API needs nothing: the server
// ends it when the process is gone, as failed. Nothing is truncated, and what is of other jobs is not touched.
// What the system state left and cannot be removed yet stops no run: the next one tries again.
func (s *Source) Recover(ctx context.Context, job string, _ backup.History) error {
	_, err := s.endLeft(ctx, job)
	return err
}

// endLeft ends what a dead run left. kept is why what it had saved of the system state is still there.
func (s *Source) endLeft(ctx context.Context, job string) (kept, err error) {
	m, err := s.leftOpen(job)
	if err != nil {
		return nil, &backup.Error{Op: "recover", App: application, Instance: s.opt.Instance, Artifact: job, Err: err,
			Advice: "remove the file, and snapshots that are left (vssadmin list shadows)"}
	}
	if m != nil && len(m.text.Shadow) > 0 {
		if err := s.opt.Tools.Shadows.Remove(ctx, m.text.Shadow); err != nil {
			return nil, s.fail(ctx, "remove the snapshot that run "+string(m.text.ID)+" left, of", job, err)
		}
	}
	kept = s.dropState(ctx, s.stateDir(job))
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	err = removeDir(s.workDir(job))
	if err == nil && m != nil {
		err = m.drop()
	}
	return kept, s.fail(ctx, "recover", job, err)
}

var _ backup.Recoverer = (*Source)(nil)
