package backuptest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Move is one leg of a transaction: an account's balance changes by Amount.
type Move struct {
	DB      string `json:"db"`
	Account string `json:"account"`
	Amount  int64  `json:"amount"`
}

// tx is a committed transaction. Seq counts all transactions of a Ledger; positions are derived from it.
type tx struct {
	Seq   uint64    `json:"seq"`
	Time  time.Time `json:"time"`
	Moves []Move    `json:"moves"`
}

// What can happen to a Ledger.
const (
	opTx       = "tx"
	opCreate   = "create"
	opDrop     = "drop"
	opAttach   = "attach"
	opReset    = "reset"
	opTruncate = "truncate"
	opClock    = "clock"
	opLose     = "lose"
	opCrash    = "crash"
	opBegin    = "begin"
	opEnd      = "end"
	opMode     = "mode"
	opRestore  = "restore"
)

// event is one line of a Ledger's journal. A state is what its events in order make of nothing.
type event struct {
	Op        string               `json:"op"`
	Time      time.Time            `json:"time"`
	DB        string               `json:"db,omitempty"`
	Moves     []Move               `json:"moves,omitempty"`
	Accounts  int                  `json:"accounts,omitempty"`
	Ballast   int64                `json:"ballast,omitempty"`
	Path      string               `json:"path,omitempty"`
	File      string               `json:"file,omitempty"`
	Seq       uint64               `json:"seq,omitempty"`
	Foreign   bool                 `json:"foreign,omitempty"`
	Duration  time.Duration        `json:"duration,omitempty"`
	Session   int                  `json:"session,omitempty"`
	Owner     string               `json:"owner,omitempty"`
	Run       backup.ID            `json:"run,omitempty"`
	On        bool                 `json:"on,omitempty"`
	Restored  map[string]*database `json:"restored,omitempty"`
	Overwrite bool                 `json:"overwrite,omitempty"`
}

// state is everything a Ledger is at one moment.
type state struct {
	SharedLog   bool
	Now         time.Time
	Seq         uint64
	DBs         map[string]*database
	Shared      stream
	Txs         []tx // of all streams since the start; what was truncated is refused when read
	Sessions    map[int]*session
	Truncations int
	serial      int
	used        map[string]bool // names that ever were databases
}

// stream is one history of log.
type stream struct {
	Name      string
	Base      uint64 // Seq at its beginning; positions count from here
	Truncated uint64 // log up to here is gone
}

// database is one database. Its exported fields are what a restore brings.
type database struct {
	Rows    map[string]row `json:"rows"`
	Seed    uint64         `json:"seed"`
	Ballast int64          `json:"ballast"`
	Path    string         `json:"path,omitempty"`
	File    string         `json:"file,omitempty"`

	log  stream
	mode string // the owner who put it into backup mode
}

// row is one account with the transaction that changed it last.
type row struct {
	Balance int64  `json:"balance"`
	Changed uint64 `json:"-"`
}

// session is a backup in progress, with the databases as they were when it began.
type session struct {
	ID     int
	Owner  string
	Run    backup.ID
	Seq    uint64
	Time   time.Time
	Snap   map[string]*database
	Shared *stream // nil where every database has its own
}

// stream is the log that served db when the session began.
func (ses *session) stream(db string) *stream {
	if ses.Shared != nil {
		return ses.Shared
	}
	return &ses.Snap[db].log
}

func newState(o LedgerOptions) state {
	return state{
		SharedLog: o.SharedLog,
		Now:       time.Date(2001, time.February, 3, 4, 5, 6, 0, time.UTC),
		DBs:       map[string]*database{},
		Shared:    stream{Name: "log#0"},
		Sessions:  map[int]*session{},
		used:      map[string]bool{},
	}
}

// check refuses an event that cannot happen.
func (s *state) check(e event) error {
	_, exists := s.DBs[e.DB]
	switch e.Op {
	case opTx:
		for _, m := range e.Moves {
			if _, ok := s.DBs[m.DB]; !ok {
				return fmt.Errorf("ledger: transfer: database %q does not exist", m.DB)
			}
		}
	case opCreate:
		if exists {
			return fmt.Errorf("ledger: create database %q: it exists", e.DB)
		}
	case opDrop, opAttach, opMode:
		if !exists {
			return fmt.Errorf("ledger: %s database %q: it does not exist", e.Op, e.DB)
		}
	case opReset, opTruncate:
		if _, ok := s.stream(e.DB); !ok {
			return fmt.Errorf("ledger: %s log of %q: there is no such log", e.Op, e.DB)
		}
	case opBegin:
		return s.checkBegin(e)
	case opRestore:
		for name := range e.Restored {
			if _, ok := s.DBs[name]; ok && !e.Overwrite {
				return fmt.Errorf("database %q: %w", name, backup.ErrExists)
			}
		}
	}
	return nil
}

func (s *state) checkBegin(e event) error {
	for _, ses := range s.Sessions {
		if ses.Owner == e.Owner {
			return fmt.Errorf("%w: session %d of %s", ErrLedgerBusy, ses.ID, ses.Owner)
		}
	}
	for name, db := range s.DBs {
		if db.mode != "" && db.mode == e.Owner {
			return fmt.Errorf("%w: database %s is in backup mode", ErrLedgerBusy, name)
		}
	}
	return nil
}

