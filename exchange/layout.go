package exchange

import (
	"context"
	"time"
)

// Layout is what a server has, as its management tells it.
type Layout struct {
	// Server is the name of the server.
	Server string
	// Major is the version: 6 is Exchange 2000 and 2003, 8 2007, 14 2010, 15 2013 and later; 0: unknown.
	Major int
	// Version is the same for people: "Version 15.2 (Build 1118.7)".
	Version string
	Groups  []Group
}

// Group is databases that share one series of logs: a storage group up to Exchange 2007, a single database since. It is what is backed up and restored as one, an item.
type Group struct {
	// Name is that of the storage group, or of the database.
	Name string
	// LogDir is where the logs are, SystemDir where the checkpoint is, LogBase the first three characters of their names: "E00".
	LogDir, SystemDir, LogBase string
	// Circular: logs are deleted when no database needs them.
	Circular  bool
	Databases []Database
}

// Database is one mailbox or public folder database.
type Database struct {
	Name string
	// GUID is in the usual form, without braces.
	GUID string
	// File is the path of the .edb, StreamFile that of the .stm, which databases have up to Exchange 2003.
	File, StreamFile string
	// Mounted, BackupInProgress, Recovery (a recovery database) and AllowRestore ("can be overwritten by a restore") are its state.
	Mounted, BackupInProgress, Recovery, AllowRestore bool
	// LastFull, LastLog and LastCopy are when the server says it was backed up; zero: never or unknown. They are for people.
	LastFull, LastLog, LastCopy time.Time
	// Copies are those of a database availability group; empty: there is one only.
	Copies []Copy
}

// Copy is a copy of a database on a member of a database availability group.
type Copy struct {
	Server string
	// Active: the one that is mounted. Healthy: it is in step with the active one; the active one is.
	Active, Healthy bool
	// Preference is the activation preference, from 1.
	Preference int
	// CopyQueue and ReplayQueue are how many logs wait to be copied and replayed.
	CopyQueue, ReplayQueue int
}

// Management is what administers the server: the Exchange Management Shell, or what stands for it.
type Management interface {
	// Layout finds what the server has.
	Layout(ctx context.Context) (Layout, error)
	// Mount and Dismount do that to a database; AllowRestore lets its files be replaced.
	Mount(ctx context.Context, d Database) error
	Dismount(ctx context.Context, d Database) error
	AllowRestore(ctx context.Context, d Database) error
}
