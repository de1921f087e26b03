package mssql

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"io"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mssqldb "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/s3device"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/mssql/mtf"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// endpointFor is an endpoint with a certificate of its own, and a pool that trusts it.
func endpointFor(hosts ...string) (EndpointOptions, *x509.CertPool, error) {
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), time.Hour, hosts...)
	if err != nil {
		return EndpointOptions{}, nil, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return EndpointOptions{Certificate: pair}, roots, err
}

// newStream is a lab whose jobs stream.
func newStream(t testing.TB, o *Options, change ...func(*mssqlsim.Config)) *lab {
	t.Helper()
	endpoint, roots, err := endpointFor("127.0.0.1")
	require.NoError(t, err)
	l := &lab{clock: &labClock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600))}, sink: backuptest.NewMemSink()}
	if o != nil {
		l.opt = *o
	}
	if l.opt.Endpoint != nil {
		endpoint.TransferSize = l.opt.Endpoint.TransferSize
	}
	l.opt.Endpoint = &endpoint
	l.change = func(c *mssqlsim.Config) {
		c.Remote = s3device.Remote(roots)
		for _, f := range change {
			f(c)
		}
	}
	require.NoError(t, l.start(nil))
	t.Cleanup(func() { _ = l.src.Close() })
	return l
}

// stream is the job of a lab, without a stage.
func (l *lab) stream(t testing.TB, sink backup.Sink) *backup.Pipeline {
	t.Helper()
	p, err := backup.New(backup.Config{Job: "lab", Source: l.src, Sink: sink, PartSize: 1 << 20, Workers: 2, Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	require.NoError(t, err)
	return p
}

// credentials are those that are on the server.
func (l *lab) credentials(t testing.TB) (names []string) {
	t.Helper()
	c, err := l.src.open(context.Background())
	require.NoError(t, err)
	defer c.close()
	rows, err := c.query(context.Background(), "SELECT name FROM sys.credentials")
	require.NoError(t, err)
	for _, r := range rows {
		names = append(names, r.text("name"))
	}
	return names
}

// clean checks that nothing of a run is left on the server.
func (l *lab) clean(t testing.TB) {
	t.Helper()
	assert.Empty(t, l.credentials(t))
	assert.Zero(t, l.src.db.Stats().OpenConnections, "a session was left open")
}

func TestStreamedChain(t *testing.T) {
	for name, compression := range map[string]Compression{"plain": CompressionOff, "compressed": CompressionOn} {
		t.Run(name, func(t *testing.T) {
			l := newStream(t, &Options{Include: []string{"shop", "bank"}, Stripes: 3, Compression: compression})
			l.create(t, "shop", "a")
			l.create(t, "bank", "x")
			require.NoError(t, l.sim.Fill("shop", 35<<20))
			p := l.stream(t, l.sink)
			take := func(kind backup.Kind) *backup.Manifest {
				m, err := p.Backup(t.Context(), kind)
				require.NoError(t, err)
				assert.Empty(t, m.Warnings)
				return m
			}
			full := take(backup.Full)
			l.insert(t, "shop", "b")
			take(backup.Differential)
			l.insert(t, "shop", "c")
			take(backup.Log)
			then := l.clock.now()
			l.insert(t, "shop", "d")
			l.insert(t, "bank", "y")
			last := take(backup.Log)
			l.clean(t)

			it, ok := full.Item("shop")
			require.True(t, ok)
			set, err := setOf(it)
			require.NoError(t, err)
			assert.Equal(t, []string{"shop/full-1of3.bak", "shop/full-2of3.bak", "shop/full-3of3.bak"}, set.Devices)
			assert.Equal(t, []any{3, 1, true, compression == CompressionOn, "FULL"}, []any{set.Stripes, set.Position, set.Checksums, set.Compressed, set.RecoveryModel})
			assert.Len(t, set.Files, 2)
			it, ok = last.Item("shop")
			require.True(t, ok)
			assert.Equal(t, backup.Log, it.Kind)
			assert.Empty(t, it.Reason)

			for _, b := range l.heard.batches {
				if strings.HasPrefix(b, "BACKUP") {
					assert.Contains(t, b, "URL = N's3://127.0.0.1:")
					assert.Contains(t, b, "MAXTRANSFERSIZE = 10485760")
					assert.NotContains(t, b, "INIT")
				}
			}
			v, err := p.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
			require.NoError(t, err)
			require.NoError(t, v.Err())
			assert.Equal(t, 4, v.Backups)

			back := func(target backup.Target) {
				plan, err := p.Plan(t.Context(), target)
				require.NoError(t, err)
				require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true}))
				l.clean(t)
			}
			back(backup.Target{Time: then})
			l.holds(t, "shop", "a", "b", "c")
			l.holds(t, "bank", "x")
			back(backup.Target{})
			l.holds(t, "shop", "a", "b", "c", "d")
			l.holds(t, "bank", "x", "y")
		})
	}
}

