package binlog_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// genuineLogs are the files of the folder, by name.
func genuineLogs(t testing.TB) map[string][]byte {
	t.Helper()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set")
	}
	paths, err := filepath.Glob(filepath.Join(dir, "mysql", "*.binlog"))
	require.NoError(t, err)
	require.Len(t, paths, 5)
	out := map[string][]byte{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		out[filepath.Base(p)] = b
	}
	return out
}

// walk reads all events and returns the transactions, and where each event ends.
func walk(b []byte) (all []binlog.Transaction, ends []int64, err error) {
	w := binlog.NewWalker(bytes.NewReader(b))
	for {
		st, err := w.Next()
		if err == io.EOF {
			return all, ends, nil
		}
		if err != nil {
			return all, ends, err
		}
		if st.First {
			all = append(all, *st.Transaction)
		}
		ends = append(ends, w.Offset())
	}
}

func TestTransactionsOfGenuineLogs(t *testing.T) {
	want := map[string]struct {
		first, last string
		n           int
		precise     bool
	}{
		"mariadb-10.11-row.binlog":        {"0-101-7013", "0-101-7025", 13, false},
		"mariadb-10.11-compressed.binlog": {"0-101-7026", "0-101-7038", 13, false},
		"mysql-9.7-row.binlog":            {"5beff5bc-e631-11f1-b3df-02fc00000001:4103", "5beff5bc-e631-11f1-b3df-02fc00000001:4115", 13, true},
		"mysql-9.7-zstd-payload.binlog":   {"5beff5bc-e631-11f1-b3df-02fc00000001:4116", "5beff5bc-e631-11f1-b3df-02fc00000001:4128", 13, true},
		"mysql-9.7-tagged-gtid.binlog":    {"5beff5bc-e631-11f1-b3df-02fc00000001:backup:1", "5beff5bc-e631-11f1-b3df-02fc00000001:backup:13", 13, true},
	}
	for name, b := range genuineLogs(t) {
		t.Run(name, func(t *testing.T) {
			all, ends, err := walk(b)
			require.NoError(t, err)
			assert.EqualValues(t, len(b), ends[len(ends)-1])
			w := want[name]
			require.Len(t, all, w.n)
			assert.Equal(t, w.first, all[0].GTID)
			assert.Equal(t, w.last, all[len(all)-1].GTID)
			for i, txn := range all {
				assert.Equal(t, w.precise, txn.Precise)
				assert.Equal(t, "2026-11-22", txn.Commit.UTC().Format(time.DateOnly))
				if i > 0 {
					assert.False(t, txn.Commit.Before(all[i-1].Commit))
					assert.Greater(t, txn.Begin, all[i-1].Begin)
				}
			}
		})
	}
}

func TestEveryChangedBitIsFound(t *testing.T) {
	for name, b := range genuineLogs(t) {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			for range 2000 {
				bad := bytes.Clone(b)
				bit := rnd.IntN(len(bad) * 8)
				bad[bit/8] ^= 1 << (bit % 8)
				// The one bit that is no damage says whether the server had closed the file.
				if const17 := 4 + 17; bit == const17*8 {
					continue
				}
				_, _, err := walk(bad)
				var damage *binlog.CorruptError
				require.ErrorAs(t, err, &damage, "bit %d", bit)
				require.ErrorIs(t, err, backup.ErrCorrupt)
			}
		})
	}
}

func TestAFileThatEndsEarly(t *testing.T) {
	for name, b := range genuineLogs(t) {
		t.Run(name, func(t *testing.T) {
			_, ends, err := walk(b)
			require.NoError(t, err)
			borders := map[int]bool{len(binlog.Magic): true}
			for _, e := range ends {
				borders[int(e)] = true
			}
			for n := range len(b) {
				_, _, err := walk(b[:n])
				if borders[n] {
					require.NoError(t, err, "%d bytes", n)
				} else {
					require.ErrorIs(t, err, backup.ErrCorrupt, "%d bytes", n)
				}
			}
		})
	}
}

func TestAnEventThatIsMissing(t *testing.T) {
	for name, b := range genuineLogs(t) {
		t.Run(name, func(t *testing.T) {
			_, ends, err := walk(b)
			require.NoError(t, err)
			for i := 1; i+1 < len(ends); i++ { // the last one leaves a file that is whole
				cut := append(bytes.Clone(b[:ends[i-1]]), b[ends[i]:]...)
				_, _, err := walk(cut)
				require.ErrorIs(t, err, backup.ErrCorrupt, "event %d", i)
			}
		})
	}
}

func TestErrorsOfTheReaderArePassedOn(t *testing.T) {
	gone := errors.New("gone")
	for name, b := range genuineLogs(t) {
		w := binlog.NewWalker(io.MultiReader(bytes.NewReader(b[:300]), failing{gone}))
		var err error
		for err == nil {
			_, err = w.Next()
		}
		assert.ErrorIs(t, err, gone, name)
		_, again := w.Next()
		assert.Equal(t, err, again, "an error stays")
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func FuzzWalk(f *testing.F) {
	f.Add([]byte(binlog.Magic))
	if os.Getenv("QUIESCE_TESTDATA") != "" {
		for _, b := range genuineLogs(f) {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_, ends, err := walk(b)
		if err != nil && !errors.Is(err, backup.ErrCorrupt) {
			t.Fatalf("an error that is no damage: %v", err)
		}
		for i, e := range ends {
			if e > int64(len(b)) || i > 0 && e <= ends[i-1] {
				t.Fatal("events overlap or leave the file")
			}
		}
	})
}
