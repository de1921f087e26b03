package blockfile_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

func TestRedoLog(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		for _, size := range []int{512, 1024, 4096} {
			for _, base := range []uint64{27871231, 1<<47 + 3, 1<<62 + 3} {
				l := log17()
				l.BigEndian, l.BlockSize, l.First, l.Next, l.KeyFlag, l.Spare = big, size, base, base+8768, 5, 3
				b := writeLog(t, l, 20*size)
				kind, ok := blockfile.Match(b)
				require.True(t, ok)
				require.Equal(t, blockfile.Redo, kind)
				got, err := verifyRedo(t, b)
				require.NoError(t, err)
				used := len(b)/size - 3
				assert.Contains(t, got.Description, "Thread 0001, Seq# 0000000017, SCN 0x")
				got.Description = ""
				assert.Equal(t, &blockfile.RedoLog{
					Depth: blockfile.Summed, BigEndian: big, BlockSizeBytes: size, Blocks: uint32(used), SizeBytes: int64(len(b)), DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, Thread: 1, Sequence: 17,
					ResetlogsID: 821283686, PreviousResetlogsID: 824297850, ResetlogsSCN: 925702, PreviousResetlogsSCN: 1, FirstSCN: base, NextSCN: base + 8768,
					FirstTime: moment(), NextTime: moment().Add(time.Hour), ActivationID: 1498299999, FileNumber: 2, KeyFlag: 5, Summed: int64(used - 1), Spare: 3,
				}, got)
			}
		}
	}
}

func TestRedoWithoutChecksums(t *testing.T) {
	t.Parallel()
	l := log17()
	l.NoChecksum = true
	b := writeLog(t, l, 5000)
	got, err := verifyRedo(t, b)
	require.NoError(t, err)
	assert.Equal(t, blockfile.Walked, got.Depth)
	assert.EqualValues(t, len(b)/512-1, got.Unsummed)
	assert.Empty(t, got.Warnings)

	copy(b[512*4:512*5], writeLog(t, log17(), 5000)[512*4:])
	got, err = verifyRedo(t, b)
	require.NoError(t, err)
	assert.Equal(t, blockfile.Walked, got.Depth)
	require.Len(t, got.Warnings, 1)
	assert.Contains(t, got.Warnings[0], "have no checksum")
}

// A log that is still being written is no archived log, whichever of its two signs is seen.
func TestOpenLog(t *testing.T) {
	t.Parallel()
	l := log17()
	l.Next = blocks.NoSCN
	got, err := verifyRedo(t, writeLog(t, l, 5000))
	damaged(t, err, "the log was being written when it was copied")
	assert.Equal(t, blockfile.NoSCN, got.NextSCN)
	assert.Zero(t, got.Blocks)

	l = log17()
	l.First, l.Next = l.Next, l.First
	_, err = verifyRedo(t, writeLog(t, l, 5000))
	damaged(t, err, "from SCN 27879999 back to 27871231")
}

