package domino

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// tick is the resolution of times in Notes.
const tick = 10 * time.Millisecond

// placed is an artifact with the step it comes from.
type placed struct {
	step  *backup.RestoreStep
	entry backup.Entry
}

// target is a database to restore.
type target struct {
	item string
	copy placed
	// delta is the change information where it lies beside the copy.
	delta *placed
	// logged says that it is recovered, to the time until; id is the series of its log, from extent on, as far as the backup knows them; rolled says that the plan has log for that.
	logged bool
	id     notes.UNID
	extent uint32
	until  time.Time
	rolled bool
	// as is its name for Domino, to where it goes, temp where it is made.
	as, to, temp string
	// exists says that something is at to.
	exists bool
}

// course is what a restore does.
type course struct {
	opt     restoreOptions
	data    string
	targets []*target
	files   []*backup.RestoreStep
	// attachments are the links of the attachment store.
	attachments []*backup.RestoreStep
	extents     map[notes.UNID]map[uint32]placed
	ini         []placed
}

// newCourse reads the steps of a plan. data is the data directory they go to.
func (s *capiSource) newCourse(r backup.RestoreRequest, set *backup.RestoreSet, o restoreOptions, data string) (*course, error) {
	c := &course{opt: o, data: data, extents: map[notes.UNID]map[uint32]placed{}}
	byName := map[string]*target{}
	for _, step := range set.Steps() {
		if err := s.foreign(step, set, o); err != nil {
			return nil, err
		}
		var err error
		switch step.Item.Name {
		case itemLogFiles: // left out, with a warning
		case itemLog:
			if !o.noLog && (!shared(step) || o.server) {
				err = c.addLog(step, byName, r.Target.Time.IsZero())
			}
		case itemFiles:
			c.files = append(c.files, step)
			c.addINI(step)
		case itemAttachments:
			c.attachments = append(c.attachments, step)
		default:
			var t *target
			if t, err = c.addDatabase(step, r); err == nil {
				byName[step.Item.Name] = t
				c.targets = append(c.targets, t)
			}
		}
		if err != nil {
			return nil, &backup.Error{Op: "restore", App: application, Instance: s.opt.Instance, ID: step.ID, Artifact: step.Item.Name, Err: err, Advice: backup.Hint(err)}
		}
	}
	for _, t := range c.targets {
		if err := s.lacking(c, t); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *course) addDatabase(step *backup.RestoreStep, r backup.RestoreRequest) (*target, error) {
	name := step.Item.Name
	e, ok := step.Find(databasePrefix + name)
	if !ok {
		return nil, fmt.Errorf("%w: the backup has no copy of it", backup.ErrCorrupt)
	}
	t := &target{item: name, copy: placed{step, e}}
	hooked := wayOf(step) == Hook
	if _, streamed := e.Meta["delta"]; streamed || hooked {
		d, ok := step.Find(e.Name + deltaSuffix)
		if !ok {
			return nil, fmt.Errorf("%w: its change information is missing, without which the copy is inconsistent", backup.ErrCorrupt)
		}
		if d.Size > 0 || !hooked {
			t.delta = &placed{step, d}
		}
	}
	if hooked && instanceOf(e.Meta[metaDBIID]) {
		t.logged, t.until = true, step.Item.Window.To.Truncate(tick).Add(tick)
	}
	if id := e.Meta[metaLogID]; id != "" {
		var err error
		t.logged = true
		if t.id, err = notes.ParseUNID(id); err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(e.Meta[metaExtent], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("number of its first extent: %w", err)
		}
		t.extent = uint32(n)
		t.until = step.Item.Window.To.Truncate(tick).Add(tick)
	}
	as := name
	for _, sel := range r.Target.Select {
		if sel.Name == name && sel.As != "" {
			as = strings.Trim(strings.ReplaceAll(sel.As, `\`, "/"), "/")
			if !filepath.IsLocal(filepath.FromSlash(as)) || !isDatabase(as) {
				return nil, fmt.Errorf("%w: restore as %q: want the name of a database below the data directory, such as restored/%s", backup.ErrOption, sel.As, filepath.Base(name))
			}
		}
	}
	if c.opt.to != "" {
		as = c.opt.to + "/" + as
	}
	t.as = as
	var err error
	if t.to, err = place(c.data, as); err != nil {
		return nil, err
	}
	t.temp = filepath.Join(filepath.Dir(t.to), "q"+short(t.to)+unfinished)
	return t, nil
}

// addLog notes the extents of a step, and that the databases it serves are rolled forward by it. A later copy of an extent replaces an earlier one, which may have been partial. latest says that no time was asked for.
func (c *course) addLog(step *backup.RestoreStep, byName map[string]*target, latest bool) error {
	for _, e := range step.Entries {
		if !strings.HasPrefix(e.Name, logPrefix) {
			continue
		}
		id, number, partial, err := extentOf(e)
		if err != nil {
			return err
		}
		if c.extents[id] == nil {
			c.extents[id] = map[uint32]placed{}
		}
		if old, there := c.extents[id][number]; there && partial && (old.entry.Meta[metaPart] == "" || old.step.ID > step.ID) {
			continue
		}
		c.extents[id][number] = placed{step, e}
	}
	for _, name := range step.For {
		t := byName[name]
		if name == itemFiles {
			continue
		}
		if t == nil {
			return fmt.Errorf("the plan applies log to %s before its full", name)
		}
		t.rolled = true
		switch {
		case !step.Until.IsZero():
			t.until = step.Until.Truncate(tick)
		case latest:
			t.until = step.Item.Window.To.Truncate(tick).Add(tick) // with what there is of the tick in which the log was copied
		default:
			t.until = step.Item.Window.To.Truncate(tick)
		}
	}
	return nil
}

func (c *course) addINI(step *backup.RestoreStep) {
	for _, e := range step.Entries {
		if strings.HasPrefix(e.Name, iniPrefix) {
			c.ini = append(c.ini, placed{step, e})
		}
	}
}

// lacking refuses, before anything is touched, when an extent is missing that a recovery is sure to ask for.
func (s *capiSource) lacking(c *course, t *target) error {
	if !t.rolled {
		return nil
	}
	have := c.extents[t.id]
	last := uint32(0)
	for n := range have {
		last = max(last, n)
	}
	for n := t.extent; n <= last; n++ {
		if _, ok := have[n]; !ok {
			return s.refuse("restore", t.item, "choose an earlier or later time: obm windows shows them", "extent %d of the log is not in the backups of this plan", n)
		}
	}
	return nil
}

// occupied names what is in the way.
func (c *course) occupied() (there []string, err error) {
	seen := map[string]string{}
	for _, t := range c.targets {
		if other, twice := seen[t.to]; twice {
			return nil, fmt.Errorf("%w: %s and %s both go to %s", backup.ErrOption, other, t.item, t.to)
		}
		seen[t.to] = t.item
		if _, err := os.Lstat(t.to); err == nil {
			t.exists = true
			there = append(there, t.to)
		} else if !os.IsNotExist(err) {
			return nil, err
		}
	}
	for _, f := range c.plainFiles() {
		is, err := f.there()
		if err != nil {
			return nil, err
		}
		if is == different && !f.ini {
			there = append(there, f.to)
		}
	}
	slices.Sort(there)
	return there, nil
}

// presence is what is at the place of a plain file.
type presence int

const (
	absent presence = iota
	identical
	different
)

// plainFile is a file to put back as it was.
type plainFile struct {
	placed
	to string
	// ini is notes.ini or what it includes: where there is one, the server lives by it, and it is left alone.
	ini bool
}

// there compares what lies at its place.
func (f *plainFile) there() (presence, error) {
	info, err := os.Stat(f.to)
	if os.IsNotExist(err) {
		return absent, nil
	}
	if err != nil || !info.Mode().IsRegular() {
		return different, err
	}
	if info.Size() != f.entry.Size {
		return different, nil
	}
	in, err := os.Open(f.to)
	if err != nil {
		return different, err
	}
	defer in.Close()
	sum := newSum()
	if _, err := io.Copy(sum, in); err != nil {
		return different, err
	}
	if sumText(sum) != f.entry.Meta[metaSum] {
		return different, nil
	}
	return identical, nil
}

// plainFiles are notes.ini and the other files of the data directory.
func (c *course) plainFiles() (out []*plainFile) {
	for _, step := range c.files {
		for _, e := range step.Entries {
			switch {
			case strings.HasPrefix(e.Name, filePrefix):
				out = append(out, &plainFile{placed{step, e}, filepath.Join(c.data, filepath.FromSlash(strings.TrimPrefix(e.Name, filePrefix))), false})
			case strings.HasPrefix(e.Name, iniPrefix):
				out = append(out, &plainFile{placed{step, e}, c.iniPlace(e), true})
			}
		}
	}
	return out
}

// iniPlace is where notes.ini goes: where it was, and with a whole server into its data directory when it was in the one before.
func (c *course) iniPlace(e backup.Entry) string {
	was := e.Meta["path"]
	if !c.opt.server {
		return was
	}
	return filepath.Join(c.data, filepath.Base(was))
}
