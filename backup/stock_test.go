package backup_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// stored is a backup in a directory, with what is needed to open it without this module.
type stored struct {
	run     string // the run's directory
	key     string // the identity's file
	id      *age.X25519Identity
	content map[string][]byte
}

func storeForStockTools(t *testing.T) stored {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	dir := t.TempDir()
	target, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(dir), nil)
	require.NoError(t, err)
	s := stored{key: filepath.Join(t.TempDir(), "key.txt"), id: id, content: sample(partSize)}
	require.NoError(t, os.WriteFile(s.key, []byte(id.String()+"\n"), 0o600))
	p := newPipeline(t, backup.Config{Source: &files{content: s.content},
		Sink: sink.Seal(target, sink.Keys{Recipients: []age.Recipient{id.Recipient()}}, nil)})
	m, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	s.run = filepath.Join(dir, "job", "runs", string(m.ID))
	return s
}

// entries reads the list of artifacts with the libraries the stock tools are made of.
func (s stored) entries(t *testing.T) []backup.Entry {
	t.Helper()
	dec := json.NewDecoder(s.open(t, "entries.jsonl.zst.age"))
	var all []backup.Entry
	for dec.More() {
		var e backup.Entry
		require.NoError(t, dec.Decode(&e))
		all = append(all, e)
	}
	return all
}

func (s stored) open(t *testing.T, name string) io.Reader {
	t.Helper()
	f, err := os.Open(filepath.Join(s.run, filepath.FromSlash(name)))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	plain, err := age.Decrypt(f, s.id)
	require.NoError(t, err)
	z, err := zstd.NewReader(plain)
	require.NoError(t, err)
	t.Cleanup(z.Close)
	return z
}

// TestStockLibraries opens a backup with age and zstd alone, following doc/format.md.
func TestStockLibraries(t *testing.T) {
	t.Parallel()
	s := storeForStockTools(t)
	entries := s.entries(t)
	require.Len(t, entries, len(s.content))
	for _, e := range entries {
		h := sha256.New()
		for n := range e.Parts {
			_, err := io.Copy(h, s.open(t, fmt.Sprintf("%s/%08d.zst.age", e.Key, n)))
			require.NoError(t, err)
		}
		assert.Equal(t, sha256.Sum256(s.content[e.Name]), [32]byte(h.Sum(nil)), e.Name)
		assert.Equal(t, e.SHA256, backup.Digest(h.Sum(nil)), e.Name)
	}
}

// TestStockTools runs the lines of doc/format.md as they are printed there.
func TestStockTools(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "sha256sum", "age", "zstd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed; TestStockLibraries does the same with its library", tool)
		}
	}
	doc, err := os.ReadFile(filepath.Join("..", "doc", "format.md"))
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(doc), "## Restoring with stock tools")
	require.True(t, ok)
	_, text, ok = strings.Cut(text, "```sh\n")
	require.True(t, ok)
	script, _, ok := strings.Cut(text, "```")
	require.True(t, ok)

	s := storeForStockTools(t)
	for _, e := range s.entries(t) {
		if len(e.Parts) == 0 {
			continue // an empty artifact has no directory to list
		}
		out := filepath.Join(t.TempDir(), "out")
		cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
		cmd.Env = append(os.Environ(), "RUN="+s.run, "KEY="+s.key, "ARTIFACT="+e.Key, "OUT="+out)
		text, err := cmd.CombinedOutput()
		require.NoError(t, err, string(text))
		assert.Contains(t, string(text), `"name"`, "the list of artifacts is printed")
		got, err := os.ReadFile(out)
		require.NoError(t, err)
		assert.Equal(t, sha256.Sum256(s.content[e.Name]), sha256.Sum256(got), e.Name)
	}

	// The same lines find damage.
	e := s.entries(t)[0]
	for _, c := range s.entries(t) {
		if len(c.Parts) > 0 {
			e = c
		}
	}
	part := filepath.Join(s.run, filepath.FromSlash(e.Key), "00000000.zst.age")
	data, err := os.ReadFile(part)
	require.NoError(t, err)
	data[len(data)/2] ^= 1
	require.NoError(t, os.WriteFile(part, data, 0o600))
	cmd := exec.CommandContext(t.Context(), "sh", "-eu", "-c", script)
	cmd.Env = append(os.Environ(), "RUN="+s.run, "KEY="+s.key, "ARTIFACT="+e.Key, "OUT="+filepath.Join(t.TempDir(), "out"))
	report, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(report), "FAILED")
}
