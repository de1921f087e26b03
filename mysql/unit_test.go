package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func FuzzFields(f *testing.F) {
	f.Add([]byte("a\tb\nc\\d\x00"), []byte(`\N`), true)
	f.Add([]byte{}, []byte{0xff, '\r', 0x1a}, false)
	f.Fuzz(func(t *testing.T, a, b []byte, null bool) {
		line := appendField(nil, a)
		line = append(line, '\t')
		if null {
			line = append(line, '\\', 'N')
		} else {
			line = appendField(line, b)
		}
		l := newLines(bytes.NewReader(append(line, '\n')))
		got, err := l.next()
		if err != nil || !bytes.Equal(got, line) {
			t.Fatalf("line %q came back as %q, %v", line, got, err)
		}
		first, rest, more := nextField(got)
		second, _, again := nextField(rest)
		if !more || again {
			t.Fatalf("%q does not have two fields", got)
		}
		va, na, err := unescape(nil, first)
		if err != nil || na || !bytes.Equal(va, a) {
			t.Fatalf("%q came back as %q, null %v, %v", a, va, na, err)
		}
		vb, nb, err := unescape(nil, second)
		if err != nil || nb != null || !null && !bytes.Equal(vb, b) {
			t.Fatalf("%q came back as %q, null %v, %v", b, vb, nb, err)
		}
		if _, err = l.next(); err != io.EOF {
			t.Fatal(err)
		}
	})
}

func TestEveryByteAtEveryPlaceIsEscaped(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for at := range 20 {
			for _, fill := range []byte{'a', 0xff, 0x80, 0x0b, '\\', 0} {
				v := bytes.Repeat([]byte{fill}, 20)
				v[at] = byte(c)
				f := appendField(nil, v)
				require.False(t, bytes.ContainsAny(f, "\t\n\x00"), "byte %d at %d among %d: %q", c, at, fill, f)
				back, null, err := unescape(nil, f)
				require.NoError(t, err)
				require.False(t, null)
				require.Equal(t, v, back)
			}
		}
	}
}

func BenchmarkAppendField(b *testing.B) {
	v := bytes.Repeat([]byte("83868641912-"), 10)
	dst := make([]byte, 0, 256)
	b.SetBytes(int64(len(v)))
	for b.Loop() {
		dst = appendField(dst[:0], v)
	}
}

func TestLinesLongAndCut(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	l := newLines(strings.NewReader("a\n" + long + "\nb"))
	for _, want := range []string{"a", long} {
		got, err := l.next()
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := l.next()
	require.ErrorIs(t, err, backup.ErrCorrupt, "a last line without its end")
	for _, bad := range []string{`a\`, `\x`, `\N\N`, `x\N`} {
		_, _, err := unescape(nil, []byte(bad))
		require.ErrorIs(t, err, backup.ErrCorrupt, bad)
	}
}

func TestElement(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, n := range []string{"shop", ".", "..", "a/b", "a.b", "a%2Eb", "日本", "A b", "a\xffb", "é", "e\u0301", "index.json", "$x_-", "\x00", "a`b"} {
		e := element(n)
		assert.NotContains(t, e, "/")
		assert.NotContains(t, e, ".")
		assert.Empty(t, seen[e], "%q and %q meet", n, seen[e])
		seen[e] = n
	}
	assert.Equal(t, "shop", element("shop"))
	assert.Equal(t, "a%2Fb%2E", element("a/b."))
	assert.LessOrEqual(t, len(element(strings.Repeat("'", 64))+"/"+element(strings.Repeat("日", 64))+"/trigger."+element(strings.Repeat("日", 64))+".sql"), 700)
}

func TestPatterns(t *testing.T) {
	t.Parallel()
	f, err := newFilter([]string{"shop", "log_*.2026_??", "`a.b`.`c``d`"}, []string{"*.tmp_*", "shop_old"})
	require.NoError(t, err)
	for _, c := range []struct {
		schema, table string
		want          bool
	}{
		{"shop", "orders", true}, {"shop", "tmp_x", false}, {"shops", "orders", false}, {"log_eu", "2026_01", true},
		{"log_eu", "2026_001", false}, {"a.b", "c`d", true}, {"a.b", "x", false},
	} {
		assert.Equal(t, c.want, f.schema(c.schema) && f.table(c.schema, c.table), "%s.%s", c.schema, c.table)
	}
	assert.True(t, f.whole("shop"))
	assert.False(t, f.whole("log_eu"))
	assert.Equal(t, []string{"a.b"}, f.missing([]string{"shop"}))
	for _, bad := range []string{"", "a.", ".b", "`a", "a.b.c", "`a`b"} {
		_, err := newFilter([]string{bad}, nil)
		require.Error(t, err, bad)
	}
	_, err = New("u@/", &Options{Exclude: []string{"a.b.c"}})
	require.ErrorContains(t, err, "a.b.c")
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-very-secret"
	s, err := New("u:"+secret+"@tcp(db1:3307)/shop", nil)
	require.NoError(t, err)
	defer s.Close()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "source", s)
	for _, text := range []string{s.String(), fmt.Sprintf("%v %+v %#v %s", s, s, s, s), log.String(), fmt.Sprintf("%+v", s.Describe())} {
		assert.NotContains(t, text, secret)
		assert.Contains(t, text, "db1:3307")
	}
	assert.True(t, s.filter.schema("shop"), "the DSN's schema is the default of Include")
	assert.False(t, s.filter.schema("other"))
	for _, dsn := range []string{"u:" + secret + "@tcp(db1", "u:" + secret + "@db1:3306", "mysql://u:" + secret + "@h:1/x?parseTime=%zz"} {
		_, err := New(dsn, nil)
		require.Error(t, err, dsn)
		assert.NotContains(t, err.Error()+backup.Hint(err), secret)
		assert.Contains(t, backup.Hint(err), "@tcp(")
	}
	_, err = New("u@/", &Options{Lock: "tight"})
	require.ErrorContains(t, err, "tight")
}

