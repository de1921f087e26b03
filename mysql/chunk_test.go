package mysql

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// keyed are tables with every kind of key that is cut, and some that are not.
func keyed() map[string]string {
	return map[string]string{
		"dense":      "id INT PRIMARY KEY, n INT, pad CHAR(200)",
		"sparse":     "id BIGINT UNSIGNED PRIMARY KEY, n INT, pad CHAR(200)",
		"negative":   "id INT PRIMARY KEY, n INT, pad CHAR(200)",
		"composite":  "a INT, b VARCHAR(40), c DATETIME(3), n INT, pad CHAR(200), PRIMARY KEY (a,b,c)",
		"words":      "w VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci PRIMARY KEY, n INT, pad CHAR(200)",
		"latin":      "w VARCHAR(60) CHARACTER SET latin1 COLLATE latin1_swedish_ci PRIMARY KEY, n INT, pad CHAR(200)",
		"bytes":      "w VARBINARY(60) PRIMARY KEY, n INT, pad CHAR(200)",
		"money":      "w DECIMAL(20,4) PRIMARY KEY, n INT, pad CHAR(200)",
		"unique_key": "n INT, id INT NOT NULL, pad CHAR(200), UNIQUE KEY u (id)",
		"floating":   "id DOUBLE PRIMARY KEY, n INT, pad CHAR(200)",
		"keyless":    "n INT, pad CHAR(200)",
		"parts":      "id INT, n INT, pad CHAR(200), PRIMARY KEY (id)) PARTITION BY HASH (id) PARTITIONS 3 -- ",
	}
}

var keyedValues = map[string]string{
	"dense": "%[1]d, %[1]d", "sparse": "%[1]d*922337203685477+18446744000000000, %[1]d", "negative": "%[1]d-1500, %[1]d",
	"composite": "%[1]d DIV 700, CONCAT('k', %[1]d MOD 7, '''\\\\'), '2020-01-01' + INTERVAL %[1]d SECOND, %[1]d",
	"words":     "CONCAT(ELT(1+%[1]d MOD 5,'a','É','ß','日','Z\\''), CONV(%[1]d,10,36)), %[1]d",
	"latin":     "CONCAT(ELT(1+%[1]d MOD 3,'a','É','Z'), CONV(%[1]d,10,36)), %[1]d",
	"bytes":     "CONCAT(UNHEX(LPAD(HEX(%[1]d),8,'0')), X'00FF5C'), %[1]d", "money": "%[1]d/16, %[1]d",
	"unique_key": "%[1]d, %[1]d", "floating": "%[1]d/3, %[1]d", "keyless": "%[1]d", "parts": "%[1]d, %[1]d",
}

const keyedRows = 4000

func TestChunksCoverEveryRowOnce(t *testing.T) {
	t.Parallel()
	srv, db := startServer(t, nil)
	db.SetMaxOpenConns(1)
	exec1(t, db, "CREATE DATABASE k; USE k; SET NAMES utf8mb4; CREATE TABLE seq (i INT PRIMARY KEY)")
	var nums []string
	for i := range keyedRows {
		nums = append(nums, fmt.Sprintf("(%d)", i))
	}
	exec1(t, db, "INSERT INTO k.seq VALUES "+strings.Join(nums, ","))
	for name, def := range keyed() {
		exec1(t, db, "CREATE TABLE k."+name+" ("+def+")")
		exec1(t, db, "INSERT INTO k."+name+" SELECT "+strings.ReplaceAll(keyedValues[name], "%[1]d", "i")+", REPEAT('x',200) FROM k.seq")
		exec1(t, db, "ANALYZE TABLE k."+name)
	}
	before := picture(t, srv, "k")
	s := newSource(t, srv, &Options{ChunkSize: 64 << 10})
	st, r := dumpTo(t, s)
	for _, e := range r.idx.schema("k").Tables {
		if e.Name == "seq" {
			continue
		}
		assert.EqualValues(t, keyedRows, e.Rows, e.Name)
		switch e.Name {
		case "keyless", "floating":
			assert.Len(t, e.Chunks, 1, e.Name)
		default:
			assert.GreaterOrEqual(t, len(e.Chunks), 3, e.Name)
		}
	}
	exec1(t, db, "DROP DATABASE k")
	require.NoError(t, restoreFrom(t.Context(), t, s, st, false, backup.Selection{Name: "k"}))
	require.Equal(t, before, picture(t, srv, "k"))
}

func TestConditions(t *testing.T) {
	t.Parallel()
	cols, vals := []string{"`a`", "`b`", "`c`"}, []string{"1", "X'00'", "3"}
	assert.Equal(t, "`a`<=1 AND (`a`<1 OR (`b`<=X'00' AND (`b`<X'00' OR (`c`<3))))", below(cols, vals))
	assert.Equal(t, "`a`>=1 AND (`a`>1 OR (`b`>=X'00' AND (`b`>X'00' OR (`c`>=3))))", notBelow(cols, vals))
	c := column{dataType: "varchar", charset: "latin1", collation: "latin1_swedish_ci"}
	assert.Equal(t, "_latin1 X'E927' COLLATE latin1_swedish_ci", c.literal("\xe9'"))
}
