package mysql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// extras are the objects that the shared trap file does not hold.
func extras(mariadb bool) []string {
	q := []string{
		"CREATE DATABASE `odd``name. é/%` CHARACTER SET latin1 COLLATE latin1_swedish_ci",
		"CREATE TABLE `odd``name. é/%`.`..` (`a.b` INT PRIMARY KEY, `c``d` VARBINARY(10) DEFAULT 'x')",
		"INSERT INTO `odd``name. é/%`.`..` VALUES (1, X''), (2, X'00'), (3, NULL)",
		"CREATE TABLE `odd``name. é/%`.`nul\\0` (one VARCHAR(5)); INSERT INTO `odd``name. é/%`.`nul\\0` VALUES (''),(NULL),('\\\\N')",
		"CREATE TABLE zoo.years (y YEAR, s SET('a','b'), e ENUM('x','y')); INSERT INTO zoo.years VALUES (0,'','x'),(1999,'a,b',NULL),(2155,NULL,'y')",
		"CREATE TABLE zoo.zf (i INT(8) ZEROFILL, f FLOAT(7,4), d DOUBLE(10,3), tt TIME(3), ub SMALLINT UNSIGNED);" +
			" INSERT INTO zoo.zf VALUES (42, 123.4567, -1.5, '-00:00:01.5', 65535)",
		"CREATE TABLE zoo.onlygen (a INT AS (1) VIRTUAL, b INT); INSERT INTO zoo.onlygen (b) VALUES (NULL),(2)",
		"CREATE VIEW zoo.zz_first AS SELECT 1 AS one; CREATE VIEW zoo.aa_needs AS SELECT one FROM zoo.zz_first",
		"CREATE TABLE zoo.many (id BIGINT NOT NULL AUTO_INCREMENT, k INT, v VARCHAR(30), PRIMARY KEY (id), UNIQUE KEY kv (k,v), KEY v (v), FULLTEXT KEY ft (v))",
		"CREATE DEFINER=root@localhost TRIGGER zoo.t1 BEFORE INSERT ON zoo.years FOR EACH ROW SET @a=1",
		"CREATE DEFINER=root@localhost TRIGGER zoo.a2 BEFORE INSERT ON zoo.years FOR EACH ROW FOLLOWS t1 SET @a=2",
		"SET NAMES latin1; CREATE PROCEDURE zoo.lat() SELECT 'caf\xe9'",
		"SET NAMES utf8mb4; SET SESSION sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT'; CREATE FUNCTION zoo.cat2(a VARCHAR(5)) RETURNS VARCHAR(20) DETERMINISTIC RETURN a || ';;' || 'x'; SET SESSION sql_mode=DEFAULT",
	}
	if mariadb {
		q = append(q,
			"CREATE SEQUENCE zoo.sq START WITH 5 MAXVALUE 100 CACHE 3 CYCLE; SELECT NEXTVAL(zoo.sq)",
			"CREATE TABLE zoo.usesq (id INT DEFAULT NEXTVAL(zoo.sq), u UUID, i6 INET6, i4 INET4); INSERT INTO zoo.usesq (u,i6,i4) VALUES (UUID(),'::1','10.1.2.3'),(NULL,NULL,NULL)",
			"CREATE TABLE zoo.sv (id INT PRIMARY KEY, v INT) WITH SYSTEM VERSIONING; INSERT INTO zoo.sv VALUES (1,1),(2,2); UPDATE zoo.sv SET v=3 WHERE id=1",
			"SET SESSION sql_mode=ORACLE; CREATE PACKAGE zoo.pk AS FUNCTION ff RETURN INT; END",
			"SET SESSION sql_mode=ORACLE; CREATE PACKAGE BODY zoo.pk AS FUNCTION ff RETURN INT AS BEGIN RETURN 3; END; END; SET SESSION sql_mode=DEFAULT",
		)
	}
	return q
}

