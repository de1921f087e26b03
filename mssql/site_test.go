package mssql

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// site is a simulated server behind a port, a stage that the server knows as S:\stage, and a target.
type site struct {
	*testing.T
	*mssqlsim.Instance
	dir  string // of the stage
	dsn  string
	sink *backuptest.MemSink

	mu     sync.Mutex
	clock  time.Time
	texts  []string
	before func(text string) error
}

// Batch remembers statements, and lets a test step in before one.
func (s *site) Batch(ctx context.Context, c *tds.Session, q tds.Query, a *tds.Answer) error {
	s.mu.Lock()
	s.texts = append(s.texts, q.Text)
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if err := before(q.Text); err != nil {
			return err
		}
	}
	return s.Instance.Batch(ctx, c, q, a)
}

// now moves a second at each look.
func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(time.Second)
	return s.clock
}

func newSite(t *testing.T, change ...func(*mssqlsim.Config)) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir(), sink: backuptest.NewMemSink(), clock: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 3600))}
	c := mssqlsim.Config{Name: "SIM", Now: s.now, Media: mssqlsim.NewFileMedia(map[string]string{`S:\stage`: s.dir, `S:\foreign`: t.TempDir()}, nil)}
	for _, f := range change {
		f(&c)
	}
	var err error
	s.Instance, err = mssqlsim.New(c)
	require.NoError(t, err)
	server, err := tds.NewServer(tds.Config{Name: "SIM", Users: map[string]string{"sa": "p@ss:/word"}, Handler: s})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { assert.NoError(t, server.Serve(ctx, l)) })
	t.Cleanup(func() { cancel(); serving.Wait() })
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", "p@ss:/word"), Host: l.Addr().String(), RawQuery: "encrypt=disable"}
	s.dsn = u.String()
	return s
}

func (s *site) source(o *Options) *Source {
	s.Helper()
	src, err := New(s.dsn, o)
	require.NoError(s, err)
	s.Cleanup(func() {
		assert.Zero(s, src.db.Stats().OpenConnections, "a session was left open")
		assert.NoError(s, src.Close())
	})
	return src
}

// pipeline is the job "sim" of src.
func (s *site) pipeline(src *Source, change ...func(*backup.Config)) *backup.Pipeline {
	s.Helper()
	c := backup.Config{Job: "sim", Source: src, Sink: s.sink, Stager: backup.DirStager{Dir: s.dir, ServerDir: `S:\stage`}, PartSize: 64 << 10}
	for _, f := range change {
		f(&c)
	}
	p, err := backup.New(c)
	require.NoError(s, err)
	return p
}

// take runs a backup that must succeed.
func (s *site) take(p *backup.Pipeline, kind backup.Kind, options ...string) *backup.Manifest {
	s.Helper()
	m, err := s.try(p, kind, options...)
	require.NoError(s, err)
	return m
}

// try runs a backup; options are names and values in turn.
func (s *site) try(p *backup.Pipeline, kind backup.Kind, options ...string) (*backup.Manifest, error) {
	o := backup.BackupOptions{Kind: kind}
	for i := 0; i < len(options); i += 2 {
		if o.Options == nil {
			o.Options = map[string]string{}
		}
		o.Options[options[i]] = options[i+1]
	}
	return p.BackupWith(s.Context(), o)
}

// item finds an item of m that must be there.
func (s *site) item(m *backup.Manifest, name string) backup.Item {
	s.Helper()
	it, ok := m.Item(name)
	require.True(s, ok, "no item %s in %v", name, m.Items)
	return it
}

// exec runs a statement as somebody else does.
func (s *site) exec(statement string) {
	s.Helper()
	db, err := sql.Open("sqlserver", s.dsn)
	require.NoError(s, err)
	defer func() { require.NoError(s, db.Close()) }()
	_, err = db.ExecContext(s.Context(), statement)
	require.NoError(s, err, statement)
}

// statements are those the server was given so far that begin with prefix.
func (s *site) statements(prefix string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, t := range s.texts {
		if strings.HasPrefix(t, prefix) {
			out = append(out, t)
		}
	}
	return out
}

// stepIn calls f before every batch from now on.
func (s *site) stepIn(f func(text string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

// staged lists the files that lie in the stage.
func (s *site) staged() []string {
	s.Helper()
	var out []string
	require.NoError(s, filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".") && !strings.HasSuffix(d.Name(), ".lock") {
			out = append(out, path)
		}
		return err
	}))
	return out
}
