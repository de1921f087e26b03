package backup_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

// files is a Source of one item whose artifacts are given; it restores into a map.
type files struct {
	content  map[string][]byte
	how      func(ctx context.Context, st *backup.Stage, a backup.Artifact, data []byte) error
	pending  *pending
	restored map[string][]byte
	before   func(st *backup.Stage) error
}

func (f *files) Describe() backup.Description {
	return backup.Description{Application: "files", Instance: "test", Kinds: []backup.Kind{backup.Full}}
}

func (f *files) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	how := f.how
	if how == nil {
		how = create
	}
	if f.before != nil {
		if err := f.before(st); err != nil {
			return backup.Result{}, err
		}
	}
	for name, data := range f.content {
		if err := how(ctx, st, backup.Artifact{Name: name, Item: "all", Role: backup.RoleData}, data); err != nil {
			return backup.Result{}, err
		}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	res := backup.Result{Items: []backup.Item{{Name: "all", Kind: backup.Full, Window: backup.Window{From: now, To: now}}}}
	if f.pending != nil {
		res.Pending = f.pending
	}
	return res, nil
}

func (f *files) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	f.restored = make(map[string][]byte)
	for _, s := range set.Steps() {
		for _, e := range s.Entries {
			rc, err := set.Open(ctx, s, e)
			if err != nil {
				return err
			}
			data, err := io.ReadAll(rc)
			rc.Close()
			if err != nil {
				return err
			}
			f.restored[e.Name] = data
		}
	}
	return nil
}

func create(ctx context.Context, st *backup.Stage, a backup.Artifact, data []byte) error {
	w, err := st.Create(ctx, a)
	if err != nil {
		return err
	}
	defer w.Close()
	for len(data) > 0 {
		n := min(len(data), 10_000)
		if _, err := w.Write(data[:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	w.Annotate("rows", "7")
	return w.Commit()
}

func reserve(ctx context.Context, st *backup.Stage, a backup.Artifact, data []byte) error {
	slot, err := st.Reserve(ctx, a, int64(len(data)))
	if err != nil {
		return err
	}
	defer slot.Close()
	if err := os.WriteFile(slot.ServerPath, data, 0o600); err != nil {
		return err
	}
	return slot.Commit()
}

func importFile(dir string) func(ctx context.Context, st *backup.Stage, a backup.Artifact, data []byte) error {
	return func(ctx context.Context, st *backup.Stage, a backup.Artifact, data []byte) error {
		h := sha256.Sum256([]byte(a.Name))
		path := filepath.Join(dir, hex.EncodeToString(h[:]))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return err
		}
		if err := st.Import(ctx, a, path); err != nil {
			return err
		}
		return os.Remove(path)
	}
}

type pending struct{ commits, aborts atomic.Int32 }

func (p *pending) Commit(context.Context, *backup.Manifest) error { p.commits.Add(1); return nil }
func (p *pending) Abort(context.Context) error                    { p.aborts.Add(1); return nil }

// sample makes artifacts of telling sizes: empty, one byte, exactly one part, one more, several parts, odd names.
func sample(part int) map[string][]byte {
	rnd := rand.NewChaCha8([32]byte{1})
	m := make(map[string][]byte)
	for i, n := range []int{0, 1, part - 1, part, part + 1, 3*part + 17} {
		b := make([]byte, n)
		rnd.Read(b)
		m[fmt.Sprintf("dir/size %d", i)] = b
	}
	for _, name := range []string{"Case", "case", "ünï/c°de", "a%2Fb", "00000000", "entries.jsonl", "con/../x"[:3], strings.Repeat("long", 120)} {
		m[name] = []byte("content of " + name)
	}
	return m
}

const partSize = 64 << 10

func newPipeline(t testing.TB, cfg backup.Config) *backup.Pipeline {
	t.Helper()
	if cfg.Job == "" {
		cfg.Job = "job"
	}
	if cfg.PartSize == 0 {
		cfg.PartSize = partSize
	}
	p, err := backup.New(cfg)
	require.NoError(t, err)
	return p
}

func sealedSink(t testing.TB, under backup.Sink) backup.Sink {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return sink.Seal(under, sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}, nil)
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"create", "reserve", "import", "import over quota", "stream", "stream import", "small quota"} {
		for _, seal := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s sealed=%v", how, seal), func(t *testing.T) {
				t.Parallel()
				roundTrip(t, how, seal)
			})
		}
	}
}

