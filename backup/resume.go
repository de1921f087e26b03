package backup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

// resume completes a run whose source was done from its stage.
func (s *session) resume(ctx context.Context, l *leftover) (*Manifest, error) {
	st := newResumption(s.p, l)
	if err := st.load(); err != nil {
		return nil, err
	}
	if st.result == nil {
		return nil, errUndelivered
	}
	if err := s.examine(ctx, l, st); err != nil {
		return nil, err
	}
	if err := st.adopt(); err != nil {
		return nil, err
	}
	return s.finish(ctx, l, st, false)
}

// examine finds out what of a dead run is still there, at the target and in the stage.
func (s *session) examine(ctx context.Context, l *leftover, st *resumption) (err error) {
	if st.there, err = s.storedParts(ctx, l.run.ID); err != nil {
		return err
	}
	st.forgetMissing(st.there)
	if l.run.Boot == "" || l.run.Boot != bootID() {
		// The machine may have lost power since, and with it parts whose durability was deferred.
		st.doubt = true
		return st.readBack(ctx)
	}
	return nil
}

// finish ships what is missing and seals. fresh says that the result is not in the journal yet.
func (s *session) finish(ctx context.Context, l *leftover, st *resumption, fresh bool) (_ *Manifest, err error) {
	r := st.r
	if r.journal, err = reopenJournal(l.dir.Path, st.valid); err != nil {
		return nil, err
	}
	if err = st.begin(ctx, fresh); err != nil {
		return nil, errors.Join(err, r.journal.close())
	}
	r.lock, l.lock = l.lock, nil
	s.p.emit(RunStarted{Job: s.p.cfg.Job, ID: r.id, Kind: r.kind, Resumed: true})
	if fresh {
		for _, w := range st.result.Warnings {
			s.p.warn(r.id, "%s", w)
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := r.meter.run(ctx, cancel)
	defer stop()
	r.ship.start(ctx, func(error) {})
	m, err := s.complete(ctx, r, *st.result, false)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("complete run %s from its stage: %w", r.id, err), r.journal.close(), r.lock.Release())
	}
	l.salvaged = st.result.Salvaged != nil
	s.commit(ctx, r, m, nil)
	s.history = append(s.history, Backup{Manifest: *m, Proof: m.Proof})
	slices.SortFunc(s.history, func(a, b Backup) int { return compareIDs(a.ID, b.ID) })
	return m, nil
}

// begin makes the decision what the run consists of durable, if it is fresh, and then prepares the shipping.
func (st *resumption) begin(ctx context.Context, fresh bool) error {
	if fresh {
		err := st.r.syncStage()
		if err == nil {
			err = st.r.journal.write(record{Result: st.result})
		}
		if err == nil {
			err = st.r.journal.sync()
		}
		if err != nil {
			return fmt.Errorf("note what is saved of run %s: %w", st.r.id, stageError(err))
		}
	}
	if err := st.sweep(ctx); err != nil {
		return err
	}
	return st.queue()
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
	there  map[string]int64 // what the target lists of the run
	doubt  bool             // the machine may have lost power since

	mu      sync.Mutex
	trouble error // failures while a Salvager read; see troubled
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
	return nil
}

var errUndelivered = fmt.Errorf("%w: the application had not delivered everything", errNotResumable)

// adopt makes of the artifacts what the result says.
func (st *resumption) adopt() error {
	if st.result.Salvaged != nil {
		for _, a := range st.r.artifacts {
			if a.state != artifactDiscarded {
				a.state = artifactDiscarded // unless named below
			}
		}
		for _, rec := range st.result.Salvaged {
			a := st.byN[rec.N]
			if a == nil {
				return fmt.Errorf("%w: it is said to consist of artifact %d, which it did not begin", errNotResumable, rec.N)
			}
			a.Artifact, a.state, a.size = rec.Artifact, artifactCommitted, rec.Size
		}
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
	missing, err := st.missing(a)
	if err != nil {
		return err
	}
	for n, part := range a.parts {
		if a.stored[n] {
			r.meter.shippedBytes(part.Size, part.Stored)
		}
	}
	r.meter.stagedBytes(a.size)
	r.meter.artifacts.Add(1)
	if a.file == "" {
		for _, n := range missing {
			sp := st.spool[a][n]
			r.quota.add(sp.Size)
			r.quota.move(sp.Size)
			r.ship.backlog.push(unit{a: a, n: n, size: sp.Size, spooled: true, crc: sp.CRC})
		}
		return nil
	}
	if len(missing) == 0 && a.sha != (Digest{}) {
		a.whole = true
		return nil
	}
	r.quota.add(a.size)
	r.quota.move(a.size)
	r.ship.backlog.push(unit{a: a, size: a.size})
	return nil
}

// partCount is how many parts an artifact of known size has.
func (r *run) partCount(a *artifact) int {
	return int((a.size + int64(r.partSize) - 1) / int64(r.partSize))
}

// missing lists the parts of a complete artifact that are not offsite. It fails when one of them is not in the stage either.
func (st *resumption) missing(a *artifact) (list []int, err error) {
	for n := range st.r.partCount(a) {
		if n < len(a.stored) && a.stored[n] {
			continue
		}
		list = append(list, n)
		if a.file == "" {
			if err := st.spooled(a, n); err != nil {
				return nil, err
			}
		}
	}
	if a.file == "" || len(list) == 0 && a.sha != (Digest{}) {
		return list, nil
	}
	if info, err := os.Stat(filepath.Join(st.dir, a.file)); err != nil || info.Size() != a.size {
		return nil, errors.New("its file is damaged in the stage")
	}
	return list, nil
}

// spooled checks that a part lies in the stage as it was written.
func (st *resumption) spooled(a *artifact, n int) error {
	sp, ok := st.spool[a][n]
	if !ok {
		return fmt.Errorf("part %d is neither offsite nor in the stage", n)
	}
	damaged := fmt.Errorf("part %d is not offsite and damaged in the stage", n)
	if info, err := os.Stat(st.r.spoolPath(a, n)); err != nil || info.Size() != sp.Size {
		return damaged
	}
	if !st.doubt {
		return nil
	}
	if _, err := st.partData(context.Background(), a, n); err != nil { // a local file
		return errors.Join(damaged, err)
	}
	return nil
}

// sweep removes what lies of the run at the target and in the stage and does not belong to it: artifacts that were given up, and parts under another suffix.
func (st *resumption) sweep(ctx context.Context) error {
	r := st.r
	keep := map[string]bool{r.p.keys.sums(r.id): true, r.p.keys.entries(r.id) + r.p.vault.suffix: true} // of an earlier attempt to seal; they are written anew
	for _, a := range r.kept() {
		for n := range r.partCount(a) {
			keep[st.partKey(a, n)] = true
		}
	}
	for key := range st.there {
		if keep[key] {
			continue
		}
		if err := r.p.vault.delete(ctx, key); err != nil {
			return fmt.Errorf("remove what is not part of run %s: %w", r.id, err)
		}
	}
	for _, a := range r.artifacts {
		if a.state == artifactDiscarded {
			a.parts, a.stored = nil, nil
			if a.file != "" {
				os.Remove(filepath.Join(st.dir, a.file)) // what stays behind goes with the stage
			}
		}
	}
	return nil
}
