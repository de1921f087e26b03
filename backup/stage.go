package backup

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Stage takes the artifacts of one run from its Source. It cuts them into parts and hands these on, to a directory
// when the job has a Stager or straight to the part workers when it streams; shipping goes on while the Source still writes.
// Its methods may be called from many goroutines. When the stage fails, or the target does while streaming, or ctx ends, they return that error; the
// Source then undoes its work and returns it.
type Stage struct{ r *run }

// Streaming reports whether artifacts pass through without a file. Reserve then fails with ErrNoPath.
func (st *Stage) Streaming() bool { return !st.r.staged() }

// Dir is the staging directory, for sources that ask a server to write there; zero while streaming.
func (st *Stage) Dir() StageDir { return st.r.dir }

// Expect tells how much is coming, for progress and its ETA. It replaces what an Estimator said; a zero leaves that number as it is.
func (st *Stage) Expect(items int, bytes int64) { st.r.meter.expect(items, bytes) }

// ItemDone counts one more item as staged, for progress.
func (st *Stage) ItemDone() { st.r.meter.itemsDone.Add(1) }

// Moved tells that the application is at work though no byte passes through the stage, so that the run does not count as stalled.
func (st *Stage) Moved() { st.r.meter.touch() }

// Create begins an artifact whose bytes pass through this process. Writes block while the stage is full or, when streaming, while
// the workers are busy. An artifact being written holds up to one part in memory when streaming.
func (st *Stage) Create(ctx context.Context, a Artifact) (*Writer, error) {
	art, err := st.r.begin(ctx, a, false)
	if err != nil {
		return nil, err
	}
	return newWriter(ctx, st.r, art), nil
}

// Reserve begins an artifact that the server, or a tool, writes itself as one file. size is the space it will need in bytes, as well as the Source knows; the
// call waits until the quota has that much room and fails with ErrStageFull when it never can. The file does not exist yet.
func (st *Stage) Reserve(ctx context.Context, a Artifact, size int64) (*Slot, error) {
	if st.Streaming() {
		return nil, &Error{Op: "reserve a file", Artifact: a.Name, Err: ErrNoPath, Advice: "give the job a stage directory"}
	}
	if err := st.r.quota.claim(ctx, size); err != nil {
		return nil, fmt.Errorf("reserve %s: %w", a.Name, err)
	}
	art, err := st.r.begin(ctx, a, true)
	if err != nil {
		st.r.quota.unclaim(size)
		return nil, err
	}
	return newSlot(st.r, art, size), nil
}

// importStep is how much Import copies between two looks at its context.
const importStep = 64 << 20

// Import takes a file that exists and belongs to the application. When it returns, the file has been copied (as a reflink
// where the file system can) or sent, and may change or go.
func (st *Stage) Import(ctx context.Context, a Artifact, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("import %s: %w", a.Name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("import %s: %w", a.Name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("import %s: %s is not a regular file", a.Name, path)
	}
	// A file larger than the quota passes part by part; otherwise one copy lets the file system share the blocks.
	if st.Streaming() || st.r.dir.Quota > 0 && info.Size() > st.r.dir.Quota {
		return st.importParts(ctx, a, f)
	}
	slot, err := st.Reserve(ctx, a, info.Size())
	if err != nil {
		return err
	}
	defer slot.Close()
	if err := st.copyFile(ctx, slot.Path, f); err != nil {
		return fmt.Errorf("import %s: %w", a.Name, stageError(err))
	}
	return slot.Commit()
}

func (st *Stage) importParts(ctx context.Context, a Artifact, f *os.File) error {
	w, err := st.Create(ctx, a)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, f, make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("import %s: %w", a.Name, err)
	}
	return w.Commit()
}

func (st *Stage) copyFile(ctx context.Context, to string, from *os.File) error {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.CopyN(out, from, importStep)
		if n > 0 {
			st.r.meter.touch()
		}
		if err == io.EOF {
			return out.Close()
		}
		if err != nil {
			return err
		}
	}
}

// Slot is an artifact that somebody else writes as a file.
type Slot struct {
	// Path is the file as this process sees it, ServerPath as the server does.
	Path, ServerPath string

	r       *run
	a       *artifact
	claimed int64
	done    bool
}

func newSlot(r *run, a *artifact, claimed int64) *Slot {
	s := &Slot{r: r, a: a, claimed: claimed, Path: filepath.Join(r.dir.Path, a.file)}
	s.ServerPath = serverPath(r.dir, a.file)
	r.meter.watch(s.Path)
	return s
}

// serverPath is a file of a stage as the server sees it.
func serverPath(dir StageDir, file string) string {
	if dir.ServerPath != "" {
		return joinServer(dir.ServerPath, file)
	}
	return filepath.Join(dir.Path, file)
}

// Annotate adds to the artifact's Meta. Call it before Commit.
func (s *Slot) Annotate(key, value string) { s.a.annotate(key, value) }

// Commit keeps the file, which must now be complete.
func (s *Slot) Commit() error {
	if s.done {
		return fmt.Errorf("commit %s: artifact is already committed or closed", s.a.Name)
	}
	s.done = s.r.salvage // the source vouched for the file, so that a Close must not remove it whatever follows
	info, err := os.Stat(s.Path)
	if err != nil {
		return fmt.Errorf("commit %s: the file was not written: %w", s.a.Name, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("commit %s: %s is not a regular file", s.a.Name, s.Path)
	}
	s.r.quota.add(info.Size() - s.claimed)
	s.claimed = info.Size()
	if err := s.r.commit(s.a, commitRecord{N: s.a.n, Size: info.Size()}); err != nil {
		return err
	}
	s.done = true
	s.r.meter.unwatch(s.Path)
	s.r.meter.stagedBytes(info.Size())
	s.r.quota.move(info.Size())
	s.r.ship.backlog.push(unit{a: s.a, size: info.Size()})
	return nil
}

// Close discards the file unless it was committed. It is idempotent. A Source that is a Salvager does not close a slot whose file
// may hold log that the application has given up: left open when Backup returns an error, it is shown to Salvage.
func (s *Slot) Close() error {
	if s.done {
		return nil
	}
	s.done = true
	s.r.meter.unwatch(s.Path)
	err := os.Remove(s.Path)
	if os.IsNotExist(err) {
		err = nil
	}
	s.r.quota.unclaim(s.claimed)
	s.r.discard(s.a)
	return err
}
