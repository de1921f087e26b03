package backup_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// notingSource tells more than its inner source: notes of a rehearsal, a warning, and which files a verification can have.
type notingSource struct {
	*backuptest.LedgerSource
	fetched *int64
}

func (s notingSource) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	set.Note("check", "no errors")
	set.Warn("the scratch place is small")
	return s.LedgerSource.Rehearse(ctx, r, set, scratch)
}

func (s notingSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		f, err := set.Fetch(ctx, step, step.Entries[0])
		if err != nil {
			return err
		}
		fi, err := os.Stat(f.Path)
		if err != nil {
			return err
		}
		*s.fetched += fi.Size() - step.Entries[0].Size
	}
	return nil
}

func TestARehearsalLeavesNotesInTheProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	var differs int64
	w.source = notingSource{w.l.Source(&backuptest.LedgerSourceOptions{ServerFiles: true}), &differs}
	var warned []string
	now := time.Now()
	w.change = func(c *backup.Config) {
		c.Events = func(e backup.Event) {
			if e, ok := e.(backup.Warning); ok {
				warned = append(warned, e.Text)
			}
		}
		c.Now = func() time.Time { now = now.Add(time.Second); return now }
	}
	m := w.backup(t, backup.Full)
	p := w.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Rehearse(t.Context(), plan, t.TempDir(), backup.RestoreOptions{}))
	assert.Contains(t, warned, "the scratch place is small")

	notes, err := p.ProofNotes(t.Context(), m.ID, backup.ProofRestored)
	require.NoError(t, err)
	assert.Equal(t, "no errors", notes["check"])
	d, err := time.ParseDuration(notes["duration"])
	require.NoError(t, err)
	assert.Positive(t, d)
	notes, err = p.ProofNotes(t.Context(), m.ID, backup.ProofBytes)
	require.NoError(t, err)
	assert.Empty(t, notes, "there is no such proof")
	h, err := p.History(t.Context())
	require.NoError(t, err)
	assert.Equal(t, backup.ProofRestored, h[0].Proof)
}

func TestAVerificationHasAPlaceForFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t, true)
	differs := int64(0)
	w.source = notingSource{w.l.Source(&backuptest.LedgerSourceOptions{ServerFiles: true}), &differs}
	m := w.backup(t, backup.Full)
	p := w.pipeline(t)
	rep, err := p.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat, IDs: []backup.ID{m.ID}})
	require.NoError(t, err)
	assert.Empty(t, rep.Bad)
	assert.Zero(t, differs)
	left, err := backup.DirStager{Dir: w.stage}.Leftovers(t.Context(), worldJob+"~restore")
	require.NoError(t, err)
	assert.Empty(t, left, "the place is given back")
}
