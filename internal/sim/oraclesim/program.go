package oraclesim

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Call is a run of one of the fake programs.
type Call struct {
	// Args are those of the command line, the program's name first: sqlplus or rman.
	Args []string
	// Input is what comes on standard input, or the file that was named on the command line.
	Input string
	// SID is ORACLE_SID of the environment.
	SID string
}

// Result is what a program answers.
type Result struct {
	Output string
	Exit   int
}

// RunProgram runs sqlplus or rman on the host of the instance, as the operating system's administrator: "/ as sysdba".
func (i *Instance) RunProgram(ctx context.Context, c Call) Result {
	if len(c.Args) == 0 {
		return Result{"oraclesim: no program", 1}
	}
	switch strings.TrimSuffix(filepath.Base(c.Args[0]), ".exe") {
	case "sqlplus":
		return i.sqlplus(ctx, c)
	case "rman":
		return i.rman(ctx, c)
	}
	return Result{"oraclesim does not know the program " + c.Args[0], 1}
}

// SocketVariable names the environment variable that tells [Program] where the instance listens.
const SocketVariable = "ORACLESIM_SOCKET"

// Listen serves programs of other processes on a Unix socket until ctx ends. It returns at once; the function it returns waits for the end.
func (i *Instance) Listen(ctx context.Context, path string) (wait func(), err error) {
	return listen(ctx, path, i.RunProgram)
}

// Program is the main function of the fake programs: it has the instance that listens at socket run them and returns the exit status. Files on the command line (@f, cmdfile, log) are
// this process's.
func Program(ctx context.Context, socket string, args []string, in io.Reader, out io.Writer) (int, error) {
	input, log, err := programFiles(args, in)
	if err != nil {
		return 1, err
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return 1, err
	}
	defer c.Close()
	if err := json.NewEncoder(c).Encode(Call{Args: args, Input: input, SID: os.Getenv("ORACLE_SID")}); err != nil {
		return 1, err
	}
	var res Result
	if err := json.NewDecoder(c).Decode(&res); err != nil {
		return 1, err
	}
	if log == "" {
		_, err = io.WriteString(out, res.Output)
		return res.Exit, err
	}
	return res.Exit, os.WriteFile(log, []byte(res.Output), 0o640)
}

// programFiles reads the script that the command line names, or standard input, and finds the log.
func programFiles(args []string, in io.Reader) (input, log string, err error) {
	script := ""
	for n, arg := range args {
		name, value, joined := strings.Cut(arg, "=")
		if !joined && n+1 < len(args) {
			value = args[n+1]
		}
		switch {
		case strings.HasPrefix(arg, "@"):
			script = arg[1:]
		case strings.EqualFold(name, "cmdfile"):
			script = value
		case strings.EqualFold(name, "log"), strings.EqualFold(name, "msglog"):
			log = value
		}
	}
	if script == "" {
		b, err := io.ReadAll(in)
		return string(b), log, err
	}
	b, err := os.ReadFile(strings.Trim(script, `'"`))
	return string(b), log, err
}

// command runs what programs may send beside SQL. done: it was such a command.
func (a *act) command() (done bool, err error) {
	switch {
	case a.r.take("STARTUP"):
		return true, a.startupCommand()
	case a.r.take("SHUTDOWN"):
		mode, _ := a.r.name()
		if !a.r.end() || mode != "" && !slices.Contains([]string{"NORMAL", "IMMEDIATE", "TRANSACTIONAL", "ABORT"}, mode) {
			return true, unknown(a.note.Text)
		}
		if mode == "ABORT" {
			a.crash()
			return true, nil
		}
		return true, a.shutdown()
	}
	return false, nil
}

func (a *act) startupCommand() error {
	to, pfile := Open, ""
	for !a.r.end() {
		switch {
		case a.r.take("FORCE"):
			a.crash()
		case a.r.take("RESTRICT"): // nobody logs in whom it would keep out
		case a.r.take("NOMOUNT"):
			to = Started
		case a.r.take("MOUNT"):
			to = Mounted
		case a.r.take("OPEN"):
			to = Open
		case a.r.take("PFILE ="):
			_, path, _ := strings.Cut(a.note.Text, "=")
			path = strings.TrimSpace(path)
			if q := path[:1]; q == "'" || q == `"` {
				path, _, _ = strings.Cut(path[1:], q)
				a.r.at++
			} else {
				path = strings.Fields(path)[0]
				for !a.r.end() && a.r.peek().text != "NOMOUNT" && a.r.peek().text != "MOUNT" {
					a.r.at++
				}
			}
			pfile = path
		default:
			return unknown(a.note.Text)
		}
	}
	return a.startup(to, pfile)
}

// console is a program's session, which outlives the instance.
type console struct {
	*Instance
	program string
	session *session
}

