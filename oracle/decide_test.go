package oracle

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func ordinary() *Inventory {
	return &Inventory{
		DBID: 77, Name: "ORCL", Version: "19.0.0.0.0", LogMode: "ARCHIVELOG", OpenMode: "READ WRITE", Role: "PRIMARY", ResetlogsSCN: 1000, ResetlogsID: 5,
		Tablespaces: []Tablespace{{Number: 0, Name: "SYSTEM", Contents: "PERMANENT"}, {Number: 2, Name: "UNDOTBS1", Contents: "UNDO"}, {Number: 4, Name: "USERS", Contents: "PERMANENT"}, {Number: 5, Name: "HISTORY", Contents: "PERMANENT"}},
		DataFiles: []DataFile{
			{File: 1, TablespaceName: "SYSTEM", Status: "SYSTEM", Enabled: "READ WRITE", Bytes: 8192, Name: "/u01/system01.dbf"},
			{File: 3, TablespaceName: "UNDOTBS1", Status: "ONLINE", Enabled: "READ WRITE", Bytes: 8192, Name: "/u01/undo01.dbf"},
			{File: 4, TablespaceName: "USERS", Status: "ONLINE", Enabled: "READ WRITE", Bytes: 8192, Name: "/u01/users01.dbf"},
			{File: 5, TablespaceName: "HISTORY", Status: "ONLINE", Enabled: "READ ONLY", Bytes: 8192, Name: "/u01/history01.dbf"},
		},
	}
}

func anchorOf(t *testing.T, c checkpoint) backup.Anchor {
	t.Helper()
	note, err := json.Marshal(c)
	require.NoError(t, err)
	l := &backup.Link{ID: "20260301T080000Z-full", Item: backup.Item{Name: itemName, Kind: backup.Full, Checkpoint: note}}
	return backup.Anchor{Full: l, Last: l}
}

func TestDatabasesThatAreRefusedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change    func(inv *Inventory)
		filter    filter
		say, hint string
	}{
		"standby":         {func(inv *Inventory) { inv.Role, inv.OpenMode = "PHYSICAL STANDBY", "READ ONLY WITH APPLY" }, filter{}, "physical standby", "primary"},
		"noarchivelog":    {func(inv *Inventory) { inv.LogMode = "NOARCHIVELOG" }, filter{}, "NOARCHIVELOG", "ALTER DATABASE ARCHIVELOG"},
		"manual":          {func(inv *Inventory) { inv.LogMode = "MANUAL" }, filter{}, "by hand", "ARCHIVELOG"},
		"mounted":         {func(inv *Inventory) { inv.OpenMode = "MOUNTED" }, filter{}, "not open", "END BACKUP"},
		"read only":       {func(inv *Inventory) { inv.OpenMode = "READ ONLY" }, filter{}, "open READ ONLY", "RMAN"},
		"in a PDB":        {func(inv *Inventory) { inv.CDB, inv.ContainerID = true, 3 }, filter{}, "pluggable database", "CDB$ROOT"},
		"choice in a CDB": {func(inv *Inventory) { inv.CDB, inv.ContainerID, inv.visible.records = true, 1, 4 }, filter{include: []string{"USERS"}}, "backed up whole", "include"},
		"ASM":             {func(inv *Inventory) { inv.DataFiles[2].Name = "+DATA/ORCL/users.259.1" }, filter{}, "+DATA/ORCL/users.259.1", "mode rman"},
		"unreadable":      {func(inv *Inventory) { inv.DataFiles[2].Bytes = 0 }, filter{}, "data file 4", "V$RECOVER_FILE"},
		"no such one":     {func(*Inventory) {}, filter{include: []string{"USRES", "USERS"}}, "USRES", "HISTORY"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inv := ordinary()
			c.change(inv)
			_, err := (&Source{filter: c.filter, opt: Options{}.withDefaults()}).decide(backup.Full, inv, backup.Anchor{})
			require.ErrorIs(t, err, backup.ErrRefused)
			assert.ErrorContains(t, err, c.say)
			assert.Contains(t, backup.Hint(err), c.hint)
		})
	}
}

func TestLogsInASM(t *testing.T) {
	t.Parallel()
	recovery, standby := Destination{ID: 1, Status: "VALID", Target: "PRIMARY", Name: "USE_DB_RECOVERY_FILE_DEST"}, Destination{ID: 2, Status: "VALID", Target: "STANDBY", Name: "boston"}
	inv := ordinary()
	inv.Destinations, inv.Parameters = []Destination{recovery, standby}, []Parameter{{"db_recovery_file_dest", "+FRA"}}
	s := &Source{opt: Options{Mode: ModeLocal}}
	err := s.archives(inv)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.ErrorContains(t, err, "ASM only, +FRA")
	assert.Contains(t, backup.Hint(err), "LOG_ARCHIVE_DEST_n")
	inv.Destinations = append(inv.Destinations, Destination{ID: 3, Status: "VALID", Target: "PRIMARY", Name: "/arch"})
	require.NoError(t, s.archives(inv), "those of the folder are taken")
	inv.Destinations[2].Status = "DEFERRED"
	require.Error(t, s.archives(inv))
	inv.Parameters[0].Value = "/fra"
	require.NoError(t, s.archives(inv))
}

