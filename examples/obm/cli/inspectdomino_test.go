package cli

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestInspectDominoFiles runs the command on files as Domino lays them out, whole, unusual, damaged and cut.
func TestInspectDominoFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	inspect := func(name string, b []byte, code int) string {
		t.Helper()
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, b, 0o600))
		var out bytes.Buffer
		p := &Program{Name: "obm", Stdin: new(bytes.Buffer), Stdout: &out, Stderr: new(bytes.Buffer)}
		require.Equal(t, code, p.Run(t.Context(), []string{"inspect", name}), "%s", &out)
		return out.String()
	}
	database := func() []byte {
		b := make([]byte, 8192)
		put := binary.LittleEndian.PutUint32
		put(b, 0x1A|1024<<16)
		put(b[6:], 43)
		put(b[42:], 0xFF04)
		put(b[88:], 8192/256)
		copy(b[180:], "\x21\xab\x55\x00\xb9\x66\x25\x85")
		copy(b[200:], "Or\x1bders\nSales\n#1StdOrders")
		for i := range 2 {
			put(b[560+8*i:], uint32(4+8*i))
			put(b[564+8*i:], 2048)
			put(b[1024+2048*i:], 0x0E)
		}
		copy(b[768:], "0123456789abcdef")
		return b
	}
	text := inspect("orders.bak", database(), 0)
	for _, want := range []string{"Notes database", "class: template", "title: Or", "categories: Sales", "template: StdOrders", "replica id: 852566B90055AB21", "ods: 43", "dbiid: none",
		"log id: 30313233343536373839616263646566", "checked: header, length and superblocks; only Notes reads the content"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "\x1b", "fit for a terminal")
	assert.NotContains(t, text, "inherits")
	text = inspect("orders.nsf", database()[:5000], 1)
	assert.Contains(t, text, "PROBLEM: byte 5000: the file ends here; its header gives it 8192 bytes")
	assert.Contains(t, text, "checked: up to the first problem")
	young := database()
	young[6] = 99
	text = inspect("orders.nsf", young, 0)
	assert.Contains(t, text, "checked: signature and length; the structure is not known here")
	assert.Contains(t, text, "release: unknown")

	text = inspect("S0000017.TXN", []byte("whatever it is"), 0)
	assert.Contains(t, text, "Domino log extent")
	assert.Contains(t, text, "bytes: 14")
	assert.Contains(t, inspect("s00000a1.txn", nil, 1), "PROBLEM: is empty")
	assert.Contains(t, inspect("S17.TXN", []byte("x"), 1), "not recognised")
	assert.Contains(t, inspect("S0000018.TXN", database(), 0), "Notes database", "content goes before names")
}
