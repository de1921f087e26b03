package backup

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"
)

// RestoreSet is the material of a restore: the steps of a plan with their artifacts, read back and verified.
// Its methods may be called from many goroutines.
type RestoreSet struct {
	p     *Pipeline
	steps []*RestoreStep
	dir   StageDir
	meter *meter
	ahead chan struct{} // a token for every part a reader holds beyond the one it needs next
	bufs  *buffers

	mu      sync.Mutex
	fetched map[string]*fetch
	notes   map[string]string
}

// RestoreStep is one step of a plan with the manifest it comes from.
type RestoreStep struct {
	PlanStep
	Manifest *Manifest
	// Entries are the artifacts of the step's item, in the order they were begun.
	Entries []Entry
}

// Find returns the artifact of that name in the step.
func (s *RestoreStep) Find(name string) (Entry, bool) {
	for _, e := range s.Entries {
		if e.Name == name {
			return e, true
		}
	}
	return Entry{}, false
}

// Path is where Pipeline.Fetch, and restore --files of the command line, write the artifact: <id>/<key>, relative to their directory, with slashes.
func (s *RestoreStep) Path(e Entry) string { return path.Join(string(s.ID), e.Key) }

// Steps yields the steps in the order they must be applied.
func (set *RestoreSet) Steps() iter.Seq2[int, *RestoreStep] { return slices.All(set.steps) }

// Len is the number of steps.
func (set *RestoreSet) Len() int { return len(set.steps) }

// Expect tells how many items will be worked on, for progress.
func (set *RestoreSet) Expect(items int) { set.meter.expect(items, 0) }

// ItemDone counts one more item as restored, for progress.
func (set *RestoreSet) ItemDone() { set.meter.itemsDone.Add(1) }

// Moved tells that the application is at work though no byte passes, so that the restore does not count as stalled.
func (set *RestoreSet) Moved() { set.meter.touch() }

// Warn tells the operator something that is no failure, such as an item that was left out and how to bring it back.
func (set *RestoreSet) Warn(text string) { set.p.warn(set.meter.id, "%s", text) }

// Note keeps a fact of a rehearsal for its proof: what was checked, what came out. It must not be secret. Other work with a set forgets it.
func (set *RestoreSet) Note(key, value string) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.notes == nil {
		set.notes = make(map[string]string)
	}
	set.notes[key] = value
}

// newRestoreSet reads the entries of the backups a plan needs.
func (p *Pipeline) newRestoreSet(ctx context.Context, steps []PlanStep, dir StageDir, m *meter) (*RestoreSet, error) {
	set := &RestoreSet{p: p, dir: dir, meter: m, ahead: make(chan struct{}, p.cfg.Workers), fetched: make(map[string]*fetch)}
	set.bufs = newBuffers(storedMax(int(p.cfg.PartSize)), 2*p.cfg.Workers)
	type loaded struct {
		manifest *Manifest
		entries  map[string][]Entry // by item
	}
	seen := make(map[ID]loaded)
	var bytes int64
	for _, st := range steps {
		l, ok := seen[st.ID]
		if !ok {
			man, err := p.manifest(ctx, st.ID)
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", st.ID, err)
			}
			l = loaded{man, make(map[string][]Entry)}
			err = p.readEntries(ctx, man, func(e Entry) error {
				l.entries[e.Item] = append(l.entries[e.Item], e)
				return nil
			})
			if err != nil {
				return nil, err
			}
			seen[st.ID] = l
		}
		step := &RestoreStep{PlanStep: st, Manifest: l.manifest, Entries: l.entries[st.Item.Name]}
		for _, e := range step.Entries {
			bytes += e.Size
		}
		set.steps = append(set.steps, step)
	}
	m.expect(len(steps), bytes)
	return set, nil
}

// readEntries yields the entries of a backup to fn, after checking the object against the manifest.
func (p *Pipeline) readEntries(ctx context.Context, m *Manifest, fn func(Entry) error) error {
	fail := func(err error) error {
		return &Error{Op: "read entries of", ID: m.ID, Err: err, Advice: Hint(err)}
	}
	if m.Suffix != p.vault.suffix {
		return fail(p.sealMismatch(m))
	}
	rc, err := p.vault.open(ctx, p.keys.entries(m.ID)+m.Suffix)
	if err != nil {
		return fail(missingIsCorrupt(err))
	}
	defer rc.Close()
	stored := sha256.New()
	tee := &watchedReader{r: io.TeeReader(rc, stored)}
	plain, err := p.vault.unseal(tee)
	if err != nil {
		return fail(err)
	}
	defer plain.Close()
	var parts, artifacts int
	dec := json.NewDecoder(plain)
	for {
		var e Entry
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			break
		}
		if tee.err != nil {
			return fail(tee.err)
		}
		if err != nil {
			return fail(corruptUnless(err, ErrKey))
		}
		if err := e.check(m); err != nil {
			return fail(err)
		}
		artifacts, parts = artifacts+1, parts+len(e.Parts)
		if err := fn(e); err != nil {
			return err
		}
	}
	if _, err := io.Copy(io.Discard, tee); err != nil {
		return fail(err)
	}
	if Digest(stored.Sum(nil)) != m.Entries.SHA256 || artifacts != m.Artifacts || parts != m.Parts {
		return fail(fmt.Errorf("%w: the list of artifacts is not the one the manifest was written for", ErrCorrupt))
	}
	return nil
}

