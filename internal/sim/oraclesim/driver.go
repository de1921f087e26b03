package oraclesim

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/sijms/go-ora/v2/network"
)

// Login is who connects, and as what.
type Login struct {
	// User and Password; SYS with "oracle" when both are empty.
	User, Password string
	// Privilege is SYSDBA, SYSBACKUP or "". SYS is always SYSDBA.
	Privilege string
	// PDB is the container, "" for the root.
	PDB string
}

// Connector connects to the instance. Give it to sql.OpenDB.
func (i *Instance) Connector(l Login) driver.Connector { return &connector{i, l} }

// OpenDB is sql.OpenDB with a connector.
func (i *Instance) OpenDB(l Login) *sql.DB { return sql.OpenDB(i.Connector(l)) }

type connector struct {
	instance *Instance
	login    Login
}

func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.instance.connect(c.login, "sql")
}

func (c *connector) Driver() driver.Driver { return simDriver{} }

type simDriver struct{}

func (simDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("oraclesim: connect by Instance.Connector")
}

// session is a connection.
type session struct {
	instance *Instance
	id       int
	user     string
	admin    bool
	limited  bool
	lacks    []string // of Rights
	sees     []string // containers
	conID    int
	program  string
	// clientInfo is V$SESSION.CLIENT_INFO.
	clientInfo string
	epoch      int
	dead       bool
	lobs       int // files open
}

// connect logs in.
func (i *Instance) connect(l Login, program string) (*session, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	def(&l.User, "SYS")
	s := &session{instance: i, user: strings.ToUpper(l.User), program: program, epoch: i.epoch, admin: l.Privilege != ""}
	if err := i.authenticate(s, l); err != nil {
		return nil, err
	}
	switch {
	case i.state == Down && program == "sql":
		return nil, stack(fault(1034, "ORACLE not available"), fault(27101, "shared memory realm does not exist"))
	case i.state != Open && !s.admin:
		return nil, fault(1033, "ORACLE initialization or shutdown in progress")
	case i.state == Open && i.archiverStuck() && !s.admin:
		return nil, fault(257, "Archiver error. Connect AS SYSDBA only until resolved.")
	}
	s.conID = 0
	if i.ctl != nil && i.ctl.CDB {
		s.conID = 1
	}
	if l.PDB != "" {
		n := -1
		if i.ctl != nil {
			n = slices.IndexFunc(i.ctl.PDBs, func(p pdb) bool { return strings.EqualFold(p.Name, l.PDB) })
		}
		if n < 0 {
			return nil, fault(12514, "TNS:listener does not currently know of service requested in connect descriptor")
		}
		s.conID = i.ctl.PDBs[n].ConID
	}
	i.lastSession++
	s.id = i.lastSession
	i.sessions[s.id] = s
	return s, nil
}

func (i *Instance) authenticate(s *session, l Login) error {
	if s.user == "SYS" {
		s.admin = true
		if s.program == "sql" && l.Password != "" && l.Password != "oracle" {
			return fault(1017, "invalid username/password; logon denied")
		}
		return nil
	}
	u, ok := i.config.Users[s.user]
	if !ok || u.Password != l.Password {
		return fault(1017, "invalid username/password; logon denied")
	}
	if l.Privilege != "" && !slices.Contains(u.Administrative, l.Privilege) {
		return fault(1031, "insufficient privileges")
	}
	s.limited, s.lacks, s.sees = u.Powerless, u.Without, u.Containers
	switch l.Privilege {
	case "SYSDBA":
		s.user, s.lacks = "SYS", nil
	case "SYSBACKUP": // which has no DROP ANY DIRECTORY
		s.user, s.lacks = "SYSBACKUP", []string{dropDirectory}
	}
	return nil
}

// may reports whether a session has a right of Rights.
func (s *session) may(right string) bool { return !s.limited && !slices.Contains(s.lacks, right) }

// allowed returns ORA-01031 when it has not.
func (s *session) allowed(right string) error {
	if !s.may(right) {
		return fault(1031, "insufficient privileges")
	}
	return nil
}

// seesContainer reports whether rows of a container are for the session: its own and those of the CDB as a whole; in the root also those of others that it was given.
func (a *act) seesContainer(id int) bool {
	s := a.session
	switch {
	case id == 0 || s.conID == 0 || id == s.conID:
		return true
	case s.conID > 1:
		return false
	case s.admin || slices.Contains(s.sees, "ALL"):
		return true
	}
	return slices.ContainsFunc(a.ctl.PDBs, func(p pdb) bool { return p.ConID == id && slices.Contains(s.sees, p.Name) })
}

func (i *Instance) disconnectAll() {
	for id, s := range i.sessions {
		s.dead = true
		delete(i.sessions, id)
	}
	i.recovery = nil
}

// end closes a session; the recovery it ran ends with it.
func (i *Instance) end(s *session) {
	s.dead = true
	delete(i.sessions, s.id)
	if i.recovery != nil && i.recovery.session == s.id {
		i.recovery = nil
	}
}

// KillSessions ends all sessions, as ALTER SYSTEM KILL SESSION does. It returns how many there were.
func (i *Instance) KillSessions() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	n := len(i.sessions)
	i.disconnectAll()
	return n
}

