package mysql

import (
	"fmt"
	"time"
)

// Options adjusts a Source. The zero value backs up everything a user made, accounts included, over four connections.
type Options struct {
	// Instance is the name the server goes by in manifests and messages. Default: the address of the DSN.
	Instance string
	// Include limits the backup to what one of these patterns matches; none means everything. A pattern is "schema" or "schema.table",
	// with * for any text and ? for one character; a part that holds a dot is put in backticks. A pattern with a
	// table takes tables and views only; routines, events and packages come with a pattern for their whole schema.
	// A pattern that names a schema without wildcards must find it.
	Include []string
	// Exclude leaves out what one of these patterns matches; it wins over Include.
	Exclude []string
	// Connections is how many connections read, or load, at a time. Default 4.
	Connections int
	// ChunkSize is how many bytes of table data, by the server's estimate, go into one artifact. Larger tables are cut by their
	// key. Default 64 MiB.
	ChunkSize int64
	// NoAccounts leaves users, roles and grants out of backups, and restores none.
	NoAccounts bool
	// Lock says how the connections come to one consistent snapshot. Default LockAuto.
	Lock LockMode
	// LockWait is how long one attempt may wait for the snapshot's lock while other sessions' writes queue up behind it; the server counts
	// in whole seconds. Default 10 seconds.
	LockWait time.Duration
	// LockAttempts is how often the lock is tried. Default 3.
	LockAttempts int
	// LockedBytes is how much of tables without transactions (MyISAM, Aria, MEMORY, ...) is read while the lock is still held, which makes them
	// consistent with the rest and keeps writers waiting. Beyond it they are read after the lock is
	// released, and the backup carries a warning. Default 64 MiB; negative means never under the lock.
	LockedBytes int64
	// LockHold bounds that reading. Default 30 seconds.
	LockHold time.Duration
}

// LockMode is a way to one snapshot over several connections.
type LockMode string

const (
	// LockAuto takes the gentlest way that the server and the rights allow, in the order of the modes below.
	LockAuto LockMode = "auto"
	// LockStage is MariaDB's BACKUP STAGE (10.4.1 and later): commits wait for the few milliseconds in which the snapshots
	// open. Needs RELOAD.
	LockStage LockMode = "backup-stage"
	// LockTables is FLUSH TABLES WITH READ LOCK: it waits for running statements, and writes wait for it. Needs RELOAD.
	LockTables LockMode = "read-lock"
	// LockNone locks nothing: snapshots are opened until all saw the same position in the binary log. Needs a binary log and
	// the right to read its position.
	LockNone LockMode = "compare"
	// LockSingle reads everything over one connection, whose snapshot is consistent by itself.
	LockSingle LockMode = "single"
)

func (o Options) withDefaults() Options {
	if o.Connections <= 0 {
		o.Connections = 4
	}
	if o.ChunkSize <= 0 {
		o.ChunkSize = 64 << 20
	}
	if o.Lock == "" {
		o.Lock = LockAuto
	}
	if o.LockWait <= 0 {
		o.LockWait = 10 * time.Second
	}
	if o.LockAttempts <= 0 {
		o.LockAttempts = 3
	}
	if o.LockedBytes == 0 {
		o.LockedBytes = 64 << 20
	}
	if o.LockHold <= 0 {
		o.LockHold = 30 * time.Second
	}
	return o
}

func (o Options) validate() error {
	switch o.Lock {
	case "", LockAuto, LockStage, LockTables, LockNone, LockSingle:
	default:
		return fmt.Errorf("lock mode %q: want auto, backup-stage, read-lock, compare or single", o.Lock)
	}
	return nil
}
