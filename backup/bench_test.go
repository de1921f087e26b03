package backup_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// discard is a Sink that keeps small objects, such as manifests and leases, and only counts the others.
type discard struct {
	backup.Sink // a real one for what is kept
	parts, size atomic.Int64
}

func newDiscard(tb testing.TB) *discard {
	tb.Helper()
	keep, err := sink.Open(tb.Context(), "mem://", nil)
	require.NoError(tb, err)
	return &discard{Sink: keep}
}

func (d *discard) Put(ctx context.Context, key string, r io.Reader) error {
	if filepath.Ext(key) == ".json" {
		return d.Sink.Put(ctx, key, r)
	}
	n, err := io.Copy(io.Discard, r)
	d.parts.Add(1)
	d.size.Add(n)
	return err
}

func (d *discard) PutIfAbsent(ctx context.Context, key string, r io.Reader) error {
	return d.Sink.(backup.PutIfAbsenter).PutIfAbsent(ctx, key, r)
}

func (d *discard) List(ctx context.Context, prefix string) iter.Seq2[backup.Object, error] {
	if filepath.Base(filepath.Dir(filepath.Dir(prefix))) == "runs" {
		// The pipeline compares what it stored with what the target lists; one row with the sum does.
		return func(yield func(backup.Object, error) bool) {
			for i := range d.parts.Load() {
				o := backup.Object{Key: fmt.Sprintf("%s%d", prefix, i)}
				if i == 0 {
					o.Size = d.size.Load()
				}
				if !yield(o, nil) {
					return
				}
			}
		}
	}
	return d.Sink.List(ctx, prefix)
}

// generator streams size bytes of text-like data in a few artifacts.
type generator struct {
	size      int64
	artifacts int
}

func (g generator) Describe() backup.Description {
	return backup.Description{Application: "generator", Kinds: []backup.Kind{backup.Full}}
}

func (g generator) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	block := realistic(4 << 20)
	for i := range g.artifacts {
		w, err := st.Create(ctx, backup.Artifact{Name: fmt.Sprintf("data/%d", i), Item: "all"})
		if err != nil {
			return backup.Result{}, err
		}
		defer w.Close()
		for left := g.size / int64(g.artifacts); left > 0; left -= int64(len(block)) {
			if _, err := w.Write(block[:min(left, int64(len(block)))]); err != nil {
				return backup.Result{}, err
			}
		}
		if err := w.Commit(); err != nil {
			return backup.Result{}, err
		}
	}
	now := time.Now()
	return backup.Result{Items: []backup.Item{{Name: "all", Kind: backup.Full, Window: backup.Window{From: now, To: now}}}}, nil
}

// realistic returns n bytes of the Go source tree, which compresses as program text and data do.
func realistic(n int) []byte {
	out := make([]byte, 0, n)
	root := filepath.Join(runtime.GOROOT(), "src")
	filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		out = append(out, data[:min(len(data), n-len(out))]...)
		if len(out) == n {
			return filepath.SkipAll
		}
		return nil
	})
	for len(out) > 0 && len(out) < n {
		out = append(out, out[:min(len(out), n-len(out))]...)
	}
	return out
}

// peakMemory samples the memory the process holds until the returned function is called, which returns the peak above the start in MiB.
func peakMemory() func() float64 {
	runtime.GC()
	debug.FreeOSMemory()
	start, peak := residentBytes(), int64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				peak = max(peak, residentBytes())
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-done
		return float64(max(peak-start, 0)) / (1 << 20)
	}
}

// residentBytes is the resident set from /proc, or what the Go runtime holds where there is none.
func residentBytes() int64 {
	if data, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if n, _ := fmt.Sscan(string(data), &size, &resident); n == 2 {
			return resident * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}

// envBytes reads a size in MiB from the environment.
func envBytes(name string, def int64) int64 {
	if n, err := strconv.ParseInt(os.Getenv(name), 10, 64); err == nil && n > 0 {
		return n << 20
	}
	return def
}

func benchSeal(b *testing.B, under backup.Sink) backup.Sink {
	b.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(b, err)
	return sink.Seal(under, sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}, nil)
}

