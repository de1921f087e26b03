package exchange

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// placed is an artifact with the step it comes from, and the file that it was at the server.
type placed struct {
	step  *backup.RestoreStep
	entry backup.Entry
	file  string
}

// databaseCopy is a database in a full.
type databaseCopy struct {
	name, guid string
	edb        placed
	// stm is its second file, up to Exchange 2003.
	stm *placed
	// first and last are the generations it needs; 0 and 0: none.
	first, last uint32
	// as is the recovery database it goes to; empty: its own place.
	as string
}

// files are the one or two of a database.
func (d *databaseCopy) files() []placed {
	if d.stm == nil {
		return []placed{d.edb}
	}
	return []placed{d.edb, *d.stm}
}

// groupCourse is what a restore does with one group.
type groupCourse struct {
	item string
	way  Way
	full *backup.RestoreStep
	// databases are those to restore, of as many as total in the backup.
	databases []*databaseCopy
	total     int
	links     []linkLogs
	logs      selection
	// patches are files that Exchange 2000 wrote beside its logs, which the streaming API wants back with them.
	patches []placed
	// base is what the logs begin with.
	base string
}

// course is what a restore does.
type course struct {
	opt    restoreOptions
	groups []*groupCourse
	system []*backup.RestoreStep
}

// newCourse reads the steps of a plan, and chooses the logs. What is missing is found here, before anything is touched.
func (s *Source) newCourse(r backup.RestoreRequest, set *backup.RestoreSet, o restoreOptions) (*course, error) {
	c := &course{opt: o}
	for _, step := range set.Steps() {
		err := c.add(step, r)
		if err != nil {
			return nil, s.inBackup(step, err)
		}
	}
	for _, g := range c.groups {
		if err := s.complete(g); err != nil {
			return nil, s.inBackup(g.full, err)
		}
	}
	if o.forward && (!r.Target.Time.IsZero() || r.Target.ID != "" || r.Target.Position != "") {
		return nil, fmt.Errorf("%w: restore option forward=true goes beyond the backups, and cannot stop at a time, backup or position: leave one of them out", backup.ErrOption)
	}
	return c, nil
}

// inBackup names the backup and item that err is about.
func (s *Source) inBackup(step *backup.RestoreStep, err error) error {
	return &backup.Error{Op: "restore", App: application, Instance: s.opt.Instance, ID: step.ID, Artifact: step.Item.Name, Advice: backup.Hint(err), Err: err}
}

func (c *course) add(step *backup.RestoreStep, r backup.RestoreRequest) error {
	if step.Item.Name == itemSystem {
		c.system = append(c.system, step)
		return nil
	}
	if step.Item.Kind != backup.Log {
		return c.addFull(step, r)
	}
	link := linkLogs{until: step.Until, end: step.Item.Window.To}
	if step.UntilPosition != "" {
		n, err := generationAt(step.UntilPosition)
		if err != nil {
			return err
		}
		if !r.Target.After {
			n--
		}
		link.last = n
	}
	for _, e := range step.Entries {
		if e.Meta[metaKind] != fileLog {
			continue
		}
		l, err := readLog(step, e)
		if err != nil {
			return err
		}
		if !l.partial {
			link.logs = append(link.logs, l)
		}
	}
	for _, g := range c.groups {
		if g.full.Item.Stream == step.Item.Stream {
			g.links = append(g.links, link)
		}
	}
	return nil
}

