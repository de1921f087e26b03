package sqltext

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const trap = "CREATE TABLE `t``x` (\n  `KEY` int(11) NOT NULL DEFAULT 1 COMMENT 'a, ) KEY `',\n" +
	"  `id` int(11) NOT NULL AUTO_INCREMENT,\n  `e` enum('a,b',')','\\'') DEFAULT NULL,\n  `j` longtext CHECK (json_valid(`j`)),\n" +
	"  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`KEY`,`e`),\n  KEY `k,1` (`e`(10)) COMMENT ',',\n  FULLTEXT KEY `f1` (`j`),\n" +
	"  FULLTEXT KEY `f2` (`j`),\n  SPATIAL KEY `sp` (`g`),\n  KEY `fn` ((cast(`j` as char(5)))) /*!80000 INVISIBLE */,\n" +
	"  CONSTRAINT `fk (` FOREIGN KEY (`KEY`) REFERENCES `o` (`a`, `b`) ON DELETE CASCADE,\n  CONSTRAINT `ck` CHECK (`KEY` <> ',')\n" +
	") ENGINE=InnoDB AUTO_INCREMENT=5 DEFAULT CHARSET=utf8mb4 COMMENT='x (,'\n/*!50100 PARTITION BY RANGE (`id`)\n(PARTITION p0 VALUES LESS THAN (5)) */"

func TestParseTable(t *testing.T) {
	t.Parallel()
	tab, err := ParseTable(trap)
	require.NoError(t, err)
	bare := tab.Create(true)
	for _, gone := range []string{"UNIQUE KEY", "`k,1`", "FULLTEXT", "`fn`", "FOREIGN"} {
		assert.NotContains(t, bare, gone)
	}
	for _, kept := range []string{"'a, ) KEY `'", "PRIMARY KEY (`id`)", "SPATIAL KEY `sp`", "`ck` CHECK", "PARTITION p0", "COMMENT='x (,'"} {
		assert.Contains(t, bare, kept)
	}
	assert.Equal(t, []string{
		"ADD UNIQUE KEY `u` (`KEY`,`e`), ADD KEY `k,1` (`e`(10)) COMMENT ',', ADD KEY `fn` ((cast(`j` as char(5)))) /*!80000 INVISIBLE */",
		"ADD FULLTEXT KEY `f1` (`j`)", "ADD FULLTEXT KEY `f2` (`j`)",
	}, tab.Indexes())
	assert.Equal(t, "ADD CONSTRAINT `fk (` FOREIGN KEY (`KEY`) REFERENCES `o` (`a`, `b`) ON DELETE CASCADE", tab.ForeignKeys())

	whole := tab.Create(false)
	assert.Equal(t, strings.Replace(trap, "  CONSTRAINT `fk (` FOREIGN KEY (`KEY`) REFERENCES `o` (`a`, `b`) ON DELETE CASCADE,\n", "", 1), whole,
		"nothing but the foreign key may change")
}

func TestParseTableKeepsWhatAutoIncrementNeeds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		want []string
	}{
		"no primary key": {"CREATE TABLE `t` (`a` int AUTO_INCREMENT, `b` int, KEY `a` (`a`), KEY `b` (`b`), UNIQUE KEY `u` (`b`))", []string{"ADD KEY `b` (`b`)"}},
		"not first in the primary key": {"CREATE TABLE `t` (`a` int AUTO_INCREMENT, `b` int, PRIMARY KEY (`b`,`a`), KEY `a` (`a`), KEY `b` (`b`))",
			[]string{"ADD KEY `b` (`b`)"}},
		"primary key": {"CREATE TABLE `t` (`a` int AUTO_INCREMENT, `b` int, PRIMARY KEY (`a`), KEY `ab` (`a`,`b`))", []string{"ADD KEY `ab` (`a`,`b`)"}},
	} {
		tab, err := ParseTable(c.sql)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, tab.Indexes(), name)
	}
	tab, err := ParseTable("CREATE TABLE `t` (`a` int DEFAULT 1, `g` int GENERATED ALWAYS AS (`a`) STORED, `GENERATED` int)")
	require.NoError(t, err)
	assert.Equal(t, []string{"g"}, tab.Generated())
	for _, bad := range []string{"", "CREATE TABLE `x`", "CREATE TABLE `x` (`a` int, KEY (`a`", "SELECT (1)"} {
		_, err := ParseTable(bad)
		require.Error(t, err, bad)
	}
}

func TestRename(t *testing.T) {
	t.Parallel()
	r := Rename{Old: "zoo", New: "a`r,k"}
	assert.Equal(t, "CREATE TABLE `t` (`zoo` int DEFAULT nextval(`a``r,k`.`s`), CHECK (`zoo` <> '`zoo`.`x`'), FOREIGN KEY (`a`) REFERENCES `a``r,k`.`b` (`c`))",
		r.Table("CREATE TABLE `t` (`zoo` int DEFAULT nextval(`zoo`.`s`), CHECK (`zoo` <> '`zoo`.`x`'), FOREIGN KEY (`a`) REFERENCES `zoo`.`b` (`c`))"))
	for _, c := range []struct{ name, in, want string }{
		{"short form: columns of a table called like the schema", "CREATE VIEW `v` AS select `zoo`.`id` AS `id`,`zoo`.`f1`(`zoo`.`id`) AS `z` from `zoo`",
			"CREATE VIEW `v` AS select `zoo`.`id` AS `id`,`a``r,k`.`f1`(`zoo`.`id`) AS `z` from `zoo`"},
		{"full form", "CREATE VIEW `v` AS select `zoo`.`zoo`.`id` AS `zoo` from (`zoo`.`zoo` join `o`.`zoo` `zz` on(`zz`.`id` = `zoo`.`zoo`.`id`))",
			"CREATE VIEW `v` AS select `a``r,k`.`zoo`.`id` AS `zoo` from (`a``r,k`.`zoo` join `o`.`zoo` `zz` on(`zz`.`id` = `a``r,k`.`zoo`.`id`))"},
		{"a FROM that is none", "CREATE VIEW `v` AS select extract(year from `zoo`.`d`) AS `y` from `zoo`",
			"CREATE VIEW `v` AS select extract(year from `zoo`.`d`) AS `y` from `zoo`"},
	} {
		got, err := r.View(c.in)
		require.NoError(t, err, c.name)
		assert.Equal(t, c.want, got, c.name)
	}
	_, err := r.View("CREATE VIEW `v` AS select `zoo`.`id` AS `id` from `zoo`.`ai` `zoo` join `o`.`p`")
	var amb *AmbiguousError
	require.ErrorAs(t, err, &amb, "an alias called like the schema")
}