func TestEveryBitOfRedo(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		l := log17()
		l.BigEndian = big
		b := writeLog(t, l, 1500)
		for bit := 512 * 8; bit < 3*512*8; bit++ { // the header and a block of redo
			b[bit/8] ^= 1 << (bit % 8)
			got, err := verifyRedo(t, b)
			require.True(t, err != nil || got.Depth < blockfile.Summed, "bit %d", bit)
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

func TestRandomBytesOfRedo(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(7, 8))
	b := writeLog(t, log17(), 50000)
	for range 1000 {
		at, with := 512+r.IntN(len(b)-512), byte(1+r.IntN(255))
		b[at] ^= with
		got, err := verifyRedo(t, b)
		require.True(t, err != nil || got.Depth < blockfile.Summed, "byte %d by %x", at, with)
		b[at] ^= with
	}
}

func TestTruncatedRedo(t *testing.T) {
	t.Parallel()
	l := log17()
	l.Spare = 2
	b := writeLog(t, l, 5000)
	used := len(b) - 2*512
	for cut := 0; cut < used; cut += 256 {
		_, err := verifyRedo(t, b[:cut])
		c := damaged(t, err, "ends")
		if cut >= 1024 {
			assert.EqualValues(t, cut, c.Offset)
		}
	}
	got, err := verifyRedo(t, b[:used])
	require.NoError(t, err, "what is behind the last block in use is not needed")
	assert.Equal(t, []string{"block 0 says that 14 blocks follow, 12 do"}, got.Warnings)
	got, err = verifyRedo(t, b[:used+100])
	require.NoError(t, err)
	assert.Equal(t, []string{"100 bytes behind the last block are no whole block"}, got.Warnings)
}

func TestRedoBlocksInTheWrongPlace(t *testing.T) {
	t.Parallel()
	b := writeLog(t, log17(), 5000)
	two := bytes.Clone(b[2*512 : 3*512])
	copy(b[2*512:], b[3*512:4*512])
	copy(b[3*512:], two)
	_, err := verifyRedo(t, b)
	damaged(t, err, "block 2 (byte 1024): it says that it is block 3")
	damaged(t, err, "block 3 (byte 1536): it says that it is block 2")

	// What was in the group before: the same place in an older sequence.
	older := log17()
	older.Sequence = 14
	b = writeLog(t, log17(), 5000)
	copy(b[5*512:], writeLog(t, older, 5000)[5*512:6*512])
	_, err = verifyRedo(t, b)
	damaged(t, err, "block 5 (byte 2560): it is of sequence 14, the log of 17")

	b = writeLog(t, log17(), 5000)
	clear(b[6*512 : 7*512])
	_, err = verifyRedo(t, b)
	damaged(t, err, "block 6 (byte 3072): it begins with 00 00")
}

func TestFollows(t *testing.T) {
	t.Parallel()
	made := func(edit func(*blocks.Log)) *blockfile.RedoLog {
		l := log17()
		l.Sequence, l.First, l.Next = 18, 27879999, 27890000
		edit(&l)
		got, err := verifyRedo(t, writeLog(t, l, 600))
		require.NoError(t, err)
		return got
	}
	prev, err := verifyRedo(t, writeLog(t, log17(), 600))
	require.NoError(t, err)
	next := made(func(*blocks.Log) {})
	require.NoError(t, blockfile.Follows(prev, next))
	for want, edit := range map[blockfile.Break]func(*blocks.Log){
		blockfile.OtherDatabase:    func(l *blocks.Log) { l.DBID++ },
		blockfile.OtherIncarnation: func(l *blocks.Log) { l.ResetlogsSCN++ },
		blockfile.NewIncarnation: func(l *blocks.Log) {
			l.PreviousResetlogsID, l.PreviousResetlogsSCN = l.ResetlogsID, l.ResetlogsSCN
			l.ResetlogsID, l.ResetlogsSCN, l.Sequence = l.ResetlogsID+1000, 27879999, 1
		},
		blockfile.OtherThread:  func(l *blocks.Log) { l.Thread = 2 },
		blockfile.Gap:          func(l *blocks.Log) { l.Sequence = 20 },
		blockfile.NotLater:     func(l *blocks.Log) { l.Sequence = 17 },
		blockfile.OtherHistory: func(l *blocks.Log) { l.First++ },
	} {
		err := blockfile.Follows(prev, made(edit))
		var b *blockfile.BreakError
		require.ErrorAs(t, err, &b, want)
		assert.Equal(t, want, b.Break)
		require.ErrorIs(t, err, backup.ErrChainBroken)
		assert.NotEmpty(t, backup.Hint(err))
	}
	require.ErrorContains(t, blockfile.Follows(prev, made(func(l *blocks.Log) { l.Sequence = 20 })), "a gap: thread 1 has sequence 17, then 20")
	require.Error(t, blockfile.Follows(next, prev), "backwards")
	require.Error(t, blockfile.Follows(prev, prev), "the same")
}

func TestControlFile(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		c := blocks.Control{BigEndian: big, DBID: 0x5902AC43, Database: "ORCL", Compatible: 0x0B200400, Sequence: 22125}
		var out bytes.Buffer
		require.NoError(t, c.Write(&out, noise(50000, 1)))
		b := out.Bytes()
		kind, ok := blockfile.Match(b)
		assert.True(t, ok)
		assert.Equal(t, blockfile.Control, kind)
		verify := func(b []byte) (*blockfile.ControlFile, error) {
			return blockfile.VerifyControl(t.Context(), bytes.NewReader(b))
		}
		got, err := verify(b)
		require.NoError(t, err)
		assert.Equal(t, &blockfile.ControlFile{Depth: blockfile.Measured, BigEndian: big, BlockSizeBytes: 16384, Blocks: 5, SizeBytes: 6 * 16384, DBID: 0x5902AC43, Database: "ORCL", Compatible: 0x0B200400, Sequence: 22125}, got)
		for n := 2; n < 6; n++ {
			_, err = verify(b[:n*16384])
			damaged(t, err, "its header gives it 5 blocks, which are 98304 bytes")
		}
		_, err = verify(append(bytes.Clone(b), 0))
		damaged(t, err, "98305 bytes")
		b[16384+200] ^= 1
		_, err = verify(b)
		assert.EqualValues(t, 1, damaged(t, err, "checksum").Block)
		_, err = verify(b[:2*16384-1])
		damaged(t, err, "a control file")
	}
}