// A target that fails in mid-stream ends the statement on the server, and with it the run. No log is truncated, and nothing stays on the server.
func TestStreamToABrokenTarget(t *testing.T) {
	l := newStream(t, &Options{Include: []string{"shop"}, Compression: CompressionOff})
	l.create(t, "shop", "a")
	_, err := l.stream(t, l.sink).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	l.insert(t, "shop", "b")
	for i := range 3000 {
		l.insert(t, "shop", strings.Repeat("x", 5000)+strconv.Itoa(i))
	}

	full := errors.New("the target is full")
	sink := backuptest.NewFaultySink(l.sink, backuptest.Fault{Op: backuptest.OpPut, Key: "shop/log.trn", Nth: 3, Times: -1, Err: full})
	l.heard.batches = nil
	_, err = l.stream(t, sink).Backup(t.Context(), backup.Log)
	require.ErrorIs(t, err, full)
	l.clean(t)
	var failed []mssqlsim.Statement
	for _, st := range l.sim.Statements() {
		if strings.HasPrefix(st.Text, "BACKUP LOG") && st.Err != nil {
			failed = append(failed, st)
		}
	}
	assert.Len(t, failed, 1, "the server was not told that the backup failed")

	// The log is still there, so the next one continues the chain.
	m, err := l.stream(t, l.sink).Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	it, ok := m.Item("shop")
	require.True(t, ok)
	assert.Equal(t, backup.Log, it.Kind)
	assert.Empty(t, it.Reason)
}

func TestStreamCancelled(t *testing.T) {
	l := newStream(t, &Options{Include: []string{"shop"}, Stripes: 2})
	l.create(t, "shop", "a")
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	l.pace = func(ctx context.Context, _ string, percent int) error {
		if percent >= 50 {
			cancel(why)
			<-ctx.Done()
		}
		return nil
	}
	_, err := l.stream(t, l.sink).Backup(ctx, backup.Full)
	require.ErrorIs(t, err, why)
	l.clean(t)
	l.holds(t, "shop", "a")
}

// A server that breaks the connection fails the database; the credential goes by way of a new session.
func TestStreamFromAServerThatBreaksOff(t *testing.T) {
	l := newStream(t, &Options{Include: []string{"shop", "bank"}, Databases: 1})
	l.create(t, "shop", "a")
	l.create(t, "bank", "x")
	l.sim.Inject(mssqlsim.Fault{Match: "BACKUP DATABASE [shop]", When: mssqlsim.Inside, Do: mssqlsim.Break})
	m, err := l.stream(t, l.sink).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	it, ok := m.Item("shop")
	require.True(t, ok)
	assert.NotEmpty(t, it.Error)
	it, ok = m.Item("bank")
	require.True(t, ok)
	assert.Empty(t, it.Error)
	l.clean(t)

	var once sync.Once
	l.pace = func(context.Context, string, int) error {
		once.Do(l.heard.cut) // all sessions at once, that of the credential too; not the one that drops it then
		return nil
	}
	_, err = l.stream(t, l.sink).Backup(t.Context(), backup.Full)
	require.Error(t, err)
	l.clean(t)
}