func TestWhatALogRunTakes(t *testing.T) {
	t.Parallel()
	good := checkpoint{DBID: 77, ResetlogsSCN: 1000, ResetlogsID: 5, End: 2000, goesOn: goesOn{Next: 1900}}
	with := func(change func(c *checkpoint)) *checkpoint {
		c := good
		change(&c)
		return &c
	}
	for name, c := range map[string]struct {
		from *checkpoint
		kind backup.Kind
		why  string
	}{
		"continues":   {&good, backup.Log, ""},
		"first":       {nil, backup.Full, "no full backup"},
		"other DBID":  {with(func(c *checkpoint) { c.DBID = 78 }), backup.Full, "DBID"},
		"resetlogs":   {with(func(c *checkpoint) { c.ResetlogsSCN = 900 }), backup.Full, "RESETLOGS"},
		"incarnation": {with(func(c *checkpoint) { c.ResetlogsID = 4 }), backup.Full, "incarnation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a backup.Anchor
			if c.from != nil {
				a = anchorOf(t, *c.from)
			}
			ch, err := decide(backup.Log, ordinary(), a, filter{})
			require.NoError(t, err)
			assert.Equal(t, c.kind, ch.kind)
			assert.Contains(t, ch.reason, c.why)
			assert.Equal(t, c.kind == backup.Log, ch.last != nil)
			full, err := decide(backup.Full, ordinary(), a, filter{})
			require.NoError(t, err)
			assert.Empty(t, full.reason, "a full was asked for")
			assert.Equal(t, c.kind == backup.Log, full.last != nil, "the logs go on over a full of the same history only")
		})
	}
	t.Run("unreadable checkpoint", func(t *testing.T) {
		t.Parallel()
		l := &backup.Link{Item: backup.Item{Checkpoint: json.RawMessage(`"?"`)}}
		ch, err := decide(backup.Log, ordinary(), backup.Anchor{Full: l, Last: l}, filter{})
		require.NoError(t, err)
		assert.Equal(t, backup.Full, ch.kind)
		assert.Contains(t, ch.reason, "checkpoint")
	})
}

func TestSelectionKeepsWhatADatabaseCannotOpenWithout(t *testing.T) {
	t.Parallel()
	inv := ordinary()
	ch, err := decide(backup.Full, inv, backup.Anchor{}, filter{include: []string{"us*"}})
	require.NoError(t, err)
	var names []string
	for _, i := range ch.files {
		names = append(names, inv.DataFiles[i].TablespaceName)
	}
	assert.Equal(t, []string{"SYSTEM", "UNDOTBS1", "USERS"}, names)
	assert.Contains(t, strings.Join(ch.warns, "\n"), "HISTORY")
}

func TestScopes(t *testing.T) {
	t.Parallel()
	r := &run{s: &Source{}, inv: ordinary(), ch: choice{files: []int{0, 1, 2, 3}}}
	names := func() (out []string) {
		for _, sc := range r.scopes() {
			out = append(out, sc.statement("BEGIN"))
		}
		return out
	}
	assert.Equal(t, []string{`ALTER TABLESPACE "SYSTEM" BEGIN BACKUP`, `ALTER TABLESPACE "UNDOTBS1" BEGIN BACKUP`, `ALTER TABLESPACE "USERS" BEGIN BACKUP`, `ALTER TABLESPACE "HISTORY" BEGIN BACKUP`}, names())
	assert.False(t, r.written(r.inv.DataFiles[3]), "a read-only tablespace is copied as it lies there")
	r.inv.DataFiles = append(r.inv.DataFiles, DataFile{File: 6, TablespaceName: "USERS", Status: "OFFLINE", Enabled: "READ WRITE"})
	r.ch.files = []int{0, 1, 2, 3, 4}
	assert.Equal(t, []string{"ALTER DATABASE BEGIN BACKUP"}, names(), "a tablespace with an offline file takes no BEGIN BACKUP by its name")
}

