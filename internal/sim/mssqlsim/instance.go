package mssqlsim

import (
	"context"
	"errors"
	"fmt"
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
	// Media is where devices are. Required.
	Media Media
	// Version defaults to 16.0.1000.
	Version tds.Version
	// Pace is called before each progress message of a BACKUP and once before its end, with the percent done: a test holds the backup there, or breaks it by an error.
	// ctx ends when the client cancels. nil does nothing.
	Pace func(ctx context.Context, database string, percent int) error
}

// Instance is a server without its network: a tds.Keeper.
type Instance struct {
	config Config

	mu        sync.Mutex
	databases []*database
	sessions  map[*tds.Session]string // and the database each is in
	killed    map[*tds.Session]bool
	running   map[uint16]*activity // sys.dm_exec_requests, by session id
	history   []historyEntry       // msdb.dbo.backupset
}

// activity is a BACKUP that runs.
type activity struct {
	command  string
	database int // id
	percent  int
}

type historyEntry struct {
	set      Set
	position int
	devices  []string
}

const (
	multiUser  = "MULTI_USER"
	singleUser = "SINGLE_USER"
)

// database is one database. Its log runs from firstLSN on; records holds what was written, oldest first.
type database struct {
	id        int
	name      string
	model     Model
	restoring bool
	access    string
	owner     *tds.Session // of single user
	busy      bool         // a backup runs
	created   time.Time
	files     []File

	next     LSN // of the next log record
	logStart LSN // where the next log backup begins; 0 when no log backup is possible
	records  []Record
	ballast  int64 // bytes

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
	in := &Instance{config: c, sessions: map[*tds.Session]string{}, killed: map[*tds.Session]bool{}, running: map[uint16]*activity{}}
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
	d := &database{name: name, model: model, created: in.config.Now(), next: firstLSN, family: newGUID(), fork: newGUID()}
	d.firstFork, d.binding = d.fork, d.family
	d.files = []File{
		{ID: 1, Logical: name, Physical: `S:\data\` + name + ".mdf", Bytes: 8 << 20},
		{ID: 2, Logical: name + "_log", Physical: `S:\data\` + name + "_log.ldf", Log: true, Bytes: 8 << 20},
	}
	in.add(d)
	return nil
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
func (in *Instance) Insert(name, text string) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.restoring {
		return fmt.Errorf("mssqlsim: database %q is not online", name)
	}
	if len(text) > maxRecord {
		return fmt.Errorf("mssqlsim: a record of %d bytes does not fit on a page", len(text))
	}
	d.records = append(d.records, Record{LSN: d.next, At: in.config.Now(), Text: text})
	d.next += blockOfLSN
	return nil
}

// Fill makes an online database larger by so many bytes that nobody looks at, rounded up to pages, so that its full backups have a size.
func (in *Instance) Fill(name string, bytes int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.restoring || bytes < 0 {
		return fmt.Errorf("mssqlsim: database %q is not online, or cannot grow by %d bytes", name, bytes)
	}
	bytes = (bytes + pageBytes - 1) / pageBytes * pageBytes
	d.ballast += bytes
	d.files[0].Bytes += bytes
	return nil
}

// Contents returns what was inserted into an online database, oldest first.
func (in *Instance) Contents(name string) ([]string, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil || d.restoring {
		return nil, fmt.Errorf("mssqlsim: database %q is not online", name)
	}
	texts := make([]string, len(d.records))
	for i, r := range d.records {
		texts[i] = r.Text
	}
	return texts, nil
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
	d := in.find(s.Database())
	if d == nil || d.restoring || d.access == singleUser && d.owner != s {
		m := failure(4060, "Cannot open database \"%s\" requested by the login. The login failed.", s.Database())
		m.Class = 11
		return m
	}
	s.SetDatabase(d.name)
	in.sessions[s] = d.name
	return nil
}

// Reset notes that a session is in the database of its login again.
func (in *Instance) Reset(s *tds.Session) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.sessions[s] = s.Database()
}

// Close forgets a session. The single-user slot it held is free.
func (in *Instance) Close(s *tds.Session) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.sessions, s)
	delete(in.killed, s)
	for _, d := range in.databases {
		if d.owner == s {
			d.owner = nil
		}
	}
}

// Batch answers a batch of the grammar in doc.go. The whole batch is read before its first statement runs, as SQL Server does.
func (in *Instance) Batch(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
	in.mu.Lock()
	killed := in.killed[s]
	in.mu.Unlock()
	if killed {
		return tds.ErrGone
	}
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
		if err := in.execute(ctx, s, st, a); err != nil {
			return err
		}
		if err := a.Done(); err != nil {
			return err
		}
	}
	return nil
}

func (in *Instance) execute(ctx context.Context, s *tds.Session, st statement, a *tds.Answer) error {
	switch st := st.(type) {
	case backupStatement:
		return in.ended(a, "BACKUP "+map[bool]string{false: "DATABASE", true: "LOG"}[st.log], in.backup(ctx, s, st, a))
	case restoreStatement:
		if st.what == "DATABASE" || st.what == "LOG" {
			return in.ended(a, "RESTORE "+st.what, in.restore(ctx, s, st, a))
		}
		return in.ended(a, "RESTORE "+st.what, in.inspect(ctx, st, a))
	case alterStatement:
		return in.alter(s, st)
	case useStatement:
		return in.use(s, st, a)
	case selectStatement:
		return in.selectFrom(s, st, a)
	}
	return unknown(fmt.Sprintf("%T", st))
}

// ended adds the message that says what was given up to the one that says why.
func (in *Instance) ended(a *tds.Answer, what string, err error) error {
	var cause tds.Message
	if !errors.As(err, &cause) {
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
	switch {
	case d == nil:
		return noDatabase(st.database)
	case d.restoring:
		m := failure(927, "Database '%s' cannot be opened. It is in the middle of a restore.", d.name)
		m.State, m.Class = 2, 14
		return m
	case d.access == singleUser && d.owner != nil && d.owner != s:
		m := failure(924, "Database '%s' is already open and can only have one user at a time.", d.name)
		m.Class = 14
		return m
	}
	in.sessions[s] = d.name
	return a.UseDatabase(d.name)
}

func (in *Instance) alter(s *tds.Session, st alterStatement) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	if d == nil {
		return noDatabase(st.database)
	}
	if d.restoring {
		return failure(5052, "ALTER DATABASE is not permitted while a database is in the Restoring state.")
	}
	if st.recovery != "" {
		if st.recovery == Simple {
			d.logStart = 0
		}
		d.model = st.recovery
		return nil
	}
	d.access, d.owner = st.access, nil
	if st.access == singleUser {
		d.owner = s
		for other, name := range in.sessions {
			if other != s && strings.EqualFold(name, d.name) {
				in.killed[other] = true
				delete(in.sessions, other)
			}
		}
	}
	return nil
}

var _ tds.Keeper = (*Instance)(nil)
