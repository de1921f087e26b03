package mssql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// preflight finds what would stop a restore, before anything is touched, for all its databases.
type preflight struct {
	src       *Source
	host      *host
	overwrite bool
	log       *slog.Logger
	courses   []*course
	unknown   bool // the server could not be asked, for a script
	script    bool // nothing will run now
}

// run fills in what the courses need to know of the server, and reports every obstacle.
func (p *preflight) run() error {
	var errs []error
	for _, t := range p.courses {
		t.found = p.host.find(t.name)
		errs = append(errs, p.wrap(t, p.check(t)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	errs = append(p.twice(), p.place()...)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return p.room()
}

func (p *preflight) wrap(t *course, err error) error {
	if err == nil {
		return nil
	}
	return p.src.fail(context.Background(), "restore", t.name, err)
}

// refuse is an obstacle with what to do about it.
func (p *preflight) refuse(t *course, sentinel error, advice, format string, args ...any) error {
	return &backup.Error{Op: "restore", App: application, Instance: p.src.instance, Artifact: t.name, Advice: advice,
		Err: fmt.Errorf("%w: %s", sentinel, fmt.Sprintf(format, args...))}
}

// check looks at one database.
func (p *preflight) check(t *course) error {
	if err := p.sequence(t); err != nil {
		return err
	}
	for _, look := range []func(*course) error{p.version, p.keys, p.system, p.existing} {
		if err := look(t); err != nil {
			return err
		}
	}
	return nil
}

// sequence sees that the steps are a chain: they come from a plan, but it is the headers that must agree.
func (p *preflight) sequence(t *course) error {
	sets := make([]chain.Set, len(t.links))
	for i, l := range t.links {
		if len(l.entries) < max(1, l.set.Stripes) {
			return p.refuse(t, backup.ErrCorrupt, "restore from another backup", "backup %s has %d files of the %d it was written to", l.step.ID, len(l.entries), l.set.Stripes)
		}
		sets[i] = l.set
		sets[i].Devices = nil // their names are of the server that wrote them
	}
	if err := chain.Check(sets); err != nil {
		return err
	}
	return p.stop(t)
}

// stop cuts off what lies behind the LSN to stop before.
func (p *preflight) stop(t *course) error {
	logs := slices.IndexFunc(t.links, func(l link) bool { return l.set.Type == mtf.Log })
	if t.options.stop == "" {
		return t.stopsAt()
	}
	if t.stopsElsewhere() {
		return p.refuse(t, backup.ErrRefused, "give one of them", "the target names a point and so does %s", t.options.stop)
	}
	if logs < 0 {
		return p.refuse(t, backup.ErrRefused, "choose a target that has log backups", "%s needs a log to stop in, and the plan has none", t.options.stop)
	}
	if t.options.stop != stopBeforeLSN {
		return nil
	}
	at, err := mtf.ParseLSN(t.options.stopName)
	if err != nil {
		return err
	}
	if base := t.links[logs-1].set; at.Compare(base.LastLSN) <= 0 {
		return p.refuse(t, backup.ErrNoBackup, "restore to the end of an older backup and its logs", "LSN %s lies before the end of the full or differential, %s", at, base.LastLSN)
	}
	for i := logs; i < len(t.links); i++ {
		if at.Compare(t.links[i].set.LastLSN) <= 0 {
			t.links = t.links[:i+1]
			return nil
		}
	}
	return p.refuse(t, backup.ErrNoBackup, "take a log backup first, or stop earlier", "the logs end at LSN %s, before %s", t.links[len(t.links)-1].set.LastLSN, at)
}

// version refuses what the server would find out only after it has begun (3168, 3169, 3180).
func (p *preflight) version(t *course) error {
	if p.unknown {
		return nil
	}
	for _, l := range t.links {
		from, to := [3]int{l.set.VersionMajor, l.set.VersionMinor, l.set.Build}, p.host.version
		older := to[0] < from[0] || to[0] == from[0] && to[1] < from[1]
		switch {
		case older:
			return p.refuse(t, backup.ErrRefused, "restore into a server of the version that took it, or a later one", "the backup is from version %d.%d, the server is %d.%d",
				from[0], from[1], to[0], to[1])
		case systemDatabase(t.name) && from != to:
			return p.refuse(t, backup.ErrRefused, "bring the server to that build first", "a system database restores to its own build only: the backup is from %s, the server is %s",
				dotted(from), dotted(to))
		case t.options.state == standby && (from[0] != to[0] || from[1] != to[1]):
			return p.refuse(t, backup.ErrRefused, "use recovery or norecovery", "standby needs the version of the backup, %d.%d; the server is %d.%d and would upgrade the database",
				from[0], from[1], to[0], to[1])
		}
	}
	return nil
}

func dotted(v [3]int) string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// keys sees that master holds every certificate or key.
func (p *preflight) keys(t *course) error {
	if p.host.keys == nil {
		return nil
	}
	for _, thumb := range t.thumbprints() {
		if !p.host.keys[thumb] {
			return p.refuse(t, backup.ErrRefused, "CREATE CERTIFICATE ... FROM FILE ... WITH PRIVATE KEY in master of this server first, from the export of the server the backup is of",
				"the certificate or key with thumbprint 0x%s is not in master", strings.ToUpper(thumb))
		}
	}
	return nil
}

// thumbprints are the certificates and keys that the backups need, in lower-case hex, each once.
func (t *course) thumbprints() (all []string) {
	seen := map[string]bool{}
	for _, l := range t.links {
		for _, thumb := range []string{l.set.TDEThumbprint, l.set.EncryptorThumbprint} {
			thumb = strings.ToLower(strings.TrimPrefix(thumb, "0x"))
			if thumb != "" && !seen[thumb] {
				seen[thumb] = true
				all = append(all, thumb)
			}
		}
	}
	return all
}

// masterSteps is the documented procedure.
const masterSteps = "stop the server and its Agent, start it in single-user mode for this program alone (sqlservr -c -f -s INSTANCE -mAPPNAME, where APPNAME is " +
	"`app name` of the DSN), restore master by name with overwrite, which ends the server, and start it as usual"

// system keeps to what is possible with system databases.
func (p *preflight) system(t *course) error {
	switch {
	case isMaster(t.name) != isMaster(t.item):
		return p.refuse(t, backup.ErrRefused, "restore it under its own name", "%q cannot become %q", t.item, t.name)
	case isMaster(t.name) && !p.host.singleUser && !p.script:
		return p.refuse(t, backup.ErrRefused, masterSteps, "master restores only on a server in single-user mode")
	case isMaster(t.name) && (len(t.links) != 1 || t.options.state != recovered || t.options.stop != ""):
		return p.refuse(t, backup.ErrRefused, "choose a full backup of it", "master restores from a full backup in one step")
	case !isMaster(t.name) && p.host.singleUser && !p.script:
		return p.refuse(t, backup.ErrRefused, "start the server as usual", "a server in single-user mode restores master only")
	}
	return nil
}

// existing decides about a database that has the name: continue it, replace it, or refuse.
func (p *preflight) existing(t *course) error {
	d := t.found
	if d == nil {
		return nil
	}
	switch {
	case d.inGroup:
		return p.refuse(t, backup.ErrRefused, "take it out of the group first (ALTER AVAILABILITY GROUP ... REMOVE DATABASE), restore, and add it again, or restore under another name",
			"it belongs to an availability group")
	case d.source != 0:
		return p.refuse(t, backup.ErrRefused, "restore under another name, or drop the snapshot", "a database snapshot has that name")
	}
	for _, other := range p.host.databases {
		if other.source == d.id && d.id != 0 && p.overwrite {
			return p.refuse(t, backup.ErrRefused, "drop the snapshot first", "the snapshot %q is of it", other.name)
		}
	}
	if p.overwrite {
		t.replace = true
		p.noteOther(t)
		return nil
	}
	if d.waiting() {
		return p.goOn(t)
	}
	advice := "restore under another name, or allow overwriting"
	if d.hasChain && d.model != "SIMPLE" {
		advice += "; its newest log may not be backed up: to keep it, take a log backup with the option tail=norecovery first"
	}
	return p.refuse(t, backup.ErrExists, advice, "the database exists and is %s", strings.ToLower(d.state))
}

// noteOther tells when what is replaced never was the database that is restored.
func (p *preflight) noteOther(t *course) {
	if family := t.links[0].set.FamilyGUID; !t.found.family.IsZero() && t.found.family != family {
		p.log.Warn("another database of that name is replaced", "database", t.name, "family", t.found.family, "backup", family)
	}
}

// goOn finds how far an interrupted restore has come, if it is provably one of the same backups: the full it began with is the one of this plan. What it applied is
// then left out. A database put into that state by a tail backup is at the end of its log, so nothing is left to apply and it is recovered.
func (p *preflight) goOn(t *course) error {
	advice := "allow overwriting to begin anew; or recover what is there with RESTORE DATABASE " + quoteName(t.name) + " WITH RECOVERY"
	d, full := t.found, t.links[0].set
	if d.base.IsZero() || d.base != full.GUID || d.redo.IsZero() {
		return p.refuse(t, backup.ErrExists, advice, "a database of that name waits for other backups than these")
	}
	t.done = 1
	for t.done < len(t.links) && t.links[t.done].set.LastLSN.Compare(d.redo) <= 0 {
		t.done++
	}
	last := t.links[len(t.links)-1].set
	if t.stops() && last.Type == mtf.Log && d.redo.Compare(last.FirstLSN) > 0 {
		return p.refuse(t, backup.ErrExists, advice, "it has been restored to LSN %s, which may lie past the point asked for", d.redo)
	}
	p.log.Info("continuing an interrupted restore", "database", t.name, "redo_lsn", d.redo, "steps_done", t.done, "steps", len(t.links))
	return nil
}

// twice refuses two databases of one name.
func (p *preflight) twice() (errs []error) {
	seen := map[string]string{}
	for _, t := range p.courses {
		key := strings.ToLower(t.name)
		if item, ok := seen[key]; ok {
			errs = append(errs, p.refuse(t, backup.ErrRefused, "give one of them another name", "%q and %q are both to be restored as %q", item, t.item, t.name))
		}
		seen[key] = t.item
	}
	return errs
}

// place finds paths for all files.
func (p *preflight) place() (errs []error) {
	if len(p.courses) > 0 && len(p.courses[0].options.moves) > 0 && len(p.courses) > 1 {
		return []error{p.refuse(p.courses[0], backup.ErrRefused, "restore one database at a time with move:", "%s names files of one database, and %d are restored", movePrefix, len(p.courses))}
	}
	places := newPlacement(p.optionsOfAll(), p.host, p.gives)
	for _, t := range p.courses {
		if t.done > 0 || isMaster(t.name) {
			continue
		}
		files, _ := t.files()
		if len(files) == 0 {
			errs = append(errs, p.refuse(t, backup.ErrCorrupt, "restore from another backup", "the record does not name the files of the database"))
			continue
		}
		moves, err := places.place(t.item, t.name, files)
		if err != nil {
			errs = append(errs, p.wrap(t, fmt.Errorf("%w: %w", backup.ErrRefused, err)))
		}
		t.moves = moves
	}
	return errs
}

func (p *preflight) optionsOfAll() restoreOptions {
	if len(p.courses) == 0 {
		return restoreOptions{}
	}
	return p.courses[0].options
}

// gives reports whether an existing database gives its files to a task: the one that replaces it.
func (p *preflight) gives(database string) bool {
	for _, t := range p.courses {
		if t.replace && strings.EqualFold(t.name, database) {
			return true
		}
	}
	return false
}

// room compares what the files need with what the volumes have, where the server tells. Files that are replaced give their room back.
func (p *preflight) room() error {
	need := map[string]int64{}
	free := map[string]int64{}
	count := func(path string, bytes int64) {
		if v, ok := p.host.volumeOf(path); ok {
			need[v.mount] += bytes
			free[v.mount] = v.free
		}
	}
	for _, t := range p.courses {
		if t.done > 0 {
			continue
		}
		files, _ := t.files()
		for _, f := range files {
			path := f.Physical
			for _, m := range t.moves {
				if strings.EqualFold(m.Logical, f.Logical) {
					path = m.Path
				}
			}
			count(path, f.SizeBytes)
		}
		if t.replace {
			for _, f := range t.found.files {
				count(f.physical, -f.bytes)
			}
		}
	}
	var errs []error
	for _, v := range p.host.volumes {
		if need[v.mount] > free[v.mount] {
			errs = append(errs, &backup.Error{Op: "restore", App: application, Instance: p.src.instance, Artifact: v.mount, Advice: "make room there, or place files elsewhere with data_dir, log_dir or move:",
				Err: fmt.Errorf("%w: the databases need %d bytes more on %s, and %d are free", backup.ErrRefused, need[v.mount], v.mount, free[v.mount])})
		}
	}
	return errors.Join(errs...)
}