func roundTrip(t *testing.T, how string, seal bool) {
	dir := t.TempDir()
	src := &files{content: sample(partSize), pending: &pending{}}
	mem := backuptest.NewMemSink()
	var target backup.Sink = mem
	if seal {
		target = sealedSink(t, mem)
	}
	cfg := backup.Config{Source: src, Sink: target, Stager: backup.DirStager{Dir: dir}}
	switch how {
	case "reserve":
		src.how = reserve
	case "import":
		src.how = importFile(t.TempDir())
	case "import over quota":
		src.how = importFile(t.TempDir())
		cfg.Stager = backup.DirStager{Dir: dir, Quota: partSize}
	case "stream":
		cfg.Stager = nil
	case "stream import":
		src.how = importFile(t.TempDir())
		cfg.Stager = nil
	case "small quota":
		cfg.Stager = backup.DirStager{Dir: dir, Quota: partSize}
	}
	p := newPipeline(t, cfg)
	m, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	assert.EqualValues(t, 1, src.pending.commits.Load())
	assert.Zero(t, src.pending.aborts.Load())
	assert.Equal(t, backup.ProofBytes, m.Proof)
	assert.Equal(t, len(src.content), m.Artifacts)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left, "the stage is gone")

	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}))
	require.Equal(t, len(src.content), len(src.restored))
	for name, want := range src.content {
		assert.Equal(t, sha256.Sum256(want), sha256.Sum256(src.restored[name]), name)
	}
	rep, err := p.Verify(t.Context(), backup.VerifyOptions{})
	require.NoError(t, err)
	assert.NoError(t, rep.Err())
	assert.Equal(t, m.Parts+1, rep.CheckedParts)

	out := t.TempDir()
	require.NoError(t, p.Fetch(t.Context(), plan, out))
	require.ErrorIs(t, p.Fetch(t.Context(), plan, out), backup.ErrExists)
}

// marked notes which puts may reach the disk later.
type marked struct {
	backup.Sink
	mu       sync.Mutex
	deferred map[string]bool
}

func (m *marked) Put(ctx context.Context, key string, r io.Reader) error {
	m.mu.Lock()
	m.deferred[key] = backup.DurabilityDeferred(ctx)
	m.mu.Unlock()
	return m.Sink.Put(ctx, key, r)
}

// TestOnlyPartsAreDeferred: the listings come after the parts and are the barrier before the manifest.
func TestOnlyPartsAreDeferred(t *testing.T) {
	t.Parallel()
	m := &marked{Sink: backuptest.NewMemSink(), deferred: map[string]bool{}}
	_, err := newPipeline(t, backup.Config{Source: &files{content: sample(partSize)}, Sink: sealedSink(t, m)}).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	for key, deferred := range m.deferred {
		part := strings.Contains(key, "/runs/") && !strings.HasSuffix(key, "/entries.jsonl.zst.age") && !strings.HasSuffix(key, "/parts.sha256")
		assert.Equal(t, part, deferred, key)
	}
	assert.Contains(t, m.deferred, "job/lease/000000000001.json")
}

// TestStockSums checks that the plain list of digests is what sha256sum -c takes.
func TestStockSums(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(dir), nil)
	require.NoError(t, err)
	p := newPipeline(t, backup.Config{Source: &files{content: sample(partSize)}, Sink: sealedSink(t, target)})
	m, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	run := filepath.Join(dir, "job", "runs", string(m.ID))
	sums, err := os.ReadFile(filepath.Join(run, "parts.sha256"))
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(string(sums)), "\n")
	require.Len(t, lines, m.Parts)
	for _, line := range lines {
		hex, name, ok := strings.Cut(line, "  ")
		require.True(t, ok)
		data, err := os.ReadFile(filepath.Join(run, filepath.FromSlash(name)))
		require.NoError(t, err)
		assert.Equal(t, hex, fmt.Sprintf("%x", sha256.Sum256(data)))
	}
}

