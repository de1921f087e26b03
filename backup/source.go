package backup

import (
	"context"
	"io"
	"log/slog"
)

// A Source is one instance of an application that can be backed up. It is the only interface an agent must implement; every further
// ability is an interface with one method, found by a type assertion: Restorer, Scripter, Locator, Verifier, Rehearser,
// Checker, Estimator, Recoverer, Salvager.
type Source interface {
	// Describe tells what this is. It is constant and does no I/O.
	Describe() Description
	// Backup writes the artifacts of one run into st and reports what it took.
	//
	// It may return sooner than the bytes are offsite. On error, and when ctx ends, the application must be as it was found: no backup mode,
	// no held lock, no snapshot; undo on a context of its own (context.WithoutCancel and a deadline). An item that fails
	// while others go on is reported in its Item.Error and Backup returns nil. What must stay open or be told to the application
	// once the backup is durable goes into Result.Pending.
	Backup(ctx context.Context, r Request, st *Stage) (Result, error)
}

// Description is what a Source always knows about itself.
type Description struct {
	Application string // "mysql"; also the prefix of error messages
	Instance    string // which server, as its owner would name it: "db1:3306"
	Kinds       []Kind // the kinds Backup can be asked for
	// PointInTime says that log links let a restore stop at any moment.
	PointInTime bool
	// Positions says that restores, rehearsals and scripts stop at PlanStep.UntilPosition on the side that Target.After says. Without it the
	// pipeline refuses targets with a position.
	Positions bool
	// Options are the names Backup takes in Request.Options, as the agent documents them. The pipeline refuses others before it asks the source anything.
	Options []string
}

// Request is one run as the pipeline asks for it.
type Request struct {
	ID   ID
	Job  string
	Kind Kind
	// Options are agent-specific switches of this run; only names of Description.Options. The agent refuses values it cannot use with ErrOption.
	Options map[string]string
	// Anchors holds, per item, the backups a new link can build on. An item without an anchor can only be a full.
	Anchors map[string]Anchor
	// Log receives the agent's own account of the run. Never nil.
	Log *slog.Logger
}

// Anchor is what is already safe of one item.
type Anchor struct {
	// Full is the newest restorable full that is not copy-only; nil when there is none.
	Full *Link
	// Last is what reaches furthest from Full without a gap: Full itself, a differential of it, or a log link of its stream, whichever
	// item holds that log; of several that reach equally far, the newest. For an item that is only the log of others, Full is
	// nil and Last is its furthest link that a restorable full of its stream reaches. Never nil: without a link an item has no Anchor.
	Last *Link
}

// Link is one item of one backup, as an anchor.
type Link struct {
	ID ID
	Item
}

// Result is what a Source took.
type Result struct {
	Items []Item
	// Untaken names items that exist and have no place in Items: left out by an option, or left to another machine. An item that a full run neither lists
	// nor names here counts as gone, and a restore of everything to a later time leaves it out.
	Untaken []string
	// Meta is shown with the backup: version, edition, flavour. Never secrets.
	Meta map[string]string
	// Warnings are sentences the operator should read.
	Warnings []string
	// Pending is what is left to do in the application once the fate of the backup is known; nil when nothing is.
	Pending Pending
}

// Pending is an open end in the application: a backup session, a shadow copy, log not yet marked as archived.
// The pipeline calls exactly one of Commit and Abort, once the manifest is durable or will not be, on a context of its
// own. Both are idempotent. Abort must leave what is already staged usable: a run that lost the network is completed from its stage later.
// When the process dies in between, neither is called, and the Source's Recoverer ends what was left.
type Pending interface {
	// Commit is called after m is durable at the target. Only here may log be truncated; an application that does so by itself needs a Salvager. An error is
	// reported as a warning of the run: the backup itself is good.
	Commit(ctx context.Context, m *Manifest) error
	// Abort ends the session without truncating anything.
	Abort(ctx context.Context) error
}

// Restorer puts a backup back.
type Restorer interface {
	// Restore applies the steps of set in order. It refuses, with ErrExists and before changing anything, to overwrite what
	// exists unless r.Overwrite is set.
	Restore(ctx context.Context, r RestoreRequest, set *RestoreSet) error
}

// RestoreRequest is one restore as the user asked for it.
type RestoreRequest struct {
	// Target is the time or backup to return to, and what to restore.
	Target Target
	// Overwrite allows existing data to be replaced.
	Overwrite bool
	// Options are agent-specific switches, as documented by the agent; an agent refuses those it does not know with ErrOption.
	Options map[string]string
	// Log receives the agent's own account. Never nil.
	Log *slog.Logger
}

// Scripter writes a restore down for people.
type Scripter interface {
	// Script writes the commands with which the steps of set are applied by the application's own tools, in the language of these and
	// with what a person must know as comments. It changes nothing anywhere and refuses options as Restore does.
	//
	// The script stands for itself: it takes the artifacts for files as Pipeline.Fetch lays them out, each at RestoreStep.Path below a directory. Which
	// directory, as the server sees it, is an option of the agent, named files by custom. set has no directory of its own: Open reads an artifact, Fetch fails with ErrNoPath.
	Script(ctx context.Context, r RestoreRequest, set *RestoreSet, w io.Writer) error
}

// Locator knows the places in its log that users of the application have names for.
type Locator interface {
	// Locate returns the target for where, such as "lsn:36000000012800001" or "mark:before upgrade", in the log of an item; the agent documents the forms. It sets Position, and
	// Stream and After as the place wants, or Time or ID when one of these is the place. It may look at h, the job's history, and touches nothing.
	// What has no form it knows is an error that wraps ErrOption; a place that does not exist one that wraps ErrNoBackup.
	Locate(ctx context.Context, h History, item, where string) (Target, error)
}

// Verifier understands the content of its artifacts and can tell whether they are whole, without a server where their format allows it. It earns ProofFormat.
type Verifier interface {
	// Verify reads the artifacts of set and returns an error that wraps ErrCorrupt and names what is wrong. Any other error says that nothing is known: what
	// only a server can read needs one, and a job with a Stager, so that RestoreSet.Fetch has a place.
	Verify(ctx context.Context, set *RestoreSet) error
}

// Rehearser brings a backup up somewhere harmless and checks it there. It earns ProofRestored.
type Rehearser interface {
	// Rehearse restores set into scratch, whose form the agent documents (a DSN, a directory), checks it and removes it.
	Rehearse(ctx context.Context, r RestoreRequest, set *RestoreSet, scratch string) error
}

// Checker is asked before a run, and by an operator, whether a run could succeed.
type Checker interface {
	// Check tries what a run needs: reaching the server, rights, modes, a real file in dir seen from both sides.
	// dir is the zero StageDir when the job streams. The pipeline stops the run when a finding has an error.
	Check(ctx context.Context, dir StageDir) []Finding
}

// Finding is one line of a check.
type Finding struct {
	What string // "binary log is on"
	Err  error  // nil when it holds
	Hint string // what to do when it does not
}

// Estimator tells roughly how many bytes a run will stage, before it begins.
type Estimator interface {
	Estimate(ctx context.Context, r Request) (int64, error)
}

// Recoverer ends what a dead run left in the application: backup mode, snapshots, sessions. It is called at the start of
// every run, under the job's lease.
type Recoverer interface {
	// Recover may use h, the history of job, to see what is durable. It touches only what it can prove to be its own and of this job: other jobs
	// may be at work on the same instance.
	Recover(ctx context.Context, job string, h History) error
}
