package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Verify implements backup.Verifier, without a server: package blockfile reads every data file, archived log and control file to its end, each is compared with what
// inventory.json says of it, and the redo must reach without a gap, in every thread, from where the data files need it to the end of the last step.
//
// That the content of blocks makes sense to a server, only a server can tell. What is inside of a backup piece, only RMAN can: of one its length and checksum are compared, and that the pieces of a backup are all there, hold what the inventory says, and,
// of a differential, belong to the full before it. Image copies are read as data files are.
func (s *Source) Verify(ctx context.Context, set *backup.RestoreSet) error {
	v := &verifying{src: s, set: set, reached: map[int]SCN{}}
	for _, step := range set.Steps() {
		if err := v.step(ctx, step); err != nil {
			return err
		}
	}
	return nil
}

type verifying struct {
	src *Source
	set *backup.RestoreSet
	// full: there was one, and tag is its tag when RMAN took it.
	full bool
	tag  string
	// reached is up to where each thread's redo goes without a gap.
	reached map[int]SCN
}

func (v *verifying) step(ctx context.Context, step *backup.RestoreStep) error {
	inv, err := v.inventory(ctx, step)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range step.Entries {
		seen[e.Name] = true
		if err := v.entry(ctx, step, inv, e); err != nil {
			return err
		}
	}
	if lacking := inv.lacks(seen); len(lacking) > 0 {
		return v.corrupt(step, InventoryName, fmt.Errorf("it lists what is not there: %s", strings.Join(lacking, ", ")))
	}
	if err := v.pieces(inv); err != nil {
		return v.corrupt(step, InventoryName, err)
	}
	if err := v.redo(inv); err != nil {
		return v.corrupt(step, InventoryName, err)
	}
	return nil
}

// lacks are the artifacts that the inventory names and that are not among those seen.
func (inv *Inventory) lacks(seen map[string]bool) []string {
	var out []string
	want := func(name string) {
		if name != "" && !seen[name] {
			out = append(out, name)
		}
	}
	for _, d := range inv.DataFiles {
		want(d.Artifact)
	}
	for _, l := range inv.Backup.Logs {
		want(l.Artifact)
	}
	for _, name := range inv.Backup.Files {
		want(name)
	}
	if m := inv.Backup.RMAN; m != nil {
		for _, p := range m.Pieces {
			want(p.Artifact)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (v *verifying) inventory(ctx context.Context, step *backup.RestoreStep) (*Inventory, error) {
	at := slices.IndexFunc(step.Entries, func(e backup.Entry) bool { return e.Name == InventoryName })
	if at < 0 {
		return nil, v.corrupt(step, InventoryName, errors.New("the backup has none"))
	}
	r, err := v.set.Open(ctx, step, step.Entries[at])
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	inv := &Inventory{}
	if err := json.NewDecoder(r).Decode(inv); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, v.corrupt(step, InventoryName, err)
	}
	if inv.Format != 1 {
		return nil, v.src.fail(ctx, "verify", InventoryName, fmt.Errorf("its format is %d, and this program knows 1: use a newer one", inv.Format))
	}
	return inv, nil
}

// entry reads one artifact to its end.
func (v *verifying) entry(ctx context.Context, step *backup.RestoreStep, inv *Inventory, e backup.Entry) error {
	return v.copy(ctx, step, inv, e, io.Discard)
}

// copy checks one artifact while it passes on to w.
func (v *verifying) copy(ctx context.Context, step *backup.RestoreStep, inv *Inventory, e backup.Entry, w io.Writer) error {
	f, err := v.set.Open(ctx, step, e)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was read to its end, or its error is known
	sum := newSum()
	in := io.TeeReader(f, io.MultiWriter(sum, w))
	if check := inv.checkOf(e.Name); check != nil {
		err = check(ctx, in)
	}
	if err == nil {
		_, err = io.Copy(struct{ io.Writer }{io.Discard}, in)
	}
	if want := e.Meta[metaSum]; err == nil && want != sumText(sum) {
		return v.corrupt(step, e.Name, fmt.Errorf("its checksum is %s, and was %q when the server gave it", sumText(sum), want))
	}
	switch {
	case !errors.Is(err, backup.ErrCorrupt):
		return v.src.fail(ctx, "verify", e.Name, err)
	case inv.Backup.Doubts[e.Name] != "":
		v.set.Warn(fmt.Sprintf("%s of %s was doubtful when it was taken, and was kept: %v", e.Name, step.ID, err))
		return nil
	}
	return v.corrupt(step, e.Name, err)
}

// redo goes along the logs of one step, which may overlap with those before.
func (v *verifying) redo(inv *Inventory) error {
	from := inv.Backup.From
	if inv.Backup.Kind == string(backup.Differential) {
		clear(v.reached) // redo is needed from there on
	}
	for _, l := range inv.Backup.Logs {
		reached, known := v.reached[l.Thread]
		if !known {
			reached = from
		}
		if l.FirstSCN > reached && l.Sequence != 1 {
			return fmt.Errorf("the redo of thread %d is missing from SCN %d to %d", l.Thread, reached, l.FirstSCN)
		}
		v.reached[l.Thread] = max(reached, l.NextSCN)
	}
	for thread, reached := range v.reached {
		open := slices.ContainsFunc(inv.Threads, func(t Thread) bool { return t.Thread == thread && t.Status == "OPEN" })
		if open && reached < inv.Backup.End {
			return fmt.Errorf("the redo of thread %d ends at SCN %d, and the backup at %d", thread, reached, inv.Backup.End)
		}
	}
	for _, t := range inv.Threads {
		if _, known := v.reached[t.Thread]; !known && t.Status == "OPEN" {
			return fmt.Errorf("there is no redo of thread %d", t.Thread)
		}
	}
	return nil
}

// corrupt is damage found in an artifact.
func (v *verifying) corrupt(step *backup.RestoreStep, artifact string, err error) error {
	if !errors.Is(err, backup.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", backup.ErrCorrupt, err)
	}
	return &backup.Error{Op: "verify", App: application, Instance: v.src.instance, ID: step.ID, Artifact: artifact, Advice: backup.Hint(err), Err: err}
}

var _ backup.Verifier = (*Source)(nil)