func TestEverythingSurvives(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	db.SetMaxOpenConns(1)
	exec1(t, db, "CREATE USER bk@`127.0.0.1`; GRANT ALL ON *.* TO bk@`127.0.0.1`")
	sqlFile(t, srv, "types-and-objects.sql")
	sqlFile(t, srv, "sakila-schema.sql")
	sqlFile(t, srv, "sakila-data.sql")
	exec1(t, db, extras(isMariaDB(srv))...)
	before := picture(t, srv, userSchemas(t, db)...)
	require.Greater(t, len(before), 150, "the picture is too small to be the whole")

	s := newSource(t, srv, &Options{ChunkSize: 256 << 10})
	st, r := dumpTo(t, s)
	require.NotEmpty(t, r.idx.Server.File)
	if isMariaDB(srv) {
		assert.Contains(t, strings.Join(r.idx.Warnings, "\n"), "zoo.sv: current rows only")
	}

	dropAll(t, db)
	for _, u := range []string{"bk@`127.0.0.1`", "u1@`%`"} {
		exec1(t, db, "DROP USER "+u)
	}
	exec1(t, db, "DROP ROLE r1")
	require.NoError(t, restoreFrom(t.Context(), t, s, st, false))
	require.Equal(t, before, picture(t, srv, userSchemas(t, db)...))
	requireNoSessions(t, db)

	// The same by INSERT, as on a server without local_infile, over what is there.
	exec1(t, db, "SET GLOBAL local_infile=0", "UPDATE zoo.zoo SET f4=0.25 WHERE id=103", "DROP VIEW zoo.v_a", "CREATE TABLE zoo.v_a (id INT)")
	require.NotEqual(t, before, picture(t, srv, userSchemas(t, db)...), "the picture does not show a changed float")
	require.NoError(t, restoreFrom(t.Context(), t, s, st, true))
	require.Equal(t, before, picture(t, srv, userSchemas(t, db)...))
}

func TestBrokenViewsAndNarrowBackups(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	db.SetMaxOpenConns(1)
	exec1(t, db, "CREATE DATABASE v; CREATE TABLE v.gone (a INT); CREATE VIEW v.broken AS SELECT a FROM v.gone; CREATE VIEW v.fine AS SELECT 1 AS one; DROP TABLE v.gone",
		"CREATE TABLE v.tmp_1 (a INT); CREATE TABLE v.t (a INT); INSERT INTO v.t VALUES (7); CREATE DATABASE w; CREATE TABLE w.t (a INT)",
		"CREATE USER narrow@localhost; GRANT SELECT ON v.tmp_1 TO narrow@localhost; GRANT SELECT ON v.t TO narrow@localhost")
	s := newSource(t, srv, &Options{Include: []string{"v"}, Exclude: []string{"*.tmp_*"}})
	st, r := dumpTo(t, s)
	require.Len(t, r.idx.Schemas, 1)
	require.Len(t, r.idx.Schemas[0].Tables, 1)
	require.Contains(t, strings.Join(r.idx.Warnings, "\n"), "view v.broken does not work")
	exec1(t, db, "DROP DATABASE v; DROP USER narrow@localhost")
	require.NoError(t, restoreFrom(t.Context(), t, s, st, false))
	require.Equal(t, "1", query1(t, db, "SELECT one FROM v.fine"))
	require.Equal(t, "7", query1(t, db, "SELECT a FROM v.t"))
	require.Equal(t, "1", query1(t, db, "SELECT COUNT(*) FROM mysql.tables_priv WHERE User='narrow'"), "the grant on a table that was left out is no failure, the other is given")
}

// TestLargeTablesGetTheirIndexesLate crosses the size from which indexes are built after the rows.
func TestLargeTablesGetTheirIndexesLate(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	bigTable(t, db)
	exec1(t, db, "ALTER TABLE big.t ADD COLUMN w VARCHAR(20) DEFAULT 'word', ADD COLUMN k INT AS (LENGTH(w)) VIRTUAL, ADD UNIQUE KEY u (id,k), ADD KEY p (pad(20)), ADD KEY k (k), ADD FULLTEXT KEY f (w)",
		"CREATE TABLE big.child (id INT PRIMARY KEY, CONSTRAINT `c,1` FOREIGN KEY (id) REFERENCES big.t (id) ON DELETE CASCADE) COMMENT='(,'")
	before := picture(t, srv, "big")
	s := newSource(t, srv, &Options{ChunkSize: 1 << 20})
	st, _ := dumpTo(t, s)
	exec1(t, db, "DROP DATABASE big")
	require.NoError(t, restoreFrom(t.Context(), t, s, st, false, backup.Selection{Name: "big"}))
	require.Equal(t, before, picture(t, srv, "big"))
}
