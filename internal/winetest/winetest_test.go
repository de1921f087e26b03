package winetest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestVerdicts(t *testing.T) {
	t.Parallel()
	out := "=== RUN   TestA\n    a_test.go:1: note\n--- PASS: TestA (0.00s)\n=== RUN   TestB\n=== RUN   TestB/one\n    b_test.go:9: live\n--- FAIL: TestB (0.10s)\n    --- FAIL: TestB/one (0.00s)\n        b_test.go:2: broken\n" +
		"=== RUN   TestC\n--- SKIP: TestC (0.00s)\n    c_test.go:3: no reason\nFAIL\n"
	list := verdicts(out)
	require.Len(t, list, 3)
	assert.Equal(t, verdict{"TestA", "PASS", "=== RUN   TestA\n    a_test.go:1: note\n--- PASS: TestA (0.00s)\n"}, list[0])
	assert.Equal(t, "FAIL", list[1].result)
	assert.Contains(t, list[1].output, "live")
	assert.Contains(t, list[1].output, "broken")
	assert.NotContains(t, list[1].output, "note")
	assert.Equal(t, "SKIP", list[2].result)
	assert.Contains(t, list[2].output, "no reason")
	assert.Empty(t, verdicts("panic: no\n"))
}

func TestRemoveAll(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "b", "c"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "b", "f"), nil, 0o600))
	require.NoError(t, RemoveAll(dir))
	assert.NoDirExists(t, dir)
	require.NoError(t, RemoveAll(dir))
	assert.Equal(t, `Z:\tmp\x`, Path("/tmp/x"))
}
