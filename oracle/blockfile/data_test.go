package blockfile_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

func TestDataFile(t *testing.T) {
	t.Parallel()
	for _, big := range []bool{false, true} {
		for size := 2048; size <= 32768; size *= 2 {
			for _, wide := range []bool{false, true} {
				f := hot()
				f.BigEndian, f.BlockSize, f.Bigfile = big, size, wide
				b := write(t, f)
				kind, ok := blockfile.Match(b[:min(len(b), blockfile.MatchBytes)])
				require.True(t, ok)
				require.Equal(t, blockfile.Data, kind)
				d, err := verifyData(t, b, blockfile.Options{})
				require.NoError(t, err)
				relative := uint32(4)
				if wide {
					relative = 1024
				}
				assert.Equal(t, &blockfile.DataFile{
					Depth: blockfile.Summed, BigEndian: big, BlockSizeBytes: size, Blocks: 12, SizeBytes: int64(13 * size), DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, ControlSequence: 77,
					File: 7, RelativeFile: relative, Bigfile: wide, Tablespace: 5, TablespaceName: "USERS", CreationSCN: 1234, ResetlogsID: 821283686, PreviousResetlogsID: 824297850,
					ResetlogsSCN: 925702, PreviousResetlogsSCN: 1, CheckpointSCN: 27871231, CheckpointThread: 1, CheckpointSequence: 1440, BackupSCN: 27871231,
					Created: moment().AddDate(-1, 0, 0), CheckpointTime: moment(), BackupTime: moment(), Status: 5, Zero: 2, Summed: 10, HighestSCN: 27871231 + 10,
				}, d)
				assert.True(t, d.InBackup())
				assert.True(t, d.Fuzzy())
			}
		}
	}
}

func TestClosedFileIsNotFuzzy(t *testing.T) {
	t.Parallel()
	d, err := verifyData(t, write(t, users()), blockfile.Options{Hot: true})
	require.NoError(t, err)
	assert.False(t, d.InBackup())
	assert.False(t, d.Fuzzy())
}

func TestWithoutChecksums(t *testing.T) {
	t.Parallel()
	f := users()
	f.NoChecksum = true
	b := write(t, f)
	b[f.Offset(3)+100] ^= 1
	d, err := verifyData(t, b, blockfile.Options{})
	require.NoError(t, err, "nothing tells")
	assert.Equal(t, blockfile.Walked, d.Depth, "and the depth says so")
	assert.EqualValues(t, 9, d.Unsummed)
	assert.EqualValues(t, 1, d.Summed)
}

// Block 0 of a data file is warned about and no more.
func TestBlock0OfDataFile(t *testing.T) {
	t.Parallel()
	for what, edit := range map[string]func(b []byte){
		"magic number":        func(b []byte) { clear(b[:8192]) },
		"format byte":         func(b []byte) { b[1] = 0x22 },
		"block 0 says 13":     func(b []byte) { b[24]++ },
		"the magic number of": func(b []byte) { b[0] = 1 },
	} {
		b := write(t, users())
		edit(b)
		_, ok := blockfile.Match(b)
		assert.True(t, ok, what)
		d, err := verifyData(t, b, blockfile.Options{})
		require.NoError(t, err, what)
		require.Len(t, d.Warnings, 1, what)
		assert.Contains(t, d.Warnings[0], what)
	}
	f := users()
	f.TablespaceName = "A_NAME_OF_MORE_THAN_THIRTY_BYTES"
	d, err := verifyData(t, write(t, f), blockfile.Options{})
	require.NoError(t, err)
	assert.Len(t, d.TablespaceName, 30)
	assert.Len(t, d.Warnings, 1)
}

// Every bit of a block with a checksum matters: in the cold copy, its change is an error, or, where it takes the mark of a checksum away, the depth
// is less.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	f := users()
	f.BlockSize, f.Blocks = 2048, 5
	b := write(t, f)
	silent := 0
	for n, step := range map[uint32]int{1: 5, 2: 1, 5: 5} { // the header, a written block, one never written
		for bit := 0; bit < 2048*8; bit += step {
			at := int(f.Offset(n)) + bit/8
			b[at] ^= 1 << (bit % 8)
			if d, err := verifyData(t, b, blockfile.Options{}); err == nil {
				require.Less(t, d.Depth, blockfile.Summed, "bit %d of block %d", bit, n)
				silent++
			} else {
				require.Equal(t, blockfile.Recognised, d.Depth)
			}
			b[at] ^= 1 << (bit % 8)
		}
	}
	assert.Equal(t, 1, silent, "the flag of block 2")
	_, err := verifyData(t, b, blockfile.Options{})
	require.NoError(t, err)
}

func TestRandomBitsOfLargerBlocks(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	for range 300 {
		f := users()
		f.BigEndian = r.Uint32()&1 == 1
		b := write(t, f)
		bit := 8192*8 + r.IntN((len(b)-8192)*8)
		b[bit/8] ^= 1 << (bit % 8)
		d, err := verifyData(t, b, blockfile.Options{})
		require.True(t, err != nil || d.Depth < blockfile.Summed, "bit %d", bit)
	}
}

