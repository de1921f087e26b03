//go:build (linux && (amd64 || arm64)) || (darwin && (amd64 || arm64)) || (windows && (amd64 || 386))

package capi

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

func (t *thread) LogStyle(ctx context.Context) (notes.LogStyle, error) {
	s, err := call(ctx, t, "NSFGetTransLogStyle", func(s *uint16) (uint16, error) { return t.NSFGetTransLogStyle(s), nil })
	return notes.LogStyle(s), err
}

func (t *thread) ArchivingBegin(ctx context.Context) error {
	return t.simply(ctx, "NSFBeginArchivingLogs", func() (uint16, error) { return t.NSFBeginArchivingLogs(), nil })
}

func (t *thread) ArchivingEnd(ctx context.Context) error {
	return t.simply(ctx, "NSFEndArchivingLogs", func() (uint16, error) { return t.NSFEndArchivingLogs(), nil })
}

func (t *thread) FirstLog(ctx context.Context) (notes.Extent, error) {
	return t.extent(ctx, "NSFGetFirstLogToArchive", t.NSFGetFirstLogToArchive)
}

func (t *thread) NextLog(ctx context.Context) (notes.Extent, error) {
	return t.extent(ctx, "NSFGetNextLogToArchive", t.NSFGetNextLogToArchive)
}

// extent keeps what was filled in beside a status too: it is the current extent then.
func (t *thread) extent(ctx context.Context, name string, f func(*notes.UNID, *uint32, *byte) uint16) (notes.Extent, error) {
	return call(ctx, t, name, func(e *notes.Extent) (uint16, error) {
		buf := make([]byte, pathBuffer)
		word := f(&e.LogID, &e.Number, &buf[0])
		e.Path = t.fromLMBCS(text(buf))
		return word, nil
	})
}

func (t *thread) LogDone(ctx context.Context, id notes.UNID, number uint32) error {
	return t.simply(ctx, "NSFDoneArchivingLog", func() (uint16, error) { return t.NSFDoneArchivingLog(&id, &number), nil })
}

// TakeOffline never lets Domino delete the file.
func (t *thread) TakeOffline(ctx context.Context, path string, wait time.Duration) error {
	millis := uint32(min(max(wait.Milliseconds(), 0), math.MaxUint32))
	return t.simply(ctx, "NSFTakeDatabaseOffline", func() (uint16, error) {
		p, err := t.path(path)
		if err != nil {
			return 0, err
		}
		return t.NSFTakeDatabaseOffline(&p[0], millis, offlineNoDelete), nil
	})
}

func (t *thread) BringOnline(ctx context.Context, path string) error {
	return t.simply(ctx, "NSFBringDatabaseOnline", func() (uint16, error) {
		p, err := t.path(path)
		if err != nil {
			return 0, err
		}
		return t.NSFBringDatabaseOnline(&p[0], 0), nil
	})
}

// Recover waits for another recovery of this process to end, as Domino has one at a time.
func (t *thread) Recover(ctx context.Context, paths []string, flags notes.RecoverFlags, until time.Time,
	put func(ctx context.Context, id notes.UNID, number uint32, path string) error,
) (notes.Recovered, error) {
	if len(paths) == 0 {
		return notes.Recovered{Failed: -1}, errors.New("NSFRecoverDatabases: no databases")
	}
	type result struct {
		notes.Recovered
		put error
	}
	r, err := call(ctx, t, "NSFRecoverDatabases", func(r *result) (uint16, error) {
		r.Failed = -1
		var names []byte
		for _, path := range paths {
			p, err := t.path(path)
			if err != nil {
				return 0, err
			}
			names = append(names, p...)
		}
		names = append(names, 0)
		var callback uintptr
		if put != nil {
			callback = t.callback
		}
		defer t.expect(func(id notes.UNID, number uint32, path string) error {
			r.put = put(ctx, id, number, path)
			return r.put
		})()
		var failed uint16
		var at [2]notes.TimeDate
		if flags&notes.RecoverPointInTime != 0 {
			at[0] = notes.ToTimeDate(until)
		}
		word := t.NSFRecoverDatabases(&names[0], callback, uint32(flags), &failed, &at)
		r.Failed = int(failed) - 1
		if word == 0 || flags&notes.RecoverPointInTime == 0 || at[0] != notes.ToTimeDate(until) {
			r.Last = at[0].Time()
		}
		return word, nil
	})
	if err == nil {
		return r.Recovered, nil
	}
	if errors.Is(err, errLost) {
		return notes.Recovered{Failed: -1}, err
	}
	if r.put != nil {
		err = fmt.Errorf("%w: %w", err, r.put)
	}
	return r.Recovered, err
}
