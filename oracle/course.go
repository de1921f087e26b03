package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// passwordName is the copy of the password file among the files of a restore.
const passwordName = "password-file"

// course is a restore thought through: which file goes where, and which statements follow. The script and what runs are both made of it.
type course struct {
	opt   restoreOptions
	steps []held
	// full has the data files, control is the backup whose control file is mounted, last is where the restore ends.
	full, control, last held
	// work is the folder of what the restore needs besides the database's own files.
	work string
	put  []placing
	logs []restoredLog
	// renames, made and offline are what the control file has to be told of data files.
	renames []renaming
	made    []renaming
	offline []DataFile
	pfile   string
	// parameters is the pfile's name.
	parameters string
	// controls are the names of the control files after the restore.
	controls []string
	// online are the names of the online logs after the restore. They are never written here.
	online []string
	until  string // the clause of RECOVER
	goal   string // for people
	// after: the target is behind what stands at its position.
	after bool
	// next names files that are moved.
	next names
	// parts are the names of tablespaces, when they alone are restored; see repair.
	parts []string
	// rman is how RMAN restores what it made; nil without that.
	rman *rmanCourse
	// partial is the RECOVER of such a restore.
	partial string
}

// held is a step with its inventory.
type held struct {
	step *backup.RestoreStep
	inv  *Inventory
}

// placing is one artifact and the files it becomes.
type placing struct {
	from  held
	entry backup.Entry
	to    []string
}

type renaming struct {
	file     int
	from, to string
}

// restoredLog is an archived log in the folder of a restore.
type restoredLog struct {
	ArchivedLog
	path string
}

// names hands out names below a folder, each once.
type names struct {
	dir   string
	taken map[string]bool
}

func (n names) of(path string, number int) string {
	name := baseName(path)
	if n.taken[strings.ToLower(name)] {
		name = fmt.Sprintf("%d_%s", number, name)
	}
	n.taken[strings.ToLower(name)] = true
	return joinServer(n.dir, name)
}

// plan reads the inventories of a set and thinks the restore through. It touches nothing.
func (s *Source) plan(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) (*course, error) {
	opt, err := parseRestoreOptions(r.Options)
	if err != nil {
		return nil, &backup.Error{Op: "restore", App: application, Instance: s.instance, Err: err}
	}
	parts, err := s.selected(r.Target, opt)
	if err != nil {
		return nil, err
	}
	c := &course{opt: opt, after: r.Target.After, parts: parts}
	check := &verifying{src: s, set: set, reached: map[int]SCN{}}
	for _, step := range set.Steps() {
		inv, err := check.inventory(ctx, step)
		if err != nil {
			return nil, err
		}
		seen := map[string]bool{}
		for _, e := range step.Entries {
			seen[e.Name] = true
		}
		if lacking := inv.lacks(seen); len(lacking) > 0 {
			return nil, check.corrupt(step, InventoryName, fmt.Errorf("it lists what is not there: %s", strings.Join(lacking, ", ")))
		}
		if err := check.redo(inv); err != nil {
			return nil, &backup.Error{Op: "restore", App: application, Instance: s.instance, ID: step.ID, Artifact: InventoryName, Err: fmt.Errorf("%w: %w", backup.ErrChainBroken, err),
				Advice: "look for the log at the server's archive destinations, or restore to before the gap"}
		}
		c.steps = append(c.steps, held{step, inv})
	}
	if len(c.steps) == 0 || c.steps[0].inv.Backup.Kind != string(backup.Full) {
		return nil, s.refuse("plan the restore anew", "the steps do not begin with a full")
	}
	if err := c.choose(); err != nil {
		return nil, s.fail(ctx, "restore", "", err)
	}
	place := c.place
	if onlyRMAN(c.steps) {
		place = c.placeRMAN
		if len(parts) > 0 {
			return nil, s.refuse("restore the whole database to another place (option to) and move the tablespace from there with Data Pump or as a transportable one", "what RMAN made is restored whole")
		}
	}
	if err := c.executable(); err != nil {
		return nil, s.fail(ctx, "restore", "", err)
	}
	if len(parts) > 0 {
		return c, nil
	}
	for _, do := range []func() error{c.target, place} {
		if err := do(); err != nil {
			return nil, s.fail(ctx, "restore", "", err)
		}
	}
	return c, nil
}

