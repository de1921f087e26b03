package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// silent is an address at which nobody listens. An instance without LOCAL_LISTENER registers at port 1521 of its machine, and with it the services of its pluggable databases: clients of the original would then be sent to the copy.
const silent = "(ADDRESS=(PROTOCOL=TCP)(HOST=127.0.0.1)(PORT=1))"

// auxiliary is the instance in which a rehearsal brings a database up. It is reached by ORACLE_SID alone.
type auxiliary struct {
	*Source
	sid string
	// dir has everything that the instance writes.
	dir string
	set *backup.RestoreSet
	// elsewhere: the operator says that the original's ASM cannot be reached from this machine.
	elsewhere bool
}

// auxiliaryOf is the instance of the options, for files below dir.
func (s *Source) auxiliaryOf(set *backup.RestoreSet, dir string) *auxiliary {
	aux := *s
	aux.instance = s.opt.Auxiliary
	aux.opt.RMANConnect = "/"
	drop := []string{"ORACLE_SID", "TWO_TASK", "LOCAL", "ORACLE_PDB_SID"} // TWO_TASK, LOCAL and ORACLE_PDB_SID would lead elsewhere than ORACLE_SID does
	if home := s.opt.AuxiliaryHome; home != "" {
		drop = append(drop, "ORACLE_HOME")
		for _, program := range []*string{&aux.opt.SQLPlus, &aux.opt.RMAN} {
			if filepath.Base(*program) == *program {
				*program = filepath.Join(home, "bin", *program)
			}
		}
	}
	aux.environ = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.ContainsFunc(drop, func(d string) bool { return strings.EqualFold(d, name) })
	})
	aux.environ = append(aux.environ, "ORACLE_SID="+s.opt.Auxiliary)
	if s.opt.AuxiliaryHome != "" {
		aux.environ = append(aux.environ, "ORACLE_HOME="+s.opt.AuxiliaryHome)
	}
	return &auxiliary{Source: &aux, sid: s.opt.Auxiliary, dir: dir, set: set}
}

// column is between the cells of what SQL*Plus prints for rows. No path has it.
const column = "|"

// rows asks one query of the instance.
func (a *auxiliary) rows(ctx context.Context, query string) (out [][]string, err error) {
	text, err := a.sqlplus(ctx, a.set, "SET HEADING OFF\nSET PAGESIZE 0\nSET FEEDBACK OFF\nSET LINESIZE 32767\nSET NUMWIDTH 20\nSET TAB OFF\nSET COLSEP '"+column+"'\nWHENEVER SQLERROR EXIT FAILURE\n"+query+";\n")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		cells := strings.Split(line, column)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		out = append(out, cells)
	}
	return out, nil
}

// state is the status of the instance, "" when it is down, and the names of its control files.
func (a *auxiliary) state(ctx context.Context) (status string, controls []string, err error) {
	r, err := a.rows(ctx, "SELECT STATUS FROM V$INSTANCE")
	if said(err, 1034) {
		return "", nil, nil
	}
	if err == nil && len(r) != 1 {
		err = fmt.Errorf("%s does not tell the state of the instance %s", a.opt.SQLPlus, a.sid)
	}
	if err != nil {
		return "", nil, err
	}
	status = r[0][0]
	if r, err = a.rows(ctx, "SELECT VALUE FROM V$PARAMETER WHERE NAME = 'control_files'"); err != nil {
		return status, nil, err
	}
	for _, cells := range r {
		for _, name := range strings.Split(cells[0], ",") {
			controls = append(controls, strings.Trim(strings.TrimSpace(name), "'"))
		}
	}
	return status, controls, nil
}

// ours reports whether the instance runs on control files of a rehearsal in this folder, and so was started by one: nobody else puts files there.
func (a *auxiliary) ours(controls []string) bool {
	return len(controls) > 0 && !slices.ContainsFunc(controls, func(name string) bool { return !inside(a.dir, name) })
}

