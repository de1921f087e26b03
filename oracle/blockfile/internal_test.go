package blockfile

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// The checksums that a published dump shows before and after three edits of one file header (5.3). What else was in that block is not known: noise
// stands for it.
func TestPublishedChecksums(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 8192)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	le := binary.LittleEndian
	stored := func(v uint16) bool {
		le.PutUint16(b[16:], v)
		return fold(b) == 0
	}
	le.PutUint32(b[4:], 0x00800001)
	le.PutUint32(b[44:], 0x00012C00)
	b[52] = 2
	le.PutUint16(b[16:], 0x8F60)
	le.PutUint16(b[8000:], le.Uint16(b[8000:])^fold(b))
	assert.True(t, stored(0x8F60))
	le.PutUint32(b[4:], 0x00400001)
	assert.False(t, stored(0x8F60))
	assert.True(t, stored(0x8FA0))
	le.PutUint32(b[44:], 0x00015E00)
	assert.True(t, stored(0xFDA0))
	b[52] = 1
	assert.True(t, stored(0xFDA3))
}

// fold agrees with the sum over words of 16 bits, in both byte orders, and blank with a look at each byte.
func TestFoldAndBlank(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for size := 512; size <= 32768; size *= 2 {
		b := make([]byte, size)
		assert.True(t, blank(b))
		for i := 0; i < size; i += 1 + size>>8 {
			b[i] = 0x10
			assert.False(t, blank(b), "byte %d", i)
			b[i] = 0
		}
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		var little, big uint16
		for i := 0; i < size; i += 2 {
			little ^= binary.LittleEndian.Uint16(b[i:])
			big ^= binary.BigEndian.Uint16(b[i:])
		}
		assert.Equal(t, little, fold(b))
		assert.Equal(t, big, fold(b)>>8|fold(b)<<8)
	}
}

func TestSCN(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		b    [8]byte
		want uint64
	}{
		{[8]byte{}, 0},
		{[8]byte{1, 2, 3, 4, 5, 6}, 0x060504030201},
		{[8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, 1<<47 - 1},
		{[8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, NoSCN},
		{[8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, NoSCN},
		{[8]byte{1, 2, 3, 4, 7, 0x88, 5, 6}, 0x0807060504030201},
		{[8]byte{1, 2, 3, 4, 5, 6, 7, 8}, 0x060504030201}, // without the bit the last two are something else
	} {
		f := fields{b: c.b[:], order: binary.LittleEndian}
		assert.Equal(t, c.want, f.scn(0), "% x", c.b)
		b := c.b
		turned := []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6]}
		f = fields{b: turned, order: binary.BigEndian}
		assert.Equal(t, c.want, f.scn(0), "% x, big-endian", turned)
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	for stamp, want := range map[uint32]time.Time{
		972599860:     time.Date(2018, 4, 4, 22, 37, 40, 0, time.UTC),  // an open-source reader's own example
		0x39C3AA0E:    time.Date(2018, 2, 26, 17, 12, 46, 0, time.UTC), // a dump of the same day, see blocks.TestPublishedHeaders
		0:             {},
		1<<32 - 1:     {},
		30*86400 + 1:  time.Date(1988, 1, 31, 0, 0, 1, 0, time.UTC),
		60*86400 + 1:  {}, // 30 February
		372*86400 - 1: time.Date(1988, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		b := binary.LittleEndian.AppendUint32(nil, stamp)
		assert.Equal(t, want, fields{b: b, order: binary.LittleEndian}.time(0), "%d", stamp)
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	for v, want := range map[Version]string{0x0B200400: "11.2.0.4", 0x0C100200: "12.1.0.2", 0x0A200100: "10.2.0.1", 0x13000000: "19.0.0", 0x131C0000: "19.28.0", 0x171A0000: "23.26.0"} {
		assert.Equal(t, want, v.String())
	}
}

func TestDepthWords(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{"recognised", "measured", "walked", "summed", "Depth(7)"}, []string{Recognised.String(), Measured.String(), Walked.String(), Summed.String(), Depth(7).String()})
}
