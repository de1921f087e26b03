package binlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"
)

// Transaction is one transaction, or one statement that commits itself.
type Transaction struct {
	// GTID names it: "3e11fa47-71ca-11e1-9e33-c80aa9429562:23", with a tag "…:tag:23", on MariaDB "0-1-23". Empty: it has no name.
	GTID string
	// Commit is when it was committed; Precise: to the microsecond, else to the second.
	Commit  time.Time
	Precise bool
	// Begin is where its first event is, in bytes from the start of the file or piece.
	Begin int64
	// Statement: one statement that commits itself, such as CREATE TABLE.
	Statement bool
}

// Step is an event and its place.
type Step struct {
	*Event
	// Decoded is the event as the library decodes it; nil for rows and others that tell nothing about transactions.
	Decoded replication.Event
	// Transaction is the one it belongs to; nil: to none.
	Transaction *Transaction
	// First and Last say that the transaction begins and ends with this event.
	First, Last bool
}

// Walker finds transactions in the events of a file or piece. A transaction never continues in the next file.
type Walker struct {
	s    *Scanner
	txn  *Transaction
	open bool // between BEGIN and its end
}

// NewWalker walks a file or piece from its start.
func NewWalker(r io.Reader) *Walker { return &Walker{s: NewScanner(r)} }

// Format is Scanner.Format.
func (w *Walker) Format() *Format { return w.s.Format() }

// Offset is Scanner.Offset.
func (w *Walker) Offset() int64 { return w.s.Offset() }

// Inside reports whether a transaction has begun and not ended.
func (w *Walker) Inside() bool { return w.txn != nil }

// Next returns the next event. Errors are those of Scanner.Next.
func (w *Walker) Next() (Step, error) {
	at := w.s.Offset()
	if at == 0 {
		at = int64(len(Magic))
	}
	e, err := w.s.Next()
	if err != nil {
		return Step{}, err
	}
	st := Step{Event: e}
	if decodable(e.Type) {
		if st.Decoded, err = w.s.decode(e.Raw); err != nil {
			var damage *CorruptError
			if errors.As(err, &damage) {
				damage.Offset = at
			}
			w.s.err = err
			return Step{}, err
		}
	}
	if err := w.place(&st, at); err != nil {
		w.s.err = err
		return Step{}, err
	}
	return st, nil
}

// decodable reports whether an event is decoded while walking: those that tell about transactions, and what sets up a statement. Rows are not.
func decodable(t replication.EventType) bool {
	switch t {
	case replication.QUERY_EVENT, replication.MARIADB_QUERY_COMPRESSED_EVENT, replication.ROTATE_EVENT, replication.FORMAT_DESCRIPTION_EVENT, replication.INTVAR_EVENT, replication.GTID_EVENT,
		replication.ANONYMOUS_GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT, replication.PREVIOUS_GTIDS_EVENT, replication.MARIADB_GTID_EVENT, replication.MARIADB_GTID_LIST_EVENT:
		return true
	}
	return false
}

// place finds out to which transaction the event belongs.
func (w *Walker) place(st *Step, at int64) error {
	corrupt := func(format string, args ...any) error {
		return &CorruptError{Offset: at, What: fmt.Sprintf(format, args...)}
	}
	begin := func(t *Transaction) error {
		if w.txn != nil {
			return corrupt("a transaction begins inside another one, which began at byte %d", w.txn.Begin)
		}
		t.Begin = at
		if t.Commit.IsZero() {
			t.Commit = st.Time
		}
		w.txn, st.First = t, true
		return nil
	}
	switch d := st.Decoded.(type) {
	case *replication.GTIDEvent:
		return w.named(st, d, begin)
	case *replication.GtidTaggedLogEvent:
		return w.named(st, &d.GTIDEvent, begin)
	case *replication.MariadbGTIDEvent:
		err := begin(&Transaction{GTID: d.GTID.String(), Statement: d.IsStandalone()})
		w.open = !d.IsStandalone()
		st.Transaction = w.txn
		return err
	case *replication.QueryEvent:
		if w.txn == nil { // before 5.7 transactions have no event that names them
			if err := begin(&Transaction{}); err != nil {
				return err
			}
		}
		w.query(st, d.Query)
	case *replication.FormatDescriptionEvent, *replication.RotateEvent, *replication.PreviousGTIDsEvent, *replication.MariadbGTIDListEvent:
		if w.txn != nil && st.Next != 0 {
			return corrupt("the file ends or begins (%s) inside a transaction, which began at byte %d", st.Type, w.txn.Begin)
		}
		return nil
	default:
		st.Last = st.Type == replication.XID_EVENT || st.Type == replication.XA_PREPARE_LOG_EVENT || st.Type == replication.TRANSACTION_PAYLOAD_EVENT
	}
	st.Transaction = w.txn
	if st.Last {
		w.txn, w.open = nil, false
	}
	return nil
}

func (w *Walker) named(st *Step, d *replication.GTIDEvent, begin func(*Transaction) error) error {
	t := &Transaction{}
	if st.Type != replication.ANONYMOUS_GTID_EVENT {
		set, err := d.GTIDNext()
		if err != nil {
			return &CorruptError{Offset: w.s.offset - int64(len(st.Raw)), What: fmt.Sprintf("a GTID that makes no sense: %v", err)}
		}
		t.GTID = set.String()
	}
	if us := d.ImmediateCommitTimestamp; us != 0 {
		t.Commit, t.Precise = time.UnixMicro(int64(us)), true
	}
	err := begin(t)
	st.Transaction = w.txn
	return err
}

// query says what a statement does to the transaction it stands in.
func (w *Walker) query(st *Step, text []byte) {
	word := strings.ToUpper(string(bytes.TrimSpace(text[:min(len(text), 16)])))
	switch {
	case word == "BEGIN" || strings.HasPrefix(word, "XA START"):
		w.open = true
	case word == "COMMIT" || word == "ROLLBACK":
		st.Last = true
	case !w.open:
		st.Last, w.txn.Statement = true, true
	}
}
