package exchange

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestConfiguredLayout(t *testing.T) {
	t.Parallel()
	given := Layout{Server: "MAIL1", Major: 8, Groups: []Group{{Name: "First", LogDir: "logs", LogBase: "E00", Databases: []Database{{Name: "Mailbox", File: "none.edb", Mounted: true}, {Name: "Public", File: "none.edb"}}}}}
	m := NewConfigured(given)
	l, err := m.Layout(t.Context())
	require.NoError(t, err)
	assert.True(t, l.Groups[0].Databases[0].Mounted)
	assert.False(t, l.Groups[0].Databases[0].AllowRestore)
	assert.False(t, l.Groups[0].Databases[1].Mounted)
	assert.True(t, l.Groups[0].Databases[1].AllowRestore)
	assert.False(t, given.Groups[0].Databases[1].AllowRestore, "what was given stays")
	for _, do := range []func(context.Context, Database) error{m.Mount, m.Dismount, m.AllowRestore} {
		err := do(t.Context(), l.Groups[0].Databases[0])
		require.ErrorIs(t, err, backup.ErrRefused)
		assert.Contains(t, backup.Hint(err), "by hand")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = m.Layout(ctx)
	require.ErrorIs(t, err, context.Canceled)
}
