package dominosim

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// archiveList is what an archiver was offered, and how far it went.
type archiveList struct {
	offered map[uint32]bool
	last    uint32
}

// LogStyle is NSFGetTransLogStyle.
func (t *Thread) LogStyle(ctx context.Context) (style notes.LogStyle, err error) {
	err = t.call(ctx, "NSFGetTransLogStyle", nil, func() error {
		c, err := t.p.s.logging()
		if err == nil {
			style = c.style
		}
		return err
	})
	return style, err
}

// logging is the control of a log that is in use.
func (s *Server) logging() (*control, error) {
	if s.cfg.Unlogged {
		return nil, notes.StatusServerNotTransLogged
	}
	return s.loadControl()
}

// ArchivingBegin is NSFBeginArchivingLogs. One process at the server archives.
func (t *Thread) ArchivingBegin(ctx context.Context) error {
	return t.call(ctx, "NSFBeginArchivingLogs", nil, func() error {
		c, err := t.p.s.logging()
		if err != nil {
			return err
		}
		if c.style != notes.LogArchive {
			return notes.StatusTransLogNotArchived
		}
		l, err := t.p.take("archiver", notes.StatusTransLogArchiveInProgress, &t.p.s.archive)
		if err == nil {
			t.p.archiver = l
		}
		return err
	})
}

// ArchivingEnd is NSFEndArchivingLogs.
func (t *Thread) ArchivingEnd(ctx context.Context) error {
	return t.call(ctx, "NSFEndArchivingLogs", nil, func() error {
		if t.p.archiver == nil {
			return notes.StatusNoSuchTransLog
		}
		t.p.releaseArchiver()
		return nil
	})
}

// FirstLog is NSFGetFirstLogToArchive: the oldest full extent that nobody has called done.
func (t *Thread) FirstLog(ctx context.Context) (notes.Extent, error) {
	return t.nextLog(ctx, "NSFGetFirstLogToArchive", true)
}

// NextLog is NSFGetNextLogToArchive.
func (t *Thread) NextLog(ctx context.Context) (notes.Extent, error) {
	return t.nextLog(ctx, "NSFGetNextLogToArchive", false)
}

func (t *Thread) nextLog(ctx context.Context, name string, first bool) (e notes.Extent, err error) {
	err = t.call(ctx, name, nil, func() error {
		s := t.p.s
		if t.p.archiver == nil || !first && t.p.list == nil {
			return notes.StatusNoSuchTransLog
		}
		c, err := s.logging()
		if err != nil {
			return err
		}
		if first {
			t.p.list = &archiveList{offered: map[uint32]bool{}}
		}
		numbers, err := s.extents(c.id)
		if err != nil {
			return err
		}
		for _, n := range numbers {
			e = notes.Extent{LogID: c.id, Number: n, Path: filepath.Join(s.LogDir(), extentName(n))}
			if n == c.number {
				return notes.StatusNoTransLogsToArchive
			}
			if n > t.p.list.last {
				t.p.list.last = n
				t.p.list.offered[n] = true
				return nil
			}
		}
		return notes.StatusTransLogMissingSegs // the current extent is gone
	})
	return e, err
}

// LogDone is NSFDoneArchivingLog: the extent is deleted.
func (t *Thread) LogDone(ctx context.Context, id notes.UNID, number uint32) error {
	return t.call(ctx, "NSFDoneArchivingLog", []string{id.String(), fmt.Sprint(number)}, func() error {
		s := t.p.s
		c, err := s.logging()
		if err != nil {
			return err
		}
		path := filepath.Join(s.LogDir(), extentName(number))
		if _, err := os.Stat(path); id != c.id || number > c.number || errors.Is(err, os.ErrNotExist) {
			return notes.StatusNoSuchTransLog
		}
		if number == c.number || t.p.list == nil || !t.p.list.offered[number] {
			return notes.StatusNoArchivedExtent
		}
		return os.Remove(path)
	})
}
