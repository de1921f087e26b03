package blocks_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

func dataFile(big bool, size int) blocks.DataFile {
	at := time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC)
	return blocks.DataFile{
		BigEndian: big, BlockSize: size, Blocks: 6, DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, ControlSequence: 77, File: 4, Tablespace: 4, TablespaceName: "USERS",
		CreationSCN: 7, ResetlogsSCN: 925702, CheckpointSCN: 1 << 33, BackupSCN: 1 << 33, PreviousResetlogsSCN: 1, Created: at, CheckpointTime: at, BackupTime: at, ResetlogsID: 5, PreviousResetlogsID: 4,
		Thread: 1, Sequence: 1440, CheckpointCount: 9, Status: blocks.InBackup | blocks.Online,
	}
}

// What is written can be read again, by this package and by the checker, in both byte orders.
func TestDataFileReadsBack(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		for size := 2048; size <= 32768; size *= 2 {
			f := dataFile(big, size)
			var out bytes.Buffer
			w, err := blocks.NewDataWriter(&out, f)
			require.NoError(t, err)
			require.NoError(t, w.Write(1<<40, []byte("a row")))
			require.NoError(t, w.Zero())
			require.Error(t, w.Write(1, make([]byte, f.Payload()+1)), "too long")
			require.Error(t, w.Write(1<<47, nil), "SCN too large")
			require.NoError(t, w.Write(5, bytes.Repeat([]byte{9}, f.Payload())))
			require.NoError(t, w.Close())
			require.Error(t, w.Zero(), "the file is full")
			b := out.Bytes()
			require.EqualValues(t, f.Length(), len(b))

			header, err := blocks.ReadHeader(b[size:2*size], big)
			require.NoError(t, err)
			f.RelativeFile = 4
			assert.Equal(t, f, header)
			scn, payload, err := f.Read(2, b[f.Offset(2):f.Offset(3)])
			require.NoError(t, err)
			assert.Equal(t, uint64(1<<40), scn)
			assert.True(t, bytes.HasPrefix(payload, []byte("a row")))
			_, _, err = f.Read(3, b[f.Offset(2):f.Offset(3)])
			require.ErrorIs(t, err, blocks.ErrTorn)
			scn, payload, err = f.Read(3, b[f.Offset(3):f.Offset(4)])
			require.NoError(t, err)
			assert.Zero(t, scn)
			assert.Nil(t, payload)

			d, err := blockfile.VerifyData(t.Context(), bytes.NewReader(b), blockfile.Options{})
			require.NoError(t, err)
			assert.Equal(t, blockfile.Summed, d.Depth)
			assert.Empty(t, d.Warnings)
			assert.EqualValues(t, 3, d.Zero)
		}
	}
}

func TestTornBlocksAreSeen(t *testing.T) {
	t.Parallel()
	f := dataFile(false, 0)
	old, err := f.Block(3, 100, 1, bytes.Repeat([]byte("old"), 1000))
	require.NoError(t, err)
	young, err := f.Block(3, 200, 1, bytes.Repeat([]byte("new"), 1000))
	require.NoError(t, err)
	for at := 512; at < f.Size(); at += 512 {
		_, _, err := f.Read(3, blocks.Torn(old, young, at))
		require.ErrorIs(t, err, blocks.ErrTorn, "at %d", at)
		_, _, err = f.Read(3, blocks.Torn(make([]byte, f.Size()), young, at))
		require.ErrorIs(t, err, blocks.ErrTorn, "at %d of a new block", at)
	}
	_, _, err = f.Read(3, blocks.Torn(old, young, f.Size()))
	require.NoError(t, err)
	_, err = f.Block(1, 1, 1, nil)
	require.Error(t, err, "block 1 is the header")
	_, err = blocks.ReadHeader(old, false)
	require.ErrorIs(t, err, blocks.ErrTorn)
}

func redoLog(big bool, size int) blocks.Log {
	return blocks.Log{
		BigEndian: big, BlockSize: size, DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, ControlSequence: 12, Thread: 2, Sequence: 18, File: 3, Activation: 99, ResetlogsID: 5, PreviousResetlogsID: 4,
		ResetlogsSCN: 925702, PreviousResetlogsSCN: 1, First: 1 << 50, Next: 1<<50 + 17, FirstTime: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), NextTime: time.Date(2026, 3, 1, 1, 0, 0, 0, time.UTC), KeyFlag: 1,
	}
}

