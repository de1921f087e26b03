package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
)

const exchangeConfig = `
sink: file://DIR/target
stage: {dir: stage}
seal: {plain: true}
agent: {listen: none}
transfer: {retry: 0}
jobs:
  mail:
    application: exchange
    exchange: {state_dir: state, instance: MAIL1SETTINGS}
`

// runExchange runs a command of obm on a server with these further settings.
func runExchange(t *testing.T, settings string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer("DIR", filepath.ToSlash(dir), "SETTINGS", settings).Replace(exchangeConfig)
	file := filepath.Join(dir, "obm.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	var out, say bytes.Buffer
	p := &cli.Program{Applications: applications(), Stdout: &out, Stderr: &say}
	code = p.Run(t.Context(), append([]string{"--config", file}, args...))
	return code, out.String(), say.String()
}

// TestExchangeCheckSaysWhatIsMissing: where Exchange cannot be, check says so in words, and a backup fails with the same.
func TestExchangeCheckSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("this machine may have all of it")
	}
	code, out, say := runExchange(t, "", "check", "mail")
	assert.Equal(t, 1, code)
	assert.Contains(t, out+say, "needs Windows")
	code, out, say = runExchange(t, ", way: vss", "backup", "mail")
	assert.Equal(t, 1, code)
	assert.Contains(t, out+say, "needs Windows")
}

// TestExchangeSettingsAreReported: what is wrong with the section is told with its key.
func TestExchangeSettingsAreReported(t *testing.T) {
	t.Parallel()
	for settings, want := range map[string]string{
		", way: tape":                          `way "tape"`,
		", prefer: two":                        `prefer "two"`,
		", tools: {system_state: tar}":         "jobs.mail.exchange.tools.system_state",
		", tools: {system_state_target: 'E:'}": "jobs.mail.exchange.tools.system_state_target",
		", tools: {sysvol: true}":              "jobs.mail.exchange.tools.sysvol",
		", tools: {system_state_program: x}":   "jobs.mail.exchange.tools.system_state_program",
		", layout: {version: 15, groups: []}":  "jobs.mail.exchange.layout",
		", layout: {version: 15, groups: [{name: DB1, log_dir: logs, log_base: E00, databases: [{name: a}]}]}": "name and file",
		", layout: {version: 15, groups: [{name: DB1, log_dir: logs, log_base: E, databases: []}]}":            "three characters",
	} {
		code, out, say := runExchange(t, settings, "config")
		assert.Equal(t, 2, code, "%s\n%s%s", settings, out, say)
		assert.Contains(t, out+say, want, settings)
	}
	code, out, say := runExchange(t, ", way: vss, zone: Europe/Berlin, tools: {diskshadow: d.exe, eseutil: e.exe, system_state: wbadmin, system_state_target: 'E:'}, "+
		"layout: {version: 15, groups: [{name: DB1, log_dir: logs, log_base: E00, databases: [{name: DB1, file: DB1.edb}]}]}", "config")
	assert.Equal(t, 0, code, out+say)
}

func TestExchangeIsRestoredOnItsOwnMachine(t *testing.T) {
	t.Parallel()
	_, err := openExchange(t.Context(), exchangeSettings{StateDir: config.Path(t.TempDir())}, "other")
	require.ErrorIs(t, err, backup.ErrOption)
	assert.Contains(t, backup.Hint(err), "recovery database")
}
