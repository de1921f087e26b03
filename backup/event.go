package backup

import "time"

// Event is something a pipeline reports while it works, for user interfaces and counters: one of RunStarted, PhaseStarted, ArtifactStaged,
// Progress, Warning, Stalled and RunFinished. Config.Events is called with one event at a time and must return soon.
type Event interface{ event() }

// Phase is a step of a run, in the order of their constants.
type Phase string

const (
	PhaseLease     Phase = "lease"     // taking the job
	PhaseHistory   Phase = "history"   // reading headers
	PhaseRecover   Phase = "recover"   // ending, completing or sweeping what a dead run left
	PhasePreflight Phase = "preflight" // checks and estimate
	PhaseBackup    Phase = "backup"    // the source writes, parts are shipped
	PhaseShip      Phase = "ship"      // the source is done, the rest is shipped
	PhaseSeal      Phase = "seal"      // entries and manifest
	PhaseCommit    Phase = "commit"    // the application is told
	PhaseRelease   Phase = "release"   // stage and lease are given back
	PhaseRestore   Phase = "restore"
	PhaseVerify    Phase = "verify"
	PhaseRehearse  Phase = "rehearse"
)

// RunStarted opens a run. Resumed runs continue one that was interrupted.
type RunStarted struct {
	Job     string
	ID      ID
	Kind    Kind
	Resumed bool
}

// PhaseStarted tells which step a run has come to.
type PhaseStarted struct {
	Job   string
	ID    ID
	Phase Phase
}

// ArtifactStaged tells that the source committed an artifact.
type ArtifactStaged struct {
	ID       ID
	Artifact Artifact
	Bytes    int64
}

// Progress is sent about twice a second while bytes move, and once at the end of the moving phases.
type Progress struct {
	Job   string
	ID    ID
	Phase Phase
	// Expected is the estimate of all content in bytes; 0 when unknown.
	Expected int64
	Staged   int64 // content taken from the application, in bytes
	Shipped  int64 // content accepted by the target (or, in a restore or verification, read from it), in bytes
	Stored   int64 // the same as stored, after compression and encryption
	// Items and ItemsDone are 0 when the source does not tell.
	Items, ItemsDone int
	Artifacts        int // committed so far
	// Rate is the recent speed of Shipped in bytes per second.
	Rate float64
	// ETA is the time left at that rate; 0 when unknown.
	ETA     time.Duration
	Elapsed time.Duration
}

// Warning is a sentence the operator should read.
type Warning struct {
	Job  string
	ID   ID
	Text string
}

// Stalled tells that no byte has moved for so long. It is repeated each time that span passes again.
type Stalled struct {
	Job string
	ID  ID
	For time.Duration
}

// RunFinished closes a run. Manifest is nil when there is no backup; Err is what Backup returns.
type RunFinished struct {
	Job      string
	ID       ID
	Manifest *Manifest
	Err      error
}

func (RunStarted) event()     {}
func (PhaseStarted) event()   {}
func (ArtifactStaged) event() {}
func (Progress) event()       {}
func (Warning) event()        {}
func (Stalled) event()        {}
func (RunFinished) event()    {}
