package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// destination is a database with the place it is restored to.
type destination struct {
	copy *databaseCopy
	// db is what the server has of it; zero in a folder.
	db Database
	// edb and stm are its files there.
	edb, stm string
}

// files pairs what the backup has with where it goes.
func (t *destination) files() map[string]placed {
	out := map[string]placed{t.edb: t.copy.edb}
	if t.copy.stm != nil {
		out[t.stm] = *t.copy.stm
	}
	return out
}

// place is where a group goes.
type place struct {
	*groupCourse
	// dir is the folder everything goes to; empty: the server.
	dir string
	// group is what the server has of the group; zero in a folder.
	group   Group
	targets []*destination
	// elsewhere: the databases go to recovery databases, and the group itself is left alone.
	elsewhere bool
	// whole: all databases of the group at the server are restored, so that its logs serve none of them any more.
	whole bool
}

// key names the place for the note and the lock of its restore: a folder or a recovery database is another place than the group.
func (p *place) key() string {
	switch {
	case p.dir != "":
		return p.dir
	case p.elsewhere:
		return p.targets[0].db.Name
	}
	return p.item
}

// mounted reports whether one of the databases there is in use.
func (p *place) mounted() bool {
	return slices.ContainsFunc(p.targets, func(t *destination) bool { return t.db.Mounted })
}

// locate finds the places of all groups.
func (s *Source) locate(ctx context.Context, c *course) ([]*place, error) {
	var out []*place
	if c.opt.to != "" {
		taken := map[string]string{}
		for _, g := range c.groups {
			p := &place{groupCourse: g, dir: filepath.Join(c.opt.to, folderName(g.item))}
			if other, ok := taken[strings.ToLower(p.dir)]; ok {
				return nil, s.refuse("restore", g.item, "restore them one after the other, each into a folder of its own", "%q and %q both go to %s", other, g.item, p.dir)
			}
			taken[strings.ToLower(p.dir)] = g.item
			for _, d := range g.databases {
				if d.as != "" {
					return nil, fmt.Errorf("%w: restore as %q: in a folder (to) databases keep their names", backup.ErrOption, d.as)
				}
				p.targets = append(p.targets, &destination{copy: d})
			}
			p.inFolder()
			out = append(out, p)
		}
		return out, nil
	}
	if len(c.groups) == 0 {
		return nil, nil
	}
	l, err := s.layout(ctx)
	if err != nil {
		return nil, s.fail(ctx, "find the databases of the server", "", err)
	}
	for _, g := range c.groups {
		p, err := s.atServer(g, l)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// inFolder names the files of a group that goes to a folder: side by side, or each database in a folder of its own when names meet.
func (p *place) inFolder() {
	seen, meet := map[string]bool{}, false
	for _, t := range p.targets {
		for _, f := range t.copy.files() {
			name := strings.ToLower(baseName(f.file))
			meet = meet || seen[name]
			seen[name] = true
		}
	}
	for _, t := range p.targets {
		dir := p.dir
		if meet {
			dir = filepath.Join(dir, folderName(t.copy.name))
		}
		t.edb = filepath.Join(dir, baseName(t.copy.edb.file))
		if t.copy.stm != nil {
			t.stm = filepath.Join(dir, baseName(t.copy.stm.file))
		}
	}
}

// folderName is a name of Exchange as that of a folder: what Windows does not allow in one becomes an underscore.
func folderName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`<>:"/\|?*%`, r) {
			return '_'
		}
		return r
	}, name)
	if clean = strings.TrimRight(clean, ". "); clean == "" {
		return "_"
	}
	return clean
}

const adviceNoPlace = "restore into a folder (to=DIR), or into a recovery database, by its name"

// atServer finds the databases of a group at the server.
func (s *Source) atServer(g *groupCourse, l Layout) (*place, error) {
	p := &place{groupCourse: g}
	restored := map[string]bool{}
	for _, d := range g.databases {
		group, db, ok := find(l, g, d)
		if !ok {
			name := d.as
			if name == "" {
				name = d.name
			}
			return nil, s.refuse("restore", g.item, adviceNoPlace, "the server has no database %q%s", name, inGroup(g, d))
		}
		if d.as != "" && !db.Recovery {
			return nil, s.refuse("restore", g.item, "create a recovery database or recovery storage group and name it, or restore the database under its own name", "%q is no recovery database", db.Name)
		}
		if p.group.Name != "" && !strings.EqualFold(p.group.Name, group.Name) {
			return nil, s.refuse("restore", g.item, "restore them one after the other", "its databases go to two groups of the server, %q and %q", p.group.Name, group.Name)
		}
		if restored[db.File] {
			return nil, s.refuse("restore", g.item, "restore them one after the other, each to a recovery database of its own", "two databases go to %q", db.Name)
		}
		if db.File == "" || d.stm != nil && db.StreamFile == "" {
			return nil, s.refuse("restore", g.item, adviceNoPlace, "the server does not tell where the files of %q are", db.Name)
		}
		restored[db.File], p.group, p.elsewhere = true, group, p.elsewhere || d.as != ""
		p.targets = append(p.targets, &destination{copy: d, db: db, edb: db.File, stm: db.StreamFile})
	}
	p.whole = len(p.targets) == len(p.group.Databases)
	return p, nil
}

