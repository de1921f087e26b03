package oracle

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// checked runs a check, and returns what it says, and what failed with its hints.
func (l *lab) checked() (says, fails string) {
	l.t.Helper()
	for _, f := range l.source().Check(l.t.Context(), backup.StageDir{Path: l.t.TempDir()}) {
		says += f.What + "\n"
		if f.Err != nil {
			fails += f.What + ": " + f.Err.Error() + "\n  " + f.Hint + "\n"
		}
	}
	return says, fails
}

// Each right that the guide names is one without which something fails by a name, or is worse in a way that is told.
func TestEachRightThatIsMissing(t *testing.T) {
	t.Parallel()
	for right, c := range map[string]struct {
		says, fails  string // of the check
		warns, error string // of the backup; each checks first
	}{
		"":                      {says: "login may put data files into backup mode"},
		"ALTER DATABASE":        {fails: "it lacks ALTER DATABASE", error: "it lacks ALTER DATABASE"},
		"ALTER SYSTEM":          {fails: "it lacks ALTER SYSTEM", error: "it lacks ALTER SYSTEM"},
		"ALTER TABLESPACE":      {fails: "it lacks ALTER TABLESPACE", error: "it lacks ALTER TABLESPACE"},
		"SELECT ANY DICTIONARY": {fails: "SELECT ANY DICTIONARY", error: "ORA-00942"},
		"CREATE ANY DIRECTORY":  {says: "lacks CREATE ANY DIRECTORY", fails: "ORA-01031", error: "ORA-01031"},
		"DROP ANY DIRECTORY":    {says: "lacks DROP ANY DIRECTORY", warns: "lacks DROP ANY DIRECTORY"},
		"EXECUTE ON UTL_FILE":   {fails: "GRANT EXECUTE ON SYS.UTL_FILE", error: "UTL_FILE"},
	} {
		t.Run(right, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, &Options{Mode: ModeRemote}, func(c *oraclesim.Config) {
				c.Users = map[string]oraclesim.User{"BACKUP": {Password: "secret", Without: []string{right}}}
			})
			l.login = oraclesim.Login{User: "BACKUP", Password: "secret"}
			says, fails := l.checked()
			assert.Contains(t, says, c.says)
			if c.fails == "" {
				assert.Empty(t, fails)
			}
			assert.Contains(t, fails, c.fails)
			for range 2 { // what the first leaves must not stop the second
				if c.error != "" {
					err := l.fails(backup.Full)
					assert.ErrorContains(t, err, c.error)
					assert.Contains(t, strings.ToLower(backup.Hint(err)), "grant ")
					continue
				}
				m := l.take(backup.Full)
				warns := strings.Join(m.Warnings, "\n")
				assert.Contains(t, warns, "CREATE PFILE needs SYSBACKUP", "no account without an administrative privilege may")
				assert.Contains(t, warns, c.warns)
				assert.Equal(t, c.warns == "", len(m.Warnings) == 1, warns)
			}
			assert.Empty(t, l.sim.InBackupMode())
			if right != "DROP ANY DIRECTORY" {
				l.login = oraclesim.Login{}
				l.noDirectories()
			}
		})
	}
}

func TestRightsThatAnotherWayOfBackingUpDoesNotNeed(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{WholeDatabase: true}, func(c *oraclesim.Config) {
		c.Users = map[string]oraclesim.User{"BACKUP": {Password: "secret", Without: []string{"ALTER TABLESPACE", "CREATE ANY DIRECTORY", "DROP ANY DIRECTORY", "EXECUTE ON UTL_FILE"}}}
	})
	l.login = oraclesim.Login{User: "BACKUP", Password: "secret"}
	_, fails := l.checked()
	assert.Empty(t, fails)
	l.look(l.take(backup.Full))
}

// SYSBACKUP may create DIRECTORY objects, and not drop them.
func TestRemoteAsSYSBACKUP(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote, PurgeArchived: true}, func(c *oraclesim.Config) {
		c.Users = map[string]oraclesim.User{"BACKUP": {Password: "secret", Administrative: []string{"SYSBACKUP"}}}
	})
	l.login = oraclesim.Login{User: "BACKUP", Password: "secret", Privilege: "SYSBACKUP"}
	says, fails := l.checked()
	assert.Empty(t, fails)
	assert.Contains(t, says, "which SYSBACKUP does not include")
	l.take(backup.Full)
	before := len(l.archived())
	m := l.take(backup.Log)
	require.Equal(t, backup.Log, m.Items[0].Kind)
	assert.Contains(t, strings.Join(m.Warnings, "\n"), "lacks DROP ANY DIRECTORY")
	assert.Less(t, len(l.archived()), before, "logs are purged all the same")
}

func TestAServerThatCannotRemoveItsCopies(t *testing.T) {
	t.Parallel()
	l := newLab(t, &Options{Mode: ModeRemote}, nil)
	r := newRemote(l.source(), "lab")
	err := r.remove(t.Context(), filepath.Join(l.opt.ScratchDir, "nothing"))
	require.Error(t, err)
	assert.Contains(t, advice(err), "WRITE on the DIRECTORY")
	require.NoError(t, r.close(t.Context()))
}
