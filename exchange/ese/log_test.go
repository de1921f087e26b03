package ese_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

func readLog(t testing.TB, name string, b []byte) ese.NamedLog {
	t.Helper()
	l, err := ese.VerifyLog(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	return ese.NamedLog{Name: name, Log: l}
}

func genuineLogs(t testing.TB) (raw map[string][]byte, logs []ese.NamedLog) {
	t.Helper()
	raw = map[string][]byte{}
	for _, name := range []string{"edb00046.log", "edb00047.log", "edb00048.log", "edb.log"} {
		raw[name] = genuine(t, "datastore/"+name+".gz")
		assert.True(t, ese.MatchLog(raw[name]))
		logs = append(logs, readLog(t, name, raw[name]))
	}
	return raw, logs
}

func TestGenuineLogs(t *testing.T) {
	t.Parallel()
	_, logs := genuineLogs(t)
	sums := []uint64{0x5E3821C79E7F3C5F, 0x7EE3011C37E81CD1, 0x0F4B0F4B490892E4}
	for i, n := range logs {
		l := n.Log
		assert.EqualValues(t, 0x46+i, l.Generation)
		assert.Equal(t, ese.Summed, l.Depth)
		assert.True(t, l.Circular && l.CircularBefore && l.Linked)
		want := [4]int64{318, 0, 1, 0}
		if n.Name == "edb.log" {
			want = [4]int64{21, 1, 297, 0}
		} else {
			assert.Equal(t, sums[i], l.Sum)
		}
		assert.Equal(t, want, [4]int64{l.Data, l.Shadow, l.Unused, l.Bad}, n.Name)
	}
	recycled := readLog(t, "edb00045.log", genuine(t, "datastore/edbtmp.log.gz"))
	assert.EqualValues(t, 0x45, recycled.Log.Generation)
	assert.EqualValues(t, uint64(0x5FBB5FBBE2DAC605), recycled.Log.Sum)
	require.NoError(t, ese.CheckChain(ese.Signature{}, append(logs, recycled)), "in any order")

	c, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(genuine(t, "datastore/edb.chk")))
	require.NoError(t, err)
	assert.Equal(t, "0x49:15:0", c.At.String())
	require.NoError(t, ese.CheckChain(c.Signature, logs))

	raven, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(genuine(t, "ravendb-658/RVN.chk")))
	require.NoError(t, err)
	assert.Equal(t, "0x1:88:4D", raven.At.String())
	d, err := verify(t, genuine(t, "ravendb-658/Data.gz"))
	require.NoError(t, err)
	assert.Equal(t, d.LogSignature, raven.Signature)
	require.ErrorIs(t, ese.CheckChain(raven.Signature, logs), backup.ErrChainBroken)
}

func TestGenuineLogFlips(t *testing.T) {
	t.Parallel()
	raw, _ := genuineLogs(t)
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 200 {
		b := raw[[]string{"edb00046.log", "edb.log"}[i%2]]
		flipLog(t, b, r.Int64N(int64(len(b))*8))
	}
	chk := genuine(t, "datastore/edb.chk")
	for range 200 {
		flipCheckpoint(t, chk, r.Int64N(int64(len(chk))*8))
	}
}

// TestLogFlips changes one bit in logs and checkpoints, a thousand at random in a log with segments, and each that describes a segment.
func TestLogFlips(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(9, 10))
	b, old, chk := madeLog(8, 17, 5), madeLog(7, 17, 0), madeCheckpoint()
	for range 1000 {
		flipLog(t, b, r.Int64N(int64(len(b))*8))
	}
	for _, segment := range []int64{1, 6, 7} { // what describes a segment itself: with data, a copy of the one before, empty
		for bit := range int64(40 * 8) {
			flipLog(t, b, segment*4096*8+bit)
		}
	}
	for range 500 {
		flipLog(t, old, r.Int64N(4096*8)) // of its records there is no checksum here
		flipCheckpoint(t, chk, r.Int64N(int64(len(chk))*8))
	}
}

