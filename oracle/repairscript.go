package oracle

import (
	"fmt"
	"io"
	"strings"
)

// entering are the statements that lead to the container of the tablespaces.
func (r *repair) entering() []string {
	if r.pdb == "" {
		return nil
	}
	return []string{"ALTER SESSION SET CONTAINER = " + quoteName(r.pdb)}
}

// offline are those that take the tablespaces offline. IMMEDIATE writes nothing, and so works where files are gone; the recovery that it makes necessary comes anyway [SQL].
func (r *repair) offline() (out []string) {
	for _, t := range r.spaces {
		if t.Status != "OFFLINE" {
			out = append(out, "ALTER TABLESPACE "+quoteName(t.Name)+" OFFLINE IMMEDIATE")
		}
	}
	return out
}

// placed are those that tell the control file of data files that are elsewhere now, or are made anew.
func (r *repair) placed() (out []string) {
	for _, f := range r.files {
		if f.fate == putFile && f.path != f.Name {
			out = append(out, fmt.Sprintf("ALTER DATABASE RENAME FILE %s TO %s", quoteText(f.Name), quoteText(f.path)))
		}
	}
	if !r.asked {
		return out // whether a file that no backup has is lost, nobody knows without the server
	}
	for _, m := range r.made {
		out = append(out, m.create())
	}
	return out
}

// online are those that bring the tablespaces back.
func (r *repair) online() (out []string) {
	for _, t := range r.spaces {
		out = append(out, "ALTER TABLESPACE "+quoteName(t.Name)+" ONLINE")
	}
	return out
}

// moves are the commands that give data files their names.
func (r *repair) moves() (out []string) {
	sh := r.shell(r.overwrite)
	for _, f := range r.files {
		if f.fate == putFile {
			out = append(out, sh.move(f.path+unplaced, f.path))
		}
	}
	return out
}

// logCopies and dataCopies are the commands that bring fetched files to their places.
func (r *repair) logCopies(overwrite bool) []string {
	sh := r.shell(overwrite)
	out := []string{sh.mkdir(r.work), sh.mkdir(joinServer(r.work, "arch"))}
	for _, p := range r.put {
		if !r.isData(p.to[0]) {
			out = append(out, r.copy(sh, p)...)
		}
	}
	return out
}

func (r *repair) dataCopies(overwrite bool) (out []string) {
	sh := r.shell(overwrite)
	for _, p := range r.put {
		if r.isData(p.to[0]) {
			out = append(out, r.copy(sh, p)...)
		}
	}
	return out
}

// write writes the script. logs are the commands that bring logs, and data those that bring data files, once the tablespaces are offline.
func (r *repair) write(w io.Writer, logs, data []string) error {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, "-- "+format+"\n", args...) }
	lines := func(all []string) {
		for _, line := range all {
			b.WriteString(line + "\n")
		}
	}
	say("Restore of tablespace %s of database %s (DBID %d), incarnation of SCN %d, to its latest state.", strings.Join(r.parts, ", "), r.now.Name, r.now.DBID, r.now.ResetlogsSCN)
	say("The database must be open, and stays so. Run it on its machine, as the owner of the server, with ORACLE_HOME and ORACLE_SID set:")
	say("    sqlplus / as sysdba @%s", repairScript)
	say("Its own control file and online logs are used. Where a statement fails, the tablespace stays offline, and all else as it is: see to the cause, and run the script again, without part 2 as far as it is offline.")
	for _, f := range r.files {
		switch f.fate {
		case keptFile:
			say("Data file %d (%s) is there and is kept.", f.File, f.path)
		case madeFile:
			say("Data file %d (%s) is in no backup.", f.File, f.path)
		}
	}
	b.WriteString("\n" + preamble + terminated(r.entering()...))
	if len(logs) > 0 {
		b.WriteString("\n")
		say("1. Archived logs to a folder of their own. A file that is there already is not replaced.")
		lines(logs)
	}
	b.WriteString("\n")
	say("2. The tablespace is taken offline. If that fails, nothing is done to its files.")
	b.WriteString(terminated(r.offline()...) + "\n")
	say("3. Data files to their places.")
	lines(data)
	b.WriteString(terminated(r.placed()...))
	if !r.asked {
		for _, m := range r.made {
			say("Data file %d is younger than the full. If it is lost, take the dashes away from this, and redo fills it:", m.file)
			say("%s;", m.create())
		}
	}
	b.WriteString("\n")
	say("4. Recovery with the logs of the backups; then with those that the server has itself, which it finds alone. Errors are no harm: ORA-00264 means that nothing is left to do, ORA-01112 that it was done.")
	b.WriteString(r.recovery(r.logs))
	b.WriteString("WHENEVER SQLERROR CONTINUE\n" + terminated("ALTER DATABASE RECOVER CANCEL", strings.Replace(r.partial, "RECOVER ", "RECOVER AUTOMATIC ", 1)) + "WHENEVER SQLERROR EXIT FAILURE\n\n")
	say("5. It comes online only when the recovery is at its end; ORA-01113: redo is missing.")
	b.WriteString(terminated(r.online()...) + "EXIT\n")
	_, err := io.WriteString(w, b.String())
	return err
}
