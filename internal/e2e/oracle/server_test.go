package oracle

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle"
)

// server is an Oracle database that may be ruined, with a folder that it and the test both see. It holds a ledger, a list of texts.
type server interface {
	// modes are those in which an agent of this process can work.
	modes() []oracle.Mode
	// agent backs the database up.
	agent(o oracle.Options) (*oracle.Source, error)
	// shared is the folder that both see: as the test names it, and as the server does.
	shared() (local, remote string)

	// insert adds texts to the ledger, each in a transaction of its own.
	insert(ctx context.Context, texts ...string) error
	// contents is the ledger.
	contents(ctx context.Context) ([]string, error)
	// now is a second of the server's clock: what was inserted before is in an earlier one, and what is inserted later is not.
	now(ctx context.Context) (time.Time, error)
	// position is an SCN: what was inserted before is below it, and what is inserted later is not.
	position(ctx context.Context) (backup.Position, error)

	// query returns the first column of the rows.
	query(ctx context.Context, q string) ([]string, error)
	// sqlplus runs a script as administrator on the machine of the server and returns what was printed. An exit status other than 0 is an error.
	sqlplus(ctx context.Context, script string) (string, error)
	exists(ctx context.Context, path string) (bool, error)
	// remove removes a file or folder of the server's machine; one that is not there is no error.
	remove(ctx context.Context, path string) error
	// lose ends the instance and removes data files and control files.
	lose(ctx context.Context) error
}

// here tells whether the agent runs on the machine of the server, under its account.
func here(s server) bool { return len(s.modes()) > 1 }

// all runs every scenario in every mode, each on a server in its first state.
func all(t *testing.T, fresh func(t *testing.T) server) {
	t.Helper()
	for _, sc := range scenarios {
		t.Run(sc.name, func(t *testing.T) {
			s := fresh(t)
			for i, mode := range s.modes() {
				t.Run(string(mode), func(t *testing.T) {
					if i > 0 {
						s = fresh(t)
					}
					sc.run(t, s, mode)
				})
			}
		})
	}
}

func TestSimulator(t *testing.T) {
	all(t, func(t *testing.T) server { return startSimulator(t) })
}

func TestContainer(t *testing.T) {
	c := startContainer(t)
	all(t, func(t *testing.T) server { return c.server.fresh(t) })
	t.Run("inside", c.inside)
}

// TestOwnServer runs against a server that QUIESCE_ORACLE_DSN names.
func TestOwnServer(t *testing.T) {
	dsn := os.Getenv("QUIESCE_ORACLE_DSN")
	if dsn == "" {
		t.Skip("QUIESCE_ORACLE_DSN names no server")
	}
	local, remote := os.Getenv("QUIESCE_ORACLE_SHARED"), os.Getenv("QUIESCE_ORACLE_SERVER_SHARED")
	if local == "" {
		t.Fatal("QUIESCE_ORACLE_SHARED must name a folder that the test and the server of QUIESCE_ORACLE_DSN both see")
	}
	if remote == "" {
		remote = local
	}
	run := onThisMachine
	command := os.Getenv("QUIESCE_ORACLE_SHELL")
	if command != "" {
		run = byCommand(command)
	}
	s := openGenuine(t, dsn, local, remote, run, command == "")
	all(t, func(t *testing.T) server { return s.fresh(t) })
}