func TestPositionsOrder(t *testing.T) {
	t.Parallel()
	last := backup.Position("")
	for _, p := range []place{{"bin.000001", 4, ""}, {"bin.000001", 1000, ""}, {"bin.000009", 5, ""}, {"bin.000010", 4, ""}, {"bin.999999", 9, ""}, {"bin.1000000", 4, ""}} {
		require.Greater(t, p.position(), last, "%v", p)
		last = p.position()
	}
	require.Empty(t, place{}.position())
}

func TestScriptKeepsTheStatement(t *testing.T) {
	t.Parallel()
	for _, create := range []string{"CREATE PROCEDURE p() SELECT 1;", "CREATE PROCEDURE p() BEGIN SELECT ';;'; END", "CREATE VIEW v AS SELECT 1",
		"CREATE PROCEDURE p() BEGIN SELECT '$$ ;; ;;; $$$'; END;"} {
		b, at := script{what: "a\nb", use: "s", create: create, body: true, set: settings{SQLMode: "A'B", Charset: "latin1", TimeZone: "SYSTEM"}}.build()
		got, err := at.in("x", b)
		require.NoError(t, err)
		require.Equal(t, create, got)
		head, _, _ := strings.Cut(string(b), "\n")
		require.Equal(t, "-- quiesce: a?b", head)
	}
	_, err := span{5, 2}.in("x", []byte("abc"))
	require.ErrorIs(t, err, backup.ErrCorrupt)
}

func TestYearsKeepFourDigits(t *testing.T) {
	t.Parallel()
	rw := &rowWriter{cols: []columnEntry{{Name: "y", Type: yearColumn}}}
	for v, want := range map[int64]string{0: "0000", 7: "0007", 1999: "1999", 2155: "2155"} {
		assert.Equal(t, want, string(rw.integer(nil, 0, v)))
	}
}

// A session is killed when the outermost context ends, which is before those derived from it end.
func TestReasonOfTheOutermostContext(t *testing.T) {
	t.Parallel()
	s := &Source{instance: "db1"}
	inner := t.Context() // has not ended yet
	err := s.fail(inner, "read", "shop.orders", mysql.ErrInvalidConn)
	outer, cancel := context.WithCancelCause(t.Context())
	require.Equal(t, err, because(outer, err))
	gone := errors.New("operator went home")
	cancel(gone)
	err = because(outer, err)
	require.ErrorIs(t, err, gone)
	require.ErrorIs(t, err, mysql.ErrInvalidConn)
	require.ErrorContains(t, err, "read db1 shop.orders: operator went home")
	require.Equal(t, err, because(outer, err), "told twice")
	require.NoError(t, because(outer, nil))
}
