package domino

import (
	"context"
	"io"
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

// Source backs up one Domino server, by the way that Options.Way names. It is safe for concurrent use; the way Hook does one run at a time.
//
// These are the methods that every way has. What only one can do, its Source alone has, so that nothing is promised in vain: that of CAPI is a backup.Recoverer, a backup.Rehearser and a backup.Scripter, that of Hook a backup.Salvager.
type Source interface {
	backup.Source
	backup.Checker
	backup.Estimator
	backup.Restorer
	backup.Verifier
	// Close has nothing to release; processes live for one call only.
	io.Closer
}

// New returns a Source. It does no I/O. Everything that is wrong with the options is reported at once.
func New(o *Options) (Source, error) {
	opt, err := settled(o)
	if err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Instance: opt.Instance, Err: err}
	}
	switch opt.Way {
	case Hook:
		return newHook(opt), nil
	case Offline:
		return newOffline(opt), nil
	}
	return newCAPI(opt), nil
}

// capiSource is the way CAPI. The others have one for what is alike: to walk, copy, put back and prove files.
type capiSource struct {
	open func(ctx context.Context) (notes.API, error)
	opt  Options
	pick filter
}

func newCAPI(opt Options) *capiSource {
	open := opt.Open
	if open == nil {
		open = func(ctx context.Context) (notes.API, error) { return notes.Start(ctx, opt.Notes) }
	}
	return &capiSource{open: open, opt: opt, pick: filter{opt.Include, opt.Exclude}}
}

// Close implements io.Closer.
func (s *capiSource) Close() error { return nil }

// Describe implements backup.Source.
func (s *capiSource) Describe() backup.Description {
	return backup.Description{Application: application, Instance: s.opt.Instance, Kinds: []backup.Kind{backup.Full, backup.Log}, PointInTime: true}
}

// String names the server.
func (s *capiSource) String() string { return "domino " + s.opt.Instance }

// LogValue implements slog.LogValuer.
func (s *capiSource) LogValue() slog.Value { return slog.StringValue(s.String()) }

var _ Source = (*capiSource)(nil)