func TestNolloggingChangesAreToldInLogRuns(t *testing.T) {
	t.Parallel()
	inv := ordinary()
	inv.DataFiles[2].UnrecoverableSCN = 1950
	ch, err := decide(backup.Log, inv, anchorOf(t, checkpoint{DBID: 77, ResetlogsSCN: 1000, ResetlogsID: 5, goesOn: goesOn{Next: 1900}}), filter{})
	require.NoError(t, err)
	assert.Contains(t, strings.Join(ch.warns, "\n"), "SCN 1950")
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"USERS", "USERS", true}, {"USERS", "USERS2", false}, {"US*", "USERS", true}, {"*", "", true}, {"*S", "USERS", true}, {"U*E*S", "USERS", true}, {"U*X*S", "USERS", false},
		{"?SERS", "USERS", true}, {"?", "", false}, {"A*A", "A", false}, {"A*A", "AA", true}, {"*AB*AB", "AB", false}, {"**", "X", true},
	} {
		assert.Equal(t, c.want, glob(c.pattern, c.name), "%s ~ %s", c.pattern, c.name)
	}
}

// logsOf makes logs of one thread from the ends of their spans.
func logsOf(thread int, sequence uint64, ends ...SCN) (out []ArchivedLog) {
	for i := 1; i < len(ends); i++ {
		out = append(out, ArchivedLog{Thread: thread, Sequence: sequence + uint64(i-1), FirstSCN: ends[i-1], NextSCN: ends[i],
			copies: []logCopy{{name: "/arch/x", destination: 1, usable: true, archived: true}}})
	}
	return out
}

func TestCover(t *testing.T) {
	t.Parallel()
	one := []Thread{{Thread: 1, Status: "OPEN", Enabled: "PUBLIC"}}
	two := []Thread{one[0], {Thread: 2, Status: "OPEN", Enabled: "PUBLIC"}}
	closed := []Thread{one[0], {Thread: 2, Status: "CLOSED", Enabled: "PUBLIC"}}
	deleted := logsOf(1, 7, 90, 120, 150)
	deleted[1].copies[0].usable = false
	for name, c := range map[string]struct {
		logs    []ArchivedLog
		threads []Thread
		end     SCN
		say     string
		waiting bool
	}{
		"whole":                    {logsOf(1, 7, 90, 120, 150), one, 150, "", false},
		"not yet":                  {logsOf(1, 7, 90, 120), one, 0, "not yet to 140", true},
		"begins too late":          {logsOf(1, 7, 110, 150), one, 0, "begin at SCN 110", false},
		"a new thread begins at 1": {append(logsOf(1, 7, 90, 150), logsOf(2, 1, 110, 160)...), two, 150, "", false},
		"hole":                     {append(logsOf(1, 7, 90, 120), logsOf(1, 9, 130, 150)...), one, 0, "gap from SCN 120", true},
		"other history":            {append(logsOf(1, 7, 90, 120), logsOf(1, 8, 130, 150)...), one, 0, "gap from SCN 120", false},
		"deleted":                  {deleted, one, 0, "deleted", false},
		"the slowest thread":       {append(logsOf(1, 7, 90, 190), logsOf(2, 3, 95, 145)...), two, 145, "", false},
		"a thread lags":            {append(logsOf(1, 7, 90, 190), logsOf(2, 3, 95, 130)...), two, 0, "thread 2", true},
		"a thread without logs":    {logsOf(1, 7, 90, 190), two, 0, "thread 2", true},
		"a closed thread":          {logsOf(1, 7, 90, 190), closed, 190, "", false},
		"none open":                {nil, closed[1:], 0, "no redo thread is open", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end, err := cover(c.logs, c.threads, 100, 140)
			if c.say == "" {
				require.NoError(t, err)
				assert.Equal(t, c.end, end)
				return
			}
			var g *gap
			require.ErrorAs(t, err, &g)
			assert.ErrorContains(t, err, c.say)
			assert.ErrorIs(t, err, backup.ErrChainBroken)
			assert.Equal(t, c.waiting, g.waiting)
			assert.NotEmpty(t, backup.Hint(err))
		})
	}
}

func TestMarkerOwnsOnlyWhatItCanProve(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	begun := &marker{SCN: 100, At: at, Files: []int{4, 5}, Begun: map[int]SCN{4: 110}}
	unsure := &marker{SCN: 100, At: at, Files: []int{4}}
	for name, c := range map[string]struct {
		m    *marker
		file int
		b    backupState
		want bool
	}{
		"the same begin":              {begun, 4, backupState{"ACTIVE", 110, at}, true},
		"begun again by another":      {begun, 4, backupState{"ACTIVE", 200, at}, false},
		"never begun by us":           {begun, 5, backupState{"ACTIVE", 110, at}, false},
		"no answer, begun since":      {unsure, 4, backupState{"ACTIVE", 101, at.Add(time.Minute)}, true},
		"no answer, begun before":     {unsure, 4, backupState{"ACTIVE", 99, at}, false},
		"no answer, much later":       {unsure, 4, backupState{"ACTIVE", 101, at.Add(2 * time.Hour)}, false},
		"no answer, another file":     {unsure, 9, backupState{"ACTIVE", 101, at}, false},
		"no answer, at the same time": {unsure, 4, backupState{"ACTIVE", 100, at}, true},
	} {
		assert.Equal(t, c.want, c.m.owns(c.file, c.b), name)
	}
}

