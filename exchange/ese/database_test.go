package ese_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

var pageSizes = []int{2048, 4096, 8192, 16384, 32768}

func verify(t testing.TB, b []byte) (*ese.Database, error) {
	t.Helper()
	return ese.VerifyDatabase(t.Context(), bytes.NewReader(b), -1)
}

// flip changes a bit of a database, and expects to be told which it was.
func flip(t *testing.T, b []byte, bit int64) {
	t.Helper()
	b[bit/8] ^= 1 << (bit % 8)
	defer func() { b[bit/8] ^= 1 << (bit % 8) }()
	d, err := verify(t, b)
	all := corruptPages(t, err)
	require.Len(t, all, 1, "bit %d", bit)
	require.Equal(t, ese.Recognised, d.Depth)
	c, page := all[0], int64(d.PageSizeBytes)
	at := bit / 8 / page
	require.Equal(t, at*page, c.Offset)
	require.Equal(t, max(0, at-1), c.Page)
	switch in := bit - c.Offset*8; {
	case at < 2:
		require.EqualValues(t, -1, c.Bit, "headers have an XOR only")
	case c.Bit < 0: // not located
		p := b[c.Offset : c.Offset+page]
		old := p[37]&0x20 == 0 && page <= 8192
		require.True(t, old || page <= 8192 && in < 32, "bit %d of page %d of %d bytes: %s", in, c.Page, page, c.What)
	default:
		require.Equal(t, in, c.Bit, c.What)
	}
}

func TestEveryPageSize(t *testing.T) {
	t.Parallel()
	for _, size := range pageSizes {
		b := made(size, 12)
		assert.True(t, ese.Match(b))
		d, err := verify(t, b)
		require.NoError(t, err)
		old := int64(3)
		if size > 8192 {
			old = 0
		}
		assert.Equal(t, &ese.Database{
			Depth: ese.Summed, SizeBytes: int64(len(b)), Good: 9, Unused: 3, Old: old,
			Header: ese.Header{
				PageSizeBytes: size, State: ese.DirtyShutdown, Format: 0x14, DBTime: 4711, RequiredFirst: 17, RequiredLast: 19, CommittedLast: 20,
				Signature:    ese.Signature{Random: 0x04030201, Created: ese.Stamp{5, 30, 12, 1, 3, 124, 1}, Computer: "EXCH1"},
				LogSignature: ese.Signature{Random: 0x08070605, Created: ese.Stamp{5, 30, 12, 1, 3, 124}, Computer: "EXCH1"},
			},
		}, d)
		assert.Equal(t, "67305985 of 2024-03-01 12:30:05Z", d.Signature.String())
	}
}

func TestFlips(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for _, size := range pageSizes {
		b := made(size, 4)
		for range 200 {
			flip(t, b, r.Int64N(int64(len(b))*8))
		}
		for _, page := range []int64{2, 3, 4, 5} { // what describes the page itself
			for bit := range int64(80 * 8) {
				flip(t, b, page*int64(size)*8+bit)
			}
		}
	}
}

// TestTwoFlips are found, and never called one.
func TestTwoFlips(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 500 {
		size := pageSizes[i%len(pageSizes)]
		b := made(size, 1)
		x, y := r.IntN(size*8), r.IntN(size*8)
		if x == y {
			continue
		}
		b[2*size+x/8] ^= 1 << (x % 8)
		b[2*size+y/8] ^= 1 << (y % 8)
		_, err := verify(t, b)
		all := corruptPages(t, err)
		require.Len(t, all, 1)
		require.True(t, all[0].Bit < 0, "bits %d and %d of %d bytes: %s", x, y, size, all[0])
	}
}

// TestMisplacedPages are whole, and somewhere else.
func TestMisplacedPages(t *testing.T) {
	t.Parallel()
	for _, size := range pageSizes {
		for _, from := range []int{1, 2, 4} {
			for _, to := range []int{5, 8, 9} {
				b := made(size, 12)
				copy(b[(to+1)*size:(to+2)*size], b[(from+1)*size:])
				_, err := verify(t, b)
				all := corruptPages(t, err)
				require.Len(t, all, 1)
				assert.EqualValues(t, to, all[0].Page)
				assert.Regexp(t, fmt.Sprintf("(page|number) %d\\b", from), all[0].What)
				assert.EqualValues(t, -1, all[0].Bit)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, size := range pageSizes {
		b := made(size, 4)
		clear(b[:size])
		assert.True(t, ese.Match(b), "by the second copy")
		d, err := verify(t, b)
		require.ErrorContains(t, err, "byte 0: the first copy of the header is damaged; the second")
		assert.Equal(t, size, d.PageSizeBytes)
		assert.EqualValues(t, 3, d.Good, "pages are read on")

		b = made(size, 4)
		b[size+700]++
		_, err = verify(t, b)
		require.ErrorContains(t, err, fmt.Sprintf("byte %d: the second copy of the header is damaged", size))
		b[700]++
		_, err = verify(t, b)
		require.ErrorContains(t, err, "neither copy of the header is whole")

		b = made(size, 4)
		b[16]++
		sealBlock(b[:size])
		d, err = verify(t, b)
		require.NoError(t, err)
		require.Len(t, d.Notes, 1, "as in a snapshot between the two writes")
		assert.EqualValues(t, 4712, d.DBTime)

		b = made(size, 4)
		b[208] |= 1
		sealBlock(b[:size])
		clear(b[size : 2*size])
		d, err = verify(t, b)
		require.NoError(t, err)
		assert.Contains(t, d.Notes, "the header has no second copy, and says so")
	}
	for _, b := range [][]byte{nil, {1}, make([]byte, 1<<17), bytes.Repeat([]byte("MTF "), 1<<15)} {
		assert.False(t, ese.Match(b))
		_, err := verify(t, b)
		require.ErrorIs(t, err, backup.ErrCorrupt)
		require.ErrorContains(t, err, "not a database of the Extensible Storage Engine")
	}
}

func TestLength(t *testing.T) {
	t.Parallel()
	b := made(4096, 4)
	for n := range len(b) {
		if n%4096 != 0 && n%371 != 0 {
			continue
		}
		_, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b[:n]), int64(len(b)))
		require.ErrorIs(t, err, backup.ErrCorrupt)
		if n%4096 != 0 || n < 8192 {
			_, err = verify(t, b[:n])
			require.ErrorIs(t, err, backup.ErrCorrupt, "also when the size is not known")
		}
	}
	_, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), 4096)
	require.ErrorContains(t, err, "byte 4096: the file has 24576 bytes, and should have 4096")
}

