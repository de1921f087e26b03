package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
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
		", tools: {powershell_uri: ex1}":       "jobs.mail.exchange.tools.powershell_uri",
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
	code, out, say := runExchange(t, ", way: vss, zone: Europe/Berlin, tools: {diskshadow: d.exe, powershell: p.exe, eseutil: e.exe, system_state: wbadmin, system_state_target: 'E:'}, "+
		"layout: {version: 15, groups: [{name: DB1, log_dir: logs, log_base: E00, databases: [{name: DB1, file: DB1.edb}]}]}", "config")
	assert.Equal(t, 0, code, out+say)
}

func TestExchangeIsRestoredOnItsOwnMachine(t *testing.T) {
	t.Parallel()
	_, err := openExchange(t.Context(), exchangeSettings{StateDir: config.Path(t.TempDir())}, "other")
	require.ErrorIs(t, err, backup.ErrOption)
	assert.Contains(t, backup.Hint(err), "recovery database")
}

// exchangeLab is obm in this process, at a simulated server: the section of the configuration is that of the guide, its tools are the server's.
type exchangeLab struct {
	*testing.T
	dir string
	sim *exchangesim.Server
}

func newExchangeLab(t *testing.T, version int, groups ...exchangesim.Group) *exchangeLab {
	t.Helper()
	l := &exchangeLab{T: t, dir: t.TempDir()}
	var err error
	l.sim, err = exchangesim.New(filepath.Join(l.dir, "server"), exchangesim.Config{Version: version, Groups: groups, Now: time.Now})
	require.NoError(t, err)
	text := strings.NewReplacer("DIR", filepath.ToSlash(l.dir), "SETTINGS", "").Replace(exchangeConfig)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "obm.yaml"), []byte(text), 0o600))
	return l
}

// obm runs a command, which must end with a code.
func (l *exchangeLab) obm(code int, args ...string) (stdout, stderr string) {
	l.Helper()
	apps := applications()
	apps["exchange"] = config.App(func(_ context.Context, s exchangeSettings, _ string) (backup.Source, error) {
		o := s.options()
		o.Tools, o.Zone = l.sim.Tools(), time.UTC
		return exchange.New(o)
	})
	var out, say bytes.Buffer
	p := &cli.Program{Applications: apps, Stdout: &out, Stderr: &say}
	got := p.Run(l.Context(), append([]string{"--config", filepath.Join(l.dir, "obm.yaml")}, args...))
	require.Equal(l, code, got, "%v\n%s\n%s", args, &out, &say)
	return out.String(), say.String()
}

// write changes a database and closes its log.
func (l *exchangeLab) write(group, db, key, value string) {
	l.Helper()
	require.NoError(l, l.sim.Write(group+"/"+db, key, value))
	time.Sleep(20 * time.Millisecond) // times in logs have milliseconds
	require.NoError(l, l.sim.Rotate(group))
	time.Sleep(20 * time.Millisecond)
}

// TestExchangeDay is what an operator does with a server: check, back up, look, prove, restore to a time beside and in place.
func TestExchangeDay(t *testing.T) {
	t.Parallel()
	db := exchangesim.Database{Name: "DB01"}
	l := newExchangeLab(t, 2019, exchangesim.Group{Name: "DB01", Databases: []exchangesim.Database{db}})
	l.write("DB01", "DB01", "subject", "first")
	out, _ := l.obm(0, "check", "mail")
	assert.Contains(t, out, "1 databases in 1 groups to back up by snapshots")
	out, _ = l.obm(0, "backup", "mail", "--kind", "log")
	assert.Contains(t, out, "DB01: full", "a log has nothing to continue")
	l.write("DB01", "DB01", "subject", "second")
	second, err := l.sim.Read("DB01/DB01")
	require.NoError(t, err)
	at := time.Now()
	time.Sleep(20 * time.Millisecond)
	l.write("DB01", "DB01", "subject", "third")
	out, _ = l.obm(0, "backup", "mail", "--kind", "log")
	assert.Contains(t, out, "DB01: log")
	out, _ = l.obm(0, "windows", "mail", "--json")
	assert.Contains(t, out, `"item": "DB01"`)
	l.obm(0, "verify", "mail", "--level", "format")
	l.obm(0, "rehearse", "mail", "--to", filepath.Join(l.dir, "scratch"))
	out, _ = l.obm(0, "plan", "mail", "--script")
	assert.Contains(t, out, "eseutil")

	to := filepath.Join(l.dir, "restored")
	l.obm(0, "restore", "mail", "--item", "DB01", "--at", at.UTC().Format(time.RFC3339Nano), "--option", "to="+to, "--yes")
	values, err := exchangesim.ReadFile(filepath.Join(to, "DB01", "DB01.edb"))
	require.NoError(t, err)
	assert.Equal(t, second, values)

	third, err := l.sim.Read("DB01/DB01")
	require.NoError(t, err)
	_, say := l.obm(4, "restore", "mail", "--item", "DB01", "--option", "dismount=true", "--yes")
	assert.Contains(t, say, "overwriting")
	l.obm(0, "restore", "mail", "--item", "DB01", "--overwrite", "--option", "dismount=true", "--option", "mount=true", "--yes")
	values, err = l.sim.Read("DB01/DB01")
	require.NoError(t, err)
	assert.Equal(t, third, values)
	out, _ = l.obm(0, "backup", "mail", "--kind", "log")
	assert.Contains(t, out, "DB01: full", "the logs since are another history")

	// Circular logging: a log run is refused, by its name.
	require.NoError(t, l.sim.SetCircular("DB01", true))
	_, say = l.obm(4, "backup", "mail", "--kind", "log")
	assert.Contains(t, say, "circular logging")
	l.obm(0, "backup", "mail", "--kind", "full")
	assert.Zero(t, l.sim.Open())
}

// TestExchangeStreamed is the same in short for a server of storage groups.
func TestExchangeStreamed(t *testing.T) {
	t.Parallel()
	l := newExchangeLab(t, 2003, exchangesim.Group{Name: "First Storage Group", Databases: []exchangesim.Database{{Name: "Mailbox Store"}, {Name: "Public Store"}}})
	l.write("First Storage Group", "Mailbox Store", "subject", "first")
	out, _ := l.obm(0, "check", "mail")
	assert.Contains(t, out, "2 databases in 1 groups to back up by the streaming API")
	out, _ = l.obm(0, "backup", "mail", "--kind", "full")
	assert.Contains(t, out, "system state: full")
	l.write("First Storage Group", "Mailbox Store", "subject", "second")
	l.obm(0, "backup", "mail", "--kind", "log")
	l.obm(0, "verify", "mail", "--level", "format")
	want, err := l.sim.Read("First Storage Group/Mailbox Store")
	require.NoError(t, err)
	l.obm(0, "restore", "mail", "--item", "First Storage Group", "--overwrite", "--option", "dismount=true", "--option", "mount=true", "--yes")
	values, err := l.sim.Read("First Storage Group/Mailbox Store")
	require.NoError(t, err)
	assert.Equal(t, want, values)
	l.obm(0, "restore", "mail", "--item", "system state", "--option", "to="+filepath.Join(l.dir, "state restored"), "--yes")
	assert.DirExists(t, filepath.Join(l.dir, "state restored", "system state"))
	assert.Zero(t, l.sim.Open())
}
