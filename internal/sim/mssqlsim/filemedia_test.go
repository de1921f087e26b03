package mssqlsim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// shelf is a bench whose devices are files: S:\backup is its folder.
type shelf struct {
	*bench
	folder string
}

func newShelf(t *testing.T, o *mssqlsim.FileOptions, change ...func(*mssqlsim.Config)) *shelf {
	t.Helper()
	s := &shelf{folder: t.TempDir()}
	s.bench = newBench(t, append(change, func(c *mssqlsim.Config) {
		c.Media = mssqlsim.NewFileMedia(map[string]string{`S:\Backup`: s.folder}, o)
	})...)
	return s
}

func (s *shelf) bytes(name string) []byte {
	s.Helper()
	b, err := os.ReadFile(filepath.Join(s.folder, name))
	require.NoError(s, err)
	return b
}

func (s *shelf) put(name string, b []byte) {
	s.Helper()
	require.NoError(s, os.WriteFile(filepath.Join(s.folder, name), b, 0o600))
}

// on names files as devices.
func on(names ...string) string {
	var all []string
	for _, n := range names {
		all = append(all, `DISK = N'S:\backup\`+n+`'`)
	}
	return strings.Join(all, ", ")
}

// verified reads a file with the reader of the product.
func (s *shelf) verified(name string) *mtf.Media {
	s.Helper()
	m, err := mtf.Verify(s.Context(), bytes.NewReader(s.bytes(name)))
	require.NoError(s, err, name)
	return m
}

// sets are the rows of HEADERONLY.
func (s *shelf) sets(name string) (all []map[string]any) {
	s.Helper()
	rows, err := s.conn.QueryContext(s.Context(), "RESTORE HEADERONLY FROM "+on(name))
	require.NoError(s, err)
	defer rows.Close()
	columns, err := rows.Columns()
	require.NoError(s, err)
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(s, rows.Scan(into...))
		m := map[string]any{}
		for i, c := range columns {
			m[c] = values[i]
		}
		all = append(all, m)
	}
	require.NoError(s, rows.Err())
	return all
}

// number is an LSN of a header, guid an identifier; NULL is none.
func number(t *testing.T, v any) mtf.LSN {
	t.Helper()
	if v == nil {
		return mtf.LSN{}
	}
	l, err := mtf.ParseLSN(string(v.([]byte)))
	require.NoError(t, err)
	return l
}

func guid(v any) mtf.GUID {
	if v == nil {
		return mtf.GUID{}
	}
	return mtf.GUID(v.([]byte))
}

func text(v any) string {
	if v == nil {
		return ""
	}
	return v.(string)
}

// wall is a time as a result set has it: without its zone.
func wall(x time.Time) time.Time {
	return time.Date(x.Year(), x.Month(), x.Day(), x.Hour(), x.Minute(), x.Second(), 0, time.UTC)
}

