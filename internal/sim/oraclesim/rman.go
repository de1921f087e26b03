package oraclesim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rman is one run of RMAN.
type rman struct {
	console
	out      strings.Builder
	login    Login
	format   string // of ALLOCATE CHANNEL
	channels int
	id       string // SET COMMAND ID
	newNames map[int]string
	newTemps map[int]string
	allNames string
	untilSCN uint64
	untilAt  string
	untilSeq [2]int // sequence, thread
	logDir   string
	onlyTag  string // FROM TAG
}

func (i *Instance) rman(ctx context.Context, c Call) Result {
	m := &rman{console: console{Instance: i, program: "rman"}, newNames: map[int]string{}, newTemps: map[int]string{}}
	defer m.close()
	m.out.WriteString("Recovery Manager: Release " + i.config.Version + " - Production\n\n")
	if !strings.Contains(strings.ToLower(strings.Join(c.Args, " ")), "target") && !strings.Contains(strings.ToUpper(c.Input), "CONNECT TARGET") {
		return m.failed("command", errors.New("RMAN-06171: not connected to target database"))
	}
	if strings.Contains(strings.ToLower(strings.Join(c.Args, " ")), "target") {
		m.greet()
	}
	commands, err := rmanCommands(c.Input)
	if err != nil {
		return m.failed("command", err)
	}
	if slices.Contains(c.Args, "checksyntax") {
		return Result{m.out.String() + "The cmdfile has no syntax errors\n", 0}
	}
	for _, text := range commands {
		if word := strings.ToUpper(strings.Fields(text)[0]); word == "EXIT" || word == "QUIT" {
			break
		}
		m.out.WriteString("RMAN> " + text + "\n")
		if err := m.command(ctx, text); err != nil {
			return m.failed(strings.ToLower(strings.Fields(text)[0]), err)
		}
	}
	return Result{m.out.String() + "\nRecovery Manager complete.\n", 0}
}

// failed prints the stack of an error, after which the program ends.
func (m *rman) failed(command string, err error) Result {
	rule := "RMAN-00571: ===========================================================\n"
	m.out.WriteString(rule + "RMAN-00569: =============== ERROR MESSAGE STACK FOLLOWS ===============\n" + rule)
	if strings.HasPrefix(err.Error(), "RMAN-00558") {
		m.out.WriteString(err.Error() + "\n")
		return Result{m.out.String(), 1}
	}
	fmt.Fprintf(&m.out, "RMAN-03002: failure of %s command at %s\n%s\n", command, m.config.Now().Format("01/02/2006 15:04:05"), message(err))
	return Result{m.out.String(), 1}
}

// greet tells what RMAN is connected to.
func (m *rman) greet() {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.ctl != nil:
		fmt.Fprintf(&m.out, "connected to target database: %s (DBID=%d)\n", m.ctl.Name, m.ctl.DBID)
	case m.state == Started:
		fmt.Fprintf(&m.out, "connected to target database: %s (not mounted)\n", m.config.Name)
	default:
		m.out.WriteString("connected to target database (not started)\n")
	}
}

// target is CONNECT TARGET /, or 'user/password@service AS privilege' in either kind of quotes.
func (m *rman) target(r *reader) error {
	if r.take("/") {
		m.greet()
		return nil
	}
	text, privilege, _ := strings.Cut(anyText(r), " AS ")
	user, rest, ok := strings.Cut(text, "/")
	if !ok {
		return syntax(r.sql)
	}
	password, _, _ := strings.Cut(rest, "@")
	m.login = Login{User: user, Password: password, Privilege: strings.ToUpper(privilege)}
	s, err := m.connect(m.login, "rman")
	if err != nil {
		return errors.New("RMAN-04005: error from target database: \n" + message(err))
	}
	m.session = s
	m.greet()
	return nil
}

