package mssql

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Check implements backup.Checker. It takes one small copy-only backup, of the database model, into dir as the server names it, reads it as this process names it, and removes
// it; nothing else is written, and no chain changes. A job without dir has the backup sent to the endpoint instead, where one is configured.
func (s *Source) Check(ctx context.Context, dir backup.StageDir) []backup.Finding {
	c, err := s.open(ctx)
	if err != nil {
		return []backup.Finding{finding("server is reachable and takes the login", err)}
	}
	defer c.close()
	v, err := c.probe(ctx)
	if err != nil {
		return []backup.Finding{finding("server tells its version", s.fail(ctx, "look at", "", err))}
	}
	out := []backup.Finding{{What: fmt.Sprintf("server is reachable: %s, version %s, %s", v.name, v.version, v.edition)}}
	all, err := c.databases(ctx, v, func(string) bool { return true })
	if err != nil {
		return append(out, finding("databases can be listed", s.fail(ctx, "list the databases of", "", err)))
	}
	out = append(out, s.checkSelection(all), c.checkRights(ctx, s.selected(all)), s.checkCompression(v))
	if dir.Path == "" && s.opt.Endpoint != nil {
		return append(out, s.checkEndpoint(ctx, c, v, all))
	}
	return append(out, s.checkFile(ctx, c, dir))
}

func finding(what string, err error) backup.Finding {
	return backup.Finding{What: what, Err: err, Hint: backup.Hint(err)}
}

func (s *Source) selected(all []*facts) []*facts {
	var out []*facts
	for _, f := range all {
		if s.filter.takes(f.name) {
			out = append(out, f)
		}
	}
	return out
}

// checkSelection tells what a run would take. A single database that is missing is no error here: it would keep the run from backing up the others.
func (s *Source) checkSelection(all []*facts) backup.Finding {
	var names, simples, closed []string
	for _, f := range all {
		names = append(names, f.name)
	}
	for _, f := range s.selected(all) {
		switch {
		case f.state != online || f.standby:
			closed = append(closed, f.name)
		case f.model == simple && f.name != master:
			simples = append(simples, f.name)
		}
	}
	missing := strings.Join(s.filter.missing(names), ", ")
	if len(s.selected(all)) == 0 {
		return backup.Finding{What: "there are databases to back up", Err: errors.New("no database on the server is selected"), Hint: "the server has: " + strings.Join(names, ", ")}
	}
	what := fmt.Sprintf("%d databases to back up", len(s.selected(all)))
	if missing != "" {
		what += "; not on the server: " + missing
	}
	if len(simples) > 0 {
		what += "; without log backups, as their recovery model is SIMPLE: " + strings.Join(simples, ", ")
	}
	if len(closed) > 0 {
		what += "; in no state to be backed up now: " + strings.Join(closed, ", ")
	}
	return backup.Finding{What: what}
}

// checkRights names databases that the login may not back up; they fail in a run, and the others do not. Where the server does not answer the question, the file that is written next does.
func (c *session) checkRights(ctx context.Context, all []*facts) backup.Finding {
	r, ok, err := c.one(ctx, "SELECT IS_SRVROLEMEMBER('sysadmin') AS sysadmin, HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW SERVER STATE') AS state, "+
		"HAS_PERMS_BY_NAME(NULL, NULL, 'VIEW ANY DEFINITION') AS definition")
	if err != nil || !ok {
		return backup.Finding{What: "rights cannot be asked for on this server"}
	}
	if r.flag("sysadmin") {
		return backup.Finding{What: "login is sysadmin"}
	}
	var lacks []string
	for _, f := range all {
		if f.state != online {
			continue
		}
		name := quoteText(quoteName(f.name))
		p, ok, err := c.one(ctx, "SELECT HAS_PERMS_BY_NAME("+name+", 'DATABASE', 'BACKUP DATABASE') AS db, HAS_PERMS_BY_NAME("+name+", 'DATABASE', 'BACKUP LOG') AS log")
		if err == nil && ok && (!p.flag("db") || f.model != simple && !p.flag("log")) {
			lacks = append(lacks, f.name)
		}
	}
	const grant = "ALTER ROLE db_backupoperator ADD MEMBER ... in each of them, or exclude them"
	switch len(lacks) {
	case 0:
	case len(all):
		return backup.Finding{What: "login may back up the databases", Err: errors.New("not allowed for any"), Hint: grant}
	default:
		return backup.Finding{What: "login may not back up " + strings.Join(lacks, ", "), Hint: grant}
	}
	var notes []string
	if !r.flag("state") {
		notes = append(notes, "VIEW SERVER STATE (sizes are then estimated from files)")
	}
	if !r.flag("definition") {
		notes = append(notes, "VIEW ANY DEFINITION (chains are then judged after each backup only)")
	}
	if len(notes) > 0 {
		return backup.Finding{What: "login may back up every database, and lacks " + strings.Join(notes, " and ")}
	}
	return backup.Finding{What: "login may back up every database"}
}

func (s *Source) checkCompression(v server) backup.Finding {
	switch {
	case s.opt.Compression == CompressionOn && !v.compresses():
		return backup.Finding{What: "backups can be compressed", Err: errors.New("this edition or version does not compress"), Hint: "set the compression to auto or off"}
	case s.compresses(v):
		return backup.Finding{What: "backups are compressed by the server"}
	}
	return backup.Finding{What: "backups are not compressed by the server"}
}

// checkFile has the server write a backup that this process then reads.
func (s *Source) checkFile(ctx context.Context, c *session, dir backup.StageDir) backup.Finding {
	what := "a backup written by the server can be read by this process"
	if dir.Path == "" {
		return finding(what, &backup.Error{Op: "check the stage", App: application, Instance: s.instance, Err: backup.ErrNoPath, Advice: noStage})
	}
	name := "quiesce-check-" + rand.Text() + ".bak"
	local, there := filepath.Join(dir.Path, name), filepath.Join(dir.Path, name)
	if dir.ServerPath != "" {
		there = serverJoin(dir.ServerPath, name)
	}
	err := s.tryFile(ctx, c, local, there)
	if rerr := os.Remove(local); err == nil {
		err = rerr
	}
	return finding(what, s.fail(ctx, "check the stage", dir.Path, err))
}

func (s *Source) tryFile(ctx context.Context, c *session, local, there string) error {
	st := backupStatement("model", []device{{Path: there}}, backupOptions{copyOnly: true, noChecksum: s.opt.NoChecksum, name: "Quiesce check of the stage"})
	// Another job may be checking its own stage at this moment.
	if err := s.patiently(ctx, func() error { return c.run(ctx, st, nil) }, func() {}); err != nil {
		return err
	}
	f, err := os.Open(local)
	if err != nil {
		return &backup.Error{Op: "check the stage", App: application, Instance: s.instance, Artifact: local, Err: err, Advice: fmt.Sprintf(
			"the server wrote %s: let both names be those of one shared folder (dir and server dir), and let this process read what the server's account writes", there)}
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, 8)
	if _, err := io.ReadFull(f, head); err != nil {
		return fmt.Errorf("read %s: %w", local, err)
	}
	if !mtf.Match(head) {
		return fmt.Errorf("%s is not the backup that the server wrote to %s: it begins with % x", local, there, head)
	}
	return nil
}

// serverJoin joins a file to a folder of the server, in the style of that folder: the server may run on another system than this process.
func serverJoin(dir, file string) string {
	if strings.Contains(dir, `\`) {
		return strings.TrimRight(dir, `\`) + `\` + file
	}
	return path.Join(dir, file)
}

var _ backup.Checker = (*Source)(nil)