// agree demands that the product reads from the file what the server says of it. data is whether this family holds some.
func (s *shelf) agree(name string, wantSets int) {
	s.Helper()
	m := s.verified(name)
	rows := s.sets(name)
	require.Len(s, rows, wantSets, name)
	require.Len(s, m.Sets, wantSets, name)
	l := s.row("RESTORE LABELONLY FROM " + on(name))
	assert.Equal(s, []any{m.SetID, int64(m.Families), int64(m.Family), m.Name, m.Description, m.Software, m.Written},
		[]any{guid([]byte(l["MediaSetId"].(string))), l["FamilyCount"], l["FamilySequenceNumber"], text(l["MediaName"]), text(l["MediaDescription"]), l["SoftwareName"], l["MediaDate"]}, name)
	assert.Equal(s, fmt.Sprintf("%08X-0000-0000-0000-000000000000", m.FamilyID), mtf.GUID([]byte(l["MediaFamilyId"].(string))).String())
	for i, r := range rows {
		got := m.Sets[i]
		letter := map[int64]mtf.Type{1: mtf.Database, 2: mtf.Log, 5: mtf.Differential}[r["BackupType"].(int64)]
		assert.Equal(s, []any{letter, got.Position, got.GUID, got.Name, got.Description, got.User, got.Database, got.Server, got.Machine},
			[]any{got.Type, int(r["Position"].(int64)), guid(r["BackupSetGUID"]), text(r["BackupName"]), text(r["BackupDescription"]), text(r["UserName"]),
				text(r["DatabaseName"]), text(r["ServerName"]), text(r["MachineName"])}, name)
		assert.Equal(s, []mtf.LSN{got.FirstLSN, got.LastLSN, got.CheckpointLSN, got.DatabaseBackupLSN, got.ForkPointLSN, got.DifferentialBaseLSN},
			[]mtf.LSN{number(s.T, r["FirstLSN"]), number(s.T, r["LastLSN"]), number(s.T, r["CheckpointLSN"]), number(s.T, r["DatabaseBackupLSN"]), number(s.T, r["ForkPointLSN"]),
				number(s.T, r["DifferentialBaseLSN"])}, name)
		assert.Equal(s, []mtf.GUID{got.BindingID, got.FamilyGUID, got.RecoveryForkID, got.FirstRecoveryForkID, got.DifferentialBaseGUID},
			[]mtf.GUID{guid(r["BindingID"]), guid(r["FamilyGUID"]), guid(r["RecoveryForkID"]), guid(r["FirstRecoveryForkID"]), guid(r["DifferentialBaseGUID"])}, name)
		assert.True(s, got.ZoneKnown)
		assert.Equal(s, []time.Time{wall(got.DatabaseCreated), wall(got.Started), wall(got.Finished)},
			[]time.Time{r["DatabaseCreationDate"].(time.Time), r["BackupStartDate"].(time.Time), r["BackupFinishDate"].(time.Time)}, name)
		assert.Equal(s, []int64{int64(got.VersionMajor), int64(got.VersionMinor), int64(got.DatabaseVersion), int64(got.CompatibilityLevel)},
			[]int64{r["SoftwareVersionMajor"].(int64), r["SoftwareVersionMinor"].(int64), r["DatabaseVersion"].(int64), r["CompatibilityLevel"].(int64)}, name)
		assert.Equal(s, fmt.Sprint(got.BackupSizeBytes), string(r["BackupSize"].([]byte)), name)
		if got.PageBytes+got.LogBytes > 0 {
			assert.Equal(s, r["HasBackupChecksums"], got.Checksums, name)
		}
		for _, f := range got.Files {
			row := s.row(fmt.Sprintf("RESTORE FILELISTONLY FROM %s WITH FILE = %d", on(name), i+1))
			if f.ID == 1 {
				assert.Equal(s, []any{row["LogicalName"], row["PhysicalName"], row["Type"], row["Size"]}, []any{f.Logical, f.Physical, "D", fmt.Sprint(f.SizeBytes)}, name)
			}
		}
		assert.Len(s, got.Files, 2)
	}
}

func TestFilesOfEveryType(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	require.NoError(t, s.instance.CreateDatabase("stock", mssqlsim.Full))
	s.insert("one", "ü and 😀")
	s.run(`BACKUP DATABASE sales TO `+on("full.bak")+` WITH FORMAT, CHECKSUM, NAME = 'nightly', DESCRIPTION = 'all of it', MEDIANAME = 'shelf', MEDIADESCRIPTION = 'the upper one'`,
		`BACKUP LOG sales TO `+on("first.trn")+` WITH FORMAT, CHECKSUM`, `BACKUP LOG sales TO `+on("empty.trn")+` WITH FORMAT, CHECKSUM`)
	s.insert("two")
	s.run(`BACKUP DATABASE sales TO `+on("diff.bak")+` WITH INIT, CHECKSUM, DIFFERENTIAL`, `BACKUP DATABASE sales TO `+on("copy.bak")+` WITH INIT, COPY_ONLY`)
	s.insert("three")
	s.run(`BACKUP LOG sales TO `+on("copy.trn")+` WITH INIT, COPY_ONLY`, `BACKUP LOG sales TO `+on("log.trn")+` WITH INIT`, `BACKUP DATABASE stock TO `+on("stock.bak"))
	for _, name := range []string{"full.bak", "first.trn", "empty.trn", "diff.bak", "copy.bak", "copy.trn", "log.trn", "stock.bak"} {
		s.agree(name, 1)
	}
	assert.True(t, s.verified("empty.trn").Sets[0].Empty())
	for name, depth := range map[string]mtf.Depth{"full.bak": mtf.Summed, "first.trn": mtf.Summed, "empty.trn": mtf.Summed, "diff.bak": mtf.Summed, "copy.bak": mtf.Walked, "log.trn": mtf.Walked} {
		assert.Equal(t, depth, s.verified(name).Depth, name)
	}
	// What the format has no place for survives all the same.
	copied, first := s.sets("copy.bak")[0], s.sets("first.trn")[0]
	assert.Equal(t, []any{true, "FULL", false}, []any{copied["IsCopyOnly"], copied["RecoveryModel"], copied["HasBackupChecksums"]})
	assert.Equal(t, []any{false, true, true, int64(1000)}, []any{first["IsCopyOnly"], first["BeginsLogChain"], first["HasBackupChecksums"], first["SoftwareVersionBuild"]})
	i, err := os.Stat(filepath.Join(s.folder, "full.bak"))
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o660), i.Mode().Perm())
	s.instance.DropDatabase("sales")
	s.run(`RESTORE DATABASE sales FROM `+on("full.bak")+` WITH NORECOVERY`, `RESTORE DATABASE sales FROM `+on("diff.bak")+` WITH NORECOVERY`,
		`RESTORE LOG sales FROM `+on("log.trn")+` WITH RECOVERY`)
	s.holds("sales", "one", "ü and 😀", "two", "three")
}

