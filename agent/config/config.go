package config

import (
	"errors"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/sink"
)

// Config is a whole file, checked, with its defaults filled in and what the jobs share given to each of them.
type Config struct {
	// Sink is the target of all jobs that name none themselves.
	Sink URL `yaml:"sink,omitempty"`
	// ReadOnly refuses every change at the targets: for machines that only restore.
	ReadOnly bool `yaml:"read_only,omitempty"`
	// Stage is where artifacts lie before they are offsite. Left out, backups are streamed and nothing of them touches a disk of ours.
	Stage *Stage `yaml:"stage,omitempty"`
	// Seal is how the parts are stored.
	Seal Seal `yaml:"seal"`
	// Transfer is how they travel.
	Transfer Transfer `yaml:"transfer"`
	// Agent is about the program that runs the jobs.
	Agent Agent `yaml:"agent"`
	// Notify is who is told when something changes.
	Notify []Notify `yaml:"notify,omitempty"`
	// Jobs are in the order of the file.
	Jobs Jobs `yaml:"jobs" config:"required"`

	// Warnings are what a person should look at and what stops nothing.
	Warnings []Problem `yaml:"-" json:"-"`

	from *origin
}

// Stage is a directory for the artifacts of runs under way. A run that was interrupted is completed from it.
type Stage struct {
	// Dir is the directory. Required unless Stream is set.
	Dir Path `yaml:"dir,omitempty"`
	// ServerDir is Dir as the application's server sees it, when that differs.
	ServerDir string `yaml:"server_dir,omitempty"`
	// Max is how many bytes may lie in the stage of one run at once; writers wait for what has been sent to leave. Default 0, no bound but the disk.
	Max Size `yaml:"max,omitempty"`
	// Mode is the permission of a run's directory. Default 0700; a server that writes there as another user needs more.
	Mode Mode `yaml:"mode,omitempty"`
	// Stream is for a job that does without the stage the others have.
	Stream bool `yaml:"stream,omitempty"`
}

// Validate implements the rules between the keys.
func (s *Stage) Validate() error {
	switch {
	case s.Stream && (s.Dir != "" || s.ServerDir != "" || s.Max != 0 || s.Mode != 0):
		return field("stream", "take one of the two out", "a stage that streams has no directory")
	case !s.Stream && s.Dir == "":
		return field("dir", "name a directory with room for a backup, or leave stage out to stream", "is missing")
	}
	return nil
}

// Compression is a way to make parts smaller: zstd, or none.
type Compression string

// The ways there are.
const (
	Zstd          Compression = "zstd"
	NoCompression Compression = "none"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Compression) UnmarshalText(text []byte) error {
	s, err := oneOf(text, "a compression", string(Zstd), string(NoCompression))
	*c = Compression(s)
	return err
}

// Seal is how parts are stored: compressed, then encrypted by age.
type Seal struct {
	// Compression is zstd or none. Default zstd.
	Compression Compression `yaml:"compression"`
	// Level is fastest, default or better; see sink.Level. Default fastest.
	Level sink.Level `yaml:"level"`
	// Recipients are age recipients ("age1..."). Each of their identities opens every backup.
	Recipients []string `yaml:"recipients,omitempty"`
	// RecipientsFile has more of them, one a line.
	RecipientsFile Path `yaml:"recipients_file,omitempty"`
	// IdentityFile is the secret half, as age-keygen writes it. It belongs where restores run and nowhere else: without it backups are
	// made, and what needs their content fails with backup.ErrKey.
	IdentityFile Path `yaml:"identity_file,omitempty"`
	// Plain stores without encryption. Whoever can read the target can then read the backups.
	Plain bool `yaml:"plain,omitempty"`
}

// Defaults fills the defaults in.
func (s *Seal) Defaults() { s.Compression = Zstd }

// Validate implements the rules between the keys.
func (s *Seal) Validate() error {
	if s.Plain && (len(s.Recipients) > 0 || s.RecipientsFile != "" || s.IdentityFile != "") {
		return field("plain", "take plain out to encrypt, or the keys to store as it is", "there are keys as well, so it is not clear whether to encrypt")
	}
	return nil
}

