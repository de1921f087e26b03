package exchangesim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// streaming is the library of a program.
type streaming struct{ c *Client }

// unavailable refuses what the server does not offer.
func (s *Server) unavailable(server, annotation string) error {
	switch {
	case s.cfg.Version > 2007:
		return fmt.Errorf("no service offers the streaming API, as from Exchange 2010 on: %w", esebcli.HRESULT(0x800706D9)) // EPT_S_NOT_REGISTERED
	case annotation != esebcli.InformationStore:
		return fmt.Errorf("annotation %q is none that this model has: %w", annotation, esebcli.HrInvalidArgument)
	case server != "" && !strings.EqualFold(server, s.cfg.Name):
		return fmt.Errorf("server %q: %w", server, esebcli.HrServerUnavailable)
	}
	return nil
}

// Prepare begins a session.
func (a *streaming) Prepare(ctx context.Context, server, annotation string) (esebcli.Session, []esebcli.Instance, error) {
	x := &session{c: a.c, files: map[*file]bool{}, taken: map[*database]int{}}
	var instances []esebcli.Instance
	err := a.c.library(ctx, "API.Prepare", []string{server, annotation}, func() error {
		s := a.c.s
		if err := s.unavailable(server, annotation); err != nil {
			return err
		}
		for _, g := range s.groups {
			i := esebcli.Instance{ID: g.id, Name: g.name}
			for _, d := range g.dbs {
				streams := []string{d.file}
				if d.stm != "" {
					streams = append(streams, d.stm)
				}
				i.Databases = append(i.Databases, esebcli.Database{Name: d.name, GUID: d.guid, Streams: streams, Mounted: d.mounted})
			}
			instances = append(instances, i)
		}
		a.c.sessions[x] = true
		return nil
	})
	if err != nil {
		return nil, nil, errors.Join(err, a.c.s.locked(func() error { x.rundown(); return nil })) // an answer that was lost leaves no session
	}
	return x, instances, nil
}

// session is a backup.
type session struct {
	c     *Client
	over  error // why there are no more calls
	g     *group
	kind  esebcli.BackupType
	files map[*file]bool

	mark      esefile.Mark // First is the first log that the backup needs
	taken     map[*database]int
	logs      []logFile
	listed    bool
	truncated bool
}

// do is a call of the session.
func (x *session) do(ctx context.Context, name string, args []string, f func() error) error {
	return x.c.library(ctx, "Session."+name, args, func() error {
		if x.over != nil {
			return x.over
		}
		return f()
	})
}

// in is a call that needs an instance in backup.
func (x *session) in(ctx context.Context, name string, args []string, f func() error) error {
	return x.do(ctx, name, args, func() error {
		if x.g == nil {
			return fmt.Errorf("no instance is in backup: %w", esebcli.HrNoBackup)
		}
		return f()
	})
}

func sequence(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), esebcli.HrInvalidSequence)
}

// Setup begins the backup of an instance.
func (x *session) Setup(ctx context.Context, instance int64, t esebcli.BackupType) error {
	return x.do(ctx, "Setup", []string{fmt.Sprint(instance), fmt.Sprint(t)}, func() error {
		if x.g != nil {
			return sequence("%s is in backup in this session", x.g.name)
		}
		i := slices.IndexFunc(x.c.s.groups, func(g *group) bool { return g.id == instance })
		if i < 0 || t < esebcli.Full || t > esebcli.FullWithAllLogs {
			return fmt.Errorf("instance %d, type %d: %w", instance, t, esebcli.HrInvalidArgument)
		}
		g := x.c.s.groups[i]
		if g.backup != nil || g.snapshots > 0 {
			return fmt.Errorf("%s: %w", g.name, esebcli.HrBackupInProgress)
		}
		if len(g.mounted()) == 0 {
			return jet(errBackupNotAllowed, "%s: no database is mounted", g.name)
		}
		if t == esebcli.LogsOnly {
			if err := g.continues(); err != nil {
				return err
			}
		}
		x.g, x.kind, x.mark = g, t, esefile.Mark{At: g.log.End(), Time: g.s.stamp(), First: g.checkpoint().Generation}
		x.taken, x.logs, x.listed, x.truncated = map[*database]int{}, nil, false, false
		g.backup = x
		return nil
	})
}

