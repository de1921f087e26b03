package backup

import (
	"context"
	"time"
)

// Salvager is a Source whose application gives its log up when the backup of it ends, as SQL Server does, instead of waiting for
// Pending.Commit. What such a backup wrote into the stage may be the only copy there is.
//
// When a staged run ends before Backup has returned a Result, because its process died or because Backup failed, the next run of the job on the same
// machine asks the Salvager what of it is whole. It does so under the job's lease, before Recover, for each such stage, oldest first. The pipeline then completes the
// dead run like one that is resumed, under its own ID: it ships what is missing, writes the entries and the manifest, marked Resumed, with a warning
// that says what was saved and what was not. Everything else of the stage is discarded.
//
// Log that the application gives up has RoleLog; then it leaves the stage only when it is durable at the target. An item must not fail for a reason found
// after its log was given up, and a slot whose file may be whole is not closed, or that log is discarded with it.
//
// With a Salvager the pipeline keeps the stage of a run that failed, brings each artifact to disk when it is committed and notes a reserved file before Reserve
// returns, and does not give a stage up because it is older than Config.ResumeWithin. A run that streams has no stage and cannot be salvaged; nor can one
// that another machine has buried meanwhile.
type Salvager interface {
	// Salvage reports which items of d are whole and which artifacts make them up. The application may still be at work for the dead run, and
	// write to its files: end that, or wait for its end, before looking at them. Only what the files say of themselves tells whether a
	// file that was not committed is whole, and what is in it; the agent that made them may have been of another version.
	//
	// An empty result means that nothing is worth keeping. An item is left out when any of its artifacts is missing or torn.
	//
	// An error that wraps ErrNotNow, or the end of ctx, fails the run and keeps the stage for the next one: return it when the server
	// that must be asked cannot be reached. So does a target that cannot be read. Any other error gives the dead run up, with a warning.
	//
	// It may be called again for the same run, when a process dies before the answer is on disk.
	Salvage(ctx context.Context, d *DeadRun) (Salvaged, error)
}

// DeadRun is what is left of a run whose Source had not finished.
type DeadRun struct {
	// Request is what the dead run was asked for, but for Anchors, which are what is safe now, and Log.
	Request
	// Started is when it began by the clock of this machine.
	Started time.Time
	// Artifacts are those that may be whole, in the order they were begun: every committed one of which no byte is missing, and every file that was reserved, exists and was
	// neither committed nor closed. An artifact of Create that was not committed is never among them.
	Artifacts []*StagedArtifact
}

// Salvaged is what a Salvager vouches for.
type Salvaged struct {
	// Result holds the items, with positions, windows and checkpoints as Backup would have returned them. Items that failed are left out of the manifest. Pending is
	// nil; no session survives the process.
	Result
	// Artifacts are those that belong to Items, found by Name among those of the DeadRun. Item, Role and Meta replace what was noted before.
	Artifacts []Artifact
}
