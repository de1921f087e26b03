package backuptest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// OpenStager returns the Stager under test. Called again with the same dir, a fresh empty directory the first time, it stands for another process that
// uses the same place; a Stager that keeps its stages elsewhere derives its place from dir.
type OpenStager func(dir string) (backup.Stager, error)

// TestStager asks a Stager every rule, each on a place of its own, and reports the broken ones with the reason why they matter.
func TestStager(t *testing.T, open OpenStager) {
	t.Helper()
	testRules(t, stagerRules(), func(t *testing.T) stagerSubject { return stagerSubject{open, t.TempDir()} })
}

// CheckStager gives the answers of TestStager as values. dir is an empty directory for everything the rules stage.
func CheckStager(ctx context.Context, dir string, open OpenStager) []Result {
	n := 0
	return evaluate(ctx, stagerRules(), func() stagerSubject {
		n++
		return stagerSubject{open, filepath.Join(dir, fmt.Sprint(n))}
	})
}

// stagerSubject is one place with the way to open it.
type stagerSubject struct {
	open OpenStager
	dir  string
}

func (s stagerSubject) stager() (backup.Stager, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	return s.open(s.dir)
}

// stagerRules are the rules of TestStager.
func stagerRules() []rule[stagerSubject] {
	on := func(check func(context.Context, backup.Stager) error) func(context.Context, stagerSubject) error {
		return func(ctx context.Context, s stagerSubject) error {
			st, err := s.stager()
			if err != nil {
				return fmt.Errorf("open: %w", err)
			}
			return check(ctx, st)
		}
	}
	return []rule[stagerSubject]{
		{"stage-is-empty", "A run trusts that every file in its stage is its own. What lies there already would be taken for an artifact, or collide with one.", on(stageIsEmpty)},
		{"stage-is-private", "A stage holds the whole application in plain text. Nobody but the owner may look in, unless the Stager was told so.", on(stageIsPrivate)},
		{"stage-names-its-run", "After a crash the id tells which run a stage belongs to; a server needs an absolute path.", on(stageNamesItsRun)},
		{"stage-spares-what-is-there", "A second stage for the same run must not clear or share the first: its bytes may be the only copy.", on(stageSpares)},
		{"stages-are-apart", "Two runs at once, of one job or of jobs with similar names, must not see or release each other's files.", on(stagesApart)},
		{"stage-again", "The place is used for years: after a release, and after a sweep of temporary files, it must still stage.", on(stageAgain)},
		{"stage-honours-its-context", "A cancelled run changes nothing any more. A stage made after the cancel is one nobody releases.", on(stageCancelled)},
		{"stages-at-once", "Jobs run side by side; making the parent directory must not be a race.", on(stagesAtOnce)},
		{"jobs-of-any-clean-name", "A job's name is a clean path element and nothing else is promised: digits, dots, 64 letters.", on(oddJobs)},
		{"release-removes-all", "What stays behind fills the disk of the protected server, run after run.", on(releaseRemovesAll)},
		{"release-is-idempotent", "A release is repeated after a crash, and by cleanup paths that do not know of each other.", on(releaseIdempotent)},
		{"release-spares-others", "A stage of another run may be the only copy of its backup.", on(releaseSparesOthers)},
		{"leftovers-oldest-first", "Dead runs are completed in the order they began: a log link before the one that builds on it.", on(leftoversOldestFirst)},
		{"leftovers-of-the-job", "Another job's stage belongs to another run that may be alive: completing or sweeping it would tear it down.", on(leftoversOfTheJob)},
		{"leftovers-only-stages", "What an operator or a file system put there, such as lost+found, is no stage and must not be swept.", on(leftoversOnlyStages)},
		{"leftovers-survive-the-process", "A killed run is completed from its stage by the next process. A list kept in memory forgets it.", stageSurvives},
	}
}

// testID makes the n-th id of a test, in order.
func testID(n int) backup.ID {
	return backup.NewID(time.Date(2024, 5, 6, 7, 8, n, 0, time.UTC), "")
}

// fill writes a file, and a nested one, into a stage as a server does.
func fill(d backup.StageDir) error {
	sub := filepath.Join(d.Path, "sub", "deep")
	if err := os.MkdirAll(sub, 0o700); err != nil {
		return err
	}
	for _, name := range []string{filepath.Join(d.Path, "a.bak"), filepath.Join(sub, "b.bak")} {
		if err := os.WriteFile(name, []byte("only copy of "+d.ID), 0o400); err != nil {
			return err
		}
	}
	return nil
}

// filled tells why d does not hold what fill put there, or nil.
func filled(d backup.StageDir) error {
	for _, name := range []string{filepath.Join(d.Path, "a.bak"), filepath.Join(d.Path, "sub", "deep", "b.bak")} {
		got, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("a file of stage %s: %w", d.ID, err)
		}
		if want := "only copy of " + string(d.ID); string(got) != want {
			return fmt.Errorf("a file of stage %s holds %q, want %q", d.ID, got, want)
		}
	}
	return nil
}
