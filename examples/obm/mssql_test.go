package main

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/mssql"
)

// keysOf are the keys of a section, with those of the sections in it.
func keysOf(section reflect.Type, prefix string) (keys []string) {
	for _, f := range reflect.VisibleFields(section) {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" {
			continue
		}
		keys = append(keys, prefix+name)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[config.Secret]() {
			keys = append(keys, keysOf(inner, prefix+name+".")...)
		}
	}
	return keys
}

// TestKeysOfSQLServer compares the section with the table of the guide, and with the options of the agent.
func TestKeysOfSQLServer(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../doc/mssql.md")
	require.NoError(t, err)
	var told []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(mssql\\.[a-z_.]+)` \\|").FindAllStringSubmatch(string(guide), -1) {
		told = append(told, m[1])
	}
	keys := keysOf(reflect.TypeFor[mssqlSettings](), "mssql.")
	assert.Equal(t, keys, told, "doc/mssql.md lists the keys, in their order")

	have := map[string]bool{}
	for _, key := range keys {
		have[strings.NewReplacer("mssql.", "", "_", "").Replace(key)] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[mssql.Options]()) {
		assert.True(t, have[strings.TrimPrefix(strings.ToLower(f.Name), "no")], "no key for mssql.Options.%s", f.Name)
	}
}
