package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// rmanScriptName is the script of a restore for RMAN.
const rmanScriptName = "restore.rman"

// rmanCourse is what a restore from what RMAN made has beside other restores: its pieces and copies are put into a folder and catalogued, and RMAN makes the files of them.
type rmanCourse struct {
	// pieces is that folder, and control the copy of the control file, from which RMAN makes all of them.
	pieces, control string
	// whole: the data files are RMAN's. Else another mode copied them, they are put in place like any, and only logs are in pieces.
	whole bool
	// files and temps are where data files and temporary files go, by number.
	files, temps []renaming
	// alone: the control file is made to forget all backups that it knows, so that those put here are what is restored.
	alone bool
}

// onlyRMAN reports whether anything of the backups is readable for RMAN only.
func onlyRMAN(steps []held) bool {
	return slices.ContainsFunc(steps, func(h held) bool { return h.inv.Backup.RMAN != nil })
}

// placeRMAN says where every file goes when RMAN restores.
func (c *course) placeRMAN() error {
	inv := c.control.inv
	c.rman = &rmanCourse{whole: c.full.inv.Backup.RMAN != nil}
	c.next = names{c.opt.to, map[string]bool{}}
	if err := c.placeControls(inv); err != nil {
		return err
	}
	c.rman.pieces, c.rman.control = joinServer(c.work, "pieces"), joinServer(c.work, "control.ctl")
	unknown := map[string]bool{}
	for old := range c.opt.moves {
		unknown[old] = true
	}
	taken := map[string]bool{}
	for _, d := range inv.DataFiles {
		delete(unknown, d.Name)
		to := c.moved(d.Name, d.File)
		if taken[to] {
			return fmt.Errorf("%w: two data files would both become %s", backup.ErrRefused, to)
		}
		taken[to] = true
		if !c.rman.whole {
			if err := c.placeData(d, to); err != nil {
				return err
			}
			continue
		}
		if d.Status == "OFFLINE" || d.Status == "SYSOFF" {
			c.offline = append(c.offline, d)
		}
		c.rman.files = append(c.rman.files, renaming{d.File, d.Name, to})
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: move: the database has no data file %s", backup.ErrOption, strings.Join(sortedKeys(unknown), ", "))
	}
	for _, g := range inv.OnlineLogs {
		for _, m := range g.Members {
			to := c.moved(m, g.Group)
			c.online = append(c.online, to)
			c.rename(0, m, to)
		}
	}
	for _, t := range inv.TempFiles {
		c.rman.temps = append(c.rman.temps, renaming{t.File, t.Name, c.moved(t.Name, t.File)})
	}
	if err := c.add(c.control, inv.Backup.Files[fileControl], c.rman.control); err != nil {
		return err
	}
	if err := c.placeConfig(inv); err != nil {
		return err
	}
	return c.placePieces()
}

// placePieces puts pieces, copies and plain logs into one folder, each under a name that no other has.
func (c *course) placePieces() error {
	for i, h := range c.steps {
		var artifacts []string
		if m := h.inv.Backup.RMAN; m != nil {
			for _, p := range m.Pieces {
				if p.Kind != pieceControl && p.Kind != pieceSPFile {
					artifacts = append(artifacts, p.Artifact)
				}
			}
		} else {
			for _, l := range h.inv.Backup.Logs {
				artifacts = append(artifacts, l.Artifact)
			}
		}
		for _, a := range artifacts {
			if err := c.add(h, a, joinServer(c.rman.pieces, fmt.Sprintf("%d_%s", i+1, baseName(a)))); err != nil {
				return err
			}
		}
	}
	slices.SortFunc(c.put, func(a, b placing) int { return cmp.Compare(a.to[0], b.to[0]) })
	return nil
}

// written are the files that RMAN makes, as far as they are ones of a file system.
func (c *course) written() []string {
	if c.rman == nil {
		return nil
	}
	var out []string
	out = append(out, c.controls...)
	for _, f := range c.rman.files {
		out = append(out, f.to)
	}
	return slices.DeleteFunc(out, func(path string) bool { return strings.HasPrefix(path, "+") })
}

// chapter is a part of RMAN's script. RMAN goes on behind a command that failed when it reads standard input, so each command is run alone; what depends on SET is in one RUN.
type chapter struct {
	title    string
	commands []string
}

