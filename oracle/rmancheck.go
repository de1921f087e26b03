package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// checkRMAN has RMAN log in, and looks at what configures it.
func (s *Source) checkRMAN(ctx context.Context, c *session, inv *Inventory) []backup.Finding {
	g, err := s.same(ctx, func() {}, inv)
	what := "RMAN is there, and connected to the same database: " + s.opt.RMAN
	if err == nil {
		what = fmt.Sprintf("RMAN %s is there, and connected to the same database", g.release)
	}
	out := []backup.Finding{finding(what, err)}
	if n := slices.IndexFunc(inv.DataFiles, func(d DataFile) bool { return strings.HasPrefix(d.Name, "+") }); n >= 0 {
		out = append(out, backup.Finding{What: "data files are in ASM, which RMAN reads: " + inv.DataFiles[n].Name})
	}
	known, err := c.records(ctx)
	if err != nil {
		return append(out, finding("what RMAN recorded can be read", s.fail(ctx, "look at the backups that are known of", "", err)))
	}
	others := 0
	for _, p := range known.pieces {
		if p.status == available && !strings.HasPrefix(p.tag, defaultPrefix+"_") {
			others++
		}
	}
	if others > 0 {
		out = append(out, backup.Finding{What: fmt.Sprintf("%d backup pieces of others are known to the server", others),
			Hint: "a DELETE OBSOLETE of theirs counts our last full as a backup of its own: give their retention policy one more redundancy, or a window; a level 0 of theirs makes our next differential a full"})
	}
	return out
}
