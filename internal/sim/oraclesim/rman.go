package oraclesim

import (
	"context"
	"encoding/json"
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

// request is what BACKUP is to make.
type request struct {
	copies     bool
	level      int
	cumulative bool
	format     string
	tag        string
	files      []*dataFile
	database   bool
	logs       bool
	ranges     []logRange // of logs; none: all
	missing    bool       // NOT BACKED UP
	control    bool
	spfile     bool
}

// logRange is SEQUENCE BETWEEN n AND n THREAD n.
type logRange struct{ from, to, thread int }

func (q *request) wants(l *archivedLog) bool {
	return len(q.ranges) == 0 || slices.ContainsFunc(q.ranges, func(g logRange) bool {
		return l.Thread == g.thread && int(l.Sequence) >= g.from && int(l.Sequence) <= g.to
	})
}

func (q *request) rangeOf(r *reader) bool {
	var n [3]int
	for k, word := range []string{"", "AND", "THREAD"} {
		if word != "" && !r.take(word) {
			return false
		}
		text, ok := r.number()
		var err error
		if n[k], err = strconv.Atoi(text); !ok || err != nil {
			return false
		}
	}
	q.ranges = append(q.ranges, logRange{n[0], n[1], n[2]})
	return true
}

func (m *rman) backup(a *act) error {
	q, err := m.request(a)
	if err != nil {
		return err
	}
	def(&q.format, m.format)
	def(&q.format, filepath.Join(m.home(), "%U"))
	def(&q.tag, "TAG"+m.config.Now().Format("20060102T150405"))
	if m.ctl.LogMode != "ARCHIVELOG" && m.state == Open && (len(q.files) > 0 || q.logs) {
		return fault(19602, "cannot backup or copy active file in NOARCHIVELOG mode")
	}
	if err := m.backupFiles(a, q); err != nil {
		return err
	}
	if q.logs {
		if err := m.backupLogs(a, q); err != nil {
			return err
		}
	}
	// The control file goes with file 1.
	if q.control || len(q.files) > 0 && q.files[0].No == 1 {
		if err := m.backupOther(a, q, "controlfile"); err != nil {
			return err
		}
	}
	if q.spfile || len(q.files) > 0 && q.files[0].No == 1 && m.spfile != "" {
		return m.backupOther(a, q, "spfile")
	}
	return nil
}

// request reads the clauses of BACKUP.
func (m *rman) request(a *act) (*request, error) {
	q, r := &request{level: -1}, a.r
	for !r.end() {
		switch {
		case r.take("AS COPY"):
			q.copies = true
		case r.take("AS COMPRESSED BACKUPSET"), r.take("AS BACKUPSET"), r.take("DEVICE TYPE DISK"), r.take("REUSE"), r.take("FORCE"):
		case r.take("COPIES"):
			if n, ok := r.number(); !ok || n != "1" || q.copies {
				return nil, syntax(a.note.Text)
			}
		case r.take("INCREMENTAL LEVEL"):
			n, _ := r.number()
			level, err := strconv.Atoi(n)
			if err != nil || level > 1 {
				return nil, syntax(a.note.Text)
			}
			q.level, q.cumulative = level, r.take("CUMULATIVE")
		case r.take("FORMAT"), r.take("( FORMAT"):
			q.format = anyText(r)
		case r.take("TAG"):
			q.tag = anyText(r)
		case r.take("PLUS ARCHIVELOG"):
			if q.copies && q.level >= 0 {
				return nil, syntax(a.note.Text)
			}
			q.logs = true
		case r.take("INCLUDE CURRENT CONTROLFILE"), r.take("CURRENT CONTROLFILE"):
			q.control = true
		case r.take("SPFILE"):
			q.spfile = true
		case r.take("ARCHIVELOG ALL"):
			q.logs = true
		case r.take("ARCHIVELOG SEQUENCE BETWEEN"):
			if q.logs = true; !q.rangeOf(r) {
				return nil, syntax(a.note.Text)
			}
		case r.take("NOT BACKED UP"):
			q.missing = true
			if _, ok := r.number(); ok && !r.take("TIMES") {
				return nil, syntax(a.note.Text)
			}
		case r.take("DATABASE"):
			q.files, q.database = m.ctl.Files, true
		case r.take("TABLESPACE"):
			name, _ := r.name()
			t := m.ctl.tablespaceNamed(name, a.session.conID)
			if t == nil {
				return nil, errors.New("RMAN-20202: Tablespace not found in the recovery catalog")
			}
			q.files = m.ctl.filesOf(t.No)
		case r.take("DATAFILE"):
			for more := true; more; more = r.take(",") {
				f, err := a.fileArgument()
				if err != nil {
					return nil, errors.New("RMAN-20201: datafile not found in the recovery catalog")
				}
				q.files = append(q.files, f)
			}
		default:
			return nil, syntax(a.note.Text)
		}
	}
	return q, nil
}

// backupFiles backs up data files, as copies, or in as many sets as there are channels.
func (m *rman) backupFiles(a *act, q *request) error {
	files := slices.DeleteFunc(slices.Clone(q.files), func(f *dataFile) bool {
		_, err := os.Stat(f.Name)
		return !f.online() && q.database && err != nil
	})
	if q.copies {
		if q.level == 1 {
			return syntax(a.note.Text) // [RMAN] INCREMENTAL LEVEL 1 makes sets
		}
		for n, f := range files {
			if n > 0 {
				if err := a.session.inside(a.ctx, a.note); err != nil {
					return err
				}
			}
			image, about, err := m.imageOf(f)
			if err != nil {
				return err
			}
			if err := m.writeCopy(q, f, image, about); err != nil {
				return err
			}
		}
		return nil
	}
	per := max(1, (len(files)+max(1, m.channels)-1)/max(1, m.channels))
	first := true
	for some := range slices.Chunk(files, per) {
		set := piece{Kind: "database", Tag: q.tag, Level: q.level}
		var contents [][]byte
		for _, f := range some {
			if !first {
				if err := a.session.inside(a.ctx, a.note); err != nil {
					return err
				}
			}
			first = false
			image, about, err := m.imageOf(f)
			if err != nil {
				return err
			}
			if base := m.base(f.No, q); q.level == 1 && base != 0 {
				about.Base = base
				if image, err = changedSince(image, f.BlockSize, base); err != nil {
					return err
				}
			}
			set.Files, contents = append(set.Files, about), append(contents, image)
		}
		path, err := m.Instance.format(q.format, nil)
		if err != nil {
			return err
		}
		set.Handle = path
		m.out.WriteString("piece handle=" + path + " tag=" + q.tag + " comment=NONE\n")
		if err := a.writePiece(set, contents...); err != nil {
			return err
		}
	}
	return nil
}

// base is the checkpoint of the last backup of level 0, or 1 unless cumulative; 0: none, so that level 1 becomes 0.
func (m *rman) base(no int, q *request) (scn uint64) {
	for _, p := range m.ctl.Pieces {
		for _, f := range p.Files {
			if f.No == no && p.Resets == m.ctl.incarnation().SCN && p.Status == "A" && (p.Level == 0 || p.Level == 1 && !q.cumulative) {
				scn = max(scn, f.Checkpoint)
			}
		}
	}
	return scn
}

func (m *rman) writeCopy(q *request, f *dataFile, image []byte, about pieceFile) error {
	path, err := m.Instance.format(q.format, f)
	if err != nil {
		return err
	}
	m.out.WriteString("output file name=" + path + " tag=" + q.tag + "\n")
	about.Name = path
	return m.enterCopy(path, q, image, about)
}

// enterCopy writes an image copy and enters it.
func (m *rman) enterCopy(path string, q *request, image []byte, about pieceFile) error {
	if err := os.WriteFile(path, image, 0o640); err != nil {
		return stack(fault(19504, "failed to create file \"%s\"", path), fault(27040, "file create error, unable to create file"))
	}
	m.ctl.Pieces = append(m.ctl.Pieces, &piece{Key: len(m.ctl.Pieces) + 1, Handle: path, Kind: "copy", Tag: q.tag, Bytes: int64(len(image)), Done: m.config.Now(), Level: q.level, Status: "A",
		Files: []pieceFile{about}, Resets: m.ctl.incarnation().SCN})
	return m.saveControl()
}

func (m *rman) backupLogs(a *act, q *request) error {
	// With an end, as a sequence is one, no log is switched [RMAN].
	if m.state == Open && !m.readOnly && len(q.ranges) == 0 {
		for _, t := range m.ctl.sortedThreads() {
			if err := m.switchLog(t); err != nil {
				return err
			}
		}
		if err := m.archivePending("FGRD"); err != nil {
			return err
		}
	}
	set := piece{Kind: "archivelog", Tag: q.tag, Level: -1}
	var contents [][]byte
	var saved []*archivedLog
	for _, l := range m.ctl.Archived {
		known := slices.ContainsFunc(set.Files, func(f pieceFile) bool { return f.Thread == l.Thread && f.Sequence == l.Sequence && f.First == l.First })
		if l.Deleted || l.Status != "A" || known || l.ResetlogsSCN != m.ctl.incarnation().SCN && len(q.ranges) > 0 || !q.wants(l) || q.missing && l.Backups > 0 {
			continue
		}
		b, err := os.ReadFile(l.Name)
		if err != nil {
			if m.elsewhere(l) {
				continue // the same log at another destination does
			}
			return fmt.Errorf("RMAN-06059: expected archived log not found, loss of archived log compromises recoverability\n%s",
				message(stack(fault(19625, "error identifying file %s", l.Name), fault(27037, "unable to obtain file status"))))
		}
		set.Files, contents, saved = append(set.Files, pieceFile{Thread: l.Thread, Sequence: l.Sequence, First: l.First, Next: l.Next, Name: l.Name}), append(contents, b), append(saved, l)
	}
	if len(set.Files) == 0 && len(q.ranges) > 0 {
		return errors.New("RMAN-20242: specification does not match any archived log in the repository")
	}
	if len(set.Files) == 0 {
		m.out.WriteString("specification does not match any archived log in the repository\n")
		return nil
	}
	path, err := m.Instance.format(q.format, nil)
	if err != nil {
		return err
	}
	set.Handle = path
	for _, l := range saved {
		l.Backups++
	}
	return a.writePiece(set, contents...)
}

// elsewhere reports whether a log whose file is gone is at another destination.
func (m *rman) elsewhere(l *archivedLog) bool {
	return slices.ContainsFunc(m.ctl.Archived, func(o *archivedLog) bool {
		_, err := os.Stat(o.Name)
		return o.Thread == l.Thread && o.Sequence == l.Sequence && o.First == l.First && !o.Deleted && o.Status == "A" && err == nil
	})
}

func (m *rman) backupOther(a *act, q *request, kind string) error {
	format := q.format
	if !strings.ContainsAny(format, "Uu") && len(q.files) > 0 {
		format = "%U" // the format names data files only
	}
	path, err := m.Instance.format(format, m.ctl.Files[0])
	if err != nil {
		return err
	}
	var content []byte
	if kind == "controlfile" {
		c, err := m.copyControl()
		if err != nil {
			return err
		}
		text, err := json.Marshal(c)
		if err != nil {
			return err
		}
		content = controlImage(c, text)
		if q.copies {
			return m.enterCopy(path, q, content, pieceFile{Name: path, Checkpoint: m.scn})
		}
	} else if content, err = os.ReadFile(m.spfile); err != nil {
		return errors.New("RMAN-06062: cannot backup SPFILE because the instance was not started with SPFILE")
	}
	return a.writePiece(piece{Handle: path, Kind: kind, Tag: q.tag, Level: -1, Files: []pieceFile{{Name: kind, Checkpoint: m.scn}}}, content)
}
