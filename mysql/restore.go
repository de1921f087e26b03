package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Restore implements backup.Restorer: it makes the selected schemas again on the server of s, which must be of the backup's flavour.
//
// Nothing selected, or the item itself, means every schema and the accounts. A selected schema may get another name; the names inside it
// are rewritten where the server itself wrote them, and a restore is refused where a text that somebody typed cannot be rewritten without doubt.
//
// What exists under the name of something to restore makes it refuse with backup.ErrExists; with Overwrite it is dropped first.
// Objects that the backup does not hold are left alone. Accounts that exist are changed only with Overwrite, and
// the one that runs the restore never. A restore that fails leaves what it had made so far; run it again with Overwrite.
//
// Binary log follows the full up to the moment asked for: on MySQL to the microsecond; on MariaDB a transaction counts as committed at the end of its second. A schema that is restored with it keeps its name.
//
// Options: "stop_at_gtid" and "stop_before_gtid" end the replay behind a transaction, or before it; "definer" keep (default) or current, which makes the restoring account the definer of everything; "binlog" on (default)
// or off, which keeps the restore out of the server's binary log; "accounts" yes (default) or no.
func (s *Source) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	var re *restoring
	var log *replaying
	defer func() { log.close() }()
	for _, step := range set.Steps() {
		m := stepMaterial{set, step}
		err := error(nil)
		switch {
		case step.Item.Kind != backup.Log:
			re, err = s.restore(ctx, r, m, logSteps(set))
		case re == nil:
			err = fmt.Errorf("binary log without a full before it: %w", backup.ErrRefused)
		default:
			if log == nil {
				log, err = re.replay(ctx)
			}
			if err == nil {
				err = log.step(ctx, m, step)
			}
		}
		if err != nil {
			return s.restoreFailed(ctx, step.ID, err)
		}
	}
	if log == nil {
		return nil
	}
	return s.restoreFailed(ctx, "", log.finish(ctx))
}

func (s *Source) restoreFailed(ctx context.Context, id backup.ID, err error) error {
	var e *backup.Error
	if err = because(ctx, err); err == nil || errors.As(err, &e) {
		return err
	}
	return &backup.Error{Op: "restore", App: application, Instance: s.instance, ID: id, Err: err}
}

// logStep is binary log of a set.
type logStep struct {
	material
	step *backup.RestoreStep
}

// logSteps is the binary log of a set, in its order.
func logSteps(set *backup.RestoreSet) (all []logStep) {
	for _, step := range set.Steps() {
		if step.Item.Kind == backup.Log {
			all = append(all, logStep{stepMaterial{set, step}, step})
		}
	}
	return all
}

// restoring is one restore in progress.
type restoring struct {
	s   *Source
	m   material
	log *slog.Logger
	srv *server
	idx *index
	req backup.RestoreRequest

	targets    []*target
	accounts   bool
	definer    bool // make ourselves the definer
	noBinlog   bool
	infile     bool      // LOAD DATA LOCAL works
	everything bool      // nothing is selected
	logs       []logStep // what follows the full
	stop       stop      // where the replay of it ends
}

// target is one schema on its way back.
type target struct {
	entry  *schemaEntry
	as     string
	exists bool
	create string
	tables []*tableTarget
	objs   []*objectTarget
	drops  []string // statements that remove what is in the way
}

type objectTarget struct {
	*objectEntry
	in     *target
	create string
}

func (s *Source) restore(ctx context.Context, req backup.RestoreRequest, m material, logs []logStep) (_ *restoring, err error) {
	defer func() { err = because(ctx, err) }()
	r := &restoring{s: s, m: m, log: req.Log, req: req, logs: logs}
	if err := r.options(); err != nil {
		return nil, err
	}
	if r.idx, err = loadIndex(ctx, m); err != nil {
		return nil, err
	}
	r.m = checked{m, r.idx.Artifacts}
	if err := r.choose(); err != nil {
		return nil, err
	}
	c, err := s.open(ctx, restoreSettings("utf8mb4", r.noBinlog))
	if err != nil {
		return nil, err
	}
	defer c.close()
	if r.srv, err = probe(ctx, c); err != nil {
		return nil, err
	}
	if err := r.compatible(); err != nil {
		return nil, err
	}
	if err := r.conflicts(ctx, c); err != nil {
		return nil, err
	}
	if err := r.definitions(ctx); err != nil {
		return nil, err
	}
	if err := r.findStop(ctx); err != nil {
		return nil, err
	}
	// From here on the server is changed.
	return r, r.run(ctx, c)
}

// restoreSettings is the state of a session that writes. Checks are off because the source had accepted the data; only what would
// change values is on.
func restoreSettings(charset string, noBinlog bool) []string {
	set := []string{
		"SET NAMES " + charset,
		"SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'",
		"SET SESSION time_zone='+00:00'",
		"SET SESSION foreign_key_checks=0",
		"?SET SESSION check_constraint_checks=0",            // MariaDB
		"?SET SESSION sql_generate_invisible_primary_key=0", // MySQL 8.0.30
		"?SET SESSION restrict_fk_on_non_standard_key=0",    // MySQL 8.4
		"?SET SESSION explicit_defaults_for_timestamp=1",
		"?SET SESSION wait_timeout=86400",
		"?SET SESSION net_read_timeout=1800",
		"?SET SESSION net_write_timeout=1800",
		"?SET SESSION max_statement_time=0",
		"?SET SESSION innodb_lock_wait_timeout=3600",
	}
	if noBinlog {
		set = append(set, "SET SESSION sql_log_bin=0")
	}
	return set
}

