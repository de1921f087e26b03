package binlog_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// traps are statements whose replay goes wrong when a detail is forgotten: the state of the session, variables, temporary tables of two sessions with one name, transactions in two phases, statements that fail half-way, rows that need more than one packet.
// Lines that begin with 2: run in a second session.
const traps = "" +
	"CREATE DATABASE `we``ird db`\n" +
	"CREATE DATABASE d CHARACTER SET latin1\n" +
	"USE d\n" +
	"CREATE TABLE n (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100), at DATETIME(6), x DECIMAL(30,10), r DOUBLE)\n" +
	"CREATE TABLE m (id INT PRIMARY KEY, v TEXT) ENGINE=MyISAM\n" +
	"CREATE TABLE parent (id INT PRIMARY KEY)\n" +
	"CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent(id))\n" +
	"CREATE TABLE big (id INT PRIMARY KEY, b LONGBLOB)\n" +
	"SET @i = -42, @u = 18446744073709551615, @f = 1.5e300, @d = CAST('-12345678901234567890.0123456789' AS DECIMAL(30,10)), @s = 'gr\u00fc\u00dfe', @null = NULL, @small = CAST(0.000001 AS DECIMAL(10,6))\n" +
	"INSERT INTO n (v, at, x, r) VALUES (@s, NOW(6), @d, @f)\n" +
	"INSERT INTO n (v, at, x, r) VALUES (@i, NOW(6), @small, @null)\n" +
	"INSERT INTO n (v, x) VALUES (@u, @i)\n" +
	"INSERT INTO n (v, r) VALUES ('rand', RAND()), ('rand', RAND())\n" +
	"SET TIMESTAMP = 1234567890.123456\n" +
	"INSERT INTO n (v, at) VALUES ('then', NOW(6))\n" +
	"SET TIMESTAMP = DEFAULT\n" +
	"SET time_zone = '+05:30'\n" +
	"INSERT INTO n (v, at) VALUES ('zone', NOW(6))\n" +
	"SET time_zone = DEFAULT\n" +
	"SET NAMES latin1\n" +
	"INSERT INTO n (v) VALUES ('gr\xfc\xdfe')\n" +
	"SET NAMES utf8mb4\n" +
	"SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'\n" +
	"INSERT INTO \"n\" (\"v\") VALUES ('a\\nb')\n" +
	"SET sql_mode = DEFAULT\n" +
	"SET foreign_key_checks = 0\n" +
	"INSERT INTO child VALUES (1, 99)\n" +
	"SET foreign_key_checks = 1\n" +
	"SET auto_increment_increment = 7, auto_increment_offset = 3\n" +
	"INSERT INTO n (v) VALUES ('step'), ('step')\n" +
	"SET auto_increment_increment = 1, auto_increment_offset = 1\n" +
	"INSERT INTO n (v) SELECT CONCAT('last ', LAST_INSERT_ID())\n" +
	"CREATE TEMPORARY TABLE tmp (v INT)\n" +
	"2:USE d\n" +
	"2:CREATE TEMPORARY TABLE tmp (v INT)\n" +
	"INSERT INTO tmp VALUES (1)\n" +
	"2:INSERT INTO tmp VALUES (2)\n" +
	"INSERT INTO n (v) SELECT CONCAT('first ', v) FROM tmp\n" +
	"2:INSERT INTO n (v) SELECT CONCAT('second ', v) FROM tmp\n" +
	"DROP TEMPORARY TABLE tmp\n" +
	"2:INSERT INTO n (v) SELECT CONCAT('still ', v) FROM tmp\n" +
	"BEGIN\n" +
	"INSERT INTO n (v) VALUES ('kept')\n" +
	"SAVEPOINT s\n" +
	"INSERT INTO m VALUES (1, 'not transactional')\n" +
	"INSERT INTO n (v) VALUES ('undone')\n" +
	"ROLLBACK TO s\n" +
	"COMMIT\n" +
	"BEGIN\n" +
	"INSERT INTO n (v) VALUES ('rolled back')\n" +
	"INSERT INTO m VALUES (2, 'stays')\n" +
	"ROLLBACK\n" +
	"fails:INSERT INTO m VALUES (3, 'half'), (1, 'a duplicate'), (4, 'never')\n" +
	"XA START 'a\"b', 'branch', 7\n" +
	"INSERT INTO n (v) VALUES ('two phases')\n" +
	"XA END 'a\"b', 'branch', 7\n" +
	"XA PREPARE 'a\"b', 'branch', 7\n" +
	"XA COMMIT 'a\"b', 'branch', 7\n" +
	"XA START 'once'\n" +
	"INSERT INTO n (v) VALUES ('one phase')\n" +
	"XA END 'once'\n" +
	"XA COMMIT 'once' ONE PHASE\n" +
	"XA START 'never'\n" +
	"INSERT INTO n (v) VALUES ('prepared and rolled back')\n" +
	"XA END 'never'\n" +
	"XA PREPARE 'never'\n" +
	"XA ROLLBACK 'never'\n" +
	"INSERT INTO big SELECT seq, REPEAT(CHAR(seq % 256), 3000) FROM seq_1_to_400\n" +
	"INSERT INTO big VALUES (1000, REPEAT('x', 30000))\n" +
	"UPDATE big SET b = CONCAT(b, 'y') WHERE id % 2\n" +
	"DELETE FROM big WHERE id BETWEEN 100 AND 150\n" +
	"CREATE TRIGGER tr AFTER INSERT ON parent FOR EACH ROW INSERT INTO n (v) VALUES (CONCAT('trigger ', NEW.id))\n" +
	"INSERT INTO parent VALUES (1), (2)\n" +
	"CREATE TABLE `we``ird db`.`t``t` (`c``c` INT)\n" +
	"INSERT INTO `we``ird db`.`t``t` VALUES (1), (2)\n" +
	"CREATE TABLE copy AS SELECT id, v FROM n WHERE v LIKE 'r%'\n" +
	"CREATE SEQUENCE sq\n" +
	"rows:INSERT INTO n (v) VALUES (NEXTVAL(sq))\n" +
	"CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DISABLE DO INSERT INTO n (v) VALUES ('never')\n" +
	"CREATE USER u@localhost IDENTIFIED BY 'secret'\n" +
	"GRANT SELECT ON d.* TO u@localhost\n" +
	"ALTER TABLE n ADD COLUMN late INT DEFAULT 5\n" +
	"UPDATE n SET late = id WHERE v LIKE 'rand'\n" +
	"TRUNCATE TABLE copy\n"