// apply carries out an event that was checked.
func (s *state) apply(e event) {
	s.Now = e.Time
	switch e.Op {
	case opTx:
		s.transact(e)
	case opCreate:
		s.create(e)
	case opDrop:
		delete(s.DBs, e.DB)
	case opAttach:
		s.DBs[e.DB].Path, s.DBs[e.DB].File = e.Path, e.File
	case opReset:
		s.reset(e.DB)
	case opTruncate:
		st, _ := s.stream(e.DB)
		st.Truncated = max(st.Truncated, e.Seq)
		if !e.Foreign {
			s.Truncations++
		}
	case opLose:
		s.DBs, s.Sessions = map[string]*database{}, map[int]*session{}
		s.reset("")
	case opCrash:
		clear(s.Sessions) // backup mode survives a crash, as it does in Oracle
	case opBegin:
		s.begin(e)
	case opEnd:
		delete(s.Sessions, e.Session)
	case opMode:
		s.DBs[e.DB].mode = ""
		if e.On {
			s.DBs[e.DB].mode = e.Owner
		}
	case opRestore:
		s.restore(e)
	}
}

func (s *state) transact(e event) {
	s.Seq++
	for _, m := range e.Moves {
		rows := s.DBs[m.DB].Rows
		rows[m.Account] = row{rows[m.Account].Balance + m.Amount, s.Seq}
	}
	s.Txs = append(s.Txs, tx{s.Seq, e.Time, e.Moves})
}

func (s *state) create(e event) {
	s.Seq++
	db := &database{Rows: map[string]row{}, Ballast: e.Ballast, Seed: mix(s.Seq)}
	for i := range e.Accounts {
		db.Rows[accountName(i)] = row{1000, s.Seq}
	}
	s.DBs[e.DB] = db
	if s.SharedLog && s.used[e.DB] {
		s.reset("") // else log of the database that had the name before would be applied to this one
	}
	s.used[e.DB] = true
	s.reset(e.DB)
}

// restore brings databases and begins new streams: the log since the backup does not lead to this state.
func (s *state) restore(e event) {
	for _, name := range slices.Sorted(maps.Keys(e.Restored)) {
		s.Seq++
		db := e.Restored[name].clone()
		for a, r := range db.Rows {
			db.Rows[a] = row{r.Balance, s.Seq}
		}
		s.DBs[name] = db
		s.used[name] = true
		s.reset(name)
	}
	if s.SharedLog {
		s.reset("")
	}
}

func (s *state) reset(db string) {
	s.serial++
	fresh := stream{Name: fmt.Sprintf("log#%d", s.serial), Base: s.Seq, Truncated: s.Seq}
	switch {
	case s.SharedLog && db == "":
		s.Shared = fresh
	case s.SharedLog:
	case s.DBs[db] != nil:
		s.DBs[db].log = fresh
	}
}

func (s *state) begin(e event) {
	s.serial++
	ses := &session{ID: s.serial, Owner: e.Owner, Run: e.Run, Seq: s.Seq, Time: e.Time, Snap: map[string]*database{}}
	for name, db := range s.DBs {
		ses.Snap[name] = db.clone()
	}
	if s.SharedLog {
		shared := s.Shared
		ses.Shared = &shared
	}
	s.Sessions[ses.ID] = ses
}

// stream is the log that serves db.
func (s *state) stream(db string) (*stream, bool) {
	if s.SharedLog {
		return &s.Shared, true
	}
	d, ok := s.DBs[db]
	if !ok {
		return nil, false
	}
	return &d.log, true
}

// log lists the transactions after from up to and including to, with the moves of db only unless the log is shared.
func (s *state) log(db string, from, to uint64) []tx {
	at, _ := slices.BinarySearchFunc(s.Txs, from+1, func(t tx, seq uint64) int { return cmp.Compare(t.Seq, seq) })
	var list []tx
	for _, t := range s.Txs[at:] {
		if t.Seq > to {
			break
		}
		if !s.SharedLog {
			t.Moves = slices.DeleteFunc(slices.Clone(t.Moves), func(m Move) bool { return m.DB != db })
		}
		if len(t.Moves) > 0 {
			list = append(list, t)
		}
	}
	return list
}

func (s *state) names() []string { return slices.Sorted(maps.Keys(s.DBs)) }

func (s *state) open() []string {
	var list []string
	for _, id := range slices.Sorted(maps.Keys(s.Sessions)) {
		list = append(list, fmt.Sprintf("session %d of %s", id, s.Sessions[id].Owner))
	}
	for _, name := range s.names() {
		if s.DBs[name].mode != "" {
			list = append(list, fmt.Sprintf("database %s in backup mode", name))
		}
	}
	return list
}

func (s *state) books() Books {
	b := Books{}
	for name, db := range s.DBs {
		book := Book{Balances: map[string]int64{}, Seed: db.Seed, Ballast: db.Ballast, File: db.File}
		for a, r := range db.Rows {
			book.Balances[a] = r.Balance
		}
		b[name] = book
	}
	return b
}

func (d *database) clone() *database {
	c := *d
	c.Rows = maps.Clone(d.Rows)
	return &c
}

// position is seq as a position of the stream.
func (s *stream) position(seq uint64) backup.Position {
	return backup.Position(fmt.Sprintf("%012d", seq-s.Base))
}

// seq is the transaction a position of the stream stands for.
func (s *stream) seq(p backup.Position) (uint64, error) {
	n, err := strconv.ParseUint(string(p), 10, 64)
	if err != nil || len(p) != 12 {
		return 0, fmt.Errorf("%q is not a position of %s", p, s.Name)
	}
	return s.Base + n, nil
}
