package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/atomicfile"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

// run is one backup on its way: the artifacts and parts it has so far, and what carries them.
type run struct {
	p        *Pipeline
	id       ID
	kind     Kind
	options  map[string]string
	started  time.Time
	partSize int
	resumed  bool
	salvage  bool // the source is a Salvager and there is a stage: a commit survives a power cut, and a failed run keeps its stage

	dir     StageDir // zero while streaming
	lock    *filelock.Lock
	journal *journal
	quota   *quota
	buffers *buffers
	meter   *meter
	ship    *shipper

	mu        sync.Mutex
	over      bool // the source has returned
	keys      keySet
	names     map[string]struct{}
	artifacts []*artifact
}

// artifact is one artifact of a run. Its fields are guarded by the run's lock, but for those set at creation.
type artifact struct {
	Artifact
	n    int // 1, 2, ... in the run
	key  string
	file string // its name in the stage when it is one file

	mu     sync.Mutex // guards Meta until commit
	state  artifactState
	size   int64
	sha    Digest
	whole  bool // size and sha are final
	parts  []EntryPart
	stored []bool
	left   int // parts handed to the shipper and not yet stored
}

type artifactState int

const (
	artifactOpen artifactState = iota
	artifactCommitted
	artifactDiscarded
)

func (a *artifact) annotate(key, value string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	meta := maps.Clone(a.Meta)
	if meta == nil {
		meta = make(map[string]string)
	}
	meta[key] = value
	a.Meta = meta
}

func newRun(p *Pipeline, id ID, o BackupOptions, dir StageDir) *run {
	r := &run{p: p, id: id, kind: o.Kind, options: o.Options, started: p.cfg.Now(), dir: dir, partSize: int(p.cfg.PartSize), keys: newKeySet(), names: make(map[string]struct{})}
	r.salvage = r.staged() && p.salvager() != nil
	r.quota = newQuota(dir.Quota, p.cfg.PartSize)
	// The workers hold one buffer each and the feeder one; one more waits for a writer.
	r.buffers = newBuffers(r.partSize, p.cfg.Workers+2)
	r.meter = newMeter(p, id)
	r.ship = newShipper(r)
	return r
}

func (r *run) staged() bool { return r.dir.Path != "" }

var errRunOver = errors.New("the source has already returned")

// begin registers an artifact. file says that it will be one file in the stage.
func (r *run) begin(ctx context.Context, a Artifact, file bool) (*artifact, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := a.validate(); err != nil {
		return nil, err
	}
	if !r.staged() {
		if err := r.ship.failure(); err != nil {
			return nil, err
		}
	}
	art, err := r.register(a, file)
	if err != nil {
		return nil, err
	}
	rec := artifactRecord{N: art.n, Artifact: a, Key: art.key, File: art.file}
	err = r.journal.write(record{Artifact: &rec})
	if err == nil && file && r.salvage {
		err = r.journal.sync() // from now on the server may write there what it keeps nowhere else
	}
	if err != nil {
		r.discard(art)
		return nil, err
	}
	return art, nil
}

func (r *run) register(a Artifact, file bool) (*artifact, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return nil, fmt.Errorf("artifact %q: %w", a.Name, errRunOver)
	}
	if _, dup := r.names[a.Name]; dup {
		return nil, fmt.Errorf("artifact %q exists already in this run", a.Name)
	}
	r.names[a.Name] = struct{}{}
	art := &artifact{Artifact: a, n: len(r.artifacts) + 1, key: r.keys.take(a.Name)}
	if file {
		art.file = stageFile(art.n, a.Name)
	}
	r.artifacts = append(r.artifacts, art)
	return art, nil
}

// stageFile names a file of the stage so that a person and any server can read it.
func stageFile(n int, name string) string {
	base := strings.NewReplacer("=", "_", "~", "_").Replace(cleanElement(name[strings.LastIndexByte(name, '/')+1:]))
	if len(base) > 80 {
		base = base[len(base)-80:]
	}
	return fmt.Sprintf("%06d-%s", n, base)
}

func (r *run) commit(a *artifact, rec commitRecord) error {
	a.mu.Lock()
	rec.Meta = a.Meta
	a.mu.Unlock()
	r.mu.Lock()
	if r.over || a.state != artifactOpen {
		r.mu.Unlock()
		return fmt.Errorf("commit %s: %w", a.Name, errRunOver)
	}
	a.state, a.size, a.sha = artifactCommitted, rec.Size, rec.SHA256
	a.whole = a.file == ""
	r.mu.Unlock()
	if err := r.noteCommit(a, rec); err != nil {
		if r.salvage && a.file != "" {
			r.reopen(a) // the file may be all that is left of what it holds; the next run looks at it
		} else {
			r.discard(a)
		}
		return err
	}
	r.meter.artifacts.Add(1)
	r.p.emit(ArtifactStaged{ID: r.id, Artifact: a.Artifact, Bytes: rec.Size})
	return nil
}

// noteCommit writes the commit into the journal. In the run of a Salvager the artifact survives a power cut from here on.
func (r *run) noteCommit(a *artifact, rec commitRecord) error {
	if r.salvage {
		if err := r.syncArtifact(a); err != nil {
			return err
		}
	}
	if err := r.journal.write(record{Commit: &rec}); err != nil || !r.salvage {
		return err
	}
	return r.journal.sync()
}

func (r *run) reopen(a *artifact) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.state = artifactOpen
}

