package mssql

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// remoteFolder is the shared folder as the simulated server names it.
const remoteFolder = `S:\share`

// simulated is the simulator behind a port of this machine.
type simulated struct {
	*mssqlsim.Instance
	db     *sql.DB
	source string
	local  string

	mu sync.Mutex
	at time.Time
}

func startSimulator(t *testing.T) *simulated {
	t.Helper()
	s := &simulated{local: sharedFolder(t), at: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600))}
	var err error
	s.Instance, err = mssqlsim.New(mssqlsim.Config{Name: "SIM", Now: s.tick, Media: mssqlsim.NewFileMedia(map[string]string{remoteFolder: s.local}, nil)})
	require.NoError(t, err)
	certificate, _, err := tds.NewCertificate("127.0.0.1")
	require.NoError(t, err)
	server, err := tds.NewServer(tds.Config{Name: "SIM", Users: map[string]string{"sa": saPassword}, Encryption: tds.Required, Certificate: &certificate, Handler: s.Instance})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx, l) })
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", saPassword), Host: l.Addr().String(), RawQuery: "encrypt=true&trustservercertificate=true"}
	s.source = u.String()
	s.db, err = sql.Open("sqlserver", s.source)
	require.NoError(t, err)
	t.Cleanup(func() { s.db.Close(); cancel(); serving.Wait() })
	return s
}

// tick is the server's clock: 100 ms later at every look.
func (s *simulated) tick() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(100 * time.Millisecond)
	return s.at
}

func (s *simulated) dsn() string { return s.source }

func (s *simulated) folder() (local, remote string) { return s.local, remoteFolder }

func (s *simulated) create(_ context.Context, database, model string) error {
	if err := s.CreateDatabase(database, mssqlsim.Model(model)); err != nil {
		return err
	}
	return s.Fill(database, 512<<10) // as much as a new database takes, about
}

func (s *simulated) insert(_ context.Context, database, text string) error {
	return s.Insert(database, text)
}

func (s *simulated) mark(_ context.Context, database, mark, text string) error {
	return s.Mark(database, mark, text)
}

func (s *simulated) contents(_ context.Context, database string) ([]string, error) {
	return s.Contents(database)
}

func (s *simulated) drop(_ context.Context, database string) error {
	s.DropDatabase(database)
	return nil
}

func (s *simulated) exec(ctx context.Context, statement string) error {
	if _, err := s.db.ExecContext(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}

func (s *simulated) now(context.Context) (time.Time, error) { return s.tick(), nil }

func (s *simulated) left(ctx context.Context) error {
	var n int
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) AS n FROM sys.databases WHERE user_access_desc <> 'MULTI_USER' OR state_desc <> 'ONLINE'").Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d databases are not open to all", n)
	}
	return err
}