func (r *restoring) options() error {
	bad := func(k, v, want string) error {
		return fmt.Errorf("restore option %s=%q: want %s: %w", k, v, want, backup.ErrOption)
	}
	r.accounts = !r.s.opt.NoAccounts
	for k, v := range r.req.Options {
		switch k {
		case "definer":
			if v != "keep" && v != "current" {
				return bad(k, v, "keep or current")
			}
			r.definer = v == "current"
		case "binlog":
			if v != "on" && v != "off" {
				return bad(k, v, "on or off")
			}
			r.noBinlog = v == "off"
		case "accounts":
			if v != "yes" && v != "no" {
				return bad(k, v, "yes or no")
			}
			r.accounts = r.accounts && v == "yes"
		case "stop_at_gtid", "stop_before_gtid":
			if r.stop.gtid != "" || strings.ContainsAny(v, ", \n") || v == "" || !r.req.Target.Time.IsZero() || r.req.Target.Position != "" {
				return bad(k, v, "the GTID of one transaction, and no other place to stop at")
			}
			r.stop.gtid, r.stop.before = v, k == "stop_before_gtid"
		default:
			return fmt.Errorf("unknown restore option %q: this agent knows accounts, binlog, definer, stop_at_gtid and stop_before_gtid: %w", k, backup.ErrOption)
		}
	}
	return nil
}

// choose turns the selection into targets.
func (r *restoring) choose() error {
	sel := r.req.Target.Select
	all := len(sel) == 0
	for _, x := range sel {
		if x.Name != ItemName {
			continue
		}
		if x.As != "" && x.As != ItemName {
			return fmt.Errorf("restore %q as %q: only a schema can get another name: %w", x.Name, x.As, backup.ErrRefused)
		}
		all = true
	}
	if r.everything = all; all {
		for i := range r.idx.Schemas {
			r.targets = append(r.targets, &target{entry: &r.idx.Schemas[i], as: r.idx.Schemas[i].Name})
		}
		return nil
	}
	// Accounts belong to the server, not to a schema.
	r.accounts = false
	taken := map[string]bool{}
	for _, x := range sel {
		e := r.idx.schema(x.Name)
		if e == nil {
			var have []string
			for _, s := range r.idx.Schemas {
				have = append(have, s.Name)
			}
			return &backup.Error{Op: "restore", App: application, Instance: r.s.instance, Artifact: "schema " + x.Name, Err: backup.ErrNoBackup,
				Advice: "the backup holds: " + some(have)}
		}
		t := &target{entry: e, as: x.As}
		if t.as == "" {
			t.as = x.Name
		}
		if taken[t.as] {
			return fmt.Errorf("two schemas are to be restored as %q: %w", t.as, backup.ErrRefused)
		}
		taken[t.as] = true
		r.targets = append(r.targets, t)
	}
	return nil
}

func (r *restoring) compatible() error {
	from := r.idx.Server
	switch {
	case r.srv.reduced:
		r.log.Warn("the server lacks what every MySQL has; restoring by INSERT", "version", r.srv.version)
	case from.Flavour != r.srv.flavour:
		return &backup.Error{Op: "restore into", App: application, Instance: r.s.instance,
			Err:    fmt.Errorf("the backup is of %s %s, the server is %s %s: %w", from.Flavour, from.Version, r.srv.flavour, r.srv.version, backup.ErrRefused),
			Advice: "restore into a server of the same kind; definitions of one are not loadable by the other in general"}
	}
	if old := parseVersion(from.Version); slices.Compare(r.srv.num[:2], old[:2]) < 0 {
		r.log.Warn("the server is older than the one the backup is of", "server", r.srv.version, "backup", from.Version)
	}
	for _, t := range r.targets {
		if len(t.as) == 0 || len([]rune(t.as)) > 64 || strings.HasSuffix(t.as, " ") {
			return fmt.Errorf("restore %q as %q: not a name for a schema: %w", t.entry.Name, t.as, backup.ErrRefused)
		}
	}
	return nil
}

// run changes the server. The order is forced: rows before triggers, which would fire; indexes after rows, which is faster; functions before views that call them;
// accounts before objects that name them.
func (r *restoring) run(ctx context.Context, c *session) error {
	var acc *accountsRestore
	if r.accounts && r.idx.Accounts != nil && !r.srv.reduced {
		var err error
		if acc, err = r.readAccounts(ctx); err != nil {
			return err
		}
		if err := acc.create(ctx, c); err != nil {
			return err
		}
	}
	grant := func(ctx context.Context, c *session) error {
		if acc != nil {
			acc.grant(ctx, c, false)
		}
		return nil
	}
	for _, step := range []func(context.Context, *session) error{
		r.clear, r.makeSchemas, grant, r.makeSequences, r.makeTables, r.load, r.makeForeignKeys,
		r.makeRoutines, grant, r.makeViews, r.makeTriggers, r.makeEvents,
	} {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := step(ctx, c); err != nil {
			return err
		}
	}
	if acc != nil {
		acc.grant(ctx, c, true)
	}
	r.log.Info("restored", "schemas", len(r.targets), "rows", r.rows())
	return context.Cause(ctx)
}

func (r *restoring) rows() (n int64) {
	for _, t := range r.targets {
		for _, tab := range t.entry.Tables {
			n += tab.Rows
		}
	}
	return n
}
