package mssql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// course is one database on its way back: which backups, under which name, with which files where. Its methods render the statements, which are the same
// whether they run or are exported.
type course struct {
	item, name string // as it was backed up, as it comes back
	links      []link // a full, perhaps a differential, logs
	until      time.Time
	at         mtf.LSN // stop before the record there, or with behind after it; zero for none
	behind     bool
	options    restoreOptions
	transfer   int // MAXTRANSFERSIZE, 0 for the server's choice

	// What the server's state adds; see preflight.
	found   *hostDatabase // what has the name now
	replace bool          // and gives way
	done    int           // links that an interrupted restore has applied
	moves   []move
}

// link is one backup to apply.
type link struct {
	step    *backup.RestoreStep
	set     chain.Set
	entries []backup.Entry // its stripes
	stopAt  string         // of a log: the local time to stop at, if any
}

// systemDatabase reports whether every instance has a database of that name. tempdb is not backed up.
func systemDatabase(name string) bool {
	return slices.ContainsFunc([]string{master, "model", "msdb"}, func(s string) bool { return strings.EqualFold(s, name) })
}

func isMaster(name string) bool { return strings.EqualFold(name, master) }

// coursesOf sorts the steps of a plan by database.
func (s *Source) coursesOf(r backup.RestoreRequest, set *backup.RestoreSet, o restoreOptions) ([]*course, error) {
	as := map[string]string{}
	for _, sel := range r.Target.Select {
		if sel.As != "" {
			as[sel.Name] = sel.As
		}
	}
	var tasks []*course
	byItem := map[string]*course{}
	for _, step := range set.Steps() {
		t := byItem[step.Item.Name]
		if t == nil {
			t = &course{item: step.Item.Name, name: step.Item.Name, options: o, transfer: s.opt.MaxTransferSize}
			if to := as[t.item]; to != "" {
				t.name = to
			}
			byItem[t.item], tasks = t, append(tasks, t)
		}
		facts, err := setOf(step.Item)
		if err != nil {
			return nil, &backup.Error{Op: "read the record of", App: application, Instance: s.instance, ID: step.ID, Artifact: step.Item.Name, Err: fmt.Errorf("%w: %w", backup.ErrCorrupt, err)}
		}
		l := link{step: step, set: facts, entries: stripesOf(step)}
		t.links = append(t.links, l)
		if !step.Until.IsZero() {
			t.until = step.Until
		}
		if step.UntilPosition != "" {
			if t.at, err = lsnOf(step.UntilPosition); err != nil {
				return nil, s.fail(context.Background(), "restore", t.item, fmt.Errorf("%w: %w", backup.ErrRefused, err))
			}
			t.behind = r.Target.After
		}
	}
	return tasks, nil
}

// stripesOf are the artifacts that the server wrote.
func stripesOf(step *backup.RestoreStep) []backup.Entry {
	var out []backup.Entry
	for _, e := range step.Entries {
		if e.Role == backup.RoleData || e.Role == backup.RoleLog {
			out = append(out, e)
		}
	}
	return out
}

// files are the files of the database over all links: a log may add one. firstIn tells with which link each comes.
func (t *course) files() (all []chain.File, firstIn map[string]int) {
	firstIn = map[string]int{}
	for i, l := range t.links {
		for _, f := range l.set.Files {
			if _, ok := firstIn[strings.ToLower(f.Logical)]; !ok {
				firstIn[strings.ToLower(f.Logical)] = i
				all = append(all, f)
			}
		}
	}
	return all, firstIn
}

// before are the statements that make room.
func (t *course) before() []statement {
	if t.found == nil || !t.replace || t.found.state != "ONLINE" || t.found.standby || isMaster(t.name) {
		return nil
	}
	return []statement{{SQL: "ALTER DATABASE " + quoteName(t.name) + " SET SINGLE_USER WITH ROLLBACK IMMEDIATE", What: fmt.Sprintf("throw the sessions out of %q", t.name)}}
}

// apply is the statement that restores link i from its devices.
func (t *course) apply(i int, devices []device) statement {
	l := t.links[i]
	what := "DATABASE"
	if l.set.Type == mtf.Log {
		what = "LOG"
	}
	with := filePosition(devices, max(1, l.set.Position))
	if !isMaster(t.name) {
		with = append(with, "NORECOVERY")
	}
	if t.replace && i == 0 {
		with = append(with, "REPLACE")
	}
	if l.set.Checksums {
		with = append(with, "CHECKSUM")
	}
	if n := t.transferSize(l.set); n > 0 && !remote(devices) { // from a URL the size is that of the backup
		with = append(with, fmt.Sprintf("MAXTRANSFERSIZE = %d", n))
	}
	with = append(with, "STATS = 5")
	_, firstIn := t.files()
	for _, m := range t.moves {
		if firstIn[strings.ToLower(m.Logical)] == i {
			with = append(with, "MOVE "+quoteText(m.Logical)+" TO "+quoteText(m.Path))
		}
	}
	if stop := t.stop(l); stop != "" {
		with = append(with, stop)
	}
	return statement{
		SQL:        fmt.Sprintf("RESTORE %s %s FROM %s", what, quoteName(t.name), deviceList(devices)) + clauses(with),
		What:       fmt.Sprintf("restore %q from the %s %s (step %d of %d)", t.name, l.set.Type.Kind(), l.step.ID, i+1, len(t.links)),
		Terminates: isMaster(t.name),
	}
}

