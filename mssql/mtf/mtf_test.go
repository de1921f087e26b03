package mtf_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/tapesim"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func scan(t *testing.T, b []byte) (*mtf.Media, error) {
	t.Helper()
	return mtf.Scan(t.Context(), bytes.NewReader(b), int64(len(b)))
}

func verify(t *testing.T, b []byte) (*mtf.Media, error) {
	t.Helper()
	return mtf.Verify(t.Context(), bytes.NewReader(b))
}

// both demands that Scan and Verify find the same, but for the depth.
func both(t *testing.T, b []byte) *mtf.Media {
	t.Helper()
	seen, err := scan(t, b)
	require.NoError(t, err)
	m, err := verify(t, b)
	require.NoError(t, err)
	assert.LessOrEqual(t, seen.Depth, mtf.Walked)
	was := m.Depth
	seen.Depth = was
	require.Equal(t, m, seen)
	assert.EqualValues(t, len(b), m.SizeBytes)
	return m
}

// damaged demands an error that names a byte and wraps backup.ErrCorrupt.
func damaged(t *testing.T, err error, what string) {
	t.Helper()
	require.ErrorIs(t, err, backup.ErrCorrupt, what)
	var c *mtf.CorruptError
	require.ErrorAs(t, err, &c, what)
	require.NotEmpty(t, backup.Hint(err))
}

func TestFull(t *testing.T) {
	t.Parallel()
	f := media(full())
	f.Password = true
	b := f.Bytes()
	assert.True(t, mtf.Match(b[:8]))
	m := both(t, b)
	assert.Equal(t, mtf.Plain, m.Container)
	assert.Equal(t, mtf.Summed, m.Depth)
	assert.Equal(t, mtf.GUID(id(7)), m.SetID)
	assert.Equal(t, []any{1, 1, "shelf", "Microsoft SQL Server", true, 512}, []any{m.Family, m.Families, m.Name, m.Software, m.PasswordProtected, m.FilemarkBytes})
	require.Len(t, m.Sets, 1)
	s := m.Sets[0]
	zone := time.FixedZone("", -5*60*60)
	assert.Equal(t, time.Date(2024, 2, 29, 23, 59, 58, 0, zone), s.Started)
	assert.Equal(t, time.Date(2024, 3, 1, 0, 0, 5, 0, zone), s.Finished)
	assert.True(t, s.ZoneKnown)
	s.Started, s.Finished, s.DatabaseCreated = time.Time{}, time.Time{}, time.Time{}
	assert.Equal(t, &mtf.Set{
		Position: 1, Type: mtf.Database, GUID: id(1), Name: "nightly", User: `CORP\backup`, Database: "sales", Server: `DB7\PROD`, Machine: "DB7", Device: "C:",
		VersionMajor: 13, DatabaseVersion: 852, CompatibilityLevel: 100, CodePage: 1252, SortOrder: 52, LocaleID: 1033, CompareStyle: 196609, ZoneKnown: true,
		FirstLSN: mtf.LSN{VLF: 34, Block: 2048, Slot: 37}, LastLSN: mtf.LSN{VLF: 34, Block: 2080, Slot: 1}, CheckpointLSN: mtf.LSN{VLF: 34, Block: 2048, Slot: 37},
		DatabaseBackupLSN: mtf.LSN{VLF: 33, Block: 16, Slot: 1}, DatabaseBackupGUID: id(9),
		BindingID: id(2), RecoveryForkID: id(3), FirstRecoveryForkID: id(3), FamilyGUID: id(4), BackupSizeBytes: 40 * 8192, Checksums: true,
		FileGroups: []mtf.FileGroup{{1, "PRIMARY"}, {2, "ARCHIVE"}},
		Files: []mtf.File{
			{ID: 1, Group: 1, Logical: "sales", Physical: `D:\data\sales.mdf`, SizeBytes: 3 << 20, PageSizeBytes: 8192, Pages: 24},
			{ID: 2, Group: 2, Logical: "sales_archive", Physical: `E:\data\sales_archive.ndf`, SizeBytes: 1 << 20, PageSizeBytes: 8192, Pages: 8},
			{ID: 3, Logical: "sales_log", Physical: `L:\log\sales_log.ldf`, SizeBytes: 1 << 20, PageSizeBytes: 8192, Pages: 2, Log: true},
		},
		PageBytes: 32 * 8192, LogBytes: 8 * 8192, Offset: 1536,
	}, s)
	assert.Equal(t, "13.0", s.Version())
	assert.Equal(t, backup.Full, s.Type.Kind())
}