func TestSetsThatFollowEachOtherInAFile(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	s.insert("one")
	s.run(`BACKUP DATABASE sales TO ` + on("a", "b") + ` WITH CHECKSUM`)
	s.insert("two")
	s.run(`BACKUP LOG sales TO ` + on("a", "b") + ` WITH CHECKSUM`)
	s.insert("three")
	s.run(`BACKUP DATABASE sales TO `+on("a", "b")+` WITH DIFFERENTIAL, CHECKSUM`, `BACKUP LOG sales TO `+on("a", "b")+` WITH CHECKSUM`)
	s.agree("a", 4)
	s.agree("b", 4)
	require.NoError(t, mtf.Group(s.verified("a"), s.verified("b"))[0].Check())
	s.run(`RESTORE DATABASE c FROM `+on("b", "a")+` WITH NORECOVERY, `+as("c"), `RESTORE LOG c FROM `+on("a", "b")+` WITH FILE = 2, NORECOVERY`,
		`RESTORE LOG c FROM `+on("a", "b")+` WITH FILE = 4`)
	s.holds("c", "one", "two", "three")
	before := s.verified("a").SetID
	s.run(`BACKUP DATABASE sales TO ` + on("a", "b") + ` WITH INIT`)
	s.agree("a", 1)
	assert.Equal(t, before, s.verified("a").SetID, "INIT keeps the media set")
	s.run(`BACKUP DATABASE sales TO ` + on("a") + ` WITH FORMAT`)
	s.agree("a", 1)
	assert.NotEqual(t, before, s.verified("a").SetID, "FORMAT begins one")
	assert.Equal(t, []int32{3258, 3013}, s.fails(`RESTORE VERIFYONLY FROM `+on("b", "a")))
}

func TestStripes(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	var want []string
	for i := range 50 {
		want = append(want, fmt.Sprintf("order %d", i))
	}
	s.insert(want[:40]...)
	require.NoError(t, s.instance.Fill("sales", 1<<20+1))
	for n := 1; n <= 8; n++ {
		var full, log []string
		for k := 1; k <= n; k++ {
			full, log = append(full, fmt.Sprintf("full%d.%d", n, k)), append(log, fmt.Sprintf("log%d.%d", n, k))
		}
		s.run(`BACKUP DATABASE sales TO ` + on(full...) + ` WITH FORMAT, CHECKSUM`)
		if n == 1 {
			s.insert(want[40:]...)
		}
		s.run(`BACKUP LOG sales TO ` + on(log...) + ` WITH FORMAT, CHECKSUM, COPY_ONLY`)
		var all []*mtf.Media
		var pages int64
		for k := range full {
			s.agree(full[k], 1)
			s.agree(log[k], 1)
			m := s.verified(full[k])
			all = append(all, m)
			pages += m.Sets[0].PageBytes
		}
		require.NoError(t, mtf.Group(all...)[0].Check())
		assert.Equal(t, all[0].Sets[0].BackupSizeBytes, pages)
		assert.Greater(t, pages, int64(1<<20))
		base := "c" + fmt.Sprint(n)
		slices.Reverse(full) // the order does not matter
		s.run(`RESTORE VERIFYONLY FROM `+on(full...)+` WITH CHECKSUM`, `RESTORE DATABASE `+base+` FROM `+on(full...)+` WITH NORECOVERY, `+as(base),
			`RESTORE LOG `+base+` FROM `+on(log...)+` WITH RECOVERY`)
		s.holds(base, want...)
		if n > 1 {
			require.Error(t, mtf.Group(all[1:]...)[0].Check())
			assert.Equal(t, []int32{3132, 3013}, s.fails(`RESTORE VERIFYONLY FROM `+on(full[1:]...)))
			assert.Equal(t, []int32{3132, 3013}, s.fails(`RESTORE DATABASE d FROM `+on(full[:n-1]...)))
		}
	}
	s.run(`BACKUP DATABASE c8 TO ` + on("again") + ` WITH FORMAT`)
	assert.Greater(t, len(s.bytes("again")), 1<<20, "what fills a database is restored too")
}

