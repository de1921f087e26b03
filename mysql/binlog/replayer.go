package binlog

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"
	"github.com/go-sql-driver/mysql"

	"github.com/quiesce-go/quiesce/backup"
)

// Conn is one connection to the server that is replayed into. All of a replay goes over one, since temporary tables and user variables live there.
type Conn interface {
	// Exec runs one statement, whose bytes are sent as they are. An answer of the server is a *mysql.MySQLError in the tree of the error.
	Exec(ctx context.Context, statement string) error
	// Row returns the first row of a query.
	Row(ctx context.Context, query string) ([]string, error)
}

// ReplayOptions adjust a Replayer.
type ReplayOptions struct {
	// MariaDB: the server that is replayed into is one. Logs of MySQL and MariaDB cannot be replayed into each other.
	MariaDB bool
	// MaxPacket is the largest statement in bytes: max_allowed_packet of the server. Required.
	MaxPacket int
	// KeepGTIDs gives transactions the names they had. On MySQL one that the server has already is left out by the server. Otherwise they get new ones, or none.
	KeepGTIDs bool
	// Want, when set, tells what is replayed: rows by schema and table; statements, with an empty table, by the schema they ran in, whatever they name.
	Want func(schema, table string) bool
}

// Replayer applies events to a server. Pass it every event of a Walker, from the first of the first file, and leave out whole transactions that are not wanted.
type Replayer struct {
	conn Conn
	o    ReplayOptions

	format   *Format
	fresh    bool // the server knows the format
	settings string
	schema   string
	thread   uint32
	begun    bool // a transaction is open at the server
	before   []string
	group    group

	// Skipped is how many statements Want left out.
	Skipped int64
	// Unknown names states of sessions that are not known, each once; what lies behind them in the event was not set.
	Unknown []int
}

// NewReplayer replays over conn, which it brings into states of its own; do not use it for anything else afterwards.
func NewReplayer(conn Conn, o ReplayOptions) (*Replayer, error) {
	if o.MaxPacket < 1<<16 {
		return nil, fmt.Errorf("MaxPacket %d: want max_allowed_packet of the server, at least 65536: %w", o.MaxPacket, backup.ErrOption)
	}
	return &Replayer{conn: conn, o: o, group: group{limit: (o.MaxPacket - 1024) / 4 * 3, want: o.Want}}, nil
}