func TestSeveralSets(t *testing.T) {
	t.Parallel()
	last := empty()
	last.Zone, last.CopyOnly, last.Password, last.FirstFork = 127, true, true, id(8)
	f := media(full(), differential(), last)
	f.FilemarkBytes = 4096
	m := both(t, f.Bytes())
	require.Len(t, m.Sets, 3)
	assert.Equal(t, mtf.Summed, m.Depth)
	assert.Equal(t, 4096, m.FilemarkBytes)
	d, l := m.Sets[1], m.Sets[2]
	assert.Equal(t, backup.Differential, d.Type.Kind())
	assert.Equal(t, m.Sets[0].GUID, d.DifferentialBaseGUID)
	assert.Equal(t, m.Sets[0].CheckpointLSN, d.DifferentialBaseLSN)
	assert.True(t, l.Empty())
	assert.Equal(t, backup.Log, l.Type.Kind())
	assert.Equal(t, []bool{false, true, true, false}, []bool{l.ZoneKnown, l.CopyOnly, l.PasswordProtected, l.Checksums})
	assert.Equal(t, mtf.GUID(id(8)), l.FirstRecoveryForkID)
	assert.Equal(t, time.Date(2024, 2, 29, 23, 59, 58, 0, time.UTC), l.Started)
}

func TestMarksOf64KiB(t *testing.T) {
	t.Parallel()
	f := media(full())
	f.FilemarkBytes = 64 << 10
	assert.Equal(t, 64<<10, both(t, f.Bytes()).FilemarkBytes)
}

func TestWithoutChecksum(t *testing.T) {
	t.Parallel()
	s := full()
	s.Checksum = false
	m := both(t, media(s, differential()).Bytes())
	assert.Equal(t, mtf.Walked, m.Depth, "one set of two says nothing of its data")
	assert.False(t, m.Sets[0].Checksums)
	assert.True(t, m.Sets[1].Checksums)
}

func TestEncryptedAndCompressedStreams(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ encryption, compression uint16 }{{1, 0}, {0, 1}, {3, 2}} {
		s := full()
		s.Encryption, s.Compression = c.encryption, c.compression
		m := both(t, media(s).Bytes())
		assert.Equal(t, mtf.Walked, m.Depth)
		assert.Equal(t, c.encryption != 0, m.Sets[0].Encrypted)
		assert.Equal(t, c.compression != 0, m.Sets[0].Compressed)
		assert.Equal(t, "sales", m.Sets[0].Database)
	}
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	b := append([]byte("MSSQLBAK\x02\x00\x00\x00\x01\x00\x00\x00"), pages(200, 1)...)
	assert.True(t, mtf.Match(b))
	m := both(t, b)
	assert.Equal(t, &mtf.Media{Container: mtf.Wrapped, ContainerVersion: 2, SizeBytes: int64(len(b))}, m)
	_, err := verify(t, b[:12])
	damaged(t, err, "half a head")
}

func TestOtherFiles(t *testing.T) {
	t.Parallel()
	foreign := media(full())
	foreign.Vendor = 0x0001
	none := media()
	for what, b := range map[string][]byte{
		"nothing": nil, "short": []byte("TAPE"), "zip archive": []byte("PK\x03\x04 and so on"), "zeros": make([]byte, 4096), "text": []byte("-- MySQL dump"),
		"vendor 0x0001": foreign.Bytes(), "SSET is to follow": none.Bytes(), "TAPE and zeros": append([]byte("TAPE\x00\x00\x03\x00"), make([]byte, 4096)...),
	} {
		for _, read := range []func(*testing.T, []byte) (*mtf.Media, error){scan, verify} {
			m, err := read(t, b)
			damaged(t, err, what)
			require.NotNil(t, m)
			assert.Equal(t, mtf.Recognised, m.Depth)
		}
	}
	_, err := scan(t, foreign.Bytes())
	assert.ErrorContains(t, err, "vendor 0x0001")
	_, err = scan(t, none.Bytes())
	assert.ErrorContains(t, err, "where a block SSET is to follow")
}

// TestTruncations cuts at every sector. A file cut behind its first backup is a whole file of one backup: that one cut cannot be seen.
func TestTruncations(t *testing.T) {
	t.Parallel()
	one := len(media(full()).Bytes())
	b := media(full(), differential()).Bytes()
	for n := 0; n < len(b); n += 512 {
		m, err := scan(t, b[:n])
		also, errToo := verify(t, b[:n])
		if n == one {
			require.NoError(t, errors.Join(err, errToo))
			continue
		}
		damaged(t, err, "scan")
		damaged(t, errToo, "verify")
		require.Equal(t, m, also, "cut at %d", n)
		if n > 8<<10 {
			require.Equal(t, "sales", m.Sets[0].Database, "what a cut file is of can be told")
		}
	}
	_, err := verify(t, append(b, make([]byte, 512)...))
	damaged(t, err, "bytes behind the end")
}