// play runs the traps.
func play(t *testing.T, db *sql.DB, format string) {
	t.Helper()
	var sessions [2]*sql.Conn
	for i := range sessions {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		// Closed for good, so that its temporary tables end with it.
		defer func() { _ = c.Raw(func(any) error { return fmt.Errorf("done") }); _ = c.Close() }()
		_, err = c.ExecContext(t.Context(), "SET binlog_format = '"+format+"'")
		require.NoError(t, err)
		_, err = c.ExecContext(t.Context(), "SET NAMES utf8mb4")
		require.NoError(t, err)
		sessions[i] = c
	}
	for line := range strings.Lines(traps) {
		q := strings.TrimSuffix(line, "\n")
		c := sessions[0]
		if rest, ok := strings.CutPrefix(q, "2:"); ok {
			c, q = sessions[1], rest
		}
		if rest, ok := strings.CutPrefix(q, "rows:"); ok {
			if format == "STATEMENT" {
				continue // the server refuses to log it so
			}
			q = rest
		}
		q, fails := strings.CutPrefix(q, "fails:")
		_, err := c.ExecContext(t.Context(), q)
		if fails {
			require.Error(t, err, q)
		} else {
			require.NoError(t, err, q)
		}
	}
}

// logs returns all binary logs of a server, one after another.
func logs(t *testing.T, db *sql.DB) (files [][]byte) {
	t.Helper()
	var base string
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT @@log_bin_basename").Scan(&base))
	_, err := db.ExecContext(t.Context(), "FLUSH BINARY LOGS")
	require.NoError(t, err)
	for i := 1; ; i++ {
		b, err := os.ReadFile(fmt.Sprintf("%s.%06d", base, i))
		if os.IsNotExist(err) {
			return files
		}
		require.NoError(t, err)
		files = append(files, b)
	}
}

// state is what a server holds: checksums and counts of all tables, and definitions.
func state(t *testing.T, db *sql.DB) map[string]string {
	t.Helper()
	out := map[string]string{}
	rows, err := db.QueryContext(t.Context(), "SELECT CONCAT('`', REPLACE(TABLE_SCHEMA, '`', '``'), '`.`', REPLACE(TABLE_NAME, '`', '``'), '`') FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('mysql','sys','information_schema','performance_schema') AND TABLE_TYPE='BASE TABLE'")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		out[name] = ""
	}
	require.NoError(t, rows.Err())
	for name := range out {
		var id, ddl string
		require.NoError(t, db.QueryRowContext(t.Context(), "SHOW CREATE TABLE "+name).Scan(&id, &ddl))
		out[name] = fmt.Sprintf("%d %s", sum(t, db, name), ddl)
	}
	return out
}

func TestReplayOfEveryFormat(t *testing.T) {
	for _, format := range []string{"ROW", "MIXED", "STATEMENT"} {
		for _, packet := range []int{1 << 17, 16 << 20} {
			t.Run(fmt.Sprintf("%s in packets of %d", format, packet), func(t *testing.T) {
				if packet == 16<<20 && testing.Short() {
					t.Skip("one size is enough in a short run")
				}
				from, to := server(t), server(t)
				play(t, from, format)
				for _, file := range logs(t, from) {
					require.NoError(t, replay(t, to, bytes.NewReader(file), binlog.ReplayOptions{MaxPacket: packet}, nil))
				}
				want := state(t, from)
				require.Len(t, want, 7)
				got := state(t, to)
				assert.Len(t, got, len(want))
				for table := range want {
					assert.Equal(t, want[table], got[table], table)
				}
			})
		}
	}
}
