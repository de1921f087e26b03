package mtf_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// genuine is the folder of files that SQL Server wrote, with a README.md whose table says what each holds.
func genuine(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set: no genuine files")
	}
	return filepath.Join(dir, "bak")
}

func load(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(genuine(t), name))
	require.NoError(t, err)
	return b
}

// tableRow is a row of the README: name, origin, bytes, digest, facts.
var tableRow = regexp.MustCompile(`(?m)^\| (\S+\.(?:bak|trn)) \|[^|]*\| (\d+) \|[^|]*\| (db .*?) \|$`)

// TestGenuineFacts compares what is decoded from each genuine file with the table beside it.
func TestGenuineFacts(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile(filepath.Join(genuine(t), "README.md"))
	require.NoError(t, err)
	rows := tableRow.FindAllStringSubmatch(string(table), -1)
	require.GreaterOrEqual(t, len(rows), 26)
	for _, row := range rows {
		t.Run(row[1], func(t *testing.T) {
			t.Parallel()
			m := both(t, load(t, row[1]))
			assert.Equal(t, row[2], fmt.Sprint(m.SizeBytes))
			require.Len(t, m.Sets, 1)
			s := m.Sets[0]
			assert.Equal(t, row[3], fmt.Sprintf("db %s type %s first %s last %s ckpt %s dbbackup %s start %s dbver %d", s.Database, s.Type, s.FirstLSN, s.LastLSN, s.CheckpointLSN,
				s.DatabaseBackupLSN, s.Started.Format("2006-01-02 15:04:05"), s.DatabaseVersion))
			plausible(t, row[1], m)
		})
	}
}

// plausible checks what every genuine file has in common, and what the README says of its groups of files.
func plausible(t *testing.T, name string, m *mtf.Media) {
	t.Helper()
	s := m.Sets[0]
	assert.Equal(t, "Microsoft SQL Server", m.Software)
	assert.False(t, m.PasswordProtected || s.PasswordProtected || s.Encrypted || s.Compressed || s.CopyOnly)
	assert.False(t, s.Started.IsZero() || s.Finished.Before(s.Started) || s.DatabaseCreated.After(s.Started) || !s.ZoneKnown)
	assert.False(t, s.GUID.IsZero() || s.BindingID.IsZero() || s.RecoveryForkID.IsZero() || s.FamilyGUID.IsZero() || m.SetID.IsZero())
	assert.NotEmpty(t, s.Server)
	assert.NotEmpty(t, s.Machine)
	assert.NotEmpty(t, s.User)
	version := map[int]string{661: "10.50", 706: "11.0"}[s.DatabaseVersion]
	assert.Equal(t, version, s.Version())
	require.Len(t, s.FileGroups, 1)
	assert.Equal(t, "PRIMARY", s.FileGroups[0].Name)
	require.Len(t, s.Files, 2)
	data, log := s.Files[0], s.Files[1]
	assert.Equal(t, []bool{false, true}, []bool{data.Log, log.Log})
	assert.True(t, strings.HasSuffix(strings.ToLower(data.Physical), ".mdf") && strings.HasSuffix(strings.ToLower(log.Physical), ".ldf"))
	assert.True(t, strings.HasSuffix(log.Logical, "_log"))
	assert.Equal(t, uint32(1), data.Group)
	sums := strings.HasPrefix(name, "checksum_") && s.PageBytes+s.LogBytes > 0
	assert.Equal(t, sums, s.Checksums)
	assert.Equal(t, map[bool]mtf.Depth{true: mtf.Summed, false: mtf.Walked}[sums || s.PageBytes+s.LogBytes == 0], m.Depth)
	stripes := 1
	if strings.HasPrefix(name, "stripe_") {
		stripes = 2
		assert.Contains(t, name, fmt.Sprintf("_%dof2", m.Family))
	} else {
		assert.Equal(t, data.Pages*8192, s.PageBytes)
	}
	assert.Equal(t, stripes, m.Families)
	assert.Equal(t, map[bool]int{true: 4096, false: 512}[name == "pubs_sql2012_4k.bak"], m.FilemarkBytes)
	empty := map[string]bool{"checksum_LOG_2_empty.trn": true, "ola_LOG_141500.trn": true, "ola_LOG_141800.trn": true, "ola_LOG_142100.trn": true}
	assert.Equal(t, empty[name], s.Empty())
}

