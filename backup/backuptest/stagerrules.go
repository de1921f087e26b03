package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
)

func stageIsEmpty(ctx context.Context, st backup.Stager) error {
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	files, err := os.ReadDir(d.Path)
	if err != nil {
		return fmt.Errorf("the stage cannot be read: %w", err)
	}
	if len(files) > 0 {
		return fmt.Errorf("a new stage holds %q", files[0].Name())
	}
	return fill(d)
}

func stageIsPrivate(ctx context.Context, st backup.Stager) error {
	if runtime.GOOS == "windows" {
		return skip("permission bits say nothing on Windows")
	}
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	info, err := os.Stat(d.Path)
	if err != nil {
		return err
	}
	if p := info.Mode().Perm(); p&0o077 != 0 {
		return fmt.Errorf("the stage has mode %v, others can reach it", p)
	}
	return nil
}

func stageNamesItsRun(ctx context.Context, st backup.Stager) error {
	id := testID(1)
	d, err := st.Stage(ctx, "job", id)
	if err != nil {
		return err
	}
	if d.ID != id {
		return fmt.Errorf("stage of %s says it is of %q", id, d.ID)
	}
	if !filepath.IsAbs(d.Path) {
		return fmt.Errorf("path %q is not absolute", d.Path)
	}
	return nil
}

func stageSpares(ctx context.Context, st backup.Stager) error {
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	if err := fill(d); err != nil {
		return err
	}
	if again, err := st.Stage(ctx, "job", d.ID); err == nil && again.Path == d.Path {
		return fmt.Errorf("staging the same run twice gave %s twice", d.Path)
	}
	return filled(d)
}

func stagesApart(ctx context.Context, st backup.Stager) error {
	same := testID(2)
	var dirs []backup.StageDir
	for _, of := range []struct {
		job string
		id  backup.ID
	}{{"shop", testID(1)}, {"shop", same}, {"shop.log", same}, {"shop-1", same}, {"sho", same}} {
		d, err := st.Stage(ctx, of.job, of.id)
		if err != nil {
			return fmt.Errorf("stage %s of %s: %w", of.id, of.job, err)
		}
		for _, e := range dirs {
			a, b := d.Path+string(filepath.Separator), e.Path+string(filepath.Separator)
			if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
				return fmt.Errorf("stages %s and %s overlap", d.Path, e.Path)
			}
		}
		if err := fill(d); err != nil {
			return err
		}
		dirs = append(dirs, d)
	}
	if err := st.Release(ctx, dirs[2]); err != nil {
		return err
	}
	for i, d := range dirs {
		if err := filled(d); err != nil && i != 2 {
			return fmt.Errorf("after the release of %s: %w", dirs[2].Path, err)
		}
	}
	return nil
}

func stageAgain(ctx context.Context, st backup.Stager) error {
	for n := range 2 {
		d, err := st.Stage(ctx, "job", testID(n))
		if err != nil {
			return fmt.Errorf("stage number %d: %w", n+1, err)
		}
		if err := st.Release(ctx, d); err != nil {
			return err
		}
	}
	d, err := st.Stage(ctx, "job", testID(3))
	if err != nil {
		return err
	}
	// A sweep of temporary files takes the directory above the stages too.
	if err := os.RemoveAll(filepath.Dir(d.Path)); err != nil {
		return err
	}
	if _, err := st.Stage(ctx, "job", testID(4)); err != nil {
		return fmt.Errorf("after everything was swept: %w", err)
	}
	return nil
}

func stageCancelled(ctx context.Context, st backup.Stager) error {
	gone, cancel := context.WithCancelCause(ctx)
	cause := errors.New("the operator cancelled")
	cancel(cause)
	if d, err := st.Stage(gone, "job", testID(1)); err == nil {
		return fmt.Errorf("a cancelled run got a stage at %s", d.Path)
	}
	return leftovers(ctx, st, "job")
}

