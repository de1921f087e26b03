package oracle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// What Contents.Files calls things.
const (
	fileControl      = "control_file"
	fileTrace        = "control_trace"
	fileServerPfile  = "server_pfile"
	filePfile        = "pfile"
	filePasswords    = "password_file"
	fileTemps        = "temp_files"
	artifactControl  = "control/control.ctl"
	artifactTrace    = "control/control.sql"
	artifactServer   = "config/server-pfile.ora"
	artifactPfile    = "config/init.ora"
	artifactPassword = "config/password-file"
	artifactTemps    = "config/tempfiles.sql"
)

// surroundings takes what a restore needs beside data files and logs: the control file, which must be younger than they are [BRU 29.6], the parameters, the password file, what
// makes the temporary files anew, and last the inventory, which lists it all.
func (r *run) surroundings(ctx context.Context) error {
	room, err := r.s.scratch(r.st.Dir(), r.req.Job)
	if err != nil {
		return err
	}
	for _, take := range []func(context.Context, scratch) error{r.controlFile, r.trace, r.serverPfile} {
		if err := take(ctx, room); err != nil {
			return err
		}
	}
	if err := r.passwordFile(ctx); err != nil {
		return err
	}
	if err := r.text(ctx, filePfile, artifactPfile, backup.RoleConfig, pfile(r.inv)); err != nil {
		return err
	}
	if err := r.text(ctx, fileTemps, artifactTemps, backup.RoleConfig, tempScript(r.inv)); err != nil {
		return err
	}
	r.inv.Backup.Doubts = r.doubtful
	list, err := json.MarshalIndent(r.inv, "", "  ")
	if err != nil {
		return err
	}
	return r.text(ctx, "", InventoryName, backup.RoleControl, string(list)+"\n")
}

// scratch is a folder that the server writes into and this process reads from.
type scratch struct {
	server string
	// name begins the names of files in it; it is the same in each run of a job, so that a run that dies leaves no more than one set.
	name string
	// ours is the folder as this process names it, where the two differ.
	ours string
}

func (s *Source) scratch(stage backup.StageDir, job string) (scratch, error) {
	out := scratch{server: s.opt.ScratchDir, name: "quiesce-" + strings.ToLower(short(job, 12))}
	if out.server != "" {
		return out, nil
	}
	if stage.Path == "" {
		return out, &backup.Error{Op: "copy the control file of", App: application, Instance: s.instance, Err: backup.ErrNoPath,
			Advice: "the server writes the copy itself: set Options.ScratchDir to a folder that it may write to, or give the job a stage directory"}
	}
	out.server, out.ours = stage.Path, stage.Path
	if stage.ServerPath != "" {
		out.server = stage.ServerPath
	}
	return out, nil
}

// paths are those of one file, for the server and for us.
func (s scratch) paths(suffix string) (server, ours string) {
	server = joinServer(s.server, s.name+suffix)
	if s.ours == "" {
		return server, server
	}
	return server, filepath.Join(s.ours, s.name+suffix)
}

// byServer has the server write a file, takes it over and removes it.
func (r *run) byServer(ctx context.Context, room scratch, suffix, statement string, a backup.Artifact, what string, check func(in *passing) error) error {
	server, ours := room.paths(suffix)
	err := r.s.with(ctx, func(c *session) error { return c.exec(ctx, fmt.Sprintf(statement, quoteText(server))) })
	if err != nil {
		return r.s.fail(ctx, "have the server write", server, err)
	}
	r.st.Moved()
	err = r.pass(ctx, a, ours, check)
	if rerr := r.files.remove(context.WithoutCancel(ctx), ours); rerr != nil && !missing(rerr) && err == nil {
		r.warn("%s could not be removed; the next run replaces it: %v", ours, rerr)
	}
	if err != nil {
		return r.s.unreadable(ctx, ours, err)
	}
	r.inv.Backup.Files[what] = a.Name
	return nil
}

// unreadable says what to do when this process cannot read what the server wrote.
func (s *Source) unreadable(ctx context.Context, path string, err error) error {
	if advice(err) != "" || errors.Is(err, backup.ErrCorrupt) || ctx.Err() != nil {
		return s.fail(ctx, "read what the server wrote to", path, err)
	}
	return &backup.Error{Op: "read what the server wrote to", App: application, Instance: s.instance, Artifact: path, Err: err,
		Advice: "the file belongs to the account of the server: let this process run under it or in its group, in a folder that both see under one name, or use remote mode"}
}

func (r *run) controlFile(ctx context.Context, room scratch) error {
	a := backup.Artifact{Name: artifactControl, Item: itemName, Role: backup.RoleControl}
	return r.byServer(ctx, room, ".ctl", "ALTER DATABASE BACKUP CONTROLFILE TO %s REUSE", a, fileControl, func(in *passing) error { return in.doubt(r.inv.checkControl(ctx, in)) })
}

// through reads a text that has nothing to be checked by.
func through(in *passing) error {
	n, err := io.Copy(struct{ io.Writer }{io.Discard}, in)
	if err == nil && n == 0 {
		err = errors.New("the server wrote an empty file")
	}
	return err
}

