package backup

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"
)

// Config describes one job. Job and Sink are required; all else has a default.
type Config struct {
	// Job is the name under which the target keeps the backups: 1 to 64 letters, digits, '.', '_' or '-'.
	Job string
	// Source is the instance to back up. Without one, only what works on stored backups does: listing, planning, verifying, fetching, pruning.
	Source Source
	// Sink is the offsite target. Sealers (compression, encryption) are taken off from the outside.
	Sink Sink
	// Stager makes the place where artifacts lie before they are offsite. Nil streams: nothing touches a disk of ours, and
	// an interrupted run cannot be resumed.
	Stager Stager

	// PartSize is the content of one part in bytes, 64 KiB to 1 GiB. Default 4 MiB: larger parts make fewer objects and take more memory.
	PartSize int64
	// Workers seal and send parts side by side; while some wait for the target, others compress. Default 4, on one processor 2. At most
	// (2 x Workers + artifacts being written at once) parts lie in memory; with compression, encryption and the garbage collector's headroom
	// a run at default settings was seen to take 84 to 120 MiB (doc/design.md, "Speed").
	Workers int
	// Prove says which parts are read back during a run. Default all of them.
	Prove Prove
	// Stall is the watch over runs in which no byte moves.
	Stall Stall
	// LeaseTTL is how long the job stays taken after the machine that held it fell silent. Default 1 minute.
	LeaseTTL time.Duration
	// CleanupTimeout bounds what is done after a run was cancelled: the source's Pending, stage, lease. Default 1 minute.
	CleanupTimeout time.Duration
	// ResumeWithin is the age up to which an interrupted run is completed from its stage rather than thrown away. Default 24 hours; of a Source that is a
	// Salvager at least 29 days, because its stage may hold the only copy of log.
	ResumeWithin time.Duration

	// Events, when set, is told what happens, one event at a time. It must return soon.
	Events func(Event)
	// Logger gets about six lines per run at Info, and more at Debug. Nil discards.
	Logger *slog.Logger
	// Now is the clock for IDs and lease times. Nil means time.Now.
	Now func() time.Time
}

// Prove says how much of a run is read back and hashed before its manifest is written.
type Prove struct {
	// Mode is ProveAll (the default), ProveSample or ProveLater.
	Mode ProveMode
	// Sample is the share of parts read back under ProveSample. Default 0.05.
	Sample float64
}

// ProveMode is a way to prove bytes.
type ProveMode string

const (
	ProveAll    ProveMode = ""       // every part: the backup leaves the run with ProofBytes
	ProveSample ProveMode = "sample" // some parts: the backup stays at ProofSealed until a Verify
	ProveLater  ProveMode = "later"  // none: the same
)

func (p Prove) wants(random func() float64) bool {
	switch p.Mode {
	case ProveAll:
		return true
	case ProveSample:
		return random() < p.Sample
	}
	return false
}

// Stall says when silence counts as a stall and what follows.
type Stall struct {
	// After is the silence that is reported. Default 5 minutes.
	After time.Duration
	// Cancel ends the run with ErrStalled when it is reached.
	Cancel bool
}

// Pipeline runs backups, restores and all upkeep of one job. It may be used by many goroutines; the lease lets one writing run at a
// time have the job.
type Pipeline struct {
	cfg   Config
	keys  layout
	vault *vault
	log   *slog.Logger

	events sync.Mutex
}

// New checks cfg whole, reporting every problem at once, and returns a pipeline. It does no I/O.
func New(cfg Config) (*Pipeline, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("backup: configuration: %w", err)
	}
	p := &Pipeline{cfg: cfg, keys: layout{cfg.Job}, vault: openVault(cfg.Sink), log: cfg.Logger.With("job", cfg.Job)}
	if cfg.Source != nil {
		d := cfg.Source.Describe()
		p.log = p.log.With("app", d.Application, "instance", d.Instance)
	}
	return p, nil
}

func (c Config) withDefaults() Config {
	setDefault(&c.PartSize, 4<<20)
	setDefault(&c.Workers, min(4, 2*runtime.GOMAXPROCS(0)))
	setDefault(&c.Prove.Sample, 0.05)
	setDefault(&c.Stall.After, 5*time.Minute)
	setDefault(&c.LeaseTTL, time.Minute)
	setDefault(&c.CleanupTimeout, time.Minute)
	setDefault(&c.ResumeWithin, 24*time.Hour)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c Config) validate() error {
	errs := []error{ValidJob(c.Job)}
	if c.Sink == nil {
		errs = append(errs, errors.New("no sink"))
	}
	if c.PartSize < 64<<10 || c.PartSize > 1<<30 {
		errs = append(errs, fmt.Errorf("part size %d: want 64 KiB to 1 GiB", c.PartSize))
	}
	if c.Workers < 1 || c.Workers > 1024 {
		errs = append(errs, fmt.Errorf("%d workers: want 1 to 1024", c.Workers))
	}
	switch c.Prove.Mode {
	case ProveAll, ProveSample, ProveLater:
	default:
		errs = append(errs, fmt.Errorf("prove mode %q: want sample, later or nothing for all", c.Prove.Mode))
	}
	if c.Prove.Sample < 0 || c.Prove.Sample > 1 {
		errs = append(errs, fmt.Errorf("prove sample %v: want 0 to 1", c.Prove.Sample))
	}
	for name, d := range map[string]time.Duration{"stall limit": c.Stall.After, "lease ttl": c.LeaseTTL,
		"cleanup timeout": c.CleanupTimeout, "resume within": c.ResumeWithin} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s %s is negative", name, d))
		}
	}
	return errors.Join(errs...)
}

func (p *Pipeline) app() string {
	if p.cfg.Source == nil {
		return ""
	}
	return p.cfg.Source.Describe().Application
}

// emit hands one event at a time to the user.
func (p *Pipeline) emit(e Event) {
	if p.cfg.Events == nil {
		return
	}
	p.events.Lock()
	defer p.events.Unlock()
	p.cfg.Events(e)
}

func (p *Pipeline) warn(id ID, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	p.log.Warn(text, "id", id)
	p.emit(Warning{Job: p.cfg.Job, ID: id, Text: text})
	return text
}

// fail wraps an error of an operation of this job, unless it already says all that.
func (p *Pipeline) fail(op string, id ID, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, ID: id, Err: err, Advice: Hint(err)}
	if p.cfg.Source != nil {
		d := p.cfg.Source.Describe()
		e.App, e.Instance = d.Application, d.Instance
	}
	// What the agent says itself names all of this.
	//nolint:errorlint // only what stands outermost counts; something deeper is not the agent's last word
	if own, ok := err.(*Error); ok && own.App == e.App && own.Instance == e.Instance && own.Instance != "" && (id == "" || own.ID == id) {
		return err
	}
	return e
}
