package esefile_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

var (
	moment = time.Date(2007, 3, 9, 14, 5, 6, 789e6, time.UTC)
	zone   = time.FixedZone("here", 3600)
	stamp  = esefile.StampOf(moment, zone, false)
	dbSign = esefile.NewSignature(42, stamp, "EXCH1")
	series = esefile.NewSignature(4711, stamp, "EXCH1")
)

func TestStamp(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "2007-03-09 15:05:06", ese.Stamp(stamp).String())
	utc := ese.Stamp(esefile.StampOf(moment, zone, true))
	assert.True(t, utc.UTC())
	assert.True(t, utc.Time().Equal(moment), utc.Time())
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	for _, size := range []int{4096, 8192, 16384, 32768} {
		h := esefile.Header{
			PageBytes: uint32(size), State: esefile.Dirty, DBTime: 17, Signature: dbSign, LogSignature: series, MinRequired: 3, MaxRequired: 5, MaxCommitted: 6, MaxRequiredTime: stamp,
			FullPrev: esefile.Mark{At: esefile.Position{Generation: 2, Sector: 8}, Time: stamp, First: 1, Last: 2}, FullPrevBy: esefile.ByOSSnapshot, Revision: 0x14, ID: 1,
		}
		page := esefile.Page{Number: 1, DBTime: 17, Key: "subject", Value: "value"}
		b := bytes.Join([][]byte{h.Encode(), page.Encode(size), make([]byte, size), esefile.Page{Number: 3, Key: "k"}.Encode(size)}, nil)
		d, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		assert.Equal(t, ese.Summed, d.Depth)
		assert.Equal(t, [3]int64{2, 1, 0}, [3]int64{d.Good, d.Unused, d.Bad})
		assert.Equal(t, [3]uint32{3, 5, 6}, [3]uint32{d.RequiredFirst, d.RequiredLast, d.CommittedLast})
		assert.Equal(t, ese.DirtyShutdown, d.State)
		assert.Equal(t, "EXCH1", d.Signature.Computer)
		assert.Equal(t, uint32(4711), d.LogSignature.Random)
		assert.Equal(t, uint32(2), d.FullPrevious.Last)
		assert.Equal(t, size, d.PageSizeBytes)

		back, err := esefile.DecodeHeader(b)
		require.NoError(t, err)
		assert.Equal(t, h, back)
		got, err := esefile.DecodePage(b[2*size:3*size], 1)
		require.NoError(t, err)
		assert.Equal(t, page, got)
		b[3*size-1] ^= 1
		_, err = esefile.DecodePage(b[2*size:3*size], 1)
		assert.ErrorIs(t, err, esefile.ErrPage)
		b[10]++
		b[size+10]++
		_, err = esefile.DecodeHeader(b)
		assert.ErrorIs(t, err, esefile.ErrHeader)
	}
}

func TestStreamedCopy(t *testing.T) {
	t.Parallel()
	const size = 8192
	full := esefile.Mark{At: esefile.Position{Generation: 9, Sector: 8, Byte: 4}, Time: stamp, First: 7}
	h := esefile.Header{PageBytes: size, State: esefile.Dirty, Signature: dbSign, LogSignature: series, FullCur: full}
	closed := full
	closed.Last = 9
	trailer := esefile.Trailer{Full: closed, Signature: dbSign, LogSignature: series, MinRequired: 7, MaxRequired: 9, MaxCommitted: 9}
	b := bytes.Join([][]byte{h.Encode(), esefile.Page{Number: 1, Key: "k", Value: "v"}.Encode(size), trailer.Encode(size)}, nil)
	d, err := ese.VerifyDatabase(t.Context(), bytes.NewReader(b), int64(len(b)))
	require.NoError(t, err)
	require.NotNil(t, d.Trailer)
	assert.Equal(t, [2]uint32{7, 9}, [2]uint32{d.Trailer.Full.First, d.Trailer.Full.Last})
	back, ok := esefile.DecodeTrailer(b[len(b)-size:])
	assert.True(t, ok)
	assert.Equal(t, trailer, back)
	_, ok = esefile.DecodeTrailer(b[len(b)-2*size : len(b)-size])
	assert.False(t, ok)

	stm := append(h.Stream().Encode(), bytes.Repeat([]byte{7}, size)...)
	d, err = ese.VerifyDatabase(t.Context(), bytes.NewReader(stm), -1)
	require.NoError(t, err)
	assert.True(t, d.Streaming)
}