// What a run that was killed left is dropped by the next; what is others', or of a run that lives, is not.
func TestCredentialsOfDeadRuns(t *testing.T) {
	l := newStream(t, &Options{Include: []string{"shop"}})
	l.create(t, "shop", "a")
	c, err := l.src.open(t.Context())
	require.NoError(t, err)
	defer c.close()
	dead, other := "s3://gone.example:9000/"+bucketsOf("lab")+"aaaaaaaaaaaaaaaa", "s3://gone.example:9000/"+bucketsOf("another")+"aaaaaaaaaaaaaaaa"
	for _, name := range []string{dead, other, "s3://store.example/backup"} {
		require.NoError(t, c.run(t.Context(), createCredential(s3endpoint.Credential{Name: name, Identity: "S3 Access Key", Secret: "a:b"}), nil))
	}
	living, err := l.src.openGate(t.Context(), "lab", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	assert.NotContains(t, l.credentials(t), dead)
	_, err = l.stream(t, l.sink).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{other, "s3://store.example/backup", living.endpoint.Credential().Name}, l.credentials(t))
	require.NoError(t, living.close(t.Context()))
	assert.ElementsMatch(t, []string{other, "s3://store.example/backup"}, l.credentials(t))
}

func TestServersThatDoNotStream(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*mssqlsim.Config)
		opt    Options
		want   string
	}{
		"express": {func(c *mssqlsim.Config) { c.Edition = "Express Edition (64-bit)" }, Options{}, "an Express Edition (64-bit), which has no backups to S3"},
		"old":     {func(c *mssqlsim.Config) { c.Version = tds.Version{Major: 15, Build: 4430} }, Options{}, "need SQL Server 2022"},
		"plain": {func(*mssqlsim.Config) {}, Options{Compression: CompressionOff, Endpoint: &EndpointOptions{TransferSize: 20 << 20}},
			"a transfer size of 20971520 needs compression"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newStream(t, &c.opt, c.change)
			_, err := l.stream(t, l.sink).BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full})
			require.ErrorContains(t, err, c.want)
			assert.NotEmpty(t, backup.Hint(err))
			l.clean(t)
		})
	}
}

func TestStreamWithoutAnEndpoint(t *testing.T) {
	l := newStream(t, nil)
	l.src.opt.Endpoint = nil
	_, err := l.stream(t, l.sink).Backup(t.Context(), backup.Full)
	require.ErrorIs(t, err, backup.ErrNoPath)
	assert.Contains(t, backup.Hint(err), "Options.Endpoint")
}

func TestCheckOfTheEndpoint(t *testing.T) {
	l := newStream(t, &Options{})
	for _, f := range l.src.Check(t.Context(), backup.StageDir{}) {
		require.NoError(t, f.Err, f.What)
	}
	l.clean(t)

	// A server that does not trust the certificate.
	other, _, err := endpointFor("127.0.0.1")
	require.NoError(t, err)
	l.src.opt.Endpoint = &other
	all := l.src.Check(t.Context(), backup.StageDir{})
	last := all[len(all)-1]
	require.ErrorContains(t, last.Err, "12175")
	assert.Contains(t, last.Hint, "does not trust the endpoint's certificate")
	l.clean(t)
}

func TestAdviceForEndpoints(t *testing.T) {
	for text, want := range map[string]string{
		"Cannot open backup device 's3://h:9000/b/k'. Operating system error 5(Access is denied.).":              "clocks",
		"Sicherungsmedium 's3://h:9000/b/k'. Betriebssystemfehler 50(Die Anforderung wird nicht unterstützt.).":  "credential",
		"Cannot open backup device 's3://h:9000/b/k'. Operating system error 12175(A security error.).":          "trust",
		"Write on \"s3://h:9000/b/k\" failed: 1117(The request could not be performed because of an I/O error.)": "cannot reach",
		`Cannot open backup device 'S:\stage\x.bak'. Operating system error 5(Access is denied.).`:               "own account",
	} {
		err := &refusal{[]mssqldb.Error{{Number: 3201, Message: text}, {Number: 3013, Message: "BACKUP DATABASE is terminating abnormally."}}}
		assert.Contains(t, advice(err), want, text)
	}
}

func TestStripesOfLargeBackups(t *testing.T) {
	d := &uploads{gate: &gate{src: &Source{opt: Options{Endpoint: &EndpointOptions{}}}}}
	const each = 10 << 20 * 10_000
	for _, c := range []struct {
		want    int
		bytes   int64
		stripes int
	}{
		{1, 1 << 30, 1}, {4, 1 << 30, 4}, {1, each * 4 / 5, 1}, {1, each, 2}, {1, each * 4, 5}, {8, each * 4, 8}, {1, each * 51, 64},
	} {
		n, err := d.stripes(c.want, c.bytes)
		require.NoError(t, err)
		assert.Equal(t, c.stripes, n, "%d bytes", c.bytes)
	}
	_, err := d.stripes(1, each*52)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "transfer size")
}