func TestTruncatedDataFile(t *testing.T) {
	t.Parallel()
	for _, f := range []blocks.DataFile{users(), hot()} {
		b := write(t, f)
		for n := range 13 {
			for _, cut := range []int{n * 8192, n*8192 + 1, n*8192 + 4096, n*8192 + 8191} {
				_, err := verifyData(t, b[:cut], blockfile.Options{Hot: true})
				c := damaged(t, err, "ends")
				if n > 1 {
					assert.EqualValues(t, cut, c.Offset)
				}
			}
		}
	}
}

func TestDataFileOfOtherLength(t *testing.T) {
	t.Parallel()
	b := append(write(t, users()), make([]byte, 8192)...)
	_, err := verifyData(t, b, blockfile.Options{Hot: true})
	assert.EqualValues(t, 13*8192, damaged(t, err, "goes on for 8192 bytes").Offset, "a closed file does not grow")
	b = append(write(t, hot()), make([]byte, 16384)...)
	_, err = verifyData(t, b, blockfile.Options{})
	damaged(t, err, "goes on")
	d, err := verifyData(t, b, blockfile.Options{Hot: true})
	require.NoError(t, err)
	assert.Equal(t, []string{"the file has grown by 2 blocks since its header was copied"}, d.Warnings)
}

func TestBlocksInTheWrongPlace(t *testing.T) {
	t.Parallel()
	for _, f := range []blocks.DataFile{users(), hot()} {
		b := write(t, f)
		two, three := b[2*8192:3*8192], b[3*8192:4*8192]
		kept := bytes.Clone(two)
		copy(two, three)
		copy(three, kept)
		_, err := verifyData(t, b, blockfile.Options{Hot: true})
		damaged(t, err, "block 2 (byte 16384): its address says block 3 of file 4")
		damaged(t, err, "block 3 (byte 24576): its address says block 2")

		other := f
		other.RelativeFile = 5
		b = write(t, f)
		copy(b[4*8192:5*8192], write(t, other)[4*8192:])
		_, err = verifyData(t, b, blockfile.Options{Hot: true})
		damaged(t, err, "block 4 (byte 32768): its address says block 4 of file 5, not of file 4")

		other.Bigfile, f.Bigfile = true, true
		b = write(t, f)
		copy(b[4*8192:5*8192], write(t, other)[5*8192:])
		_, err = verifyData(t, b, blockfile.Options{Hot: true})
		damaged(t, err, "its address says block 5")
	}
}

// A header whose address and content name different files cannot be believed, even with a checksum that is right.
func TestHeaderThatContradictsItself(t *testing.T) {
	t.Parallel()
	b := write(t, users())
	b[8192+368], b[8192+16] = b[8192+368]^1, b[8192+16]^1
	_, err := verifyData(t, b, blockfile.Options{})
	damaged(t, err, "its address says relative file 4, its content 5")
}

// A block that was caught half-way through a write is found wherever the copy tore, and what it means depends on how the file was copied.
func TestFracturedBlocks(t *testing.T) {
	t.Parallel()
	for _, was := range []string{"written", "empty"} {
		for at := 512; at < 8192; at += 512 {
			torn := func(f blocks.DataFile) []byte {
				b := write(t, f)
				old := bytes.Clone(b[f.Offset(6):f.Offset(7)])
				if was == "empty" {
					clear(old)
				}
				young, err := f.Block(6, 1<<40, 3, noise(f.Payload(), 99))
				require.NoError(t, err)
				copy(b[f.Offset(6):], blocks.Torn(old, young, at))
				return b
			}
			turned := func(f blocks.DataFile) []byte { // the other way round: the end is newer
				b := write(t, f)
				young, err := f.Block(6, 1<<40, 3, noise(f.Payload(), 99))
				require.NoError(t, err)
				old := bytes.Clone(b[f.Offset(6):f.Offset(7)])
				if was == "empty" {
					clear(old)
				}
				copy(b[f.Offset(6):], blocks.Torn(young, old, at))
				return b
			}
			for _, tear := range []func(blocks.DataFile) []byte{torn, turned} {
				d, err := verifyData(t, tear(hot()), blockfile.Options{Hot: true})
				require.NoError(t, err, "redo repairs it")
				assert.EqualValues(t, 1, d.Fractured)
				assert.Equal(t, blockfile.Walked, d.Depth)
				assert.EqualValues(t, 9, d.Summed)
				require.Len(t, d.Findings, 1)
				assert.EqualValues(t, 6, d.Findings[0].Block)
				assert.Contains(t, d.Findings[0].What, "fractured")
				assert.EqualValues(t, 27871231+10, d.HighestSCN, "a torn block tells no SCN")

				_, err = verifyData(t, tear(hot()), blockfile.Options{})
				assert.EqualValues(t, 6, damaged(t, err, "fractured").Block, "a cold copy has none")
				_, err = verifyData(t, tear(users()), blockfile.Options{Hot: true})
				assert.EqualValues(t, 6, damaged(t, err, "fractured").Block, "the file was not in backup mode")
			}
		}
	}
}

