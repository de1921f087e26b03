package dominosim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// backup is a context of NSFBackupStart.
type backup struct {
	handle notes.Handle
	serial uint64
	at     int64 // how much of the change information was handed out
}

// BackupStart is NSFBackupStart. The file becomes a backup of itself: whoever copies it while the backup lasts has a backup, consistent once the change information is in.
func (t *Thread) BackupStart(ctx context.Context, h notes.Handle) (c notes.BackupContext, size int64, err error) {
	err = t.call(ctx, "NSFBackupStart", nil, func() error {
		o, err := t.database(h)
		if err != nil {
			return err
		}
		serial, n, err := t.p.s.startBackup(o.path)
		if err != nil {
			return err
		}
		c, size = notes.BackupContext(t.p.s.nextSerial()), n
		t.p.backups[c] = &backup{handle: h, serial: serial}
		return nil
	})
	return c, size, err
}

func (s *Server) startBackup(path string) (serial uint64, size int64, err error) {
	st, err := s.loadState(path)
	if err != nil {
		return 0, 0, err
	}
	switch {
	case st.is(stateOffline):
		return 0, 0, notes.StatusDBOffline
	case st.is(stateInBackup):
		return 0, 0, notes.StatusBackupAlreadyInProgress
	case st.is(stateInPlace):
		return 0, 0, notes.StatusCantBackupDuringCompact
	case st.is(stateCompacting):
		return 0, 0, notes.StatusCompactMode
	case st.is(stateLocked):
		return 0, 0, notes.StatusAlreadyLocked
	}
	m, err := loadImage(path)
	if err != nil {
		return 0, 0, err
	}
	if m.ods() < oldestODS {
		return 0, 0, notes.StatusOnlyV5Databases
	}
	var pos uint64
	if m.logged() {
		c, err := s.loadControl()
		if err != nil {
			return 0, 0, err
		}
		pos = c.position()
	}
	var random [8]byte
	rand.Read(random[:])
	serial = le.Uint64(random[:])
	m.setBackup(true)
	le.PutUint64(m.header[atBackupLSN:], m.lsn())
	le.PutUint64(m.header[atBackupPos:], pos)
	le.PutUint64(m.header[atBackupTime:], uint64(s.now().UnixMilli()/10))
	le.PutUint64(m.header[atSerial:], serial)
	le.PutUint32(m.header[atLogNumber:], uint32(pos>>32))
	m.seal()
	st.set(stateInBackup, true)
	st.set(stateStopped, false)
	st.size, st.read, st.serial = uint64(m.size()), 0, serial
	if err := os.WriteFile(s.changesFile(path), nil, 0o600); err != nil {
		return 0, 0, err
	}
	if err := s.saveState(st); err != nil {
		return 0, 0, err
	}
	return serial, m.size(), s.quietly(path, func() error { return writeAt(path, m.header, 0) })
}

// underway finds the backup that a context belongs to, and the state of its database.
func (t *Thread) underway(h notes.Handle, c notes.BackupContext) (*handle, *backup, *state, error) {
	o, err := t.database(h)
	if err != nil {
		return nil, nil, nil, err
	}
	b := t.p.backups[c]
	if b == nil {
		return nil, nil, nil, notes.StatusNotDoingBackup
	}
	if b.handle != h {
		return nil, nil, nil, fmt.Errorf("dominosim: backup context %#x belongs to another handle", uint64(c))
	}
	st, err := t.p.s.loadState(o.path)
	if err != nil {
		return nil, nil, nil, err
	}
	if !st.is(stateInBackup) || st.serial != b.serial {
		return nil, nil, nil, notes.StatusBackupAborted
	}
	return o, b, st, nil
}