// rmanCommands takes a script apart. RUN { } holds commands like any other.
func rmanCommands(script string) (all []string, err error) {
	var b strings.Builder
	quote := byte(0)
	depth := 0
	flush := func() {
		if s := strings.TrimSpace(b.String()); s != "" {
			all = append(all, strings.Join(strings.Fields(s), " "))
		}
		b.Reset()
	}
	for k := 0; k < len(script); k++ {
		c := script[k]
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote = c
			b.WriteByte(c)
		case c == '#':
			for k < len(script) && script[k] != '\n' {
				k++
			}
			b.WriteByte(' ')
		case c == '{':
			if !strings.EqualFold(strings.TrimSpace(b.String()), "RUN") {
				return nil, errors.New("RMAN-00558: error encountered while parsing input commands\nRMAN-01009: syntax error: found \"{\"")
			}
			b.Reset()
			depth++
		case c == '}':
			flush()
			depth--
		case c == ';':
			flush()
		default:
			b.WriteByte(c)
		}
	}
	if strings.TrimSpace(b.String()) != "" && !strings.EqualFold(strings.TrimSpace(b.String()), "EXIT") || depth != 0 || quote != 0 {
		return nil, errors.New("RMAN-00558: error encountered while parsing input commands\nRMAN-01009: syntax error: found \"end-of-file\": expecting one of: \";\"")
	}
	flush()
	return all, nil
}

// command runs one, by the same session as SQL: hooks see it.
func (m *rman) command(ctx context.Context, text string) error {
	r, err := read(text)
	if err != nil {
		return err
	}
	switch {
	case r.take("CONNECT TARGET"):
		return m.target(r)
	case r.take("CONFIGURE"), r.take("RELEASE CHANNEL"), r.take("SHOW"), r.take("LIST"), r.take("REPORT"), r.take("SET ECHO"), r.take("SPOOL"):
		return nil
	case r.take("ALLOCATE CHANNEL"):
		m.channels++
		if _, f, ok := strings.Cut(text, "FORMAT"); ok {
			m.format = strings.Trim(strings.TrimSpace(f), `'"`)
		}
		return nil
	case r.take("SQL"):
		inner := strings.TrimSpace(text[3:])
		if len(inner) > 1 && (inner[0] == '\'' || inner[0] == '"') {
			inner = strings.ReplaceAll(inner[1:len(inner)-1], "''", "'")
		}
		_, err := m.run(ctx, inner)
		return err
	case r.take("SET"):
		return m.set(r, text)
	case r.take("HOST"):
		return m.host(ctx, anyText(r))
	case r.take("ALTER"), r.take("STARTUP"), r.take("SHUTDOWN"), r.take("CREATE"), r.take("SELECT"):
		_, err := m.run(ctx, text)
		return err
	}
	return m.noted(ctx, r, text)
}

// noted runs a command of RMAN's own, with the hooks of a statement.
func (m *rman) noted(ctx context.Context, r *reader, text string) error {
	if m.session == nil || !m.session.IsValid() {
		s, err := m.connect(m.login, "rman")
		if err != nil {
			return err
		}
		m.session = s
	}
	m.mu.Lock()
	m.session.clientInfo = ""
	if m.id != "" {
		m.session.clientInfo = "id=" + m.id
	}
	m.mu.Unlock()
	note := Statement{Session: m.session.id, User: "SYS", Program: "rman", Text: text, At: m.config.Now()}
	m.mu.Lock()
	m.seen = append(m.seen, note)
	m.mu.Unlock()
	if err := m.session.hooked(ctx, note, Before); err != nil {
		return err
	}
	a := &act{Instance: m.Instance, ctx: ctx, session: m.session, note: note, r: r}
	m.mu.Lock()
	err := m.own(a)
	m.mu.Unlock()
	if herr := m.session.hooked(ctx, note, After); herr != nil {
		return herr
	}
	return err
}

