package oracle

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Marks that the recovery's part of SQL*Plus's output stands between. A line of SQL*Plus that ends with - would go on in the next.
const (
	recoveryBegins = "[recovery begins: ORA-00279 is a question, the next statement its answer]"
	recoveryEnds   = "[recovery ends]"
)

// startup starts the instance as far as statements can go on.
func (c *course) startup() string { return "STARTUP NOMOUNT PFILE=" + quoteText(c.parameters) }

// mounted are the statements from NOMOUNT to a database that can be recovered. RENAME FILE changes the control file only [SQL].
func (c *course) mounted() []string {
	out := []string{"ALTER DATABASE MOUNT"}
	for _, r := range c.renames {
		out = append(out, fmt.Sprintf("ALTER DATABASE RENAME FILE %s TO %s", quoteText(r.from), quoteText(r.to)))
	}
	for _, m := range c.made {
		out = append(out, m.create())
	}
	for _, d := range c.offline {
		out = append(out, fmt.Sprintf("ALTER DATABASE DATAFILE %d OFFLINE", d.File))
	}
	return out
}

// create makes a data file anew that redo has all of.
func (r renaming) create() string {
	return fmt.Sprintf("ALTER DATABASE CREATE DATAFILE %d AS %s", r.file, quoteText(r.to))
}

// recover begins the recovery.
func (c *course) recover() string {
	if c.partial != "" {
		return c.partial
	}
	return "ALTER DATABASE RECOVER DATABASE " + c.until + " USING BACKUP CONTROLFILE"
}

func answer(l restoredLog) string { return "ALTER DATABASE RECOVER LOGFILE " + quoteText(l.path) }

// opened are the statements that open what was recovered.
func (c *course) opened() []string {
	out := []string{"ALTER DATABASE OPEN RESETLOGS"}
	if c.control.inv.CDB {
		out = append(out, "ALTER PLUGGABLE DATABASE ALL OPEN")
	}
	return out
}

// preamble is how SQL*Plus is to behave whatever its login.sql says: & is no variable, success is told, and an error ends it.
const preamble = "SET DEFINE OFF\nSET ECHO OFF\nSET FEEDBACK ON\nWHENEVER SQLERROR EXIT FAILURE\n"

func terminated(statements ...string) string {
	var b strings.Builder
	for _, s := range statements {
		b.WriteString(s + ";\n")
	}
	return b.String()
}

// recovery is the conversation of RECOVER in one session, with the answers in the order in which the server asks for them. A log that is not asked for is refused and changes nothing. It has no CANCEL: when a log
// is missing the recovery stays unfinished, and OPEN RESETLOGS is refused with ORA-01156.
func (c *course) recovery(logs []restoredLog) string {
	var b strings.Builder
	b.WriteString("WHENEVER SQLERROR CONTINUE\nPROMPT " + recoveryBegins + "\n" + terminated(c.recover()))
	for _, l := range logs {
		b.WriteString(terminated(answer(l)))
	}
	b.WriteString("PROMPT " + recoveryEnds + "\nWHENEVER SQLERROR EXIT FAILURE\n")
	return b.String()
}