func inGroup(g *groupCourse, d *databaseCopy) string {
	if d.as != "" || g.total < 2 {
		return ""
	}
	return fmt.Sprintf(" in a group %q", g.item)
}

// find looks a database up: by the name it is to have, else by its GUID, else by its name in the group of the same name.
func find(l Layout, g *groupCourse, d *databaseCopy) (Group, Database, bool) {
	for _, group := range l.Groups {
		for _, db := range group.Databases {
			switch {
			case d.as != "" && strings.EqualFold(db.Name, d.as),
				d.as != "" && strings.EqualFold(group.Name, d.as) && (strings.EqualFold(db.Name, d.name) || len(group.Databases) == 1),
				d.as == "" && !db.Recovery && d.guid != "" && strings.EqualFold(db.GUID, d.guid),
				d.as == "" && !db.Recovery && d.guid == "" && strings.EqualFold(group.Name, g.item) && strings.EqualFold(db.Name, d.name):
				return group, db, true
			}
		}
	}
	if d.as == "" && d.guid != "" { // made anew under the old name
		named := *d
		named.guid = ""
		return find(l, g, &named)
	}
	return Group{}, Database{}, false
}

// ready refuses what the state of the server, or what this machine lacks, forbids. Nothing was touched yet.
func (s *Source) ready(p *place, o restoreOptions) error {
	if p.dir == "" {
		for _, t := range p.targets {
			if err := s.open(p, t.db, o); err != nil {
				return err
			}
		}
	}
	if p.way == WayESE {
		return s.streamReady(p, o)
	}
	_, noEngine := s.opt.Tools.Engine.(noTool)
	switch {
	case p.dir == "" && s.at(p.targets[0].edb) != p.targets[0].edb:
		return s.refuse("restore", p.item, "run it on that server; or restore into a folder of this machine (to=DIR)", "the files of %q are on server %s, and not on this machine", p.item, s.opt.Server)
	case o.recover == byEngine && noEngine:
		return s.refuse("restore", p.item, "run it on a machine with eseutil, such as the Exchange server; or leave recovery to the store (recover=mount) or to people (recover=none), who are told the commands", "this machine has nothing that recovers databases")
	case p.elsewhere && o.recover != byEngine:
		return s.refuse("restore", p.item, "leave out recover", "a recovery database is mounted only when it is in clean shutdown, so it must be recovered first")
	case p.dir == "" && o.recover != byEngine && (p.group.LogDir == "" || !strings.EqualFold(p.group.LogBase, p.base)):
		return s.refuse("restore", p.item, "leave out recover, so that it is recovered in a folder of its own first", "the logs of the backup are called %s, and those of group %q %q in %q: the store would not find them", p.base, p.group.Name, p.group.LogBase, p.group.LogDir)
	case p.dir == "" && o.recover != byEngine && !p.whole:
		return s.refuse("restore", p.item, "leave out recover, so that it is recovered in a folder of its own first; or restore all databases of the group",
			"%d of %d databases of group %q are restored: their logs cannot lie beside those of the others", len(p.targets), len(p.group.Databases), p.group.Name)
	}
	return nil
}

// remote reports whether the server is another machine, from which files are streamed by RPC.
func (s *Source) remote() bool {
	if s.opt.Server == "" {
		return false
	}
	here, err := os.Hostname()
	return err == nil && !sameHost(s.opt.Server, here)
}

