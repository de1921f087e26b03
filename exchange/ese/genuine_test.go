package ese_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// genuine is a file that the engine wrote, unpacked. The README.md beside these files has the digest of each, as it is stored.
func genuine(t testing.TB, name string) []byte {
	t.Helper()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set: no genuine files")
	}
	dir = filepath.Join(dir, "ese")
	table, err := os.ReadFile(filepath.Join(dir, "README.md"))
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \|.*\| ([0-9a-f]{64}) \|$`).FindSubmatch(table)
	require.NotNil(t, row, name)
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	require.NoError(t, err)
	require.Equal(t, string(row[1]), fmt.Sprintf("%x", sha256.Sum256(b)), name)
	if !strings.HasSuffix(name, ".gz") {
		return b
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	require.NoError(t, err)
	b, err = io.ReadAll(z)
	require.NoError(t, err)
	return b
}

type verdict struct {
	name              string
	page              int
	state             ese.State
	first, last       uint32
	good, unused, bad int64
}

var verdicts = []verdict{
	{"db/basic-4k-clean.edb.gz", 4096, ese.CleanShutdown, 0, 0, 23, 231, 0},
	{"db/ual-current-4k-dirty.mdb.gz", 4096, ese.DirtyShutdown, 125, 125, 56, 198, 0},
	{"db/srudb-4k-16badpages.dat.gz", 4096, ese.CleanShutdown, 0, 0, 79, 63, 16},
	{"db/decompress2-8k-clean.edb.gz", 8192, ese.CleanShutdown, 0, 0, 27, 227, 0},
	{"db/qmgr-16k-dirty.db.gz", 16384, ese.DirtyShutdown, 23, 23, 43, 35, 0},
	{"db/large-32k-clean.edb.gz", 32768, ese.CleanShutdown, 0, 0, 381, 385, 0},
	{"ravendb-658/Data.gz", 4096, ese.CleanShutdown, 0, 0, 64, 192, 0},
}

func TestGenuineVerdicts(t *testing.T) {
	t.Parallel()
	for _, v := range verdicts {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			b := genuine(t, v.name)
			assert.True(t, ese.Match(b))
			d, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), int64(len(b)))
			got := verdict{v.name, d.PageSizeBytes, d.State, d.RequiredFirst, d.RequiredLast, d.Good, d.Unused, d.Bad}
			assert.Equal(t, v, got)
			assert.Equal(t, v.state == ese.CleanShutdown, d.Clean())
			assert.False(t, d.Streaming)
			assert.Zero(t, d.Old)
			assert.Nil(t, d.Trailer)
			assert.Equal(t, strings.Contains(v.name, "8k"), d.LogSignature.IsZero())
			for _, at := range []ese.Stamp{d.Signature.Created, d.AttachedTime} {
				assert.True(t, at.IsZero() || at.Time().Year() >= 2009 && at.Time().Year() <= 2026, "%s", at)
			}
			if v.bad == 0 {
				require.NoError(t, err)
				assert.Equal(t, ese.Summed, d.Depth)
				return
			}
			pages := corruptPages(t, err)
			assert.Len(t, pages, int(v.bad))
			for i, c := range pages {
				assert.EqualValues(t, 143+i, c.Page)
				assert.Equal(t, (c.Page+1)*int64(v.page), c.Offset)
			}
		})
	}
}

// corruptPages is all damage in err.
func corruptPages(t testing.TB, err error) (all []*ese.CorruptError) {
	t.Helper()
	require.ErrorIs(t, err, backup.ErrCorrupt)
	var joined interface{ Unwrap() []error }
	require.True(t, errors.As(err, &joined))
	for _, e := range joined.Unwrap() {
		var c *ese.CorruptError
		require.ErrorAs(t, e, &c)
		all = append(all, c)
	}
	return all
}

// TestGenuinePage is the one page at hand whose number is large.
func TestGenuinePage(t *testing.T) {
	t.Parallel()
	p := genuine(t, "db/page-8k-pgno1793.bin")
	require.EqualValues(t, uint64(0xA73B58C4DD00945F), binary.LittleEndian.Uint64(p))
	assert.EqualValues(t, uint64(0xA73B58C4DD00945F), slowSum(p, 1793, true), "the tests' own checksum is right")
	b := append(made(8192, 1792), p...)
	d, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), -1)
	require.NoError(t, err)
	assert.EqualValues(t, 1793-1792/4, d.Good)
	b = append(made(8192, 1791), p...)
	_, err = ese.VerifyDatabase(t.Context(), bytes.NewReader(b), -1)
	require.ErrorContains(t, err, "page 1792 (byte 14688256): its checksum is that of number 1793")
}

// TestGenuineFlips changes one bit in genuine files. Each change is found, and located unless it is in a header.
func TestGenuineFlips(t *testing.T) {
	t.Parallel()
	var small [][]byte
	for _, v := range verdicts {
		if v.bad == 0 && v.page < 32768 {
			small = append(small, genuine(t, v.name))
		}
	}
	large := genuine(t, "db/large-32k-clean.edb.gz")
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		b := small[r.IntN(len(small))]
		flip(t, b, r.Int64N(int64(len(b))*8))
	}
	for range 200 {
		b := large[:2*32768+32768*64] // whole pages, so that a trial is short
		flip(t, b, r.Int64N(int64(len(b))*8))
	}
}