// BenchmarkStream sends synthetic data through the whole pipeline into a sink that discards it, at default settings, and prints the
// peak of memory. QUIESCE_BENCH_STREAM_MIB sets the size; the reference figure is for 51200.
func BenchmarkStream(b *testing.B) {
	size := envBytes("QUIESCE_BENCH_STREAM_MIB", 1<<30)
	for _, sealed := range []bool{false, true} {
		b.Run(fmt.Sprintf("sealed=%v", sealed), func(b *testing.B) {
			m := measure(b, size)
			for b.Loop() {
				target := backup.Sink(newDiscard(b))
				if sealed {
					target = benchSeal(b, target)
				}
				p, err := backup.New(backup.Config{Job: "bench", Source: generator{size, 4}, Sink: target, Prove: backup.Prove{Mode: backup.ProveLater}})
				require.NoError(b, err)
				_, err = p.Backup(b.Context(), backup.Full)
				require.NoError(b, err)
			}
			m.report()
		})
	}
}

// corpus gathers about size bytes of this machine's programs, libraries and documents into files of up to 256 MiB.
func corpus(b *testing.B, size int64) (paths []string, total int64) {
	b.Helper()
	dir := b.TempDir()
	const fileSize = 256 << 20
	var out *os.File
	var n int64
	for _, root := range []string{"/usr/bin", "/usr/lib", "/usr/share", "/usr/local", runtime.GOROOT()} {
		filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return nil
			}
			if total >= size {
				return filepath.SkipAll
			}
			if out == nil || n >= fileSize {
				if out != nil {
					require.NoError(b, out.Close())
				}
				out, err = os.Create(filepath.Join(dir, fmt.Sprintf("%03d", len(paths))))
				require.NoError(b, err)
				paths, n = append(paths, out.Name()), 0
			}
			in, err := os.Open(path)
			if err != nil {
				return nil
			}
			defer in.Close()
			k, err := io.Copy(out, io.LimitReader(in, size-total))
			require.NoError(b, err)
			n, total = n+k, total+k
			return nil
		})
	}
	require.NotNil(b, out, "no files on this machine")
	require.NoError(b, out.Close())
	for _, path := range paths { // so that nothing of this is written to disk while the clock runs
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(b, err)
		require.NoError(b, f.Sync())
		require.NoError(b, f.Close())
	}
	return paths, total
}

// linked is a Source whose files are put into the stage by link, as if a server had just written them there, and restored to nowhere.
type linked struct{ paths []string }

func (l linked) Describe() backup.Description {
	return backup.Description{Application: "files", Kinds: []backup.Kind{backup.Full}}
}

func (l linked) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	for _, path := range l.paths {
		info, err := os.Stat(path)
		if err != nil {
			return backup.Result{}, err
		}
		slot, err := st.Reserve(ctx, backup.Artifact{Name: filepath.Base(path) + ".file", Item: "all"}, info.Size())
		if err != nil {
			return backup.Result{}, err
		}
		defer slot.Close()
		if err := os.Link(path, slot.Path); err != nil {
			return backup.Result{}, err
		}
		if err := slot.Commit(); err != nil {
			return backup.Result{}, err
		}
	}
	now := time.Now()
	return backup.Result{Items: []backup.Item{{Name: "all", Kind: backup.Full, Window: backup.Window{From: now, To: now}}}}, nil
}

func (l linked) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	for _, s := range set.Steps() {
		for _, e := range s.Entries {
			rc, err := set.Open(ctx, s, e)
			if err != nil {
				return err
			}
			if _, err := io.Copy(io.Discard, rc); err != nil {
				return err
			}
			rc.Close()
		}
	}
	return nil
}

