package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Flavour is the family a server belongs to. DDL of one is not loadable by the other in general.
type Flavour string

// The two families.
const (
	MariaDB Flavour = "mariadb"
	MySQL   Flavour = "mysql"
)

// server is what was learned about a server by asking it.
type server struct {
	flavour Flavour
	version string
	comment string
	num     [3]int
	vars    map[string]string
	schemas []string // all, system schemas too
	// reduced: it speaks the protocol but lacks what every MySQL 8 has; the embedded go-mysql-server is such a one. Locks, LOAD DATA and
	// accounts are not tried there.
	reduced bool
	// encrypted: the connection is.
	encrypted bool
}

func probe(ctx context.Context, c *session) (*server, error) {
	r, ok, err := c.one(ctx, "SELECT VERSION() AS v, @@version_comment AS c")
	if err != nil {
		return nil, c.src.fail(ctx, "ask for the version of", "", err)
	}
	if !ok {
		return nil, c.src.fail(ctx, "ask for the version of", "", fmt.Errorf("no answer"))
	}
	srv := &server{flavour: MySQL, version: strings.TrimPrefix(r.get("v"), "5.5.5-"), comment: r.get("c"), vars: map[string]string{}}
	if strings.Contains(strings.ToLower(srv.version+srv.comment), "mariadb") {
		srv.flavour = MariaDB
	}
	srv.num = parseVersion(srv.version)
	rs, err := c.rows(ctx, "SHOW GLOBAL VARIABLES")
	if err != nil {
		return nil, c.src.fail(ctx, "read the variables of", "", err)
	}
	for _, r := range rs {
		srv.vars[strings.ToLower(r.col(0))] = r.col(1)
	}
	if rs, err = c.rows(ctx, "SHOW DATABASES"); err != nil {
		return nil, c.src.fail(ctx, "list the schemas of", "", err)
	}
	for _, r := range rs {
		srv.schemas = append(srv.schemas, r.col(0))
	}
	slices.Sort(srv.schemas)
	if r, ok, err := c.one(ctx, "SHOW STATUS LIKE 'Ssl_cipher'"); err == nil && ok {
		srv.encrypted = r.col(1) != ""
	}
	// performance_schema is listed for every account on every MySQL and MariaDB, even when it is switched off.
	srv.reduced = !slices.ContainsFunc(srv.schemas, func(s string) bool { return strings.EqualFold(s, "performance_schema") })
	return srv, nil
}

func parseVersion(v string) (n [3]int) {
	for i, p := range strings.SplitN(v, ".", 3) {
		end := 0
		for end < len(p) && p[end] >= '0' && p[end] <= '9' {
			end++
		}
		n[i], _ = strconv.Atoi(p[:end])
	}
	return n
}

// atLeast compares versions within the flavour.
func (srv *server) atLeast(f Flavour, major, minor, patch int) bool {
	return srv.flavour == f && slices.Compare(srv.num[:], []int{major, minor, patch}) >= 0
}

func (srv *server) on(name string) bool {
	v := strings.ToUpper(srv.vars[name])
	return v == "ON" || v == "1"
}

func (srv *server) binlog() bool { return !srv.reduced && srv.on("log_bin") }

// folds reports whether names of schemas and tables compare without regard to case.
func (srv *server) folds() bool {
	v := srv.vars["lower_case_table_names"]
	return v == "1" || v == "2"
}

// userSchemas are those a user made.
func (srv *server) userSchemas() []string {
	var out []string
	for _, s := range srv.schemas {
		switch strings.ToLower(s) {
		case "information_schema", "performance_schema", "mysql", "sys", "ndbinfo":
		default:
			out = append(out, s)
		}
	}
	return out
}
