package mssql

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
)

func TestFullTakesEveryDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.CreateDatabase("it's]odd/..", mssqlsim.Simple))
	m := s.take(s.pipeline(s.source(nil)), backup.Full)
	var names []string
	for _, it := range m.Items {
		names = append(names, it.Name)
		assert.Equal(t, backup.Full, it.Kind, it.Name)
		assert.Equal(t, 1, it.Artifacts, it.Name)
		assert.Positive(t, it.Bytes, it.Name)
	}
	assert.Equal(t, []string{"it's]odd/..", "master", "model", "msdb", "sales"}, names)
	assert.Empty(t, m.Warnings)
	assert.Equal(t, "SIM", m.Meta["server"])
	set, err := setOf(s.item(m, "sales"))
	require.NoError(t, err)
	assert.True(t, set.Checksums)
	assert.Equal(t, []string{"sales/full.bak"}, set.Devices)
	assert.Equal(t, 60, set.ZoneMinutes)
	assert.WithinRange(t, set.Finished, set.Started, s.item(m, "sales").Window.To)
}

func TestLogsContinueTheChain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	p := s.pipeline(s.source(&Options{Include: []string{"sales"}}))
	full := s.take(p, backup.Full)
	require.NoError(t, s.Insert("sales", "one"))
	log1 := s.take(p, backup.Log)
	require.NoError(t, s.Insert("sales", "two"))
	diff := s.take(p, backup.Differential)
	require.NoError(t, s.Insert("sales", "three"))
	log2 := s.take(p, backup.Log)
	one, two := s.item(log1, "sales"), s.item(log2, "sales")
	assert.Equal(t, []backup.Kind{backup.Log, backup.Differential, backup.Log}, []backup.Kind{one.Kind, s.item(diff, "sales").Kind, two.Kind})
	assert.Equal(t, full.ID, one.Parent)
	assert.Equal(t, full.ID, s.item(diff, "sales").Parent)
	assert.Equal(t, one.End, two.Begin, "logs follow each other whatever data backups come between")
	assert.True(t, two.PointInTime)
	assert.Equal(t, s.item(diff, "sales").Window.To, two.Window.From)
	h, err := p.History(t.Context())
	require.NoError(t, err)
	c := h.Coverage("sales")
	assert.Empty(t, c.Gaps)
	assert.True(t, c.Contains(one.Window.To))
}
