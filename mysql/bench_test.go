package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// discard is a stage that keeps nothing.
type discard struct{}

type discardArtifact struct{ d *discard }

func (d *discard) create(context.Context, backup.Artifact) (artifact, error) {
	return discardArtifact{d}, nil
}

func (*discard) moved() {}

func (a discardArtifact) Write(p []byte) (int, error) { return len(p), nil }
func (discardArtifact) Annotate(string, string)       {}
func (discardArtifact) Commit() error                 { return nil }
func (discardArtifact) Close() error                  { return nil }

// benchRows is how many rows of about 190 bytes the generated tables hold together; QUIESCE_BENCH_ROWS changes it.
func benchRows() int {
	if n, err := strconv.Atoi(os.Getenv("QUIESCE_BENCH_ROWS")); err == nil && n > 0 {
		return n
	}
	return 400_000
}

// generate fills four tables in the shape of sysbench's: a number, a secondary key, two columns of text.
func generate(b *testing.B, db *sql.DB, rows int) int64 {
	b.Helper()
	exec1(b, db, "CREATE DATABASE sb")
	for t := range 4 {
		name := fmt.Sprintf("sb.t%d", t)
		exec1(b, db, "CREATE TABLE "+name+" (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', pad CHAR(60) NOT NULL DEFAULT '')")
		exec1(b, db, "INSERT INTO "+name+" (k,c,pad) VALUES (1,REPEAT('83868641912-',10),REPEAT('67847967377-',5))")
		for n := 1; n < rows/4; n *= 2 {
			exec1(b, db, fmt.Sprintf("INSERT INTO %s (k,c,pad) SELECT FLOOR(RAND()*1000000), CONCAT_WS('-',FLOOR(RAND()*1e11),LEFT(c,100)), CONCAT_WS('-',FLOOR(RAND()*1e11),LEFT(pad,45)) FROM %s LIMIT %d",
				name, name, min(n, rows/4-n)))
		}
		exec1(b, db, "ALTER TABLE "+name+" ADD KEY k (k)", "ANALYZE TABLE "+name)
	}
	n, err := strconv.ParseInt(query1(b, db, "SELECT SUM(DATA_LENGTH) FROM information_schema.TABLES WHERE TABLE_SCHEMA='sb'"), 10, 64)
	require.NoError(b, err)
	return n
}

// BenchmarkDump reads a generated database, beside mariadb-dump or mysqldump where one is installed. MB/s are of InnoDB data.
func BenchmarkDump(b *testing.B) {
	srv, db := startServer(b, &dbserver.Options{Binlog: true, LocalInfile: true, Args: []string{"--innodb_buffer_pool_size=1G"}})
	size := generate(b, db, benchRows())
	for _, conns := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("connections=%d", conns), func(b *testing.B) {
			s := newSource(b, srv, &Options{Connections: conns, ChunkSize: 16 << 20})
			b.SetBytes(size)
			for b.Loop() {
				_, err := s.dump(b.Context(), &discard{}, backup.Request{Log: testLog(b)})
				require.NoError(b, err)
			}
		})
	}
	for _, tool := range []string{"mariadb-dump", "mysqldump"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			continue
		}
		b.Run(tool, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				cmd := exec.Command(path, "--no-defaults", "--user=root", "--socket="+srv.Socket(), "--single-transaction", "--quick", "--databases", "sb")
				cmd.Stdout = io.Discard
				require.NoError(b, cmd.Run())
			}
		})
		break
	}
}

// BenchmarkLoad restores what BenchmarkDump reads.
func BenchmarkLoad(b *testing.B) {
	srv, db := startServer(b, &dbserver.Options{LocalInfile: true, Args: []string{"--innodb_buffer_pool_size=1G"}})
	size := generate(b, db, benchRows())
	s := newSource(b, srv, &Options{ChunkSize: 16 << 20})
	st := newMemStage()
	_, err := s.dump(b.Context(), st, backup.Request{Log: testLog(b)})
	require.NoError(b, err)
	for _, infile := range []string{"1", "0"} {
		b.Run("local_infile="+infile, func(b *testing.B) {
			exec1(b, db, "SET GLOBAL local_infile="+infile)
			b.SetBytes(size)
			for b.Loop() {
				b.StopTimer()
				exec1(b, db, "DROP DATABASE sb")
				b.StartTimer()
				require.NoError(b, restoreFrom(b.Context(), b, s, st, false, backup.Selection{Name: "sb"}))
			}
		})
	}
}