// end makes sure that the instance does not run. One that is not a rehearsal's is left alone, and an error.
func (a *auxiliary) end(ctx context.Context) (ended bool, err error) {
	status, controls, err := a.state(ctx)
	switch {
	case err != nil:
		return false, &backup.Error{Op: "look at the auxiliary instance", App: application, Instance: a.sid, Err: err, Advice: backup.Hint(err)}
	case status == "":
		return false, nil
	case !a.ours(controls):
		return false, &backup.Error{Op: "rehearse on", App: application, Instance: a.sid,
			Err:    fmt.Errorf("%w: the auxiliary instance is %s, and no rehearsal started it: its control files are %s", backup.ErrRefused, status, strings.Join(controls, ", ")),
			Advice: "name an ORACLE_SID that nothing uses (Options.Auxiliary), or SHUTDOWN that instance if it is one that was forgotten"}
	}
	if _, err := a.sqlplus(ctx, a.set, preamble+"SHUTDOWN ABORT\n"); err != nil && !said(err, 1034) {
		return false, &backup.Error{Op: "end", App: application, Instance: a.sid, Err: err, Advice: "SHUTDOWN ABORT it by hand, with ORACLE_SID=" + a.sid}
	}
	return true, nil
}

// carried are the parameters of the database without which its copy does not open, or is not read. All others have values of their own here: none of them can name a place of the original.
var carried = []string{"compatible", "db_block_size", "db_files", "db_name", "enable_pluggable_database", "log_archive_format", "max_string_size", "tde_configuration", "undo_management", "undo_tablespace", "wallet_root"}

// parameters are those that the instance is started with: nothing listens for it, nothing of it is archived or written outside its folder, and no job and no trigger of the system runs in it.
func (a *auxiliary) parameters(c *course, given map[string]string) string {
	inv := c.control.inv
	p := map[string]string{
		"db_name": inv.Name, "sga_target": "1536M", "pga_aggregate_target": "512M", "processes": "300",
	}
	for _, name := range carried {
		if value := inv.parameter(name); value != "" {
			p[name] = value
		}
	}
	for _, d := range c.full.inv.DataFiles {
		if own := p["db_block_size"]; d.BlockSize >= 2048 && own != "" && fmt.Sprint(d.BlockSize) != own {
			p[fmt.Sprintf("db_%dk_cache_size", d.BlockSize/1024)] = "64M"
		}
	}
	maps.Copy(p, given)
	maps.Copy(p, map[string]string{
		// Who it is. The lock of a mounted database is by this name, and so are the names of its services [ERR 01102].
		"db_unique_name": a.sid, "instance_name": a.sid,
		// Who finds it: nobody.
		"local_listener": silent, "remote_listener": "", "dispatchers": "", "shared_servers": "0", "remote_login_passwordfile": "NONE",
		// What runs in it: nothing but the rehearsal.
		"job_queue_processes": "0", "aq_tm_processes": "0", "_system_trig_enabled": "FALSE", "dg_broker_start": "FALSE", "cluster_database": "FALSE",
		// Where it writes. Without a recovery area it removes nothing either.
		"log_archive_dest_1": "LOCATION=" + c.archives(), "diagnostic_dest": a.traces(), "audit_file_dest": a.traces(), "audit_trail": "NONE", "db_create_file_dest": a.dir,
	})
	var b strings.Builder
	fmt.Fprintf(&b, "# Parameters of a rehearsal of %s. The instance may be ended at any time.\n*.control_files=%s\n", inv.Name, quoteList(strings.Join(c.controls, ",")))
	for _, name := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "*.%s=%s\n", name, quoteText(p[name]))
	}
	return b.String()
}

func (a *auxiliary) traces() string { return filepath.Join(a.dir, "diag") }

// apart refuses an auxiliary instance that goes by a name of the original.
func (a *auxiliary) apart(c *course) error {
	for _, h := range c.steps {
		names := []string{h.inv.Name, h.inv.UniqueName, h.inv.InstanceName}
		for _, t := range h.inv.Threads {
			names = append(names, t.Instance)
		}
		for _, name := range names {
			if strings.EqualFold(name, a.sid) {
				return &backup.Error{Op: "rehearse on", App: application, Instance: a.sid, Err: fmt.Errorf("%w: %s is a name of the database itself", backup.ErrRefused, a.sid),
					Advice: "name another ORACLE_SID, that nothing uses (Options.Auxiliary)"}
			}
		}
	}
	return nil
}

