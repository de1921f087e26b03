package mssqlsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// Config describes an instance.
type Config struct {
	// Name is @@SERVERNAME. Required.
	Name string
	// Now is the clock of the server. What it shows, in its location, dates all backups. Required.
	Now func() time.Time
	// Media is where devices of DISK are. Required.
	Media Media
	// Remote opens what devices of URL are on, with the key id and the secret of the credential whose name is the longest that begins the URL. nil: no server answers.
	Remote func(id, secret string) Media
	// Version defaults to 16.0.1000.
	Version tds.Version
	// Edition defaults to "Developer Edition (64-bit)". Express and Web editions neither compress nor encrypt; only Enterprise, Developer and Evaluation mirror.
	Edition string
	// Rights says what logins may do. Who is not listed is in sysadmin.
	Rights map[string]Right
	// SingleUser is how the server was started: with one connection, which may restore master.
	SingleUser bool
	// DataPath and LogPath are the default folders of new databases. They default to S:\data\.
	DataPath, LogPath string
	// Folders are those where files of databases may be, beside the default ones; nil allows all.
	Folders []string
	// FreeBytes is what files of a restore may take, 0 for no limit.
	FreeBytes int64
	// Pace is called before each progress message of a BACKUP, RESTORE DATABASE, RESTORE LOG or DBCC CHECKDB and once before its end, with the percent done: a test holds the statement there, or breaks it by an error.
	// ctx ends when the client cancels. nil does nothing.
	Pace func(ctx context.Context, database string, percent int) error
}

// Instance is a server without its network: a tds.Keeper.
type Instance struct {
	config Config

	mu           sync.Mutex
	stopped      bool // until Restart
	single       bool // started with one connection
	databases    []*database
	sessions     map[*tds.Session]*presence
	running      map[uint16]*activity // sys.dm_exec_requests, by session id
	history      []historyEntry       // msdb.dbo.backupset
	marks        []mark               // msdb.dbo.logmarkhistory
	certificates []Certificate
	credentials  []credential
	foreign      map[string]bool         // files that are no database's
	locks        map[string]*tds.Session // of sp_getapplock
	seen         []Statement
	faults       []*Fault
}

// presence is a session: where it is.
type presence struct {
	database string
	since    time.Time
	killed   bool
}

// activity is a statement that runs.
type activity struct {
	command  string
	database int // id
	percent  int
	since    time.Time
}

type historyEntry struct {
	set      Set
	position int
	media    tds.GUID
	devices  []backupDevice
}

type mark struct {
	database, name, about string
	lsn                   LSN
	at                    time.Time
}

// Who may be in a database.
const (
	multiUser      = "MULTI_USER"
	singleUser     = "SINGLE_USER"
	restrictedUser = "RESTRICTED_USER"
)

// State is that of a database as sys.databases spells it.
type State string

// The states a database can be in.
const (
	Online          State = "ONLINE"
	Restoring       State = "RESTORING"
	RecoveryPending State = "RECOVERY_PENDING"
	Suspect         State = "SUSPECT"
	Emergency       State = "EMERGENCY"
	Offline         State = "OFFLINE"
)

// database is one database. Its log runs from firstLSN on; records holds what was written, oldest first.
type database struct {
	id          int
	name        string
	model       Model
	state       State
	standby     string // the file of RESTORE WITH STANDBY, "" outside it
	readOnly    bool
	access      string
	busy        bool // a backup or restore runs
	created     time.Time
	files       []File
	damaged     bool // a page of it is unreadable
	incomplete  bool // restored with CONTINUE_AFTER_ERROR: all further steps need it
	lost        bool // the data files are gone, the log is there
	bulk        bool // minimally logged changes since the last log backup
	certificate string
	replica     *Replica
	snapshotOf  *database
	broker      bool
	captured    bool // change data capture
	published   bool

	next       LSN // of the next log record
	logStart   LSN // where the next log backup begins; 0 when no log backup is possible
	records    []Record
	ballast    int64     // bytes
	restored   time.Time // up to where, while restoring
	unfinished tds.GUID  // the set whose restore was broken off

	binding, family  tds.GUID
	firstFork, fork  tds.GUID // where the next log backup begins, and now
	forkPoint        LSN
	fullLSN, baseLSN LSN // checkpoint of the last full backup; of the differential base
	baseID           tds.GUID
	begins           bool // the next log backup begins a chain
}