// transferSize is what a set with containers needs: at least the size it was written with, which no header tells, and so the largest there is (3199).
func (t *course) transferSize(set chain.Set) int {
	if slices.ContainsFunc(set.Files, func(f chain.File) bool { return f.Type == containerDir }) {
		return maxTransfer
	}
	return t.transfer
}

// stop is where a log ends for this restore. It stands on every log, so that none can go too far.
func (t *course) stop(l link) string {
	if l.set.Type != mtf.Log {
		return ""
	}
	switch t.options.stop {
	case stopAtMark:
		return "STOPATMARK = " + quoteText(t.options.stopName)
	case stopBeforeMark:
		return "STOPBEFOREMARK = " + quoteText(t.options.stopName)
	case stopBeforeLSN:
		return "STOPBEFOREMARK = " + quoteText("lsn:"+t.options.stopName)
	}
	switch {
	case !t.at.IsZero() && t.behind:
		return "STOPATMARK = " + quoteText("lsn:"+t.at.String())
	case !t.at.IsZero():
		return "STOPBEFOREMARK = " + quoteText("lsn:"+t.at.String())
	case l.stopAt == "":
		return ""
	}
	return "STOPAT = " + quoteText(l.stopAt)
}

// stopsAt works out the local time at which each log stops.
func (t *course) stopsAt() error {
	for i := range t.links {
		l := &t.links[i]
		if t.until.IsZero() || l.set.Type != mtf.Log || i == 0 {
			continue
		}
		text, err := chain.StopAt(t.until, t.links[i-1].set, l.set, nil)
		if err != nil {
			return err
		}
		if l.stopAt, err = onTick(text); err != nil {
			return err
		}
	}
	return nil
}

// tickLayout is what a datetime shows, and what every version reads in a text for STOPAT.
const tickLayout = "2006-01-02T15:04:05.000"

// onTick cuts a local time to the 1/300 s in which commits bear their time. The server would round to it, up as well as down, and let in what is later.
func onTick(text string) (string, error) {
	at, err := time.Parse("2006-01-02T15:04:05.9999999", text)
	if err != nil {
		return "", err
	}
	ms := at.Nanosecond() / int(time.Millisecond)
	cut := ms/10*10 + [10]int{0, 0, 0, 3, 3, 3, 3, 7, 7, 7}[ms%10]
	return at.Truncate(time.Second).Add(time.Duration(cut) * time.Millisecond).Format(tickLayout), nil
}

// stops reports whether the restore is to end inside a log.
func (t *course) stops() bool { return !t.until.IsZero() || !t.at.IsZero() || t.options.stop != "" }

// stopsElsewhere reports whether the plan itself stops inside a log.
func (t *course) stopsElsewhere() bool { return !t.until.IsZero() || !t.at.IsZero() }

// finish is the statement that ends the sequence, if there is one.
func (t *course) finish() (st statement, ok bool) {
	if isMaster(t.name) {
		return statement{}, false
	}
	switch t.options.state {
	case unfinished:
		return statement{}, false
	case standby:
		return statement{SQL: "RESTORE DATABASE " + quoteName(t.name) + clauses([]string{"STANDBY = " + quoteText(t.options.standbyFile)}),
			What: fmt.Sprintf("bring %q up for reading", t.name)}, true
	}
	with := []string{"RECOVERY"}
	if t.options.restricted {
		with = append(with, "RESTRICTED_USER")
	}
	with = append(with, t.options.keep...)
	if t.options.broker != "" {
		with = append(with, t.options.broker)
	}
	return statement{SQL: "RESTORE DATABASE " + quoteName(t.name) + clauses(with), What: fmt.Sprintf("recover %q", t.name)}, true
}

// after are the statements that let users in again. What was restoring may have been shut by the try before this one.
func (t *course) after() []statement {
	shut := len(t.before()) > 0 || t.found != nil && t.found.waiting() && !isMaster(t.name)
	if !shut || t.options.state != recovered || t.options.restricted {
		return nil
	}
	return []statement{{SQL: "ALTER DATABASE " + quoteName(t.name) + " SET MULTI_USER", What: fmt.Sprintf("let sessions into %q again", t.name)}}
}
