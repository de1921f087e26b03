package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sync/errgroup"
)

// resume completes a run from its stage.
func (s *session) resume(ctx context.Context, l *leftover) (*Manifest, error) {
	st := newResumption(s.p, l)
	if err := st.load(); err != nil {
		return nil, err
	}
	there, err := s.storedParts(ctx, l.run.ID)
	if err != nil {
		return nil, err
	}
	st.forgetMissing(there)
	if l.run.Boot == "" || l.run.Boot != bootID() {
		// The machine may have lost power since, and with it parts whose durability was deferred.
		if err := st.readBack(ctx); err != nil {
			return nil, err
		}
	}
	if err := st.queue(); err != nil {
		return nil, err
	}
	r := st.r
	if r.journal, err = reopenJournal(l.dir.Path, st.valid); err != nil {
		return nil, err
	}
	r.lock, l.lock = l.lock, nil
	s.p.emit(RunStarted{Job: s.p.cfg.Job, ID: r.id, Kind: r.kind, Resumed: true})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := r.meter.run(ctx, cancel)
	defer stop()
	r.ship.start(ctx, func(error) {})
	m, err := s.complete(ctx, r, *st.result, false)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("complete run %s from its stage: %w", r.id, err), r.journal.close(), r.lock.Release())
	}
	s.commit(ctx, r, m, nil)
	s.history = append(s.history, Backup{Manifest: *m, Proof: m.Proof})
	slices.SortFunc(s.history, func(a, b Backup) int { return compareIDs(a.ID, b.ID) })
	return m, nil
}

// storedParts lists what the target has of a run.
func (s *session) storedParts(ctx context.Context, id ID) (map[string]int64, error) {
	there := make(map[string]int64)
	for o, err := range s.p.vault.list(ctx, s.p.keys.run(id)) {
		if err != nil {
			return nil, fmt.Errorf("list run %s: %w", id, err)
		}
		there[o.Key] = o.Size
	}
	return there, nil
}

// resumption rebuilds a run from its journal.
type resumption struct {
	r      *run
	dir    string
	valid  int64
	byN    map[int]*artifact
	spool  map[*artifact]map[int]spooledRecord
	result *resultRecord
}

func newResumption(p *Pipeline, l *leftover) *resumption {
	r := newRun(p, l.run.ID, BackupOptions{l.run.Kind, l.run.Options}, l.dir)
	r.started, r.partSize, r.resumed = l.run.Started, int(l.run.PartSize), true
	r.buffers = newBuffers(r.partSize, p.cfg.Workers+2)
	return &resumption{r: r, dir: l.dir.Path, byN: make(map[int]*artifact), spool: make(map[*artifact]map[int]spooledRecord)}
}

func (st *resumption) load() (err error) {
	if st.valid, err = readJournal(st.dir, st.apply); err != nil {
		return fmt.Errorf("%w: %w", errNotResumable, err)
	}
	if st.result == nil {
		return fmt.Errorf("%w: the application had not delivered everything", errNotResumable)
	}
	return st.r.sourceDone(Result{Items: st.result.Items})
}

// apply repeats one line of the journal.
func (st *resumption) apply(rec record) error {
	switch {
	case rec.Artifact != nil:
		a := &artifact{Artifact: rec.Artifact.Artifact, n: rec.Artifact.N, key: rec.Artifact.Key, file: rec.Artifact.File}
		st.byN[a.n] = a
		st.r.artifacts = append(st.r.artifacts, a)
		return nil
	case rec.Result != nil:
		st.result = rec.Result
		return nil
	case rec.Run != nil:
		return nil
	}
	a := st.byN[rec.artifact()]
	if a == nil {
		return fmt.Errorf("journal speaks of artifact %d, which it did not begin", rec.artifact())
	}
	switch {
	case rec.Spooled != nil:
		if st.spool[a] == nil {
			st.spool[a] = make(map[int]spooledRecord)
		}
		st.spool[a][rec.Spooled.Part] = *rec.Spooled
	case rec.Commit != nil:
		a.state, a.size, a.sha, a.whole = artifactCommitted, rec.Commit.Size, rec.Commit.SHA256, a.file == ""
		a.Meta = rec.Commit.Meta
	case rec.Hashed != nil:
		a.sha = rec.Hashed.SHA256
	case rec.Discard != nil:
		a.state = artifactDiscarded
	case rec.Stored != nil:
		a.grow(rec.Stored.Part)
		a.parts[rec.Stored.Part], a.stored[rec.Stored.Part] = rec.Stored.EntryPart, true
	}
	return nil
}

