package mssql

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func shopFiles() []chain.File {
	return []chain.File{
		{Logical: "shop", Physical: `S:\data\shop.mdf`, Type: dataFile, SizeBytes: 100}, {Logical: "Archive", Physical: `S:\data\archive.ndf`, Type: dataFile, SizeBytes: 50},
		{Logical: "docs", Physical: `S:\data\docs`, Type: containerDir}, {Logical: "shop_log", Physical: `S:\log\shop.ldf`, Type: logFile, SizeBytes: 10},
	}
}

// windowsHost has a database other with two files, one of them where shop's log would go.
func windowsHost() *host {
	return &host{version: [3]int{16, 0, 1000}, dataDir: `D:\db\`, logDir: `L:\log`, databases: []*hostDatabase{
		{id: 7, name: "other", state: online, files: []hostFile{{"other", `d:\DB\copy.mdf`, 8192}, {"other_log", `S:\log\shop.ldf`, 8192}}},
	}}
}

func nobody(string) bool { return false }

func TestFilesArePlaced(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		as      string
		options restoreOptions
		gives   func(string) bool
		want    []move
	}{
		"in place, but where another database is": {"shop", restoreOptions{}, nobody, []move{{"shop_log", `L:\log\shop_log.ldf`}}},
		"in place of the other database too":      {"shop", restoreOptions{}, func(d string) bool { return d == "other" }, nil},
		"under another name, numbered": {"copy", restoreOptions{}, nobody, []move{
			{"shop", `D:\db\copy_2.mdf`}, {"Archive", `D:\db\copy_Archive.ndf`}, {"docs", `D:\db\copy_docs`}, {"shop_log", `L:\log\copy_log.ldf`}}},
		"where they are told to go": {"shop", restoreOptions{dataDir: `E:\x`, moves: map[string]string{"ARCHIVE": `F:\a.ndf`}}, nobody, []move{
			{"shop", `E:\x\shop.mdf`}, {"Archive", `F:\a.ndf`}, {"docs", `E:\x\shop_docs`}, {"shop_log", `E:\x\shop_log.ldf`}}},
		"a name no file can have": {"a/b:c.", restoreOptions{dataDir: `E:\x`}, nobody, []move{
			{"shop", `E:\x\a_b_c.mdf`}, {"Archive", `E:\x\a_b_c_Archive.ndf`}, {"docs", `E:\x\a_b_c_docs`}, {"shop_log", `E:\x\a_b_c_log.ldf`}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := newPlacement(c.options, windowsHost(), c.gives).place("shop", c.as, shopFiles())
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestPlacesThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := newPlacement(restoreOptions{moves: map[string]string{"shop": `D:\DB\copy.mdf`}}, windowsHost(), nobody).place("shop", "shop", shopFiles())
	require.ErrorContains(t, err, `database "other" has a file there`)
	_, err = newPlacement(restoreOptions{}, &host{}, nobody).place("shop", "copy", shopFiles())
	require.ErrorContains(t, err, "give data_dir and log_dir")
	linux := &host{dataDir: "/var/opt/mssql/data", logDir: "/var/opt/mssql/log/"}
	got, err := newPlacement(restoreOptions{}, linux, nobody).place("shop", "copy", shopFiles()[:1])
	require.NoError(t, err)
	assert.Equal(t, []move{{"shop", "/var/opt/mssql/data/copy.mdf"}}, got)
}

// fullOf is a course of one full.
func fullOf(item string, change func(*chain.Set)) *course {
	set := chain.Set{Type: mtf.Database, GUID: mtf.GUID{1}, Database: item, FamilyGUID: mtf.GUID{2}, LastLSN: mtf.LSN{VLF: 30}, VersionMajor: 16, Build: 1000, Stripes: 1, Position: 1, Files: shopFiles()}
	if change != nil {
		change(&set)
	}
	return &course{item: item, name: item, options: restoreOptions{state: recovered},
		links: []link{{set: set, entries: make([]backup.Entry, 1), step: &backup.RestoreStep{}}}}
}

func TestWhatIsRefusedBeforehand(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		t    *course
		host func(*host)
		want string
	}{
		"a newer backup":                 {t: fullOf("shop", func(s *chain.Set) { s.VersionMajor = 17 }), want: "the backup is from version 17.0, the server is 16.0"},
		"a system database, other build": {t: fullOf("msdb", func(s *chain.Set) { s.Build = 999 }), want: "restores to its own build only"},
		"a missing stripe":               {t: fullOf("shop", func(s *chain.Set) { s.Stripes = 2 }), want: "has 1 files of the 2"},
		"no room":                        {t: fullOf("shop", nil), host: func(h *host) { h.volumes = []volume{{`S:\`, 100}, {`S:\log`, 1 << 30}} }, want: `the databases need 150 bytes more on S:\, and 100 are free`},
		"other backups are awaited": {t: fullOf("shop", nil), host: func(h *host) {
			h.databases = append(h.databases, &hostDatabase{id: 8, name: "SHOP", state: "RESTORING", base: mtf.GUID{9}, redo: mtf.LSN{VLF: 31}})
		}, want: "waits for other backups than these"},
		"a single-user server": {t: fullOf("shop", nil), host: func(h *host) { h.singleUser = true }, want: "restores master only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := windowsHost()
			if c.host != nil {
				c.host(h)
			}
			p := &preflight{src: &Source{instance: "lab"}, host: h, log: slog.New(slog.DiscardHandler), courses: []*course{c.t}}
			require.ErrorContains(t, p.run(), c.want)
		})
	}
}

func TestContainersNeedTheLargestTransfer(t *testing.T) {
	t.Parallel()
	c := fullOf("shop", nil)
	c.moves = []move{{"shop", `E:\o'x.mdf`}}
	c.replace = true
	st := c.apply(0, []device{{Path: `S:\a.bak`}, {Path: `S:\b.bak`}})
	assert.Equal(t, `RESTORE DATABASE [shop] FROM DISK = N'S:\a.bak', DISK = N'S:\b.bak' WITH FILE = 1, NORECOVERY, REPLACE, MAXTRANSFERSIZE = 4194304, STATS = 5, `+
		`MOVE N'shop' TO N'E:\o''x.mdf'`, st.SQL)
	st = c.apply(0, []device{{URL: true, Path: "s3://h/b/k"}})
	assert.NotContains(t, st.SQL, "FILE =", "which is not for URLs")
}

func TestAnotherBackupIsNotTheOneRecorded(t *testing.T) {
	t.Parallel()
	want := fullOf("shop", nil).links[0].set
	assert.Empty(t, differences(want, want))
	have := want
	have.GUID, have.Database, have.Type, have.LastLSN = mtf.GUID{7}, "bank", mtf.Log, mtf.LSN{VLF: 31}
	for _, word := range []string{"backup set", `"bank"`, "it is a log, not a full", "last LSN"} {
		assert.Contains(t, differences(want, have), word)
	}
}
