package oracle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// What cannot be backed up is refused by name by a check and by every run, and nothing of the server is touched for it.
func TestServersThatAreRefused(t *testing.T) {
	t.Parallel()
	restart := func(t *testing.T, l *lab, statements ...string) {
		require.NoError(t, l.sim.Shutdown(false))
		require.NoError(t, l.sim.Startup(oraclesim.Mounted))
		for _, s := range statements {
			l.exec(s)
		}
	}
	for name, c := range map[string]struct {
		config    func(c *oraclesim.Config)
		change    func(t *testing.T, l *lab)
		say, hint string
	}{
		"standby":          {config: func(c *oraclesim.Config) { c.Role = "PHYSICAL STANDBY" }, say: "physical standby", hint: "primary"},
		"no archived logs": {config: func(c *oraclesim.Config) { c.NoArchiveLog = true }, say: "NOARCHIVELOG", hint: "ALTER DATABASE ARCHIVELOG"},
		"mounted":          {change: func(t *testing.T, l *lab) { restart(t, l) }, say: "mounted and not open", hint: "ALTER DATABASE OPEN"},
		"read only":        {change: func(t *testing.T, l *lab) { restart(t, l, "ALTER DATABASE OPEN READ ONLY") }, say: "open READ ONLY", hint: "open it for writing"},
		"in a PDB":         {config: func(c *oraclesim.Config) { c.PDBs = []string{"SHOP"} }, change: func(_ *testing.T, l *lab) { l.login.PDB = "SHOP" }, say: "pluggable database, container 3", hint: "CDB$ROOT"},
		"part of a CDB":    {config: func(c *oraclesim.Config) { c.PDBs = []string{"SHOP"} }, change: func(_ *testing.T, l *lab) { l.opt.Include = []string{"US*"} }, say: "backed up whole", hint: "include"},
		"no such place":    {change: func(_ *testing.T, l *lab) { l.opt.Include = []string{"NONE"} }, say: "no tablespace NONE", hint: "USERS"},
		"file is gone": {change: func(t *testing.T, l *lab) {
			files := l.sim.Files()
			require.NoError(t, os.Remove(files[len(files)-1].Path))
		}, say: "cannot read data file", hint: "V$RECOVER_FILE"},
		"containers hidden": {config: func(c *oraclesim.Config) {
			c.PDBs, c.Users = []string{"SHOP"}, map[string]oraclesim.User{"C##B": {Password: "x"}}
		}, change: func(_ *testing.T, l *lab) { l.login = oraclesim.Login{User: "C##B", Password: "x"} }, say: "does not see all containers", hint: "CONTAINER_DATA=ALL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, c.config)
			if c.change != nil {
				c.change(t, l)
			}
			_, fails := l.checked()
			assert.Contains(t, fails, c.say)
			assert.Contains(t, fails, c.hint)
			for _, kind := range []backup.Kind{backup.Full, backup.Log} {
				err := l.fails(kind)
				require.ErrorIs(t, err, backup.ErrRefused)
				assert.ErrorContains(t, err, c.say)
				assert.Contains(t, backup.Hint(err), c.hint)
			}
			assert.Empty(t, l.ran("ALTER TABLESPACE", "ALTER DATABASE BEGIN", "ALTER SYSTEM"), "nothing was touched")
			assert.Empty(t, readDir(t, l.opt.StateDir))
		})
	}
}

// The logs of another instance lie on its own disk, or in folders that this process may not read.
func TestLogsOfAnotherThreadThatCannotBeRead(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) { c.Threads = 2 })
	l.take(backup.Full)
	says, fails := l.checked()
	assert.Contains(t, says, "archived logs can be read: the last one of 2 threads was looked for")
	assert.Empty(t, fails)
	var moved int
	for _, path := range l.archived() {
		if strings.HasPrefix(filepath.Base(path), "2_") {
			require.NoError(t, os.Remove(path))
			moved++
		}
	}
	require.Positive(t, moved)
	says, fails = l.checked()
	assert.Contains(t, says, "were removed: thread 2 sequence")
	assert.Empty(t, fails, "a purge may have removed it")

	s := &Source{instance: "db1"}
	err := s.fail(t.Context(), "read the archived log of", "thread 2 sequence 7", s.forbidden("/arch2/2_7.arc", &os.PathError{Op: "open", Path: "/arch2/2_7.arc", Err: os.ErrPermission}))
	assert.ErrorContains(t, err, "/arch2/2_7.arc")
	assert.Contains(t, backup.Hint(err), "remote mode")
}

func TestUndoThatIsOffline(t *testing.T) {
	t.Parallel()
	inv := ordinary()
	inv.DataFiles[1].Status = "OFFLINE"
	ch, err := decide(backup.Full, inv, backup.Anchor{}, filter{})
	require.NoError(t, err, "it is all there is to save")
	assert.Contains(t, strings.Join(ch.warns, "\n"), "no database opens without tablespace UNDOTBS1")
}