// TestGenuineChains: what links backups is read right, or it would not link them.
func TestGenuineChains(t *testing.T) {
	t.Parallel()
	set := func(name string) *mtf.Set {
		m, err := scan(t, load(t, name))
		require.NoError(t, err, name)
		return m.Sets[0]
	}
	for full, diffs := range map[string][]string{
		"rtc_RestoreTimeClean.bak": {"rtc_RestoreTimeClean2.bak"}, "ola_FULL_141300.bak": {"ola_DIFF_141600.bak", "ola_DIFF_141900.bak"}, "checksum_FULL.bak": {"checksum_DIFF_1.bak"},
	} {
		f := set(full)
		for _, name := range diffs {
			d := set(name)
			assert.Equal(t, []any{f.GUID, f.CheckpointLSN, f.CheckpointLSN}, []any{d.DifferentialBaseGUID, d.DifferentialBaseLSN, d.DatabaseBackupLSN}, name)
			assert.Equal(t, []mtf.GUID{f.BindingID, f.FamilyGUID, f.RecoveryForkID, f.GUID}, []mtf.GUID{d.BindingID, d.FamilyGUID, d.FirstRecoveryForkID, d.DatabaseBackupGUID}, name)
		}
	}
	full := set("rtc_RestoreTimeClean.bak")
	var last *mtf.Set
	for _, n := range []string{"_1", "_2", "_3", "2_1", "2_2", "2_3"} {
		l := set("rtc_RestoreTimeClean" + n + ".trn")
		assert.Equal(t, full.GUID, l.DatabaseBackupGUID)
		if last != nil {
			assert.Equal(t, last.LastLSN, l.FirstLSN, n)
			assert.False(t, l.Started.Before(last.Finished))
		} else {
			assert.LessOrEqual(t, l.FirstLSN.Compare(full.LastLSN), 0)
		}
		last = l
	}
}

func TestGenuineStripes(t *testing.T) {
	t.Parallel()
	var all []*mtf.Media
	for _, name := range []string{"stripe_full_2of2.bak", "stripe_log1_1of2.trn", "stripe_full_1of2.bak", "stripe_log1_2of2.trn"} {
		m, err := verify(t, load(t, name))
		require.NoError(t, err)
		all = append(all, m)
	}
	sets := mtf.Group(all...)
	require.Len(t, sets, 2)
	for _, s := range sets {
		require.NoError(t, s.Check())
	}
	assert.Equal(t, []*mtf.Media{all[2], all[0]}, sets[0].Members)
	pages := sets[0].Members[0].Sets[0].PageBytes + sets[0].Members[1].Sets[0].PageBytes
	assert.GreaterOrEqual(t, pages, all[0].Sets[0].Files[0].Pages*8192)

	// A stripe of the log in the place of one of the full.
	sets = mtf.Group(all[0], all[1])
	require.Len(t, sets, 2)
	require.ErrorContains(t, sets[0].Check(), "stripe 1 of 2 is missing")
	require.ErrorContains(t, sets[1].Check(), "stripe 2 of 2 is missing")
}

// TestGenuineTruncations cuts small files at every sector, and large ones at some, and at all of their last 64.
func TestGenuineTruncations(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(genuine(t), "*.*"))
	require.NoError(t, err)
	for _, path := range names {
		if filepath.Ext(path) == ".md" {
			continue
		}
		b := load(t, filepath.Base(path))
		step := 512
		if len(b) > 100<<10 {
			step = 512 * 37
		}
		for n := 0; n < len(b); n += step {
			_, err := scan(t, b[:n])
			damaged(t, err, path)
			if n+step >= len(b)-64*512 {
				step = 512
			}
		}
		for n := step; n < len(b); n += len(b) / 7 / 512 * 512 {
			_, err := verify(t, b[:n])
			damaged(t, err, path)
		}
	}
}

// TestGenuineFlippedBits flips a bit in every page, and in every sector of the log, of the files WITH CHECKSUM.
func TestGenuineFlippedBits(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"checksum_DIFF_1.bak", "checksum_LOG_1.trn", "checksum_FULL.bak"} {
		b := load(t, name)
		step := 8192
		if len(b) > 1<<20 {
			step *= 5 // sampled
		}
		n := 0
		for _, id := range []string{"MQDA", "MQTL"} {
			header := bytes.Index(b, []byte(id))
			if header < 0 {
				continue
			}
			from := header + 24
			to := from + bytes.Index(b[from:], []byte("CSUM"))&^511
			for at := from; at < to; at += step {
				x := at + (at*31)%8192
				if x >= to {
					break
				}
				b[x] ^= 1 << (n % 8)
				_, err := verify(t, b)
				damaged(t, err, name)
				require.ErrorIs(t, err, backup.ErrCorrupt)
				b[x] ^= 1 << (n % 8)
				n++
			}
		}
		assert.Greater(t, n, 6, name)
		_, err := verify(t, b)
		require.NoError(t, err)
	}
}
