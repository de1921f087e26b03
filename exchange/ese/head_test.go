package ese_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

func TestReadDatabaseHeader(t *testing.T) {
	t.Parallel()
	for _, page := range []int{2048, 4096, 8192, 16384, 32768} {
		b := made(page, 40)
		want, err := verify(t, b)
		require.NoError(t, err)
		clear(b[2*page:]) // pages are not looked at
		b[3*page]++
		d, err := ese.ReadDatabaseHeader(t.Context(), iotest.OneByteReader(bytes.NewReader(b)))
		require.NoError(t, err)
		assert.Equal(t, want.Header, d.Header)
		assert.Equal(t, ese.HeaderRead, d.Depth)
		assert.Zero(t, d.Good+d.Unused+d.Bad+d.SizeBytes)
		d, err = ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b[:2*page]))
		require.NoError(t, err, "both copies are all that is needed")
		assert.Equal(t, want.Header, d.Header)

		b[300]++
		d, err = ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b))
		require.ErrorIs(t, err, backup.ErrCorrupt)
		require.ErrorContains(t, err, "the first copy of the header is damaged")
		assert.Equal(t, want.Header, d.Header, "from the second")
		assert.Equal(t, ese.Recognised, d.Depth)
		b[page+300]++
		d, err = ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b))
		require.ErrorContains(t, err, "neither copy")
		assert.Zero(t, d.PageSizeBytes)
	}
	d, err := ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(nil))
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.Zero(t, d.PageSizeBytes)
}

func TestReadLogHeader(t *testing.T) {
	t.Parallel()
	for _, version := range []int{7, 8} {
		b := madeLog(version, 17, 5)
		want, err := ese.VerifyLog(t.Context(), bytes.NewReader(b))
		require.NoError(t, err)
		l, err := ese.ReadLogHeader(t.Context(), iotest.OneByteReader(bytes.NewReader(b[:4096])))
		require.NoError(t, err)
		want.Depth, want.Sum, want.Data, want.Shadow, want.Unused = ese.HeaderRead, 0, 0, 0, 0
		assert.Equal(t, want, l)
	}
	b := madeLog(8, 17, 0)
	_, err := ese.ReadLogHeader(t.Context(), bytes.NewReader(b[:4095]))
	require.ErrorContains(t, err, "inside the header of a log")
	b[100]++
	l, err := ese.ReadLogHeader(t.Context(), bytes.NewReader(b))
	require.ErrorIs(t, err, backup.ErrCorrupt)
	assert.Equal(t, &ese.Log{}, l)
}

// TestChainOfHeaders: logs of which the headers were read are a chain, and a break in it is one, whether the sums are known or not.
func TestChainOfHeaders(t *testing.T) {
	t.Parallel()
	whole, heads := make([]ese.NamedLog, 0, 3), make([]ese.NamedLog, 0, 3)
	sum := uint64(0)
	for _, g := range []uint32{17, 18, 19} {
		b := madeLog(8, g, sum)
		n := readLog(t, "E00000"+[]string{"11", "12", "13"}[g-17]+".log", b)
		sum = n.Log.Sum
		whole = append(whole, n)
		l, err := ese.ReadLogHeader(t.Context(), bytes.NewReader(b))
		require.NoError(t, err)
		heads = append(heads, ese.NamedLog{Name: n.Name, Log: l})
	}
	series := whole[0].Log.Signature
	require.NoError(t, ese.CheckChain(series, heads))
	require.NoError(t, ese.CheckChain(series, []ese.NamedLog{heads[0], whole[1], heads[2]}))
	require.NoError(t, ese.CheckChain(series, []ese.NamedLog{whole[0], heads[1], whole[2]}))
	require.ErrorIs(t, ese.CheckChain(series, []ese.NamedLog{heads[0], heads[2]}), backup.ErrChainBroken)
	heads[1].Log.PreviousSum++
	require.ErrorContains(t, ese.CheckChain(series, []ese.NamedLog{whole[0], heads[1]}), "with the sum")
	heads[1].Log.PreviousCreated[0]++
	require.ErrorContains(t, ese.CheckChain(series, heads), "it continues a log created")
}

func TestHeadersOfReaders(t *testing.T) {
	t.Parallel()
	read := map[string]func(context.Context, io.Reader) error{
		"database":   func(ctx context.Context, r io.Reader) error { _, err := ese.ReadDatabaseHeader(ctx, r); return err },
		"log":        func(ctx context.Context, r io.Reader) error { _, err := ese.ReadLogHeader(ctx, r); return err },
		"checkpoint": func(ctx context.Context, r io.Reader) error { _, err := ese.VerifyCheckpoint(ctx, r); return err },
	}
	for what, of := range read {
		err := of(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, 100)), iotest.ErrReader(errGone)))
		require.ErrorIs(t, err, errGone, what)
		require.ErrorContains(t, err, "read at byte 100", what)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errGone)
		require.ErrorIs(t, of(ctx, bytes.NewReader(nil)), errGone, what)
	}
}

func TestBackupMarks(t *testing.T) {
	t.Parallel()
	b, le := made(4096, 1), binary.LittleEndian
	for i, at := range []int{136, 160, 420, 444} { // full, incremental, copy, differential
		copy(b[at+8:], "\x05\x1e\x0c\x01\x03\x7c\x01\x00")
		le.PutUint32(b[at+16:], uint32(0x11+i))
		le.PutUint32(b[at+20:], uint32(0x12+i))
		le.PutUint32(b[[]int{356, 360, 468, 472}[i]:], uint32(i))
	}
	sealHeaders(b, 4096)
	d, err := ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	assert.Equal(t, "2024-03-01 12:30:05Z by streaming, logs 0x11 to 0x12", d.FullPrevious.String())
	assert.Equal(t, "2024-03-01 12:30:05Z by OS snapshot, logs 0x12 to 0x13", d.IncrementalPrevious.String())
	assert.Equal(t, "2024-03-01 12:30:05Z by snapshot, logs 0x13 to 0x14", d.CopyPrevious.String())
	assert.Equal(t, "2024-03-01 12:30:05Z by surrogate, logs 0x14 to 0x15", d.DifferentialPrevious.String())
	assert.Equal(t, "never", d.FullCurrent.String())
	assert.Equal(t, "BackupMethod(9)", ese.BackupMethod(9).String())

	clear(b[136:160])
	le.PutUint32(b[356:], 1) // a method and no backup
	sealHeaders(b, 4096)
	d, err = ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b))
	require.NoError(t, err)
	assert.Zero(t, d.FullPrevious)
	assert.True(t, ese.BackupMark{Method: ese.BySurrogate}.IsZero())
}

func TestStampIn(t *testing.T) {
	t.Parallel()
	east := time.FixedZone("east", 2*60*60)
	utc := ese.Stamp{5, 30, 12, 1, 3, 124, 1}
	assert.Equal(t, time.Date(2024, 3, 1, 14, 30, 5, 0, east), utc.In(east))
	local := ese.Stamp{5, 30, 12, 1, 3, 124}
	assert.Equal(t, time.Date(2024, 3, 1, 12, 30, 5, 0, east), local.In(east))
	assert.True(t, local.In(east).Equal(time.Date(2024, 3, 1, 10, 30, 5, 0, time.UTC)))
	for _, none := range []ese.Stamp{{}, {61, 30, 12, 1, 3, 124}} {
		assert.True(t, none.In(east).IsZero())
	}
}
