package exchange

import (
	"log/slog"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/diskroom"
)

const (
	application = "exchange"
	// itemSystem is the item that is no group.
	itemSystem = "system state"
	// optionCopy is the option of a run for a full that is no base and after which no log is truncated.
	optionCopy = "copy"
)

// Source backs up one Exchange server. It is safe for concurrent use.
type Source struct {
	opt  Options
	pick filter
	// room tells of the disk of a folder.
	room func(dir string) (diskroom.Volume, bool)
}

// New returns a Source for the Exchange server of this machine, or for the one that o names. It does no I/O.
func New(o *Options) (*Source, error) {
	opt := Options{}
	if o != nil {
		opt = *o
	}
	if err := opt.validate(); err != nil {
		return nil, &backup.Error{Op: "read options", App: application, Instance: opt.Instance, Err: err}
	}
	opt = opt.withDefaults()
	opt.Tools = opt.Tools.withDefaults(opt)
	return &Source{opt: opt, pick: filter{opt.Include, opt.Exclude}, room: diskroom.At}, nil
}

// Close has nothing to release: sessions and snapshots end with their runs. It makes a Source an io.Closer like those of other applications.
func (s *Source) Close() error { return nil }

// Describe implements backup.Source.
func (s *Source) Describe() backup.Description {
	return backup.Description{Application: application, Instance: s.opt.Instance, Kinds: []backup.Kind{backup.Full, backup.Log}, PointInTime: true, Positions: true, Options: []string{optionCopy}}
}

// String names the server.
func (s *Source) String() string { return application + " " + s.opt.Instance }

// LogValue implements slog.LogValuer.
func (s *Source) LogValue() slog.Value { return slog.StringValue(s.String()) }