// The header of a hot copy must be whole: whose file it is, and up to where, hangs on it.
func TestFracturedHeader(t *testing.T) {
	t.Parallel()
	b := write(t, hot())
	b[8192+5000] ^= 1
	_, err := verifyData(t, b, blockfile.Options{Hot: true})
	assert.EqualValues(t, 1, damaged(t, err, "checksum").Block)
}

// However much is wrong, what is told is bounded, and everything is counted.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	f := hot()
	f.Blocks = 202
	b := write(t, f)
	for n := uint32(2); n <= 200; n++ {
		b[f.Offset(n)+77] ^= 1
	}
	d, err := verifyData(t, b, blockfile.Options{Hot: true})
	require.NoError(t, err)
	assert.EqualValues(t, 199, d.Fractured)
	assert.Len(t, d.Findings, 20)
	d, err = verifyData(t, b, blockfile.Options{Hot: true, Findings: 150})
	require.NoError(t, err)
	assert.Len(t, d.Findings, 150)
	_, err = verifyData(t, b, blockfile.Options{})
	damaged(t, err, "block 200 (byte 1638400): the last of 179 more problems: its checksum is")
	var all interface{ Unwrap() []error }
	require.ErrorAs(t, err, &all)
	assert.Len(t, all.Unwrap(), 21)
}

func TestReadersOfAnyKind(t *testing.T) {
	t.Parallel()
	b := write(t, users())
	want, err := verifyData(t, b, blockfile.Options{})
	require.NoError(t, err)
	for _, r := range []io.Reader{iotest.OneByteReader(bytes.NewReader(b)), iotest.HalfReader(bytes.NewReader(b)), iotest.DataErrReader(bytes.NewReader(b))} {
		got, err := blockfile.VerifyData(t.Context(), r, blockfile.Options{})
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	disk := errors.New("the disk is gone")
	f := users()
	f.Blocks = 200
	long := write(t, f)
	for _, at := range []int{0, 100, 8192, 600000, len(long)} {
		broken := io.MultiReader(bytes.NewReader(long[:at]), iotest.ErrReader(disk))
		_, err := blockfile.VerifyData(t.Context(), broken, blockfile.Options{})
		require.ErrorIs(t, err, disk, "at %d", at)
	}
	_, err := blockfile.VerifyRedo(t.Context(), iotest.ErrReader(disk))
	require.ErrorIs(t, err, disk)
	_, err = blockfile.VerifyControl(t.Context(), iotest.ErrReader(disk))
	require.ErrorIs(t, err, disk)

	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	half := &stopping{r: bytes.NewReader(long), stop: func() { cancel(why) }}
	_, err = blockfile.VerifyData(ctx, half, blockfile.Options{})
	require.ErrorIs(t, err, why)
	assert.Positive(t, half.r.Len(), "it was not read on")
}

// stopping calls stop when it is first read.
type stopping struct {
	r    *bytes.Reader
	stop func()
}

func (s *stopping) Read(b []byte) (int, error) {
	s.stop()
	return s.r.Read(b)
}

func TestOtherFiles(t *testing.T) {
	t.Parallel()
	var control bytes.Buffer
	require.NoError(t, blocks.Control{DBID: 1, Database: "SHOP"}.Write(&control, nil))
	data, redo := write(t, users()), writeLog(t, log17(), 5000)
	noHeader := write(t, users())
	noHeader[8192] = 6
	for what, c := range map[string]struct {
		b    []byte
		kind blockfile.Kind
		data string
	}{
		"data":      {data, blockfile.Data, ""},
		"redo":      {redo, blockfile.Redo, "this is a redo log of Oracle Database, not a data file"},
		"control":   {control.Bytes(), blockfile.Control, "this is a control file of Oracle Database, not a data file"},
		"text":      {bytes.Repeat([]byte("text\n"), 20000), "", "this is not a data file of Oracle Database"},
		"zeros":     {make([]byte, 100000), "", "this is not a data file"},
		"nothing":   {nil, "", "it ends before its header"},
		"no header": {noHeader, "", "block 1 (byte 8192): it begins with 06 a2 00 00, not as the header of a data file with blocks of 8192 bytes"},
	} {
		kind, ok := blockfile.Match(c.b)
		assert.Equal(t, c.kind, kind, what)
		assert.Equal(t, c.kind != "", ok, what)
		_, err := verifyData(t, c.b, blockfile.Options{})
		_, redoErr := verifyRedo(t, c.b)
		_, controlErr := blockfile.VerifyControl(t.Context(), bytes.NewReader(c.b))
		for kind, err := range map[blockfile.Kind]error{blockfile.Data: err, blockfile.Redo: redoErr, blockfile.Control: controlErr} {
			if kind == c.kind {
				require.NoError(t, err, what)
			} else {
				damaged(t, err, "a "+string(kind))
			}
		}
		if c.data != "" {
			damaged(t, err, c.data)
		}
	}
}
