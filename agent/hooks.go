package agent

import "context"

// Hooks are called around the backups and restores of a job, each list in order. A Before hook that fails stops the run before the application is touched, and
// the Failed hooks follow. An After or Failed hook that fails is a warning in the record.
type Hooks struct {
	BeforeBackup, AfterBackup, BackupFailed    []Hook
	BeforeRestore, AfterRestore, RestoreFailed []Hook
}

// Hook is something to do around a run: a HookFunc, a Command, or a type of your own.
type Hook interface {
	// Run is told what the run is about; after it, also how it ended. ctx ends with the run before it, and with a deadline of its own after it.
	Run(ctx context.Context, r Record) error
}

// HookFunc is a Go function as a Hook.
type HookFunc func(ctx context.Context, r Record) error

// Run implements Hook.
func (f HookFunc) Run(ctx context.Context, r Record) error { return f(ctx, r) }
