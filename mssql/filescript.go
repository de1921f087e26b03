package mssql

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
)

// WriteScript writes a plan made from files alone, by chain.Make, as T-SQL for sqlcmd, or Management Studio in SQLCMD mode: for a heap of .bak and .trn files whose server, or
// whose backup program, is gone. Names of devices in the sets are those of files below the folder that the option "files" names, as the server sees it; without it the script says
// where to put it. name is what the database shall be called, "" for its own name.
//
// The other options are those of a restore, but for stop_at_mark and its kin: the plan says where to stop. No server is asked: the script assumes that the database does not exist, and
// that files go where they came from, or, under another name, to data_dir and log_dir, which must then be given. Errors that are the caller's to mend wrap backup.ErrRefused.
func WriteScript(w io.Writer, plan chain.Plan, name string, options map[string]string) error {
	fail := func(err error) error {
		return &backup.Error{Op: "script", App: application, Artifact: plan.Database, Err: err}
	}
	options = maps.Clone(options)
	folder := options[optionFiles]
	delete(options, optionFiles)
	o, err := parseRestoreOptions(options)
	if err != nil {
		return fail(err)
	}
	if o.stop != "" {
		return fail(fmt.Errorf("%w: restore option %s: the plan says where to stop", backup.ErrRefused, o.stop))
	}
	t, err := courseOf(plan, cmp.Or(name, plan.Database), o)
	if err != nil {
		return fail(err)
	}
	out := &script{w: bufio.NewWriter(w), folder: folder, separator: separatorOf(folder + o.dataDir)}
	out.fromFiles(t, plan)
	if err := errors.Join(out.err, out.w.Flush()); err != nil {
		return fail(err)
	}
	return nil
}

// courseOf is the way of a plan that no target of the job led to.
func courseOf(plan chain.Plan, name string, o restoreOptions) (*course, error) {
	t := &course{item: plan.Database, name: name, options: o}
	if isMaster(t.name) != isMaster(t.item) {
		return nil, fmt.Errorf("%w: %q cannot become %q", backup.ErrRefused, t.item, t.name)
	}
	for _, step := range plan.Steps {
		l := link{step: &backup.RestoreStep{PlanStep: backup.PlanStep{ID: backup.ID(step.Set.GUID.String())}}, set: step.Set}
		var err error
		switch stop := step.Stop; {
		case stop.After != "":
			return nil, fmt.Errorf("%w: a mark after a time: name the mark alone", backup.ErrRefused)
		case stop.At != "":
			if l.stopAt, err = onTick(stop.At); err != nil {
				return nil, err
			}
		case stop.AtMark != "":
			t.options.stop, t.options.stopName = stopAtMark, stop.AtMark
		case stop.BeforeMark != "":
			t.options.stop, t.options.stopName = stopBeforeMark, stop.BeforeMark
		}
		t.links = append(t.links, l)
	}
	files, _ := t.files()
	moves, err := newPlacement(o, &host{}, func(string) bool { return false }).place(t.item, t.name, files)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", backup.ErrRefused, err)
	}
	t.moves = moves
	return t, nil
}

// fromFiles writes the statements of a plan.
func (s *script) fromFiles(t *course, plan chain.Plan) {
	s.comment("Restores database %q, as %q, from %d backups. Run it with: sqlcmd -S SERVER -b -i THIS_FILE, or in Management Studio in SQLCMD mode.", t.item, t.name, len(t.links))
	s.comment("It was made from files alone: it is assumed that the database does not exist and that the folders of its files do.")
	s.variables()
	for _, note := range plan.Notes {
		s.comment("%s", note)
	}
	for i, l := range t.links {
		s.comment("Step %d of %d: %s.", i+1, len(t.links), l.set)
		if plan.Steps[i].Reached {
			s.comment("The point to stop at may be reached before. If the server refuses this step as too early (4335, 4338), leave out the steps from here on, but for the last.")
		}
		devices := make([]device, len(l.set.Devices))
		for j, name := range l.set.Devices {
			devices[j] = device{Path: inFolder + s.separator + strings.ReplaceAll(name, "/", s.separator)}
		}
		s.batch(t.apply(i, devices))
	}
	if st, ok := t.finish(); ok {
		s.batch(st)
	}
}
