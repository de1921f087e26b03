package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// endAttempts is how often END BACKUP is tried, each time on a session of its own. It may be sent again without harm: ORA-01142 says that nothing is left to end.
const endAttempts = 3

// scope is what goes into backup mode together: one tablespace, or the whole database when the name is empty.
type scope struct {
	tablespace string
	files      []int // indexes in Inventory.DataFiles
}

func (s scope) String() string {
	if s.tablespace == "" {
		return "the database"
	}
	return "tablespace " + s.tablespace
}

func (s scope) statement(verb string) string {
	if s.tablespace == "" {
		return "ALTER DATABASE " + verb + " BACKUP"
	}
	return "ALTER TABLESPACE " + quoteName(s.tablespace) + " " + verb + " BACKUP"
}

// quoteName writes an identifier as the dictionary has it.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// quoteText writes a literal [SQL].
func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// hot runs copy while the files of a scope are in backup mode. Not a byte is read before BEGIN BACKUP has returned [BRU 29.4]. END BACKUP is sent on every path out, also when copy panics, on
// a session and a context of its own; should that fail, the marker stays, and the next run ends what it proves to be ours.
func (r *run) hot(ctx context.Context, sc scope, copy func(began map[int]backupState) error) (err error) {
	keep := r.s.markersOf(r.req.Job, r.inv.DBID)
	m, err := r.mark(ctx, keep, sc)
	if err != nil {
		return err
	}
	c, err := r.s.open(ctx)
	if err != nil {
		return errors.Join(err, keep.drop())
	}
	begin := c.exec(ctx, sc.statement("BEGIN"))
	c.close()
	became := outcomeOf(begin)
	if became == refused {
		// Nothing was begun, and what is in backup mode is somebody else's.
		return errors.Join(r.s.fail(ctx, "put into backup mode", sc.String(), begin), keep.drop())
	}
	defer func() {
		if eerr := r.end(ctx, keep, m, sc, became); eerr != nil {
			err = errors.Join(eerr, err) // what is left in backup mode comes first: its hint is the one that is shown
		}
	}()
	if begin != nil {
		return r.s.fail(ctx, "put into backup mode", sc.String(), begin)
	}
	began, err := r.began(ctx, m, sc)
	if err != nil {
		return err
	}
	if err := keep.save(m); err != nil {
		return err
	}
	return copy(began)
}

// mark notes what is about to be begun, when none of it is in backup mode yet.
func (r *run) mark(ctx context.Context, keep markers, sc scope) (*marker, error) {
	m := &marker{Format: 1, Job: r.req.Job, ID: r.req.ID, DBID: r.inv.DBID, Scope: sc.tablespace}
	err := r.s.with(ctx, func(c *session) error {
		state, err := c.inBackup(ctx)
		if err != nil {
			return err
		}
		var busy []string
		for _, d := range r.present {
			if sc.tablespace != "" && d.TablespaceName != sc.tablespace {
				continue
			}
			if state[d.File].active() {
				busy = append(busy, fmt.Sprintf("%d (%s)", d.File, d.TablespaceName))
			}
			m.Files = append(m.Files, d.File)
		}
		if len(busy) > 0 {
			return refuse(adviceInBackup, "data files are in backup mode already: %s", strings.Join(busy, ", "))
		}
		if m.SCN, err = c.scn(ctx); err != nil {
			return err
		}
		m.At, err = c.now(ctx)
		return err
	})
	if err != nil {
		return nil, r.s.fail(ctx, "put into backup mode", sc.String(), err)
	}
	return m, keep.save(m)
}

// began reads which files the server has put into backup mode, and completes the marker.
func (r *run) began(ctx context.Context, m *marker, sc scope) (map[int]backupState, error) {
	var state map[int]backupState
	err := r.s.with(ctx, func(c *session) (err error) {
		state, err = c.inBackup(ctx)
		return err
	})
	if err != nil {
		return nil, r.s.fail(ctx, "look at the backup mode of", sc.String(), err)
	}
	m.Begun = map[int]SCN{}
	for _, f := range m.Files {
		if state[f].active() {
			m.Begun[f] = state[f].change
		}
	}
	return state, nil
}

// end takes a scope out of backup mode and sees to it that it is. When it is doubtful whether the server has carried BEGIN BACKUP out, or is still about to, the marker stays,
// and the next run looks again.
func (r *run) end(ctx context.Context, keep markers, m *marker, sc scope, began outcome) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var err error
	for range endAttempts {
		err = r.s.with(ctx, func(c *session) error { return r.endOn(ctx, c, m, sc, began == done) })
		if err == nil {
			break
		}
		r.req.Log.Warn("backup mode could not be ended", "scope", sc.String(), "err", err)
		if classify(err) != classRetry {
			break
		}
	}
	switch {
	case err != nil:
		return &backup.Error{Op: "end the backup mode of", App: application, Instance: r.s.instance, Artifact: sc.String(), Err: err,
			Advice: "the next run ends it; until then, " + sc.statement("END") + " does. Do not shut the database down before; after a crash in this state: " + adviceEnd}
	case began == doubtful:
		return nil
	}
	return keep.drop()
}

// endOn ends on one session. After a BEGIN BACKUP that did not certainly succeed, only files that are provably ours are ended.
func (r *run) endOn(ctx context.Context, c *session, m *marker, sc scope, sure bool) error {
	var first error
	if sure {
		if first = c.exec(ctx, sc.statement("END")); classify(first) == classHarmless {
			first = nil
		}
	}
	// What is still in backup mode is ended file by file, as when a file went offline meanwhile.
	err := c.endOwn(ctx, m)
	if err == nil && m.Begun != nil {
		return nil // whatever the first statement met, nothing of ours is left
	}
	return errors.Join(first, err)
}

// endOwn ends the backup mode of every file that m proves to be ours, and fails when one of them remains in it.
func (c *session) endOwn(ctx context.Context, m *marker) error {
	own := func() ([]int, bool, error) {
		state, err := c.inBackup(ctx)
		if err != nil {
			return nil, false, err
		}
		var ours []int
		strangers := false
		for file, b := range state {
			switch {
			case !b.active():
			case m.owns(file, b):
				ours = append(ours, file)
			default:
				strangers = true
			}
		}
		slices.Sort(ours)
		return ours, strangers, nil
	}
	ours, strangers, err := own()
	if err != nil || len(ours) == 0 {
		return err
	}
	var errs []error
	note := func(err error) {
		if err != nil && classify(err) != classHarmless {
			errs = append(errs, err)
		}
	}
	if m.Scope == "" && !strangers {
		// In the root of a multitenant database this reaches the files of all containers [SQL].
		note(c.exec(ctx, "ALTER DATABASE END BACKUP"))
	} else {
		for _, file := range ours {
			note(c.exec(ctx, fmt.Sprintf("ALTER DATABASE DATAFILE %d END BACKUP", file)))
		}
	}
	if ours, _, err = own(); err != nil || len(ours) > 0 {
		return errors.Join(append(errs, err, left(ours))...)
	}
	return nil
}

func left(files []int) error {
	if len(files) == 0 {
		return nil
	}
	return fmt.Errorf("data files are still in backup mode: %v", files)
}