// streamed is a copy by the streaming API, with its last page.
func streamed(size int) []byte {
	b := made(size, 4)
	copy(b[184:], "\x01\x00\x02\x00\x11\x00\x00\x00\x05\x1e\x0c\x01\x03\x7c\x01\x00\x11\x00\x00\x00")
	sealHeaders(b, size)
	p := make([]byte, size)
	copy(p[40:], b[184:208])
	binary.LittleEndian.PutUint32(p[60:], 19)
	copy(p[64:], b[24:52])
	copy(p[92:], b[108:136])
	sealBlock(p)
	return append(b, p...)
}

func TestStreamedCopy(t *testing.T) {
	t.Parallel()
	for _, size := range pageSizes {
		b := streamed(size)
		d, err := verify(t, b)
		require.NoError(t, err)
		assert.EqualValues(t, 3, d.Good)
		assert.Equal(t, ese.BackupMark{At: ese.Position{Generation: 17, Sector: 2, Byte: 1}, Time: ese.Stamp{5, 30, 12, 1, 3, 124, 1}, First: 17, Last: 19}, d.Trailer.Full)
		assert.False(t, d.Clean())

		_, err = verify(t, b[:len(b)-size])
		require.ErrorContains(t, err, "the copy was not finished")
		_, err = verify(t, append(bytes.Clone(b), b[2*size:3*size]...))
		assert.EqualValues(t, 5, corruptPages(t, err)[0].Page, "only the last page ends a copy")
		for at, what := range map[int]string{40: "of the backup", 64: "of the database", 92: "of the logs"} {
			c := bytes.Clone(b)
			c[len(c)-size+at]++
			sealBlock(c[len(c)-size:])
			_, err = verify(t, c)
			require.ErrorContains(t, err, what)
			c[len(c)-1]++
			_, err = verify(t, c)
			require.ErrorIs(t, err, backup.ErrCorrupt)
		}
		plain := append(made(size, 4), b[len(b)-size:]...)
		d, err = verify(t, plain)
		assert.EqualValues(t, 5, corruptPages(t, err)[0].Page, "no such copy")
		assert.EqualValues(t, 1, d.Bad)
	}
}

func TestStreamingFile(t *testing.T) {
	t.Parallel()
	b := made(4096, 4)
	b[12] = 1
	sealHeaders(b, 4096)
	b[3*4096]++
	d, err := verify(t, b)
	require.NoError(t, err, "nothing tells")
	assert.Equal(t, ese.Measured, d.Depth, "and the depth says so")
	assert.True(t, d.Streaming)
}

func TestManyBadPages(t *testing.T) {
	t.Parallel()
	b := made(2048, 100)
	for n := 2; n < 102; n++ {
		b[n*2048+500]++
	}
	d, err := verify(t, b)
	assert.EqualValues(t, 100, d.Bad)
	all := corruptPages(t, err)
	require.Len(t, all, 21)
	assert.Contains(t, all[20].Error(), "page 100 (byte 206848): the last of 80 more problems")
	assert.NotEmpty(t, all[0].Hint())
}

var errGone = errors.New("gone")

func TestReaderFails(t *testing.T) {
	t.Parallel()
	b := made(8192, 4)
	_, err := ese.VerifyDatabase(t.Context(), io.MultiReader(bytes.NewReader(b[:9000]), iotest.ErrReader(errGone)), -1)
	require.ErrorIs(t, err, errGone)
	require.ErrorContains(t, err, "read at byte 9000")
	d, err := ese.VerifyDatabase(t.Context(), iotest.OneByteReader(bytes.NewReader(b)), -1)
	require.NoError(t, err)
	assert.EqualValues(t, 3, d.Good)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	_, err = ese.VerifyDatabase(ctx, bytes.NewReader(b), -1)
	require.ErrorIs(t, err, errGone)
}
