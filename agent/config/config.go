package config

import (
	"context"

	"github.com/quiesce-go/quiesce/backup"
)

// Registry tells which applications a program knows, by the name used in the file.
type Registry map[string]Application

// Application turns the settings of a job into a way to open its source.
type Application interface {
	// Configure reads s, the section of the job that carries the application's name, and reports what is wrong with it on s. It does no I/O.
	Configure(s *Section) Open
}

// Open makes a source. to, when not empty, is another place to restore into than the configured one, in the form the
// application documents: a DSN, a directory.
type Open func(ctx context.Context, to string) (backup.Source, error)

// Section is a mapping in the file that belongs to somebody else: an application's settings.
type Section struct{}
