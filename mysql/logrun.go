package mysql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// Meta of the artifacts of binary log: which file of the server, and from where to where.
const (
	metaFile = "binlog"
	metaFrom = "from"
	metaTo   = "to"
)

// logArtifact is the name of a piece of binary log. The places sort.
func logArtifact(p place) string { return fmt.Sprintf("binlog/%s.%020d", p.file, p.pos) }

// gapError is why the log cannot be continued, so that a full is taken.
type gapError struct{ why string }

func (e *gapError) Error() string { return e.why }

// log takes the binary log from where the last link ended to where the server stands now.
func (s *Source) log(ctx context.Context, r backup.Request, st stage) (it backup.Item, warnings []string, err error) {
	c, err := s.open(ctx, readSettings())
	if err != nil {
		return it, nil, err
	}
	defer c.close()
	srv, err := probe(ctx, c)
	if err != nil {
		return it, nil, err
	}
	end, at, err := s.endOfLog(ctx, c, srv)
	if err != nil {
		return it, nil, err
	}
	b, err := s.compare(ctx, c, srv, r.Anchors[ItemName], end)
	if err != nil {
		return it, nil, err
	}
	if b.gap != "" {
		return it, nil, &gapError{b.gap}
	}
	from := place{file: b.cp.File, pos: b.cp.Pos}
	cp := srv.checkpoint(end, at, "")
	cp.Include, cp.Exclude = s.opt.Include, s.opt.Exclude
	if cp.Head, err = s.copyLog(ctx, srv, st, from, end, b.cp.Head); err != nil {
		return it, nil, err
	}
	if cp.LogFormat != "ROW" {
		warnings = append(warnings, fmt.Sprintf("binlog_format is %s: a restore runs statements again, which may give other results where they depend on chance or order; set it to ROW", cp.LogFormat))
	}
	note, err := json.Marshal(cp)
	if err != nil {
		return it, nil, err
	}
	// The clock of a server may have been set back; the window must not.
	if at.Before(b.link.Window.To) {
		warnings = append(warnings, fmt.Sprintf("the clock of the server stands at %s, before the end of the last backup at %s: times between the two mean two moments", at.Format(time.RFC3339), b.link.Window.To.Format(time.RFC3339)))
		at = b.link.Window.To
	}
	return backup.Item{
		Name: ItemName, Kind: backup.Log, Parent: b.link.ID, Stream: b.link.Stream, Begin: b.link.End, End: end.position(), Window: backup.Window{From: b.link.Window.To, To: at}, PointInTime: true, Checkpoint: note,
	}, warnings, nil
}

// endOfLog is where the server stands, and by its clock a moment by which all before it was committed.
func (s *Source) endOfLog(ctx context.Context, c *session, srv *server) (place, time.Time, error) {
	at, err := c.now(ctx)
	if err != nil {
		return place{}, at, s.fail(ctx, "read the clock of", "", err)
	}
	p, err := c.place(ctx, srv)
	if denied(err) {
		return place{}, at, nil
	}
	return p, at, s.fail(ctx, "read the position of the binary log of", "", err)
}

// copyLog copies what lies between two places, an artifact for each file, and returns the head of the last file.
func (s *Source) copyLog(ctx context.Context, srv *server, st stage, from, end place, head string) (string, error) {
	if from.position() == end.position() {
		return head, nil
	}
	f, err := s.follow(srv, from)
	if err != nil {
		return "", s.fail(ctx, "read the binary log of", from.file, logAdvice(err))
	}
	defer f.close()
	l := &logCopy{s: s, st: st, at: from}
	defer l.discard()
	for l.at.position() < end.position() {
		e, err := f.next(ctx)
		if number(err) == erFatalReadingBinlog && l.at == from {
			return "", &gapError{fmt.Sprintf("the server cannot read its binary log from %s:%d, where the last backup ended: %v", from.file, from.pos, err)}
		}
		if err != nil {
			return "", s.fail(ctx, "read the binary log of", l.at.file, logAdvice(err))
		}
		if err := l.take(ctx, f.file, e); err != nil {
			return "", s.fail(ctx, "stage", l.name, err)
		}
	}
	if l.at.position() != end.position() {
		return "", s.fail(ctx, "read", l.at.file, fmt.Errorf("an event ends at %d, beyond %s:%d where the log ended: %w", l.at.pos, end.file, end.pos, backup.ErrCorrupt))
	}
	if err := l.end(); err != nil {
		return "", s.fail(ctx, "stage", l.name, err)
	}
	if end.file == from.file {
		return head, nil
	}
	head, err = s.head(ctx, srv, end.file)
	if number(err) != 0 {
		return "", nil // without it the next run compares names, sizes and GTIDs
	}
	return head, err
}

// logAdvice tells a missing right.
func logAdvice(err error) error {
	if denied(err) {
		return &backup.Error{App: application, Op: "follow the binary log", Err: err, Advice: "GRANT REPLICATION SLAVE ON *.* to the account"}
	}
	return err
}

// logCopy writes events to artifacts.
type logCopy struct {
	s      *Source
	st     stage
	at     place  // behind the last event
	format []byte // the format description that events are written by
	w      artifact
	name   string
	from   place
}

func (l *logCopy) take(ctx context.Context, file string, e *replication.BinlogEvent) error {
	if file != l.at.file {
		if err := l.end(); err != nil {
			return err
		}
		l.at = place{file: file, pos: uint64(len(binlog.Magic))}
	}
	next := l.at.pos + uint64(len(e.RawData))
	if e.Header.EventType == replication.FORMAT_DESCRIPTION_EVENT {
		l.format = append([]byte(nil), e.RawData...)
		if l.at.pos > uint64(len(binlog.Magic)) {
			return nil // made up by the server, for a reader that begins in the middle
		}
		if err := l.open(ctx); err != nil {
			return err
		}
		l.at.pos = next
		return nil
	}
	if pos := e.Header.LogPos; pos != 0 && pos != uint32(next) {
		return fmt.Errorf("%s: an event ends at %d, where %d comes next: %w", file, pos, next, backup.ErrCorrupt)
	}
	if l.w == nil {
		if err := l.open(ctx); err != nil {
			return err
		}
	}
	l.at.pos = next
	_, err := l.w.Write(e.RawData)
	return err
}

func (l *logCopy) open(ctx context.Context) error {
	if l.format == nil {
		return fmt.Errorf("%s: the server sent no format description: %w", l.at.file, backup.ErrCorrupt)
	}
	l.name, l.from = logArtifact(l.at), l.at
	w, err := l.st.create(ctx, backup.Artifact{Name: l.name, Item: ItemName, Role: backup.RoleLog})
	if err != nil {
		return err
	}
	l.w = w
	_, err = w.Write(append([]byte(binlog.Magic), l.format...))
	return err
}

// end commits the artifact of a file.
func (l *logCopy) end() error {
	if l.w == nil {
		return nil
	}
	l.w.Annotate(metaFile, l.from.file)
	l.w.Annotate(metaFrom, strconv.FormatUint(l.from.pos, 10))
	l.w.Annotate(metaTo, strconv.FormatUint(l.at.pos, 10))
	err := l.w.Commit()
	l.discard()
	return err
}

func (l *logCopy) discard() {
	if l.w != nil {
		_ = l.w.Close()
		l.w = nil
	}
}

// isLog reports whether an artifact is binary log.
func isLog(name string) bool { return strings.HasPrefix(name, "binlog/") && path.Dir(name) == "binlog" }

// gapOf is the reason in a gapError.
func gapOf(err error) (string, bool) {
	var g *gapError
	if errors.As(err, &g) {
		return g.why, true
	}
	return "", false
}
