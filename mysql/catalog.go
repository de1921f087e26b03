package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/mysql/internal/sqltext"
)

// table is what must be known of a table to read it.
type table struct {
	schema, name string
	kind         string // BASE TABLE, VIEW, SEQUENCE, SYSTEM VERSIONED
	engine       string
	rows, bytes  int64 // estimates
	columns      []column
	key          []column // of the unique key it is cut by; nil when there is none
	keyName      string
	partitions   []string
	transactions bool // the engine has them

	entry *tableEntry
}

func (t *table) String() string { return t.schema + "." + t.name }

type column struct {
	name               string
	dataType           string
	charset, collation string
	unsigned           bool
	nullable           bool
	generated          bool
}

// entry is the column as the index describes it.
func (c column) entry(f Flavour) columnEntry {
	e := columnEntry{Name: c.name}
	switch c.dataType {
	case "float":
		e.Type = floatColumn
	case "year":
		e.Type = yearColumn
	case "bit":
		e.Type = bitColumn
	case "json":
		if f == MySQL {
			e.Type = jsonColumn
		}
	case "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		e.Type = binaryColumn
	// Under CHARACTER SET binary MariaDB takes these for the bytes of the value, not for its text (10.11: warning 1292 and NULL), so they are read as bytes too.
	case "uuid", "inet6":
		e.Type, e.cast = binaryColumn, "BINARY(16)"
	case "inet4":
		e.Type, e.cast = binaryColumn, "BINARY(4)"
	}
	return e
}

func (c column) integer() bool {
	switch c.dataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return true
	}
	return false
}

// catalog is the list of everything to back up in one schema, in the order of names.
type catalog struct {
	schema    string
	tables    []*table // base tables
	views     []string
	sequences []string
}

// listTables reads which tables there are, without their columns.
func (c *session) listTables(ctx context.Context, srv *server, schema string, f filter) (*catalog, error) {
	rs, err := c.rows(ctx, "SELECT TABLE_NAME AS n, TABLE_TYPE AS t, ENGINE AS e, TABLE_ROWS AS r, DATA_LENGTH AS d"+
		" FROM information_schema.TABLES WHERE TABLE_SCHEMA="+literal(schema))
	if err != nil {
		return nil, c.src.fail(ctx, "list the tables of", schema, err)
	}
	trans, err := c.engines(ctx)
	if err != nil {
		return nil, err
	}
	cat := &catalog{schema: schema}
	for _, r := range rs {
		t := &table{schema: schema, name: r.get("n"), kind: strings.ToUpper(r.get("t")), engine: r.get("e")}
		if !f.table(schema, t.name) {
			continue
		}
		switch {
		case t.kind == "VIEW":
			cat.views = append(cat.views, t.name)
			continue
		case t.kind == "SEQUENCE":
			cat.sequences = append(cat.sequences, t.name)
			continue
		case strings.HasPrefix(t.kind, "SYSTEM VIEW"), t.kind == "TEMPORARY", t.kind == "TEMPORARY SEQUENCE":
			continue
		}
		t.rows, _ = strconv.ParseInt(r.get("r"), 10, 64)
		t.bytes, _ = strconv.ParseInt(r.get("d"), 10, 64)
		t.transactions = srv.reduced || trans[strings.ToLower(t.engine)]
		cat.tables = append(cat.tables, t)
	}
	slices.SortFunc(cat.tables, func(a, b *table) int { return strings.Compare(a.name, b.name) })
	slices.Sort(cat.views)
	slices.Sort(cat.sequences)
	return cat, nil
}

// engines tells which storage engines have transactions.
func (c *session) engines(ctx context.Context) (map[string]bool, error) {
	rs, err := c.rows(ctx, "SHOW ENGINES")
	if err != nil && !denied(err) {
		return nil, c.src.fail(ctx, "list the engines of", "", err)
	}
	trans := map[string]bool{"innodb": true}
	for _, r := range rs {
		trans[strings.ToLower(r.get("engine"))] = r.get("transactions") == "YES"
	}
	return trans, nil
}

// describe fills in columns, keys and partitions of the catalog's tables.
func (c *session) describe(ctx context.Context, srv *server, cat *catalog) error {
	byName := map[string]*table{}
	for _, t := range cat.tables {
		byName[t.name] = t
	}
	where := " WHERE TABLE_SCHEMA=" + literal(cat.schema)
	rs, err := c.rows(ctx, "SELECT TABLE_NAME AS t, COLUMN_NAME AS c, DATA_TYPE AS d, COLUMN_TYPE AS ct, EXTRA AS e, IS_NULLABLE AS n,"+
		" CHARACTER_SET_NAME AS cs, COLLATION_NAME AS co FROM information_schema.COLUMNS"+where+" ORDER BY TABLE_NAME, ORDINAL_POSITION")
	if err != nil {
		return c.src.fail(ctx, "read the columns of", cat.schema, err)
	}
	for _, r := range rs {
		t := byName[r.get("t")]
		if t == nil {
			continue
		}
		extra := strings.ToUpper(r.get("e"))
		t.columns = append(t.columns, column{
			name: r.get("c"), dataType: strings.ToLower(r.get("d")), charset: r.get("cs"), collation: r.get("co"),
			unsigned: strings.Contains(strings.ToLower(r.get("ct")), "unsigned"), nullable: r.get("n") != "NO",
			// DEFAULT_GENERATED is a default that is an expression: an ordinary column.
			generated: strings.Contains(strings.ReplaceAll(extra, "DEFAULT_GENERATED", ""), "GENERATED") || strings.Contains(extra, "PERSISTENT"),
		})
	}
	if srv.reduced {
		return c.describeReduced(ctx, cat)
	}
	if err := c.keys(ctx, cat.schema, where, byName); err != nil {
		return err
	}
	return c.partitions(ctx, cat.schema, where, byName)
}

