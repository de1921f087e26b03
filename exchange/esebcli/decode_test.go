package esebcli

import (
	"encoding/binary"
	"io/fs"
	"slices"
	"testing"
	"unicode/utf16"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// arena is memory of a process of either bitness, in which structures are built by the offsets of the reference.
type arena struct {
	word int
	b    []byte
}

const arenaAt = 0x10000

func (a *arena) memory() memory {
	return memory{word: a.word, at: func(addr uint64, n int) []byte { return a.b[addr-arenaAt : addr-arenaAt+uint64(n)] }}
}

// room makes so many bytes, at an address that is a multiple of 8.
func (a *arena) room(n int) uint64 {
	for len(a.b)%8 != 0 {
		a.b = append(a.b, 0xCC) // padding has no meaning
	}
	at := uint64(arenaAt + len(a.b))
	a.b = append(a.b, slices.Repeat([]byte{0xCC}, n)...)
	return at
}

func (a *arena) text(s string) uint64 { return a.chars(append(utf16.Encode([]rune(s)), 0)) }

func (a *arena) chars(chars []uint16) uint64 {
	at := a.room(2 * len(chars))
	for i, c := range chars {
		binary.LittleEndian.PutUint16(a.b[at-arenaAt+uint64(2*i):], c)
	}
	return at
}

func (a *arena) multi(list ...string) (at uint64, chars uint32) {
	var all []uint16
	for _, s := range append(list, "") {
		all = append(append(all, utf16.Encode([]rune(s))...), 0)
	}
	return a.chars(all), uint32(len(all))
}

func (a *arena) u32(at uint64, v uint32) { binary.LittleEndian.PutUint32(a.b[at-arenaAt:], v) }

func (a *arena) i64(at uint64, v int64) { binary.LittleEndian.PutUint64(a.b[at-arenaAt:], uint64(v)) }

func (a *arena) pointer(at, v uint64) {
	if a.word == 4 {
		a.u32(at, uint32(v))
		return
	}
	a.i64(at, int64(v))
}

// pick is the offset in structures of 32 and of 64 bits.
func (a *arena) pick(in32, in64 uint64) uint64 {
	if a.word == 4 {
		return in32
	}
	return in64
}

var testID = GUID{0xF1, 0xE2, 0xD3, 0xC4, 0xB5, 0xA6, 0x97, 0x88, 9, 10, 11, 12, 13, 14, 15, 16}

func TestInstances(t *testing.T) {
	t.Parallel()
	for _, word := range []int{4, 8} {
		a := &arena{word: word}
		dbSize, groupSize := a.pick(36, 48), a.pick(32, 48)
		dbs := a.room(int(2 * dbSize))
		for i, name := range []string{"Postfächer", "public"} {
			at := dbs + uint64(i)*dbSize
			streams, n := a.multi(`E:\a.edb`, "")
			if i == 1 {
				streams, n = a.multi(`E:\p.edb`, `E:\p.stm`)
			}
			a.pointer(at, a.text(name))
			a.u32(at+a.pick(4, 8), n)
			a.pointer(at+a.pick(8, 16), streams)
			copy(a.b[at-arenaAt+a.pick(12, 24):], testID[:])
			a.u32(at+a.pick(28, 40), 77)
			a.u32(at+a.pick(32, 44), uint32(0x10*i|0x3))
		}
		groups := a.room(int(2 * groupSize))
		for i, name := range []string{"one", ""} {
			at := groups + uint64(i)*groupSize
			a.i64(at, -0x123456789ABCDEF0+int64(i))
			a.pointer(at+8, a.text(name))
			a.u32(at+a.pick(12, 16), 5)
			a.u32(at+a.pick(16, 20), uint32(2-2*i))
			a.pointer(at+a.pick(20, 24), dbs*uint64(1-i))
			a.u32(at+a.pick(24, 32), 1)
			a.pointer(at+a.pick(28, 40), 0xDEAD)
		}
		got, err := a.memory().instances(groups, 2)
		require.NoError(t, err)
		assert.Equal(t, []Instance{
			{ID: -0x123456789ABCDEF0, Name: "one", Databases: []Database{
				{Name: "Postfächer", GUID: testID, Streams: []string{`E:\a.edb`}},
				{Name: "public", GUID: testID, Streams: []string{`E:\p.edb`, `E:\p.stm`}, Mounted: true},
			}},
			{ID: -0x123456789ABCDEF0 + 1, Databases: []Database{}},
		}, got, "word %d", word)

		got, err = a.memory().instances(0, 0)
		require.NoError(t, err)
		assert.Empty(t, got)
		_, err = a.memory().instances(0, 1)
		require.ErrorIs(t, err, errStructure)
		_, err = a.memory().instances(groups, 1<<31)
		require.ErrorIs(t, err, errStructure)
		a.u32(groups+a.pick(16, 20), 1<<20)
		_, err = a.memory().instances(groups, 2)
		require.ErrorIs(t, err, errStructure)
		require.ErrorContains(t, err, `instance "one"`)
		a.u32(groups+a.pick(16, 20), 2)
		a.pointer(dbs, 0)
		_, err = a.memory().instances(groups, 2)
		require.ErrorContains(t, err, "name of a database")
		a.pointer(dbs, a.text("x"))
		a.u32(dbs+a.pick(4, 8), 5) // in the middle of a name
		_, err = a.memory().instances(groups, 2)
		require.ErrorContains(t, err, `files of database "x"`)
		a.u32(dbs+a.pick(4, 8), 1<<31)
		_, err = a.memory().instances(groups, 2)
		require.ErrorIs(t, err, errStructure)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	for _, word := range []int{4, 8} {
		a := &arena{word: word}
		e := a.room(int(a.pick(72, 128)))
		clear(a.b)
		a.pointer(e, a.text(`E:\restore`))
		a.pointer(e+a.pick(4, 8), a.text("source"))
		a.u32(e+a.pick(8, 16), 1)
		a.pointer(e+a.pick(28, 56), a.text("target"))
		a.u32(e+a.pick(40, 80), 7)
		a.u32(e+a.pick(44, 84), 9)
		a.pointer(e+a.pick(48, 88), a.text("E01"))
		got, err := a.memory().environment(e)
		require.NoError(t, err)
		assert.Equal(t, Environment{RestoreLogPath: `E:\restore`, SourceInstance: "source", TargetInstance: "target", First: 7, Last: 9, LogBase: "E01"}, got, "word %d", word)
		a.pointer(e+a.pick(28, 56), 0)
		got, err = a.memory().environment(e)
		require.NoError(t, err)
		assert.Empty(t, got.TargetInstance)
		_, err = a.memory().environment(0)
		require.ErrorIs(t, err, errStructure)
	}
}

func TestLists(t *testing.T) {
	t.Parallel()
	a := &arena{word: 8}
	at, n := a.multi("a", "bc", "ü")
	for limit, want := range map[int64][]string{int64(n): {"a", "bc", "ü"}, maxChars: {"a", "bc", "ü"}, 5: {"a", "bc"}, 2: {"a"}, 0: nil} {
		got, err := a.memory().list(at, limit)
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := a.memory().list(at, 4)
	require.ErrorIs(t, err, errStructure)
	none, err := a.memory().list(0, 100)
	require.NoError(t, err)
	assert.Empty(t, none)
}

func TestArguments(t *testing.T) {
	t.Parallel()
	f := &frame{word: 8}
	defer f.release()
	const big = -0x123456789ABCDEF0 // which 32 bits do not hold
	f.handle(7).u32(8).i64(big).guid(testID)
	require.Len(t, f.words, 4)
	n := int64(big)
	assert.Equal(t, []uintptr{7, 8, uintptr(n)}, f.words[:3])
	if wordSize == 8 {
		assert.Equal(t, testID[:], native().at(uint64(f.words[3]), 16))
	}

	narrow := &frame{word: 4}
	narrow.i64(big).guid(testID)
	assert.Equal(t, []uintptr{0x65432110, 0xEDCBA987, 0xC4D3E2F1, 0x8897A6B5, 0x0C0B0A09, 0x100F0E0D}, narrow.words)
}

func TestTextArguments(t *testing.T) {
	t.Parallel()
	f := newFrame()
	defer f.release()
	f.text("").text("ü𝄞").multi([]string{"a.edb"}).multi([]string{"a.edb", "b.stm"})
	require.NoError(t, f.err)
	assert.Zero(t, f.words[0], "NULL")
	m := native()
	s, err := m.text(uint64(f.words[1]))
	require.NoError(t, err)
	assert.Equal(t, "ü𝄞", s)
	assert.Equal(t, utf16.Encode([]rune("a.edb\x00\x00\x00")), chars(f.words[2], 8))
	assert.Equal(t, utf16.Encode([]rune("a.edb\x00b.stm\x00\x00")), chars(f.words[3], 13))
	require.ErrorIs(t, newFrame().text("a\x00b").err, fs.ErrInvalid)
}

func chars(p uintptr, n int) []uint16 {
	return slices.Clone(unsafe.Slice((*uint16)(pointer(p)), n))
}
