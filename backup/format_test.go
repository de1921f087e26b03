package backup_test

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// format1 is a target written by the first version of format 1, with a sealed and a plain job. It is never written again: whatever
// comes later must read it. QUIESCE_WRITE_FORMAT names a directory to write the like of it for a new format.
const format1 = "testdata/format1"

func formatContent() map[string][]byte {
	return map[string][]byte{
		"shop/orders/data.00001.tsv": []byte("1\tone\n2\ttwo\n"),
		"odd name/ü?":                []byte("odd"),
		"empty":                      {},
		"parts":                      make([]byte, 2*partSize+5),
	}
}

func formatPipeline(t *testing.T, dir, job string, src backup.Source) *backup.Pipeline {
	t.Helper()
	target, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(dir), nil)
	require.NoError(t, err)
	if job == "plain" {
		return newPipeline(t, backup.Config{Job: job, Source: src, Sink: target})
	}
	key, err := os.ReadFile(filepath.Join(dir, "identity.txt"))
	require.NoError(t, err)
	id, err := age.ParseX25519Identity(string(key))
	require.NoError(t, err)
	return newPipeline(t, backup.Config{Job: job, Source: src,
		Sink: sink.Seal(target, sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}, nil)})
}

func TestFormat1StaysReadable(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs(format1)
	require.NoError(t, err)
	// A copy, since verifying writes its proof.
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, os.DirFS(root)))
	for _, job := range []string{"plain", "sealed"} {
		src := &files{}
		p := formatPipeline(t, dir, job, src)
		h, err := p.History(t.Context())
		require.NoError(t, err)
		require.Len(t, h, 1)
		assert.Empty(t, h[0].Damaged)
		assert.Equal(t, 1, h[0].Format)
		assert.Equal(t, "kept for ever", h[0].Held)
		assert.Equal(t, backup.ProofBytes, h[0].Proof)
		rep, err := p.Verify(t.Context(), backup.VerifyOptions{})
		require.NoError(t, err)
		require.NoError(t, rep.Err())
		plan, err := p.Plan(t.Context(), backup.Target{})
		require.NoError(t, err)
		require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
		for name, want := range formatContent() {
			assert.Equal(t, sha256.Sum256(want), sha256.Sum256(src.restored[name]), name)
		}
	}
}

func TestWriteFormat(t *testing.T) {
	dir := os.Getenv("QUIESCE_WRITE_FORMAT")
	if dir == "" {
		t.Skip("writes test data for a new format; QUIESCE_WRITE_FORMAT names an empty directory")
	}
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "identity.txt"), []byte(id.String()), 0o644))
	for _, job := range []string{"plain", "sealed"} {
		p := formatPipeline(t, dir, job, &files{content: formatContent()})
		m, err := p.Backup(t.Context(), backup.Full)
		require.NoError(t, err)
		require.NoError(t, p.Hold(t.Context(), m.ID, "kept for ever"))
	}
}