func (m *rman) set(r *reader, text string) error {
	switch {
	case r.take("COMMAND ID TO"):
		m.id = anyText(r)
		return nil
	case r.take("DBID"):
		n, _ := r.number()
		id, err := strconv.ParseUint(n, 10, 32)
		m.dbid = uint32(id)
		return err
	case r.take("UNTIL"):
		return m.until(r)
	case r.take("NEWNAME FOR DATABASE TO"):
		m.allNames, _ = r.text()
		return nil
	case r.take("NEWNAME FOR DATAFILE"):
		n, _ := r.number()
		no, err := strconv.Atoi(n)
		if err != nil || !r.take("TO") {
			return syntax(text)
		}
		m.newNames[no] = anyText(r)
		return nil
	case r.take("NEWNAME FOR TEMPFILE"):
		n, _ := r.number()
		no, err := strconv.Atoi(n)
		if err != nil || !r.take("TO") {
			return syntax(text)
		}
		m.newTemps[no] = anyText(r)
		return nil
	case r.take("ARCHIVELOG DESTINATION TO"):
		m.logDir = anyText(r)
		return nil
	}
	return syntax(text)
}

// anyText is a text in either kind of quotes.
func anyText(r *reader) string {
	if s, ok := r.text(); ok {
		return s
	}
	s, _ := r.name()
	return s
}

func syntax(text string) error {
	return errors.New("RMAN-00558: error encountered while parsing input commands\nRMAN-01009: syntax error: oraclesim does not know: " + text)
}

func (m *rman) until(r *reader) error {
	switch {
	case r.take("TIME"):
		t := anyText(r)
		// to_date('..','..') and a bare date are the same here: digits.
		if _, inner, ok := strings.Cut(t, "'"); ok {
			t, _, _ = strings.Cut(inner, "'")
		}
		at, err := time.Parse("2006-01-02 15:04:05", strings.Replace(t, ":", " ", b2i(len(t) > 10 && t[10] == ':')))
		if err != nil {
			return fault(1861, "literal does not match format string")
		}
		m.untilAt = at.Format("2006-01-02:15:04:05")
	case r.take("SCN"):
		n, _ := r.number()
		scn, err := strconv.ParseUint(n, 10, 64)
		if err != nil {
			return err
		}
		m.untilSCN = scn
	case r.take("SEQUENCE"):
		n, _ := r.number()
		t := "1"
		if r.take("THREAD") {
			t, _ = r.number()
		}
		seq, err1 := strconv.Atoi(n)
		thread, err2 := strconv.Atoi(t)
		m.untilSeq = [2]int{seq, thread}
		return errors.Join(err1, err2)
	default:
		return syntax(r.sql)
	}
	return nil
}

func b2i(b bool) int { return int(b2u(b)) }

// own runs a command that is RMAN's own.
func (m *rman) own(a *act) error {
	r := a.r
	if done, err := m.restoring(a); done {
		return err
	}
	switch {
	case r.take("RESTORE"):
		return m.restore(a)
	case r.take("CATALOG"):
		return firstThen(func() error { return m.catalog(a) }, a.atLeastMounted)
	}
	if err := a.atLeastMounted(); err != nil {
		return err
	}
	switch {
	case r.take("BACKUP"):
		return m.backup(a)
	case r.take("RECOVER DATABASE"):
		return m.recover(a)
	case r.take("SWITCH DATAFILE ALL"), r.take("SWITCH DATABASE TO COPY"):
		return m.switchAll(a)
	case r.take("VALIDATE BACKUPSET"):
		return m.validateSets(a)
	case r.take("VALIDATE DATABASE"), r.take("VALIDATE CHECK LOGICAL DATABASE"), r.take("BACKUP VALIDATE"):
		return m.validate(a)
	case r.take("CROSSCHECK"):
		return m.crosscheck()
	case r.take("CHANGE"):
		return m.change(a)
	case r.take("DELETE"):
		return m.remove(a)
	}
	return syntax(a.note.Text)
}

// crosscheck marks what is not there any more.
func (m *rman) crosscheck() error {
	for _, p := range m.ctl.Pieces {
		if p.Status == "D" {
			continue
		}
		p.Status = "A"
		if _, err := os.Stat(p.Handle); err != nil {
			p.Status = "X"
		}
	}
	for _, l := range m.ctl.Archived {
		if l.Deleted {
			continue
		}
		l.Status = "A"
		if _, err := os.Stat(l.Name); err != nil {
			l.Status = "X"
		}
	}
	return m.saveControl()
}