func TestLogs(t *testing.T) {
	t.Parallel()
	for _, segmented := range []bool{false, true} {
		t.Run(fmt.Sprintf("segmented=%v", segmented), func(t *testing.T) {
			t.Parallel()
			h := esefile.LogHeader{
				Bytes: 64 << 10, Segmented: segmented, PageBytes: 8192, Signature: series, SystemPath: `E:\sys`, LogPath: `E:\log`, Flags: esefile.FlagCircular,
				Databases: []esefile.Attached{{ID: 1, DBTime: 5, Signature: dbSign, Path: "/d/one.edb"}, {ID: 2, Signature: series, Path: "/d/zwei.edb"}},
			}
			var chain []ese.NamedLog
			n := 0
			for gen := uint32(1); gen <= 3; gen++ {
				h.Generation, h.PrevCreated, h.Created = gen, h.Created, esefile.StampOf(moment.Add(time.Duration(gen)*time.Second), zone, segmented)
				l, err := esefile.NewLog(h)
				require.NoError(t, err)
				var wrote []esefile.Record
				for {
					r := esefile.Record{Type: esefile.RecordSet, Database: 1, Page: uint32(n), DBTime: uint64(n), UnixNano: moment.UnixNano(), Key: fmt.Sprint("key", n), Value: strings.Repeat("v", n*37%1500)}
					at, from, to, ok := l.Append(r, stamp)
					if !ok || gen == 3 && len(wrote) == 5 {
						break
					}
					assert.Less(t, from, to)
					r.At = at
					wrote = append(wrote, r)
					n++
				}
				require.NotEmpty(t, wrote)
				v, err := ese.VerifyLog(t.Context(), bytes.NewReader(l.Bytes()))
				require.NoError(t, err)
				assert.Equal(t, gen, v.Generation)
				assert.True(t, v.Circular)
				assert.Equal(t, 8192, v.DatabasePageBytes)
				if segmented {
					assert.Equal(t, ese.Summed, v.Depth)
					assert.Positive(t, v.Data)
					assert.Equal(t, l.Sum(), v.Sum)
				}
				chain = append(chain, ese.NamedLog{Name: fmt.Sprintf("E00%05X.log", gen), Log: v})

				back, records, err := esefile.DecodeLog(l.Bytes())
				require.NoError(t, err)
				if gen < 3 { // the last record that was tried went into the third
					assert.Equal(t, wrote, records)
				}
				assert.Equal(t, h.Databases, back.Header.Databases)
				assert.Equal(t, h.LogPath, back.Header.LogPath)
				assert.Equal(t, h.SystemPath, back.Header.SystemPath)
				assert.Equal(t, l.End(), back.End())
				assert.True(t, records[0].At.Before(records[1].At))
				h.PreviousSum = l.Sum()

				torn := bytes.Clone(l.Bytes())
				torn[4096+60]++
				_, _, err = esefile.DecodeLog(torn)
				require.ErrorIs(t, err, esefile.ErrLog)
				_, _, err = esefile.DecodeLog(torn[:len(torn)-1])
				require.ErrorIs(t, err, esefile.ErrLog)
			}
			require.NoError(t, ese.CheckChain(chain[0].Log.Signature, chain))
			assert.Equal(t, uint32(4711), chain[0].Log.Signature.Random)
			require.Error(t, ese.CheckChain(ese.Signature{}, []ese.NamedLog{chain[0], chain[2]}))
		})
	}
}

func TestCheckpoint(t *testing.T) {
	t.Parallel()
	k := esefile.Checkpoint{At: esefile.Position{Generation: 5, Sector: 9, Byte: 3}, Signature: series, FullBackup: esefile.Position{Generation: 2}, FullTime: stamp}
	c, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(k.Encode()))
	require.NoError(t, err)
	assert.Equal(t, "0x5:9:3", c.At.String())
	assert.Equal(t, uint32(4711), c.Signature.Random)
	assert.Equal(t, uint32(2), c.FullBackup.Generation)
}