// Apply applies one event. After an error the connection is in no state to go on.
func (r *Replayer) Apply(ctx context.Context, st Step) error {
	if err := r.apply(ctx, st); err != nil {
		what := st.Type.String()
		if st.Transaction != nil {
			what = "transaction " + st.Transaction.String()
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// String names the transaction by its GTID, or by its time and place.
func (t *Transaction) String() string {
	if t.GTID != "" {
		return t.GTID
	}
	return fmt.Sprintf("of %s at byte %d", t.Commit.UTC().Format("2006-01-02 15:04:05.999999Z"), t.Begin)
}

// Finish ends the replay. A transaction that did not end is rolled back, and is an error.
func (r *Replayer) Finish(ctx context.Context) error {
	if !r.begun && r.group.empty() {
		return nil
	}
	r.begun = false
	return errors.Join(errors.New("the last transaction has no end: it was rolled back"), r.conn.Exec(ctx, "ROLLBACK"))
}

func (r *Replayer) apply(ctx context.Context, st Step) error {
	switch d := st.Decoded.(type) {
	case *replication.FormatDescriptionEvent:
		return r.describe(st)
	case *replication.GTIDEvent:
		return r.named(ctx, st)
	case *replication.GtidTaggedLogEvent:
		return r.named(ctx, st)
	case *replication.MariadbGTIDEvent:
		return r.namedMariaDB(ctx, st, d)
	case *replication.QueryEvent:
		return r.query(ctx, st, d)
	case *replication.IntVarEvent:
		name := "INSERT_ID"
		if d.Type == replication.LAST_INSERT_ID {
			name = "LAST_INSERT_ID"
		}
		r.before = append(r.before, fmt.Sprintf("SET %s=%d", name, d.Value))
		return nil
	case nil:
		return r.undecoded(ctx, st)
	}
	return nil // files begin and end, and tell what came before
}

// describe takes over the format, which the server is told before the first rows.
func (r *Replayer) describe(st Step) error {
	format := &Format{Raw: append([]byte(nil), st.Raw...)}
	fde := st.Decoded.(*replication.FormatDescriptionEvent)
	format.Server = strings.TrimRight(fde.ServerVersion, "\x00")
	format.Checksums = fde.ChecksumAlgorithm == replication.BINLOG_CHECKSUM_ALG_CRC32
	if mariadb := strings.Contains(strings.ToLower(format.Server), "mariadb"); mariadb != r.o.MariaDB {
		return fmt.Errorf("the log was written by %s: a server of another kind cannot replay it: %w", format.Server, backup.ErrRefused)
	}
	format.Raw[flagsAt] &^= byte(replication.LOG_EVENT_BINLOG_IN_USE_F)
	r.format, r.fresh = format, false
	return nil
}

func (r *Replayer) named(ctx context.Context, st Step) error {
	if !r.o.KeepGTIDs || st.Transaction == nil || st.Transaction.GTID == "" {
		return nil
	}
	return r.conn.Exec(ctx, "SET @@SESSION.GTID_NEXT='"+st.Transaction.GTID+"'")
}

func (r *Replayer) namedMariaDB(ctx context.Context, st Step, d *replication.MariadbGTIDEvent) error {
	if r.o.KeepGTIDs {
		if err := r.conn.Exec(ctx, fmt.Sprintf("SET @@session.gtid_domain_id=%d, @@session.server_id=%d, @@session.gtid_seq_no=%d", d.GTID.DomainID, st.ServerID, d.GTID.SequenceNumber)); err != nil {
			return err
		}
	}
	const prepared = 0x40 // FL_PREPARED_XA
	switch {
	case d.IsStandalone():
		return nil
	case d.Flags&prepared != 0:
		xid, err := mariadbXID(st.Raw, d)
		if err != nil {
			return err
		}
		return r.begin(ctx, "XA START "+xid)
	}
	return r.begin(ctx, "BEGIN")
}

func (r *Replayer) begin(ctx context.Context, statement string) error {
	if err := r.conn.Exec(ctx, statement); err != nil {
		return err
	}
	r.begun = true
	return nil
}

// undecoded applies what is not about transactions.
func (r *Replayer) undecoded(ctx context.Context, st Step) error {
	switch t := st.Type; {
	case t == replication.TABLE_MAP_EVENT || rows(t):
		return r.row(ctx, st.Raw)
	case t == replication.XID_EVENT:
		return r.commit(ctx, "COMMIT")
	case t == replication.XA_PREPARE_LOG_EVENT:
		return r.prepare(ctx, st)
	case t == replication.TRANSACTION_PAYLOAD_EVENT:
		return inner(st.Raw, r.format.Checksums, func(raw []byte) error { return r.inside(ctx, st, raw) })
	case t == replication.RAND_EVENT:
		c := &cursor{b: st.Raw[headerBytes:]}
		r.before = append(r.before, fmt.Sprintf("SET @@session.rand_seed1=%d, @@session.rand_seed2=%d", c.uint(8), c.uint(8)))
		return nil
	case t == replication.USER_VAR_EVENT:
		set, err := r.variable(ctx, st.Raw[headerBytes:])
		r.before = append(r.before, set)
		return err
	case harmless(t):
		return nil
	case t == replication.INCIDENT_EVENT:
		return fmt.Errorf("the server noted that events were lost here: %w", backup.ErrChainBroken)
	case t == replication.BEGIN_LOAD_QUERY_EVENT || t == replication.EXECUTE_LOAD_QUERY_EVENT || t == replication.APPEND_BLOCK_EVENT || t == replication.DELETE_FILE_EVENT:
		return fmt.Errorf("LOAD DATA was logged as a statement, which is not replayed: restore to a time before it, or set binlog_format=ROW from now on: %w", backup.ErrRefused)
	case st.Flags&ignorable != 0:
		return nil
	}
	return fmt.Errorf("an event of type %d (%s), which is not known: %w", byte(st.Type), st.Type, backup.ErrRefused)
}

const (
	ignorable   = 0x80 // LOG_EVENT_IGNORABLE_F
	suppressUse = 0x08 // LOG_EVENT_SUPPRESS_USE_F
)

// rows reports whether an event is rows of a table.
func rows(t replication.EventType) bool {
	switch t {
	case replication.WRITE_ROWS_EVENTv1, replication.UPDATE_ROWS_EVENTv1, replication.DELETE_ROWS_EVENTv1, replication.WRITE_ROWS_EVENTv2, replication.UPDATE_ROWS_EVENTv2, replication.DELETE_ROWS_EVENTv2,
		replication.PARTIAL_UPDATE_ROWS_EVENT, replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
		return true
	}
	return false
}

// harmless events tell and do nothing.
func harmless(t replication.EventType) bool {
	switch t {
	case replication.STOP_EVENT, replication.IGNORABLE_EVENT, replication.ROWS_QUERY_EVENT, replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2, replication.TRANSACTION_CONTEXT_EVENT, replication.VIEW_CHANGE_EVENT,
		replication.MARIADB_ANNOTATE_ROWS_EVENT, replication.MARIADB_BINLOG_CHECKPOINT_EVENT:
		return true
	}
	return false
}

// inside applies an event out of a compressed transaction.
func (r *Replayer) inside(ctx context.Context, st Step, raw []byte) error {
	p := replication.NewBinlogParser()
	p.SetRowsEventDecodeFunc(func(*replication.RowsEvent, []byte) error { return nil })
	e := &Event{Type: replication.EventType(raw[typeAt]), Time: st.Time, ServerID: st.ServerID, Flags: binary.LittleEndian.Uint16(raw[flagsAt:]), Raw: raw}
	in := Step{Event: e, Transaction: st.Transaction}
	if decodable(e.Type) {
		s := &Scanner{parser: p}
		if _, err := s.decode(r.format.Raw); err != nil {
			return err
		}
		var err error
		if in.Decoded, err = s.decode(raw); err != nil {
			return err
		}
	}
	return r.apply(ctx, in)
}

// commit ends the transaction with what commits it.
func (r *Replayer) commit(ctx context.Context, statement string) error {
	if !r.group.empty() {
		return errors.New("rows without an end of their statement")
	}
	r.begun = false
	return r.conn.Exec(ctx, statement)
}

// row gathers an event of a row group, and sends the group when it ends or gets too large.
func (r *Replayer) row(ctx context.Context, raw []byte) error {
	if !r.fresh {
		if err := r.conn.Exec(ctx, blob(r.format.Raw)); err != nil {
			return err
		}
		r.fresh = true
	}
	return r.group.add(raw, r.format.Checksums, func(events []byte) error { return r.conn.Exec(ctx, blob(events)) })
}

// blob is the statement that applies events as they are.
func blob(events []byte) string { return "BINLOG '" + base64.StdEncoding.EncodeToString(events) + "'" }

// serverError is the number of the server's answer in err, or 0.
func serverError(err error) uint16 {
	var answer *mysql.MySQLError
	if errors.As(err, &answer) {
		return answer.Number
	}
	return 0
}