func stagesAtOnce(ctx context.Context, st backup.Stager) error {
	const n = 8
	dirs := make([]backup.StageDir, n)
	err := atOnce(n, func(i int) (err error) {
		dirs[i], err = st.Stage(ctx, fmt.Sprintf("job%d", i%2), testID(i))
		return err
	})
	if err != nil {
		return err
	}
	for _, d := range dirs {
		if err := fill(d); err != nil {
			return err
		}
	}
	for _, d := range dirs {
		if err := filled(d); err != nil {
			return err
		}
	}
	// One run ends while another begins: the directory above both must not vanish in between.
	return atOnce(n, func(i int) error {
		if err := st.Release(ctx, dirs[i]); err != nil {
			return err
		}
		for k := range 8 {
			d, err := st.Stage(ctx, fmt.Sprintf("job%d", i%2), testID(n+8*i+k))
			if err == nil {
				err = errors.Join(fill(d), filled(d), st.Release(ctx, d))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// atOnce runs fn n times side by side.
func atOnce(n int, fn func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func oddJobs(ctx context.Context, st backup.Stager) error {
	for _, job := range []string{"x", "9", "a.b", "A-1_b.c", "0000", "20240506T070801000Z-00000000", "job~restore", strings.Repeat("j", 64)} {
		id := testID(1)
		d, err := st.Stage(ctx, job, id)
		if err != nil {
			return fmt.Errorf("job %q: %w", job, err)
		}
		if err := fill(d); err != nil {
			return fmt.Errorf("job %q: %w", job, err)
		}
		if err := leftovers(ctx, st, job, d); err != nil {
			return fmt.Errorf("job %q: %w", job, err)
		}
		if err := st.Release(ctx, d); err != nil {
			return fmt.Errorf("job %q: %w", job, err)
		}
	}
	return nil
}

func releaseRemovesAll(ctx context.Context, st backup.Stager) error {
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	if err := fill(d); err != nil {
		return err
	}
	if err := st.Release(ctx, d); err != nil {
		return err
	}
	if _, err := os.Lstat(d.Path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is still there (%v)", d.Path, err)
	}
	return leftovers(ctx, st, "job")
}

func releaseIdempotent(ctx context.Context, st backup.Stager) error {
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	for n := range 3 {
		if err := st.Release(ctx, d); err != nil {
			return fmt.Errorf("release number %d: %w", n+1, err)
		}
	}
	if err := st.Release(ctx, backup.StageDir{}); err != nil {
		return fmt.Errorf("release of the zero stage: %w", err)
	}
	return nil
}

func releaseSparesOthers(ctx context.Context, st backup.Stager) error {
	var dirs []backup.StageDir
	for n := range 3 {
		d, err := st.Stage(ctx, "job", testID(n))
		if err != nil {
			return err
		}
		if err := fill(d); err != nil {
			return err
		}
		dirs = append(dirs, d)
	}
	if err := errors.Join(st.Release(ctx, dirs[1]), st.Release(ctx, backup.StageDir{})); err != nil {
		return err
	}
	if err := errors.Join(filled(dirs[0]), filled(dirs[2])); err != nil {
		return err
	}
	return leftovers(ctx, st, "job", dirs[0], dirs[2])
}

func leftoversOldestFirst(ctx context.Context, st backup.Stager) error {
	want := make([]backup.StageDir, 5)
	for _, n := range []int{3, 0, 4, 1, 2} {
		d, err := st.Stage(ctx, "job", testID(n))
		if err != nil {
			return err
		}
		want[n] = d
	}
	return leftovers(ctx, st, "job", want...)
}

func leftoversOfTheJob(ctx context.Context, st backup.Stager) error {
	if err := leftovers(ctx, st, "never-ran"); err != nil {
		return err
	}
	var own []backup.StageDir
	for n, job := range []string{"shop", "shop2", "shop.log", "sho"} {
		d, err := st.Stage(ctx, job, testID(n))
		if err != nil {
			return err
		}
		if job == "shop" {
			own = append(own, d)
		}
	}
	return leftovers(ctx, st, "shop", own...)
}

func leftoversOnlyStages(ctx context.Context, st backup.Stager) error {
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	above := filepath.Dir(d.Path)
	if err := os.MkdirAll(filepath.Join(above, "lost+found"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(above, string(testID(2))), []byte("a file"), 0o600); err != nil {
		return err
	}
	return leftovers(ctx, st, "job", d)
}

func stageSurvives(ctx context.Context, s stagerSubject) error {
	st, err := s.stager()
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	d, err := st.Stage(ctx, "job", testID(1))
	if err != nil {
		return err
	}
	if err := fill(d); err != nil {
		return err
	}
	next, err := s.stager()
	if err != nil {
		return fmt.Errorf("open in another process: %w", err)
	}
	if err := leftovers(ctx, next, "job", d); err != nil {
		return fmt.Errorf("in another process: %w", err)
	}
	if err := filled(d); err != nil {
		return fmt.Errorf("in another process: %w", err)
	}
	if err := next.Release(ctx, d); err != nil {
		return fmt.Errorf("in another process: %w", err)
	}
	return leftovers(ctx, st, "job")
}

// leftovers tells how the leftovers of job differ from what is wanted.
func leftovers(ctx context.Context, st backup.Stager, job string, want ...backup.StageDir) error {
	got, err := st.Leftovers(ctx, job)
	if err != nil {
		return fmt.Errorf("leftovers of %q: %w", job, err)
	}
	if len(got) != len(want) {
		return fmt.Errorf("leftovers of %q: got %d stages %v, want %d %v", job, len(got), got, len(want), want)
	}
	for i := range got {
		if got[i] != want[i] {
			return fmt.Errorf("leftovers of %q, number %d: got %+v, want %+v", job, i+1, got[i], want[i])
		}
	}
	return nil
}