// TestFlippedBits: in a set WITH CHECKSUM every bit of pages and log is covered.
func TestFlippedBits(t *testing.T) {
	t.Parallel()
	s := full()
	b := media(s).Bytes()
	for _, data := range append(s.Pages, s.Log) {
		from := bytes.Index(b, data)
		require.Positive(t, from)
		for at := from; at < from+len(data); at += 509 {
			b[at] ^= 1 << (at % 8)
			_, err := verify(t, b)
			damaged(t, err, "a bit of data")
			_, err = scan(t, b)
			require.NoError(t, err, "Scan leaves the data alone")
			b[at] ^= 1 << (at % 8)
		}
	}
	_, err := verify(t, b)
	require.NoError(t, err)
}

// TestFlippedHeaders: every bit of every header of a block and of a stream is covered, wherever they are.
func TestFlippedHeaders(t *testing.T) {
	t.Parallel()
	small := full()
	small.Pages, small.Log = [][]byte{pages(1, 1)}, pages(1, 2)
	b := media(small).Bytes()
	n := 0
	for _, h := range []struct {
		id   string
		size int
	}{{"TAPE", 52}, {"SFMB", 52}, {"SSET", 52}, {"VOLB", 52}, {"MSCI", 52}, {"MSDA", 52}, {"MSTL", 52}, {"MSLS", 52}, {"ESET", 52}, {"RAID", 22}, {"MQCI", 22}, {"APAD", 22},
		{"MQDA", 22}, {"MQTL", 22}, {"CSUM", 26}, {"SPAD", 22}} {
		for from := 0; ; {
			at := bytes.Index(b[from:], []byte(h.id))
			if at < 0 {
				break
			}
			at += from
			from = at + 1
			for bit := range h.size * 8 {
				b[at+bit/8] ^= 1 << (bit % 8)
				_, err := verify(t, b)
				damaged(t, err, h.id)
				b[at+bit/8] ^= 1 << (bit % 8)
				n++
			}
		}
	}
	assert.Greater(t, n, 5000)
}

// TestSwappedBlocks: whole blocks in the wrong place have good checksums, and are found by their addresses.
func TestSwappedBlocks(t *testing.T) {
	t.Parallel()
	s := full()
	s.Pages = [][]byte{pages(8, 1), pages(8, 2)}
	b := media(s).Bytes()
	first := bytes.Index(b, []byte("MSDA"))
	second := first + 4 + bytes.Index(b[first+4:], []byte("MSDA"))
	log := bytes.Index(b, []byte("MSTL"))
	require.Equal(t, second-first, log-second)
	swapped := bytes.Join([][]byte{b[:first], b[second:log], b[first:second], b[log:]}, nil)
	_, err := scan(t, swapped)
	damaged(t, err, "swapped")
	assert.ErrorContains(t, err, "logical block")
}

// TestDescriptionsDisagree: no checksum covers the description of a set, but there are two.
func TestDescriptionsDisagree(t *testing.T) {
	t.Parallel()
	b := media(full()).Bytes()
	at := bytes.Index(b, []byte("SCIN"))
	for offset, what := range map[int]string{0x20: "FirstLSN", 0x34: "CheckpointLSN", 0x4E: "start", 0x57: "type", 0x7C: "BindingID", 0x9C: "RecoveryForkID", 0xE0: "FamilyGUID", 0xC8: "DatabaseBackupGUID"} {
		b[at+offset] ^= 1
		_, err := scan(t, b)
		damaged(t, err, what)
		require.ErrorContains(t, err, what)
		b[at+offset] ^= 1
	}
	// LastLSN may be unknown at the start, but the last description repeats it.
	b[at+0x2A] ^= 1
	_, err := scan(t, b)
	require.NoError(t, err)
	b[at+0x2A] ^= 1
	b[bytes.LastIndex(b, []byte("SCIN"))+0x2A] ^= 1
	_, err = scan(t, b)
	damaged(t, err, "LastLSN")
}