// started brings the instance up to a mounted control file that knows what was put here.
func (c *course) started() []chapter {
	mount := []string{
		"STARTUP NOMOUNT PFILE=" + quoteText(c.parameters) + ";",
		"RESTORE CONTROLFILE FROM " + quoteText(c.rman.control) + ";",
		"ALTER DATABASE MOUNT;",
	}
	for _, r := range c.renames {
		mount = append(mount, sqlOf(fmt.Sprintf("ALTER DATABASE RENAME FILE %s TO %s", quoteText(r.from), quoteText(r.to))))
	}
	for _, m := range c.made {
		mount = append(mount, sqlOf(m.create()))
	}
	if !c.rman.whole {
		for _, d := range c.offline {
			mount = append(mount, sqlOf(fmt.Sprintf("ALTER DATABASE DATAFILE %d OFFLINE", d.File)))
		}
	}
	var known []string
	if c.rman.alone {
		known = append(known, "CHANGE BACKUP UNCATALOG;", "CHANGE COPY UNCATALOG;", "CHANGE ARCHIVELOG ALL UNCATALOG;")
	}
	known = append(known, "CATALOG START WITH "+quoteText(strings.TrimRight(c.rman.pieces, `/\`)+separatorOf(c.rman.pieces))+" NOPROMPT;", "CROSSCHECK BACKUP;", "CROSSCHECK COPY;", "CROSSCHECK ARCHIVELOG ALL;")
	return []chapter{
		{"The instance, with the control file of the backup. Without an spfile, make one later: CREATE SPFILE FROM PFILE=" + quoteText(c.parameters), mount},
		{"What was put here becomes known to the control file; what it knows and is not there is no longer asked for.", known},
	}
}

// separatorOf is what stands between the names of a path of the server.
func separatorOf(path string) string {
	if strings.Contains(path, `\`) {
		return `\`
	}
	return "/"
}

// sqlOf is a statement of SQL for RMAN, in the form that all versions know.
func sqlOf(statement string) string {
	return `SQL "` + strings.ReplaceAll(statement, "'", "''") + `";`
}

// restored makes data files of the backups, under the names that they are to have.
func (c *course) restored() []chapter {
	if !c.rman.whole {
		return nil
	}
	var b strings.Builder
	b.WriteString("RUN {\n  " + c.setUntil() + "\n")
	if c.opt.to != "" {
		b.WriteString("  SET NEWNAME FOR DATABASE TO " + quoteText(joinServer(c.opt.to, "%U")) + ";\n") // for what the inventory does not know
	}
	temps := false
	for _, f := range c.rman.files {
		if f.from != f.to {
			fmt.Fprintf(&b, "  SET NEWNAME FOR DATAFILE %d TO %s;\n", f.file, quoteText(f.to))
		}
	}
	for _, t := range c.rman.temps {
		if t.from != t.to {
			temps = true
			fmt.Fprintf(&b, "  SET NEWNAME FOR TEMPFILE %d TO %s;\n", t.file, quoteText(t.to))
		}
	}
	b.WriteString("  RESTORE DATABASE;\n  SWITCH DATAFILE ALL;\n")
	if temps {
		b.WriteString("  SWITCH TEMPFILE ALL;\n")
	}
	b.WriteString("}")
	return []chapter{{"The data files. Those that came to be since the full are made empty; redo or the differential fills them.", []string{b.String()}}}
}

// recovering applies the differential and the redo.
func (c *course) recovering() []chapter {
	// RMAN makes files that redo tells of and the control file does not know, where they were or where it is told [BRU].
	elsewhere := ""
	if c.opt.to != "" {
		elsewhere = "  SET NEWNAME FOR DATABASE TO " + quoteText(joinServer(c.opt.to, "%U")) + ";\n"
	}
	commands := []string{fmt.Sprintf("RUN {\n  %s\n%s  SET ARCHIVELOG DESTINATION TO %s;\n  RECOVER DATABASE;\n}", c.setUntil(), elsewhere, quoteText(joinServer(c.work, "arch")))}
	return []chapter{{"Recovery " + c.goal + ". RMAN-06054 names a log that is missing.", commands}}
}

// setUntil is the target as RMAN has it. Both forms stop before what they name [RMAN, untilClause].
func (c *course) setUntil() string {
	if n, ok := strings.CutPrefix(c.until, "UNTIL CHANGE "); ok {
		return "SET UNTIL SCN " + n + ";"
	}
	return `SET UNTIL TIME "to_date(` + strings.TrimPrefix(c.until, "UNTIL TIME ") + `,'YYYY-MM-DD:HH24:MI:SS')";`
}

// writeRMAN writes the script for RMAN.
func (c *course) writeRMAN(w io.Writer, copies []string) error {
	inv := c.control.inv
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "# "+format+"\n", args...) }
	say("Restore of database %s (DBID %d), incarnation of SCN %d, to the state %s.", inv.Name, inv.DBID, inv.ResetlogsSCN, c.goal)
	say("Run it on the database's machine, as the owner of the server, with ORACLE_HOME and ORACLE_SID set:")
	say("    rman target / nocatalog @%s", rmanScriptName)
	say("The instance must be down (SHUTDOWN ABORT, if what it has is to be given up). RESTORE replaces data files that are there; the online logs are written by OPEN RESETLOGS only.")
	for _, k := range inv.Keystores {
		say("Keystore %s %s: it is not in the backup. It must be open for encrypted data to be recovered.", k.Type, k.Place)
	}
	if inv.Backup.Files[filePasswords] != "" {
		say("The password file was %s; a copy of it is %s, should it be lost.", inv.PasswordFile, joinServer(c.work, passwordName))
	}
	if len(copies) > 0 {
		b.WriteString("\n")
		say("Files to their places. A file that is there already is not replaced.")
		for _, line := range copies {
			b.WriteString(hostOf(line) + "\n")
		}
	}
	fmt.Fprintf(&b, "\nSET DBID %d;\n", inv.DBID)
	n := 0
	for _, ch := range slices.Concat(c.started(), c.restored(), c.recovering()) {
		n++
		b.WriteString("\n")
		say("%d. %s", n, ch.title)
		b.WriteString(strings.Join(ch.commands, "\n") + "\n")
	}
	b.WriteString("\n")
	say("%d. A new incarnation. Redo behind the target is lost for this database with it.", n+1)
	for _, s := range c.opened() {
		if c.opt.open {
			b.WriteString(sqlOf(s) + "\n")
			continue
		}
		say("    %s", sqlOf(s))
	}
	if !c.opt.open {
		say("Not asked for (option open=resetlogs): run these lines when the recovery is what you want.")
	}
	say("Take a full backup at once: no backup before OPEN RESETLOGS goes on after it.")
	_, err := io.WriteString(w, b.String())
	return err
}

// hostOf is a HOST line of SQL*Plus for RMAN, which wants the command in quotes.
func hostOf(line string) string {
	command := strings.TrimPrefix(line, "HOST ")
	if strings.Contains(command, `"`) {
		return "HOST " + quoteText(command) + ";"
	}
	return `HOST "` + command + `";`
}

// byRMAN restores, recovers, and opens when told, command by command.
func (s *Source) byRMAN(ctx context.Context, c *course, set *backup.RestoreSet) error {
	if err := s.chapters(ctx, set, slices.Concat(c.started(), c.restored(), c.recovering())); err != nil || !c.opt.open {
		return err
	}
	return s.openByRMAN(ctx, c, set)
}

func (s *Source) openByRMAN(ctx context.Context, c *course, set *backup.RestoreSet) error {
	var commands []string
	for _, statement := range c.opened() {
		commands = append(commands, sqlOf(statement))
	}
	return s.chapters(ctx, set, []chapter{{commands: commands}})
}

// chapters runs commands one by one, as the administrator of the operating system: an instance that is not mounted takes no other login.
func (s *Source) chapters(ctx context.Context, set *backup.RestoreSet, all []chapter) error {
	local := *s
	local.opt.RMANConnect = "/"
	for _, ch := range all {
		for _, command := range ch.commands {
			if _, err := local.rman(ctx, set.Moved, command+"\n"); err != nil {
				return rmanRecoveryError(fmt.Errorf("%s: %w", brief(strings.Join(strings.Fields(command), " ")), err))
			}
			set.Moved()
		}
	}
	return nil
}

// rmanRecoveryError says what an operator can do about an error of a restore by RMAN.
func rmanRecoveryError(err error) error {
	var e *rmanError
	text := ""
	switch {
	case !errors.As(err, &e):
	case e.has(6054, 6025):
		return &backup.Error{Op: "recover", App: application, Err: fmt.Errorf("%w: %w", backup.ErrChainBroken, err),
			Advice: "look for the log at the server's archive destinations and recover by hand with it (the files are in place), or restore to before it"}
	case e.has(6023, 6026):
		text = "RMAN finds no backup of a data file that goes with the target and with the incarnation of the control file: restore to a later moment, or from another full"
	case said(err, 19870, 19599, 19566, 19608):
		return &backup.Error{Op: "recover", App: application, Err: fmt.Errorf("%w: %w", backup.ErrCorrupt, err), Advice: "the piece was whole when it was put back, so it was damaged before it was backed up, or since: restore from another full"}
	}
	if text == "" {
		return recoveryError(err)
	}
	return &backup.Error{Op: "recover", App: application, Err: err, Advice: text}
}