func TestDamageIsFoundByBoth(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	s.insert("one", "two", "three", "four", "five")
	require.NoError(t, s.instance.Fill("sales", 64<<10))
	s.run(`BACKUP DATABASE sales TO ` + on("good.bak") + ` WITH CHECKSUM`)
	s.insert("six")
	s.run(`BACKUP LOG sales TO ` + on("good.trn") + ` WITH CHECKSUM`)
	for name, marks := range map[string][]string{"good.bak": {"one", "five", "PAGE", "CSUM"}, "good.trn": {"six"}} {
		good := s.bytes(name)
		for _, mark := range marks {
			bad := bytes.Clone(good)
			at := bytes.Index(bad, []byte(mark))
			require.Positive(t, at, mark)
			if mark == "CSUM" {
				at += 22 // the sum itself
			}
			bad[at] ^= 0x10
			s.put("bad", bad)
			_, err := mtf.Verify(t.Context(), bytes.NewReader(bad))
			require.Error(t, err, mark)
			want := []int32{3183, 3013}
			if mark == "CSUM" {
				want[0] = 3189
			}
			assert.Equal(t, want, s.fails(`RESTORE VERIFYONLY FROM `+on("bad")), mark)
			require.Len(t, s.sets("bad"), 1, "headers are as they were")
		}
	}
	// A bit of what fills the database has no page checksum of its own.
	bad := s.bytes("good.bak")
	bad[bytes.LastIndex(bad, []byte("PAGE"))+100] ^= 1
	s.put("bad", bad)
	assert.Equal(t, []int32{3189, 3013}, s.fails(`RESTORE DATABASE c FROM `+on("bad")+` WITH REPLACE, `+as("c")))
	_, err := mtf.Verify(t.Context(), bytes.NewReader(bad))
	require.Error(t, err)
	// Headers.
	for mark, number := range map[string]int32{"TAPE": 3241, "SSET": 3241, "MSLS": 3241} {
		bad := s.bytes("good.bak")
		bad[bytes.Index(bad, []byte(mark))+8] ^= 1
		s.put("bad", bad)
		assert.Equal(t, []int32{number, 3013}, s.fails(`RESTORE VERIFYONLY FROM `+on("bad")), mark)
		assert.Equal(t, []int32{number, 3013}, s.fails(`BACKUP DATABASE sales TO `+on("bad")), mark)
	}
	// Without WITH CHECKSUM, a server restores what it reads.
	s.run(`BACKUP DATABASE sales TO ` + on("plain"))
	bad = s.bytes("plain")
	bad[bytes.Index(bad, []byte("two"))] = 'T'
	s.put("bad", bad)
	s.run(`RESTORE VERIFYONLY FROM `+on("bad"), `RESTORE DATABASE c FROM `+on("bad")+` WITH REPLACE, `+as("c"))
	s.holds("c", "one", "Two", "three", "four", "five", "six")
}