func TestRenameBody(t *testing.T) {
	t.Parallel()
	r := Rename{Old: "zoo", New: "ark"}
	for _, c := range []struct{ in, want string }{
		{"CREATE TRIGGER zoo.t AFTER INSERT ON zoo.ai FOR EACH ROW INSERT INTO `zoo`.x SELECT a FROM zoo . y, zoo.z -- zoo.c\n WHERE s='zoo.q'",
			"CREATE TRIGGER `ark`.t AFTER INSERT ON `ark`.ai FOR EACH ROW INSERT INTO `ark`.x SELECT a FROM `ark` . y, `ark`.z -- zoo.c\n WHERE s='zoo.q'"},
		{"CREATE PROCEDURE p() BEGIN SELECT zoo FROM t WHERE NEW.zoo = zoo.t.c AND zoo.f(1); UPDATE zoo.t SET a=1; END",
			"CREATE PROCEDURE p() BEGIN SELECT zoo FROM t WHERE NEW.zoo = `ark`.t.c AND `ark`.f(1); UPDATE `ark`.t SET a=1; END"},
	} {
		got, err := r.Body(c.in, Mode{})
		require.NoError(t, err)
		assert.Equal(t, c.want, got)
	}
	var amb *AmbiguousError
	_, err := r.Body("CREATE PROCEDURE p() SELECT zoo.a FROM t zoo", Mode{})
	require.ErrorAs(t, err, &amb)
	_, err = Rename{Old: "zoo", New: "ark", Clash: true}.Body("CREATE PROCEDURE p() SELECT 1 FROM t, zoo.a", Mode{})
	require.ErrorAs(t, err, &amb)
	assert.Contains(t, amb.Error(), "zoo")
	assert.True(t, r.InStrings("PREPARE s FROM 'SELECT * FROM zoo.t'", Mode{}))
	assert.False(t, r.InStrings("SELECT 'zoo', zoo.t", Mode{}))
}

func TestClauses(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS select 1",
		DropDefiner("CREATE ALGORITHM=UNDEFINED DEFINER=`a``@`@`%` SQL SECURITY DEFINER VIEW `v` AS select 1", Mode{}))
	assert.Equal(t, `CREATE PACKAGE "p" as x; end`, DropDefiner(`CREATE DEFINER="root"@"localhost" PACKAGE "p" as x; end`, Mode{AnsiQuotes: true}))
	assert.Equal(t, "CREATE VIEW `v` AS select 'DEFINER=x'", DropDefiner("CREATE VIEW `v` AS select 'DEFINER=x'", Mode{}))
	assert.Equal(t, "GRANT USAGE ON *.* TO `u`@`%`", GrantOnly("GRANT USAGE ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*6' REQUIRE SSL WITH MAX_USER_CONNECTIONS 5"))
	assert.Equal(t, "GRANT ALL ON *.* TO `u`@`%` WITH GRANT OPTION", GrantOnly("GRANT ALL ON *.* TO `u`@`%` IDENTIFIED VIA x USING '' WITH GRANT OPTION MAX_USER_CONNECTIONS 5"))
	assert.Equal(t, "GRANT `r` TO `u`@`%` WITH ADMIN OPTION", GrantOnly("GRANT `r` TO `u`@`%` WITH ADMIN OPTION"))
	c, r := DefaultRole("CREATE USER `u`@`%` IDENTIFIED WITH 'x' AS 'DEFAULT ROLE' DEFAULT ROLE `a`@`%`,`b`@`%` REQUIRE NONE")
	assert.Equal(t, "CREATE USER `u`@`%` IDENTIFIED WITH 'x' AS 'DEFAULT ROLE' REQUIRE NONE", c)
	assert.Equal(t, "`a`@`%`,`b`@`%`", r)
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{trap, "a'b", "/*", "`", "-- x", "\"\\\"\"", "/*!50000 x */ #"} {
		f.Add(s, true, false)
	}
	f.Fuzz(func(t *testing.T, s string, ansi, noback bool) {
		at := 0
		for _, tok := range Scan(s, Mode{ansi, noback}) {
			if tok.From < at || tok.To <= tok.From || tok.To > len(s) || tok.Text() != s[tok.From:tok.To] {
				t.Fatalf("token %+v out of order in %q", tok, s)
			}
			tok.Name()
			at = tok.To
		}
		ParseTable(s)
		Rename{Old: "a", New: "b"}.Body(s, Mode{ansi, noback})
		Rename{Old: "a", New: "b"}.View(s)
		DropDefiner(s, Mode{ansi, noback})
		GrantOnly(s)
		DefaultRole(s)
	})
}