func (c *console) run(ctx context.Context, text string) (*table, error) {
	if c.session == nil || !c.session.IsValid() {
		s, err := c.connect(Login{}, c.program)
		if err != nil {
			return nil, err
		}
		c.session = s
	}
	return c.session.run(ctx, text, nil)
}

func (c *console) close() {
	if c.session != nil {
		_ = c.session.Close()
	}
}

// sqlplus is one run of SQL*Plus.
type sqlplus struct {
	console
	out       strings.Builder
	lines     []string
	failure   string // of WHENEVER SQLERROR: the status to exit with, "" to go on
	heading   bool
	separator string
	automatic bool
}

func (i *Instance) sqlplus(ctx context.Context, c Call) Result {
	p := &sqlplus{console: console{Instance: i, program: "sqlplus"}, lines: strings.Split(strings.ReplaceAll(c.Input, "\r", ""), "\n"), heading: true, separator: " "}
	defer p.close()
	logon := strings.ToLower(strings.Join(c.Args[1:], " "))
	if !strings.Contains(logon, "/nolog") && !strings.Contains(logon, "/ as sys") {
		return Result{"ERROR:\n" + line(1017, "invalid username/password; logon denied") + "\nSP2-0751: Unable to connect to Oracle.  Exiting SQL*Plus\n", 1}
	}
	if i.State() == Down {
		p.out.WriteString("Connected to an idle instance.\n")
	}
	for len(p.lines) > 0 {
		if exit, done := p.step(ctx); done {
			return Result{p.out.String(), exit}
		}
	}
	return Result{p.out.String(), 0}
}

// step runs the next command or statement. done: the program ends.
func (p *sqlplus) step(ctx context.Context) (exit int, done bool) {
	l := strings.TrimSpace(p.lines[0])
	p.lines = p.lines[1:]
	words := strings.Fields(strings.ToUpper(strings.TrimSuffix(l, ";")))
	if len(words) == 0 || strings.HasPrefix(l, "--") || words[0] == "REM" {
		return 0, false
	}
	switch words[0] {
	case "WHENEVER":
		return 0, p.whenever(l, words)
	case "SET":
		p.set(strings.Fields(strings.TrimSuffix(l, ";")))
		return 0, false
	case "SPOOL", "PROMPT", "CONNECT", "CONN", "COLUMN", "TIMING", "ECHO":
		if words[0] == "PROMPT" {
			p.out.WriteString(strings.TrimSpace(l[6:]) + "\n")
		}
		return 0, false
	case "EXIT", "QUIT":
		return p.exitStatus(strings.Join(words[1:], " "), 0), true
	case "HOST", "!":
		out, err := exec.CommandContext(ctx, "sh", "-c", strings.TrimSpace(l[len(words[0]):])).CombinedOutput()
		p.out.Write(out)
		if err != nil {
			p.out.WriteString(err.Error() + "\n")
		}
		return 0, false
	case "STARTUP", "SHUTDOWN":
		return p.ran(ctx, strings.TrimSuffix(l, ";"))
	case "RECOVER":
		return p.recover(ctx, strings.TrimSuffix(l, ";"))
	}
	text := l
	for !strings.HasSuffix(text, ";") || words[0] == "BEGIN" || words[0] == "DECLARE" {
		if len(p.lines) == 0 {
			break
		}
		next := strings.TrimSpace(p.lines[0])
		p.lines = p.lines[1:]
		if next == "/" {
			break
		}
		text += "\n" + next
	}
	if words[0] != "BEGIN" && words[0] != "DECLARE" {
		text = strings.TrimSuffix(text, ";")
	}
	return p.ran(ctx, text)
}

// whenever reads WHENEVER SQLERROR. What is not known ends the program, which a test then sees.
func (p *sqlplus) whenever(l string, words []string) (done bool) {
	if len(words) < 3 || words[1] != "SQLERROR" && words[1] != "OSERROR" {
		p.out.WriteString("SP2-0734: unknown command beginning \"" + l + "\"\n")
		return false
	}
	if words[1] == "SQLERROR" {
		p.failure = ""
		if words[2] == "EXIT" {
			p.failure = strings.Join(words[3:], " ")
			def(&p.failure, "SUCCESS")
		}
	}
	return false
}

func (p *sqlplus) set(words []string) {
	for n := 1; n+1 < len(words); n += 2 {
		switch strings.ToUpper(words[n]) {
		case "HEADING", "HEA":
			p.heading = strings.EqualFold(words[n+1], "ON")
		case "PAGESIZE", "PAGES":
			p.heading = p.heading && words[n+1] != "0"
		case "COLSEP":
			p.separator = strings.Trim(words[n+1], `'"`)
		case "AUTORECOVERY":
			p.automatic = strings.EqualFold(words[n+1], "ON")
		}
	}
}