// artifact is the number of the artifact a record belongs to.
func (rec record) artifact() int {
	switch {
	case rec.Spooled != nil:
		return rec.Spooled.N
	case rec.Commit != nil:
		return rec.Commit.N
	case rec.Hashed != nil:
		return rec.Hashed.N
	case rec.Discard != nil:
		return rec.Discard.N
	case rec.Stored != nil:
		return rec.Stored.N
	}
	return 0
}

// forgetMissing takes back what the journal says of parts that the target does not list in their size.
func (st *resumption) forgetMissing(there map[string]int64) {
	for _, a := range st.r.artifacts {
		for n := range a.parts {
			if size, ok := there[st.partKey(a, n)]; a.stored[n] && (!ok || size != a.parts[n].Stored) {
				a.stored[n] = false
			}
		}
	}
}

func (st *resumption) partKey(a *artifact, n int) string {
	return st.r.p.keys.run(st.r.id) + partName(a.key, n) + st.r.p.vault.suffix
}

// readBack hashes the parts that are offsite and takes back what the journal says of those that are not what was stored.
func (st *resumption) readBack(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(st.r.p.cfg.Workers)
	for _, a := range st.r.artifacts {
		for n := range a.parts {
			if !a.stored[n] {
				continue
			}
			g.Go(func() error {
				digest, _, err := st.r.p.vault.hashStored(ctx, st.partKey(a, n))
				if err = missingIsCorrupt(err); err != nil && !errors.Is(err, ErrCorrupt) {
					return fmt.Errorf("read back %s part %d: %w", a.Name, n, err)
				}
				if err != nil || digest != a.parts[n].SHA256 {
					a.stored[n] = false
				}
				return nil
			})
		}
	}
	return g.Wait()
}

// queue gives the shipper what is not offsite yet.
func (st *resumption) queue() error {
	for _, a := range st.r.artifacts {
		if a.state != artifactCommitted {
			continue
		}
		if err := st.queueArtifact(a); err != nil {
			return fmt.Errorf("%w: artifact %s: %w", errNotResumable, a.Name, err)
		}
	}
	return nil
}

func (st *resumption) queueArtifact(a *artifact) error {
	r := st.r
	parts := int((a.size + int64(r.partSize) - 1) / int64(r.partSize))
	missing := 0
	for n := range parts {
		if n < len(a.stored) && a.stored[n] {
			r.meter.shippedBytes(a.parts[n].Size, a.parts[n].Stored)
			continue
		}
		missing++
		if a.file != "" {
			continue
		}
		sp, ok := st.spool[a][n]
		if !ok {
			return fmt.Errorf("part %d is neither offsite nor in the stage", n)
		}
		if info, err := os.Stat(r.spoolPath(a, n)); err != nil || info.Size() != sp.Size {
			return fmt.Errorf("part %d is not offsite and damaged in the stage", n)
		}
		r.quota.add(sp.Size)
		r.quota.move(sp.Size)
		r.ship.backlog.push(unit{a: a, n: n, size: sp.Size, spooled: true, crc: sp.CRC})
	}
	r.meter.stagedBytes(a.size)
	r.meter.artifacts.Add(1)
	if a.file == "" {
		return nil
	}
	if missing == 0 && a.sha != (Digest{}) {
		a.whole = true
		return nil
	}
	if info, err := os.Stat(filepath.Join(st.dir, a.file)); err != nil || info.Size() != a.size {
		return errors.New("its file is damaged in the stage")
	}
	r.quota.add(a.size)
	r.quota.move(a.size)
	r.ship.backlog.push(unit{a: a, size: a.size})
	return nil
}
