package mysql

import (
	"bytes"
	"fmt"
	"strings"
)

// script is an .sql artifact: one CREATE statement, with all a stock client needs around it to restore it by hand.
type script struct {
	what   string // "trigger `shop`.`t`", for the comment on top
	use    string // schema to USE; "" for none
	set    settings
	create string
	body   bool   // the statement may hold semicolons
	after  string // further statements or comments
}

// build returns the artifact and where the statement lies in it.
func (s script) build() ([]byte, span) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "-- quiesce: %s\nSET NAMES utf8mb4;\n", oneLine(s.what))
	if s.use != "" {
		fmt.Fprintf(&b, "USE %s;\n", quote(s.use))
	}
	fmt.Fprintf(&b, "SET SESSION sql_mode=%s, foreign_key_checks=0;\n", literal(s.set.SQLMode))
	if s.set.TimeZone != "" {
		fmt.Fprintf(&b, "SET SESSION time_zone=%s;\n", literal(s.set.TimeZone))
	}
	for _, q := range s.set.charsets() {
		b.WriteString(q + ";\n")
	}
	end := ";"
	if s.body {
		end = s.delimiter()
		fmt.Fprintf(&b, "DELIMITER %s\n", end)
	}
	at := span{From: int64(b.Len()), To: int64(b.Len() + len(s.create))}
	fmt.Fprintf(&b, "%s%s\n", s.create, end)
	if s.body {
		b.WriteString("DELIMITER ;\n")
	}
	b.WriteString(s.after)
	return b.Bytes(), at
}

// charsets are the statements that make the server read a stored text in the charset it was written in.
func (s settings) charsets() []string {
	if s.Charset == "" {
		return nil
	}
	q := []string{"SET SESSION character_set_client=" + s.Charset}
	if s.Collation != "" {
		q = append(q, "SET SESSION collation_connection="+s.Collation)
	}
	return q
}

// delimiter finds one that the statement does not hold.
func (s script) delimiter() string {
	for d := ";;"; ; d += ";" {
		if !strings.Contains(s.create, d) && !strings.HasSuffix(s.create, ";") {
			return d
		}
		if e := strings.ReplaceAll(d, ";", "$"); !strings.Contains(s.create, e) {
			return e
		}
	}
}

// oneLine keeps a name in a comment from ending the comment.
func oneLine(s string) string { return strings.NewReplacer("\n", "?", "\r", "?").Replace(s) }

// loadHint tells a human how the table's chunks are loaded.
func loadHint(schema string, t *tableEntry) string {
	return "-- then, for every data.*.tsv beside this file:\n-- SET NAMES binary;\n-- " +
		oneLine(loadStatement("data.00001.tsv", qualified(schema, t.Name), t.Columns)) + ";\n"
}

// loadStatement is the LOAD DATA for a chunk.
func loadStatement(file, target string, cols []columnEntry) string {
	var list, set []string
	for i, c := range cols {
		if c.Type != jsonColumn {
			list = append(list, quote(c.Name))
			continue
		}
		// MySQL refuses to make JSON of text without a charset (error 3144).
		v := fmt.Sprintf("@v%d", i)
		list = append(list, v)
		set = append(set, fmt.Sprintf("%s=CONVERT(%s USING utf8mb4)", quote(c.Name), v))
	}
	q := "LOAD DATA LOCAL INFILE " + literal(file) + " INTO TABLE " + target + " CHARACTER SET binary" +
		` FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' (` + strings.Join(list, ",") + ")"
	if len(set) > 0 {
		q += " SET " + strings.Join(set, ", ")
	}
	return q
}