func TestMarkersAreWholeOrAbsent(t *testing.T) {
	t.Parallel()
	s := &Source{opt: Options{StateDir: t.TempDir() + "/deep/er"}}
	k := s.markersOf("job", 77)
	none, err := k.load()
	require.NoError(t, err)
	assert.Nil(t, none)
	require.NoError(t, k.drop(), "nothing to drop")
	m := &marker{Format: 1, Job: "job", DBID: 77, Files: []int{1}, Begun: map[int]SCN{1: NoSCN}}
	require.NoError(t, k.save(m))
	have, err := k.load()
	require.NoError(t, err)
	assert.Equal(t, m, have)
	assert.NotEqual(t, k.path, s.markersOf("other", 77).path)
	assert.NotEqual(t, k.path, s.markersOf("job", 78).path)
	require.NoError(t, k.drop())
	none, err = k.load()
	require.NoError(t, err)
	assert.Nil(t, none)
}

func TestPositionsOrderAsSCNsDo(t *testing.T) {
	t.Parallel()
	assert.Less(t, SCN(9).Position(), SCN(10).Position())
	assert.Less(t, SCN(1<<63-1).Position(), NoSCN.Position())
	n, err := ParsePosition(NoSCN.Position())
	require.NoError(t, err)
	assert.Equal(t, NoSCN, n)
	for _, bad := range []backup.Position{"", "12", "0000000000000000000x", "99999999999999999999"} {
		_, err := ParsePosition(bad)
		assert.Error(t, err, "%q", bad)
	}
}

func TestPathsOfTheServer(t *testing.T) {
	t.Parallel()
	for path, want := range map[string][2]string{
		"/u01/a.dbf": {"/u01", "a.dbf"}, "/a.dbf": {"/", "a.dbf"}, `D:\ora\a.dbf`: {`D:\ora`, "a.dbf"}, `D:\a.dbf`: {`D:\`, "a.dbf"},
	} {
		dir, name, err := splitServer(path)
		require.NoError(t, err)
		assert.Equal(t, want, [2]string{dir, name}, path)
		assert.Equal(t, path, joinServer(dir, name))
	}
	_, _, err := splitServer("relative")
	assert.Error(t, err)
}

func TestPfile(t *testing.T) {
	t.Parallel()
	inv := &Inventory{Name: "ORCL", Parameters: []Parameter{{"control_files", "/a.ctl, /b.ctl"}, {"db_name", "orcl"}, {"spfile", "/x/spfile.ora"}, {"user_text", "it's"}}}
	text := pfile(inv)
	assert.Contains(t, text, "*.control_files='/a.ctl','/b.ctl'\n")
	assert.Contains(t, text, "*.db_name='orcl'\n")
	assert.Contains(t, text, "*.user_text='it''s'\n")
	assert.Contains(t, text, "# The instance was started with the spfile /x/spfile.ora.\n")
	assert.NotContains(t, text, "*.spfile")
}

func TestTempScript(t *testing.T) {
	t.Parallel()
	inv := &Inventory{CDB: true, Containers: []Container{{ID: 3, Name: "SHOP"}}, TempFiles: []TempFile{
		{TablespaceName: "TEMP", Container: 1, Bytes: 8192, Name: "/t1.dbf"}, {TablespaceName: "TEMP", Container: 3, Name: "/it's.dbf"},
	}}
	assert.Equal(t, `-- Temporary files are not in a backup. Run this once the restored database is open.
ALTER SESSION SET CONTAINER = "CDB$ROOT";
ALTER TABLESPACE "TEMP" ADD TEMPFILE '/t1.dbf' SIZE 8192 REUSE;
ALTER SESSION SET CONTAINER = "SHOP";
ALTER TABLESPACE "TEMP" ADD TEMPFILE '/it''s.dbf' REUSE;
`, tempScript(inv))
}

func TestPurgeNeedsEveryDestination(t *testing.T) {
	t.Parallel()
	s := &Source{}
	all := []Destination{{ID: 1, Status: "VALID"}, {ID: 2, Status: "VALID"}, {ID: 3, Status: "INACTIVE"}}
	assert.Equal(t, []int{1, 2}, s.required(all))
	s.opt.RequiredDestinations = []int{3}
	assert.Equal(t, []int{3}, s.required(all))
	l := ArchivedLog{copies: []logCopy{{destination: 1, archived: true, usable: true}, {destination: 2, archived: true, standby: true}, {destination: 3}}}
	assert.Empty(t, l.lacks([]int{1, 2}))
	assert.Equal(t, []int{3, 4}, l.lacks([]int{1, 3, 4}))
}
