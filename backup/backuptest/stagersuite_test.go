package backuptest

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestDirStagerKeepsEveryRule(t *testing.T) {
	t.Parallel()
	TestStager(t, func(dir string) (backup.Stager, error) {
		return backup.DirStager{Dir: dir, Quota: 1 << 20}, nil
	})
}

func TestDirStagerWithServerPathKeepsEveryRule(t *testing.T) {
	t.Parallel()
	TestStager(t, func(dir string) (backup.Stager, error) {
		return backup.DirStager{Dir: dir, ServerDir: `S:\stage`}, nil
	})
}

// wrongStager is a DirStager with one method replaced.
type wrongStager struct {
	backup.DirStager
	stage     func(context.Context, string, backup.ID) (backup.StageDir, error)
	release   func(context.Context, backup.StageDir) error
	leftovers func(context.Context, string) ([]backup.StageDir, error)
}

func (w *wrongStager) Stage(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
	if w.stage != nil {
		return w.stage(ctx, job, id)
	}
	return w.DirStager.Stage(ctx, job, id)
}

func (w *wrongStager) Release(ctx context.Context, d backup.StageDir) error {
	if w.release != nil {
		return w.release(ctx, d)
	}
	return w.DirStager.Release(ctx, d)
}

func (w *wrongStager) Leftovers(ctx context.Context, job string) ([]backup.StageDir, error) {
	if w.leftovers != nil {
		return w.leftovers(ctx, job)
	}
	return w.DirStager.Leftovers(ctx, job)
}

// wrongStagers holds, for every rule, a Stager that breaks it.
func wrongStagers() map[string]func(*wrongStager) {
	return map[string]func(*wrongStager){
		"stage-is-empty": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				d, err := w.DirStager.Stage(ctx, job, id)
				return d, errors.Join(err, os.WriteFile(filepath.Join(d.Path, ".stage"), nil, 0o600))
			}
		},
		"stage-is-private": func(w *wrongStager) { w.Mode = 0o755 },
		"stage-names-its-run": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				d, err := w.DirStager.Stage(ctx, job, id)
				d.ID = ""
				return d, err
			}
		},
		"stage-spares-what-is-there": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				os.RemoveAll(filepath.Join(w.Dir, job, string(id)))
				return w.DirStager.Stage(ctx, job, id)
			}
		},
		"stages-are-apart": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				if strings.HasPrefix(job, "shop") {
					job = "shop"
				}
				d, err := w.DirStager.Stage(ctx, job, id)
				if errors.Is(err, os.ErrExist) {
					return backup.StageDir{ID: id, Path: filepath.Join(w.Dir, job, string(id))}, nil
				}
				return d, err
			}
		},
		"stage-again": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				d := backup.StageDir{ID: id, Path: filepath.Join(w.Dir, job, string(id))}
				if id > testID(1) {
					return d, os.Mkdir(d.Path, 0o700)
				}
				return w.DirStager.Stage(ctx, job, id)
			}
		},
		"stage-honours-its-context": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				return w.DirStager.Stage(context.WithoutCancel(ctx), job, id)
			}
		},
		"stages-at-once": func(w *wrongStager) {
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				d := backup.StageDir{ID: id, Path: filepath.Join(w.Dir, job)} // every run shares the job's directory
				return d, os.MkdirAll(d.Path, 0o700)
			}
		},
		"jobs-of-any-clean-name": func(w *wrongStager) {
			w.leftovers = func(ctx context.Context, job string) ([]backup.StageDir, error) {
				if backup.ID(job).Valid() {
					return nil, nil
				}
				return w.DirStager.Leftovers(ctx, job)
			}
		},
		"release-removes-all": func(w *wrongStager) {
			w.release = func(ctx context.Context, d backup.StageDir) error {
				if err := os.Remove(d.Path); errors.Is(err, os.ErrNotExist) || d.Path == "" {
					return nil
				}
				return nil // what cannot be removed at once stays
			}
		},
		"release-is-idempotent": func(w *wrongStager) {
			w.release = func(ctx context.Context, d backup.StageDir) error {
				if _, err := os.Stat(d.Path); err != nil {
					return err
				}
				return w.DirStager.Release(ctx, d)
			}
		},
		"release-spares-others": func(w *wrongStager) {
			w.release = func(ctx context.Context, d backup.StageDir) error {
				if d.Path == "" {
					return nil
				}
				return os.RemoveAll(filepath.Dir(d.Path))
			}
		},
		"leftovers-oldest-first": func(w *wrongStager) {
			w.leftovers = func(ctx context.Context, job string) ([]backup.StageDir, error) {
				d, err := w.DirStager.Leftovers(ctx, job)
				slices.SortFunc(d, func(a, b backup.StageDir) int { return cmp.Compare(b.ID, a.ID) })
				return d, err
			}
		},
		"leftovers-of-the-job": func(w *wrongStager) {
			w.leftovers = func(ctx context.Context, job string) ([]backup.StageDir, error) {
				jobs, err := filepath.Glob(filepath.Join(w.Dir, job+"*"))
				var all []backup.StageDir
				for _, j := range jobs {
					d, lerr := w.DirStager.Leftovers(ctx, filepath.Base(j))
					all, err = append(all, d...), errors.Join(err, lerr)
				}
				return all, err
			}
		},
		"leftovers-only-stages": func(w *wrongStager) {
			w.leftovers = func(ctx context.Context, job string) ([]backup.StageDir, error) {
				names, err := os.ReadDir(filepath.Join(w.Dir, job))
				var all []backup.StageDir
				for _, n := range names {
					all = append(all, backup.StageDir{ID: backup.ID(n.Name()), Path: filepath.Join(w.Dir, job, n.Name())})
				}
				if errors.Is(err, os.ErrNotExist) {
					err = nil
				}
				return all, err
			}
		},
		"leftovers-survive-the-process": func(w *wrongStager) {
			var made []backup.StageDir
			w.stage = func(ctx context.Context, job string, id backup.ID) (backup.StageDir, error) {
				d, err := w.DirStager.Stage(ctx, job, id)
				made = append(made, d)
				return d, err
			}
			w.leftovers = func(ctx context.Context, job string) ([]backup.StageDir, error) {
				all, err := w.DirStager.Leftovers(ctx, job)
				return slices.DeleteFunc(all, func(d backup.StageDir) bool { return !slices.Contains(made, d) }), err
			}
		},
	}
}

func TestCheckStagerSaysTheSame(t *testing.T) {
	t.Parallel()
	for _, r := range CheckStager(t.Context(), t.TempDir(), func(dir string) (backup.Stager, error) { return backup.DirStager{Dir: dir}, nil }) {
		require.NoError(t, r.Err, r.Rule)
	}
}

func TestEveryStagerRuleRejectsAWrongStager(t *testing.T) {
	t.Parallel()
	wrong := wrongStagers()
	for _, r := range stagerRules() {
		require.Contains(t, wrong, r.name, "a rule without a Stager that breaks it proves nothing")
		require.NotEmpty(t, r.why)
	}
	require.Len(t, stagerRules(), len(wrong))
	for _, r := range stagerRules() {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			got := r.run(t.Context(), stagerSubject{dir: t.TempDir(), open: func(dir string) (backup.Stager, error) {
				w := &wrongStager{DirStager: backup.DirStager{Dir: dir}}
				wrong[r.name](w)
				return w, nil
			}})
			require.True(t, got.Broken(), "the rule %s accepts a Stager that breaks it", r.name)
		})
	}
}
