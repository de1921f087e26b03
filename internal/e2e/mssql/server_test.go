package mssql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// server is a SQL Server that may be ruined, with a folder that it and the test both see.
type server interface {
	dsn() string
	// folder is the shared folder: as the test sees it, and as the server does.
	folder() (local, remote string)

	// create makes a database in a recovery model. Its content is a list of texts, which insert adds to.
	create(ctx context.Context, database, model string) error
	insert(ctx context.Context, database, text string) error
	// mark inserts a text in a transaction with a mark of that name.
	mark(ctx context.Context, database, mark, text string) error
	contents(ctx context.Context, database string) ([]string, error)
	// drop removes a database, whatever its state. One that is not there is no error.
	drop(ctx context.Context, database string) error
	// exec runs a statement, as another tool would.
	exec(ctx context.Context, statement string) error
	// now is the server's clock.
	now(ctx context.Context) (time.Time, error)
	// left tells what an agent left open: sessions of its own name, databases not open to all.
	left(ctx context.Context) error
}

// stagerOf is a stager in the shared folder.
func stagerOf(s server, elements ...string) backup.DirStager {
	local, remote := s.folder()
	return stagerAt(filepath.Join(append([]string{local}, elements...)...), joinRemote(remote, elements...))
}

// stagerAt makes stages that the server's user may write to.
func stagerAt(local, remote string) backup.DirStager {
	return backup.DirStager{Dir: local, ServerDir: remote, Mode: 0o777}
}

// joinRemote joins a path as its server writes it.
func joinRemote(remote string, elements ...string) string {
	sep := "/"
	if strings.Contains(remote, `\`) {
		sep = `\`
	}
	return strings.Join(append([]string{strings.TrimSuffix(remote, sep)}, elements...), sep)
}

func quoted(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }

// all runs every scenario on a server: the same one, or a fresh one each.
func all(t *testing.T, start func(t *testing.T) server) {
	t.Helper()
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) { sc.run(t, start(t)) })
	}
}

func TestSimulator(t *testing.T) {
	all(t, func(t *testing.T) server { return startSimulator(t) })
}

func TestContainers(t *testing.T) {
	for _, image := range images {
		t.Run(filepath.Base(image), func(t *testing.T) {
			s := startContainer(t, image)
			all(t, func(*testing.T) server { return s })
		})
	}
}

// TestOwnServer runs against a server that QUIESCE_MSSQL_DSN names.
func TestOwnServer(t *testing.T) {
	dsn := os.Getenv("QUIESCE_MSSQL_DSN")
	if dsn == "" {
		t.Skip("QUIESCE_MSSQL_DSN names no server")
	}
	local, remote := os.Getenv("QUIESCE_MSSQL_STAGE"), os.Getenv("QUIESCE_MSSQL_SERVER_STAGE")
	if local == "" {
		t.Fatal("QUIESCE_MSSQL_STAGE must name the folder shared with the server of QUIESCE_MSSQL_DSN")
	}
	if remote == "" {
		remote = local
	}
	s := openGenuine(t, dsn, local, remote)
	all(t, func(*testing.T) server { return s })
}

// named are names that no other run of these tests uses.
func named(base string) string { return fmt.Sprintf("quiesce_test_%s_%d", base, os.Getpid()) }
