package blockfile_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// noise makes n bytes, none of them telling.
func noise(n int, seed byte) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// moment is when everything here was made.
func moment() time.Time { return time.Date(2026, 2, 28, 23, 59, 58, 0, time.UTC) }

// users is a data file that was closed when it was copied, of 12 blocks, two of which were never written.
func users() blocks.DataFile {
	return blocks.DataFile{
		Blocks: 12, DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, ControlSequence: 77, File: 7, RelativeFile: 4, Tablespace: 5, TablespaceName: "USERS",
		CreationSCN: 1234, ResetlogsSCN: 925702, PreviousResetlogsSCN: 1, ResetlogsID: 821283686, PreviousResetlogsID: 824297850, Created: moment().AddDate(-1, 0, 0),
		CheckpointSCN: 27871231, CheckpointTime: moment(), Thread: 1, Sequence: 1440, CheckpointCount: 9,
	}
}

// hot is users, in backup mode.
func hot() blocks.DataFile {
	f := users()
	f.Status, f.BackupSCN, f.BackupTime = blocks.InBackup|blocks.Online, f.CheckpointSCN, moment()
	return f
}

// write makes the file, its last two blocks never written.
func write(t testing.TB, f blocks.DataFile) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := blocks.NewDataWriter(&out, f)
	require.NoError(t, err)
	for n := uint32(2); n+2 <= f.Blocks; n++ {
		require.NoError(t, w.Write(f.CheckpointSCN+uint64(n), noise(f.Payload(), byte(n))))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

// log17 is an archived log.
func log17() blocks.Log {
	return blocks.Log{
		DBID: 1498277274, Database: "SHOP", Compatible: 0x13000000, Thread: 1, Sequence: 17, File: 2, Activation: 1498299999, ResetlogsID: 821283686, PreviousResetlogsID: 824297850,
		ResetlogsSCN: 925702, PreviousResetlogsSCN: 1, First: 27871231, Next: 27879999, FirstTime: moment(), NextTime: moment().Add(time.Hour),
	}
}

// writeLog makes the log, of n bytes of redo.
func writeLog(t testing.TB, l blocks.Log, n int) []byte {
	t.Helper()
	var out bytes.Buffer
	_, err := l.Write(&out, [][]byte{noise(n, 1)})
	require.NoError(t, err)
	return out.Bytes()
}

func verifyData(t testing.TB, b []byte, opt blockfile.Options) (*blockfile.DataFile, error) {
	t.Helper()
	return blockfile.VerifyData(t.Context(), bytes.NewReader(b), opt)
}

func verifyRedo(t testing.TB, b []byte) (*blockfile.RedoLog, error) {
	t.Helper()
	return blockfile.VerifyRedo(t.Context(), bytes.NewReader(b))
}

// damaged demands an error with a place and a hint, that wraps backup.ErrCorrupt and says what.
func damaged(t testing.TB, err error, what string) *blockfile.CorruptError {
	t.Helper()
	require.ErrorIs(t, err, backup.ErrCorrupt)
	require.ErrorContains(t, err, what)
	var c *blockfile.CorruptError
	require.ErrorAs(t, err, &c)
	require.NotEmpty(t, backup.Hint(err))
	return c
}
