package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

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

// files is a stage of plain files, so that what is measured ends where that of the peers does; compressed with zstd at a level unless that is 0.
type files struct {
	dir   string
	level zstd.EncoderLevel
	n     atomic.Int64
}

func (f *files) create(context.Context, backup.Artifact) (artifact, error) {
	out, err := os.Create(filepath.Join(f.dir, strconv.FormatInt(f.n.Add(1), 10)))
	if err != nil || f.level == 0 {
		return &file{f: out, w: out}, err
	}
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(f.level), zstd.WithEncoderConcurrency(1))
	return &file{f: out, w: z}, err
}

func (*files) moved() {}

type file struct {
	f *os.File
	w io.Writer
}

func (a *file) Write(p []byte) (int, error) { return a.w.Write(p) }
func (*file) Annotate(string, string)       {}
func (a *file) Commit() error {
	if z, ok := a.w.(*zstd.Encoder); ok {
		return z.Close()
	}
	return nil
}
func (a *file) Close() error { return a.f.Close() }

// BenchmarkDump reads a generated database into files, over two connections, beside the programs that are installed. MB/s are of InnoDB data.
func BenchmarkDump(b *testing.B) {
	srv, db := startServer(b, &dbserver.Options{Binlog: true, LocalInfile: true, Args: []string{"--innodb_buffer_pool_size=3G", "--innodb_flush_log_at_trx_commit=2"}})
	size := generate(b, db, benchRows())
	peers(b, size, "plain", []peer{
		{"mariadb-dump", []string{"--no-defaults", "--user=root", "--socket=" + srv.Socket(), "--single-transaction", "--quick", "--databases", "sb", "--result-file=DIR/all.sql"}},
		{"mydumper", []string{"--user=root", "--socket=" + srv.Socket(), "--database=sb", "--threads=2", "--rows=250000", "--outputdir=DIR"}},
	})
	for _, level := range []zstd.EncoderLevel{0, zstd.SpeedFastest, zstd.SpeedDefault} {
		name := "plain/quiesce"
		if level > 0 {
			name = "zstd-" + level.String() + "/quiesce"
		}
		b.Run(name, func(b *testing.B) {
			s := newSource(b, srv, &Options{Connections: 2})
			b.SetBytes(size)
			for b.Loop() {
				_, err := s.dump(b.Context(), &files{dir: emptied(b), level: level}, backup.Request{Log: testLog(b)})
				require.NoError(b, err)
			}
		})
	}
	peers(b, size, "gzip", []peer{
		{"mydumper", []string{"--user=root", "--socket=" + srv.Socket(), "--database=sb", "--threads=2", "--rows=250000", "--compress", "--outputdir=DIR"}},
	})
}

// peer is a program that is measured beside us. DIR in an argument becomes an empty directory.
type peer struct {
	program string
	args    []string
}

func peers(b *testing.B, size int64, kind string, all []peer) {
	b.Helper()
	for _, p := range all {
		path, err := exec.LookPath(p.program)
		if err != nil {
			b.Logf("%s is not installed: nothing is measured beside it", p.program)
			continue
		}
		b.Run(kind+"/"+p.program, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				dir := emptied(b)
				args := slices.Clone(p.args)
				for i, a := range args {
					args[i] = strings.ReplaceAll(a, "DIR", dir)
				}
				out, err := exec.CommandContext(b.Context(), path, args...).CombinedOutput()
				require.NoError(b, err, "%s", out)
			}
		})
	}
}

// emptied is a directory that is empty again for each round.
func emptied(b *testing.B) string {
	b.Helper()
	b.StopTimer()
	defer b.StartTimer()
	dir := filepath.Join(os.TempDir(), "quiesce-bench-"+strconv.Itoa(os.Getpid()))
	require.NoError(b, os.RemoveAll(dir))
	require.NoError(b, os.MkdirAll(dir, 0o700))
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
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
