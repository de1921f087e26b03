package mssql

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mssqldb "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// labFolder is the staging folder as the simulated server names it.
const labFolder = `S:\stage`

// lab is a simulated server with real files, and a pipeline of its backups.
type lab struct {
	sim    *mssqlsim.Instance
	server *tds.Server
	heard  *recorder
	src    *Source
	clock  *labClock
	local  string // labFolder on this machine
	sink   *backuptest.MemSink
	events func(backup.Event)
	opt    Options
	name   string // of the server; LAB when empty
	pace   func(ctx context.Context, database string, percent int) error
	change func(*mssqlsim.Config) // before the server starts
}

// labClock is the server's clock: a second later at every look, in a zone of its own.
type labClock struct {
	mu sync.Mutex
	at time.Time
}

func (c *labClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Second)
	return c.at
}

// recorder keeps the batches that the server was given.
type recorder struct {
	*mssqlsim.Instance
	mu      sync.Mutex
	batches []string
	conns   []net.Conn

	before func(batch string)      // called before each
	refuse func(batch string) bool // answers with an error
	down   bool                    // nobody can connect

	truncated func() // called when the log of a database was given up, before the answer ends
}

func (r *recorder) Batch(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
	r.mu.Lock()
	r.batches = append(r.batches, q.Text)
	before, refuse, truncated := r.before, r.refuse, r.truncated
	r.mu.Unlock()
	if before != nil {
		before(q.Text)
	}
	if refuse != nil && refuse(q.Text) {
		return tds.Message{Number: 3013, State: 1, Class: 16, Text: "refused by the test"}
	}
	err := r.Instance.Batch(ctx, s, q, a)
	if truncated != nil && err == nil && strings.HasPrefix(q.Text, "BACKUP LOG") && !strings.Contains(q.Text, "COPY_ONLY") {
		truncated()
	}
	return err
}

// changes returns, and forgets, the batches that change something.
func (r *recorder) changes() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.batches {
		if strings.HasPrefix(b, "RESTORE DATABASE") || strings.HasPrefix(b, "RESTORE LOG") || strings.HasPrefix(b, "ALTER") || strings.HasPrefix(b, "DROP") || strings.HasPrefix(b, "DBCC") {
			out = append(out, b)
		}
	}
	r.batches = nil
	return out
}

// refuseNow sets what is refused from now on.
func (r *recorder) refuseNow(refuse func(batch string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
}

// dial connects the driver without a port.
func (r *recorder) dial(server *tds.Server) net.Conn {
	client, other := net.Pipe()
	r.mu.Lock()
	r.conns = append(r.conns, client)
	r.mu.Unlock()
	go func() { _ = server.ServeConn(context.Background(), other) }()
	return client
}

// cut breaks all connections.
func (r *recorder) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
}

type labDialer struct{ l *lab }

func (d labDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	if d.l.heard.down {
		return nil, errors.New("nobody is there")
	}
	return d.l.heard.dial(d.l.server), nil
}

func newLab(t testing.TB, o *Options) *lab {
	t.Helper()
	l := &lab{clock: &labClock{at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600))}, local: t.TempDir(), sink: backuptest.NewMemSink()}
	if o != nil {
		l.opt = *o
	}
	require.NoError(t, l.start(l.sinkFolders()))
	t.Cleanup(func() { _ = l.src.Close() })
	return l
}

func (l *lab) sinkFolders() map[string]string { return map[string]string{labFolder: l.local} }

func (l *lab) start(folders map[string]string) (err error) {
	if l.name == "" {
		l.name = "LAB"
	}
	c := mssqlsim.Config{Name: l.name, Now: l.clock.now, Media: mssqlsim.NewFileMedia(folders, nil),
		Pace: func(ctx context.Context, database string, percent int) error {
			if l.pace != nil {
				return l.pace(ctx, database, percent)
			}
			return nil
		}}
	if l.change != nil {
		l.change(&c)
	}
	if l.sim, err = mssqlsim.New(c); err != nil {
		return err
	}
	l.heard = &recorder{Instance: l.sim}
	l.server, err = tds.NewServer(tds.Config{Name: "LAB", Users: map[string]string{"sa": labSecret}, Handler: l.heard})
	if err != nil {
		return err
	}
	l.src, err = l.source()
	return err
}

const labSecret = "s3cr3t-of-the-lab"

func (l *lab) source() (*Source, error) {
	connector, err := mssqldb.NewConnector("sqlserver://sa:" + labSecret + "@127.0.0.1?encrypt=disable")
	if err != nil {
		return nil, err
	}
	connector.Dialer = labDialer{l}
	o := l.opt
	if o.Instance == "" {
		o.Instance = "lab"
	}
	return FromDB(sql.OpenDB(connector), &o)
}

func (l *lab) pipeline(t testing.TB) *backup.Pipeline {
	t.Helper()
	p, err := backup.New(backup.Config{Job: "lab", Source: l.src, Sink: l.sink, PartSize: 64 << 10, Workers: 2, Events: l.events,
		Stager: backup.DirStager{Dir: l.local, ServerDir: labFolder}, Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil))})
	require.NoError(t, err)
	return p
}

// testWriter logs to the test.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// create makes a database in the full recovery model.
func (l *lab) create(t testing.TB, name string, records ...string) {
	t.Helper()
	require.NoError(t, l.sim.CreateDatabase(name, mssqlsim.Full))
	l.insert(t, name, records...)
}

func (l *lab) insert(t testing.TB, name string, records ...string) {
	t.Helper()
	for _, r := range records {
		require.NoError(t, l.sim.Insert(name, r))
	}
}

func (l *lab) backup(t testing.TB, kind backup.Kind) *backup.Manifest {
	t.Helper()
	m, err := l.pipeline(t).Backup(t.Context(), kind)
	require.NoError(t, err)
	return m
}

// restore plans and restores.
func (l *lab) restore(t testing.TB, target backup.Target, o backup.RestoreOptions) error {
	t.Helper()
	return l.restoreCtx(t.Context(), t, target, o)
}

func (l *lab) restoreCtx(ctx context.Context, t testing.TB, target backup.Target, o backup.RestoreOptions) error {
	t.Helper()
	p := l.pipeline(t)
	plan, err := p.Plan(ctx, target)
	require.NoError(t, err)
	return p.Restore(ctx, plan, o)
}

func (l *lab) holds(t testing.TB, name string, want ...string) {
	t.Helper()
	got, err := l.sim.Contents(name)
	require.NoError(t, err)
	require.Equal(t, want, got)
}