func (s *Source) refuse(advice, format string, args ...any) error {
	return &backup.Error{Op: "restore", App: application, Instance: s.instance, Advice: advice, Err: fmt.Errorf("%w: %s", backup.ErrRefused, fmt.Sprintf(format, args...))}
}

// choose says whose control file is mounted: that of the last step which is applied to its end. A younger one may know files that came to be only after the target; of files that an older one does not know,
// recovery tells [BRU 30.3].
func (c *course) choose() error {
	n := len(c.steps) - 1
	c.full, c.last, c.control = c.steps[0], c.steps[n], c.steps[n]
	if last := c.last.step; n > 0 && (!last.Until.IsZero() || last.UntilPosition != "") {
		c.control = c.steps[n-1]
	}
	if c.control.inv.Backup.Files[fileControl] == "" {
		return fmt.Errorf("%w: backup %s has no control file", backup.ErrCorrupt, c.control.step.ID)
	}
	return nil
}

// target makes the clause that ends the recovery. UNTIL CHANGE and UNTIL TIME stop before what they name: both are limits that are not included [SQL; RMAN, untilClause], so the end of a step is the first SCN that it does
// not hold. UNTIL TIME is as fine as the time stamps of redo, which are of whole seconds, and so is its literal: all of the second that the target is in is left out. Where the full ended in that second, this would stop before
// its data files are consistent; the end of the full, which is not behind the target either, is where the recovery goes then.
func (c *course) target() error {
	step := c.last.step
	if !step.Until.IsZero() {
		zone, err := c.zone()
		if err != nil {
			return err
		}
		at := step.Until.In(zone)
		if full := c.full.inv.Backup; !at.Truncate(time.Second).After(full.At) {
			c.until, c.goal = fmt.Sprintf("UNTIL CHANGE %d", full.End), fmt.Sprintf("before SCN %d, the end of the full, in the second of %s", full.End, at.Format(time.DateTime))
			return nil
		}
		c.until = "UNTIL TIME " + quoteText(at.Format("2006-01-02:15:04:05"))
		c.goal = fmt.Sprintf("before %s by the server's clock (UTC%s)", at.Format(time.DateTime), at.Format("-07:00"))
		return nil
	}
	position := cmp.Or(step.UntilPosition, step.Item.End)
	n, err := ParsePosition(position)
	if err != nil {
		return err
	}
	if step.UntilPosition != "" && c.after {
		n++
	}
	c.until, c.goal = fmt.Sprintf("UNTIL CHANGE %d", n), fmt.Sprintf("before SCN %d", n)
	return nil
}

// zone is that of the server's clock at the target. It is told at the ends of backups only.
func (c *course) zone() (*time.Location, error) {
	if c.opt.zone != nil {
		return c.opt.zone, nil
	}
	end := c.last.inv.Backup.At
	if n := len(c.steps); n > 1 {
		before := c.steps[n-2].inv.Backup.At
		if before.Format("-07:00") != end.Format("-07:00") {
			return nil, &backup.Error{Op: "restore", App: application, Err: fmt.Errorf("%w: between %s and %s the server's clock went from UTC%s to UTC%s", backup.ErrRefused,
				before.Format(time.RFC3339), end.Format(time.RFC3339), before.Format("-07:00"), end.Format("-07:00")),
				Advice: "say by which offset the time is to be read (option utc_offset, like +02:00), or restore to an SCN (scn:N)"}
		}
	}
	return end.Location(), nil
}

