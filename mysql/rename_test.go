package mysql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// TestRestoreUnderAnotherName drops the original afterwards: whatever still referred to it stops working.
func TestRestoreUnderAnotherName(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	db.SetMaxOpenConns(1)
	exec1(t, db, "CREATE USER bk@`127.0.0.1`; GRANT ALL ON *.* TO bk@`127.0.0.1`")
	sqlFile(t, srv, "types-and-objects.sql")
	sqlFile(t, srv, "sakila-schema.sql")
	sqlFile(t, srv, "sakila-data.sql")
	exec1(t, db, "CREATE VIEW zoo.cross_v AS SELECT z.id, zoo.f1(z.id) AS f, a.first_name FROM zoo.zoo z LEFT JOIN sakila.actor a ON a.actor_id=z.id",
		"CREATE DEFINER=root@localhost PROCEDURE zoo.typed() SELECT zoo.f1(1), a.id FROM zoo.ai a")
	if isMariaDB(srv) {
		exec1(t, db, "CREATE SEQUENCE zoo.sq; CREATE TABLE zoo.usesq (id INT DEFAULT NEXTVAL(zoo.sq))")
	}
	before := picture(t, srv, "zoo", "sakila")
	s := newSource(t, srv, nil)
	st, _ := dumpTo(t, s)
	require.NoError(t, restoreFrom(t.Context(), t, s, st, false,
		backup.Selection{Name: "zoo", As: "new zoo"}, backup.Selection{Name: "sakila", As: "movies"}))
	require.Equal(t, before, picture(t, srv, "zoo", "sakila"), "the originals were touched")

	exec1(t, db, "CREATE DATABASE keep; CREATE TABLE keep.actor AS SELECT * FROM sakila.actor")
	exec1(t, db, "DROP DATABASE zoo")
	after := picture(t, srv, "new zoo", "movies")
	for key, want := range before {
		kind, name, _ := strings.Cut(key, " ")
		if kind != "checksum" && kind != "digest" {
			continue
		}
		key = kind + " " + strings.NewReplacer("zoo.", "new zoo.", "sakila.", "movies.").Replace(strings.Replace(name, ".zoo", ".z00", 1))
		assert.Equal(t, want, after[strings.Replace(key, ".z00", ".zoo", 1)], key)
	}
	for _, v := range []string{"v_a", "v_b", "v_c", "cross_v"} {
		query1(t, db, "SELECT COUNT(*) FROM `new zoo`."+v)
	}
	exec1(t, db, "CALL `new zoo`.typed()", "INSERT INTO `new zoo`.ai (v) VALUES (9)")
	require.Equal(t, "1", query1(t, db, "SELECT COUNT(*) FROM `new zoo`.auditlog"), "the trigger does not fire where it should")
	exec1(t, db, "DROP DATABASE sakila")
	for _, v := range []string{"customer_list", "film_list", "sales_by_store", "actor_info", "staff_list"} {
		query1(t, db, "SELECT COUNT(*) FROM movies."+v)
	}
	if isMariaDB(srv) {
		exec1(t, db, "INSERT INTO `new zoo`.usesq VALUES ()")
	}
}

func TestRenameIsRefusedWhereInDoubt(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	exec1(t, db, "CREATE DATABASE zoo; CREATE TABLE zoo.zoo (a INT); CREATE TABLE zoo.t (a INT); CREATE PROCEDURE zoo.p() SELECT 1 FROM zoo.t x, zoo.t y")
	s := newSource(t, srv, nil)
	st, _ := dumpTo(t, s)
	err := restoreFrom(t.Context(), t, s, st, false, backup.Selection{Name: "zoo", As: "ark"})
	require.ErrorIs(t, err, backup.ErrRefused)
	require.ErrorContains(t, err, "procedure zoo.p")
	require.Equal(t, []string{"zoo"}, userSchemas(t, db), "the server was changed before the refusal")
}
