package domino

import (
	"context"
	"log/slog"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

const (
	application = "domino"
	// The items that are not a database.
	itemLog         = "transaction log"
	itemFiles       = "files"
	itemAttachments = "attachments"
)

// Source backs up one Domino server. It is safe for concurrent use.
type Source struct {
	open func(ctx context.Context) (notes.API, error)
	opt  Options
	pick filter
}

// New returns a Source that runs the Notes C API in a child process: quiesce-notes, built from the package of that name below this one, with the program directory and notes.ini of the server. Each call starts
// one, and ends it. It does no I/O.
func New(c notes.Command, o *Options) (*Source, error) {
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if opt.NotesINI == "" {
		opt.NotesINI = c.INI
	}
	return FromAPI(func(ctx context.Context) (notes.API, error) { return notes.Start(ctx, c) }, &opt)
}

// FromAPI returns a Source over any process that has the Notes C API, which open starts: once for a run, and again when the process dies. It does no I/O.
func FromAPI(open func(ctx context.Context) (notes.API, error), o *Options) (*Source, error) {
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if err := opt.validate(); err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Instance: opt.Instance, Err: err}
	}
	return &Source{open: open, opt: opt.withDefaults(), pick: filter{opt.Include, opt.Exclude}}, nil
}

// Close has nothing to release; processes live for one call only. It makes a Source an io.Closer like those of other applications.
func (s *Source) Close() error { return nil }

// Describe implements backup.Source.
func (s *Source) Describe() backup.Description {
	return backup.Description{Application: application, Instance: s.opt.Instance, Kinds: []backup.Kind{backup.Full, backup.Log}, PointInTime: true}
}

// String names the server.
func (s *Source) String() string { return "domino " + s.opt.Instance }

// LogValue implements slog.LogValuer.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }
