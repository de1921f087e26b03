package nsf_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// verify reads a file in three ways, which must say the same.
func verify(t testing.TB, b []byte) (*nsf.File, error) {
	t.Helper()
	f, err := nsf.Verify(t.Context(), bytes.NewReader(b), int64(len(b)))
	var c nsf.Checker
	for i := 0; i < len(b); i += 999 {
		_, werr := c.Write(b[i:min(i+999, len(b))])
		require.NoError(t, werr)
	}
	g, gerr := c.Finish(-1)
	assert.Equal(t, f, g)
	assert.Equal(t, err, gerr)
	return f, err
}

// damaged wants a file to be refused, with these words.
func damaged(t testing.TB, b []byte, words ...string) {
	t.Helper()
	f, err := verify(t, b)
	require.ErrorIs(t, err, backup.ErrCorrupt, "%v", words)
	assert.Equal(t, nsf.Recognised, f.Depth)
	var one *nsf.CorruptError
	require.ErrorAs(t, err, &one)
	assert.Contains(t, backup.Hint(one), "back the database up again")
	for _, w := range words {
		assert.ErrorContains(t, err, w)
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for _, ods := range []uint32{41, 43, 52, 53, 55} {
		f, err := verify(t, made(ods))
		require.NoError(t, err)
		assert.Equal(t, nsf.Measured, f.Depth)
		assert.Empty(t, f.Notes)
		assert.Equal(t, ods, f.ODS)
		assert.NotEmpty(t, f.Release)
		assert.Equal(t, []string{"Orders über☺", "Sales,Shop", "StdOrders", "Base"}, []string{f.Title, f.Categories, f.Template, f.Inherits})
		assert.Equal(t, "852566B90055AB21", f.ReplicaID)
		assert.Equal(t, time.Date(1996, 12, 10, 19, 49, 4, 0, time.UTC), f.Modified)
		assert.True(t, f.Compaction.IsZero())
		assert.Equal(t, "dbdbdbdbdbdbdbdbdbdbdbdbdbdbdbdb", f.DBIID.String())
		assert.Equal(t, "10101010101010101010101010101010", f.LogID.String())
		assert.Equal(t, uint32(17), f.LogNumber)
		assert.Equal(t, nsf.Superblock{Offset: int64(f.HeaderBytes) + 4096, SizeBytes: 4096}, f.Superblocks[1])
		assert.True(t, nsf.Match(made(ods)[:nsf.MatchBytes]))
	}
}

// TestDamage spoils each field that is checked.
func TestDamage(t *testing.T) {
	t.Parallel()
	for words, spoil := range map[string]func(b le) le{
		"byte 0: this is not a database of Notes, it begins with 1b 00":            func(b le) le { return b.u16(0, 0x1B) },
		"byte 2: the header says that it has 1025 bytes":                           func(b le) le { return b.u32(2, 1025) },
		"with on-disk structure 53 it has 2048":                                    func(b le) le { return b.u32(6, 53) },
		"byte 42: 0x0001 is no class of a file of Notes":                           func(b le) le { return b.u16(42, 1) },
		"the file ends here; its header gives it":                                  func(b le) le { return b.u32(88, uint32(len(b)/256+1)) },
		"byte 88: the header gives the file 256 bytes, which is less than":         func(b le) le { return b.u32(88, 1) },
		"byte 560: superblock 1 begins at byte 768, inside the header":             func(b le) le { return b.u32(560, 3) },
		"byte 560: superblock 1 is empty":                                          func(b le) le { return b.u32(564, 0) },
		"byte 568: superblock 2 is bytes 5120 to 22275; the file has":              func(b le) le { return b.u32(572, 17156) },
		"byte 568: superblock 2 is bytes 1099511627520 to 1103806594814; the file": func(b le) le { return b.u32(568, math.MaxUint32).u32(572, math.MaxUint32) },
		"byte 1024: superblock 1 begins with 0f 00, not with 0e 00":                func(b le) le { return b.u16(1024, 0x0F) },
		"byte 5120: superblock 2 begins with 0e 01":                                func(b le) le { return b.u16(5120, 0x10E) },
		"byte 560: the superblocks lie one over the other, at byte 1024 and at":    func(b le) le { return b.u32(564, 4097) },
		"byte 17407: the file ends here, and its length is not a multiple of 256":  func(b le) le { return b[:len(b)-1] },
		"byte 1023: the file ends here, inside the header of a database":           func(b le) le { return b[:1023] },
		"byte 0: this is not a database of Notes, it begins with ":                 func(b le) le { return b[:0] },
	} {
		damaged(t, spoil(made(43)), words)
	}
	damaged(t, made(43).u32(560, 3).u16(5120, 0), "superblock 1", "superblock 2")
	other := made(53)
	damaged(t, append(other[:2048:2048], made(43)[2048:]...), "superblock 1 begins with 00 00", "ends here") // the header of another
}

func TestCutShort(t *testing.T) {
	t.Parallel()
	b := made(55)
	for n := 0; n < len(b); n += 37 {
		damaged(t, b[:n])
	}
}

// TestUnusual: what is no damage is said.
func TestUnusual(t *testing.T) {
	t.Parallel()
	for note, b := range map[string]le{
		"the on-disk structure 60 is not known here": made(43).u32(6, 60),
		"the on-disk structure 20 is not known here": made(43).u32(6, 20).u32(560, 0),
		"byte 560: superblock 1 begins at byte 0":    made(43).u32(6, 20).u32(560, 0),
		"and its header gives it only 17152":         made(43).u32(88, 67),
		"0xFF08 is neither the class":                made(43).u16(42, 0xFF08),
	} {
		f, err := verify(t, b)
		require.NoError(t, err)
		assert.Contains(t, fmt.Sprint(f.Notes), note)
		assert.Equal(t, f.ODS == 43, f.Depth == nsf.Measured)
	}
	assert.Equal(t, "Depth(7)", nsf.Depth(7).String())
	assert.Equal(t, "class 0xFF08", nsf.Class(0xFF08).String())
}

func TestSizeThatIsKnownElsewhere(t *testing.T) {
	t.Parallel()
	b := made(43)
	_, err := nsf.Verify(t.Context(), bytes.NewReader(b), int64(len(b))+256)
	require.ErrorIs(t, err, backup.ErrCorrupt)
	require.ErrorContains(t, err, "byte 17408: the file has 17408 bytes, and should have 17664")
}

func TestErrorsOfTheReader(t *testing.T) {
	t.Parallel()
	broken := errors.New("disk on fire")
	f, err := nsf.Verify(t.Context(), io.MultiReader(bytes.NewReader(made(43)[:2000]), iotest.ErrReader(broken)), -1)
	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, backup.ErrCorrupt)
	assert.Equal(t, uint32(43), f.ODS)
	_, err = nsf.Verify(cancelled(t), bytes.NewReader(made(43)), -1)
	require.ErrorIs(t, err, errGone)
}

func TestMatch(t *testing.T) {
	t.Parallel()
	b := made(43)
	for _, no := range [][]byte{nil, b[:nsf.MatchBytes-1], made(43).u32(2, 1000), made(43).u32(6, 1<<20), made(43).u16(42, 0x4241), made(43).u16(0, 0x1B)} {
		assert.False(t, nsf.Match(no))
	}
	assert.True(t, nsf.Match(made(43).u32(6, 60)))
}
