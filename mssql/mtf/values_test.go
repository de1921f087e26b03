package mtf_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func TestLSN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]mtf.LSN{
		"0":                         {},
		"25000000011600037":         {VLF: 25, Block: 116, Slot: 37},
		"191000000046400037":        {VLF: 191, Block: 464, Slot: 37},
		"4294967295429496729565535": {VLF: 1<<32 - 1, Block: 1<<32 - 1, Slot: 1<<16 - 1},
		"1000000000000000":          {VLF: 1},
		"12300004":                  {Block: 123, Slot: 4},
	} {
		got, err := mtf.ParseLSN(text)
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Equal(t, text, got.String())
		assert.Equal(t, text == "0", got.IsZero())
	}
	for _, bad := range []string{"", "-1", "12a", "0x19:74:25", "99999999999999999999999999", "70000", "9999999999900001"} {
		_, err := mtf.ParseLSN(bad)
		require.Error(t, err, bad)
	}
	up := []mtf.LSN{{}, {Slot: 1}, {Block: 1}, {Block: 1, Slot: 2}, {VLF: 1}, {VLF: 1, Block: 7}, {VLF: 2}}
	for i := range up {
		for j := range up {
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			assert.Equal(t, want, up[i].Compare(up[j]))
		}
	}
	require.Error(t, new(mtf.LSN).UnmarshalText([]byte("x")))
}

func FuzzLSN(f *testing.F) {
	f.Add(uint32(25), uint32(116), uint16(37))
	f.Fuzz(func(t *testing.T, vlf, block uint32, slot uint16) {
		l := mtf.LSN{VLF: vlf, Block: block, Slot: slot}
		again, err := mtf.ParseLSN(l.String())
		require.NoError(t, err)
		require.Equal(t, l, again)
	})
}

func TestGUID(t *testing.T) {
	t.Parallel()
	// As it lies in a genuine file, and as SQL Server shows it.
	g := mtf.GUID{0xf2, 0x25, 0x20, 0xcb, 0x1f, 0x9b, 0xe6, 0x4b, 0xad, 0x40, 0xf6, 0x2f, 0xb6, 0x42, 0xc7, 0xa9}
	assert.Equal(t, "CB2025F2-9B1F-4BE6-AD40-F62FB642C7A9", g.String())
	again, err := mtf.ParseGUID("cb2025f2-9b1f-4be6-ad40-f62fb642c7a9")
	require.NoError(t, err)
	assert.Equal(t, g, again)
	for _, bad := range []string{"", "CB2025F2-9B1F-4BE6-AD40-F62FB642C7A", "CB2025F29B1F4BE6AD40F62FB642C7A9", "GB2025F2-9B1F-4BE6-AD40-F62FB642C7A9", "CB2025F29-B1F-4BE6-AD40-F62FB642C7A9"} {
		_, err := mtf.ParseGUID(bad)
		require.Error(t, err, bad)
		require.Error(t, again.UnmarshalText([]byte(bad)))
	}
	assert.True(t, mtf.GUID{}.IsZero())
}