// change is CHANGE ... UNCATALOG of one piece or copy, by its name: the file stays, the record is DELETED [RMAN].
func (m *rman) change(a *act) error {
	kinds := map[string]func(p *piece) bool{
		"BACKUPPIECE":     func(p *piece) bool { return p.Kind != "copy" },
		"DATAFILECOPY":    func(p *piece) bool { return p.Kind == "copy" && p.Files[0].No > 0 },
		"CONTROLFILECOPY": func(p *piece) bool { return p.Kind == "copy" && p.Files[0].No == 0 },
	}
	kind, _ := a.r.name()
	is, ok := kinds[kind]
	name := anyText(a.r)
	if !ok || !a.r.take("UNCATALOG") || !a.r.end() {
		return syntax(a.note.Text)
	}
	at := slices.IndexFunc(m.ctl.Pieces, func(p *piece) bool { return p.Handle == name && p.Status != "D" && is(p) })
	if at < 0 {
		return fmt.Errorf("RMAN-06160: no backup pieces found: %s", name)
	}
	m.ctl.Pieces[at].Status = "D"
	return m.saveControl()
}

// remove is DELETE [NOPROMPT] ARCHIVELOG ALL, or one by its name, and DELETE EXPIRED.
func (m *rman) remove(a *act) error {
	_ = a.r.take("NOPROMPT") // nobody is there to be asked
	expired := a.r.take("EXPIRED")
	switch {
	case a.r.take("ARCHIVELOG ALL"):
		for _, l := range m.ctl.Archived {
			if l.Deleted || expired && l.Status != "X" {
				continue
			}
			_ = os.Remove(l.Name) // it may be gone already
			l.Deleted, l.Status = true, "D"
		}
	case !expired && a.r.take("ARCHIVELOG"):
		name := anyText(a.r)
		at := slices.IndexFunc(m.ctl.Archived, func(l *archivedLog) bool { return m.shown(l.Name) == name && !l.Deleted })
		if at < 0 || !a.r.end() {
			return syntax(a.note.Text)
		}
		if err := os.Remove(m.ctl.Archived[at].Name); err != nil {
			return fault(27056, "could not delete file")
		}
		m.ctl.Archived[at].Deleted, m.ctl.Archived[at].Status = true, "D"
	case a.r.take("BACKUP"), a.r.take("COPY"):
		if !expired {
			return syntax(a.note.Text)
		}
		for _, p := range m.ctl.Pieces {
			if p.Status == "X" {
				p.Status = "D"
			}
		}
	default:
		return syntax(a.note.Text)
	}
	return m.saveControl()
}

func (m *rman) catalog(a *act) error {
	switch {
	case a.r.take("START WITH"):
		prefix := anyText(a.r)
		paths, err := filepath.Glob(prefix + "*")
		if strings.HasSuffix(prefix, "/") || err != nil {
			paths = nil
			err = filepath.WalkDir(prefix, func(path string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					paths = append(paths, path)
				}
				return err
			})
		}
		if err != nil {
			return err
		}
		for _, p := range paths {
			if err := m.catalogue(p); err != nil {
				m.out.WriteString("File Name: " + p + "\n  RMAN-07517: Reason: The file header is corrupted\n")
			}
		}
		return nil
	case a.r.take("DATAFILECOPY"), a.r.take("CONTROLFILECOPY"), a.r.take("ARCHIVELOG"), a.r.take("BACKUPPIECE"):
		for {
			path := anyText(a.r)
			if err := m.catalogue(path); err != nil {
				return err
			}
			if a.r.take("TAG") {
				m.tagged(path, anyText(a.r))
			}
			if !a.r.take(",") {
				return nil
			}
		}
	}
	return syntax(a.note.Text)
}
