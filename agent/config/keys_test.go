package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// TestKeysAreDocumented holds doc/configuration.md, which describes every key once, against the structs.
func TestKeysAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../doc/configuration.md")
	require.NoError(t, err)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, m[1])
	}
	var want []string
	for _, k := range keys() {
		if !repeated(k) {
			want = append(want, k)
		}
	}
	assert.Greater(t, len(want), 80)
	for _, k := range want {
		assert.Contains(t, documented, k, "a key without a line in doc/configuration.md")
	}
	for i, k := range documented {
		assert.Contains(t, want, k, "doc/configuration.md has a key that is not there")
		assert.NotContains(t, documented[:i], k, "doc/configuration.md has a key twice")
	}
}

// repeated reports whether a key is described where it stands first: defaults and the sections of a job that are also at the top of the file,
// and all lists of hooks but the first.
func repeated(key string) bool {
	return regexp.MustCompile(`^(defaults|jobs\.NAME\.(transfer|stage|seal))\.`).MatchString(key) ||
		regexp.MustCompile(`^jobs\.NAME\.hooks\.(after|failed|before_restore|after_restore|restore_failed)\[\]`).MatchString(key)
}

// TestFullExampleHasEveryKey keeps testdata/full.yaml whole.
func TestFullExampleHasEveryKey(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/full.yaml")
	require.NoError(t, err)
	var doc yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &doc))
	var have []string
	collect(doc.Content[0], &have)
	for _, k := range keys() {
		assert.Contains(t, have, k[strings.LastIndexByte(k, '.')+1:], "testdata/full.yaml does not show %s", k)
	}
}

func collect(n *yaml.Node, keys *[]string) {
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			*keys = append(*keys, c.Value)
		}
		collect(c, keys)
	}
}