func TestEndpointOptions(t *testing.T) {
	good, _, err := endpointFor("127.0.0.1")
	require.NoError(t, err)
	_, err = FromDB(new(sql.DB), &Options{Endpoint: &EndpointOptions{TransferSize: 4 << 20, Window: -1, CertificateFile: "a"}})
	for _, want := range []string{"endpoint transfer size 4194304", "endpoint window -1", "that of its key"} {
		require.ErrorContains(t, err, want)
	}
	_, err = FromDB(new(sql.DB), &Options{Endpoint: &EndpointOptions{}})
	require.ErrorContains(t, err, "name a certificate")
	require.NoError(t, good.validate())
	_, err = EndpointOptions{CertificateFile: filepath.Join(t.TempDir(), "none"), KeyFile: "none"}.config("b", nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.NotEmpty(t, backup.Hint(err))
}

func TestRehearsalFromTheEndpoint(t *testing.T) {
	l := newStream(t, &Options{Include: []string{"shop"}, Stripes: 2})
	l.create(t, "shop", "a")
	p := l.stream(t, l.sink)
	_, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	l.insert(t, "shop", "b")
	_, err = p.Backup(t.Context(), backup.Log)
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	other := &lab{clock: l.clock, name: "SCRATCH", change: l.change}
	require.NoError(t, other.start(nil))
	t.Cleanup(func() { _ = other.src.Close() })
	require.NoError(t, p.Rehearse(t.Context(), plan, other.listen(t), backup.RestoreOptions{}))
	other.clean(t)
	assert.Empty(t, other.names(t))
	from := 0
	for _, st := range other.heard.changes() {
		if strings.HasPrefix(st, "RESTORE") && strings.Contains(st, "FROM URL = N's3://") {
			assert.NotContains(t, st, "FILE = ")
			from++
		}
	}
	assert.Equal(t, 2, from)
}

// A part that is damaged at the target is named, though all the server knows is that its device broke off.
func TestRestoreOfADamagedStream(t *testing.T) {
	l := newStream(t, &Options{Include: []string{"shop"}, Compression: CompressionOff})
	l.create(t, "shop", "a")
	require.NoError(t, l.sim.Fill("shop", 8<<20))
	p := l.stream(t, l.sink)
	m, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	part := "lab/runs/" + string(m.ID) + "/shop/full.bak/00000003"
	require.True(t, l.sink.Damage(part, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }), l.sink.Keys(""))
	err = p.Restore(t.Context(), plan, backup.RestoreOptions{Overwrite: true})
	require.ErrorIs(t, err, backup.ErrCorrupt)
	require.ErrorContains(t, err, "shop/full.bak")
	l.clean(t)
}

// What msdb records is what the header of a file says.
func TestRecordsAreHeaders(t *testing.T) {
	for name, o := range map[string]backupOptions{
		"plain": {name: "x"}, "copy": {copyOnly: true}, "compressed": {compression: "COMPRESSION"}, "log": {log: true}, "differential": {differential: true},
		"tail": {log: true, tail: TailNoRecovery}, "unsummed": {noChecksum: true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, nil)
			l.create(t, "shop", "a")
			c, err := l.src.open(t.Context())
			require.NoError(t, err)
			defer c.close()
			require.NoError(t, c.run(t.Context(), backupStatement("shop", []device{{Path: labFolder + `\base.bak`}}, backupOptions{}), nil))
			l.insert(t, "shop", "b")
			to := []device{{Path: labFolder + `\1.bak`}, {Path: labFolder + `\2.bak`}}
			require.NoError(t, c.run(t.Context(), backupStatement("shop", to, o), nil))
			headers, err := c.headers(t.Context(), to)
			require.NoError(t, err)
			require.Len(t, headers, 1)
			set, err := c.recorded(t.Context(), facts{name: "shop"}, to)
			require.NoError(t, err)
			assert.Equal(t, headers[0], set)
		})
	}
}

