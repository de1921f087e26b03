package exchange

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
)

// TestStreaming is the life of a job: a full, two log backups, a restore to the latest moment and one to a time between.
func TestStreaming(t *testing.T) {
	l := newLab(t)
	l.work("one ")
	full := l.take(backup.Full)
	require.Len(t, full.Items, 2)
	for i := range l.sim.Groups {
		logs, err := l.sim.Groups[i].Logs()
		require.NoError(t, err)
		assert.Greater(t, logs[0], uint32(1), "logs before the backup are truncated")
	}
	l.work("two ")
	first := l.take(backup.Log)
	two := len(l.ledger) - 1
	between := l.pass(time.Minute)
	l.work("three ")
	second := l.take(backup.Log)
	for _, m := range []*backup.Manifest{first, second} {
		for _, it := range m.Items {
			assert.Equal(t, backup.Log, it.Kind, it.Reason)
		}
	}
	three := len(l.ledger) - 1
	assert.Empty(t, l.told)

	for _, c := range []struct {
		name   string
		target backup.Target
		entry  int
	}{
		{"latest", backup.Target{}, three},
		{"to a time", backup.Target{Time: between}, two},
	} {
		p := l.job()
		plan, err := p.Plan(t.Context(), c.target)
		require.NoError(t, err, c.name)
		require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true, Options: map[string]string{"dismount": "true"}}), c.name)
		l.compare(c.entry)
	}
	for i := range l.sim.Groups {
		for _, d := range l.sim.Groups[i].Databases {
			assert.False(t, d.Mounted, "mounted only when told")
		}
	}
}

// TestStreamingCircular takes a full of a group with circular logging and refuses its logs, of which the library alone knows here.
func TestStreamingCircular(t *testing.T) {
	l := newLab(t, func(groups []esebcli2.Group) { groups[1].Circular = true })
	l.write("last", "value")
	l.take(backup.Full)
	l.write("last", "another")
	m, err := l.job().Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, backup.ErrPartial)
	require.Len(t, m.Items, 2)
	for _, it := range m.Items {
		assert.Equal(t, it.Name == "Zweite", it.Failed(), "%s: %s", it.Name, it.Error)
		if it.Failed() {
			assert.Contains(t, it.Error, "circular")
		}
	}
}

// TestStreamingKilled kills the agent in the middle of a full and takes the next one.
func TestStreamingKilled(t *testing.T) {
	if dir := os.Getenv("E2E_EXCHANGE_STATE"); dir != "" {
		l := newLab(t)
		t.Setenv("QSIM_EXCHANGE", os.Getenv("E2E_EXCHANGE"))
		l.opt.StateDir = dir
		l.opt.Tools.Management = exchange.NewConfigured(exchange.Layout{Server: machine(), Major: 8})
		_, err := l.job().Backup(t.Context(), backup.Full)
		t.Fatal("the process lives: ", err)
	}
	l := newLab(t)
	l.work("one ")
	for _, fault := range []string{"HrESEBackupReadFile@4=kill", "HrESEBackupGetLogAndPatchFiles+@1=kill", "HrESEBackupTruncateLogs@1=kill"} {
		before, err := l.sim.Groups[0].Logs()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestStreamingKilled$")
		cmd.Env = append(os.Environ(), "E2E_EXCHANGE_STATE="+l.opt.StateDir, "E2E_EXCHANGE="+l.sim.Description(), "QSIM_FAULT="+fault)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		require.Equal(t, 137, exit.ExitCode(), "%s", out)
		after, err := l.sim.Groups[0].Logs()
		require.NoError(t, err)
		assert.Subset(t, after, before, "nothing is truncated by a run that died")
	}
	l.write("last", "after the kills")
	m := l.take(backup.Full)
	require.Len(t, m.Items, 2)
	p := l.job()
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true, Options: map[string]string{"dismount": "true", "mount": "true"}}))
	l.compare(len(l.ledger) - 1)
	require.NoError(t, l.sim.Refresh())
	assert.True(t, l.sim.Groups[0].Databases[0].Mounted)

	l.work("after the restore ")
	m = l.take(backup.Log)
	require.Len(t, m.Items, 2)
	for _, it := range m.Items {
		assert.Equal(t, backup.Full, it.Kind, "logs cannot continue what was before the restore")
		assert.NotEmpty(t, it.Reason)
	}
}
