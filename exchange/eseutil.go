package exchange

import "context"

// Engine recovers databases outside the store: eseutil, esentutl, or what stands for them.
type Engine interface {
	// Recover brings the databases of a series of logs into clean shutdown (soft recovery). What cannot be recovered is an error with the tool's own words.
	Recover(ctx context.Context, r Recovery) error
}

// Recovery is one soft recovery.
type Recovery struct {
	// Base is the base name of the logs, LogDir where they are, SystemDir where the checkpoint is or will be.
	Base, LogDir, SystemDir string
	// DatabaseDir, when set, is where the databases are, if not where the logs say.
	DatabaseDir string
	// AllowLoss lets committed logs be missing (/a), IgnoreMissing databases that the logs name (/i).
	AllowLoss, IgnoreMissing bool
}
