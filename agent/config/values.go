package config

import (
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/netresearch/go-cron"

	"github.com/quiesce-go/quiesce/backup"
)

func valueOf[T any](p *T) reflect.Value { return reflect.ValueOf(p).Elem() }

// Path is a file or directory. A relative one stands in the directory of the configuration file, wherever the program was started.
type Path string

func (p *Path) bindNode(b *binder, path string, at place) {
	s, ok := b.word(path, at, "a path")
	switch {
	case !ok:
	case s == "":
		b.add(at.position(), path, "is empty", "write a path, or take the key out")
	case strings.ContainsRune(s, 0):
		b.add(at.position(), path, "has a zero byte", "")
	case filepath.IsAbs(s):
		*p = Path(filepath.Clean(s))
	default:
		*p = Path(filepath.Join(b.dir, s))
	}
}

// URL is a target, such as s3://backups?region=eu-west-1 or file:///var/backups; see sink.Open.
type URL string

// drive is the beginning of a path on Windows.
var drive = regexp.MustCompile(`^[A-Za-z]:[\\/]`)

func (u *URL) bindNode(b *binder, path string, at place) {
	s, ok := b.word(path, at, "a URL")
	if !ok {
		return
	}
	p, err := url.Parse(s)
	switch {
	case err != nil || len(p.Scheme) < 2: // C:\backups has a scheme of one letter
		hint := "write a bucket's URL such as s3://backups?region=eu-west-1, or file:///path"
		switch {
		case drive.MatchString(s):
			hint = "for this directory write file:///" + strings.ReplaceAll(s, `\`, "/")
		case s != "" && err == nil:
			hint = "for this directory write " + b.fileURL(s)
		}
		b.add(at.position(), path, "is not a URL with a scheme", hint)
	case p.User != nil:
		b.add(at.position(), path, "credentials do not belong in a URL, which is shown in messages",
			"use the environment or the files of the cloud's own tools")
	case p.Scheme == "file" && (p.Opaque != "" || p.Host != "" && p.Host != "localhost" || p.Path == ""):
		b.add(at.position(), path, "a file URL needs a whole path", "write "+b.fileURL(strings.TrimPrefix(strings.TrimPrefix(s, "file:"), "//")))
	case p.Scheme == "file" && (p.RawQuery != "" || p.Fragment != ""):
		b.add(at.position(), path, "a file URL takes no parameters", "write file:///path alone")
	default:
		*u = URL(s)
	}
}

// fileURL is the URL of a path that may stand in the directory of the file.
func (b *binder) fileURL(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(b.dir, path)
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// Cron is when something happens: five fields (minute hour day month weekday), optionally preceded by seconds, or one of @hourly, @daily,
// @weekly, @monthly, @yearly, @every 90m. A day and a weekday that are both given each suffice, as in crontab. Empty means never.
type Cron string

// UnmarshalText implements encoding.TextUnmarshaler. An expression that no date fulfils is refused.
func (c *Cron) UnmarshalText(text []byte) error {
	const hint = `write minute, hour, day, month and weekday, such as "0 2 * * *" for two in the morning, or @daily, or "@every 90m"`
	s := string(text)
	if s == "" {
		return &advised{"is empty", "take the key out for never"}
	}
	if strings.HasPrefix(s, "TZ=") || strings.HasPrefix(s, "CRON_TZ=") {
		return &advised{"a schedule names no time zone of its own", "use schedule.timezone"}
	}
	p, err := cron.TryNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)
	if err != nil {
		return err
	}
	schedule, err := p.Parse(s)
	if err != nil {
		return &advised{fmt.Sprintf("%q is not a schedule: %v", s, err), hint}
	}
	if schedule.Next(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return &advised{fmt.Sprintf("%q never comes", s), "the calendar has no such day"}
	}
	*c = Cron(s)
	return nil
}

// Location is a time zone by its IANA name, such as Europe/Berlin, or UTC. The zero Location is not set. A program that runs where no zone
// files are imports time/tzdata.
type Location struct{ at *time.Location }

// Get returns the zone; nil when it is not set.
func (l Location) Get() *time.Location { return l.at }

// IsZero reports whether no zone was given.
func (l Location) IsZero() bool { return l.at == nil }

// String is the zone's name.
func (l Location) String() string {
	if l.at == nil {
		return ""
	}
	return l.at.String()
}

// MarshalText implements encoding.TextMarshaler.
func (l Location) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *Location) UnmarshalText(text []byte) error {
	at, err := time.LoadLocation(string(text))
	if err != nil || len(text) == 0 {
		return &advised{fmt.Sprintf("there is no time zone %q", text), "write an IANA name such as Europe/Berlin, or UTC, or Local for the machine's own"}
	}
	l.at = at
	return nil
}

// Mode is the permission of a directory, written as chmod takes it: 0700.
type Mode fs.FileMode

// String is the mode in octal.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// MarshalText implements encoding.TextMarshaler.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Mode) UnmarshalText(text []byte) error {
	u, err := strconv.ParseUint(strings.TrimPrefix(string(text), "0o"), 8, 32)
	if err != nil || u > 0o777 || u&0o700 != 0o700 {
		return &advised{fmt.Sprintf("%q is not the mode of a directory of ours", text), "write it in octal, with all rights for the owner: 0700, 0770"}
	}
	*m = Mode(u)
	return nil
}

// Prove says which parts a run reads back: all, later (none now), or a share such as 5%.
type Prove struct {
	Mode  backup.ProveMode
	Share Percent // of ProveSample
}

// String is the form the file has.
func (p Prove) String() string {
	switch p.Mode {
	case backup.ProveLater:
		return "later"
	case backup.ProveSample:
		return p.Share.String()
	}
	return "all"
}

// MarshalText implements encoding.TextMarshaler.
func (p Prove) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Prove) UnmarshalText(text []byte) error {
	switch s := string(text); s {
	case "all":
		*p = Prove{Mode: backup.ProveAll}
	case "later":
		*p = Prove{Mode: backup.ProveLater}
	default:
		var share Percent
		if err := share.UnmarshalText(text); err != nil || share <= 0 || share >= 100 {
			return &advised{fmt.Sprintf("%q is not a way to prove a run", s), "write all, later, or a share of the parts such as 5%"}
		}
		*p = Prove{backup.ProveSample, share}
	}
	return nil
}

// oneOf reads a word of a closed set.
func oneOf(text []byte, what string, words ...string) (string, error) {
	for _, w := range words {
		if w == string(text) {
			return w, nil
		}
	}
	hint := ""
	if best := nearest(string(text), words); best != "" {
		hint = fmt.Sprintf("did you mean %s?", best)
	}
	return "", &advised{fmt.Sprintf("%q is not %s: want %s", text, what, strings.Join(words, ", ")), hint}
}
