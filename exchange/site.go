package exchange

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// site is what a server has and how it is taken.
type site struct {
	way    Way
	layout Layout
	// targets are the groups that are backed up here, untaken the names of the others; unknown are names in Options.Include that there are not, shut groups asked for by their names without a mounted database.
	targets       []*target
	untaken       []string
	unknown, shut []string
	// elsewhere is how many groups other members of an availability group take.
	elsewhere int
	warnings  []string
}

// target is a group that is backed up. Its Databases are those that are taken.
type target struct {
	Group
	// idle are databases that are not mounted, out those that options leave out.
	idle, out []Database
}

// whole reports whether all databases of the group are taken, so that its logs may be truncated.
func (t *target) whole() bool { return len(t.idle)+len(t.out) == 0 }

// look asks what the server has, and decides the way.
func (s *Source) look(ctx context.Context) (*site, error) {
	layout, err := s.opt.Tools.Management.Layout(ctx)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	unmanaged := noManagement(err)
	st := &site{way: s.opt.Way, layout: layout}
	if st.way == WayAuto {
		switch {
		case unmanaged: // Exchange 2000 and 2003 have no shell
			st.way = WayESE
		case err != nil:
			return nil, s.unanswered(err)
		case layout.Major == 0:
			return nil, s.refuse("back up", "", `set the way: "ese" up to Exchange 2007, "vss" from Exchange 2003 on`, "the version of the server cannot be told (%q), and so not how to take it", layout.Version)
		case layout.Major < 8:
			st.way = WayESE
		default:
			st.way = WayVSS
		}
	}
	if st.way == WayVSS {
		if err != nil {
			return nil, s.unanswered(err)
		}
	} else {
		if err != nil && !unmanaged {
			st.warnings = append(st.warnings, fmt.Sprintf("the management of the server does not answer, so that circular logging is seen late: %v", err))
		}
		if err := s.instances(ctx, st); err != nil {
			return nil, err
		}
	}
	return st, s.choose(st)
}

// noManagement reports whether a machine has no management at all: none was given and this is not Windows, or its program is not there.
func noManagement(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist)
}

// unanswered is a management that fails.
func (s *Source) unanswered(err error) error {
	hint := backup.Hint(err)
	if hint == "" {
		hint = `run the agent on the Exchange server, as an account that may use its management shell; Exchange 2000 and 2003 have no shell: set way "ese" there`
	}
	return &backup.Error{Op: "look at", App: application, Instance: s.opt.Instance, Artifact: "what the server has", Advice: hint, Err: err}
}

// layout is what the server has, by its management or, where it has none, by the streaming API.
func (s *Source) layout(ctx context.Context) (Layout, error) {
	l, err := s.opt.Tools.Management.Layout(ctx)
	if !noManagement(err) {
		return l, err
	}
	st := &site{layout: l}
	if ierr := s.instances(ctx, st); ierr != nil {
		return Layout{}, errors.Join(err, ierr)
	}
	return st.layout, nil
}

// instances replaces the groups of the layout by those of the streaming API, which names the files as it will open them.
func (s *Source) instances(ctx context.Context, st *site) (err error) {
	session, instances, err := s.opt.Tools.Streaming.Prepare(ctx, s.opt.Server, esebcli.InformationStore)
	if err != nil {
		return fmt.Errorf("begin a session of the streaming API: %w", err)
	}
	undo, stop := s.undoing(ctx)
	defer stop()
	if err := session.End(undo); err != nil {
		return fmt.Errorf("end a session of the streaming API: %w", err)
	}
	known := st.layout.Groups
	st.layout.Groups = nil
	for _, in := range instances {
		g := Group{Name: in.Name}
		if i := slices.IndexFunc(known, func(k Group) bool { return strings.EqualFold(k.Name, in.Name) }); i >= 0 {
			g = known[i]
		}
		g.Databases = nil
		for _, d := range in.Databases {
			db := Database{Name: d.Name, GUID: d.GUID.String(), Mounted: d.Mounted}
			if d.GUID == (esebcli.GUID{}) {
				db.GUID = ""
			}
			if len(d.Streams) > 0 {
				db.File = d.Streams[0]
			}
			if len(d.Streams) > 1 {
				db.StreamFile = d.Streams[1]
			}
			g.Databases = append(g.Databases, db)
		}
		st.layout.Groups = append(st.layout.Groups, g)
	}
	return nil
}

