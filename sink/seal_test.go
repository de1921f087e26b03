package sink_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

// sealed returns the stored form of plain.
func sealed(t testing.TB, s backup.Sealer, plain io.Reader) []byte {
	t.Helper()
	_, stored, err := s.Seal("k", plain)
	require.NoError(t, err)
	body, err := io.ReadAll(stored)
	require.NoError(t, err)
	return body
}

func unsealed(s backup.Sealer, stored []byte) ([]byte, error) {
	rc, err := s.Unseal(bytes.NewReader(stored))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

func TestStockToolsReadWhatIsSealed(t *testing.T) {
	keys := newKeys(t)
	s := sink.Seal(backuptest.NewMemSink(), keys, nil)
	plain := rows(9 << 20)
	mem := backuptest.NewMemSink()
	require.NoError(t, sink.Seal(mem, keys, nil).Put(t.Context(), "k", bytes.NewReader(plain)))
	assert.Equal(t, []string{"k.zst.age"}, mem.Keys(""))
	stored, _ := mem.Object("k.zst.age")

	opened, err := age.Decrypt(bytes.NewReader(stored), keys.Identities...)
	require.NoError(t, err)
	dec, err := zstd.NewReader(opened)
	require.NoError(t, err)
	defer dec.Close()
	got, err := io.ReadAll(dec)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(plain, got))
	assert.Equal(t, ".zst", s.Suffix())
	assert.Equal(t, ".age", s.Under().(backup.Sealer).Suffix())
}

func TestCompressTakesBuffersInPlace(t *testing.T) {
	s := sink.Compress(nil, nil)
	plain := rows(9<<20 + 1)
	assert.True(t, bytes.Equal(sealed(t, s, bytes.NewReader(plain)), sealed(t, s, bytes.NewBuffer(bytes.Clone(plain)))),
		"a *bytes.Buffer gives its bytes without a copy, and the same object")
}

func TestCompressFindsACutBetweenFrames(t *testing.T) {
	s := sink.Compress(nil, &sink.CompressOptions{FrameSize: 64 << 10})
	plain := rows(192 << 10)
	whole := sealed(t, s, bytes.NewReader(plain))
	one := sealed(t, s, bytes.NewReader(plain[:64<<10]))
	const trailer = 16
	firstFrame := one[:len(one)-trailer]
	require.True(t, bytes.HasPrefix(whole, firstFrame), "frames are independent")
	_, err := unsealed(s, firstFrame)
	assert.ErrorIs(t, err, backup.ErrCorrupt, "zstd itself takes this for a whole stream")
	_, err = unsealed(s, one)
	assert.NoError(t, err)
}

func TestUnsealRefusesLargeWindows(t *testing.T) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20))
	require.NoError(t, err)
	_, err = w.Write(make([]byte, 70<<20))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	_, err = unsealed(sink.Compress(nil, nil), b.Bytes())
	assert.ErrorIs(t, err, backup.ErrCorrupt, "memory is bounded whatever an object asks for")
}

func TestLevels(t *testing.T) {
	plain := rows(4 << 20)
	prev := len(plain)
	for _, name := range []string{"fastest", "default", "better"} {
		var l sink.Level
		require.NoError(t, l.UnmarshalText([]byte(name)))
		assert.Equal(t, name, l.String())
		size := len(sealed(t, sink.Compress(nil, &sink.CompressOptions{Level: l}), bytes.NewReader(plain)))
		assert.Less(t, size, prev, name)
		prev = size
	}
	var l sink.Level
	assert.ErrorContains(t, l.UnmarshalText([]byte("best")), `"best"`)
}

func TestKeys(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	secret, public := id.String(), id.Recipient().String()
	file := filepath.Join(t.TempDir(), "key.txt")
	require.NoError(t, os.WriteFile(file, []byte("# created: today\r\n# public key: "+public+"\r\n"+secret+"\r\n"), 0o600))

	reader, err := sink.ReadIdentities(file)
	require.NoError(t, err)
	writer, err := sink.Recipients(" " + public + "\n")
	require.NoError(t, err)
	assert.Empty(t, writer.Identities)
	stored := sealed(t, sink.Encrypt(nil, writer), strings.NewReader("hello"))
	got, err := unsealed(sink.Encrypt(nil, reader), stored)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))

	both := writer.With(reader)
	for _, text := range []string{fmt.Sprint(both), fmt.Sprintf("%v %+v %#v", both, both, both), both.String(), logged(both)} {
		assert.NotContains(t, text, secret)
	}
}

