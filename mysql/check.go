package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Check implements backup.Checker. It changes nothing on the server and takes no lock.
func (s *Source) Check(ctx context.Context, _ backup.StageDir) []backup.Finding {
	c, err := s.open(ctx, readSettings())
	if err != nil {
		return []backup.Finding{finding("server is reachable and takes the login", err)}
	}
	defer c.close()
	srv, err := probe(ctx, c)
	if err != nil {
		return []backup.Finding{finding("server tells its version", err)}
	}
	out := []backup.Finding{{What: fmt.Sprintf("server is reachable: %s %s", srv.flavour, srv.version)}}
	var missing error
	if m := s.filter.missing(srv.userSchemas()); len(m) > 0 {
		missing = fmt.Errorf("no schema %s on the server", strings.Join(m, ", "))
	}
	out = append(out, backup.Finding{What: "schemas to back up exist", Err: missing,
		Hint: hintIf(missing, "the server has: "+strings.Join(srv.userSchemas(), ", "))})
	if srv.reduced {
		return append(out, backup.Finding{What: "reduced mode: this server has no locks, positions or accounts to offer"})
	}
	out = append(out, s.checkRights(ctx, c, srv), s.checkPosition(ctx, c, srv), s.checkLock(ctx, c, srv))
	if !srv.on("local_infile") {
		out = append(out, backup.Finding{What: "local_infile is off: a restore loads by INSERT, which takes about twice as long"})
	} else {
		out = append(out, backup.Finding{What: "local_infile is on: a restore can use LOAD DATA"})
	}
	if !s.opt.NoAccounts {
		_, err := c.rows(ctx, "SELECT User, Host FROM mysql.user LIMIT 1")
		out = append(out, soft("accounts can be read", err))
	}
	return out
}

func finding(what string, err error) backup.Finding {
	return backup.Finding{What: what, Err: err, Hint: backup.Hint(err)}
}

func hintIf(err error, hint string) string {
	if err == nil {
		return ""
	}
	return hint
}

// soft is a finding that does not stop a run: what is missing becomes a warning of the backup.
func soft(what string, err error) backup.Finding {
	if err == nil {
		return backup.Finding{What: what}
	}
	return backup.Finding{What: what + ": no, the backup will carry a warning (" + err.Error() + ")", Hint: advice(err)}
}

// grants are the global privileges of the account, in upper case, as SHOW GRANTS prints them, roles in effect included.
func (c *session) grants(ctx context.Context) ([]string, error) {
	rs, err := c.rows(ctx, "SHOW GRANTS")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, row := range rs {
		g := strings.ToUpper(row.col(0))
		privs, rest, ok := strings.Cut(strings.TrimPrefix(g, "GRANT "), " ON ")
		if !ok || !strings.HasPrefix(rest, "*.*") {
			continue
		}
		for p := range strings.SplitSeq(privs, ",") {
			all = append(all, strings.TrimSpace(p))
		}
	}
	return all, nil
}

func holds(grants []string, privs ...string) bool {
	return slices.ContainsFunc(privs, func(p string) bool {
		return slices.Contains(grants, p) || slices.Contains(grants, "ALL PRIVILEGES")
	})
}

func (s *Source) checkRights(ctx context.Context, c *session, srv *server) backup.Finding {
	grants, err := c.grants(ctx)
	if err != nil {
		return finding("rights can be read", s.fail(ctx, "read the rights on", "", err))
	}
	// Rights on single schemas may do as well, so their absence here is told, not held against the run; a run names what it cannot read.
	var lack []string
	for _, p := range []string{"SELECT", "SHOW VIEW", "TRIGGER", "EVENT"} {
		if !holds(grants, p) {
			lack = append(lack, p)
		}
	}
	if srv.atLeast(MySQL, 8, 0, 20) && !holds(grants, "SHOW_ROUTINE", "SELECT") {
		lack = append(lack, "SHOW_ROUTINE")
	}
	if len(lack) == 0 {
		return backup.Finding{What: "rights to read everything are there"}
	}
	return backup.Finding{What: "not granted globally: " + strings.Join(lack, ", "),
		Hint: "GRANT " + strings.Join(lack, ", ") + " ON *.* to the account, or make sure it has them on every schema to back up"}
}

func (s *Source) checkPosition(ctx context.Context, c *session, srv *server) backup.Finding {
	if !srv.binlog() {
		return backup.Finding{What: "binary log is off: backups are fulls without a position"}
	}
	p, err := c.place(ctx, srv)
	if err == nil && p.file == "" {
		err = errNoPosition
	}
	if err != nil {
		f := soft("position of the binary log can be read", err)
		f.Hint = "GRANT BINLOG MONITOR (MariaDB) or REPLICATION CLIENT (MySQL) ON *.* to the account"
		return f
	}
	f := backup.Finding{What: fmt.Sprintf("binary log is on, at %s:%d", p.file, p.pos)}
	if _, err := s.head(ctx, srv, p.file); err != nil {
		f.What += ", and cannot be read for log backups (" + err.Error() + ")"
		f.Hint = "GRANT REPLICATION SLAVE ON *.* to the account, if log backups are wanted"
	}
	return f
}

// checkLock tells which way to a snapshot the rights allow.
func (s *Source) checkLock(ctx context.Context, c *session, srv *server) backup.Finding {
	grants, err := c.grants(ctx)
	if err != nil {
		return finding("rights can be read", s.fail(ctx, "read the rights on", "", err))
	}
	reload := holds(grants, "RELOAD", "FLUSH_TABLES")
	for _, m := range s.modes(srv) {
		switch m {
		case LockStage, LockTables:
			if m == LockStage && !srv.atLeast(MariaDB, 10, 4, 1) {
				return finding("snapshot by "+string(m), &backup.Error{Op: "take", App: application, Err: errors.New("BACKUP STAGE needs MariaDB 10.4.1 or later"),
					Advice: "set the lock mode to auto"})
			}
			if reload {
				return backup.Finding{What: "snapshot by " + string(m) + " is allowed"}
			}
		case LockNone:
			if srv.binlog() {
				return backup.Finding{What: "snapshot by compare: no lock, which may take several tries on a busy server", Hint: "GRANT RELOAD ON *.* for a sure one"}
			}
		case LockSingle:
			return backup.Finding{What: "snapshot over a single connection", Hint: "GRANT RELOAD ON *.* to read over several"}
		}
	}
	return backup.Finding{What: "snapshot by " + string(s.opt.Lock), Err: errors.New("not possible with the account's rights and the server's settings"),
		Hint: "GRANT RELOAD ON *.* to the account, or set the lock mode to auto"}
}