// watchedReader remembers how reading ended, to tell a transfer that broke off from content that is wrong.
type watchedReader struct {
	r   io.Reader
	err error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

func (p *Pipeline) sealMismatch(m *Manifest) error {
	return &Error{Op: "open", ID: m.ID, Err: fmt.Errorf("%w: it was sealed as %q, this sink unseals %q", ErrKey, m.Suffix, p.vault.suffix),
		Advice: "open the sink with the compression and encryption the backup was written with"}
}

// check guards against a list that does not fit its own numbers or points outside the run.
func (e Entry) check(m *Manifest) error {
	if err := e.Artifact.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if !validKey(e.Key) {
		return fmt.Errorf("%w: artifact %q has the key %q", ErrCorrupt, e.Name, e.Key)
	}
	var size int64
	for i, part := range e.Parts {
		if part.Size <= 0 || part.Size > m.PartSize || part.Stored < 0 || i < len(e.Parts)-1 && part.Size != m.PartSize {
			return fmt.Errorf("%w: artifact %q part %d has %d bytes in parts of %d", ErrCorrupt, e.Name, i, part.Size, m.PartSize)
		}
		size += part.Size
	}
	if size != e.Size {
		return fmt.Errorf("%w: artifact %q has %d bytes in parts, %d in all", ErrCorrupt, e.Name, size, e.Size)
	}
	return nil
}

// FetchedFile is an artifact as a file: Path for us, ServerPath for the server.
type FetchedFile struct{ Path, ServerPath string }

// fetch is one artifact on its way to a file.
type fetch struct {
	once sync.Once
	file FetchedFile
	err  error
}

// Fetch brings an artifact to a file that a server can read, in the directory of the restore, and returns where. Fetching it again returns the same
// file; Drop removes it, and the end of the restore removes all. It fails with ErrNoPath when the restore has no directory.
func (set *RestoreSet) Fetch(ctx context.Context, s *RestoreStep, e Entry) (FetchedFile, error) {
	if set.dir.Path == "" {
		return FetchedFile{}, &Error{Op: "fetch to a file", ID: s.ID, Artifact: e.Name, Err: ErrNoPath, Advice: "give the job a stage directory"}
	}
	rel := s.Path(e)
	set.mu.Lock()
	f, ok := set.fetched[rel]
	if !ok {
		f = new(fetch)
		set.fetched[rel] = f
	}
	set.mu.Unlock()
	f.once.Do(func() {
		f.file = FetchedFile{Path: filepath.Join(set.dir.Path, filepath.FromSlash(rel))}
		f.file.ServerPath = f.file.Path
		if set.dir.ServerPath != "" {
			f.file.ServerPath = joinServer(set.dir.ServerPath, pathElements(rel)...)
		}
		if f.err = set.extract(ctx, s, e, f.file.Path); f.err != nil {
			set.mu.Lock()
			delete(set.fetched, rel) // a later call tries again
			set.mu.Unlock()
		}
	})
	return f.file, f.err
}

// Drop removes a fetched file before the restore ends.
func (set *RestoreSet) Drop(s *RestoreStep, e Entry) error {
	rel := s.Path(e)
	set.mu.Lock()
	f, ok := set.fetched[rel]
	delete(set.fetched, rel)
	set.mu.Unlock()
	if !ok {
		return nil
	}
	return os.Remove(f.file.Path)
}

// extract writes one artifact to a new file.
func (set *RestoreSet) extract(ctx context.Context, s *RestoreStep, e Entry, to string) (err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("fetch %s: %w", e.Name, stageError(err))
	}
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, os.ErrExist) {
		return &Error{Op: "fetch", ID: s.ID, Artifact: e.Name, Err: fmt.Errorf("%s: %w", to, ErrExists), Advice: "fetch into an empty directory"}
	}
	if err != nil {
		return fmt.Errorf("fetch %s: %w", e.Name, stageError(err))
	}
	defer func() {
		if cerr := f.Close(); err == nil {
			err = stageError(cerr)
		}
		if err != nil {
			os.Remove(to)
		}
	}()
	r, err := set.Open(ctx, s, e)
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.Copy(f, r); err != nil {
		return stageError(err)
	}
	return nil
}

func (p *Pipeline) corrupt(id ID, what string, err error) error {
	return &Error{Op: "read back", App: p.app(), ID: id, Artifact: what, Err: err, Advice: Hint(err)}
}

// missingIsCorrupt says of an absent object that it should be there.
func missingIsCorrupt(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: object is missing: %w", ErrCorrupt, err)
	}
	return err
}

// corruptUnless calls an undecodable content corrupt unless the error says something better.
func corruptUnless(err error, better ...error) error {
	for _, b := range append(better, ErrCorrupt, context.Canceled, context.DeadlineExceeded) {
		if errors.Is(err, b) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