func TestLogReadsBack(t *testing.T) {
	t.Parallel()
	records := [][]byte{[]byte("commit"), bytes.Repeat([]byte("change "), 1000), {0}}
	for _, big := range []bool{false, true} {
		for _, size := range []int{512, 1024, 4096} {
			for _, held := range [][][]byte{nil, records, {make([]byte, size-16-4)}, {bytes.Repeat([]byte{1}, 2*size)}} {
				l := redoLog(big, size)
				l.Spare, l.NoChecksum = uint32(len(held)), len(held) == 1
				var out bytes.Buffer
				used, err := l.Write(&out, held)
				require.NoError(t, err)
				require.Equal(t, int(used+l.Spare)*size, out.Len())
				got, back, err := blocks.ReadLog(out.Bytes())
				require.NoError(t, err)
				assert.Equal(t, held, back)
				l.Description = got.Description
				assert.Equal(t, l, got)
				v, err := blockfile.VerifyRedo(t.Context(), bytes.NewReader(out.Bytes()))
				require.NoError(t, err)
				assert.Equal(t, used, v.Blocks)
				assert.EqualValues(t, l.Spare, v.Spare)
				assert.Empty(t, v.Warnings)

				_, _, err = blocks.ReadLog(out.Bytes()[:int(used)*size-1])
				require.ErrorIs(t, err, blocks.ErrLog)
			}
		}
	}
	_, err := redoLog(false, 0).Write(new(bytes.Buffer), [][]byte{{}})
	require.Error(t, err, "an empty record would end the log")
	var open bytes.Buffer
	l := redoLog(false, 0)
	l.Next = blocks.NoSCN
	_, err = l.Write(&open, records)
	require.NoError(t, err)
	_, _, err = blocks.ReadLog(open.Bytes())
	require.ErrorIs(t, err, blocks.ErrLog)
}

func TestControlReadsBack(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		for _, content := range [][]byte{nil, []byte("files"), bytes.Repeat([]byte("files"), 9999)} {
			c := blocks.Control{BigEndian: big, BlockSize: 16384, DBID: 7, Database: "SHOP", Compatible: 0x13000000, Sequence: 22125}
			var out bytes.Buffer
			require.NoError(t, c.Write(&out, content))
			got, back, err := blocks.ReadControl(out.Bytes())
			require.NoError(t, err)
			assert.True(t, bytes.Equal(content, back))
			c.Blocks = uint32(out.Len()/16384 - 1)
			assert.Equal(t, c, got)
			v, err := blockfile.VerifyControl(t.Context(), bytes.NewReader(out.Bytes()))
			require.NoError(t, err)
			assert.Equal(t, "SHOP", v.Database)
			_, _, err = blocks.ReadControl(out.Bytes()[:out.Len()-16384])
			require.ErrorIs(t, err, blocks.ErrControl)
		}
	}
}

// The first bytes of block 1 are those of two files whose dump was published, a data file and a control file of 11.2, where this package writes
// anything there.
func TestPublishedHeaders(t *testing.T) {
	t.Parallel()
	f := blocks.DataFile{Blocks: 0x94700, DBID: 0x594D799A, Database: "SCMHK", Compatible: 0x0B200400, ControlSequence: 0x8B41EF, File: 1, CreationSCN: 7, ResetlogsID: 0x3215EC5C, ResetlogsSCN: 0xE74FF,
		Created: time.Date(2010, 3, 30, 10, 7, 48, 0, time.UTC)}
	want, err := hex.DecodeString("0ba20000010040000000000000000104497b0000000000000004200b9a794d59" + "53434d484b000000ef418b00004709000020000001000300" + strings.Repeat("00", 40) +
		"0802400007000000" + "00000000f4fa9d2a5cec1532ff740e00" + "0000000000000000")
	require.NoError(t, err)
	got := f.Header()[:len(want)]
	copy(got[16:18], want[16:18])   // the checksum of what was not published
	copy(got[96:100], want[96:100]) // the root of the dictionary, which is of no concern here
	assert.Equal(t, want, got)

	c := blocks.Control{Blocks: 0x266, DBID: 0x5902AC43, Database: "ORCL", Compatible: 0x0B200400, Sequence: 0x566D}
	want, err = hex.DecodeString("15c20000010000000000000000000104e9bd0000000000000004200b43ac0259" + "4f52434c000000006d56000066020000004000000000010000000000")
	require.NoError(t, err)
	var out bytes.Buffer
	require.NoError(t, c.Write(&out, nil))
	got = out.Bytes()[c.Size():][:len(want)]
	copy(got[16:18], want[16:18])
	assert.Equal(t, want, got)
}