func (r *run) discard(a *artifact) {
	r.mu.Lock()
	a.state = artifactDiscarded
	delete(r.names, a.Name)
	r.mu.Unlock()
	// Only a resume reads this, and an artifact that is not committed there counts as discarded.
	_ = r.journal.write(record{Discard: &discardRecord{N: a.n}})
}

func (r *run) isDiscarded(a *artifact) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a.state == artifactDiscarded
}

// handed counts a part that is on its way to the target.
func (r *run) handed(a *artifact, n int, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.grow(n)
	a.parts[n].Size = size
	a.left++
}

func (a *artifact) grow(n int) {
	for len(a.parts) <= n {
		a.parts = append(a.parts, EntryPart{})
		a.stored = append(a.stored, false)
	}
}

// markStored notes an accepted part and reports whether it was the last one of a complete artifact.
func (r *run) markStored(a *artifact, n int, e EntryPart) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.grow(n)
	a.parts[n], a.stored[n] = e, true
	a.left--
	return a.whole && a.left == 0
}

func (r *run) isStored(a *artifact, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return n < len(a.stored) && a.stored[n]
}

// hashed completes a file artifact once all of it has been read.
func (r *run) hashed(a *artifact, rec commitRecord) error {
	if err := r.journal.write(record{Hashed: &rec}); err != nil {
		return err
	}
	if err := r.beforeDrop(a); err != nil {
		return err
	}
	r.mu.Lock()
	a.sha, a.whole = rec.SHA256, true
	done := a.left == 0
	r.mu.Unlock()
	if done {
		r.dropFile(a)
	}
	return nil
}

// precious reports whether the stage may hold the only copy of an artifact: log that the application has given up.
func (r *run) precious(a *artifact) bool { return r.salvage && a.Role == RoleLog }

// beforeDrop makes sure that after a power cut the journal knows of what is at the target before it leaves the stage.
func (r *run) beforeDrop(a *artifact) error {
	if !r.precious(a) {
		return nil
	}
	return r.journal.sync()
}

// dropFile frees a file of the stage whose parts are all offsite.
func (r *run) dropFile(a *artifact) {
	os.Remove(filepath.Join(r.dir.Path, a.file)) // what stays behind goes with the stage
	r.quota.free(a.size)
}

// sourceDone closes the run to further artifacts and discards those of failed items and those left open.
// An artifact left open under a good item is a fault of the source.
func (r *run) sourceDone(res Result) error {
	items := make(map[string]bool, len(res.Items))
	for _, it := range res.Items {
		if _, dup := items[it.Name]; dup {
			return fmt.Errorf("source returned item %q twice", it.Name)
		}
		if err := it.validate(); err != nil {
			return fmt.Errorf("source returned a wrong item: %w", err)
		}
		items[it.Name] = !it.Failed()
	}
	var drop []*artifact
	r.mu.Lock()
	r.over = true
	for _, a := range r.artifacts {
		good, known := items[a.Item]
		switch {
		case a.state == artifactDiscarded:
		case !known:
			r.mu.Unlock()
			return fmt.Errorf("artifact %q belongs to item %q, which the source did not return", a.Name, a.Item)
		case a.state == artifactOpen && good:
			r.mu.Unlock()
			return fmt.Errorf("source left artifact %q neither committed nor closed", a.Name)
		case !good:
			drop = append(drop, a)
		}
	}
	r.mu.Unlock()
	for _, a := range drop {
		r.discard(a)
	}
	return nil
}

// kept returns the artifacts that make up the backup.
func (r *run) kept() []*artifact {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kept []*artifact
	for _, a := range r.artifacts {
		if a.state == artifactCommitted {
			kept = append(kept, a)
		}
	}
	return kept
}

// garbage yields the keys of parts that were sent for artifacts since discarded.
func (r *run) garbage() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []string
	for _, a := range r.artifacts {
		if a.state != artifactDiscarded {
			continue
		}
		for n := range a.parts {
			keys = append(keys, r.p.keys.run(r.id)+partName(a.key, n)+r.p.vault.suffix)
		}
	}
	return keys
}

// syncStage makes the whole files that are still in the stage survive a power cut, before the journal says that the run can be completed from it. Spooled
// parts carry a checksum in the journal and need no such wait.
func (r *run) syncStage() error {
	for _, a := range r.kept() {
		if a.file == "" || r.allStored(a) {
			continue
		}
		if err := syncFile(filepath.Join(r.dir.Path, a.file)); err != nil {
			return err
		}
	}
	return nil
}

// syncFile brings a file of the stage to disk, unless it was shipped in the meantime.
func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		f, err = os.Open(path) // a server's file that we may only read; enough for fsync but on Windows
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	f.Close()
	return err
}

// syncArtifact brings what is in the stage of a complete artifact to disk.
func (r *run) syncArtifact(a *artifact) error {
	if a.file != "" {
		return stageError(syncFile(filepath.Join(r.dir.Path, a.file)))
	}
	r.mu.Lock()
	parts, stored := r.partCount(a), slices.Clone(a.stored)
	r.mu.Unlock()
	for n := range parts {
		if n < len(stored) && stored[n] {
			continue
		}
		if err := syncFile(r.spoolPath(a, n)); err != nil {
			return stageError(err)
		}
	}
	return atomicfile.SyncDir(r.dir.Path)
}

func (r *run) allStored(a *artifact) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a.whole && a.left == 0
}