// flipLog changes a bit of a log, and expects to be told which it was.
func flipLog(t *testing.T, b []byte, bit int64) {
	t.Helper()
	b[bit/8] ^= 1 << (bit % 8)
	l, err := ese.VerifyLog(t.Context(), bytes.NewReader(b))
	b[bit/8] ^= 1 << (bit % 8)
	all := corruptPages(t, err)
	require.Len(t, all, 1)
	require.Equal(t, ese.Recognised, l.Depth)
	switch c := all[0]; {
	case bit < 4096*8:
		require.EqualValues(t, -1, c.Bit, "headers have an XOR only")
	case c.Bit < 0:
		require.Equal(t, bit/8/4096*4096, c.Offset)
		require.Less(t, bit%(4096*8), int64(32), "the lower half of the checksum: %s", c)
	default:
		require.Equal(t, bit, c.Offset*8+c.Bit)
	}
}

// flipCheckpoint changes a bit in one of the two copies, and expects what the other says.
func flipCheckpoint(t *testing.T, b []byte, bit int64) {
	t.Helper()
	want, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	b[bit/8] ^= 1 << (bit % 8)
	c, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(b))
	b[bit/8] ^= 1 << (bit % 8)
	all := corruptPages(t, err)
	require.Len(t, all, 1)
	require.Equal(t, bit/8/4096*4096, all[0].Offset)
	require.Equal(t, want, c)
}

func TestGenuineDamagedChains(t *testing.T) {
	t.Parallel()
	raw, logs := genuineLogs(t)
	breaks := func(want ese.Break, name, what string, changed ...ese.NamedLog) {
		t.Helper()
		err := ese.CheckChain(ese.Signature{}, changed)
		require.ErrorIs(t, err, backup.ErrChainBroken)
		var b *ese.BreakError
		require.ErrorAs(t, err, &b)
		assert.Equal(t, want, b.Break)
		assert.Equal(t, name, b.Name)
		assert.Contains(t, b.Error(), what)
	}
	breaks(ese.Missing, "edb00048.log", "generations 0x47 to 0x47", logs[0], logs[2], logs[3])
	breaks(ese.Misnamed, "edb00047.log", "its header says generation 0x48", logs[0], ese.NamedLog{Name: "edb00047.log", Log: logs[2].Log}, logs[3])
	breaks(ese.Misnamed, "edb.log", "newest", logs[0], ese.NamedLog{Name: "edb.log", Log: logs[1].Log}, logs[2])
	breaks(ese.Misnamed, "edbtmp.log", "no name of a log", ese.NamedLog{Name: "edbtmp.log", Log: logs[0].Log}, logs[1])
	breaks(ese.Twice, "edb00000047.log", "edb00047.log has generation 0x47 too", logs[0], logs[1], ese.NamedLog{Name: "edb00000047.log", Log: logs[1].Log}, logs[2])

	edited := func(name string, at int) ese.NamedLog {
		b := bytes.Clone(raw[name])
		b[at]++
		sealBlock(b[:4096])
		return readLog(t, name, b)
	}
	breaks(ese.Foreign, "edb00047.log", "it is of the logs", logs[0], edited("edb00047.log", 44), logs[2])
	breaks(ese.OutOfOrder, "edb00047.log", "it continues a log created", logs[0], edited("edb00047.log", 24), logs[2])
	breaks(ese.OutOfOrder, "edb00047.log", "with the sum", logs[0], edited("edb00047.log", 653), logs[2])

	b := raw["edb00046.log"]
	for _, n := range []int{0, 100, 4096, len(b) - 4096, len(b) - 1} {
		_, err := ese.VerifyLog(t.Context(), bytes.NewReader(b[:n]))
		require.ErrorIs(t, err, backup.ErrCorrupt)
	}
	hole := bytes.Clone(b)
	clear(hole[40*4096 : 41*4096])
	_, err := ese.VerifyLog(t.Context(), bytes.NewReader(hole))
	require.ErrorContains(t, err, "byte 163840: segment 40 is empty, and segment 41 has data")

	two := bytes.Clone(b)
	two[5*4096+100] ^= 3
	l, err := ese.VerifyLog(t.Context(), bytes.NewReader(two))
	require.ErrorContains(t, err, "byte 20480: segment 5")
	assert.EqualValues(t, 1, l.Bad)
	require.NoError(t, ese.CheckChain(ese.Signature{}, []ese.NamedLog{{Name: "edb00046.log", Log: l}, logs[1]}), "the link is made of stored checksums")
}

func TestLogNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]ese.LogName{"E00.log": {Base: "E00"}, "E0000001.log": {Base: "E00", Generation: 1}, "E01000A0b0c.LOG": {Base: "E01", Generation: 0xA0B0C}, "edb0001F.jtx": {Base: "edb", Generation: 0x1F}} {
		got, ok := ese.ParseLogName(name)
		assert.True(t, ok, name)
		assert.Equal(t, want, got)
	}
	for _, name := range []string{"", "E00", "E00tmp.log", "E00res00001.jrs", "res1.log", "E00.chk", "E0000000.log", "E00+0001.log", "é0.log2"} {
		_, ok := ese.ParseLogName(name)
		assert.False(t, ok, name)
	}
	assert.Equal(t, "x: missing: y", fmt.Sprint(&ese.BreakError{Name: "x", Break: ese.Missing, What: "y"}))
}

func TestLogs(t *testing.T) {
	t.Parallel()
	var logs []ese.NamedLog
	sum := uint64(0)
	for g := uint32(17); g < 20; g++ {
		n := readLog(t, fmt.Sprintf("E00%08X.log", g), madeLog(8, g, sum))
		assert.Equal(t, [4]int64{5, 1, 1, 0}, [4]int64{n.Log.Data, n.Log.Shadow, n.Log.Unused, n.Log.Bad})
		assert.Equal(t, ese.Summed, n.Log.Depth)
		sum = n.Log.Sum
		logs = append(logs, n)
	}
	assert.False(t, logs[0].Log.Circular)
	require.NoError(t, ese.CheckChain(logs[0].Log.Signature, logs))
	require.NoError(t, ese.CheckChain(ese.Signature{}, nil))

	old := readLog(t, "E0000014.log", madeLog(7, 20, 0))
	assert.Equal(t, ese.Measured, old.Log.Depth)
	assert.Equal(t, 4096, old.Log.DatabasePageBytes)
	require.NoError(t, ese.CheckChain(ese.Signature{}, append(logs, old)), "sums link new logs only")
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	b := madeCheckpoint()
	assert.True(t, ese.MatchCheckpoint(b))
	assert.False(t, ese.MatchLog(b) || ese.Match(b))
	c, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	assert.Equal(t, "0x11:2:1", c.At.String())
	for n := range len(b) {
		_, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(b[:n]))
		require.ErrorIs(t, err, backup.ErrCorrupt)
	}
	_, err = ese.VerifyCheckpoint(t.Context(), bytes.NewReader(append(b, 0)))
	require.ErrorIs(t, err, backup.ErrCorrupt)
	b[4096+20]++
	sealBlock(b[4096:])
	_, err = ese.VerifyCheckpoint(t.Context(), bytes.NewReader(b))
	require.ErrorContains(t, err, "of other logs")
}

func TestMisplacedSegments(t *testing.T) {
	t.Parallel()
	b := madeLog(8, 17, 0)
	copy(b[4*4096:5*4096], b[2*4096:])
	l, err := ese.VerifyLog(t.Context(), bytes.NewReader(b))
	require.ErrorContains(t, err, "byte 16384: segment 4: its checksum is that of number 2")
	assert.EqualValues(t, 1, l.Bad)

	b = madeLog(8, 17, 0)
	s := b[3*4096 : 4*4096]
	s[10] = 9
	binary.LittleEndian.PutUint64(s, slowSum(s, 3, true))
	_, err = ese.VerifyLog(t.Context(), bytes.NewReader(b))
	require.ErrorContains(t, err, "byte 12288: segment 3 says that it is segment 9")

	b = madeLog(8, 17, 0)
	s = b[7*4096:]
	copy(s, b[5*4096:6*4096])
	s[10], s[12] = 7, 3
	binary.LittleEndian.PutUint64(s, slowSum(s, 7, true))
	l, err = ese.VerifyLog(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	assert.EqualValues(t, 1, l.Unused, "left over from generation 3")
}
