package mtf_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blocks cuts a file where its blocks begin, which is on sectors.
func blocks(b []byte) (all [][]byte) {
	for at := 0; at < len(b); at += 512 {
		switch string(b[at : at+4]) {
		case "TAPE", "SFMB", "SSET", "VOLB", "MSCI", "MSDA", "MSTL", "MSLS", "ESET":
			all = append(all, nil)
		}
		last := len(all) - 1
		all[last] = append(all[last], b[at:at+512]...)
	}
	return all
}

// TestLostAndRepeatedBlocks leaves out each block of a file of two sets, and writes each twice. The second ESET of a set may be there any number of times: it holds nothing.
func TestLostAndRepeatedBlocks(t *testing.T) {
	t.Parallel()
	b := media(full(), differential()).Bytes()
	all := blocks(b)
	require.Len(t, all, 2+11+10)
	for i := range all {
		id := string(all[i][:4])
		without := bytes.Join(append(append([][]byte{}, all[:i]...), all[i+1:]...), nil)
		twice := bytes.Join(append(append([][]byte{}, all[:i+1]...), all[i:]...), nil)
		_, err := scan(t, twice)
		_, errToo := scan(t, without)
		if id == "ESET" {
			require.NoError(t, err)
			require.NoError(t, errToo)
			continue
		}
		damaged(t, err, id+" twice")
		damaged(t, errToo, id+" left out")
	}
}

// TestOrderOfSets: a set from the second place of one file does not pass for the first of another.
func TestOrderOfSets(t *testing.T) {
	t.Parallel()
	all := blocks(media(full(), differential()).Bytes())
	_, err := scan(t, bytes.Join(append(append([][]byte{}, all[:2]...), all[13:]...), nil))
	damaged(t, err, "set 2 alone")
	assert.ErrorContains(t, err, "the set is number 1 in the file, and says that it is number 2")
}

// TestNumbersOfBlocks: a block says how many blocks of its set are before it.
func TestNumbersOfBlocks(t *testing.T) {
	t.Parallel()
	b := media(full()).Bytes()
	b[bytes.Index(b, []byte("MSTL"))+36]++
	reseal(b)
	_, err := scan(t, b)
	damaged(t, err, "number")
	assert.ErrorContains(t, err, "number 6 of its set, and is 5")
}

// TestStartOfData: two zero bytes are before pages and log, outside their checksum.
func TestStartOfData(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"MQDA", "MQTL"} {
		for i := range 16 {
			b := media(full()).Bytes()
			b[bytes.Index(b, []byte(id))+22+i/8] ^= 1 << (i % 8)
			_, err := verify(t, b)
			damaged(t, err, id)
		}
	}
}

// TestLongNames: names have a bound, so that no file makes its reader keep much.
func TestLongNames(t *testing.T) {
	t.Parallel()
	s := full()
	s.Database = strings.Repeat("x", 1024)
	assert.Equal(t, s.Database, both(t, media(s).Bytes()).Sets[0].Database)
	s.Database += "x"
	_, err := scan(t, media(s).Bytes())
	damaged(t, err, "a name of 2050 bytes")
}
