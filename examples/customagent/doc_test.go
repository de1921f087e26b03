package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const guide = "doc/custom-agent.md"

// TestGuideQuotesTheCode keeps the guide true: each block of Go in it names its file and occurs there. A line of three dots stands for what is left out.
func TestGuideQuotesTheCode(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, guide))
	require.NoError(t, err)
	blocks := strings.Split(string(text), "\n```go")[1:]
	assert.Greater(t, len(blocks), 5)
	for _, b := range blocks {
		b, _, closed := strings.Cut(b, "\n```")
		file, code, _ := strings.Cut(b, "\n")
		require.True(t, closed && strings.TrimSpace(file) != "", "a block without a file or an end: %q", b)
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(strings.TrimSpace(file))))
		require.NoError(t, err)
		assert.Empty(t, notQuoted(code, string(source)), "%s does not hold what %s quotes", file, guide)
	}
}

// notQuoted returns the first piece of code that is not in source, after those before it.
func notQuoted(code, source string) string {
	for piece := range strings.SplitSeq("\n"+code+"\n", "\n...\n") {
		piece = "\n" + strings.Trim(piece, "\n") + "\n"
		_, rest, found := strings.Cut(source, piece)
		if !found {
			return piece
		}
		source = "\n" + rest
	}
	return ""
}

func TestWrongQuotesAreFound(t *testing.T) {
	t.Parallel()
	source := "package p\n\nfunc a() {\n\tb()\n}\n\nfunc c() {}\n"
	assert.Empty(t, notQuoted("func a() {\n...\n}\n\nfunc c() {}", source))
	for _, wrong := range []string{"func a() {}", "func c() {}\n...\nfunc a() {", "unc a() {", "\tb"} {
		assert.NotEmpty(t, notQuoted(wrong, source), wrong)
	}
}
