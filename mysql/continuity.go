package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	gomysql "github.com/go-mysql-org/go-mysql/mysql"

	"github.com/quiesce-go/quiesce/backup"
)

// before is what the last link of the chain noted, and what has become of it.
type before struct {
	link *backup.Link
	cp   Checkpoint
	// same: the server's binary log is the one the link is of. Then positions compare.
	same bool
	// gap is why the log cannot be continued from the link; empty when it can.
	gap string
}

// compare finds out whether the server's log still continues what anchor noted.
func (s *Source) compare(ctx context.Context, c *session, srv *server, anchor backup.Anchor, now place) (before, error) {
	if anchor.Last == nil {
		return before{gap: "there is no earlier backup to continue"}, nil
	}
	b := before{link: anchor.Last}
	if err := json.Unmarshal(anchor.Last.Checkpoint, &b.cp); err != nil {
		b.gap = fmt.Sprintf("the note in backup %s cannot be read: %v", anchor.Last.ID, err)
		return b, nil
	}
	switch here := srv.checkpoint(now, b.cp.Time, ""); {
	case b.cp.File == "":
		b.gap = fmt.Sprintf("backup %s has no position in a binary log", anchor.Last.ID)
		return b, nil
	case now.file == "":
		b.gap = "the server's binary log is off, or its position cannot be read"
		return b, nil
	case b.cp.identity() != here.identity():
		b.gap = fmt.Sprintf("backup %s is of another server (%s) than this one (%s)", anchor.Last.ID, b.cp.identity(), here.identity())
		return b, nil
	}
	var err error
	b.gap, b.same, err = s.history(ctx, c, srv, b.cp, now)
	if b.gap == "" && anchor.Full == nil {
		b.gap = "no full is left to begin from"
	}
	return b, err
}

// history compares files and transactions.
func (s *Source) history(ctx context.Context, c *session, srv *server, cp Checkpoint, now place) (gap string, same bool, err error) {
	if ok, err := c.holds(ctx, srv, now, cp.GTID); err != nil {
		return "", false, s.fail(ctx, "compare transactions on", "", err)
	} else if !ok {
		return fmt.Sprintf("the server lacks transactions that it had (%s): its binary log was reset, or it was restored", cp.GTID), false, nil
	}
	if now.position() < (place{file: cp.File, pos: cp.Pos}).position() {
		return fmt.Sprintf("the binary log stands at %s:%d, before %s:%d where the last backup ended: it was reset", now.file, now.pos, cp.File, cp.Pos), false, nil
	}
	files, err := c.rows(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return "", false, s.fail(ctx, "list the binary logs of", "", err)
	}
	for _, f := range files {
		if f.col(0) != cp.File {
			continue
		}
		if size, err := strconv.ParseUint(f.col(1), 10, 64); err == nil && size < cp.Pos {
			return fmt.Sprintf("%s has %d bytes and had at least %d: it is another file of that name, or was cut", cp.File, size, cp.Pos), false, nil
		}
		return s.sameFile(ctx, srv, cp)
	}
	first := "none"
	if len(files) > 0 {
		first = files[0].col(0)
	}
	return fmt.Sprintf("%s is gone from the server, whose oldest binary log is %s: it was purged before it was backed up", cp.File, first), true, nil
}

func (s *Source) sameFile(ctx context.Context, srv *server, cp Checkpoint) (gap string, same bool, err error) {
	if cp.Head == "" {
		return "", true, nil
	}
	head, err := s.head(ctx, srv, cp.File)
	switch {
	case number(err) != 0 || errors.Is(err, errors.ErrUnsupported):
		return fmt.Sprintf("%s cannot be read: %v", cp.File, err), true, nil
	case err != nil:
		return "", false, s.fail(ctx, "read", cp.File, err)
	case head != cp.Head:
		return fmt.Sprintf("%s is another file than the one of that name before: the binary log was reset", cp.File), false, nil
	}
	return "", true, nil
}

// holds reports whether the server has all transactions of a set.
func (c *session) holds(ctx context.Context, srv *server, now place, set string) (bool, error) {
	if set == "" {
		return true, nil
	}
	if srv.flavour == MySQL {
		v, err := c.text(ctx, "SELECT GTID_SUBSET('"+strings.ReplaceAll(set, "'", "")+"', @@global.gtid_executed)")
		return v == "1", err
	}
	had, err := gomysql.ParseMariadbGTIDSet(set)
	if err != nil {
		return false, fmt.Errorf("GTIDs %q in the backup: %w", set, err)
	}
	has, err := gomysql.ParseMariadbGTIDSet(now.gtid)
	if err != nil {
		return false, fmt.Errorf("GTIDs %q of the server: %w", now.gtid, err)
	}
	return has.Contain(had), nil
}

// identity names the server in a checkpoint.
func (cp Checkpoint) identity() string {
	id := cp.ServerUUID
	if id == "" {
		id = "server-id-" + cp.ServerID
	}
	return string(cp.Flavour) + ":" + id
}
