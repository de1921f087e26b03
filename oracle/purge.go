package oracle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// purge removes archived logs from the server's machine once the backup that holds them is durable.
type purge struct {
	s   *Source
	job string
	inv *Inventory
	log *slog.Logger
}

// Commit implements backup.Pending. It asks the server again which destinations have a log, since much may have happened meanwhile, and removes the files of a log when it is at all that are required.
// A log beyond the end of the backup stays: the next one begins with it.
func (p *purge) Commit(ctx context.Context, _ *backup.Manifest) error {
	end := p.inv.Backup.End
	var now []ArchivedLog
	var required []int
	err := p.s.with(ctx, func(c *session) (err error) {
		fresh := &Inventory{}
		if err := c.askNames(ctx, fresh); err != nil {
			return err
		}
		required = p.s.required(fresh.Destinations)
		now, err = c.logs(ctx, p.inv.ResetlogsSCN, p.inv.Backup.From)
		return err
	})
	if err != nil {
		return p.s.fail(ctx, "purge archived logs of", "", err)
	}
	f := p.s.files(p.job)
	var errs []error
	var commands strings.Builder
	for _, l := range p.inv.Backup.Logs {
		at := slices.IndexFunc(now, func(n ArchivedLog) bool {
			return n.Thread == l.Thread && n.Sequence == l.Sequence && n.FirstSCN == l.FirstSCN
		})
		if l.NextSCN > end || at < 0 {
			continue
		}
		if lacking := now[at].lacks(required); len(lacking) > 0 {
			p.log.Info("archived log stays: it is not at every required destination", "log", l.String(), "lacking", fmt.Sprint(lacking))
			continue
		}
		for _, c := range now[at].copies {
			if !c.usable || c.standby {
				continue
			}
			if p.s.opt.Mode == ModeRMAN {
				// RMAN removes it out of ASM too, out of the control file, and not against its deletion policy.
				fmt.Fprintf(&commands, "DELETE NOPROMPT ARCHIVELOG %s;\n", quoteText(c.name))
				continue
			}
			if err := f.remove(ctx, c.name); err != nil && !missing(err) {
				errs = append(errs, fmt.Errorf("remove %s: %w", c.name, err))
			}
		}
	}
	if commands.Len() > 0 {
		_, err := p.s.rman(ctx, func() {}, commands.String())
		errs = append(errs, err)
	}
	if err := f.close(ctx); !said(err, oraNoRights) { // the next backup warns of what stays
		errs = append(errs, err)
	}
	return p.s.fail(ctx, "purge archived logs of", "", errors.Join(errs...))
}

// Abort implements backup.Pending: nothing was touched.
func (p *purge) Abort(context.Context) error { return nil }

// required are the destinations that must have a log before it may go.
func (s *Source) required(all []Destination) []int {
	if len(s.opt.RequiredDestinations) > 0 {
		return s.opt.RequiredDestinations
	}
	var out []int
	for _, d := range all {
		if d.Status == "VALID" {
			out = append(out, d.ID)
		}
	}
	return out
}

// lacks are the destinations that do not have the log.
func (l ArchivedLog) lacks(required []int) []int {
	return slices.DeleteFunc(slices.Clone(required), func(id int) bool {
		return slices.ContainsFunc(l.copies, func(c logCopy) bool { return c.destination == id && c.archived && (c.usable || c.standby) })
	})
}

var _ backup.Pending = (*purge)(nil)