// New checks the configuration. The instance has master, tempdb, model and msdb.
func New(c Config) (*Instance, error) {
	if c.Name == "" || c.Now == nil || c.Media == nil {
		return nil, errors.New("mssqlsim: Name, Now and Media are required")
	}
	if c.Version == (tds.Version{}) {
		c.Version = tds.Version{Major: 16, Build: 1000}
	}
	for option, value := range map[*string]string{&c.Edition: "Developer Edition (64-bit)", &c.DataPath: `S:\data\`, &c.LogPath: `S:\data\`} {
		if *option == "" {
			*option = value
		}
	}
	in := &Instance{config: c, single: c.SingleUser, sessions: map[*tds.Session]*presence{}, running: map[uint16]*activity{}, foreign: map[string]bool{}, locks: map[string]*tds.Session{}}
	for _, name := range []string{"master", "tempdb", "model", "msdb"} {
		model := Simple
		if name == "model" {
			model = Full
		}
		if err := in.CreateDatabase(name, model); err != nil {
			return nil, err
		}
	}
	return in, nil
}

// CreateDatabase adds an empty database with one data and one log file.
func (in *Instance) CreateDatabase(name string, model Model) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.find(name) != nil || !model.known() {
		return fmt.Errorf("mssqlsim: database %q exists already, or there is no recovery model %q", name, model)
	}
	in.create(name, model)
	return nil
}

func (in *Instance) create(name string, model Model) {
	d := &database{name: name, model: model, state: Online, created: in.config.Now(), next: firstLSN, family: newGUID(), fork: newGUID(), broker: true}
	d.firstFork, d.binding = d.fork, d.family
	d.files = []File{
		{ID: 1, Logical: name, Physical: in.config.DataPath + name + ".mdf", Bytes: 8 << 20},
		{ID: 2, Logical: name + "_log", Physical: in.config.LogPath + name + "_log.ldf", Log: true, Bytes: 8 << 20},
	}
	in.add(d)
}

func (in *Instance) add(d *database) {
	for _, other := range in.databases {
		d.id = max(d.id, other.id)
	}
	d.id++
	d.access = multiUser
	in.databases = append(in.databases, d)
}

// DropDatabase removes a database, as if its disk had died.
func (in *Instance) DropDatabase(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.databases = slices.DeleteFunc(in.databases, func(d *database) bool { return strings.EqualFold(d.name, name) })
}

// Insert writes one record to an online database.
func (in *Instance) Insert(name, text string) error { return in.write(name, Record{Text: text}) }

// Bulk writes one record as a bulk operation does: in the bulk-logged model the log says only which pages changed.
func (in *Instance) Bulk(name, text string) error {
	return in.write(name, Record{Text: text, Bulk: true})
}

// Mark commits a marked transaction, BEGIN TRANSACTION .. WITH MARK, that writes one record. It is in msdb.dbo.logmarkhistory from then on.
func (in *Instance) Mark(name, mark, text string) error {
	return in.write(name, Record{Text: text, Mark: mark})
}

func (in *Instance) write(name string, r Record) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.state != Online || d.readOnly || d.standby != "" {
		return fmt.Errorf("mssqlsim: database %q cannot be written to", name)
	}
	if len(r.Text) > maxRecord {
		return fmt.Errorf("mssqlsim: a record of %d bytes does not fit on a page", len(r.Text))
	}
	r.LSN, r.At, r.Bulk = d.next, in.config.Now(), r.Bulk && d.model == BulkLogged
	d.bulk = d.bulk || r.Bulk
	d.records = append(d.records, r)
	d.next += blockOfLSN
	if r.Mark != "" {
		in.marks = append(in.marks, mark{database: d.name, name: r.Mark, about: r.Text, lsn: r.LSN, at: r.At})
	}
	return nil
}

// Fill makes an online database larger by so many bytes that nobody looks at, rounded up to pages, so that its full backups have a size.
func (in *Instance) Fill(name string, bytes int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.state != Online || bytes < 0 {
		return fmt.Errorf("mssqlsim: database %q is not online, or cannot grow by %d bytes", name, bytes)
	}
	bytes = (bytes + pageBytes - 1) / pageBytes * pageBytes
	d.ballast += bytes
	d.files[0].Bytes += bytes
	return nil
}

// Contents returns what was inserted into an online database, oldest first. A database in standby can be read too.
func (in *Instance) Contents(name string) ([]string, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.state != Online {
		return nil, fmt.Errorf("mssqlsim: database %q is not online", name)
	}
	texts := make([]string, len(d.records))
	for i, r := range d.records {
		texts[i] = r.Text
	}
	return texts, nil
}

// Next is the LSN that the next record of an online database will get: all before it is its state now.
func (in *Instance) Next(name string) (LSN, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.state != Online {
		return 0, fmt.Errorf("mssqlsim: database %q is not online", name)
	}
	return d.next, nil
}

// find returns the database of that name, which ignores case, or nil. The caller holds the lock.
func (in *Instance) find(name string) *database {
	for _, d := range in.databases {
		if strings.EqualFold(d.name, name) {
			return d
		}
	}
	return nil
}

// Open lets a session into the database its login names.
func (in *Instance) Open(s *tds.Session) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped {
		return tds.ErrGone
	}
	if in.single && len(in.sessions) > 0 {
		return tds.Message{Number: 18461, State: 1, Class: 14, Text: "Login failed for user '" + s.Login.User +
			"'. Reason: Server is in single user mode. Only one administrator can connect at this time."}
	}
	d := in.find(s.Database())
	if d == nil || in.enter(s, d) != nil {
		m := failure(4060, "Cannot open database \"%s\" requested by the login. The login failed.", s.Database())
		m.Class = 11
		return m
	}
	s.SetDatabase(d.name)
	in.sessions[s] = &presence{database: d.name, since: in.config.Now()}
	return nil
}

// enter says why a session cannot use a database. The caller holds the lock.
func (in *Instance) enter(s *tds.Session, d *database) error {
	var m tds.Message
	switch {
	case d.state == Restoring:
		m = failure(927, "Database '%s' cannot be opened. It is in the middle of a restore.", d.name)
		m.State = 2
	case d.state == Offline:
		m = failure(942, "Database '%s' cannot be opened because it is offline.", d.name)
		m.State = 4
	case d.state == Suspect:
		m = failure(926, "Database '%s' cannot be opened. It has been marked SUSPECT by recovery. See the SQL Server errorlog for more information.", d.name)
	case d.state == RecoveryPending || d.lost:
		return failure(945, "Database '%s' cannot be opened due to inaccessible files or insufficient memory or disk space. See the SQL Server errorlog for details.", d.name)
	case d.replica != nil && !d.replica.Primary && !d.replica.Readable:
		m = failure(976, "The target database, '%s', is participating in an availability group and is currently not accessible for queries.", d.name)
	case d.access == singleUser && in.occupied(d, s):
		m = failure(924, "Database '%s' is already open and can only have one user at a time.", d.name)
	case in.right(s) == NoRight && d.name != "master" && d.name != "tempdb":
		m = failure(916, "The server principal \"%s\" is not able to access the database \"%s\" under the current security context.", s.Login.User, d.name)
	default:
		return nil
	}
	m.Class = 14
	return m
}

// occupied reports whether another session is in the database.
func (in *Instance) occupied(d *database, but *tds.Session) bool {
	for other, p := range in.sessions {
		if other != but && !p.killed && strings.EqualFold(p.database, d.name) {
			return true
		}
	}
	return false
}

// Reset notes that a session is in the database of its login again.
func (in *Instance) Reset(s *tds.Session) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if p := in.sessions[s]; p != nil {
		p.database = s.Database()
	}
}

// Close forgets a session. The single-user slot it held is free.
func (in *Instance) Close(s *tds.Session) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.sessions, s)
	maps.DeleteFunc(in.locks, func(_ string, owner *tds.Session) bool { return owner == s })
}

// lock is sp_getapplock: 0 for who has the lock, -1 for the others.
func (in *Instance) lock(s *tds.Session, st lockStatement, a *tds.Answer) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	result := 0
	if owner := in.locks[st.resource]; owner == nil {
		in.locks[st.resource] = s
	} else if owner != s {
		result = -1
	}
	var t table
	t.add([]field{{name: st.column, typ: tds.Int(), value: result}})
	return t.send(a)
}

// Batch answers a batch of the grammar in doc.go. The whole batch is read before its first statement runs, as SQL Server does.
func (in *Instance) Batch(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
	in.mu.Lock()
	p := in.sessions[s]
	gone := in.stopped || p == nil || p.killed
	in.mu.Unlock()
	if gone {
		return tds.ErrGone
	}
	note := in.note(s, q)
	err := in.batch(ctx, s, q, a)
	note(err)
	return err
}

func (in *Instance) batch(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
	if q.Procedure != "" {
		m := failure(2812, "Could not find stored procedure '%s'.", q.Procedure)
		m.State = 62
		return m
	}
	statements, err := parse(q, in.config.Now().Location())
	if err != nil {
		return err
	}
	for _, st := range statements {
		f := in.fault(q.Text)
		if err := f.strike(ctx, Before, a); err != nil {
			return err
		}
		if err := in.execute(ctx, s, st, a, f); err != nil {
			return err
		}
		if err := f.strike(ctx, After, a); err != nil {
			return err
		}
		if err := a.Done(); err != nil {
			return err
		}
	}
	return nil
}

func (in *Instance) execute(ctx context.Context, s *tds.Session, st statement, a *tds.Answer, f *strike) error {
	switch st := st.(type) {
	case backupStatement:
		return in.ended(a, "BACKUP "+map[bool]string{false: "DATABASE", true: "LOG"}[st.log], in.backup(ctx, s, st, a, f))
	case restoreStatement:
		if st.what == "DATABASE" || st.what == "LOG" {
			return in.ended(a, "RESTORE "+st.what, in.restore(ctx, s, st, a, f))
		}
		return in.ended(a, "RESTORE "+st.what, in.inspect(ctx, s, st, a, f))
	case alterStatement:
		return in.alter(s, st, a)
	case createStatement:
		return in.createDatabase(s, st)
	case dropStatement:
		return in.drop(s, st)
	case credentialStatement:
		return in.credential(s, st)
	case checkStatement:
		return in.check(ctx, s, st, a, f)
	case useStatement:
		return in.use(s, st, a)
	case selectStatement:
		return in.selectFrom(s, st, a)
	case lockStatement:
		return in.lock(s, st, a)
	case setStatement:
		return nil
	}
	return unknown(fmt.Sprintf("%T", st))
}

// ended adds the message that says what was given up to the one that says why.
func (in *Instance) ended(a *tds.Answer, what string, err error) error {
	var cause tds.Message
	if !errors.As(err, &cause) || cause.Class >= 20 {
		return err
	}
	if err := a.Message(cause); err != nil {
		return err
	}
	return terminating(what)
}

func (in *Instance) use(s *tds.Session, st useStatement, a *tds.Answer) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	if d == nil {
		return noDatabase(st.database)
	}
	if err := in.enter(s, d); err != nil {
		return err
	}
	in.sessions[s].database = d.name
	return a.UseDatabase(d.name)
}

var _ tds.Keeper = (*Instance)(nil)