func (r *run) trace(ctx context.Context, room scratch) error {
	a := backup.Artifact{Name: artifactTrace, Item: itemName, Role: backup.RoleControl}
	return r.byServer(ctx, room, ".sql", "ALTER DATABASE BACKUP CONTROLFILE TO TRACE AS %s REUSE", a, fileTrace, through)
}

// serverPfile has the server write its parameters: those of its spfile, or of its memory where it was started without one. It takes an administrative privilege [SQL]; without
// that, our own list must do.
func (r *run) serverPfile(ctx context.Context, room scratch) error {
	a := backup.Artifact{Name: artifactServer, Item: itemName, Role: backup.RoleConfig}
	from := "SPFILE"
	if r.inv.parameter("spfile") == "" {
		from = "MEMORY"
	}
	err := r.byServer(ctx, room, ".ora", "CREATE PFILE=%s FROM "+from, a, fileServerPfile, through)
	if err != nil && from == "SPFILE" && len(codes(err)) > 0 && !said(err, oraNoRights) {
		err = r.byServer(ctx, room, ".ora", "CREATE PFILE=%s FROM MEMORY", a, fileServerPfile, through)
	}
	if said(err, oraNoRights) {
		r.warn("the parameters were listed from V$PARAMETER only: CREATE PFILE needs SYSBACKUP or SYSDBA")
		return nil
	}
	return err
}

// passwordFile takes it where it is known and readable. A database can do without: ORAPWD makes another.
func (r *run) passwordFile(ctx context.Context) error {
	path := r.inv.PasswordFile
	switch {
	case path == "" && r.inv.parameter("remote_login_passwordfile") == "NONE":
		return nil
	case path == "":
		r.warn("the password file is not in the backup: this version, or the rights of the login, do not tell where it is; ORAPWD makes another")
		return nil
	case strings.HasPrefix(path, "+"):
		r.warn("the password file %s is in ASM, and not in the backup", path)
		return nil
	}
	err := r.pass(ctx, backup.Artifact{Name: artifactPassword, Item: itemName, Role: backup.RoleConfig, Meta: map[string]string{"path": path}}, path, through)
	switch {
	case err == nil:
		r.inv.Backup.Files[filePasswords] = artifactPassword
		return nil
	case ctx.Err() != nil:
		return err
	}
	r.warn("the password file is not in the backup: %v", err)
	return nil
}

// text writes an artifact of our own.
func (r *run) text(ctx context.Context, what, name string, role backup.Role, text string) error {
	w, err := r.st.Create(ctx, backup.Artifact{Name: name, Item: itemName, Role: role})
	if err != nil {
		return err
	}
	defer func() { _ = w.Close() }()
	sum := newSum()
	if _, err := io.Copy(io.MultiWriter(w, sum), strings.NewReader(text)); err != nil {
		return err
	}
	if what != "" {
		r.inv.Backup.Files[what] = name
	}
	return keep(w, sum)
}

// pfile lists the parameters that are not at their default as an init file. It is what V$PARAMETER says: values of the instance that was asked.
func pfile(inv *Inventory) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Parameters of %s that were not at their default, from V$PARAMETER of instance %s at SCN %d.\n", inv.Name, inv.InstanceName, inv.CurrentSCN)
	lists := []string{"control_files", "event"} // values of these hold commas that separate
	for _, p := range inv.Parameters {
		switch {
		case p.Name == "spfile":
			fmt.Fprintf(&b, "# The instance was started with the spfile %s.\n", p.Value)
		case slices.Contains(lists, p.Name):
			fmt.Fprintf(&b, "*.%s=%s\n", p.Name, quoteList(p.Value))
		default:
			fmt.Fprintf(&b, "*.%s=%s\n", p.Name, quoteText(p.Value))
		}
	}
	return b.String()
}

func quoteList(value string) string {
	parts := strings.Split(value, ",")
	for i, p := range parts {
		parts[i] = quoteText(strings.TrimSpace(p))
	}
	return strings.Join(parts, ",")
}

// tempScript makes the temporary files anew: their content is worth nothing, and they are never copied [BRU 29.4].
func tempScript(inv *Inventory) string {
	var b strings.Builder
	b.WriteString("-- Temporary files are not in a backup. Run this once the restored database is open.\n")
	container := 0
	for _, f := range inv.TempFiles {
		if f.Container != container && f.Container > 0 {
			container = f.Container
			fmt.Fprintf(&b, "ALTER SESSION SET CONTAINER = %s;\n", quoteName(inv.containerName(container)))
		}
		size := ""
		if f.Bytes > 0 {
			size = fmt.Sprintf(" SIZE %d", f.Bytes)
		}
		fmt.Fprintf(&b, "ALTER TABLESPACE %s ADD TEMPFILE %s%s REUSE;\n", quoteName(f.TablespaceName), quoteText(f.Name), size)
	}
	return b.String()
}

func (inv *Inventory) containerName(id int) string {
	for _, c := range inv.Containers {
		if c.ID == id {
			return c.Name
		}
	}
	return "CDB$ROOT"
}