// TestResume lets the target fail for good after some parts: the run is completed from its stage by the next one,
// without the source, and what was offsite is not sent again.
func TestResume(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"create", "reserve"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			src := &files{content: sample(partSize), pending: &pending{}}
			if how == "reserve" {
				src.how = reserve
			}
			mem := backuptest.NewMemSink()
			faulty := backuptest.NewFaultySink(mem, backuptest.Fault{Op: backuptest.OpPut, Key: "/runs/", Nth: 5, Times: -1})
			stager := backup.DirStager{Dir: t.TempDir()}
			first := newPipeline(t, backup.Config{Source: src, Sink: faulty, Stager: stager, Workers: 1})
			_, err := first.Backup(t.Context(), backup.Full)
			require.ErrorIs(t, err, backuptest.ErrFault)
			assert.EqualValues(t, 1, src.pending.aborts.Load())
			assert.Zero(t, src.pending.commits.Load())

			var resent []string
			watch := backuptest.NewFaultySink(mem)
			src.before = func(*backup.Stage) error { return errors.New("asked again") }
			second := newPipeline(t, backup.Config{Source: src, Sink: watch, Stager: stager, Events: func(e backup.Event) {
				if r, ok := e.(backup.RunStarted); ok && r.Resumed {
					resent = append(resent, string(r.ID))
				}
			}})
			m, err := second.Backup(t.Context(), backup.Full)
			require.NoError(t, err)
			assert.Len(t, resent, 1)
			assert.True(t, m.Resumed)
			plan, err := second.Plan(t.Context(), backup.Target{})
			require.NoError(t, err)
			require.NoError(t, second.Restore(t.Context(), plan, backup.RestoreOptions{}))
			for name, want := range src.content {
				assert.Equal(t, sha256.Sum256(want), sha256.Sum256(src.restored[name]), name)
			}
		})
	}
}

func TestBusy(t *testing.T) {
	t.Parallel()
	mem := backuptest.NewMemSink()
	src := &files{content: sample(partSize)}
	other := newPipeline(t, backup.Config{Source: &files{}, Sink: mem})
	src.before = func(*backup.Stage) error {
		_, err := other.Backup(t.Context(), backup.Full)
		assert.ErrorIs(t, err, backup.ErrBusy)
		assert.NotEmpty(t, backup.Hint(err))
		return nil
	}
	_, err := newPipeline(t, backup.Config{Source: src, Sink: mem}).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	_, err = other.Backup(t.Context(), backup.Full)
	require.NoError(t, err, "the lease was given back")
}

func TestNothingThere(t *testing.T) {
	t.Parallel()
	p := newPipeline(t, backup.Config{Sink: backuptest.NewMemSink()})
	h, err := p.History(t.Context())
	require.NoError(t, err)
	assert.Empty(t, h)
	err = p.Hold(t.Context(), backup.NewID(time.Now(), ""), "because")
	require.ErrorIs(t, err, backup.ErrNoBackup)
	_, err = p.Backup(t.Context(), backup.Full)
	require.ErrorContains(t, err, "no source")
	assert.False(t, errors.Is(err, fs.ErrNotExist))
}

func TestConfigReportsAllAtOnce(t *testing.T) {
	t.Parallel()
	_, err := backup.New(backup.Config{Job: "a/b", PartSize: 1, Workers: -1, Prove: backup.Prove{Mode: "maybe", Sample: 2}, LeaseTTL: -1})
	for _, want := range []string{"job name", "no sink", "part size 1", "-1 workers", "prove mode", "prove sample", "lease ttl"} {
		assert.ErrorContains(t, err, want)
	}
}
