package oraclesim

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATablespaceGoesOfflineAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.write(5)
	l.refused(1541, "ALTER TABLESPACE SYSTEM OFFLINE IMMEDIATE")
	l.refused(30042, "ALTER TABLESPACE UNDOTBS1 OFFLINE IMMEDIATE")
	l.refused(3217, "ALTER TABLESPACE TEMP OFFLINE IMMEDIATE")
	l.refused(959, "ALTER TABLESPACE NONE OFFLINE IMMEDIATE")
	l.refused(900, "ALTER TABLESPACE USERS OFFLINE IMMEDIATE NOW")
	l.must("ALTER TABLESPACE USERS BEGIN BACKUP")
	l.refused(1150, "ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	l.must("ALTER TABLESPACE USERS END BACKUP")
	truth, err := l.Contents()
	require.NoError(t, err)
	l.must("ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	l.refused(1539, "ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	_, err = l.Commit("USERS", "no")
	assert.ErrorContains(t, err, "ORA-00376")
	assert.Equal(t, "RECOVER", l.one("SELECT STATUS FROM V$DATAFILE WHERE FILE# = 4"))
	l.refused(1113, "ALTER TABLESPACE USERS ONLINE")
	l.must("ALTER DATABASE RECOVER TABLESPACE USERS", "ALTER TABLESPACE USERS ONLINE")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
	l.write(1)
}

func TestOfflineWithoutArchivedLogs(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.NoArchiveLog = true })
	l.refused(1145, "ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	l.must("ALTER TABLESPACE USERS OFFLINE NORMAL", "ALTER TABLESPACE USERS ONLINE")
}

func TestOfflineOfATablespaceWithAFileThatIs(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.must("ALTER DATABASE DATAFILE 4 OFFLINE")
	l.refused(1191, "ALTER TABLESPACE USERS OFFLINE")
	l.must("ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
}

func TestRecoveryOfATablespace(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) { c.Tablespaces = []Tablespace{{Name: "USERS", Files: 2}, {Name: "SALES"}} })
	dir := filepath.Join(l.dir, "backup")
	l.write(5)
	l.hot(dir, true)
	l.write(5)
	l.must("ALTER SYSTEM ARCHIVE LOG CURRENT")
	l.write(5)
	l.logs(dir)
	l.refused(1124, "ALTER DATABASE RECOVER TABLESPACE USERS")
	l.refused(959, "ALTER DATABASE RECOVER TABLESPACE SALES, NONE")
	l.must("ALTER TABLESPACE SALES OFFLINE")
	l.refused(264, "ALTER DATABASE RECOVER TABLESPACE SALES")
	l.refused(274, "ALTER DATABASE RECOVER TABLESPACE SALES UNTIL CANCEL")
	l.refused(274, "ALTER DATABASE RECOVER TABLESPACE SALES USING BACKUP CONTROLFILE")
	l.must("ALTER TABLESPACE SALES ONLINE")
	truth, err := l.Contents()
	require.NoError(t, err)

	l.must("ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	var lost string
	for _, f := range l.Files() {
		if f.Tablespace == "USERS" {
			lost = f.Path
			require.NoError(t, os.Remove(f.Path))
		}
	}
	l.refused(1157, "ALTER DATABASE RECOVER TABLESPACE USERS")
	for _, f := range l.Files() {
		if f.Tablespace == "USERS" {
			copyTo(t, filepath.Dir(lost), filepath.Join(dir, filepath.Base(f.Path)))
		}
	}
	l.refused(1113, "ALTER TABLESPACE USERS ONLINE")
	l.refused(279, "ALTER DATABASE RECOVER TABLESPACE USERS")
	l.refused(1153, "ALTER DATABASE RECOVER TABLESPACE USERS")
	_, err = l.Commit("SALES", "meanwhile")
	require.NoError(t, err, "the rest of the database goes on")
	l.must("ALTER DATABASE RECOVER CANCEL")
	l.refused(1113, "ALTER TABLESPACE USERS ONLINE") // what was applied stays, and is not all
	l.refused(1124, "ALTER DATABASE RECOVER TABLESPACE USERS, SALES")
	require.NoError(t, l.recover("TABLESPACE USERS", dir))
	l.must("ALTER TABLESPACE USERS ONLINE")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, append(texts(truth), "meanwhile"), texts(got))
}

// What the recovery lacks, a file that was made anew has as well.
func TestADataFileMadeAnewInAnOpenDatabase(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	path, err := l.AddFile("USERS", "")
	require.NoError(t, err)
	l.write(10)
	truth, err := l.Contents()
	require.NoError(t, err)
	l.refused(1182, "ALTER DATABASE CREATE DATAFILE '"+path+"'")
	l.must("ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	require.NoError(t, os.Remove(path))
	l.must("ALTER DATABASE CREATE DATAFILE '" + path + "'")
	l.refused(1113, "ALTER TABLESPACE USERS ONLINE")
	l.must("ALTER DATABASE RECOVER AUTOMATIC TABLESPACE USERS", "ALTER TABLESPACE USERS ONLINE")
	got, err := l.Contents()
	require.NoError(t, err)
	assert.Equal(t, texts(truth), texts(got))
}

func TestASessionGoesToAnotherContainer(t *testing.T) {
	t.Parallel()
	l := newLab(t, func(c *Config) {
		c.PDBs = []string{"SHOP"}
		c.Tablespaces = []Tablespace{{Name: "USERS"}, {Name: "GOODS", PDB: "SHOP"}}
	})
	l.refused(65011, "ALTER SESSION SET CONTAINER = NONE")
	l.refused(959, "ALTER TABLESPACE GOODS OFFLINE IMMEDIATE")
	l.must(`ALTER SESSION SET CONTAINER = "SHOP"`)
	assert.Equal(t, "SHOP", l.one("SELECT SYS_CONTEXT('USERENV', 'CON_NAME') FROM DUAL"))
	l.refused(959, "ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	l.refused(1541, "ALTER TABLESPACE SYSTEM OFFLINE IMMEDIATE")
	l.must("ALTER TABLESPACE GOODS OFFLINE IMMEDIATE", "ALTER DATABASE RECOVER TABLESPACE GOODS", "ALTER TABLESPACE GOODS ONLINE")
	l.must("ALTER SESSION SET CONTAINER = CDB$ROOT", "ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
}

func TestAReadOnlyTablespaceStaysSo(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.write(3)
	l.must("ALTER TABLESPACE USERS READ ONLY", "ALTER TABLESPACE USERS OFFLINE IMMEDIATE")
	l.refused(264, "ALTER DATABASE RECOVER TABLESPACE USERS")
	l.must("ALTER TABLESPACE USERS ONLINE")
	assert.Equal(t, "READ ONLY", l.one("SELECT STATUS FROM DBA_TABLESPACES WHERE TABLESPACE_NAME = 'USERS'"))
	l.must("ALTER TABLESPACE USERS READ WRITE")
	l.write(1)
}
