package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestNotesComeBack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), "", "", &out))
	assert.Regexp(t, `^backed up 3 notes as \d{8}T\d{9}Z-[0-9a-f]{8}, proof: bytes\nrestored 3 notes; on Monday: plant the beans\n$`, out.String())
}

func TestRestoreDoesNotOverwrite(t *testing.T) {
	t.Parallel()
	url := "file://" + t.TempDir()
	book := &notes{texts: map[string]string{"a": "old"}}
	_, err := protect(t.Context(), book, url)
	require.NoError(t, err)

	book.texts["a"] = "newer than the backup"
	require.ErrorIs(t, recoverAll(t.Context(), book, url), backup.ErrExists)
	assert.Equal(t, map[string]string{"a": "newer than the backup"}, book.texts, "a refused restore changed something")
}

func TestNothingToRestore(t *testing.T) {
	t.Parallel()
	err := recoverAll(t.Context(), &notes{}, "file://"+t.TempDir())
	require.Error(t, err, "an empty target gave something back")
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ dsn, url, want string }{
		"scheme":      {url: "carrierpigeon://loft", want: "carrierpigeon"},
		"cloud":       {url: "s3://bucket", want: "s3"},
		"dsn":         {dsn: "not a dsn", want: "DSN"},
		"unreachable": {dsn: "root@tcp(127.0.0.1:1)/", want: "127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(t.Context(), c.dsn, c.url, &out)
			require.ErrorContains(t, err, c.want)
			assert.NotEmpty(t, backup.Hint(err), "the error says nothing about what to do: %v", err)
			assert.Empty(t, out.String())
		})
	}
}

// The README promises that its lines are this program's.
func TestReadmeShowsThisProgram(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(readme), "```go\n")
	require.True(t, ok, "README.md shows no Go code")
	code, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)

	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	_, body, ok := strings.Cut(string(program), "func protect(")
	require.True(t, ok)
	_, body, _ = strings.Cut(body, "{\n")
	body, _, _ = strings.Cut(body, "\n}\n")
	assert.Equal(t, strings.ReplaceAll("\n"+body, "\n\t", "\n")[1:]+"\n", code)
}