func TestAForeignRecordIsNotTaken(t *testing.T) {
	l := newLab(t, nil)
	c, err := l.src.open(t.Context())
	require.NoError(t, err)
	defer c.close()
	_, err = c.recorded(t.Context(), facts{}, []device{{Path: "s3://h/b/1"}})
	require.ErrorContains(t, err, "no backup to s3://h/b/1 is recorded")
	to := []device{{Path: labFolder + `\1.bak`}, {Path: labFolder + `\2.bak`}}
	l.create(t, "shop", "a")
	require.NoError(t, c.run(t.Context(), backupStatement("shop", to, backupOptions{}), nil))
	_, err = c.recorded(t.Context(), facts{}, []device{to[0], {Path: "other"}})
	require.ErrorContains(t, err, "other is not recorded as number 2")

	set, err := c.recorded(t.Context(), facts{}, to)
	require.NoError(t, err)
	media := []*mtf.Media{{Container: mtf.Plain, Depth: mtf.Summed, Family: 1, Families: 1,
		Sets: []*mtf.Set{{Type: mtf.Database, Database: "bank", FirstLSN: set.FirstLSN, LastLSN: set.LastLSN}}}}
	err = agree(set, media)
	require.ErrorIs(t, err, backup.ErrCorrupt)
	require.ErrorContains(t, err, `of "bank", not of "shop"`)
	media[0].Sets[0].Database, media[0].Depth = "shop", mtf.Walked
	require.ErrorContains(t, agree(set, media), "no checksums")
	media[0].Depth, media[0].Families = mtf.Summed, 2
	require.ErrorContains(t, agree(set, media), "stripe 2 of 2 is missing")
	require.NoError(t, agree(set, []*mtf.Media{{Container: mtf.Wrapped}}))
}

// What is no backup, or a damaged one, fails before the server hears that it is complete.
func TestAStreamThatIsNoBackup(t *testing.T) {
	in := inspect(t.Context())
	in.write([]byte(strings.Repeat("no backup at all ", 4096)))
	in.write([]byte("and no end"))
	require.ErrorIs(t, in.end(), backup.ErrCorrupt)
	in.abandon() // does nothing more

	in = inspect(t.Context())
	in.write([]byte("TAPE\x00\x00\x03\x00"))
	in.abandon()
	require.ErrorIs(t, in.err, context.Canceled)
}

// drain is a target that keeps parts in files, and looks at the memory in use.
type drain struct {
	backup.Sink
	dir  string
	puts atomic.Int64
	peak atomic.Uint64
}

func (d *drain) Put(ctx context.Context, key string, r io.Reader) error {
	if !strings.Contains(key, "/shop/") {
		return d.Sink.Put(ctx, key, r)
	}
	if d.puts.Add(1)%32 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		d.peak.Store(max(d.peak.Load(), m.HeapAlloc))
	}
	f, err := os.Create(filepath.Join(d.dir, path.Base(key)))
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

func (d *drain) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if !strings.Contains(key, "/shop/") {
		return d.Sink.Get(ctx, key)
	}
	return os.Open(filepath.Join(d.dir, path.Base(key)))
}

func TestStreamsHoldNoMoreThanTheirWindow(t *testing.T) {
	const size = 192 << 20
	l := newStream(t, &Options{Include: []string{"shop"}, Compression: CompressionOff})
	l.src.opt.Endpoint.Window = 20 << 20
	l.create(t, "shop", "a")
	require.NoError(t, l.sim.Fill("shop", size))
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	sink := &drain{Sink: l.sink, dir: t.TempDir()}
	m, err := l.stream(t, sink).Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	assert.Greater(t, m.Bytes, int64(size))
	held := int64(sink.peak.Load()) - int64(before.HeapAlloc)
	t.Logf("%d MiB sent, %d MiB held at most, by both sides", m.Bytes>>20, held>>20)
	assert.Less(t, held, int64(size/3*2))
}

// streamed is the harness of the conformance suite with an endpoint. Rules that stage do so still.
func TestConformanceOfStreams(t *testing.T) {
	t.Parallel()
	backuptest.TestSource(t, func() (backuptest.Application, error) {
		endpoint, roots, err := endpointFor("127.0.0.1")
		if err != nil {
			return nil, err
		}
		o := Options{Endpoint: &endpoint}
		if testing.Short() {
			o.Compression = CompressionOff
		}
		return newConformant(o, func(c *mssqlsim.Config) { c.Remote = s3device.Remote(roots) })
	})
}
