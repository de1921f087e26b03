package agent

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Job is one instance of an application with all that is done for it. Name, Open and Config.Sink are required.
type Job struct {
	// Name is the key prefix at the target and the name in every message: see backup.ValidJob.
	Name string
	// Application is the name of the application, for lists and metrics before the source has been opened. Optional.
	Application string
	// Open makes the source. It is called once for every action that needs the application, and the source is closed after
	// it when it is an io.Closer. It may do I/O.
	Open func(ctx context.Context) (backup.Source, error)
	// Config is the pipeline: sink, stager, part size and the like. Job, Source, Events, Logger and Now are filled in by the agent.
	Config backup.Config

	Schedule Schedule
	Promote  Promotion
	// Retention says which backups to keep. The zero Policy keeps everything. It is applied after each backup that was proven as far as Policy.MinProof
	// asks, though some of its items may have failed; or, when Schedule.Prune is set, at those times only. A job whose
	// runs earn no such proof (Config.Prove, MinProof format) needs Schedule.Prune.
	Retention backup.Policy
	// Objective is the recovery point objective: how old the newest proven recovery point of any item may become before it is reported as absent. 0 means no objective.
	Objective time.Duration
	Verify    Verification
	Rehearse  Rehearsal
	Hooks     Hooks
}

// Schedule says when a job does what. A schedule is a cron expression of five fields (minute hour day month weekday), optionally preceded by
// seconds, or one of @hourly, @daily, @weekly, @monthly, @yearly, @every 90m. An empty one never fires. When both day and weekday are given, either suffices.
//
// An hour that the clocks skip in spring is made up for when they have moved on. An hour that comes twice in autumn counts once, except for schedules of every hour.
// Something that is due while the job is busy starts afterwards, once however often it was due. Of backups due at the same time only the strongest is made.
type Schedule struct {
	Full, Differential, Log string
	Verify, Rehearse        string
	// Prune applies the retention at its own times; when empty it follows each proven backup.
	Prune string
	// Location is the time zone of all expressions; nil means the machine's.
	Location *time.Location
	// Jitter delays every start by a random time up to this, so that a fleet does not knock at the same second. Default none.
	Jitter time.Duration
	// CatchUp is how late a missed run is still made up for when the agent starts. 0 means 24 hours; negative never. A run that the end of
	// the agent cancelled counts as missed. Of missed backups the strongest is made up for; a schedule that is new has missed nothing.
	CatchUp time.Duration
}

// Promotion says when a log or differential run becomes a full on the agent's own decision. A run without a full to build on always does.
type Promotion struct {
	// FullAfter is the age of the newest proven full that makes the next run a full; 0 means never.
	FullAfter time.Duration
	// LinksAfter is the number of links on the newest full that makes the next run a full; 0 means never.
	LinksAfter int
}

// Verification is how a scheduled verify looks at the stored backups. The zero value reads every part of every backup and hashes it.
type Verification struct {
	// Level is backup.ProofBytes or backup.ProofFormat; see backup.VerifyOptions. The zero value means ProofBytes.
	Level backup.Proof
	// Sample, when above 0 and below 1, reads that share of the parts.
	Sample float64
}

// Rehearsal is how a scheduled rehearse restores the latest state somewhere harmless.
type Rehearsal struct {
	// Scratch is where, in the form the application's agent documents: a DSN, a directory. Empty means rehearsals cannot be scheduled.
	Scratch string
	// Items limits the rehearsal; empty means all.
	Items []string
	// Options are agent-specific switches, as in backup.RestoreOptions.
	Options map[string]string
}
