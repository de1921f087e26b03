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
	"github.com/quiesce-go/quiesce/domino"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/mssql"
	"github.com/quiesce-go/quiesce/oracle"
)

// TestKeysOfGuides compares the section of an application with the table of its guide, and with the options of its agent.
func TestKeysOfGuides(t *testing.T) {
	t.Parallel()
	for application, is := range map[string]struct{ section, options reflect.Type }{
		"domino":   {reflect.TypeFor[dominoSettings](), reflect.TypeFor[domino.Options]()},
		"exchange": {reflect.TypeFor[exchangeSettings](), reflect.TypeFor[exchange.Options]()},
		"mssql":    {reflect.TypeFor[mssqlSettings](), reflect.TypeFor[mssql.Options]()},
		"oracle":   {reflect.TypeFor[oracleSettings](), reflect.TypeFor[oracle.Options]()},
	} {
		t.Run(application, func(t *testing.T) {
			t.Parallel()
			guide, err := os.ReadFile("../../doc/" + application + ".md")
			require.NoError(t, err)
			var told []string
			for _, m := range regexp.MustCompile("(?m)^\\| `("+application+"\\.[a-z_.]+)` \\|").FindAllStringSubmatch(string(guide), -1) {
				told = append(told, m[1])
			}
			keys := keysOf(is.section, application+".")
			assert.Equal(t, keys, told, "the guide lists the keys, in their order")

			have := map[string]bool{}
			for _, key := range keys {
				have[strings.NewReplacer(application+".", "", "_", "", ".", "").Replace(key)] = true
			}
			for _, f := range reflect.VisibleFields(is.options) {
				if f.Type.Kind() == reflect.Func || f.Type == reflect.TypeFor[notes.Command]() {
					continue // a clock is no setting; the child of Domino has several, each with its own key
				}
				key := strings.ToLower(f.Name)
				assert.True(t, have[key] || have[strings.TrimPrefix(key, "no")], "no key for Options.%s", f.Name)
			}
		})
	}
}

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