// choose divides the groups of the server into those that are taken and the others.
func (s *Source) choose(st *site) error {
	var names []string
	for _, g := range st.layout.Groups {
		own := []string{g.Name}
		for _, d := range g.Databases {
			own = append(own, d.Name)
		}
		names = append(names, own...)
		if strings.EqualFold(g.Name, itemSystem) {
			return s.refuse("back up", g.Name, "rename the database or storage group", "the name is that of another item of the backup")
		}
		if !s.pick.includes(own...) {
			st.untaken = append(st.untaken, g.Name)
			continue
		}
		s.consider(st, g, own)
	}
	st.unknown = s.pick.missing(names)
	return nil
}

func (s *Source) consider(st *site, g Group, own []string) {
	t := &target{Group: g}
	t.Databases = nil
	other := "" // the member of an availability group that takes it
	for _, d := range g.Databases {
		member := s.member(d)
		switch {
		case s.pick.excludes(g.Name), d.Recovery:
		case s.pick.excludes(d.Name):
			t.out = append(t.out, d)
		case member != "" && !sameHost(member, s.here(st)):
			other = member
		case !d.Mounted && !s.passiveHere(d, st):
			t.idle = append(t.idle, d)
		default:
			t.Databases = append(t.Databases, d)
		}
	}
	switch {
	case len(t.Databases) > 0:
		st.targets = append(st.targets, t)
		for _, d := range t.idle {
			st.warnings = append(st.warnings, fmt.Sprintf("%s: database %q is not mounted and was not backed up; logs of the group are not truncated", g.Name, d.Name))
		}
		for _, d := range t.out {
			st.warnings = append(st.warnings, fmt.Sprintf("%s: database %q is left out as asked; logs of the group are not truncated", g.Name, d.Name))
		}
		return
	case len(t.idle) > 0 && s.pick.named(own...):
		st.shut = append(st.shut, g.Name)
		return
	case len(t.idle) > 0:
		st.warnings = append(st.warnings, fmt.Sprintf("%s was left out: it is not mounted", g.Name))
	case other != "":
		st.elsewhere++
	}
	st.untaken = append(st.untaken, g.Name)
}

// member is which server of an availability group backs a database up; empty: there is no choice.
func (s *Source) member(d Database) string {
	if len(d.Copies) == 0 || s.opt.Prefer == PreferHere {
		return ""
	}
	var active, passive *Copy
	for i := range d.Copies {
		c := &d.Copies[i]
		switch {
		case c.Active:
			active = c
		case c.Healthy && (passive == nil || c.Preference < passive.Preference || c.Preference == passive.Preference && c.Server < passive.Server):
			passive = c
		}
	}
	switch {
	case s.opt.Prefer == PreferPassive && passive != nil:
		return passive.Server
	case active != nil:
		return active.Server
	}
	return ""
}

// passiveHere reports whether this server has a copy of a database that is mounted elsewhere.
func (s *Source) passiveHere(d Database, st *site) bool {
	return slices.ContainsFunc(d.Copies, func(c Copy) bool { return !c.Active && c.Healthy && sameHost(c.Server, s.here(st)) })
}

// here is the name of the server that is backed up.
func (s *Source) here(st *site) string {
	if st.layout.Server != "" {
		return st.layout.Server
	}
	return s.opt.Server
}

// sameHost compares names of which one may have its domain.
func sameHost(a, b string) bool {
	short := func(n string) string {
		head, _, _ := strings.Cut(n, ".")
		return head
	}
	return strings.EqualFold(a, b) || strings.EqualFold(short(a), short(b)) && (!strings.Contains(a, ".") || !strings.Contains(b, "."))
}

// failures are the items of names that were asked for and cannot be taken.
func (st *site) failures(kind backup.Kind) (out []backup.Item) {
	for _, n := range st.unknown {
		out = append(out, backup.Item{Name: n, Kind: kind, Error: "the server has no storage group or database of this name"})
	}
	for _, n := range st.shut {
		out = append(out, backup.Item{Name: n, Kind: kind, Error: "it is not mounted (" + adviceMounted + ")"})
	}
	return out
}
