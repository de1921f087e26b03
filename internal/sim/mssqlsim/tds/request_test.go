package tds

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzRequest feeds requests that no client would send: they are refused, and nothing else happens.
func FuzzRequest(f *testing.F) {
	headers := []byte{22, 0, 0, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}
	call := append(bytes.Clone(headers), 0xFF, 0xFF, 10, 0, 0, 0)
	text := append(bytes.Clone(call), 0, 0, 0xE7, 2, 0, 0, 0, 0, 0, 0, 2, 0, 'x', 0)
	f.Add(text)
	f.Add(append(bytes.Clone(call), 0, 0, 0xE7, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2, 0, 0, 0, 'x', 0, 0, 0, 0, 0))
	f.Add(append(bytes.Clone(text), 0, 0, 0x6C, 5, 9, 3, 5, 1, 1, 0, 0, 0))
	f.Add(headers[:10])
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &cursor{b: body}
		c.headers()
		_, _ = parseRPC(&cursor{b: c.b, err: c.err})
		_, _ = parseBatch(&cursor{b: c.b, err: c.err})
		_, _ = parseTransaction(&cursor{b: c.b, err: c.err})
		_, _ = parseLogin(body)
		_, _ = preloginEncryption(body)
		_, _ = readMessage(bytes.NewReader(body))
	})
}

func TestBadPacketsAreRefused(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string][]byte{
		"shorter than its header":  {1, 1, 0, 7, 0, 0, 1, 0},
		"longer than allowed":      {1, 1, 0x80, 0, 0, 0, 1, 0},
		"unknown status":           {1, 3, 0, 8, 0, 0, 1, 0},
		"two types in one message": {1, 0, 0, 8, 0, 0, 1, 0, 3, 1, 0, 8, 0, 0, 2, 0},
		"ends too early":           {1, 1, 0, 9, 0, 0, 1, 0},
	} {
		_, err := readMessage(bytes.NewReader(raw))
		require.Error(t, err, name)
	}
}

func TestRowTakesTheShorterForm(t *testing.T) {
	t.Parallel()
	columns := []Column{{Name: "a", Type: Bit()}, {Name: "b", Type: NVarCharMax()}}
	for _, c := range []struct {
		values []any
		want   []byte
	}{
		{[]any{nil, ""}, []byte{tokenRow, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
		{[]any{true, nil}, []byte{tokenNullRow, 2, 1, 1}},
		{[]any{nil, nil}, []byte{tokenNullRow, 3}},
	} {
		got, err := appendRow(nil, columns, c.values)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := appendRow(nil, columns, []any{true})
	require.ErrorContains(t, err, "1 values for 2 columns")
}