func TestFilesThatAreCut(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	s.insert("one")
	require.NoError(t, s.instance.Fill("sales", 64<<10))
	s.run(`BACKUP DATABASE sales TO `+on("good")+` WITH CHECKSUM`, `BACKUP LOG sales TO `+on("good")+` WITH CHECKSUM`)
	good := s.bytes("good")
	second := len(good) - int(s.verified("good").Sets[1].Offset)
	for _, c := range []struct {
		size    int
		headers int // rows of HEADERONLY
		torn    bool
		verify  []int32 // of the last set
	}{
		{0, 0, false, []int32{3254, 3013}},
		{600, 0, false, []int32{3241, 3013}},
		{bytes.Index(good, []byte("MSCI")), 1, true, []int32{3256, 3013}},
		{bytes.Index(good, []byte("MQDA")) + 30000, 1, true, []int32{3203, 3013}},
		{bytes.Index(good, []byte("MSLS")) + 300, 1, true, []int32{3256, 3013}},
		{len(good) - second - 1, 1, true, []int32{3256, 3013}},
		{len(good) - second, 1, false, nil},
		{len(good) - 40000, 2, true, []int32{3203, 3013}},
		{len(good) - 1, 2, true, []int32{3256, 3013}},
	} {
		what := fmt.Sprintf("%d of %d bytes", c.size, len(good))
		s.put("cut", good[:c.size])
		verify := fmt.Sprintf(`RESTORE VERIFYONLY FROM %s WITH FILE = %d`, on("cut"), max(1, c.headers))
		_, err := mtf.Verify(t.Context(), bytes.NewReader(good[:c.size]))
		if c.verify == nil {
			require.NoError(t, err, what)
			s.run(verify)
		} else {
			require.Error(t, err, what)
			assert.Equal(t, c.verify, s.fails(verify), what)
		}
		if c.headers == 0 {
			assert.Equal(t, c.verify, s.fails(`RESTORE HEADERONLY FROM `+on("cut")), what)
			continue
		}
		rows := s.sets("cut")
		require.Len(t, rows, c.headers, what)
		assert.Equal(t, c.torn, rows[c.headers-1]["BackupName"] == "*** INCOMPLETE ***", what)
		if c.torn {
			assert.Equal(t, []int32{3266, 3013}, s.fails(`BACKUP DATABASE sales TO `+on("cut")), what)
		}
	}
}

func TestWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	s.put("junk", bytes.Repeat([]byte("junk"), 5000))
	assert.Equal(t, []int32{3241, 3013}, s.fails(`RESTORE HEADERONLY FROM `+on("junk")))
	assert.Equal(t, []int32{3241, 3013}, s.fails(`BACKUP DATABASE sales TO `+on("junk")+` WITH INIT`))
	s.run(`BACKUP DATABASE sales TO ` + on("junk") + ` WITH FORMAT`)
	s.agree("junk", 1)
	s.put("reserved", nil)
	s.run(`BACKUP DATABASE sales TO ` + on("reserved"))
	s.agree("reserved", 1)
}

func TestBackupsThatEndEarly(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		o := &mssqlsim.FileOptions{Torn: func(path string) bool {
			assert.Equal(t, `S:\backup\torn`, path)
			return keep
		}}
		s := newShelf(t, o, func(c *mssqlsim.Config) {
			c.Pace = func(ctx context.Context, _ string, percent int) error {
				if percent < 60 {
					return nil
				}
				cancel()
				<-ctx.Done()
				return nil
			}
		})
		require.NoError(t, s.instance.Fill("sales", 1<<20))
		_, err := s.conn.ExecContext(ctx, `BACKUP DATABASE sales TO `+on("torn")+` WITH FORMAT, STATS = 20`)
		require.ErrorIs(t, err, context.Canceled)
		files, err := os.ReadDir(s.folder)
		require.NoError(t, err)
		if !keep {
			assert.Empty(t, files)
			continue
		}
		assert.Greater(t, len(s.bytes("torn")), 1<<18, "what was written until then")
		assert.Less(t, len(s.bytes("torn")), 1<<20)
		_, err = mtf.Verify(t.Context(), bytes.NewReader(s.bytes("torn")))
		require.Error(t, err)
		assert.Equal(t, []int32{3203, 3013}, s.fails(`RESTORE VERIFYONLY FROM `+on("torn")))
	}
}

func TestAFullDisk(t *testing.T) {
	t.Parallel()
	var room int64
	s := newShelf(t, &mssqlsim.FileOptions{Fault: func(_ string, size int64) error {
		if size >= room {
			return &mssqlsim.DeviceError{Code: 112, Text: "There is not enough space on the disk."}
		}
		return nil
	}})
	require.NoError(t, s.instance.Fill("sales", 1<<20))
	for _, room = range []int64{0, 1, 1 << 19} {
		_, err := s.conn.ExecContext(t.Context(), `BACKUP DATABASE sales TO `+on("full")+` WITH FORMAT`)
		assert.Equal(t, []int32{3202, 3013}, numbers(t, err, "full disk"))
		assert.ErrorContains(t, err, `Write on "S:\backup\full" failed: 112(`)
		assert.NotEmpty(t, s.folder)
	}
	assert.Equal(t, []int32{3035, 3013}, s.fails(`BACKUP DATABASE sales TO `+on("diff")+` WITH DIFFERENTIAL`))
	room = 1 << 30
	s.run(`BACKUP DATABASE sales TO ` + on("full") + ` WITH FORMAT`)
	s.agree("full", 1)
}