// BackupHighWater is NSFBackupSetHighWaterMark.
func (t *Thread) BackupHighWater(ctx context.Context, h notes.Handle, c notes.BackupContext, offset int64) error {
	return t.call(ctx, "NSFBackupSetHighWaterMark", []string{fmt.Sprint(offset)}, func() error {
		_, _, st, err := t.underway(h, c)
		switch {
		case err != nil:
			return err
		case st.is(stateStopped):
			return notes.StatusNotDoingBackup
		case offset < 0 || uint64(offset) > st.size || uint64(offset) < st.read:
			return notes.StatusValueFlags
		}
		st.read = uint64(offset)
		return t.p.s.saveState(st)
	})
}

// BackupStop is NSFBackupStop.
func (t *Thread) BackupStop(ctx context.Context, h notes.Handle, c notes.BackupContext) error {
	return t.call(ctx, "NSFBackupStop", nil, func() error {
		_, _, st, err := t.underway(h, c)
		if err == nil && st.is(stateStopped) {
			err = notes.StatusNotDoingBackup
		}
		if err != nil {
			return err
		}
		st.set(stateStopped, true)
		return t.p.s.saveState(st)
	})
}

// ChangeInfoSize is NSFBackupGetChangeInfoSize: 0 when nothing changed that was not yet read.
func (t *Thread) ChangeInfoSize(ctx context.Context, h notes.Handle, c notes.BackupContext) (size int64, err error) {
	err = t.call(ctx, "NSFBackupGetChangeInfoSize", nil, func() error {
		info, _, err := t.changeInfo(h, c)
		size = int64(len(info))
		return err
	})
	return size, err
}

// NextChangeInfo is NSFBackupGetNextChangeInfo.
func (t *Thread) NextChangeInfo(ctx context.Context, h notes.Handle, c notes.BackupContext, buf []byte) (n int, err error) {
	err = t.call(ctx, "NSFBackupGetNextChangeInfo", []string{fmt.Sprint(len(buf))}, func() error {
		info, b, err := t.changeInfo(h, c)
		if err != nil {
			return err
		}
		n = copy(buf, info[b.at:])
		b.at += int64(n)
		return nil
	})
	return n, err
}

// changeInfo is all change information of a backup that was stopped.
func (t *Thread) changeInfo(h notes.Handle, c notes.BackupContext) ([]byte, *backup, error) {
	o, b, st, err := t.underway(h, c)
	if err != nil {
		return nil, nil, err
	}
	if !st.is(stateStopped) {
		return nil, nil, notes.StatusInvalidChangeInfoContext
	}
	records, err := os.ReadFile(t.p.s.changesFile(o.path))
	if err != nil || len(records) == 0 {
		return nil, b, err
	}
	info := make([]byte, changePrefix, changePrefix+len(records))
	copy(info, "QCHG")
	copy(info[8:], st.dbiid[:])
	le.PutUint64(info[24:], st.serial)
	le.PutUint64(info[32:], uint64(len(records)))
	return append(info, records...), b, nil
}

// BackupEnd is NSFBackupEnd. Without abort it must come after BackupStop.
func (t *Thread) BackupEnd(ctx context.Context, h notes.Handle, c notes.BackupContext, abort bool) error {
	return t.call(ctx, "NSFBackupEnd", []string{fmt.Sprint(abort)}, func() error {
		o, _, st, err := t.underway(h, c)
		if err != nil {
			return err
		}
		if !abort && !st.is(stateStopped) {
			return notes.StatusValueFlags
		}
		delete(t.p.backups, c)
		return t.p.s.endBackup(o.path, !abort)
	})
}

// endBackup makes the file an ordinary database again.
func (s *Server) endBackup(path string, done bool) error {
	err := s.update(path, func(st *state) error {
		st.set(stateInBackup, false)
		st.set(stateStopped, false)
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Remove(s.changesFile(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h, err := readHeader(path)
	if err != nil {
		return err
	}
	h.setBackup(false)
	if done {
		date := timedate(s.now())
		copy(h[atLastBackup:], date[:])
	}
	h.seal()
	return s.quietly(path, func() error { return writeAt(path, h, 0) })
}

// readAll is for files that are small or absent.
func readAll(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notes.StatusNoExist
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}
