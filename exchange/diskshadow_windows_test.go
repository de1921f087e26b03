package exchange

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/winetest"
)

func TestSystemVolumes(t *testing.T) {
	dir := winetest.TempDir(t)
	file := filepath.Join(dir, "a.edb")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	v, err := systemVolumes{}.of(file)
	require.NoError(t, err)
	assert.True(t, strings.EqualFold(filepath.VolumeName(dir)+`\`, v.root), v.root)
	assert.True(t, strings.HasPrefix(v.name, `\\?\Volume{`) && strings.HasSuffix(v.name, `}\`), v.name)
	assert.Equal(t, v.root[:2], v.argument())
	below, ok := v.below(file)
	assert.True(t, ok)
	assert.Equal(t, file[3:], below)

	gone, err := systemVolumes{}.of(filepath.Join(dir, "not", "there.log"))
	require.NoError(t, err)
	assert.Equal(t, v, gone)
	_, err = systemVolumes{}.of(`\\server\share\a.edb`)
	require.Error(t, err)
}