// TestImpossibleTimes: a date or zone that does not exist is told as none.
func TestImpossibleTimes(t *testing.T) {
	t.Parallel()
	s := full()
	s.Zone = 100
	b := media(s).Bytes()
	for _, at := range []int{bytes.Index(b, []byte("SCIN")), bytes.LastIndex(b, []byte("SCIN"))} {
		copy(b[at+0x48:], []byte{0xff, 0xff, 0xff, 0xff, 0xff})
	}
	m := both(t, b)
	assert.True(t, m.Sets[0].DatabaseCreated.IsZero())
	assert.False(t, m.Sets[0].ZoneKnown)
	_, err := json.Marshal(m)
	require.NoError(t, err)
}

// TestLyingLengths: lengths that no checksum covers are not believed.
func TestLyingLengths(t *testing.T) {
	t.Parallel()
	b := media(full()).Bytes()
	for _, id := range []string{"SCIN", "SFGI", "SFIN"} {
		at := bytes.Index(b, []byte(id))
		for _, n := range []uint32{0, 7, 8, 20, 1 << 16, 1<<32 - 1} {
			c := bytes.Clone(b)
			binary.LittleEndian.PutUint32(c[at+4:], n)
			_, err := scan(t, c)
			damaged(t, err, id)
		}
	}
	at := bytes.Index(b, []byte("SCIN"))
	binary.LittleEndian.PutUint16(b[at+0x6A:], 0xFFF0)
	_, err := scan(t, b)
	damaged(t, err, "a name outside its record")

	many := full()
	for range 1000 {
		many.Files = append(many.Files, tapesim.Database{Logical: "one more", Physical: "somewhere", Group: 1})
	}
	b = media(many).Bytes()
	assert.Len(t, both(t, b).Sets[0].Files, 1003)
	binary.LittleEndian.PutUint32(b[bytes.Index(b, []byte("SCIN"))+4:], 64<<10+1)
	_, err = scan(t, b)
	damaged(t, err, "a record that is longer than what is read at once")

	b = media(full()).Bytes()
	b[bytes.Index(b, []byte("CSUM"))+8] = 3
	reseal(b)
	_, err = scan(t, b)
	damaged(t, err, "a checksum of three bytes")
}

// TestAllDamageIsTold: a bad page does not hide the next.
func TestAllDamageIsTold(t *testing.T) {
	t.Parallel()
	s := full()
	b := media(s).Bytes()
	b[bytes.Index(b, s.Pages[0])+5000] ^= 4
	b[bytes.Index(b, s.Log)+70] ^= 4
	_, err := verify(t, b)
	var many interface{ Unwrap() []error }
	require.ErrorAs(t, err, &many)
	require.Len(t, many.Unwrap(), 2)
	assert.ErrorContains(t, err, "the pages from here")
	assert.ErrorContains(t, err, "the log from here")
}

func TestReadErrorsAreNotDamage(t *testing.T) {
	t.Parallel()
	b := media(full()).Bytes()
	broken := errors.New("cable pulled")
	_, err := mtf.Verify(t.Context(), io.MultiReader(bytes.NewReader(b[:20000]), iotest.ErrReader(broken)))
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, backup.ErrCorrupt)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(broken)
	_, err = mtf.Scan(ctx, bytes.NewReader(b), int64(len(b)))
	require.ErrorIs(t, err, broken)
	_, err = mtf.Verify(ctx, bytes.NewReader(b))
	require.ErrorIs(t, err, broken)
}

// odd gives 1000 bytes at a time, so that pieces do not end where sectors do.
type odd struct{ r io.Reader }

func (o odd) Read(p []byte) (int, error) { return o.r.Read(p[:min(len(p), 1000)]) }

func TestSmallReads(t *testing.T) {
	t.Parallel()
	b := media(full()).Bytes()
	for _, r := range []io.Reader{iotest.OneByteReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b)), odd{bytes.NewReader(b)}} {
		m, err := mtf.Verify(t.Context(), r)
		require.NoError(t, err)
		assert.Equal(t, mtf.Summed, m.Depth)
	}
}

func TestMediaAsJSON(t *testing.T) {
	t.Parallel()
	m := both(t, media(differential()).Bytes())
	b, err := json.Marshal(m)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"LastLSN":"35000000006400001"`)
	var again mtf.Media
	require.NoError(t, json.Unmarshal(b, &again))
	assert.Equal(t, m.Sets[0].DifferentialBaseGUID, again.Sets[0].DifferentialBaseGUID)
	assert.Equal(t, m.Sets[0].FirstLSN, again.Sets[0].FirstLSN)
}

func TestDepths(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"recognised", "walked", "summed", "Depth(9)"}, []string{mtf.Recognised.String(), mtf.Walked.String(), mtf.Summed.String(), mtf.Depth(9).String()})
	assert.Empty(t, mtf.Type("F").Kind())
}
