package backup

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestJournalTornAnywhere cuts a journal after every byte: what is read is a prefix of what was written, and what is
// appended after reopening is read back behind it.
func TestJournalTornAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	j, err := createJournal(dir, runRecord{ID: "id", Job: "job"})
	require.NoError(t, err)
	require.NoError(t, j.write(record{Artifact: &artifactRecord{N: 1, Key: "k"}}))
	require.NoError(t, j.write(record{Discard: &discardRecord{N: 1}}))
	require.NoError(t, j.close())
	name := filepath.Join(dir, journalName)
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for cut := range len(whole) + 1 {
		require.NoError(t, os.WriteFile(name, whole[:cut], 0o600))
		before := 0
		valid, err := readJournal(dir, func(record) error { before++; return nil })
		require.NoError(t, err)
		assert.LessOrEqual(t, valid, int64(cut))
		j, err := reopenJournal(dir, valid)
		require.NoError(t, err)
		require.NoError(t, j.write(record{Discard: &discardRecord{N: 42}}))
		require.NoError(t, j.close())
		var last record
		after := 0
		_, err = readJournal(dir, func(r record) error { after++; last = r; return nil })
		require.NoError(t, err)
		assert.Equal(t, before+1, after, "cut at %d", cut)
		require.NotNil(t, last.Discard)
		assert.Equal(t, 42, last.Discard.N)
	}
}