func logged(k sink.Keys) string {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("keys", "keys", k)
	return b.String()
}

func TestKeysThatAreNone(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	secret := id.String()
	_, err = sink.Recipients(secret)
	require.ErrorContains(t, err, "secret key")
	assert.NotContains(t, err.Error(), secret)
	_, err = sink.Identities(secret[:40])
	require.Error(t, err)
	assert.NotContains(t, err.Error(), secret[20:40])
	_, err = sink.Identities(id.Recipient().String())
	assert.Error(t, err)
	_, err = sink.Recipients("age1nonsense")
	assert.ErrorContains(t, err, "age1nonsense")
	_, err = sink.Recipients()
	assert.ErrorContains(t, err, "no recipients")
	_, err = sink.ReadIdentities(filepath.Join(t.TempDir(), "none"))
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestWrongKeys(t *testing.T) {
	mine, other := newKeys(t), newKeys(t)
	stored := sealed(t, sink.Encrypt(nil, mine), strings.NewReader("hello"))
	for name, keys := range map[string]sink.Keys{"another identity": other, "no identity": {Recipients: mine.Recipients}} {
		_, err := unsealed(sink.Encrypt(nil, keys), stored)
		assert.ErrorIs(t, err, backup.ErrKey, name)
		assert.NotErrorIs(t, err, backup.ErrCorrupt, name)
		assert.NotEmpty(t, backup.Hint(err), name)
	}
	_, _, err := sink.Encrypt(nil, sink.Keys{}).Seal("k", strings.NewReader("x"))
	assert.ErrorIs(t, err, backup.ErrKey)
	assert.NotEmpty(t, backup.Hint(err))
	mem := backuptest.NewMemSink()
	assert.ErrorIs(t, sink.Seal(mem, sink.Keys{}, nil).Put(t.Context(), "k", strings.NewReader("x")), backup.ErrKey,
		"forgotten keys do not mean plain text")
	assert.Empty(t, mem.Keys(""))
	assert.NoError(t, sink.Seal(mem, sink.Keys{}, &sink.SealOptions{Plain: true}).Put(t.Context(), "k", strings.NewReader("x")))
	assert.Equal(t, []string{"k.zst"}, mem.Keys(""))
}

func TestEncryptToSeveralRecipients(t *testing.T) {
	a, b := newKeys(t), newKeys(t)
	stored := sealed(t, sink.Encrypt(nil, a.With(b)), strings.NewReader("hello"))
	for _, k := range []sink.Keys{a, b} {
		got, err := unsealed(sink.Encrypt(nil, k), stored)
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
	}
}

func TestSealStartsNoGoroutineAndLeavesNoneWhenAbandoned(t *testing.T) {
	s := sink.Seal(nil, newKeys(t), nil)
	before := runtime.NumGoroutine()
	for range 20 {
		_, stored, err := s.Seal("k", bytes.NewReader(rows(1<<20)))
		require.NoError(t, err)
		_, err = io.CopyN(io.Discard, stored, 1000)
		require.NoError(t, err)
	}
	assert.LessOrEqual(t, runtime.NumGoroutine(), before)
}

func TestSealedErrorsNameTheObject(t *testing.T) {
	mem := backuptest.NewMemSink()
	s := sink.Compress(mem, nil)
	require.NoError(t, s.Put(t.Context(), "job/part", bytes.NewReader(rows(1<<20))))
	mem.Damage("job/part.zst", func(b []byte) []byte { b[len(b)/2] ^= 1; return b })
	rc, err := s.Get(t.Context(), "job/part")
	require.NoError(t, err)
	_, err = io.ReadAll(rc)
	assert.ErrorContains(t, err, "job/part.zst")
	assert.ErrorIs(t, err, backup.ErrCorrupt)
	var e *backup.Error
	require.True(t, errors.As(err, &e))
	assert.Equal(t, "job/part.zst", e.Artifact)
}

// rows is text like that of a database dump, of which zstd at its fastest leaves about 38 %, as of the files measured in the
// project's benchmarks.
func rows(size int) []byte {
	names := strings.Fields("Anna Bernd Clara Dieter Emma Frank Greta Hans Ida Jonas Klara Lukas Marie Noah Olga Paul Rosa Stefan Tina Uwe")
	streets := strings.Fields("Hauptstrasse Bahnhofstrasse Gartenweg Schulstrasse Dorfplatz Lindenallee Bergstrasse Kirchgasse Ringstrasse Muehlweg")
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 0, size+256)
	for id := 1; len(b) < size; id++ {
		b = fmt.Appendf(b, "(%d,'%s %s','%s %d',%d.%02d,'2026-%02d-%02d %02d:%02d:%02d','%016x%016x',NULL,1,'note about %s and %s'),\n", id,
			names[rng.IntN(20)], names[rng.IntN(20)], streets[rng.IntN(10)], rng.IntN(200), rng.IntN(100000), rng.IntN(100),
			1+rng.IntN(12), 1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60), rng.Uint64(), rng.Uint64(),
			names[rng.IntN(20)], streets[rng.IntN(10)])
	}
	return b[:size]
}

