package backuptest

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Application is what TestSource needs of an application with its agent: a fresh one with some content. What more a harness can do it
// shows by the one-method interfaces below; the rules that need them are skipped without. An Application that is an io.Closer is closed after its rule.
type Application interface {
	// Source returns the agent under test. Called again, it returns another one for the same application, as after a restart.
	Source() backup.Source
	// Mutate commits n small changes, spread over all items. It is also called while a backup runs.
	Mutate(ctx context.Context, n int) error
	// Fingerprint is equal for equal content of what is backed up, and different else.
	Fingerprint(ctx context.Context) (string, error)
	// Lose destroys the content, so that a restore finds nothing in its way.
	Lose(ctx context.Context) error
	// Quiesced returns an error that names what a backup left open: backup mode, a lock, a session, a snapshot, a helper process.
	Quiesced(ctx context.Context) error
}

// NewApplication makes an Application with at least two items where the agent knows several, and a few hundred KiB of content if that is cheap.
type NewApplication func() (Application, error)

// Positioned is an Application that knows where in its log every item stands.
type Positioned interface {
	// Positions is, per item with a log, the position of its state now, in the form the agent gives to Item.End.
	Positions(ctx context.Context) (map[string]backup.Position, error)
}

// Clocked is an Application that tells its own time.
type Clocked interface {
	// Now returns a moment of the application's clock at which the content is as it is now: earlier changes bear an earlier
	// or the same time, later ones a later time. It may wait for the clock to move on.
	Now(ctx context.Context) (time.Time, error)
}

// Truncating is an Application whose log is given up after a backup.
type Truncating interface {
	// Truncations counts how often log was given up, or marked as safe to give up, since the start.
	Truncations(ctx context.Context) (int, error)
}

// Secretive is an Application whose agent was given a secret.
type Secretive interface {
	// Secret is a password or key that must not be seen anywhere.
	Secret() string
}

// Growing is an Application that can have one more item.
type Growing interface {
	AddItem(ctx context.Context) (name string, err error)
}

// Failing is an Application of which one item can be made to fail while others go on.
type Failing interface {
	// FailItem makes backups of one item fail until heal is called.
	FailItem(ctx context.Context) (name string, heal func(ctx context.Context) error, err error)
}

// Resetting is an Application whose log can be begun anew, so that no link leads from earlier backups to now.
type Resetting interface {
	ResetLog(ctx context.Context) error
}

// Remembering is an Application that knows its past.
type Remembering interface {
	// Committed reports whether the content ever had that fingerprint at a moment between two transactions.
	Committed(ctx context.Context, fingerprint string) (bool, error)
}

// Crowded is an Application in which others, who are not the agent, hold sessions of their own.
type Crowded interface {
	// OpenForeign opens something like what the agent leaves behind when it dies, but of somebody else; alive reports whether it
	// is still there, and end closes it. Quiesced does not count it.
	OpenForeign(ctx context.Context) (alive func(ctx context.Context) error, end func(ctx context.Context) error, err error)
}

// Rehearsing is an Application that has room to rehearse a restore.
type Rehearsing interface {
	// Scratch is the place, in the form the agent's Rehearse documents. Afterwards Residue tells what was left in it.
	Scratch(ctx context.Context) (scratch string, residue func(ctx context.Context) error, err error)
}

// SelfTruncating is an Application that gives its log up when a backup of it ends, as SQL Server does, and not when the agent says that it is safe.
// Its agent must be a backup.Salvager.
type SelfTruncating interface {
	// AtTruncation makes the application call fn each time it has given up log in this way, if possible before the agent has its answer. Nil ends that.
	AtTruncation(fn func())
}

// Staging is an Application whose server writes into the stage as another user, or sees it under another name.
type Staging interface {
	// StageIn says how stages are made in dir, a directory of the suite below os.TempDir. It may prepare dir.
	StageIn(dir string) backup.DirStager
}