func (s *session) Close() error {
	s.instance.mu.Lock()
	defer s.instance.mu.Unlock()
	s.instance.end(s)
	return nil
}

func (s *session) IsValid() bool {
	s.instance.mu.Lock()
	defer s.instance.mu.Unlock()
	return !s.dead
}

func (s *session) Ping(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.IsValid() {
		return driver.ErrBadConn
	}
	return nil
}

func (s *session) Begin() (driver.Tx, error) {
	return nil, errors.New("oraclesim: no transactions")
}

func (s *session) Prepare(query string) (driver.Stmt, error) { return &statement{s, query}, nil }

func (s *session) CheckNamedValue(v *driver.NamedValue) error {
	if isOut(v.Value) {
		return nil
	}
	return driverDefault(v)
}

func driverDefault(v *driver.NamedValue) (err error) {
	v.Value, err = driver.DefaultParameterConverter.ConvertValue(v.Value)
	return err
}

// isOut: sql.Out, or the structure of a driver with the same field Dest.
func isOut(v any) bool {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Struct {
		return false
	}
	_, ok := t.FieldByName("Dest")
	return ok
}

// ExecContext returns the error of the server itself, as go-ora does.
func (s *session) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	_, err := s.run(ctx, query, args)
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(0), nil
}

// QueryContext returns driver.ErrBadConn when the connection is lost, as go-ora does: database/sql then asks again on another one.
func (s *session) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	res, err := s.run(ctx, query, args)
	var e *network.OracleError
	if errors.As(err, &e) && e.Bad() {
		return nil, driver.ErrBadConn
	}
	if err != nil {
		return nil, err
	}
	if res == nil {
		res = &table{}
	}
	return &rows{table: res}, nil
}

type statement struct {
	session *session
	query   string
}

func (p *statement) Close() error  { return nil }
func (p *statement) NumInput() int { return -1 }

func (p *statement) CheckNamedValue(v *driver.NamedValue) error { return p.session.CheckNamedValue(v) }

func (p *statement) Exec([]driver.Value) (driver.Result, error) { return nil, driver.ErrSkip }
func (p *statement) Query([]driver.Value) (driver.Rows, error)  { return nil, driver.ErrSkip }

func (p *statement) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return p.session.ExecContext(ctx, p.query, args)
}

func (p *statement) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return p.session.QueryContext(ctx, p.query, args)
}

// run runs a statement with its hooks and notes it.
func (s *session) run(ctx context.Context, query string, args []driver.NamedValue) (*table, error) {
	i := s.instance
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	note := Statement{Session: s.id, User: s.user, Program: s.program, Text: query, At: i.config.Now()}
	i.mu.Lock()
	i.seen = append(i.seen, note)
	at := len(i.seen) - 1
	i.mu.Unlock()
	res, err := s.attempt(ctx, note, args)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.seen[at].Err = err
	var e *network.OracleError
	if errors.As(err, &e) && e.Bad() {
		i.end(s)
	}
	return res, err
}

func (s *session) attempt(ctx context.Context, note Statement, args []driver.NamedValue) (*table, error) {
	i := s.instance
	if err := s.hooked(ctx, note, Before); err != nil {
		return nil, err
	}
	i.mu.Lock()
	res, err := s.execute(ctx, note, args)
	i.mu.Unlock()
	if herr := s.hooked(ctx, note, After); herr != nil {
		return nil, herr
	}
	return res, err
}

// hooked calls the hook, without the lock, and does what it says.
func (s *session) hooked(ctx context.Context, note Statement, m Moment) error {
	i := s.instance
	var err error
	if i.config.Hook != nil {
		err = i.config.Hook(ctx, note, m)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case errors.Is(err, ErrKillInstance):
		i.crash()
		return fault(3113, "end-of-file on communication channel")
	case errors.Is(err, ErrKillSession):
		i.end(s)
		return fault(3113, "end-of-file on communication channel")
	case err != nil && ctx.Err() != nil:
		return fault(1013, "user requested cancel of current operation")
	case err != nil:
		return err
	case s.dead && m != After:
		return fault(3114, "not connected to ORACLE")
	case s.dead && s.program == "sql":
		return fault(3113, "end-of-file on communication channel")
	}
	return nil
}

// inside calls the hook in the middle of a statement, which holds the lock.
func (s *session) inside(ctx context.Context, note Statement) error {
	s.instance.mu.Unlock()
	defer s.instance.mu.Lock()
	return s.hooked(ctx, note, Inside)
}

// table is the answer of a query.
type table struct {
	columns []string
	rows    [][]driver.Value
}

type rows struct {
	table *table
	next  int
}

func (r *rows) Columns() []string { return r.table.columns }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.next == len(r.table.rows) {
		return io.EOF
	}
	copy(dest, r.table.rows[r.next])
	r.next++
	return nil
}

var (
	_ driver.ExecerContext     = (*session)(nil)
	_ driver.QueryerContext    = (*session)(nil)
	_ driver.NamedValueChecker = (*session)(nil)
	_ driver.Validator         = (*session)(nil)
	_ driver.Pinger            = (*session)(nil)
	_ driver.StmtExecContext   = (*statement)(nil)
	_ driver.StmtQueryContext  = (*statement)(nil)
)