// benchData is the beginning of the file QUIESCE_BENCH_FILE names, or rows.
func benchData(b *testing.B, size int) []byte {
	b.Helper()
	name := os.Getenv("QUIESCE_BENCH_FILE")
	if name == "" {
		return rows(size)
	}
	f, err := os.Open(name)
	require.NoError(b, err)
	defer f.Close()
	data := make([]byte, size)
	_, err = io.ReadFull(f, data)
	require.NoError(b, err)
	return data
}

// benchSeal measures sealing parts of 32 MiB by the given number of goroutines, with the hash a part worker takes of the plain bytes.
func benchSeal(b *testing.B, s backup.Sealer, workers int, hash bool) {
	const size = 32 << 20
	plain := benchData(b, size)
	b.SetBytes(size)
	var stored sync.Map
	next := make(chan struct{})
	var wg sync.WaitGroup
	b.ResetTimer()
	for w := range workers {
		wg.Go(func() {
			var out bytes.Buffer
			for range next {
				if hash {
					sha256.Sum256(plain)
				}
				out.Reset()
				var r io.Reader = bytes.NewBuffer(plain)
				for sealer := s; sealer != nil; {
					_, sealed, err := sealer.Seal("k", r)
					if err != nil {
						b.Error(err)
						return
					}
					r = sealed
					sealer, _ = sealer.Under().(backup.Sealer)
				}
				if _, err := out.ReadFrom(r); err != nil {
					b.Error(err)
					return
				}
			}
			stored.Store(w, out.Len())
		})
	}
	for range b.N {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	n, _ := stored.Load(0)
	b.ReportMetric(100*float64(n.(int))/size, "%size")
}

func BenchmarkCompress(b *testing.B) {
	for _, l := range []sink.Level{sink.Fastest, sink.Default, sink.Better} {
		b.Run(l.String(), func(b *testing.B) {
			benchSeal(b, sink.Compress(backuptest.NewMemSink(), &sink.CompressOptions{Level: l}), 1, false)
		})
	}
	for _, frame := range []int{256 << 10, 1 << 20, 2 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("fastest/frame=%dKiB", frame>>10), func(b *testing.B) {
			benchSeal(b, sink.Compress(backuptest.NewMemSink(), &sink.CompressOptions{FrameSize: frame}), 1, false)
		})
	}
}

// BenchmarkSeal is what a part costs: hash, compress, encrypt.
func BenchmarkSeal(b *testing.B) {
	id, err := age.GenerateX25519Identity()
	require.NoError(b, err)
	keys := sink.Keys{Recipients: []age.Recipient{id.Recipient()}}
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("workers=%d", workers), func(b *testing.B) {
			benchSeal(b, sink.Seal(backuptest.NewMemSink(), keys, nil), workers, true)
		})
	}
}

func BenchmarkUnseal(b *testing.B) {
	id, err := age.GenerateX25519Identity()
	require.NoError(b, err)
	s := sink.Seal(backuptest.NewMemSink(), sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}, nil)
	require.NoError(b, s.Put(b.Context(), "k", bytes.NewReader(rows(32<<20))))
	b.SetBytes(32 << 20)
	for b.Loop() {
		rc, err := s.Get(b.Context(), "k")
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, rc)
		require.NoError(b, err)
		require.NoError(b, rc.Close())
	}
}