// continues reports why the logs of a group cannot be backed up alone.
func (g *group) continues() error {
	if g.circular {
		return jet(errInvalidBackup, "%s: circular logging is on", g.name)
	}
	logs, err := closedLogs(g.logDir, g.base)
	if err != nil {
		return err
	}
	oldest := g.generation()
	if len(logs) > 0 {
		oldest = logs[0].generation
	}
	for _, d := range g.mounted() {
		h := d.header
		if h.FullPrev.Last == 0 || h.FullPrevBy != esefile.ByStreaming {
			return fmt.Errorf("%s/%s has no full backup by this API: %w", g.name, d.name, esebcli.HrMissingFullBackup)
		}
		if last := max(h.FullPrev.Last, h.IncPrev.Last); oldest > last+1 {
			return fmt.Errorf("%s/%s was backed up to generation %d, and its logs begin with %d: %w", g.name, d.name, last, oldest, esebcli.HrMissingFullBackup)
		}
	}
	return nil
}

// OpenFile opens a stream of a database, or a log that was listed.
func (x *session) OpenFile(ctx context.Context, path string, readHint uint32) (esebcli.File, int64, error) {
	f := &file{x: x, path: path}
	var size int64
	err := x.in(ctx, "OpenFile", []string{path}, func() error {
		if readHint == 0 {
			return fmt.Errorf("no hint of how much is read: %w", esebcli.HrInvalidArgument)
		}
		g := x.g
		if x.listed {
			if !slices.ContainsFunc(x.logs, func(l logFile) bool { return l.path == path }) {
				if g.stream(path) != nil {
					return sequence("%s: databases come before logs", path)
				}
				return fmt.Errorf("%s is no log of this backup: %w", path, esebcli.HrFileNotFound)
			}
		} else {
			d := g.stream(path)
			switch {
			case d == nil && filepath.Dir(path) == g.logDir:
				return sequence("%s: logs must be listed first", path)
			case d == nil:
				return fmt.Errorf("%s: %w", path, esebcli.HrFileNotFound)
			case x.kind == esebcli.LogsOnly:
				return sequence("%s: this is a backup of logs only", path)
			case !d.mounted:
				return fmt.Errorf("%s/%s is not mounted: %w", g.name, d.name, esebcli.HrDatabaseNotFound)
			}
			f.d = d
			f.stm = path == d.stm
		}
		i, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("%s: %w", path, esebcli.HrFileNotFound)
		}
		size = i.Size()
		f.file = size
		if f.d != nil && !f.stm {
			size += int64(f.d.header.PageBytes) // the trailer
		}
		f.size = size
		x.files[f] = true
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return f, size, nil
}

// stream finds the database of a stream.
func (g *group) stream(path string) *database {
	for _, d := range g.dbs {
		if path == d.file || d.stm != "" && path == d.stm {
			return d
		}
	}
	return nil
}

// LogFiles closes the current log and lists those of the backup.
func (x *session) LogFiles(ctx context.Context) (paths []string, err error) {
	err = x.in(ctx, "LogFiles", nil, func() error {
		if x.listed {
			return sequence("the logs were listed already")
		}
		if len(x.files) > 0 {
			return sequence("%d files are open", len(x.files))
		}
		g := x.g
		if err := g.roll(); err != nil {
			return err
		}
		logs, err := closedLogs(g.logDir, g.base)
		if err != nil {
			return err
		}
		for _, l := range logs {
			if x.kind == esebcli.Full && l.generation < x.mark.First {
				continue
			}
			x.logs = append(x.logs, l)
			paths = append(paths, l.path)
		}
		x.listed = true
		x.mark.Last = g.generation() - 1
		return nil
	})
	return paths, err
}

// truncatable is the first generation that must stay.
func (x *session) truncatable() uint32 {
	g := x.g
	first := min(g.needed(), x.mark.Last+1)
	if x.kind != esebcli.LogsOnly {
		first = min(first, x.mark.First)
	}
	for _, d := range g.dbs {
		if x.kind == esebcli.LogsOnly && d.mounted || x.whole(d) {
			continue
		}
		first = min(first, d.backedUp()+1)
	}
	return first
}

// backedUp is the last generation that the last backups of a database by any way have; 0: there was none.
func (d *database) backedUp() uint32 { return max(d.header.FullPrev.Last, d.header.IncPrev.Last) }

// whole reports whether all streams of a database were read to their ends.
func (x *session) whole(d *database) bool {
	want := 1
	if d.stm != "" {
		want = 3
	}
	return x.taken[d] == want
}

// TruncateLogFiles lists the logs that TruncateLogs would delete.
func (x *session) TruncateLogFiles(ctx context.Context) (paths []string, err error) {
	err = x.in(ctx, "TruncateLogFiles", nil, func() error {
		if !x.listed {
			return sequence("the logs were not listed yet")
		}
		for _, l := range x.onDisk() {
			if l.generation < x.truncatable() {
				paths = append(paths, l.path)
			}
		}
		return nil
	})
	return paths, err
}

func (x *session) onDisk() []logFile {
	logs, _ := closedLogs(x.g.logDir, x.g.base) // a folder that cannot be read has none to delete
	return logs
}

// TruncateLogs deletes the logs that no database of the group needs any more.
func (x *session) TruncateLogs(ctx context.Context) error {
	return x.in(ctx, "TruncateLogs", nil, func() error {
		switch {
		case !x.listed:
			return sequence("the logs were not listed yet")
		case x.truncated:
			return sequence("the logs were truncated already")
		case len(x.files) > 0:
			return sequence("%d files are open", len(x.files))
		}
		x.truncated = true
		return x.g.truncate(x.truncatable())
	})
}

// EndInstance ends the backup of the instance. After success the headers of the databases name it.
func (x *session) EndInstance(ctx context.Context, success bool) error {
	return x.in(ctx, "EndInstance", []string{fmt.Sprint(success)}, func() error {
		if success && !x.listed {
			return sequence("a backup without its logs is none")
		}
		if success && len(x.files) > 0 {
			return sequence("%d files are open", len(x.files))
		}
		if success {
			if err := x.markHeaders(); err != nil {
				return err
			}
		}
		x.leave()
		return nil
	})
}

// markHeaders writes the backup into the headers of what was backed up.
func (x *session) markHeaders() error {
	g := x.g
	for _, d := range g.mounted() {
		h := d.header
		switch {
		case x.kind == esebcli.LogsOnly:
			h.IncPrev, h.IncPrevBy = x.mark, esefile.ByStreaming
			d.lastLog = g.s.cfg.Now()
		case x.whole(d):
			h.FullPrev, h.FullPrevBy, h.IncPrev, h.IncPrevBy = x.mark, esefile.ByStreaming, esefile.Mark{}, 0
			d.lastFull = g.s.cfg.Now()
		default:
			continue
		}
		if err := d.writeHeader(h); err != nil {
			return err
		}
	}
	if x.kind == esebcli.LogsOnly {
		g.inc, g.incTime = x.mark.At, x.mark.Time
	} else {
		g.full, g.fullTime, g.lastFullCheckpointAt = x.mark.At, x.mark.Time, g.checkpoint()
	}
	return g.writeCheckpoint()
}

// leave ends the backup of the instance, whatever became of it.
func (x *session) leave() {
	for f := range x.files {
		f.closed = true
	}
	clear(x.files)
	if x.g != nil {
		x.g.backup = nil
		x.g = nil
	}
}

// rundown ends the session when its program or the server has died.
func (x *session) rundown() {
	x.leave()
	x.over = fmt.Errorf("the session was ended: %w", esebcli.HrServerUnavailable)
	delete(x.c.sessions, x)
}

// End ends the session, and as failed an instance that is still in backup.
func (x *session) End(ctx context.Context) error {
	return x.c.call(ctx, "Session.End", nil, func() error {
		if x.over != nil {
			return x.over
		}
		x.rundown()
		x.over = errors.New("the session has ended")
		return nil
	})
}

// file is open in a backup.
type file struct {
	x          *session
	d          *database // nil: it is a log
	stm        bool
	path       string
	file, size int64  // of the file as it was opened, and of the stream
	at         int64  // what was handed out
	rest       []byte // whole pages that were read, and not yet handed out
	reads      int
	closed     bool
}

// pagesAtOnce is how many pages one read of the model takes from the file.
const pagesAtOnce = 4

// Read hands out the next bytes. Every third read is short. Pages are read whole, so that none is torn by a write of the server.
func (f *file) Read(ctx context.Context, p []byte) (n int, err error) {
	err = f.x.in(ctx, "Read", []string{f.path}, func() error {
		if f.closed {
			return fmt.Errorf("%s: the handle is not open: %w", f.path, esebcli.HrInvalidArgument)
		}
		if len(p) == 0 {
			return fmt.Errorf("%s: no buffer: %w", f.path, esebcli.HrInvalidArgument)
		}
		if f.at == f.size {
			return nil
		}
		if len(f.rest) == 0 {
			if err := f.fill(); err != nil {
				return err
			}
		}
		f.reads++
		want := len(p)
		if f.reads%3 == 0 && want > 1 {
			want = want/2 + 1
		}
		n = copy(p[:want], f.rest)
		if at, ok := f.x.c.s.damage[f.path]; ok && at >= f.at && at < f.at+int64(n) {
			p[at-f.at] ^= 0x10
		}
		f.rest = f.rest[n:]
		f.at += int64(n)
		return nil
	})
	if err == nil && n == 0 {
		return 0, io.EOF
	}
	return n, err
}

// fill reads the next pages. The engine checks them: a damaged one ends the backup of the database.
func (f *file) fill() error {
	if f.d == nil {
		b, err := os.ReadFile(f.path)
		f.rest = b[min(f.at, int64(len(b))):]
		return err
	}
	size := int64(f.d.header.PageBytes)
	switch {
	case f.at == 0:
		h := f.d.header
		h.DBTime, h.FullCur = f.d.dbtime, f.x.mark
		h.FullCur.Last = 0
		if f.stm {
			h = h.Stream()
		}
		f.rest = h.Encode()
		return nil
	case f.at >= f.file: // the end of the pages
		full := f.x.mark
		full.Last = f.x.g.generation()
		h := f.d.header
		t := esefile.Trailer{Full: full, Signature: h.Signature, LogSignature: h.LogSignature, MinRequired: h.MinRequired, MaxRequired: h.MaxRequired, MaxCommitted: h.MaxCommitted}
		f.rest = t.Encode(int(size))
		return nil
	}
	in, err := os.Open(f.path)
	if err != nil {
		return err
	}
	defer in.Close()
	b := make([]byte, min(pagesAtOnce*size, f.file-f.at))
	if _, err := in.ReadAt(b, f.at); err != nil {
		return fmt.Errorf("%s: %w", f.path, esebcli.HrErrorFromESECall)
	}
	for at := int64(0); at < int64(len(b)) && !f.stm; at += size {
		n := uint32((f.at+at)/size - 1)
		if _, err := esefile.DecodePage(b[at:at+size], n); err != nil {
			return jet(errReadVerify, "%s: %v", f.path, err)
		}
	}
	f.rest = b
	return nil
}

// Close closes the file. A stream that was read to its end counts as backed up.
func (f *file) Close(ctx context.Context) error {
	return f.x.in(ctx, "Close", []string{f.path}, func() error {
		if f.closed {
			return fmt.Errorf("%s: the handle is not open: %w", f.path, esebcli.HrInvalidArgument)
		}
		f.closed = true
		delete(f.x.files, f)
		if f.d != nil && f.at == f.size {
			bit := 1
			if f.stm {
				bit = 2
			}
			f.x.taken[f.d] |= bit
		}
		return nil
	})
}

var (
	_ esebcli.API     = (*streaming)(nil)
	_ esebcli.Session = (*session)(nil)
	_ esebcli.File    = (*file)(nil)
)
