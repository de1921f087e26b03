package mssql

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestRestoreLatest(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	l.insert(t, "shop", "two")
	l.backup(t, backup.Log)
	l.insert(t, "shop", "three")
	l.backup(t, backup.Differential)
	l.insert(t, "shop", "four")
	l.backup(t, backup.Log)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}))
	l.holds(t, "shop", "one", "two", "three", "four")
}