// Transfer is how parts travel. A job may have keys of its own in place of single ones of these.
type Transfer struct {
	// PartSize is the content of one part, 64KiB to 1GiB. Default 4MiB.
	PartSize Size `yaml:"part_size"`
	// Workers seal and send parts side by side, 1 to 1024. Default 4, on one processor 2.
	Workers int `yaml:"workers"`
	// Prove says which parts a run reads back before it counts: all, later, or a share such as 5%. Default all.
	Prove Prove `yaml:"prove"`
	// Retry is how long one transfer may spend waiting between tries. Default 15m; 0 never repeats.
	Retry Duration `yaml:"retry"`
	// Stall is the watch over runs in which no byte moves.
	Stall Stall `yaml:"stall"`
	// Lease is how long a job stays taken after the machine that held it fell silent, at least 1s. Default 1m.
	Lease Duration `yaml:"lease"`
	// Cleanup bounds what is done after a run was cancelled, at least 1s. Default 1m.
	Cleanup Duration `yaml:"cleanup"`
	// Resume is the age up to which an interrupted run is completed from its stage, at least 1s. Default 1d.
	Resume Duration `yaml:"resume"`
	// Throttle bounds the rates. Jobs whose throttle is the same share one bound; default none.
	Throttle *Throttle `yaml:"throttle,omitempty"`
}

// Defaults fills the defaults in.
func (t *Transfer) Defaults() {
	*t = Transfer{PartSize: 4 << 20, Workers: min(4, 2*runtime.GOMAXPROCS(0)), Retry: Duration(15 * time.Minute), Stall: t.Stall,
		Lease: Duration(time.Minute), Cleanup: Duration(time.Minute), Resume: Duration(24 * time.Hour)}
}

// Validate implements the rules of single keys.
func (t *Transfer) Validate() error {
	var errs []error
	if t.PartSize < 64<<10 || t.PartSize > 1<<30 {
		errs = append(errs, field("part_size", "", "%s is not from 64KiB to 1GiB", t.PartSize))
	}
	if t.Workers < 1 || t.Workers > 1024 {
		errs = append(errs, field("workers", "", "%d is not from 1 to 1024", t.Workers))
	}
	for _, d := range []struct {
		key   string
		value Duration
	}{{"lease", t.Lease}, {"cleanup", t.Cleanup}, {"resume", t.Resume}, {"stall.after", t.Stall.After}} {
		if d.value.std() < time.Second {
			errs = append(errs, field(d.key, "", "%s is less than 1s", d.value))
		}
	}
	return errors.Join(errs...)
}

// Stall says when silence counts as a stall.
type Stall struct {
	// After is the silence that is reported, at least 1s. Default 5m.
	After Duration `yaml:"after"`
	// Cancel ends the run then. Default false.
	Cancel bool `yaml:"cancel"`
}

// Defaults fills the defaults in.
func (s *Stall) Defaults() { s.After = Duration(5 * time.Minute) }

// Throttle bounds the rates of the machine's line.
type Throttle struct {
	Rates `yaml:",inline"`
	// Windows have rates of their own; the first that covers the moment decides.
	Windows []RateWindow `yaml:"windows,omitempty"`
	// Timezone is that of the windows. Default the machine's.
	Timezone Location `yaml:"timezone,omitempty"`
}

// Validate implements the rules of package sink.
func (t *Throttle) Validate() error {
	_, err := sink.NewLimiter(t.profile())
	return err
}

// Rates are bounds in bytes per second; 0 is no bound.
type Rates struct {
	// Up is towards the target, Down from it, Both the two together.
	Up   Rate `yaml:"up,omitempty"`
	Down Rate `yaml:"down,omitempty"`
	Both Rate `yaml:"both,omitempty"`
}

// RateWindow is a daily span with rates of its own.
type RateWindow struct {
	// Days it begins on, such as mon or saturday. Default every day.
	Days []Weekday `yaml:"days,omitempty"`
	// From and To are times of the day such as 08:00. To before From spans midnight.
	From  Clock `yaml:"from" config:"required"`
	To    Clock `yaml:"to" config:"required"`
	Rates `yaml:",inline"`
}

// Agent is about the program that runs the jobs.
type Agent struct {
	// State is a directory for what the agent remembers; it may be lost without losing a backup. Left out, nothing is remembered over a restart.
	State Path `yaml:"state,omitempty"`
	// Concurrent is how many actions run at the same time over all jobs, at least 1. Default 2.
	Concurrent int `yaml:"concurrent"`
	// Grace is how long actions may go on after the agent was asked to stop. Default 30s; 0 cancels at once.
	Grace Duration `yaml:"grace"`
	// Listen is where metrics and health are served: host:port, or none. Default 127.0.0.1:9187.
	Listen Listen `yaml:"listen"`
	// Log is what the program writes about its work.
	Log Log `yaml:"log"`
}

