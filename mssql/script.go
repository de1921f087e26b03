package mssql

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// optionFiles is the option of a script that names the folder with the fetched files, as the server sees it.
const optionFiles = "files"

// Script implements backup.Scripter: it writes a restore as T-SQL for sqlcmd, or Management Studio in SQLCMD mode. The statements are those that Restore would run, in
// their order, on the files that Pipeline.Fetch writes below the folder that the option "files" names; without it the script says where to put it.
//
// When the server can be asked, the script fits it as it is now: which databases exist, where their files go, and what stands against the restore, which
// is then an error as it would be of Restore. When it cannot be asked, files keep their places, and the script says so.
func (s *Source) Script(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, w io.Writer) error {
	options := maps.Clone(r.Options)
	folder := options[optionFiles]
	delete(options, optionFiles)
	o, err := parseRestoreOptions(options)
	if err != nil {
		return s.fail(ctx, "script", "", err)
	}
	courses, err := s.coursesOf(r, set, o)
	if err != nil {
		return err
	}
	h, unasked, err := s.fit(ctx, r, courses)
	if err != nil {
		return err
	}
	out := &script{w: bufio.NewWriter(w), folder: folder, separator: separatorOf(folder + h.dataDir)}
	out.head(r.Target, unasked)
	for _, t := range courses {
		out.database(t)
	}
	if err := errors.Join(out.err, out.w.Flush()); err != nil {
		return s.fail(ctx, "script", "", err)
	}
	return nil
}

// fit makes the courses fit the server, as for a restore. When the server is not there, unasked says why, and only the plan is checked. A script for master is for a server
// in another mode than the one that is asked.
func (s *Source) fit(ctx context.Context, r backup.RestoreRequest, courses []*course) (h *host, unasked, err error) {
	h = &host{}
	c, unasked := s.open(ctx)
	if unasked == nil {
		defer c.close()
		if h, unasked = c.host(ctx); unasked != nil {
			h = &host{}
		}
	}
	if ctx.Err() != nil {
		return nil, nil, s.fail(ctx, "script", "", unasked)
	}
	p := &preflight{src: s, host: h, overwrite: r.Overwrite, log: r.Log, courses: courses, unknown: unasked != nil, script: true}
	return h, unasked, p.run()
}

// separatorOf is the separator of the paths of a server, told by one of them.
func separatorOf(path string) string {
	if strings.Contains(path, "/") && !strings.Contains(path, `\`) {
		return "/"
	}
	return `\`
}

// script writes text for sqlcmd and keeps the first error.
type script struct {
	w         *bufio.Writer
	folder    string
	separator string
	err       error
}

func (s *script) line(format string, args ...any) {
	if _, err := fmt.Fprintf(s.w, format+"\n", args...); err != nil && s.err == nil {
		s.err = err
	}
}

// comment writes a remark. What comes from names is printed so that it stays on its line.
func (s *script) comment(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.line("-- %s", strings.NewReplacer("\r", " ", "\n", " ").Replace(text))
}

// batch writes one statement. A line that is GO by itself would end it in the middle, even in a quoted name.
func (s *script) batch(st statement) {
	if strings.ContainsAny(st.SQL, "\r\n") && s.err == nil {
		s.err = fmt.Errorf("%w: %s: a name holds a line break, which a script cannot", backup.ErrRefused, st.What)
	}
	text := strings.ReplaceAll(st.SQL, "$(", dollarVariable+"(") // in a name it is no variable
	s.line("%s;\nGO", strings.ReplaceAll(text, inFolder, folderVariable))
}

// Variables of the script.
const (
	folderVariable = "$(Folder)"
	dollarVariable = "$(Dollar)"
)

// inFolder marks, in the text of a device, where the variable of the folder goes.
const inFolder = "\x00"

// file is a fetched artifact as the script names it.
func (s *script) file(l link, e backup.Entry) device {
	return device{Path: inFolder + strings.ReplaceAll("/"+l.step.Path(e), "/", s.separator)}
}

func (s *script) head(t backup.Target, unasked error) {
	s.comment("Restores databases of SQL Server. Run it with: sqlcmd -S SERVER -b -i THIS_FILE, or in Management Studio in SQLCMD mode.")
	s.comment("The state it restores: %s.", targetText(t))
	s.comment("First fetch the files of this plan into a folder that the server's account can read, and name it below as the server sees it.")
	if unasked != nil {
		s.comment("The server was not asked (%v): it is assumed that none of the databases exists and that files go where they came from.", unasked)
	}
	s.variables()
}

// variables begins the statements.
func (s *script) variables() {
	folder := s.folder
	if folder == "" {
		folder = `C:\restore`
		if s.separator == "/" {
			folder = "/var/opt/mssql/restore"
		}
	}
	s.line(":on error exit")
	s.line(":setvar Folder %s", quoteVariable(folder))
	s.line(":setvar Dollar \"$\"")
	s.line("USE [master];\nGO")
}

// quoteVariable writes a value for :setvar.
func quoteVariable(v string) string { return `"` + strings.ReplaceAll(v, `"`, `""`) + `"` }

func targetText(t backup.Target) string {
	switch {
	case t.ID != "":
		return "the end of backup " + string(t.ID)
	case t.Position != "" && t.After:
		return "position " + string(t.Position) + ", included"
	case t.Position != "":
		return "just before position " + string(t.Position)
	case !t.Time.IsZero():
		return t.Time.Format("2006-01-02 15:04:05.9999999 -07:00")
	}
	return "the latest"
}

// database writes the statements of one.
func (s *script) database(t *course) {
	s.line("")
	s.comment("Database %q, as %q: %d backups.", t.item, t.name, len(t.links)-t.done)
	for _, thumb := range t.thumbprints() {
		s.comment("It needs the certificate or key with thumbprint 0x%s in master: CREATE CERTIFICATE ... FROM FILE ... WITH PRIVATE KEY.", strings.ToUpper(thumb))
	}
	if isMaster(t.name) {
		s.comment("For master: %s.", masterSteps)
	}
	if t.done > 0 {
		s.comment("The database is restoring already and has the first %d backups: they are left out.", t.done)
	}
	if t.options.stop == stopAtMark || t.options.stop == stopBeforeMark {
		s.comment("A log that holds the mark ends the sequence: leave out the logs behind it. One that ends before it says so in message %d.", infoStopBehind)
	}
	for _, st := range t.before() {
		s.batch(st)
	}
	for i := t.done; i < len(t.links); i++ {
		l := t.links[i]
		s.comment("Step %d of %d: %s of %s, finished %s, LSN %s to %s.", i+1, len(t.links), l.set.Type.Kind(), l.step.ID,
			l.set.Finished.Format("2006-01-02 15:04:05Z07:00"), l.set.FirstLSN, l.set.LastLSN)
		var devices []device
		for _, e := range l.entries {
			devices = append(devices, s.file(l, e))
		}
		s.batch(t.apply(i, devices))
	}
	if st, ok := t.finish(); ok {
		s.batch(st)
	}
	for _, st := range t.after() {
		s.batch(st)
	}
}

var _ backup.Scripter = (*Source)(nil)
