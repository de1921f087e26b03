package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/quiesce-go/quiesce/agent/config"
)

const withSecrets = `sink: mem://
seal: {plain: true}
notify: [{url: "smtp://user:hunter2-in-the-clear@mail"}]
defaults: {rehearse: {to: hunter2-in-the-clear}}
jobs:
  shop:
    application: counter
    counter: {dsn: hunter2-in-the-clear}
    hooks: {before: [{run: [x], env: {TOKEN: hunter2-in-the-clear}}]}
  other:
    application: counter
    counter: {dsn: {env: SHOP_DSN}}
`

// TestSecretsAreNeverShown prints what holds secrets in every way a program may come upon.
func TestSecretsAreNeverShown(t *testing.T) {
	t.Parallel()
	c := parse(t, withSecrets)
	s := c.Notify[0].URL
	require.Contains(t, s.Reveal(), password, "the test looks for what is not there")
	require.Equal(t, password, c.Jobs[0].Rehearse.To.Reveal())
	type unexported struct {
		one config.Secret
		all *config.Config
	}
	built, err := c.Build(t.Context(), "shop")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, built.Close()) })
	for _, v := range []any{s, &s, c, *c, c.Jobs, c.Jobs[0], &c.Jobs[0], c.Notify, c.Jobs[0].Hooks, unexported{s, c}, &unexported{s, c}, []any{s, c},
		map[string]any{"a": s, "b": *c}, errors.New(fmt.Sprint(s))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			text := fmt.Sprintf(verb, v)
			assert.NotContains(t, text, "hunter2", "%T as %s", v, verb)
			assert.NotContains(t, strings.ToLower(text), fmt.Sprintf("%x", "hunter2"), "%T as %s", v, verb)
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("text", "v", v)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("json", "v", v)
		assert.NotContains(t, logged.String(), "hunter2", "%T logged", v)
		if text, err := json.Marshal(v); err == nil {
			assert.NotContains(t, string(text), "hunter2", "%T as JSON", v)
		}
		if _, isError := v.(error); !isError {
			text, err := yaml.Marshal(v)
			require.NoError(t, err)
			assert.NotContains(t, string(text), "hunter2", "%T as YAML", v)
		}
	}
	assert.Equal(t, "[redacted]", fmt.Sprint(s))
	assert.Equal(t, "", fmt.Sprint(config.Secret{}))
	assert.True(t, config.Secret{}.IsZero())
	assert.Empty(t, config.Secret{}.Reveal())
}

func TestPrintedSecretsAreRefused(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	require.NoError(t, parse(t, withSecrets).Print(&out))
	assert.NotContains(t, out.String(), "hunter2")
	assert.Contains(t, out.String(), "env: SHOP_DSN", "what names a variable is no secret, and parses again")
	p := problems(t, out.String())
	assert.Len(t, p, 5, "the hook's token, one dsn, one URL and two places to rehearse: %v", p)
	for _, one := range p {
		assert.Contains(t, one.Message, "was removed")
	}
}

func TestSecretSources(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "dsn"), []byte("from a file \n\r\n"), 0o600))
	for form, want := range map[string]string{"text": "text", "{env: V}": "from the environment\n", "{file: dsn}": "from a file \n"} {
		text := fmt.Sprintf("sink: mem://\nseal: {plain: true}\njobs: {j: {application: counter, counter: {dsn: %s}}}", form)
		c, err := config.Parse(filepath.Join(dir, "f.yaml"), []byte(text), config.Options{Registry: registry(),
			LookupEnv: func(string) (string, bool) { return "from the environment\n", true }})
		require.NoError(t, err)
		b, err := c.Build(t.Context())
		require.NoError(t, err)
		source, err := b.Open(t.Context(), "j", "elsewhere")
		require.NoError(t, err)
		assert.Equal(t, want, source.(*counter).dsn)
		assert.Equal(t, "elsewhere", source.(*counter).to)
		require.NoError(t, b.Close())
	}
}

// TestReadableSecrets: a file with secrets in it is for its owner.
func TestReadableSecrets(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("permissions are not Unix modes here")
	}
	for _, tt := range []struct {
		name, dsn string
		mode      os.FileMode
		warned    bool
	}{
		{"secret for all", "text", 0o644, true},
		{"secret for the owner", "text", 0o600, false},
		{"secret elsewhere", "{env: V}", 0o644, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "f.yaml")
			text := "sink: mem://\nseal: {plain: true}\njobs: {j: {application: counter, counter: {dsn: " + tt.dsn + "}}}"
			require.NoError(t, os.WriteFile(path, []byte(text), tt.mode))
			require.NoError(t, os.Chmod(path, tt.mode))
			c, err := config.Load(path, config.Options{Registry: registry(), LookupEnv: func(string) (string, bool) { return "x", true }})
			require.NoError(t, err)
			if !tt.warned {
				assert.Empty(t, c.Warnings)
				return
			}
			require.Len(t, c.Warnings, 1)
			assert.Contains(t, c.Warnings[0].String(), "everybody on this machine can read it (mode 0644)")
		})
	}
}