func (c *course) addFull(step *backup.RestoreStep, r backup.RestoreRequest) error {
	g := &groupCourse{item: step.Item.Name, full: step, way: Way(step.Manifest.Meta[metaWay])}
	if g.way != WayESE && g.way != WayVSS {
		return fmt.Errorf("%w: it does not say how it was taken (%q): it is of a newer version of this agent", backup.ErrRefused, g.way)
	}
	byName := map[string]*databaseCopy{}
	for _, e := range step.Entries {
		if e.Role != backup.RoleData {
			continue
		}
		name := e.Meta[metaDatabase]
		if name == "" || e.Meta[metaFile] == "" {
			return fmt.Errorf("%w: %s does not say which database it is", backup.ErrCorrupt, e.Name)
		}
		d := byName[name]
		if d == nil {
			d = &databaseCopy{name: name, guid: e.Meta[metaGUID]}
			byName[name] = d
			g.total++
			if wanted(step.For, g.item, name) {
				d.as = asked(r.Target.Select, g.item, name)
				g.databases = append(g.databases, d)
			}
		}
		p := placed{step, e, e.Meta[metaFile]}
		if e.Meta[metaKind] == fileStream {
			d.stm = &p
			continue
		}
		d.edb = p
		if text := e.Meta[metaRequired]; text != "" {
			var err error
			if d.first, d.last, err = readRange(text); err != nil {
				return err
			}
		}
	}
	for _, d := range g.databases {
		if d.edb.file == "" {
			return fmt.Errorf("%w: %s has a streaming file and no database file", backup.ErrCorrupt, d.name)
		}
	}
	if len(g.databases) == 0 {
		return fmt.Errorf("%w: the backup has none of the databases asked for", backup.ErrNoBackup)
	}
	c.groups = append(c.groups, g)
	return nil
}

// complete chooses the logs of a group.
func (s *Source) complete(g *groupCourse) error {
	var own []logFile
	for _, e := range g.full.Entries {
		if e.Meta[metaKind] == filePatch {
			g.patches = append(g.patches, placed{g.full, e, e.Meta[metaFile]})
		}
		if e.Meta[metaKind] != fileLog {
			continue
		}
		l, err := readLog(g.full, e)
		if err != nil {
			return err
		}
		own = append(own, l)
	}
	var err error
	if g.logs, err = chooseLogs(own, g.full.Item.Window.To, g.links, s.opt.Zone); err != nil {
		return err
	}
	for _, d := range g.databases {
		if err := g.logs.covers(d.first, d.last); err != nil {
			return fmt.Errorf("database %q: %w", d.name, err)
		}
	}
	for _, l := range g.logs.logs {
		g.base = l.base
	}
	return nil
}

// wanted reports whether a step serves a database, by itself or with its group.
func wanted(serves []string, group, database string) bool {
	return slices.Contains(serves, group) || slices.Contains(serves, database)
}

// asked is the name that a database is to be restored under; empty: its own.
func asked(selected []backup.Selection, group, database string) (as string) {
	for _, sel := range selected {
		if sel.Name == database || sel.Name == group && as == "" {
			as = sel.As
		}
	}
	if as == database {
		return ""
	}
	return as
}

// generationAt is the log a position stands in.
func generationAt(p backup.Position) (uint32, error) {
	n, err := strconv.ParseUint(strings.TrimSuffix(string(p), ".partial"), 10, 31)
	if err != nil || n == 0 {
		return 0, errors.Join(fmt.Errorf("%w: %q is no position in the logs of Exchange", backup.ErrCorrupt, p), err)
	}
	return uint32(n), nil
}

// summary says which logs are applied and to when, for people.
func (g *groupCourse) summary() string {
	text := fmt.Sprintf("%q: ", g.item)
	for _, d := range g.databases {
		if d.last > 0 {
			text += fmt.Sprintf("database %q needs the logs of generation %s; ", d.name, generations(d.first, d.last))
		}
	}
	if len(g.logs.logs) == 0 {
		return text + "no log is applied"
	}
	text += fmt.Sprintf("applied are %s (%s), without a gap, to the end of generation %s", fileNames(g.logs.logs), generations(g.logs.first(), g.logs.last()), generation(g.logs.last()))
	if !g.logs.holds.IsZero() {
		text += ", so all changes up to " + g.logs.holds.UTC().Format(time.RFC3339Nano) + " are in"
	}
	if len(g.logs.left) > 0 {
		text += fmt.Sprintf("; left out, since they reach beyond what was asked for: %s", fileNames(g.logs.left))
	}
	return text
}
