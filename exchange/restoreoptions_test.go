package exchange

import (
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestRestoreOptions(t *testing.T) {
	t.Parallel()
	o, err := parseRestoreOptions(map[string]string{"dismount": "true", "mount": "true", "recover": "mount", "forward": "false", "files": `D:\files`})
	require.NoError(t, err)
	assert.Equal(t, restoreOptions{recover: byMount, mount: true, dismount: true, files: `D:\files`}, o)
	o, err = parseRestoreOptions(nil)
	require.NoError(t, err)
	assert.Equal(t, byEngine, o.recover)
	for _, bad := range []map[string]string{
		{"to": "relative"}, {"to": ""}, {"to": "/a\nb"}, {"mount": "yes"}, {"recover": "magic"}, {"unknown": "1"},
		{"to": "/a", "mount": "true"}, {"to": "/a", "dismount": "true"}, {"to": "/a", "forward": "true"}, {"to": "/a", "recover": "mount"}, {"mount": "true", "recover": "none"}, {"recover": "mount"},
	} {
		_, err := parseRestoreOptions(bad)
		require.ErrorIs(t, err, backup.ErrOption, "%v", bad)
		for _, key := range slices.Sorted(maps.Keys(bad)) {
			assert.ErrorContains(t, err, key, "%v", bad)
		}
	}
	_, err = parseRestoreOptions(map[string]string{"to": "relative", "mount": "yes"})
	assert.ErrorContains(t, err, "relative")
	assert.ErrorContains(t, err, "yes", "all that is wrong is told at once")
}

func TestPlacesInTheLog(t *testing.T) {
	t.Parallel()
	s := &Source{}
	for where, want := range map[string]backup.Position{
		"generation:0x49": "0000000073", "generation:73": "0000000073", "log:E0000000049.log": "0000000073", "log:E0000049.log": "0000000073",
	} {
		got, err := s.Locate(t.Context(), backup.History{}, "DB1", where)
		require.NoError(t, err, where)
		assert.Equal(t, backup.Target{Position: want}, got, where)
	}
	for _, where := range []string{"generation:0", "generation:x", "generation:0x80000000", "log:E00.log", "log:E00tmp.log", "lsn:1", ""} {
		_, err := s.Locate(t.Context(), backup.History{}, "DB1", where)
		require.ErrorIs(t, err, backup.ErrOption, where)
		assert.NotEmpty(t, backup.Hint(err), where)
	}
}

func TestFolderNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"DB1": "DB1", `a/b\c:d*`: "a_b_c_d_", "First Storage Group": "First Storage Group", "trailing. ": "trailing", "": "_", "..": "_"} {
		assert.Equal(t, want, folderName(name), name)
	}
}

func TestFilesOfAnotherServer(t *testing.T) {
	t.Parallel()
	here, err := os.Hostname()
	require.NoError(t, err)
	for _, c := range []struct{ server, path, want string }{
		{"", `D:\db\priv1.edb`, `D:\db\priv1.edb`},
		{here, `D:\db\priv1.edb`, `D:\db\priv1.edb`},
		{"OTHER", `D:\db\priv1.edb`, `\\OTHER\D$\db\priv1.edb`},
		{"OTHER", `D:/db`, `\\OTHER\D$\db`},
		{"OTHER", `\\share\db`, `\\share\db`},
		{"OTHER", "/db", "/db"},
	} {
		s := &Source{opt: Options{Server: c.server}}
		assert.Equal(t, c.want, s.at(c.path), c.server)
		assert.Equal(t, c.path, s.reach(&place{groupCourse: &groupCourse{way: WayVSS}}, c.path))
	}
}
