package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// accountsRestore brings users, roles and grants back: accounts first, because objects name them as definers; grants as soon as
// what they name is there.
type accountsRestore struct {
	r    *restoring
	list []accountBack
	me   string
}

type accountBack struct {
	accountEntry
	stmt     string
	grants   []string
	defaults string
	skip     bool
}

func (r *restoring) readAccounts(ctx context.Context) (*accountsRestore, error) {
	f := r.idx.Accounts
	b, err := get(ctx, r.m, f.Artifact)
	if err != nil {
		return nil, err
	}
	a := &accountsRestore{r: r}
	for _, e := range f.Accounts {
		back := accountBack{accountEntry: e}
		if back.stmt, err = e.Create.in(f.Artifact, b); err != nil {
			return nil, err
		}
		for _, g := range e.Grants {
			s, err := g.in(f.Artifact, b)
			if err != nil {
				return nil, err
			}
			back.grants = append(back.grants, s)
		}
		if e.Default != nil {
			if back.defaults, err = e.Default.in(f.Artifact, b); err != nil {
				return nil, err
			}
		}
		a.list = append(a.list, back)
	}
	return a, nil
}

// create makes the accounts. One that exists stays as it is unless overwriting is allowed.
func (a *accountsRestore) create(ctx context.Context, c *session) error {
	me, err := c.text(ctx, "SELECT CURRENT_USER()")
	if err != nil {
		return a.r.s.fail(ctx, "ask who we are on", "", err)
	}
	a.me = me
	have := map[string]bool{}
	rs, err := c.rows(ctx, "SELECT User AS u, Host AS h FROM mysql.user")
	if denied(err) {
		return fmt.Errorf("accounts cannot be restored (pass the restore option accounts=no to leave them out): %w", err)
	}
	if err != nil {
		return a.r.s.fail(ctx, "list the accounts of", "", err)
	}
	for _, row := range rs {
		have[row.get("u")+"@"+row.get("h")] = true
	}
	for i := range a.list {
		x := &a.list[i]
		id := x.User + "@" + x.Host
		exists := have[id]
		switch {
		case id == a.me, exists && !a.r.req.Overwrite:
			a.r.log.Info("account exists and stays as it is", "account", x.name())
			x.skip = true
			continue
		case exists && x.Role:
			continue
		}
		q := x.stmt
		if exists {
			a.forgetHeld(ctx, c, x)
			q = "ALTER USER " + strings.TrimPrefix(q, "CREATE USER ")
		}
		if err := c.exec(ctx, q); err != nil {
			return a.r.s.fail(ctx, "create", "account "+x.name(), err)
		}
	}
	return nil
}

// forgetHeld leaves out the grants that an account has already: MariaDB 10.11 keeps a PROXY grant twice when it is given twice.
func (a *accountsRestore) forgetHeld(ctx context.Context, c *session, x *accountBack) {
	now := account{accountEntry: x.accountEntry}
	if err := now.read(ctx, c, a.r.srv.flavour); err != nil {
		return // to give all of them is right as well
	}
	x.grants = slices.DeleteFunc(x.grants, func(g string) bool { return slices.Contains(now.grants, g) })
}

// grant gives back the rights that can be given by now and keeps the others for the next call: a grant on everything or a schema needs
// nothing, one on a table needs the table, and a view can be made only when its definer has the rights it uses. On the last call a grant for
// something that is not there, because it was left out of the backup, is a warning.
func (a *accountsRestore) grant(ctx context.Context, c *session, last bool) {
	for i := range a.list {
		x := &a.list[i]
		if x.skip {
			continue
		}
		var later []string
		for _, q := range x.grants {
			err := c.exec(ctx, q)
			if err == nil {
				continue
			}
			later = append(later, q)
			if last {
				a.r.log.Warn("a grant could not be given", "account", x.name(), "statement", q, "err", err)
			}
		}
		x.grants = later
	}
	if !last {
		return
	}
	for _, x := range a.list {
		if x.skip || x.defaults == "" {
			continue
		}
		if err := c.exec(ctx, x.defaults); err != nil {
			a.r.log.Warn("default roles could not be set", "account", x.name(), "err", err)
		}
	}
}
