package mssql

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	_ "github.com/microsoft/go-mssqldb" // the driver sqlserver
	"github.com/stretchr/testify/require"
)

// genuine is a real SQL Server, in a container or elsewhere.
type genuine struct {
	db            *sql.DB
	source        string
	local, remote string
}

func openGenuine(t *testing.T, dsn, local, remote string) *genuine {
	t.Helper()
	db, err := sql.Open("sqlserver", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { db.Close() })
	return &genuine{db: db, source: dsn, local: local, remote: remote}
}

func (s *genuine) dsn() string { return s.source }

func (s *genuine) folder() (local, remote string) { return s.local, s.remote }

func (s *genuine) create(ctx context.Context, database, model string) error {
	for _, q := range []string{"CREATE DATABASE " + quoted(database), "ALTER DATABASE " + quoted(database) + " SET RECOVERY " + model,
		"CREATE TABLE " + quoted(database) + ".dbo.ledger (id int IDENTITY PRIMARY KEY, entry nvarchar(4000) NOT NULL)"} {
		if err := s.exec(ctx, q); err != nil {
			return err
		}
	}
	return nil
}

func (s *genuine) insert(ctx context.Context, database, text string) error {
	_, err := s.db.ExecContext(ctx, "INSERT INTO "+quoted(database)+".dbo.ledger (entry) VALUES (@p1)", text)
	return err
}

func (s *genuine) mark(ctx context.Context, database, mark, text string) error {
	_, err := s.db.ExecContext(ctx, "BEGIN TRANSACTION "+quoted(mark)+" WITH MARK; INSERT INTO "+quoted(database)+".dbo.ledger (entry) VALUES (@p1); COMMIT", text)
	return err
}

func (s *genuine) contents(ctx context.Context, database string) ([]string, error) {
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

func (s *genuine) drop(ctx context.Context, database string) error {
	q := quoted(database)
	_, err := s.db.ExecContext(ctx, "IF DB_ID(@p1) IS NOT NULL BEGIN IF DATABASEPROPERTYEX(@p1, 'Status') = 'ONLINE' ALTER DATABASE "+q+
		" SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE "+q+" END", database)
	return err
}

func (s *genuine) exec(ctx context.Context, q string) error {
	if _, err := s.db.ExecContext(ctx, q); err != nil {
		return fmt.Errorf("%s: %w", q, err)
	}
	return nil
}

// now waits past the tick of datetime, 1/300 s, in which the log dates transactions.
func (s *genuine) now(ctx context.Context) (time.Time, error) {
	time.Sleep(10 * time.Millisecond)
	var t time.Time
	err := s.db.QueryRowContext(ctx, "SELECT SYSDATETIMEOFFSET()").Scan(&t)
	time.Sleep(10 * time.Millisecond)
	return t, err
}

func (s *genuine) left(ctx context.Context) error {
	var n int
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sys.databases WHERE user_access_desc <> 'MULTI_USER' OR state_desc <> 'ONLINE'").Scan(&n)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d databases are not open to all", n)
	}
	return err
}
