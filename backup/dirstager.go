package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// DirStager stages below a directory, one subdirectory per job and run.
type DirStager struct {
	// Dir is where stages are made. It is created when missing. Empty means "quiesce" in os.TempDir.
	Dir string
	// ServerDir is Dir as the application's server sees it, when that differs: `S:\stage`, /mnt/stage. Empty means Dir.
	ServerDir string
	// Quota is how many bytes may lie in one stage at once; writers wait for shipped parts to leave. 0 means no bound but the disk.
	Quota int64
	// Mode is the permission of a stage. 0 means 0700; a server that runs as another user and writes there needs more.
	Mode fs.FileMode
}

func (s DirStager) root() string {
	if s.Dir == "" {
		return filepath.Join(os.TempDir(), "quiesce")
	}
	return s.Dir
}

// Stage implements Stager.
func (s DirStager) Stage(ctx context.Context, job string, id ID) (StageDir, error) {
	if err := ctx.Err(); err != nil {
		return StageDir{}, context.Cause(ctx)
	}
	mode := s.Mode
	if mode == 0 {
		mode = 0o700
	}
	d := s.dir(job, id)
	if err := makeStage(d.Path, mode); err != nil {
		return StageDir{}, fmt.Errorf("make stage: %w", stageError(err))
	}
	if err := os.Chmod(d.Path, mode); err != nil { // the umask does not know our server
		return StageDir{}, fmt.Errorf("make stage: %w", err)
	}
	return d, nil
}

// makeStage makes the directory of a run. The job's directory above may vanish between our two steps, when the release of another stage finds it empty.
func makeStage(path string, mode fs.FileMode) (err error) {
	for range 100 {
		if err = os.MkdirAll(filepath.Dir(path), mode|0o700); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err = os.Mkdir(path, mode); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

func (s DirStager) dir(job string, id ID) StageDir {
	d := StageDir{ID: id, Path: filepath.Join(s.root(), job, string(id)), Quota: s.Quota}
	if s.ServerDir != "" {
		d.ServerPath = joinServer(s.ServerDir, job, string(id))
	}
	return d
}

// Release implements Stager.
func (s DirStager) Release(_ context.Context, dir StageDir) error {
	if dir.Path == "" {
		return nil
	}
	if err := os.RemoveAll(dir.Path); err != nil {
		return fmt.Errorf("release stage: %w", err)
	}
	// The job's directory goes with its last stage; when another stage is in it this fails, as it should.
	os.Remove(filepath.Dir(dir.Path))
	return nil
}

// Leftovers implements Stager.
func (s DirStager) Leftovers(_ context.Context, job string) ([]StageDir, error) {
	names, err := os.ReadDir(filepath.Join(s.root(), job))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for earlier stages: %w", err)
	}
	var dirs []StageDir
	for _, e := range names {
		if id := ID(e.Name()); e.IsDir() && id.Valid() {
			dirs = append(dirs, s.dir(job, id))
		}
	}
	slices.SortFunc(dirs, func(a, b StageDir) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return dirs, nil
}

// joinServer joins path elements in the style of the server's path, which may be of another system than ours.
func joinServer(dir string, elem ...string) string {
	if strings.ContainsRune(dir, '\\') {
		return strings.TrimRight(dir, `\`) + `\` + strings.Join(elem, `\`)
	}
	return path.Join(append([]string{dir}, elem...)...)
}

// stageFull gives a disk that was full when the source wrote to a slot by itself its sentinel and a hint.
func (r *run) stageFull(err error) error {
	var at *fs.PathError
	if errors.Is(err, ErrStageFull) || r.dir.Path == "" || !errors.As(err, &at) {
		return err
	}
	if rel, rerr := filepath.Rel(r.dir.Path, at.Path); rerr != nil || !filepath.IsLocal(rel) {
		return err
	}
	return stageError(err)
}

// stageError gives a full disk its sentinel and a hint.
func stageError(err error) error {
	if isDiskFull(err) {
		return &Error{Op: "stage", Err: errors.Join(ErrStageFull, err),
			Advice: "free space on the stage's disk, set a stage quota below what is free, or stream"}
	}
	return err
}
