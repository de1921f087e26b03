package mysql

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"net"
	"strconv"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"
	driver "github.com/go-sql-driver/mysql"

	"github.com/quiesce-go/quiesce/backup"
)

// follower reads events of the binary log from the server, as a replica does: byte for byte as they are in its files, and plain where those are encrypted.
type follower struct {
	syncer *replication.BinlogSyncer
	events *replication.BinlogStreamer
	file   string // of the event that next returned
}

// follow begins at p. The account needs REPLICATION SLAVE.
func (s *Source) follow(srv *server, p place) (*follower, error) {
	if s.cfg == nil {
		return nil, fmt.Errorf("a Source made from a pool does not know how to read the binary log: use New or FromConfig: %w", errors.ErrUnsupported)
	}
	if p.pos > math.MaxUint32 {
		return nil, fmt.Errorf("%s:%d: the protocol cannot begin beyond 4 GiB of a file: set max_binlog_size to 1 GiB, which is the default, and take a full: %w", p.file, p.pos, backup.ErrChainBroken)
	}
	id, err := replicaID()
	if err != nil {
		return nil, err
	}
	c := replication.BinlogSyncerConfig{
		ServerID: id, Flavor: string(srv.flavour), User: s.cfg.User, Password: s.cfg.Passwd, Host: s.cfg.Addr, RawModeEnabled: true, DisableRetrySync: true,
		Logger: slog.New(slog.DiscardHandler), EventCacheCount: 64,
	}
	if srv.encrypted {
		c.TLSConfig = s.cfg.TLS
	}
	if s.cfg.Net != "unix" {
		host, port, err := net.SplitHostPort(s.cfg.Addr)
		if err != nil {
			return nil, err
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return nil, err
		}
		c.Host, c.Port = host, uint16(n)
	}
	if srv.flavour == MariaDB {
		// Without it events that hold the text of statements are left out, and what comes is not what the file holds.
		c.DumpCommandFlag = replication.BINLOG_SEND_ANNOTATE_ROWS_EVENT
	}
	f := &follower{syncer: replication.NewBinlogSyncer(c), file: p.file}
	if f.events, err = f.syncer.StartSync(gomysql.Position{Name: p.file, Pos: uint32(p.pos)}); err != nil {
		f.close()
		return nil, serverAnswer(err)
	}
	return f, nil
}

// replicaID is a number that no replica is likely to have: two of the same disconnect one another.
func replicaID() (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(rand.Reader, b[:]); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]) | 1<<31, nil
}

// next waits for the next event. Those that tell only which file comes next, or that the server is alive, are left out.
func (f *follower) next(ctx context.Context) (*replication.BinlogEvent, error) {
	for {
		e, err := f.events.GetEvent(ctx)
		if err != nil {
			return nil, serverAnswer(err)
		}
		switch h := e.Header; h.EventType {
		case replication.ROTATE_EVENT:
			if h.LogPos != 0 && h.Timestamp != 0 {
				return e, nil // the last of its file; the next one is told by another
			}
			if r, ok := e.Event.(*replication.RotateEvent); ok {
				f.file = string(r.NextLogName)
			}
		case replication.HEARTBEAT_EVENT, replication.HEARTBEAT_LOG_EVENT_V2:
		default:
			return e, nil
		}
	}
}

func (f *follower) close() { f.syncer.Close() }

// serverAnswer gives an answer of the server the type that the rest of this package knows.
func serverAnswer(err error) error {
	var answer *gomysql.MyError
	if !errors.As(err, &answer) {
		return err
	}
	return &driver.MySQLError{Number: answer.Code, Message: answer.Message}
}

// head tells one file from another of the same name: its first two events hold when it was made and which transactions came before. It is empty when it cannot be read.
func (s *Source) head(ctx context.Context, srv *server, file string) (string, error) {
	f, err := s.follow(srv, place{file: file, pos: 4})
	if err != nil {
		return "", err
	}
	defer f.close()
	var sum uint32
	for range 2 {
		e, err := f.next(ctx)
		if err != nil {
			return "", err
		}
		raw := append([]byte(nil), e.RawData...)
		if len(raw) < replication.EventHeaderSize {
			return "", fmt.Errorf("an event of %d bytes", len(raw))
		}
		const flagsAt, sizes = 17, replication.BinlogChecksumLength
		raw[flagsAt] &^= byte(replication.LOG_EVENT_BINLOG_IN_USE_F)
		sum = crc32.Update(sum, crc32.MakeTable(crc32.Castagnoli), raw[:len(raw)-sizes])
	}
	return fmt.Sprintf("%08x", sum), nil
}
