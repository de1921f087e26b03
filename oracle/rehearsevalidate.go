package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// rehearsalTag is that of data files copied by another mode while they are catalogued; what RMAN made has its own.
const rehearsalTag = "QUIESCE_REHEARSAL"

// validation is a rehearsal that asks RMAN, at the database itself, what a backup is good for.
type validation struct {
	*Source
	set *backup.RestoreSet
	// dir has all files of the backups.
	dir string
}

// rehearseValidate puts the files of the backups below the scratch folder, has RMAN know them for a while, and asks it.
func (s *Source) rehearseValidate(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string, o rehearsalOptions) (err error) {
	in, err := s.incarnation(ctx)
	if err != nil {
		return err
	}
	dir, lock, err := lockRehearsal(scratch, fmt.Sprintf("validate-%d", in.DBID))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	r.Options = map[string]string{"to": dir}
	for key, value := range o.restore {
		r.Options[key] = value
	}
	c, err := s.plan(ctx, r, set)
	if err != nil {
		return err
	}
	if err := s.comparable(c, in); err != nil {
		return err
	}
	if _, err := s.same(ctx, set.Moved, in); err != nil {
		return err
	}
	v := &validation{s, set, dir}
	if err := v.sweep(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.clear(ctx)) }()
	p, err := s.putting(c, set, false)
	if err != nil {
		return err
	}
	if err := p.room(); err != nil {
		return err
	}
	if err := p.all(ctx, instance{}); err != nil {
		return err
	}
	return v.ask(ctx, c)
}

// incarnation is the database that RMAN will be asked at.
func (s *Source) incarnation(ctx context.Context) (*Inventory, error) {
	inv := &Inventory{}
	err := s.with(ctx, func(c *session) error { return c.askDatabase(ctx, inv) })
	if err != nil {
		return nil, &backup.Error{Op: "rehearse at", App: application, Instance: s.instance, Err: err,
			Advice: "method=validate asks the database itself, mounted or open; where it is gone, rehearse in an auxiliary instance (Options.Auxiliary)"}
	}
	return inv, nil
}

// comparable refuses backups that RMAN would not look at: of another database, or of another incarnation of it.
func (s *Source) comparable(c *course, in *Inventory) error {
	for _, h := range c.steps {
		switch {
		case h.inv.DBID != in.DBID:
			return s.refuse("rehearse at the database that the backups are of, or in an auxiliary instance", "backup %s is of the database with DBID %d, and the connection leads to %d", h.step.ID, h.inv.DBID, in.DBID)
		case h.inv.ResetlogsSCN != in.ResetlogsSCN:
			return s.refuse("rehearse a backup of the present incarnation, or in an auxiliary instance (method=auxiliary)",
				"backup %s is of the incarnation of SCN %d, and the database is in that of SCN %d", h.step.ID, h.inv.ResetlogsSCN, in.ResetlogsSCN)
		}
	}
	return nil
}

