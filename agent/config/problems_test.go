package config_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
)

var update = flag.Bool("update", false, "rewrite testdata/problems.txt with what is reported now")

// TestProblems runs the cases of testdata/problems.txt: a name, a file, and below "----" what is reported, problems and then warnings. Files in
// which a line is "..." have a sound beginning in its place.
func TestProblems(t *testing.T) {
	t.Parallel()
	const name = "testdata/problems.txt"
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	head, rest, _ := strings.Cut(string(text), "\n==== ")
	out := head
	cases := strings.Split(rest, "\n==== ")
	for _, c := range cases {
		title, body, ok := strings.Cut(c, "\n")
		require.True(t, ok, title)
		file, want, ok := strings.Cut(body, "\n----\n")
		require.True(t, ok || *update, "%s has no ----", title)
		got := report(file)
		out += "\n==== " + title + "\n" + file + "\n----\n" + got
		if !*update {
			assert.Equal(t, strings.TrimSpace(want), strings.TrimSpace(got), "%s:\n%s", title, file)
			assert.NotEmpty(t, strings.TrimSpace(got), title)
		}
		assert.NotContains(t, got, password, title)
	}
	assert.Greater(t, len(cases), 60)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(out), 0o600))
	}
}

const soundBeginning = `sink: file:///b
seal: {plain: true}
jobs:
  shop:
    application: counter
    counter: {dsn: {env: SHOP_DSN}}`

// report is what is said of a file, one line each.
func report(file string) string {
	text := strings.Replace(file, "...", soundBeginning, 1)
	c, err := config.Parse("/etc/obm/f.yaml", []byte(text), options(map[string]string{"/etc/obm/empty": "\n", "/etc/obm/key.txt": "not a key",
		"/etc/obm/recipients.txt": "age1nonsense"}))
	var p *config.Problems
	switch {
	case errors.As(err, &p):
		here, err := filepath.Abs("/etc") // where that has a drive, it is left out
		if err != nil {
			return err.Error()
		}
		return strings.NewReplacer("/etc/obm/f.yaml:", "", "///"+filepath.VolumeName(here)+"/etc", "///etc").Replace(p.Error()) + "\n"
	case err != nil:
		return "not a *Problems: " + err.Error()
	}
	var s strings.Builder
	for _, w := range c.Warnings {
		s.WriteString("warning: " + strings.TrimPrefix(w.String(), "/etc/obm/f.yaml:") + "\n")
	}
	return s.String()
}
