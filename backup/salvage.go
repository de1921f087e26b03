package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// salvager is the source as a Salvager, or nil.
func (p *Pipeline) salvager() Salvager {
	s, _ := p.cfg.Source.(Salvager)
	return s
}

// worthSalvaging reports whether a run that failed has anything in its stage that a Salvager may vouch for.
func (r *run) worthSalvaging() bool {
	if !r.salvage {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.artifacts, func(a *artifact) bool {
		if a.state == artifactOpen && a.file != "" {
			_, err := os.Lstat(filepath.Join(r.dir.Path, a.file))
			return !errors.Is(err, fs.ErrNotExist)
		}
		return a.state == artifactCommitted
	})
}

// salvage completes the dead run of a stage with what the source vouches for. why is the reason that it cannot be resumed, and is
// returned when there is nothing to be saved.
//
// One line in the journal is the whole decision what the run consists of. A process that dies before it is on disk leaves the stage as it was, and the source is asked again; after it, the
// run is resumed from that line like any other.
func (s *session) salvage(ctx context.Context, l *leftover, why error) (*Manifest, error) {
	source := s.p.salvager()
	if source == nil {
		return nil, why
	}
	if l.run.App != "" && l.run.App != s.p.app() {
		return nil, fmt.Errorf("%w, and it is one of %s", why, l.run.App)
	}
	st := newResumption(s.p, l)
	if err := st.load(); err != nil {
		return nil, err
	}
	if err := s.examine(ctx, l, st); err != nil {
		return nil, err
	}
	d, seen := st.deadRun(s.request(st.r))
	if len(d.Artifacts) == 0 {
		return nil, fmt.Errorf("%w, and nothing in it is whole", why)
	}
	s.p.log.Info("asking the source what of an interrupted run is whole", "id", l.run.ID, "artifacts", len(d.Artifacts))
	got, err := source.Salvage(ctx, d)
	if got.Pending != nil {
		clean, done := s.p.cleanup(ctx)
		err = errors.Join(err, got.Pending.Abort(clean))
		done()
	}
	if err := st.postponed(ctx, err); err != nil {
		return nil, fmt.Errorf("salvage run %s, whose stage is kept: %w", l.run.ID, err)
	}
	if err == nil && len(got.Items) == 0 {
		return nil, fmt.Errorf("%w, and the source finds nothing in it worth keeping", why)
	}
	if err == nil {
		if st.result, err = st.decide(d, got); err == nil {
			st.result.Untaken = s.history.others(st.result.Items)
		}
	}
	if err == nil {
		err = st.adopt()
	}
	if err != nil {
		return nil, fmt.Errorf("%w, and the source cannot tell what of it is whole: %w", why, err)
	}
	if err := seen.changed(); err != nil {
		return nil, fmt.Errorf("salvage run %s, whose stage is kept: %w", l.run.ID, err)
	}
	return s.finish(ctx, l, st, true)
}

