package backuptest

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"
)

// Ledger is the reference application: a server in memory with accounts in several named databases, a transaction log and a
// clock of its own, whose every committed state is known. LedgerSource is its agent. Tests of pipelines, schedulers and user interfaces use
// it instead of a server; authors of agents read it as an example.
//
// It behaves as real servers do where these are hard on a backup. A backup runs in a session, and a second session of the same
// owner is refused while one is open. While its data is copied, a database is in backup mode, which survives a crash of
// the server. Positions are counted anew in every stream, and a restored or recreated database begins a new stream.
// The log is kept until somebody truncates it.
//
// Every operation is one event. With OpenLedger the events are also appended to a file, so that a process may be killed
// and another one continues with the same application. A Ledger is used by many goroutines at once, by one process at a time.
type Ledger struct {
	o LedgerOptions

	mu      sync.Mutex
	state   state
	events  []event
	journal *os.File // nil in memory only

	failing map[string]error // databases whose reads fail
	left    int              // calls until the server is gone, when gone is armed
	armed   bool
	gone    bool
	calls   int

	truncated func()         // see AtTruncation
	atCall    map[int]func() // see AtCall
}

// LedgerOptions shape a Ledger. The zero value is a small application with two databases.
type LedgerOptions struct {
	// Instance is the server's name; empty means "ledger:1".
	Instance string
	// Databases are created at the start; nil means "shop" and "bank".
	Databases []string
	// Accounts is how many accounts every database begins with; 0 means 8.
	Accounts int
	// Ballast is how many bytes of deterministic content every database carries beside its accounts. It costs no memory.
	Ballast int64
	// SharedLog keeps one log for all databases, as Domino does, instead of one for each, as SQL Server does.
	SharedLog bool
	// TruncatesItself lets the server give log up when a backup of it has ended, as SQL Server does, and not when the agent says that it is
	// safe. Its agent is SalvagingSource.
	TruncatesItself bool
	// Delay is how long every read of a backup takes.
	Delay time.Duration
	// Password is asked of every connection.
	Password string
}

func (o *LedgerOptions) withDefaults() LedgerOptions {
	var v LedgerOptions
	if o != nil {
		v = *o
	}
	if v.Instance == "" {
		v.Instance = "ledger:1"
	}
	if v.Databases == nil {
		v.Databases = []string{"shop", "bank"}
	}
	if v.Accounts == 0 {
		v.Accounts = 8
	}
	return v
}

// Errors of the Ledger as a server.
var (
	// ErrLedgerGone is what every call returns after the server went down.
	ErrLedgerGone = errors.New("connection lost: the server has gone away")
	// ErrLedgerBusy refuses a second session of one owner.
	ErrLedgerBusy = errors.New("a backup is already in progress")
	// ErrLedgerDenied is a wrong password.
	ErrLedgerDenied = errors.New("access denied")
	// ErrLedgerTruncated is a read of log that is no longer kept.
	ErrLedgerTruncated = errors.New("log no longer kept")
)

// NewLedger starts a Ledger in memory. Nil options work.
func NewLedger(o *LedgerOptions) *Ledger {
	l := &Ledger{o: o.withDefaults(), failing: map[string]error{}}
	l.state = newState(l.o)
	l.populate()
	return l
}

func (l *Ledger) populate() {
	for _, db := range l.o.Databases {
		if err := l.commit(event{Op: opCreate, DB: db, Accounts: l.o.Accounts, Ballast: l.o.Ballast}); err != nil {
			panic(fmt.Sprintf("ledger: create %s in memory: %v", db, err))
		}
	}
}

// Transfer moves amount between two accounts, each named by database and account, in one transaction. The sum of all balances stays.
func (l *Ledger) Transfer(fromDB, from, toDB, to string, amount int64) error {
	return l.commit(event{Op: opTx, Moves: []Move{{fromDB, from, -amount}, {toDB, to, amount}}})
}

// Mutate commits n transfers between accounts and databases chosen by the number of events so far, so that equal Ledgers stay equal.
func (l *Ledger) Mutate(n int) error {
	for range n {
		l.mu.Lock()
		names := l.state.names()
		seed := uint64(len(l.events))
		l.mu.Unlock()
		if len(names) == 0 {
			return errors.New("ledger: mutate: there is no database")
		}
		a, b := names[mix(seed)%uint64(len(names))], names[mix(seed+1)%uint64(len(names))]
		from, to := accountName(int(mix(seed+2)%uint64(l.o.Accounts))), accountName(int(mix(seed+3)%uint64(2*l.o.Accounts)))
		if err := l.Transfer(a, from, b, to, 1+int64(mix(seed+4)%100)); err != nil {
			return err
		}
	}
	return nil
}