// write writes the script. copies are the commands that put files in place, none when they are.
func (c *course) write(w io.Writer, copies []string) error {
	if c.rman != nil {
		return c.writeRMAN(w, copies)
	}
	inv := c.control.inv
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "-- "+format+"\n", args...) }
	say("Restore of database %s (DBID %d), incarnation of SCN %d, to the state %s.", inv.Name, inv.DBID, inv.ResetlogsSCN, c.goal)
	say("Run it on the database's machine, as the owner of the server, with ORACLE_HOME and ORACLE_SID set:")
	say("    sqlplus / as sysdba @restore.sql")
	say("The instance must be down (SHUTDOWN ABORT, if what it has is to be given up). Nothing here writes online logs, except OPEN RESETLOGS at the end.")
	if c.opt.to != "" {
		say("The files are below %s. If this machine has files under the old names that the server named itself (OMF), run this elsewhere: RENAME FILE may delete them.", c.opt.to)
	}
	for _, d := range c.offline {
		say("Data file %d (%s, tablespace %s) is not in the backup, and is taken offline.", d.File, d.Name, d.TablespaceName)
	}
	for _, m := range c.made {
		say("Data file %d (%s) is younger than the full: it is made anew, and redo fills it.", m.file, m.from)
	}
	for _, k := range inv.Keystores {
		say("Keystore %s %s: it is not in the backup. It must be open for encrypted data to be recovered.", k.Type, k.Place)
	}
	if inv.Backup.Files[filePasswords] != "" {
		say("The password file was %s; a copy of it is %s, should it be lost.", inv.PasswordFile, joinServer(c.work, passwordName))
	}
	b.WriteString("\n" + preamble)
	if len(copies) > 0 {
		b.WriteString("\n")
		say("1. Files to their places. A file that is there already is not replaced.")
		for _, line := range copies {
			b.WriteString(line + "\n")
		}
	}
	b.WriteString("\n")
	say("2. The instance, with the control file of the backup. Without an spfile, make one later: CREATE SPFILE FROM PFILE=%s", quoteText(c.parameters))
	b.WriteString(c.startup() + "\n" + terminated(c.mounted()...) + "\n")
	say("3. Recovery %s. Each answer is the log that the server asks for; ORA-00310, 00326, 00328 or 00330 means that it asked for another, ORA-01112 that it is done.", c.goal)
	say("It ended well when one of these statements succeeds. ORA-01244: a data file came to be since; ALTER DATABASE CREATE DATAFILE n AS 'name', and this part again.")
	b.WriteString(c.recovery(c.logs) + "\n")
	say("4. A new incarnation. Redo behind the target is lost for this database with it. ORA-01156: the recovery is not at its end.")
	if c.opt.open {
		b.WriteString(terminated(c.opened()...))
	} else {
		say("Not asked for (option open=resetlogs). When the recovery is what you want:")
		for _, s := range c.opened() {
			say("    %s;", s)
		}
	}
	b.WriteString("\n")
	say("5. Temporary files are made by the server when it opens, where their folder exists. If one is missing (V$TEMPFILE):")
	for _, line := range strings.Split(strings.TrimSpace(tempScript(c.temps())), "\n")[1:] {
		say("    %s", line)
	}
	say("6. Take a full backup at once: no backup before OPEN RESETLOGS goes on after it.")
	b.WriteString("EXIT\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// temps are the temporary files under their new names.
func (c *course) temps() *Inventory {
	inv := *c.control.inv
	inv.TempFiles = slices.Clone(inv.TempFiles)
	for i, t := range inv.TempFiles {
		for _, r := range c.renames {
			if r.from == t.Name {
				inv.TempFiles[i].Name = r.to
			}
		}
	}
	return &inv
}

// Script implements backup.Scripter. The script is for SQL*Plus and fits the files of Pipeline.Fetch, whose folder on the database's machine is the option files; without it names are relative to where sqlplus is started.
// Commands that put files in place are HOST lines in it, for the shell of the database's platform.
func (s *Source) Script(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, w io.Writer) error {
	c, err := s.plan(ctx, r, set)
	if err != nil {
		return err
	}
	if len(c.parts) > 0 {
		rep, err := s.repairFromBackups(c)
		if err != nil {
			return s.fail(ctx, "script the restore of", strings.Join(c.parts, ", "), err)
		}
		return s.fail(ctx, "script the restore of", strings.Join(c.parts, ", "), rep.write(w, rep.logCopies(r.Overwrite), rep.dataCopies(r.Overwrite)))
	}
	return s.fail(ctx, "script the restore of", "", c.write(w, c.copies(r.Overwrite)))
}

// copies are the commands that bring fetched files to their places.
func (c *course) copies(overwrite bool) []string {
	sh := c.shell(overwrite)
	var out []string
	dirs := append(c.folders(), c.work, joinServer(c.work, "arch"))
	if c.rman != nil {
		dirs = append(dirs, c.rman.pieces)
	}
	for _, dir := range dirs {
		out = append(out, sh.mkdir(dir))
	}
	for _, p := range c.put {
		out = append(out, c.copy(sh, p)...)
	}
	for i, line := range strings.Split(strings.TrimSpace(c.pfile), "\n") {
		out = append(out, sh.line(line, c.parameters, i == 0))
	}
	return out
}

// shell is that of the database's machine.
func (c *course) shell(overwrite bool) hostShell {
	return hostShell{windows: strings.Contains(strings.ToLower(c.control.inv.Platform), "windows"), overwrite: overwrite}
}

// copy brings one fetched file to its places.
func (c *course) copy(sh hostShell, p placing) (out []string) {
	from := p.from.step.Path(p.entry)
	if c.opt.files != "" {
		from = joinServer(c.opt.files, from)
	}
	for _, to := range p.to {
		out = append(out, sh.copy(from, to))
	}
	return out
}

// hostShell writes HOST commands of SQL*Plus for one kind of system.
type hostShell struct{ windows, overwrite bool }

func (h hostShell) quote(text string) string {
	if h.windows {
		return `"` + strings.ReplaceAll(text, "/", `\`) + `"`
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

func (h hostShell) mkdir(dir string) string {
	if h.windows {
		return "HOST if not exist " + h.quote(dir) + " mkdir " + h.quote(dir)
	}
	return "HOST mkdir -p " + h.quote(dir)
}

func (h hostShell) copy(from, to string) string {
	guard, command := "test -e "+h.quote(to)+" || ", "cp "
	if h.windows {
		guard, command = "if not exist "+h.quote(to)+" ", "copy /B "
	}
	if h.overwrite {
		guard = ""
	}
	return "HOST " + guard + command + h.quote(from) + " " + h.quote(to)
}

// move gives a file its name, when it is there under another. It may run again.
func (h hostShell) move(from, to string) string {
	if h.windows {
		return "HOST if exist " + h.quote(from) + " move /Y " + h.quote(from) + " " + h.quote(to)
	}
	return "HOST if test -e " + h.quote(from) + "; then mv -f " + h.quote(from) + " " + h.quote(to) + "; fi"
}

// line appends a line to a text, or begins it.
func (h hostShell) line(text, to string, begin bool) string {
	arrow := ">>"
	if begin {
		arrow = ">"
	}
	if h.windows {
		return "HOST echo " + text + arrow + h.quote(to)
	}
	return `HOST printf '%s\n' ` + h.quote(text) + " " + arrow + " " + h.quote(to)
}

var _ backup.Scripter = (*Source)(nil)