// Defaults fills the defaults in.
func (a *Agent) Defaults() {
	a.Concurrent, a.Grace, a.Listen = 2, Duration(30*time.Second), "127.0.0.1:9187"
}

// Validate implements the rules of single keys.
func (a *Agent) Validate() error {
	if a.Concurrent < 1 {
		return field("concurrent", "", "%d is less than 1", a.Concurrent)
	}
	return nil
}

// Listen is an address to serve on; empty serves nothing. In the file that is "none".
type Listen string

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Listen) UnmarshalText(text []byte) error {
	s := string(text)
	if s == "none" {
		*l = ""
		return nil
	}
	if _, port, err := net.SplitHostPort(s); err != nil || port == "" {
		return &advised{"is not an address", "write host:port such as 127.0.0.1:9187, or none"}
	}
	*l = Listen(s)
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (l Listen) MarshalText() ([]byte, error) {
	if l == "" {
		return []byte("none"), nil
	}
	return []byte(l), nil
}

// loopback reports whether only this machine can reach the address.
func (l Listen) loopback() bool {
	host, _, _ := net.SplitHostPort(string(l))
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Log is what the program writes about its work.
type Log struct {
	// Level is debug, info, warn or error. Default info.
	Level Level `yaml:"level"`
	// Format is text or json. Default text.
	Format LogFormat `yaml:"format"`
}

// Defaults fills the defaults in.
func (l *Log) Defaults() { l.Format = "text" }

// Level is how much is logged.
type Level slog.Level

// Level implements slog.Leveler.
func (l Level) Level() slog.Level { return slog.Level(l) }

// MarshalText implements encoding.TextMarshaler.
func (l Level) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(slog.Level(l).String())), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Level) UnmarshalText(text []byte) error {
	s, err := oneOf(text, "a log level", "debug", "info", "warn", "error")
	if err != nil {
		return err
	}
	return (*slog.Level)(l).UnmarshalText([]byte(s))
}

// LogFormat is text or json.
type LogFormat string

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *LogFormat) UnmarshalText(text []byte) error {
	s, err := oneOf(text, "a log format", "text", "json")
	*f = LogFormat(s)
	return err
}

// Notify is one place to send notices to. Package agent/notify makes a Notifier of it.
type Notify struct {
	// URL says what kind of place it is and how to reach it. Required, and secret, since most hold a token.
	URL Secret `yaml:"url" config:"required"`
	// On lists the kinds of notices: failed, recovered, absent, present. Default all of them.
	On []Notice `yaml:"on"`
	// Jobs limits it to some jobs. Default all.
	Jobs []string `yaml:"jobs,omitempty"`
}

// Defaults fills the defaults in.
func (n *Notify) Defaults() {
	n.On = []Notice{Notice(agent.NoticeFailed), Notice(agent.NoticeRecovered), Notice(agent.NoticeAbsent), Notice(agent.NoticePresent)}
}

// Wants reports whether a notice of that kind about that job is for this place.
func (n Notify) Wants(kind agent.NoticeKind, job string) bool {
	return slices.Contains(n.On, Notice(kind)) && (len(n.Jobs) == 0 || slices.Contains(n.Jobs, job))
}

// Notice is a kind of notice.
type Notice agent.NoticeKind

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Notice) UnmarshalText(text []byte) error {
	s, err := oneOf(text, "a notice", string(agent.NoticeFailed), string(agent.NoticeRecovered), string(agent.NoticeAbsent), string(agent.NoticePresent))
	*n = Notice(s)
	return err
}

// profile is the throttle as package sink has it.
func (t Throttle) profile() sink.Profile {
	p := sink.Profile{Rate: t.rate(), Location: t.Timezone.Get()}
	for _, w := range t.Windows {
		in := sink.RateWindow{From: time.Duration(w.From), To: time.Duration(w.To), Rate: w.rate()}
		for _, d := range w.Days {
			in.Days = append(in.Days, time.Weekday(d))
		}
		p.Windows = append(p.Windows, in)
	}
	return p
}

func (r Rates) rate() sink.Rate {
	return sink.Rate{Up: int64(r.Up), Down: int64(r.Down), Both: int64(r.Both)}
}