// others are the items that existed when the history ended and are not among items. A run that died may have meant to take them.
func (h History) others(items []Item) (names []string) {
	gone := map[string]bool{}
	for _, it := range items {
		gone[it.Name] = true
	}
	for _, r := range h.Plan(Target{}).Skipped {
		gone[r.Name] = gone[r.Name] || r.Cause == CauseAbsent
	}
	for name := range h.Anchors() {
		if !gone[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// postponed returns the reason why the question must be asked again by a later run.
func (st *resumption) postponed(ctx context.Context, err error) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case st.trouble != nil:
		return errors.Join(st.trouble, err)
	case errors.Is(err, ErrNotNow):
		return err
	}
	return nil
}

// deadRun lists what may be whole, and what the uncommitted files look like before they are looked at.
func (st *resumption) deadRun(r Request) (*DeadRun, sightings) {
	d := &DeadRun{Request: r, Started: st.r.started}
	var seen sightings
	for _, a := range st.r.artifacts {
		s := &StagedArtifact{Artifact: a.Artifact, Size: a.size, Committed: a.state == artifactCommitted, st: st, a: a}
		path := filepath.Join(st.dir, a.file)
		var info fs.FileInfo
		if a.file != "" {
			if i, err := os.Lstat(path); err == nil && i.Mode().IsRegular() {
				info = i
			}
		}
		switch a.state {
		case artifactDiscarded:
			continue
		case artifactCommitted:
			if _, err := st.missing(a); err != nil {
				continue
			}
			if info != nil && info.Size() != a.size {
				info = nil // all of it is at the target
			}
		case artifactOpen:
			if info == nil {
				continue
			}
			s.Size = info.Size()
			seen = append(seen, sighting{path, info})
		}
		if info != nil {
			s.Path, s.ServerPath = path, serverPath(st.r.dir, a.file)
		}
		d.Artifacts = append(d.Artifacts, s)
	}
	return d, seen
}

// sightings are files as they were before the source looked at them. One that has changed since is still being written.
type sightings []sighting

type sighting struct {
	path string
	info fs.FileInfo
}

func (list sightings) changed() error {
	for _, s := range list {
		now, err := os.Lstat(s.path)
		if err == nil && (now.Size() != s.info.Size() || !now.ModTime().Equal(s.info.ModTime())) {
			return &Error{Op: "salvage", Artifact: s.path, Err: fmt.Errorf("%w: the file changed while it was looked at", ErrNotNow),
				Advice: "the application is still at work on it; try again when it has ended"}
		}
	}
	return nil
}

// decide checks what a Salvager answered and puts it into the form in which it is noted.
func (st *resumption) decide(d *DeadRun, got Salvaged) (*resultRecord, error) {
	res := &resultRecord{Meta: got.Meta, Warnings: got.Warnings, Salvaged: []salvagedRecord{}}
	var lost []string
	for _, it := range got.Items {
		if it.Failed() {
			lost = append(lost, it.Name)
			continue
		}
		res.Items = append(res.Items, it)
	}
	if len(res.Items) == 0 {
		return nil, errors.New("every item it names has failed")
	}
	for _, want := range got.Artifacts {
		i := slices.IndexFunc(d.Artifacts, func(a *StagedArtifact) bool { return a.Name == want.Name })
		if i < 0 {
			return nil, fmt.Errorf("artifact %q is not in the stage", want.Name)
		}
		if err := want.validate(); err != nil {
			return nil, err
		}
		rec := salvagedRecord{N: d.Artifacts[i].a.n, Artifact: want, Size: d.Artifacts[i].Size}
		if slices.ContainsFunc(res.Salvaged, func(r salvagedRecord) bool { return r.N == rec.N }) {
			return nil, fmt.Errorf("artifact %q is named twice", want.Name)
		}
		if !slices.Contains(lost, want.Item) {
			res.Salvaged = append(res.Salvaged, rec)
		}
	}
	slices.SortFunc(res.Salvaged, func(a, b salvagedRecord) int { return cmp.Compare(a.N, b.N) })
	if err := res.complete(); err != nil {
		return nil, err
	}
	for _, a := range st.r.artifacts {
		lost = append(lost, a.Item)
	}
	res.Warnings = append([]string{res.sentence(st.r, lost)}, res.Warnings...)
	return res, nil
}

// complete checks that no item is without an artifact.
func (res *resultRecord) complete() error {
	for _, it := range res.Items {
		if !slices.ContainsFunc(res.Salvaged, func(r salvagedRecord) bool { return r.Item == it.Name }) {
			return fmt.Errorf("item %q has no artifact", it.Name)
		}
	}
	return nil
}

// sentence tells an operator what the backup is. begun are the items the dead run had come to.
func (res *resultRecord) sentence(r *run, begun []string) string {
	var saved, lost []string
	for _, it := range res.Items {
		saved = append(saved, fmt.Sprintf("%s (%s)", it.Name, it.Kind))
		begun = slices.DeleteFunc(begun, func(name string) bool { return name == it.Name })
	}
	slices.Sort(begun)
	lost = slices.Compact(begun)
	text := fmt.Sprintf("the %s run of %s was interrupted; saved from its stage: %s", r.kind,
		r.started.UTC().Format(time.RFC3339), strings.Join(saved, ", "))
	if len(lost) > 0 {
		text += "; begun and not in this backup: " + strings.Join(lost, ", ")
	}
	return text + "; items it had not come to are not in this backup either"
}