// at is where this machine reaches a file of the server: where it is or, on another machine, through the administrative share of its volume.
func (s *Source) at(path string) string {
	if len(path) < 3 || path[1] != ':' || !strings.ContainsAny(path[2:3], `\/`) || !s.remote() {
		return path
	}
	return `\\` + s.opt.Server + `\` + path[:1] + `$` + strings.ReplaceAll(path[2:], "/", `\`)
}

// reach is at, for what is restored by the streaming API; all else is done on the server itself.
func (s *Source) reach(p *place, path string) string {
	if p.way != WayESE {
		return path
	}
	return s.at(path)
}

// streamReady refuses what the streaming API does not do.
func (s *Source) streamReady(p *place, o restoreOptions) error {
	_, noAPI := s.opt.Tools.Streaming.(noTool)
	if l, ok := s.opt.Tools.Streaming.(*loaded); ok {
		_, err := l.load()
		noAPI = err != nil
	}
	switch {
	case o.recover == byMount:
		return s.refuse("restore", p.item, "leave out recover, or take recover=none and run the command that is told (eseutil /cc)", "the store does not recover a copy by the streaming API when it mounts it")
	case noAPI && (p.dir == "" || o.recover != byPeople):
		return s.refuse("restore", p.item, "run it on an Exchange server of the same version; or put the files into a folder, unrecovered (to=DIR, recover=none)", "this machine has no streaming API, which alone recovers what it took")
	}
	return nil
}

// unmanaged: the server has no management that this agent can ask, so that all that is known is from the streaming API, which refuses by itself what may not be replaced.
func (p *place) unmanaged() bool { return p.group.LogDir == "" }

// open refuses a database that is in use, or may not be replaced.
func (s *Source) open(p *place, db Database, o restoreOptions) error {
	switch {
	case p.elsewhere && o.forward:
		return fmt.Errorf("%w: restore option forward=true goes with a restore to its own place", backup.ErrOption)
	case db.BackupInProgress:
		return s.refuse("restore", p.item, "let the backup end first", "database %q is being backed up", db.Name)
	case db.Mounted && (!o.dismount || p.unmanaged()):
		return s.refuse("restore", p.item, "dismount it, or let the restore do that (dismount=true), where the server has a management shell: its users are disconnected then", "database %q is mounted", db.Name)
	case !db.AllowRestore && !db.Recovery && !o.dismount && !p.unmanaged():
		return s.refuse("restore", p.item, fmt.Sprintf("allow it: Set-MailboxDatabase %q -AllowFileRestore $true, or the check box \"This database can be overwritten by a restore\"; or let the restore do that (dismount=true)", db.Name),
			"database %q may not be overwritten by a restore", db.Name)
	}
	return nil
}

// occupied refuses to overwrite unasked.
func (s *Source) occupied(p *place, overwrite bool) error {
	if overwrite {
		return nil
	}
	var found []string
	if p.dir != "" {
		if there(s.reach(p, p.dir)) {
			found = append(found, p.dir)
		}
	} else {
		for _, t := range p.targets {
			for f := range t.files() {
				if there(s.reach(p, f)) {
					found = append(found, f)
				}
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	slices.Sort(found)
	return &backup.Error{Op: "restore", App: application, Instance: s.opt.Instance, Artifact: p.item, Err: fmt.Errorf("%s: %w", strings.Join(found, ", "), backup.ErrExists),
		Advice: "allow overwriting: what is there is kept until the restore is through; or restore into a folder (to=DIR) or a recovery database"}
}

// baseLength is the length of what all logs of a series begin with.
const baseLength = 3

// oldLogs are the files of the series in the folders of a group: logs, checkpoint and what is being made, but no reserves.
func oldLogs(g Group) ([]string, error) {
	if len(g.LogBase) != baseLength || g.LogDir == "" {
		return nil, nil // which files are logs is not known, so none is touched
	}
	dirs := []string{g.LogDir}
	if g.SystemDir != "" && !strings.EqualFold(filepath.Clean(g.SystemDir), filepath.Clean(g.LogDir)) {
		dirs = append(dirs, g.SystemDir)
	}
	var out []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		for _, e := range entries {
			name := strings.ToLower(e.Name())
			ext := filepath.Ext(name)
			if !e.IsDir() && strings.HasPrefix(name, strings.ToLower(g.LogBase)) && slices.Contains([]string{".log", ".jtx", ".chk", ".jcp"}, ext) {
				out = append(out, filepath.Join(dir, e.Name()))
			}
		}
	}
	return out, nil
}

// stored reports whether a file of a series may go: it is no log of the chain, or the plan has a log with its content.
func (p *place) stored(file string) bool {
	if _, ok := ese.ParseLogName(filepath.Base(file)); !ok {
		return true // the checkpoint, or a log that is being made
	}
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	sum := newSum()
	n, err := io.Copy(sum, f)
	return err == nil && slices.ContainsFunc(slices.Concat(p.logs.logs, p.logs.left), func(l logFile) bool {
		return l.local == "" && l.entry.Size == n && l.entry.Meta[metaSum] == sumText(sum)
	})
}

// guid reads the GUID of a database; an empty one is all zero.
func guid(text string) (esebcli.GUID, error) {
	if text == "" {
		return esebcli.GUID{}, nil
	}
	return esebcli.ParseGUID(text)
}
