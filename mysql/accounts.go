package mysql

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql/internal/sqltext"
)

const accountsName = "accounts.sql"

// accounts writes users, roles and grants. An account that may not read them is a warning, not a failure: the data matter more.
func (r *run) accounts(ctx context.Context, c *session) error {
	q := "SELECT User AS u, Host AS h, 'N' AS r FROM mysql.user ORDER BY User, Host"
	if r.srv.flavour == MariaDB {
		q = "SELECT User AS u, Host AS h, is_role AS r FROM mysql.user ORDER BY is_role DESC, User, Host"
	}
	rs, err := c.rows(ctx, q)
	if denied(err) {
		r.warn(fmt.Sprintf("accounts are not in the backup: %v", err))
		return nil
	}
	if err != nil {
		return r.s.fail(ctx, "list the accounts of", "", err)
	}
	f := &accountsFile{Artifact: accountsName}
	var b bytes.Buffer
	b.WriteString("-- quiesce: users, roles and grants\nSET NAMES utf8mb4;\n")
	write := func(stmt string) span {
		at := span{From: int64(b.Len()), To: int64(b.Len() + len(stmt))}
		b.WriteString(stmt + ";\n")
		return at
	}
	var all []*account
	for _, row := range rs {
		a := &account{accountEntry{User: row.get("u"), Host: row.get("h"), Role: row.get("r") == "Y"}, "", nil, ""}
		if a.system() {
			continue
		}
		err := a.read(ctx, c, r.srv.flavour)
		if n := number(err); n == erNoSuchUser || n == erNoSuchGrant {
			// With skip_name_resolve the server does not know accounts whose host is a name, though they stand in its table.
			r.warn(fmt.Sprintf("account %s is not in the backup: the server does not know it (%v)", a.name(), err))
			continue
		}
		if err != nil {
			return r.s.fail(ctx, "read the grants of", a.name(), err)
		}
		all = append(all, a)
	}
	// All accounts before any grant, since a grant may name another account.
	for _, a := range all {
		a.Create = write(a.create)
	}
	for _, a := range all {
		for _, g := range a.grants {
			a.Grants = append(a.Grants, write(g))
		}
	}
	for _, a := range all {
		if a.defaults != "" {
			at := write(a.defaults)
			a.Default = &at
		}
		f.Accounts = append(f.Accounts, a.accountEntry)
	}
	if err := put(ctx, r.st, accountsName, backup.RoleSchema, b.Bytes()); err != nil {
		return r.s.fail(ctx, "stage", accountsName, err)
	}
	r.idx.Accounts = f
	return nil
}

// account is one being read.
type account struct {
	accountEntry
	create   string
	grants   []string
	defaults string
}

// system reports whether the server makes the account itself.
func (a accountEntry) system() bool {
	switch a.User {
	case "mysql.sys", "mysql.session", "mysql.infoschema", "mariadb.sys", "rdsadmin", "azure_superuser", "cloudsqladmin":
		return true
	}
	return a.Role && strings.EqualFold(a.User, "PUBLIC")
}

// name is the account as SQL.
func (a accountEntry) name() string {
	if a.Role && a.Host == "" {
		return quote(a.User)
	}
	return quote(a.User) + "@" + quote(a.Host)
}

func (a *account) read(ctx context.Context, c *session, f Flavour) error {
	if a.Role {
		a.create = "CREATE ROLE " + a.name()
	} else {
		s, err := c.text(ctx, "SHOW CREATE USER "+a.name())
		if err != nil {
			return err
		}
		create, roles := sqltext.DefaultRole(s)
		a.create = create
		if roles != "" {
			a.defaults = "ALTER USER " + a.name() + " DEFAULT ROLE " + roles
		}
	}
	rs, err := c.rows(ctx, "SHOW GRANTS FOR "+a.name())
	if err != nil {
		return err
	}
	for _, row := range rs {
		g := row.col(0)
		switch {
		case strings.HasPrefix(g, "SET DEFAULT ROLE"):
			a.defaults = g
		case f == MariaDB:
			a.grants = append(a.grants, sqltext.GrantOnly(g))
		default:
			a.grants = append(a.grants, g)
		}
	}
	return nil
}
