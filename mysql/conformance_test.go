package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/dbserver"
)

// shop is an application for the conformance suite: two schemas and an account of their own on a server that many shops share.
type shop struct {
	db      *sql.DB
	srv     *dbserver.Server
	schemas []string
	user    string
	sources []*Source

	mu     sync.Mutex
	past   map[string]bool
	change int
}

const shopSecret = "s3cr3t-of-the-shop"

func newShop(srv *dbserver.Server, db *sql.DB, n int) (*shop, error) {
	s := &shop{db: db, srv: srv, user: fmt.Sprintf("shop%d", n), schemas: []string{fmt.Sprintf("shop%d_a", n), fmt.Sprintf("shop%d_b", n)},
		past: map[string]bool{}}
	ctx := context.Background()
	do := []string{fmt.Sprintf("CREATE USER %s@localhost IDENTIFIED BY '%s'", s.user, shopSecret), fmt.Sprintf("GRANT ALL ON *.* TO %s@localhost", s.user)}
	for _, d := range s.schemas {
		do = append(do, "CREATE DATABASE "+d, "CREATE TABLE "+d+".t (id INT AUTO_INCREMENT PRIMARY KEY, v INT, pad VARCHAR(200))",
			"INSERT INTO "+d+".t (v,pad) VALUES "+strings.Repeat("(1,REPEAT('abc',60)),", 799)+"(2,NULL)",
			"CREATE VIEW "+d+".w AS SELECT SUM(v) s FROM "+d+".t", "ANALYZE TABLE "+d+".t")
	}
	for _, q := range do {
		if _, err := db.Exec(q); err != nil {
			return nil, err
		}
	}
	fp, err := s.Fingerprint(ctx)
	s.past[fp] = true
	return s, err
}

func (s *shop) Source() backup.Source {
	cfg := driver.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = s.user, shopSecret, "unix", s.srv.Socket()
	src, err := FromConfig(cfg, &Options{Include: s.schemas, NoAccounts: true, ChunkSize: 64 << 10, Instance: s.user})
	if err != nil {
		panic(err)
	}
	s.sources = append(s.sources, src)
	return src
}

// Mutate changes one row in each schema per transaction.
func (s *shop) Mutate(ctx context.Context, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.change++
		tx, err := s.db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		for _, d := range s.schemas {
			if _, err := tx.ExecContext(ctx, fmt.Sprintf("UPDATE %s.t SET v=%d WHERE id=%d", d, s.change, 1+s.change%700)); err != nil {
				tx.Rollback()
				return err
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
		fp, err := s.Fingerprint(ctx)
		if err != nil {
			return err
		}
		s.past[fp] = true
	}
	return nil
}

func (s *shop) Fingerprint(ctx context.Context) (string, error) {
	fp := ""
	for _, d := range s.schemas {
		var v sql.NullString
		err := s.db.QueryRowContext(ctx, "SELECT CONCAT(COUNT(*),':',SUM(CRC32(CONCAT_WS('/',id,v,pad))),':',(SELECT s FROM "+d+".w)) FROM "+d+".t").Scan(&v)
		if err != nil {
			return "", err
		}
		fp += v.String + "|"
	}
	return fp, nil
}

func (s *shop) Lose(ctx context.Context) error {
	for _, d := range s.schemas {
		if _, err := s.db.ExecContext(ctx, "DROP DATABASE IF EXISTS "+d); err != nil {
			return err
		}
	}
	return nil
}

// Quiesced looks for sessions of the agent's account, and tries what any lock would stop.
func (s *shop) Quiesced(ctx context.Context) error {
	var n int
	for range 100 {
		if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER='"+s.user+"'").Scan(&n); err != nil {
			return err
		}
		if n == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond) // a session ends a moment after its connection
	}
	if n > 0 {
		return fmt.Errorf("%d sessions of the agent are open", n)
	}
	return nil
}

// Now is the first moment of a second, since the log of MariaDB knows no finer times.
func (s *shop) Now(ctx context.Context) (time.Time, error) {
	var v string
	if err := s.db.QueryRowContext(ctx, "SELECT UTC_TIMESTAMP(6), SLEEP(1.001 - MICROSECOND(SYSDATE(6)) / 1e6)").Scan(&v, new(any)); err != nil {
		return time.Time{}, err
	}
	at, err := time.Parse("2006-01-02 15:04:05", v)
	return at.Truncate(time.Second).Add(time.Second), err
}

// Positions is where the log stands. It holds the changes of other shops, too.
func (s *shop) Positions(ctx context.Context) (map[string]backup.Position, error) {
	var file, pos, x string
	if err := s.db.QueryRowContext(ctx, "SHOW MASTER STATUS").Scan(&file, &pos, &x, &x); err != nil {
		return nil, err
	}
	n, err := strconv.ParseUint(pos, 10, 64)
	return map[string]backup.Position{ItemName: place{file: file, pos: n}.position()}, err
}

func (s *shop) Secret() string { return shopSecret }

func (s *shop) Committed(_ context.Context, fp string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.past[fp], nil
}

func (s *shop) OpenForeign(ctx context.Context) (alive, end func(context.Context) error, err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, nil, err
	}
	if _, err := c.ExecContext(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
		return nil, nil, err
	}
	alive = func(ctx context.Context) error { return c.PingContext(ctx) }
	end = func(ctx context.Context) error {
		_, err := c.ExecContext(ctx, "ROLLBACK")
		c.Close()
		return err
	}
	return alive, end, nil
}

func (s *shop) Close() error {
	for _, src := range s.sources {
		src.Close()
	}
	s.Lose(context.Background())
	_, err := s.db.Exec("DROP USER " + s.user + "@localhost")
	return err
}

func TestConformance(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	n := 0
	var mu sync.Mutex
	backuptest.TestSource(t, func() (backuptest.Application, error) {
		mu.Lock()
		n++
		k := n
		mu.Unlock()
		return newShop(srv, db, k)
	})
}