// exitStatus is the status for EXIT n, FAILURE, SQL.SQLCODE.
func (p *sqlplus) exitStatus(words string, sqlcode int) int {
	switch {
	case strings.HasPrefix(words, "FAILURE"):
		return 1
	case strings.HasPrefix(words, "SQL.SQLCODE"):
		return sqlcode & 0xFF
	case words == "" || strings.HasPrefix(words, "SUCCESS"):
		return 0
	}
	n := 0
	_, _ = fmt.Sscan(words, &n) // what is no number is 0
	return n
}

func (p *sqlplus) ran(ctx context.Context, text string) (exit int, done bool) {
	t, err := p.run(ctx, text)
	return p.answer(text, t, err)
}

// answer prints what a statement gave.
func (p *sqlplus) answer(text string, t *table, err error) (exit int, done bool) {
	if err != nil {
		p.out.WriteString(text + "\n*\nERROR at line 1:\n" + message(err) + "\n\n")
		if p.failure != "" {
			return p.exitStatus(p.failure, code(err)), true
		}
		return 0, false
	}
	word := strings.ToUpper(strings.Fields(text)[0])
	switch {
	case t != nil:
		p.print(t)
	case word == "STARTUP":
		p.out.WriteString("ORACLE instance started.\n" + map[State]string{Mounted: "Database mounted.\n", Open: "Database mounted.\nDatabase opened.\n"}[p.State()])
	case word == "SHUTDOWN":
		p.out.WriteString("ORACLE instance shut down.\n")
	case word == "BEGIN" || word == "DECLARE":
		p.out.WriteString("PL/SQL procedure successfully completed.\n\n")
	case word == "CREATE":
		p.out.WriteString("File created.\n\n")
	default:
		p.out.WriteString("Database altered.\n\n")
	}
	return 0, false
}

// message is an error as programs print it.
func message(err error) string {
	if code(err) == 0 {
		return err.Error()
	}
	return asFault(err).ErrMsg
}

func (p *sqlplus) print(t *table) {
	if p.heading {
		p.out.WriteString(strings.Join(t.columns, p.separator) + "\n")
	}
	for _, r := range t.rows {
		var cells []string
		for _, v := range r {
			cells = append(cells, cell(v))
		}
		p.out.WriteString(strings.Join(cells, p.separator) + "\n")
	}
}

func cell(v driver.Value) string {
	if v == nil {
		return ""
	}
	return text(v)
}

// recover is the command RECOVER: it asks for logs, and the answers are the next lines.
func (p *sqlplus) recover(ctx context.Context, l string) (exit int, done bool) {
	if p.automatic && !strings.Contains(strings.ToUpper(l), "AUTOMATIC") {
		l = "RECOVER AUTOMATIC" + l[len("RECOVER"):]
	}
	_, err := p.run(ctx, "ALTER DATABASE "+l)
	for code(err) == 279 {
		p.out.WriteString(message(err) + "\n\nSpecify log: {<RET>=suggested | filename | AUTO | CANCEL}\n")
		answer := "CANCEL"
		if len(p.lines) > 0 {
			answer, p.lines = strings.TrimSpace(p.lines[0]), p.lines[1:]
		}
		next := "LOGFILE '" + strings.ReplaceAll(answer, "'", "''") + "'"
		switch strings.ToUpper(answer) {
		case "CANCEL":
			next = "CANCEL"
		case "", "AUTO":
			next = "CONTINUE DEFAULT"
			if answer != "" {
				p.lines = append([]string{"AUTO"}, p.lines...)
			}
		}
		_, nerr := p.run(ctx, "ALTER DATABASE RECOVER "+next)
		if nerr != nil && code(nerr) != 279 {
			p.out.WriteString(message(nerr) + "\n")
			if strings.EqualFold(answer, "AUTO") {
				p.lines = p.lines[1:]
			}
			if p.asking() {
				if strings.EqualFold(answer, "AUTO") {
					_, _ = p.run(ctx, "ALTER DATABASE RECOVER CANCEL") // AUTO ends with the first log that is not there
					return p.recovered(nerr)
				}
				continue
			}
		}
		err = nerr
		if next == "CANCEL" && err == nil {
			p.out.WriteString("Media recovery cancelled.\n")
			return 0, false
		}
	}
	if strings.EqualFold(first1(p.lines), "AUTO") {
		p.lines = p.lines[1:]
	}
	return p.recovered(err)
}

func first1(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[0]
}

func (p *sqlplus) asking() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.recovery != nil
}

func (p *sqlplus) recovered(err error) (int, bool) {
	if err == nil {
		p.out.WriteString("Media recovery complete.\n")
		return 0, false
	}
	p.out.WriteString(message(err) + "\n")
	if p.failure != "" {
		return p.exitStatus(p.failure, code(err)), true
	}
	return 0, false
}