// BenchmarkStageToSink ships real files that lie in a stage to a directory target through zstd and age, restores them, and sends the same files through
// "zstd -1 -T0 | age" in a shell where those programs are there. QUIESCE_BENCH_MIB sets the size; the reference figure is for 2048.
func BenchmarkStageToSink(b *testing.B) {
	paths, size := corpus(b, envBytes("QUIESCE_BENCH_MIB", 256<<20))
	id, err := age.GenerateX25519Identity()
	require.NoError(b, err)
	keys := sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
	var full *backup.Pipeline
	dir := b.TempDir()
	for _, prove := range []backup.ProveMode{backup.ProveLater, backup.ProveAll} {
		b.Run("backup/prove="+string(prove), func(b *testing.B) {
			m := measure(b, size)
			for b.Loop() {
				target, err := sink.Open(b.Context(), "file://"+filepath.ToSlash(dir), nil)
				require.NoError(b, err)
				full, err = backup.New(backup.Config{Job: "bench", Source: linked{paths}, Sink: sink.Seal(target, keys, nil),
					Stager: backup.DirStager{Dir: filepath.Join(filepath.Dir(paths[0]), "stage")}, Prove: backup.Prove{Mode: prove}})
				require.NoError(b, err)
				man, err := full.Backup(b.Context(), backup.Full)
				require.NoError(b, err)
				b.ReportMetric(100*float64(man.StoredBytes)/float64(man.Bytes), "%stored")
			}
			m.report()
		})
	}
	// What the pipeline costs by itself, without a disk to write to.
	b.Run("backup/discard", func(b *testing.B) {
		m := measure(b, size)
		for b.Loop() {
			p, err := backup.New(backup.Config{Job: "bench", Source: linked{paths}, Sink: sink.Seal(newDiscard(b), keys, nil),
				Stager: backup.DirStager{Dir: filepath.Join(filepath.Dir(paths[0]), "stage")}, Prove: backup.Prove{Mode: backup.ProveLater}})
			require.NoError(b, err)
			_, err = p.Backup(b.Context(), backup.Full)
			require.NoError(b, err)
		}
		m.report()
	})
	b.Run("restore", func(b *testing.B) {
		if full == nil {
			b.Skip("restores what backup/prove= stored; run both")
		}
		plan, err := full.Plan(b.Context(), backup.Target{})
		require.NoError(b, err)
		m := measure(b, size)
		for b.Loop() {
			require.NoError(b, full.Restore(b.Context(), plan, backup.RestoreOptions{}))
		}
		m.report()
	})
	b.Run("floor", func(b *testing.B) { floor(b, paths, size) })
	b.Run("shell", func(b *testing.B) { shellPipe(b, paths, size, id) })
}

// floor is the least that any pipeline with these libraries pays: reading, one digest and zstd on every processor, with no part lost to encryption,
// storing, proving or order. A figure above it cannot be had without another codec.
func floor(b *testing.B, paths []string, size int64) {
	m := measure(b, size)
	for b.Loop() {
		files := make(chan string, len(paths))
		for _, p := range paths {
			files <- p
		}
		close(files)
		var g errgroup.Group
		for range runtime.GOMAXPROCS(0) {
			g.Go(func() error {
				enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
				if err != nil {
					return err
				}
				in, out := make([]byte, 4<<20), make([]byte, 0, 4<<20)
				for path := range files {
					f, err := os.Open(path)
					if err != nil {
						return err
					}
					for err == nil {
						var n int
						n, err = io.ReadFull(f, in)
						sha256.Sum256(in[:n])
						out = enc.EncodeAll(in[:n], out[:0])
					}
					f.Close()
					if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(b, g.Wait())
	}
	m.report()
}

// shellPipe is the peer: the same work by stock tools.
func shellPipe(b *testing.B, paths []string, size int64, id *age.X25519Identity) {
	for _, tool := range []string{"sh", "zstd", "age"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("%s is not installed", tool)
		}
	}
	out := filepath.Join(b.TempDir(), "out.zst.age")
	key := filepath.Join(b.TempDir(), "key")
	require.NoError(b, os.WriteFile(key, []byte(id.String()+"\n"), 0o600))
	run := func(b *testing.B, script string) {
		m := measure(b, size)
		for b.Loop() {
			cmd := exec.CommandContext(b.Context(), "sh", append([]string{"-c", script, "sh"}, paths...)...)
			cmd.Env = append(os.Environ(), "TO="+id.Recipient().String(), "OUT="+out, "KEY="+key)
			text, err := cmd.CombinedOutput()
			require.NoError(b, err, string(text))
		}
		m.report()
	}
	b.Run("zstd-1|age", func(b *testing.B) {
		run(b, `cat "$@" | zstd -q -1 -T0 | age -r "$TO" > "$OUT"`)
		if info, err := os.Stat(out); err == nil {
			b.ReportMetric(100*float64(info.Size())/float64(size), "%stored")
		}
	})
	b.Run("age-d|zstd-d", func(b *testing.B) { run(b, `age -d -i "$KEY" "$OUT" | zstd -q -d > /dev/null`) })
}

// measurement reports what a benchmark used beside its time.
type measurement struct {
	b    *testing.B
	size int64
	cpu  float64
	peak func() float64
}

func measure(b *testing.B, size int64) *measurement {
	b.SetBytes(size)
	return &measurement{b, size, cpuSeconds(), peakMemory()}
}

func (m *measurement) report() {
	m.b.ReportMetric((cpuSeconds()-m.cpu)/(float64(m.size)*float64(m.b.N)/1e9), "cpu-s/GB")
	m.b.ReportMetric(m.peak(), "peak-MiB")
}
