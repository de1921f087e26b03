package mssql

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the driver sqlserver
	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/quiesce-go/quiesce/backup"
)

// images are what the tests of this package run against beside the simulator. The licence of the images has to be accepted by whoever runs them.
var images = []string{"mcr.microsoft.com/mssql/server:2022-latest", "mcr.microsoft.com/mssql/server:2019-latest"}

const saPassword = "Quiesce-1-test"

// stageInContainer is where the container sees the folder that it shares with the test.
const stageInContainer = "/stage"

// contained is a genuine SQL Server in a container.
type contained struct {
	db    *sql.DB
	dsn   string
	local string // the shared folder as the test sees it
}

// startContainer pulls and starts an image. Without a container engine, without a registry, or when the licence was not accepted, the test is skipped with that reason.
func startContainer(t *testing.T, image string) *contained {
	t.Helper()
	if os.Getenv("QUIESCE_MSSQL_ACCEPT_EULA") != "Y" {
		t.Skipf("%s is not started: set QUIESCE_MSSQL_ACCEPT_EULA=Y to accept its licence", image)
	}
	testcontainers.SkipIfProviderIsNotHealthy(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	local := sharedFolder(t)
	c, err := testcontainers.Run(ctx, image,
		testcontainers.WithEnv(map[string]string{"ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": saPassword, "MSSQL_PID": "Developer"}),
		testcontainers.WithExposedPorts("1433/tcp"),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) { hc.Binds = append(hc.Binds, local+":"+stageInContainer) }),
		testcontainers.WithWaitStrategy(wait.ForLog("SQL Server is now ready for client connections").WithStartupTimeout(3*time.Minute)))
	testcontainers.CleanupContainer(t, c)
	if err != nil && unreachable(err) {
		t.Skipf("%s cannot be pulled: %v", image, err)
	}
	require.NoError(t, err)
	endpoint, err := c.PortEndpoint(ctx, "1433/tcp", "")
	require.NoError(t, err)
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", saPassword), Host: endpoint, RawQuery: "database=master&encrypt=true&trustservercertificate=true"}
	s := &contained{dsn: u.String(), local: local}
	s.db, err = sql.Open("sqlserver", s.dsn)
	require.NoError(t, err)
	t.Cleanup(func() { s.db.Close() })
	for { // the log line comes before the upgrade scripts of a first start are through
		if err = s.db.PingContext(ctx); err == nil {
			return s
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err, "the server takes no login")
		case <-time.After(time.Second):
		}
	}
}

// unreachable tells whether an image could not be had, which is no fault of ours.
func unreachable(err error) bool {
	for _, s := range []string{"no such host", "pull access denied", "manifest unknown", "connection refused", "i/o timeout", "TLS handshake", "No such image"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}

// sharedFolder is a folder that the container's user, another than the test's, may write to.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "quiesce-mssql")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{dir, filepath.Join(dir, "stage")} {
		require.NoError(t, os.MkdirAll(d, 0o777))
		require.NoError(t, os.Chmod(d, 0o777)) // whatever the umask
	}
	return dir
}

func (s *contained) name() string { return s.dsn }

func (s *contained) source() string { return s.dsn }

func (s *contained) stager() backup.Stager {
	return backup.DirStager{Dir: filepath.Join(s.local, "stage"), ServerDir: stageInContainer + "/stage", Mode: 0o777}
}

func (s *contained) create(ctx context.Context, database, model string) error {
	for _, q := range []string{"CREATE DATABASE " + quoted(database), "ALTER DATABASE " + quoted(database) + " SET RECOVERY " + model,
		"CREATE TABLE " + quoted(database) + ".dbo.ledger (id int IDENTITY PRIMARY KEY, entry nvarchar(400) NOT NULL)"} {
		if _, err := s.db.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	return nil
}

func (s *contained) insert(ctx context.Context, database, text string) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO "+quoted(database)+".dbo.ledger (entry) VALUES (@p1)", text)
	return err
}

func (s *contained) contents(ctx context.Context, database string) ([]string, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT entry FROM "+quoted(database)+".dbo.ledger ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

func (s *contained) drop(ctx context.Context, database string) error {
	q := quoted(database)
	_, err := s.db.ExecContext(ctx, "IF DB_ID(@p1) IS NOT NULL BEGIN IF DATABASEPROPERTYEX(@p1, 'Status') = 'ONLINE' ALTER DATABASE "+q+
		" SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE "+q+" END", database)
	return err
}

func (s *contained) now(ctx context.Context) (time.Time, error) {
	var t time.Time
	err := s.db.QueryRowContext(ctx, "SELECT SYSDATETIMEOFFSET()").Scan(&t)
	return t, err
}

func (s *contained) exec(ctx context.Context, q string) error {
	_, err := s.db.ExecContext(ctx, q)
	return err
}

func quoted(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }
