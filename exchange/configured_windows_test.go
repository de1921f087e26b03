package exchange

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"
)

// A database that is mounted is open in the store, which lets nobody else write it.
func TestConfiguredLayoutTellsWhatIsMounted(t *testing.T) {
	t.Parallel()
	file := filepath.Join(testDir(t), "mailbox.edb")
	put(file, "database")
	m := NewConfigured(Layout{Groups: []Group{{Name: "First", Databases: []Database{{Name: "Mailbox", File: file}}}}})
	mounted := func() bool {
		l, err := m.Layout(t.Context())
		require.NoError(t, err)
		return l.Groups[0].Databases[0].Mounted
	}
	assert.False(t, mounted())
	name, err := windows.UTF16PtrFromString(file)
	require.NoError(t, err)
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE, windows.FILE_SHARE_READ, nil, windows.OPEN_EXISTING, 0, 0)
	require.NoError(t, err)
	assert.True(t, mounted())
	require.NoError(t, windows.CloseHandle(h))
	assert.False(t, mounted())
}