// catalogued are the commands by which RMAN forgets what it knows below the folder.
func (v *validation) catalogued(ctx context.Context) (out []string, err error) {
	err = v.with(ctx, func(c *session) error {
		for _, kind := range []struct{ word, query string }{
			{"DATAFILECOPY", "SELECT NAME, FILE# FROM V$DATAFILE_COPY WHERE DELETED = 'NO' AND FILE# > 0 AND NAME IS NOT NULL"},
			{"BACKUPPIECE", "SELECT HANDLE AS NAME FROM V$BACKUP_PIECE WHERE DELETED = 'NO' AND HANDLE IS NOT NULL"},
			{"ARCHIVELOG", "SELECT NAME FROM V$ARCHIVED_LOG WHERE DELETED = 'NO' AND NAME IS NOT NULL"},
		} {
			err := c.each(ctx, kind.query, func(r row) {
				if name := r.text("NAME"); inside(v.dir, name) {
					out = append(out, fmt.Sprintf("CHANGE %s %s UNCATALOG;\n", kind.word, quoteText(name)))
				}
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	slices.Sort(out)
	return slices.Compact(out), err
}

// forget makes RMAN forget what it knows below the folder, and nothing else.
func (v *validation) forget(ctx context.Context) (int, error) {
	commands, err := v.catalogued(ctx)
	if err != nil {
		return 0, err
	}
	if len(commands) > 0 {
		_, err = v.rman(ctx, v.set.Moved, strings.Join(commands, ""))
	}
	if err != nil {
		return 0, &backup.Error{Op: "uncatalogue", App: application, Instance: v.instance, Artifact: v.dir, Err: err,
			Advice: "the files of the rehearsal are still known to RMAN; the next rehearsal takes them out, or you do: CHANGE ... UNCATALOG"}
	}
	return len(commands), nil
}

// sweep takes out and removes what a dead rehearsal left.
func (v *validation) sweep(ctx context.Context) error {
	n, err := v.forget(ctx)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(v.dir); missing(err) && n == 0 {
		return nil
	}
	v.set.Warn(fmt.Sprintf("a rehearsal that died left files, of which RMAN knew %d; they are removed: %s", n, v.dir))
	return os.RemoveAll(v.dir)
}

// clear does so at the end, on a context of its own. Files that RMAN still knows stay.
func (v *validation) clear(ctx context.Context) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if _, err := v.forget(clean); err != nil {
		return err
	}
	return os.RemoveAll(v.dir)
}

// ask has RMAN look. All of it reads, but for CATALOG.
func (v *validation) ask(ctx context.Context, c *course) error {
	var catalog []string
	data, tag := 0, rehearsalTag
	for _, p := range c.put {
		path := quoteText(p.to[0])
		switch {
		case slices.ContainsFunc(p.from.inv.Backup.Logs, func(l ArchivedLog) bool { return l.Artifact == p.entry.Name }) && p.from.inv.Backup.RMAN == nil:
			catalog = append(catalog, "CATALOG ARCHIVELOG "+path+";\n")
		case p.from.inv.isData(p.entry.Name):
			data++
			catalog = append(catalog, fmt.Sprintf("CATALOG DATAFILECOPY %s TAG '%s';\n", path, copyTag(p.from.inv)))
		case p.from.inv.Backup.RMAN.holds(p.entry.Name):
			data++
			catalog = append(catalog, "CATALOG BACKUPPIECE "+path+";\n")
		}
	}
	if m := c.full.inv.Backup.RMAN; m != nil {
		tag = m.Tag
	}
	run := func(command string) string { return "RUN {\n" + c.setUntil() + "\n" + command + "\n}\n" }
	steps := []struct{ note, commands string }{
		{"", strings.Join(catalog, "")},
		{"preview", run("RESTORE DATABASE FROM TAG '" + tag + "' PREVIEW;")},
	}
	if c.full.inv.Backup.RMAN != nil {
		steps = append(steps, struct{ note, commands string }{"data files", run("RESTORE DATABASE FROM TAG '" + tag + "' VALIDATE;")})
	}
	for _, st := range steps {
		if _, err := v.rman(ctx, v.set.Moved, st.commands); err != nil {
			return rmanRecoveryError(err)
		}
		if st.note != "" {
			v.set.Note(st.note, "RMAN found what it needs")
		}
	}
	if err := v.sets(ctx); err != nil {
		return err
	}
	if c.full.inv.Backup.RMAN == nil {
		v.set.Note("data files", "each block read by this program; RMAN takes blocks of hot copies that are half written for damage, and was not asked")
	}
	v.set.Note("files", fmt.Sprintf("%d of %d backups, to %s", data, len(c.steps), c.goal))
	return nil
}

// sets has RMAN read every backup set of the folder to its end, the differentials and the logs among them.
func (v *validation) sets(ctx context.Context) error {
	type set struct{ stamp, count uint64 }
	ours := map[set]bool{}
	var keys []string
	err := v.with(ctx, func(c *session) error {
		err := c.each(ctx, "SELECT HANDLE, SET_STAMP, SET_COUNT FROM V$BACKUP_PIECE WHERE DELETED = 'NO' AND HANDLE IS NOT NULL", func(r row) {
			if inside(v.dir, r.text("HANDLE")) {
				ours[set{r.uint("SET_STAMP"), r.uint("SET_COUNT")}] = true
			}
		})
		if err != nil || len(ours) == 0 {
			return err
		}
		return c.each(ctx, "SELECT RECID, SET_STAMP, SET_COUNT FROM V$BACKUP_SET", func(r row) {
			if ours[set{r.uint("SET_STAMP"), r.uint("SET_COUNT")}] {
				keys = append(keys, r.text("RECID"))
			}
		})
	})
	if err != nil || len(ours) == 0 {
		return err
	}
	if len(keys) < len(ours) {
		return fmt.Errorf("the server knows %d of the %d backup sets that were catalogued", len(keys), len(ours))
	}
	if _, err := v.rman(ctx, v.set.Moved, "VALIDATE BACKUPSET "+strings.Join(keys, ", ")+";\n"); err != nil {
		return rmanRecoveryError(err)
	}
	v.set.Note("backup sets", fmt.Sprintf("%d read by RMAN", len(keys)))
	return nil
}

// isData reports whether an artifact is the copy of a data file.
func (inv *Inventory) isData(artifact string) bool {
	return slices.ContainsFunc(inv.DataFiles, func(d DataFile) bool { return d.Artifact != "" && d.Artifact == artifact })
}

// holds reports whether an artifact is a piece of data files or logs.
func (m *RMANContents) holds(artifact string) bool {
	return m != nil && slices.ContainsFunc(m.Pieces, func(p RMANPiece) bool { return p.Artifact == artifact && (p.Kind == pieceData || p.Kind == pieceLog) })
}

// copyTag is the tag under which copies of data files are catalogued.
func copyTag(inv *Inventory) string {
	if inv.Backup.RMAN != nil {
		return inv.Backup.RMAN.Tag
	}
	return rehearsalTag
}
