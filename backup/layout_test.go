package backup

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCleanKey(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"shop/orders/data.00001.tsv": "shop/orders/data.00001.tsv",
		"a b/c%d":                    "a=20b/c=25d",
		"ü":                          "=C3=BC",
		".hidden/dot.":               "=2Ehidden/dot=2E",
		"00000000/x":                 "00000000~/x",
		"con/NUL.txt/com1/console":   "=63on/=4EUL.txt/=63om1/console",
		`C:\data\x.mdf`:              "C=3A=5Cdata=5Cx.mdf",
		"~":                          "=7E",
	} {
		assert.Equal(t, want, cleanKey(name), name)
		assert.True(t, validKey(want), want)
	}
	long := cleanKey(strings.Repeat("x", 300))
	assert.LessOrEqual(t, len(long), maxElement)
	assert.NotEqual(t, long, cleanKey(strings.Repeat("x", 301)))
	for _, bad := range []string{"", "/a", "a/", "a//b", "../a", "a/../b", "a/./b", ".a", `a\b`, "a b"} {
		assert.False(t, validKey(bad), bad)
	}
}

func TestKeySetFoldsCase(t *testing.T) {
	t.Parallel()
	s := newKeySet()
	assert.Equal(t, "Orders", s.take("Orders"))
	assert.Equal(t, "orders~2", s.take("orders"))
	assert.Equal(t, "ORDERS~3", s.take("ORDERS"))
	assert.Equal(t, "entries.jsonl~2", s.take("entries.jsonl"), "a listing's key is taken")
}

func FuzzCleanKey(f *testing.F) {
	for _, s := range []string{"a/b", "x=20", "..", "\x00", "a~2", strings.Repeat("ü", 200)} {
		f.Add(s, "other")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if (Artifact{Name: a, Item: "i"}).validate() != nil || (Artifact{Name: b, Item: "i"}).validate() != nil {
			return
		}
		if !validKey(cleanKey(a)) {
			t.Fatalf("%q has the key %q", a, cleanKey(a))
		}
		if a != b && cleanKey(a) == cleanKey(b) {
			t.Fatalf("%q and %q share the key %q", a, b, cleanKey(a))
		}
	})
}

func TestID(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 2, 0, 0, 123_456_789, time.UTC)
	id := NewID(now, "")
	require.True(t, id.Valid())
	got, err := id.Time()
	require.NoError(t, err)
	assert.Equal(t, now.Truncate(time.Millisecond), got)
	later := NewID(now.Add(-time.Hour), id)
	assert.Greater(t, later, id, "the clock went back, the ids do not")
	for _, bad := range []ID{"", "x", id[:27], id + "0", "2026-11-22T020000123Z-9f8e7d", ID(strings.Replace(string(id), "-", "/", 1))} {
		assert.False(t, bad.Valid(), string(bad))
	}
}