func TestFilesInUse(t *testing.T) {
	t.Parallel()
	held, release := make(chan struct{}), make(chan struct{})
	s := newShelf(t, nil, func(c *mssqlsim.Config) {
		c.Pace = func(_ context.Context, database string, _ int) error {
			if database == "sales" {
				close(held)
				<-release
			}
			return nil
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := s.db.ExecContext(t.Context(), `BACKUP DATABASE sales TO `+on("x"))
		done <- err
	}()
	free := sync.OnceFunc(func() { close(release) })
	t.Cleanup(free) // before the server is waited for
	<-held
	assert.Equal(t, []int32{3201, 3013}, s.fails(`RESTORE HEADERONLY FROM `+on("X")))
	assert.Equal(t, []int32{3201, 3013}, s.fails(`RESTORE HEADERONLY FROM `+on("x")))
	assert.Equal(t, []int32{3201, 3013}, s.fails(`BACKUP DATABASE model TO `+on("x")+` WITH FORMAT`))
	free()
	require.NoError(t, <-done)
	s.agree("x", 1)
}

func TestPathsOfTheServer(t *testing.T) {
	t.Parallel()
	root, deep := t.TempDir(), t.TempDir()
	m := mssqlsim.NewFileMedia(map[string]string{`S:\stage`: root, `/stage/deep`: deep, `/stage`: root}, nil)
	for path, want := range map[string]string{
		`s:\STAGE\a\B.bak`: filepath.Join(root, "a", "B.bak"), `S:/stage/x`: filepath.Join(root, "x"), "/stage/deep/x": filepath.Join(deep, "x"), "/stage/deeper": filepath.Join(root, "deeper"),
	} {
		got, err := m.Local(path)
		require.NoError(t, err, path)
		assert.Equal(t, want, got)
	}
	for _, path := range []string{`S:\stage`, `S:\elsewhere\x`, `S:\stage\..\x`, "/stag", "", "x"} {
		_, err := m.Local(path)
		var d *mssqlsim.DeviceError
		require.ErrorAs(t, err, &d, path)
		assert.Equal(t, 3, d.Code, path)
	}
	_, _, err := m.Read(t.Context(), `S:\stage\nothing`)
	code(t, err, 2)
	_, _, err = m.Read(t.Context(), `S:\stage\no\thing`)
	code(t, err, 3)
	require.NoError(t, os.Mkdir(filepath.Join(root, "folder"), 0o755))
	_, _, err = m.Read(t.Context(), `S:\stage\folder`)
	code(t, err, 5)
	_, err = m.Create(t.Context(), mssqlsim.Job{Path: `S:\stage\folder`})
	code(t, err, 5)
}

func code(t *testing.T, err error, want int) {
	t.Helper()
	var d *mssqlsim.DeviceError
	require.True(t, errors.As(err, &d), "%v", err)
	assert.Equal(t, want, d.Code)
}

func TestEncryptedFiles(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	s.insert("one")
	s.instance.AddCertificate(mssqlsim.Certificate{Name: "c"})
	s.run(`BACKUP DATABASE sales TO ` + on("x") + ` WITH FORMAT, ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [c])`)
	assert.Equal(t, mtf.Wrapped, s.verified("x").Container)
	assert.Equal(t, "aes_256", s.sets("x")[0]["KeyAlgorithm"])
	assert.Equal(t, []int32{50000, 3013}, s.fails(`BACKUP DATABASE sales TO `+on("x")), "a set without encryption")
	s.run(`RESTORE DATABASE c FROM ` + on("x") + ` WITH ` + as("c"))
	s.holds("c", "one")
}

func TestCompressedFiles(t *testing.T) {
	t.Parallel()
	s := newShelf(t, nil)
	s.insert("one", "two")
	require.NoError(t, s.instance.Fill("sales", 256<<10))
	s.run(`BACKUP DATABASE sales TO ` + on("a", "b") + ` WITH COMPRESSION, CHECKSUM, STATS = 25`)
	s.insert("three")
	s.run(`BACKUP LOG sales TO ` + on("a", "b") + ` WITH COMPRESSION, CHECKSUM`)
	for _, name := range []string{"a", "b"} {
		m := s.verified(name)
		assert.Equal(t, []any{mtf.Wrapped, 2}, []any{m.Container, m.ContainerVersion})
		rows := s.sets(name)
		require.Len(t, rows, 2)
		assert.Equal(t, true, rows[0]["Compressed"])
		assert.Less(t, len(s.bytes(name)), 128<<10)
	}
	s.run(`RESTORE DATABASE c FROM `+on("a", "b")+` WITH NORECOVERY, `+as("c"), `RESTORE LOG c FROM `+on("a", "b")+` WITH FILE = 2`)
	s.holds("c", "one", "two", "three")
	assert.Equal(t, []int32{3098, 3013}, s.fails(`BACKUP LOG sales TO `+on("a", "b")))
	good := s.bytes("a")
	s.put("a", good[:len(good)/2])
	assert.Equal(t, []int32{3203, 3013}, s.fails(`RESTORE VERIFYONLY FROM `+on("a", "b")))
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 0x40
	s.put("a", bad)
	s.fails(`RESTORE VERIFYONLY FROM ` + on("a", "b"))
	s.put("a", good)
	s.run(`RESTORE VERIFYONLY FROM ` + on("a", "b"))
}

// The reader of the simulator and that of the product agree on what SQL Server itself wrote.
func TestGenuineFiles(t *testing.T) {
	t.Parallel()
	root := os.Getenv("QUIESCE_TESTDATA")
	if root == "" {
		t.Skip("set QUIESCE_TESTDATA to the folder that has bak/")
	}
	folder := filepath.Join(root, "bak")
	names, err := filepath.Glob(filepath.Join(folder, "*.*"))
	require.NoError(t, err)
	m := mssqlsim.NewFileMedia(map[string]string{`S:\bak`: folder}, nil)
	seen := 0
	for _, name := range names {
		if strings.HasSuffix(name, ".md") {
			continue
		}
		seen++
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		want, err := mtf.Verify(t.Context(), bytes.NewReader(b))
		require.NoError(t, err)
		family, sets, err := m.Read(t.Context(), `S:\bak\`+filepath.Base(name))
		require.NoError(t, err, name)
		assert.Equal(t, []any{want.SetID.String(), want.Family, want.Families}, []any{family.MediaSet.String(), family.Sequence, family.Count}, name)
		require.Len(t, sets, len(want.Sets))
		for i, s := range sets {
			w := want.Sets[i]
			assert.False(t, s.Incomplete)
			assert.Equal(t, []string{w.FirstLSN.String(), w.LastLSN.String(), w.CheckpointLSN.String(), w.DatabaseBackupLSN.String(), w.DifferentialBaseLSN.String()},
				[]string{s.First.String(), s.Last.String(), s.Checkpoint.String(), s.DatabaseLSN.String(), s.BaseLSN.String()}, name)
			assert.Equal(t, []string{w.GUID.String(), w.BindingID.String(), w.FamilyGUID.String(), w.RecoveryForkID.String(), w.DifferentialBaseGUID.String(), w.DatabaseBackupGUID.String()},
				[]string{s.ID.String(), s.Binding.String(), s.FamilyGUID.String(), s.Fork.String(), s.BaseID.String(), s.DatabaseID.String()}, name)
			assert.Equal(t, []any{w.Database, w.Server, w.User, w.Name, w.BackupSizeBytes, len(w.Files)}, []any{s.Database, s.Server, s.User, s.Name, s.Bytes, len(s.Files)}, name)
			assert.True(t, w.Started.Equal(s.Start) && w.Finished.Equal(s.Finish) && w.DatabaseCreated.Equal(s.Created), name)
			assert.Equal(t, []any{w.Files[0].Logical, w.Files[0].Physical, w.Files[0].SizeBytes}, []any{s.Files[0].Logical, s.Files[0].Physical, s.Files[0].Bytes}, name)
		}
		_, err = m.Load(t.Context(), `S:\bak\`+filepath.Base(name), 1, true)
		if want.Sets[0].PageBytes+want.Sets[0].LogBytes > 0 {
			require.ErrorContains(t, err, "RESTORE detected an error on page", "pages of a real database are not understood")
		}
	}
	assert.Positive(t, seen)
}