// place says where every file goes.
func (c *course) place() error {
	inv := c.control.inv
	c.next = names{c.opt.to, map[string]bool{}}
	unknown := map[string]bool{}
	for old := range c.opt.moves {
		unknown[old] = true
	}
	taken := map[string]DataFile{}
	for _, d := range inv.DataFiles {
		delete(unknown, d.Name)
		to := c.moved(d.Name, d.File)
		if other, ok := taken[to]; ok {
			return fmt.Errorf("%w: data files %d and %d would both become %s", backup.ErrRefused, other.File, d.File, to)
		}
		taken[to] = d
		if err := c.placeData(d, to); err != nil {
			return err
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: move: the database has no data file %s", backup.ErrOption, strings.Join(sortedKeys(unknown), ", "))
	}
	for _, g := range inv.OnlineLogs {
		for _, m := range g.Members {
			to := c.moved(m, g.Group)
			c.online = append(c.online, to)
			c.rename(0, m, to)
		}
	}
	for _, t := range inv.TempFiles {
		c.rename(0, t.Name, c.moved(t.Name, t.File))
	}
	if err := c.placeControls(inv); err != nil {
		return err
	}
	if err := c.add(c.control, inv.Backup.Files[fileControl], c.controls...); err != nil {
		return err
	}
	if err := c.placeConfig(inv); err != nil {
		return err
	}
	slices.SortFunc(c.put, func(a, b placing) int { return cmp.Compare(a.to[0], b.to[0]) })
	return c.placeLogs()
}

// executable refuses an executor that cannot read the backups.
func (c *course) executable() error {
	switch only := onlyRMAN(c.steps); {
	case only && c.opt.execute != byNobody && c.opt.execute != byRMAN:
		return fmt.Errorf("%w: execute=%s: RMAN made some of these backups, and only it can read them: want rman or none", backup.ErrOption, c.opt.execute)
	case !only && c.opt.execute == byRMAN:
		return fmt.Errorf("%w: execute=rman is for backups of mode rman: want sqlplus, sql or none", backup.ErrOption)
	}
	return nil
}

// placeControls says where the control files go, and the folder of the restore beside the first.
func (c *course) placeControls(inv *Inventory) error {
	for i, name := range inv.ControlFiles {
		c.controls = append(c.controls, c.moved(name, i+1))
	}
	if len(c.controls) == 0 {
		return fmt.Errorf("%w: the inventory names no control file", backup.ErrCorrupt)
	}
	if c.work = c.opt.work; c.work != "" {
		return nil
	}
	dir, _, err := splitServer(c.controls[0])
	if err != nil {
		return err
	}
	if strings.HasPrefix(dir, "+") {
		return fmt.Errorf("%w: the control files go to ASM (%s), where nothing else can be put: say in which folder logs, parameters and script are to be (option work)", backup.ErrOption, c.controls[0])
	}
	c.work = joinServer(dir, "restore")
	return nil
}

// placeConfig puts beside it what people, and the instance, want.
func (c *course) placeConfig(inv *Inventory) error {
	c.parameters = joinServer(c.work, "init.ora")
	c.pfile = pfile(c.adjusted())
	for what, name := range map[string]string{fileTrace: "control.sql", fileTemps: "tempfiles.sql", filePasswords: passwordName, fileServerPfile: "server-pfile.ora"} {
		if a := inv.Backup.Files[what]; a != "" {
			if err := c.add(c.control, a, joinServer(c.work, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// moved is where a file of the database goes.
func (c *course) moved(path string, number int) string {
	if to, ok := c.opt.moves[path]; ok {
		return to
	}
	if c.opt.to != "" {
		return c.next.of(path, number)
	}
	return path
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// placeData finds the copy of a data file. One that came to be after the full is made anew, and redo fills it [BRU 30.3]; one that was left out is taken offline.
func (c *course) placeData(d DataFile, to string) error {
	at := slices.IndexFunc(c.full.inv.DataFiles, func(o DataFile) bool { return o.File == d.File && o.CreationSCN == d.CreationSCN })
	switch {
	case at < 0:
		c.made = append(c.made, renaming{d.File, d.Name, to})
		return nil
	case c.full.inv.DataFiles[at].Artifact == "":
		c.offline = append(c.offline, d)
		return nil
	}
	c.rename(d.File, d.Name, to)
	return c.add(c.full, c.full.inv.DataFiles[at].Artifact, to)
}

func (c *course) rename(file int, from, to string) {
	if from != to {
		c.renames = append(c.renames, renaming{file, from, to})
	}
}

func (c *course) add(from held, artifact string, to ...string) error {
	e, ok := from.step.Find(artifact)
	if !ok {
		return fmt.Errorf("%w: backup %s lacks %s", backup.ErrCorrupt, from.step.ID, artifact)
	}
	c.put = append(c.put, placing{from, e, to})
	return nil
}

// placeLogs puts the logs of all steps into one folder, each once, in the order in which recovery asks for them: the first of each thread, then by SCN.
func (c *course) placeLogs() error {
	seen := map[string]bool{}
	for _, h := range c.steps {
		for _, l := range h.inv.Backup.Logs {
			if seen[l.artifact()] {
				continue
			}
			seen[l.artifact()] = true
			path := joinServer(joinServer(c.work, "arch"), baseName(l.artifact()))
			c.logs = append(c.logs, restoredLog{l, path})
			if err := c.add(h, l.Artifact, path); err != nil {
				return err
			}
		}
	}
	c.logs = asAsked(c.logs)
	return nil
}

// asAsked sorts logs into the order in which recovery asks for them.
func asAsked(logs []restoredLog) []restoredLog {
	slices.SortFunc(logs, func(a, b restoredLog) int {
		return cmp.Or(cmp.Compare(a.FirstSCN, b.FirstSCN), cmp.Compare(a.Thread, b.Thread))
	})
	first := map[int]bool{}
	var head, tail []restoredLog
	for _, l := range logs {
		if first[l.Thread] {
			tail = append(tail, l)
			continue
		}
		first[l.Thread] = true
		head = append(head, l)
	}
	slices.SortFunc(head, func(a, b restoredLog) int { return cmp.Compare(a.Thread, b.Thread) })
	return append(head, tail...)
}

// adjusted are the parameters for where the files are now.
func (c *course) adjusted() *Inventory {
	inv := *c.control.inv
	inv.Parameters = slices.Clone(inv.Parameters)
	set := func(name, value string) {
		at := slices.IndexFunc(inv.Parameters, func(p Parameter) bool { return strings.EqualFold(p.Name, name) })
		if at < 0 {
			inv.Parameters = append(inv.Parameters, Parameter{name, value})
			return
		}
		inv.Parameters[at].Value = value
	}
	set("control_files", strings.Join(c.controls, ", "))
	if inv.parameter("db_name") == "" {
		set("db_name", inv.Name)
	}
	if c.opt.to == "" {
		return &inv
	}
	inv.Parameters = slices.DeleteFunc(inv.Parameters, func(p Parameter) bool {
		return strings.HasPrefix(p.Name, "log_archive_dest") || strings.HasPrefix(p.Name, "db_create_")
	})
	set("log_archive_dest_1", "LOCATION="+c.archives())
	if inv.parameter("db_recovery_file_dest") != "" {
		set("db_recovery_file_dest", c.recoveryArea())
	}
	return &inv
}

// archives and recoveryArea are the folders of the moved database.
func (c *course) archives() string     { return joinServer(c.opt.to, "archived") }
func (c *course) recoveryArea() string { return joinServer(c.opt.to, "recovery") }

// folders are those that the server needs besides those of files.
func (c *course) folders() []string {
	var out []string
	if c.opt.to != "" {
		out = append(out, c.opt.to, c.archives(), c.recoveryArea())
	}
	if c.rman != nil {
		out = append(out, joinServer(c.work, "arch")) // RMAN makes no folders
	}
	return out
}

// log is the saved log of a thread that holds a change.
func (c *course) log(thread int, change SCN) (restoredLog, error) {
	for _, l := range c.logs {
		if l.Thread == thread && l.FirstSCN <= change && change < l.NextSCN {
			return l, nil
		}
	}
	var have []string
	for _, l := range c.logs {
		if l.Thread == thread {
			have = append(have, fmt.Sprintf("%d (SCN %d to %d)", l.Sequence, l.FirstSCN, l.NextSCN))
		}
	}
	if len(have) == 0 {
		have = []string{"none"}
	}
	return restoredLog{}, &backup.Error{Op: "recover", App: application, Artifact: fmt.Sprintf("thread %d", thread),
		Advice: "look for the log at the server's archive destinations and recover by hand with it (the files are in place), or restore to before it",
		Err:    fmt.Errorf("%w: recovery needs the log with SCN %d; the backups have %s", backup.ErrChainBroken, change, strings.Join(have, ", "))}
}

// absolute refuses paths that are none of this machine.
func (c *course) absolute() error {
	for _, p := range c.put {
		for _, to := range p.to {
			if !filepath.IsAbs(to) {
				return &backup.Error{Op: "restore", App: application, Artifact: to, Err: errors.Join(backup.ErrRefused, errors.New("not a full path of this machine")),
					Advice: "run the restore on the database's machine, or name a folder with the option to, or take the script"}
			}
		}
	}
	return nil
}