// describeReduced finds the generated columns in the text of the tables, for servers whose information_schema does not tell. Such tables are read
// in one piece.
func (c *session) describeReduced(ctx context.Context, cat *catalog) error {
	for _, t := range cat.tables {
		row, _, err := c.one(ctx, "SHOW CREATE TABLE "+qualified(t.schema, t.name))
		if err != nil {
			return c.src.fail(ctx, "read the definition of", t.String(), err)
		}
		def, err := sqltext.ParseTable(row.get("create table"))
		if err != nil {
			return c.src.fail(ctx, "read the definition of", t.String(), err)
		}
		for i := range t.columns {
			t.columns[i].generated = t.columns[i].generated || slices.Contains(def.Generated(), t.columns[i].name)
		}
	}
	return nil
}

// keys picks the key every table is cut by: the primary key, else the unique key over NOT NULL columns that begins with an integer
// or has the fewest columns.
func (c *session) keys(ctx context.Context, schema, where string, byName map[string]*table) error {
	rs, err := c.rows(ctx, "SELECT TABLE_NAME AS t, INDEX_NAME AS i, COLUMN_NAME AS c, SUB_PART AS p FROM information_schema.STATISTICS"+
		where+" AND NON_UNIQUE=0 ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX")
	if err != nil {
		return c.src.fail(ctx, "read the keys of", schema, err)
	}
	for len(rs) > 0 {
		n := 1
		for n < len(rs) && rs[n].get("t") == rs[0].get("t") && rs[n].get("i") == rs[0].get("i") {
			n++
		}
		if t := byName[rs[0].get("t")]; t != nil {
			t.offerKey(rs[0].get("i"), rs[:n])
		}
		rs = rs[n:]
	}
	return nil
}

func (t *table) offerKey(name string, parts []row) {
	var key []column
	for _, p := range parts {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == p.get("c") })
		if i < 0 || t.columns[i].nullable || p.has("p") && p.get("p") != "" && p.get("p") != "0" {
			return
		}
		key = append(key, t.columns[i])
	}
	better := func() bool {
		switch {
		case t.key == nil || name == "PRIMARY":
			return true
		case t.keyName == "PRIMARY":
			return false
		case key[0].integer() != t.key[0].integer():
			return key[0].integer()
		}
		return len(key) < len(t.key)
	}
	if len(key) > 0 && better() {
		t.key, t.keyName = key, name
	}
}

func (c *session) partitions(ctx context.Context, schema, where string, byName map[string]*table) error {
	rs, err := c.rows(ctx, "SELECT TABLE_NAME AS t, PARTITION_NAME AS p FROM information_schema.PARTITIONS"+where+
		" AND PARTITION_NAME IS NOT NULL GROUP BY TABLE_NAME, PARTITION_NAME, PARTITION_ORDINAL_POSITION ORDER BY TABLE_NAME, PARTITION_ORDINAL_POSITION")
	if err != nil {
		if denied(err) {
			return nil // a table is read as one then
		}
		return c.src.fail(ctx, "read the partitions of", schema, err)
	}
	for _, r := range rs {
		if t := byName[r.get("t")]; t != nil {
			t.partitions = append(t.partitions, r.get("p"))
		}
	}
	return nil
}

// selectList is the columns of a chunk as SQL.
func (t *table) selectList() string {
	var list []string
	for _, c := range t.entry.Columns {
		q := quote(c.Name)
		switch {
		case c.Type == floatColumn:
			q += "+0e0"
		case c.cast != "":
			q = "CAST(" + q + " AS " + c.cast + ")"
		}
		list = append(list, q)
	}
	if len(list) == 0 {
		// Nothing but generated columns: the rows are counted by a column of NULLs.
		return "NULL"
	}
	return strings.Join(list, ",")
}

// newEntry makes the table's line in the index.
func (t *table) newEntry(f Flavour) {
	t.entry = &tableEntry{Name: t.name, Engine: t.engine, Artifact: element(t.schema) + "/" + element(t.name) + "/table.sql",
		Versioned: t.kind == "SYSTEM VERSIONED"}
	for _, c := range t.columns {
		if !c.generated {
			t.entry.Columns = append(t.entry.Columns, c.entry(f))
		}
	}
}

func (t *table) chunkName(n int) string {
	return fmt.Sprintf("%s/%s/data.%05d.tsv", element(t.schema), element(t.name), n)
}