// harmless refuses a rehearsal that could remove files of the original: RENAME FILE deletes the old file when the server had named it itself [ADM, SQL].
func (a *auxiliary) harmless(c *course) error {
	for _, r := range c.renames {
		if managed(r.from) && !a.absent(r.from) {
			return &backup.Error{Op: "rehearse", App: application, Artifact: r.from,
				Err:    fmt.Errorf("%w: this machine may have a file of that name, which is a managed one (OMF): RENAME FILE in the copy would delete it", backup.ErrRefused),
				Advice: "rehearse on another machine (for names in ASM with the option elsewhere=true), or use the option method=validate"}
		}
	}
	return nil
}

// absent reports whether a file of the original is surely not on this machine.
func (a *auxiliary) absent(path string) bool {
	if strings.HasPrefix(path, "+") {
		return a.elsewhere
	}
	_, err := os.Lstat(path)
	return missing(err) || !filepath.IsAbs(path)
}

// managed reports whether a name has the form that the server gives to files of Oracle Managed Files, or is in ASM.
func managed(path string) bool {
	name := strings.ToLower(baseName(path))
	return strings.HasPrefix(path, "+") || strings.HasPrefix(name, "o1_mf_") || strings.HasPrefix(name, "ora_")
}

// contained makes sure that the mounted database has no file but those below the folder, before anything is written to one.
func (a *auxiliary) contained(ctx context.Context, c *course) error {
	for _, query := range []string{"SELECT FILE#, NAME FROM V$DATAFILE", "SELECT GROUP#, MEMBER FROM V$LOGFILE", "SELECT FILE#, NAME FROM V$TEMPFILE", "SELECT BLOCK_SIZE, NAME FROM V$CONTROLFILE"} {
		all, err := a.rows(ctx, query)
		if err != nil {
			return err
		}
		for _, r := range all {
			if len(r) != 2 {
				return fmt.Errorf("%s answered %q", query, strings.Join(r, column))
			}
			left := strings.Contains(query, "V$DATAFILE") && slices.ContainsFunc(c.offline, func(d DataFile) bool { return fmt.Sprint(d.File) == r[0] })
			if !left && !inside(a.dir, r[1]) {
				return &backup.Error{Op: "rehearse on", App: application, Instance: a.sid, Artifact: r[1], Err: errors.Join(backup.ErrRefused, errors.New("the copy still names a file outside the scratch folder")),
					Advice: "report this: a rehearsal must not go on then; nothing was written to the file"}
			}
		}
	}
	return nil
}

// detach makes the mounted copy forget what belongs to the original beside its files: the file in which changed blocks are tracked, and flashback logs. Both statements delete files, so they are refused where those of the
// original could be on this machine [SQL].
func (a *auxiliary) detach(ctx context.Context, c *course) error {
	tracked, err := a.rows(ctx, "SELECT STATUS, FILENAME FROM V$BLOCK_CHANGE_TRACKING WHERE STATUS = 'ENABLED'")
	if err != nil {
		return err
	}
	for _, r := range tracked {
		if len(r) != 2 || !a.absent(r[1]) {
			return a.attached("block change tracking, with the file "+strings.Join(r[1:], ""), "rehearse on another machine (for names in ASM with the option elsewhere=true)")
		}
		if _, err := a.sqlplus(ctx, a.set, preamble+terminated("ALTER DATABASE DISABLE BLOCK CHANGE TRACKING")); err != nil {
			return err
		}
	}
	flashed, err := a.rows(ctx, "SELECT FLASHBACK_ON, DBID FROM V$DATABASE WHERE FLASHBACK_ON <> 'NO'")
	if err != nil || len(flashed) == 0 {
		return err
	}
	if area := c.control.inv.parameter("db_recovery_file_dest"); area == "" || !a.absent(area) {
		return a.attached("flashback logs, in "+area, "rehearse on another machine (for names in ASM with the option elsewhere=true)")
	}
	_, err = a.sqlplus(ctx, a.set, preamble+terminated("ALTER DATABASE FLASHBACK OFF"))
	return err
}

func (a *auxiliary) attached(what, advice string) error {
	return &backup.Error{Op: "rehearse on", App: application, Instance: a.sid, Err: fmt.Errorf("%w: the database has %s, which this machine may have, and which the copy would write to or delete", backup.ErrRefused, what),
		Advice: advice + ", or use the option method=validate"}
}