// Create makes a database.
func (l *Ledger) Create(db string) error {
	return l.commit(event{Op: opCreate, DB: db, Accounts: l.o.Accounts, Ballast: l.o.Ballast})
}

// Drop removes a database with its log.
func (l *Ledger) Drop(db string) error { return l.commit(event{Op: opDrop, DB: db}) }

// ResetLog begins a new stream for db ("" in SharedLog mode), as a restore or a repair does: older log no longer leads to the state.
func (l *Ledger) ResetLog(db string) error { return l.commit(event{Op: opReset, DB: db}) }

// TruncateLog gives up all log of db ("" in SharedLog mode) behind the back of whoever backs it up.
func (l *Ledger) TruncateLog(db string) error {
	l.mu.Lock()
	seq := l.state.Seq
	l.mu.Unlock()
	return l.commit(event{Op: opTruncate, DB: db, Seq: seq, Foreign: true})
}

// Advance lets the Ledger's clock run by d.
func (l *Ledger) Advance(d time.Duration) error { return l.commit(event{Op: opClock, Duration: d}) }

// Lose destroys all databases, the log and every session, as a burnt machine does.
func (l *Ledger) Lose() error { return l.commit(event{Op: opLose}) }

// FailDatabase makes every read of db fail with err until it is called with nil.
func (l *Ledger) FailDatabase(db string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		delete(l.failing, db)
		return
	}
	l.failing[db] = err
}

// GoneAfter lets the server go down after n more calls by agents: sessions end, backup mode stays.
func (l *Ledger) GoneAfter(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.left = true, n
}

// AtTruncation makes the server call fn each time it has given up log of its own accord, before it answers the agent. Nil ends that. fn must not use the Ledger.
func (l *Ledger) AtTruncation(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.truncated = fn
}

// AtCall makes the server call fn at the n-th call by agents from now, before it does anything. Nil ends that. fn must not use the Ledger.
func (l *Ledger) AtCall(n int, fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.atCall = map[int]func(){l.calls + n: fn}
}

// Revive starts the server again after GoneAfter.
func (l *Ledger) Revive() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed, l.gone = false, false
}

// OpenSession opens a session that belongs to nobody's backup. Agents must leave it alone.
func (l *Ledger) OpenSession(owner string) error {
	return l.commit(event{Op: opBegin, Owner: owner})
}

// Open lists what is open in the server: "session of <owner>", "<database> in backup mode". Empty means quiescent.
func (l *Ledger) Open() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.open()
}

// Calls tells how many calls agents have made so far.
func (l *Ledger) Calls() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls
}

// Truncations tells how often log was truncated by agents.
func (l *Ledger) Truncations() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Truncations
}

// LogLength tells how many transactions the log of db ("" in SharedLog mode) holds.
func (l *Ledger) LogLength(db string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.state.stream(db)
	if !ok {
		return 0
	}
	return len(l.state.log(db, s.Truncated, l.state.Seq))
}

// Now is the Ledger's clock. It begins in 2001, moves a second with every transaction and event, and never stands.
func (l *Ledger) Now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Now
}

// Current is the state as it is.
func (l *Ledger) Current() Books {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.books()
}

// At is the state as it was at t by the Ledger's clock: all that was committed at or before t.
func (l *Ledger) At(t time.Time) Books {
	l.mu.Lock()
	events := slices.Clone(l.events)
	l.mu.Unlock()
	s := newState(l.o)
	for _, e := range events {
		if e.Time.After(t) {
			break
		}
		s.apply(e)
	}
	return s.books()
}

// Moments are the times of all events since the start, ascending.
func (l *Ledger) Moments() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]time.Time, len(l.events))
	for i, e := range l.events {
		list[i] = e.Time
	}
	return list
}

// Committed reports whether the Ledger ever was in that state at a moment between two transactions.
func (l *Ledger) Committed(b Books) bool { return l.committed(b.Fingerprint()) }

func (l *Ledger) committed(fingerprint string) bool {
	l.mu.Lock()
	events := slices.Clone(l.events)
	l.mu.Unlock()
	s := newState(l.o)
	for _, e := range events {
		if e.Op == opRestore {
			break // what a restore made of it is not its past
		}
		s.apply(e)
		if s.books().Fingerprint() == fingerprint {
			return true
		}
	}
	return false
}
