package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
)

// shapes are the types behind --json, by the first words of the examples in README.md.
func shapes() map[string]any {
	return map[string]any{
		"backup": new(agent.Record), "restore": new(agent.Record), "rehearse": new(agent.Record), "restore --files": new(Fetched),
		"check": new([]CheckLine), "list": new([]ListedBackup), "windows": new([]ItemWindow), "plan": new(PrintedPlan), "status": new(Health),
		"verify": new(Verified), "prune": new(Pruned), "hold": new(Held), "inspect": new([]Inspected), "config": new(map[string]any),
		"keygen": new(NewKey), "service": new(ServiceState), "version": new(Built),
	}
}

var jsonExample = regexp.MustCompile("(?s)### `obm (\\w+)([^`]*)`\n.*?```json\n(.*?)```")

// TestReadmeShapes decodes every example of README.md strictly into its type, and demands that it comes out again as it stands there.
func TestReadmeShapes(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	seen := map[string]bool{}
	for _, m := range jsonExample.FindAllStringSubmatch(string(text), -1) {
		command := m[1]
		if command == "restore" && strings.Contains(m[2], "--files") {
			command = "restore --files"
		}
		seen[command] = true
		into, ok := shapes()[command]
		require.True(t, ok, "no type for %s", command)
		dec := json.NewDecoder(strings.NewReader(m[3]))
		dec.DisallowUnknownFields()
		require.NoError(t, dec.Decode(into), command)
		again, err := json.Marshal(into)
		require.NoError(t, err)
		assert.JSONEq(t, m[3], string(again), command)
	}
	for command := range shapes() {
		assert.True(t, seen[command], "README.md has no JSON example of %s", command)
	}
}

// TestShapesAreNeverNull encodes what commands print when there is nothing.
func TestShapesAreNeverNull(t *testing.T) {
	t.Parallel()
	p := &Program{}
	for name, v := range map[string]any{
		"plan": printedPlan(*emptyPlan()), "listed": listed("job", emptyBackup()), "window": itemWindow(emptyCoverage()), "version": p.builtAs(),
	} {
		text, err := json.Marshal(v)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "null", name)
	}
}

// TestEveryCommandExplainsItself walks the command tree: help, an example, and a place in README.md.
func TestEveryCommandExplainsItself(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	in := &invocation{Program: &Program{LookupEnv: func(string) (string, bool) { return "", false }}}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		assert.NotEmpty(t, c.Short, c.CommandPath())
		assert.NotEmpty(t, c.Long, c.CommandPath())
		assert.Contains(t, c.Example, "obm "+strings.TrimPrefix(strings.TrimPrefix(c.CommandPath(), "obm"), " "), c.CommandPath())
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := in.root()
	walk(root)
	for _, c := range root.Commands() {
		assert.Contains(t, string(readme), "| `"+c.Use[:strings.IndexAny(c.Use+" ", " ")], "README.md does not list %s", c.Name())
	}
}

func TestProgramWithNothing(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	p := &Program{Name: "acme", Stdout: &out, Stderr: &errs, LookupEnv: func(key string) (string, bool) { return "there.yaml", key == "ACME_CONFIG" }}
	assert.Equal(t, exitUsage, p.Run(t.Context(), []string{"list"}))
	assert.Empty(t, out.String())
	assert.Contains(t, errs.String(), "acme: read configuration: open there.yaml")
	assert.Contains(t, errs.String(), "hint: ")
	assert.Equal(t, exitDone, p.Run(t.Context(), []string{"version"}))
	assert.Contains(t, out.String(), "acme ")
	assert.False(t, p.Reload(), "nothing runs")
}
