package exchange

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// toldLayout is what layout.ps1 tells. All values are texts, as the shell prints them, so that they are the same for every version of it.
type toldLayout struct {
	Server, Version, From string
	Groups                []toldGroup
	Databases             []toldDatabase
	Copies                []toldCopy
}

type toldGroup struct{ ID, Name, Logs, System, Base, Circular string }

type toldDatabase struct {
	Group, Name, GUID, File, Stream             string
	Mounted, InProgress, Recovery, AllowRestore string
	Full, Log, Copy                             string
}

type toldCopy struct{ GUID, Server, Status, Preference, CopyQueue, ReplayQueue string }

// versionNumber reads "Version 15.2 (Build 1118.7)".
var versionNumber = regexp.MustCompile(`^Version (\d+)\.`)

// decodeLayout makes a Layout of it. What is missing or strange is an error: a layout that is half right would leave databases out.
func decodeLayout(answer []byte) (Layout, error) {
	var t toldLayout
	if err := strictly(answer, &t); err != nil {
		return Layout{}, err
	}
	l := Layout{Server: t.Server, Version: t.Version}
	m := versionNumber.FindStringSubmatch(t.Version)
	if m == nil || t.Server == "" {
		return l, fmt.Errorf("server %q tells the version %q: want \"Version 15.2 (Build 1118.7)\"", t.Server, t.Version)
	}
	l.Major, _ = strconv.Atoi(m[1]) // digits; one that is too large is refused below
	if !slices.Contains([]int{6, 8, 14, 15}, l.Major) {
		return l, fmt.Errorf("server %s is of %s, which is not known", t.Server, t.Version)
	}
	r := &layoutReader{t: t, at: map[string]int{}}
	for _, g := range t.Groups {
		l.Groups = append(l.Groups, r.group(g))
	}
	for _, d := range t.Databases {
		i, ok := r.at[d.Group]
		if !ok {
			r.bad("database %s is of group %q, which is not told", d.Name, d.Group)
			continue
		}
		l.Groups[i].Databases = append(l.Groups[i].Databases, r.database(d))
	}
	for _, c := range t.Copies {
		if !slices.ContainsFunc(t.Databases, func(d toldDatabase) bool { return d.GUID == c.GUID }) {
			r.bad("a copy on %s is of database %q, which is not told", c.Server, c.GUID)
		}
	}
	if err := errors.Join(r.errs...); err != nil {
		return l, err
	}
	// A storage group without databases has nothing to back up; a database without a copy here is the matter of others.
	l.Groups = slices.DeleteFunc(l.Groups, func(g Group) bool {
		return len(g.Databases) == 0 || slices.ContainsFunc(g.Databases, func(d Database) bool {
			return len(d.Copies) > 0 && !slices.ContainsFunc(d.Copies, func(c Copy) bool { return strings.EqualFold(c.Server, l.Server) })
		})
	})
	return l, nil
}

// layoutReader reads values and gathers what is wrong with them.
type layoutReader struct {
	t    toldLayout
	at   map[string]int // groups by their ids
	errs []error
}

func (r *layoutReader) bad(format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

func (r *layoutReader) group(g toldGroup) Group {
	if _, again := r.at[g.ID]; again || g.ID == "" || g.Name == "" || g.Logs == "" {
		r.bad("group %q (%q) with logs in %q: want a name, an id of its own and a folder", g.Name, g.ID, g.Logs)
	}
	if len(g.Base) != 3 {
		r.bad("group %s names its logs %q: want three characters", g.Name, g.Base)
	}
	r.at[g.ID] = len(r.at)
	out := Group{Name: g.Name, LogDir: g.Logs, SystemDir: g.System, LogBase: g.Base, Circular: r.fact(g.Name, g.Circular)}
	if out.SystemDir == "" { // since Exchange 2010 the checkpoint is with the logs
		out.SystemDir = g.Logs
	}
	return out
}

func (r *layoutReader) database(d toldDatabase) Database {
	id, err := esebcli.ParseGUID(d.GUID)
	if err != nil || d.Name == "" || d.File == "" {
		r.bad("database %q (%q) in %q: want a name, a GUID and a file", d.Name, d.GUID, d.File)
	}
	out := Database{Name: d.Name, GUID: id.String(), File: d.File, StreamFile: d.Stream,
		Mounted: r.fact(d.Name, d.Mounted), BackupInProgress: r.fact(d.Name, d.InProgress), Recovery: r.fact(d.Name, d.Recovery), AllowRestore: r.fact(d.Name, d.AllowRestore),
		LastFull: r.time(d.Name, d.Full), LastLog: r.time(d.Name, d.Log), LastCopy: r.time(d.Name, d.Copy)}
	for _, c := range r.t.Copies {
		if c.GUID == d.GUID {
			out.Copies = append(out.Copies, r.copy(d.Name, c))
		}
	}
	return out
}

// States of copies, of the enumeration CopyStatus (Exchange 2010 SDK): these are of the active one, and the passive one of these is in step.
var (
	activeStates  = [...]string{"Mounted", "Mounting", "Dismounted", "Dismounting"}
	healthyStates = [...]string{"Mounted", "Healthy"}
)

// preferred reads "[EX1, 2]".
var preferred = regexp.MustCompile(`^\[(.+), (\d+)\]$`)

func (r *layoutReader) copy(database string, c toldCopy) Copy {
	out := Copy{Server: c.Server, Active: slices.Contains(activeStates[:], c.Status), Healthy: slices.Contains(healthyStates[:], c.Status),
		CopyQueue: r.count(database, c.CopyQueue), ReplayQueue: r.count(database, c.ReplayQueue)}
	if c.Preference != "" {
		if m := preferred.FindStringSubmatch(c.Preference); m != nil {
			out.Preference = r.count(database, m[2])
		} else {
			r.bad("database %s: the activation preference %q of %s is not understood", database, c.Preference, c.Server)
		}
	}
	if c.Server == "" {
		r.bad("database %s has a copy on no server", database)
	}
	return out
}

// fact reads a truth value; one that is not told is false.
func (r *layoutReader) fact(name, text string) bool {
	switch strings.ToLower(text) {
	case "true":
		return true
	case "false", "":
		return false
	}
	r.bad("%s: %q is neither true nor false", name, text)
	return false
}

func (r *layoutReader) time(name, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		r.bad("%s: %w", name, err)
	}
	return t
}

func (r *layoutReader) count(name, text string) int {
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		r.bad("%s: %q is no count", name, text)
	}
	return n
}
