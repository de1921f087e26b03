package dominosim

import (
	"context"
	"fmt"
	"hash/crc32"
	"path/filepath"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Change information is a prefix, which names the backup, and the before-images, each behind its offset, length and checksum.
const (
	changePrefix = 40
	changeHeader = 16
)

// application is a context of NSFBackupStartApplyChangeInfo.
type application struct {
	t       *Thread
	path    string
	head    []byte // of the copy, as it was found
	size    int64
	got     int64
	named   bool // the prefix was read
	pending []byte
	failed  bool
}

// ApplyStart is NSFBackupStartApplyChangeInfo.
func (t *Thread) ApplyStart(ctx context.Context, copyPath string, size int64) (c notes.ApplyContext, err error) {
	err = t.call(ctx, "NSFBackupStartApplyChangeInfo", []string{copyPath, fmt.Sprint(size)}, func() error {
		s := t.p.s
		path := copyPath
		if !filepath.IsAbs(path) {
			path = filepath.Join(s.DataDir(), path)
		}
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		st, err := s.loadState(path)
		if err != nil {
			return err
		}
		if st.is(stateInBackup) || s.opened[path] > 0 {
			return notes.StatusDBInUse
		}
		head, err := readAll(path, int64(headerSize(newestODS)))
		if err != nil {
			return err
		}
		switch {
		case size < 0:
			return notes.StatusValueFlags
		case len(head) < 1024 || head[0] != 0x1A || string(head[atSim:atSim+4]) != "QSIM":
			return notes.StatusNotNSF
		case !header(head).backup():
			return notes.StatusRMRecoverNonbackup
		}
		c = notes.ApplyContext(s.nextSerial())
		t.p.applies[c] = &application{t: t, path: path, head: head, size: size}
		return nil
	})
	return c, err
}

func (t *Thread) applying(c notes.ApplyContext) (*application, error) {
	a := t.p.applies[c]
	if a == nil {
		return nil, notes.StatusInvalidChangeInfoContext
	}
	if a.t != t {
		return nil, fmt.Errorf("dominosim: apply context %#x is another thread's", uint64(c))
	}
	return a, nil
}

// Apply is NSFBackupApplyNextChangeInfo. The pieces may be cut anywhere; their order is that in which they were got.
func (t *Thread) Apply(ctx context.Context, c notes.ApplyContext, info []byte) error {
	return t.call(ctx, "NSFBackupApplyNextChangeInfo", []string{fmt.Sprint(len(info))}, func() error {
		a, err := t.applying(c)
		if err != nil {
			return err
		}
		if a.failed {
			return notes.StatusCorruptChangeInfo
		}
		if err := a.add(info); err != nil {
			a.failed = true
			return err
		}
		return nil
	})
}

func (a *application) add(info []byte) error {
	a.got += int64(len(info))
	if a.got > a.size {
		return notes.StatusCorruptChangeInfo
	}
	a.pending = append(a.pending, info...)
	if !a.named {
		if len(a.pending) < changePrefix {
			return nil
		}
		if err := a.name(a.pending[:changePrefix]); err != nil {
			return err
		}
		a.named, a.pending = true, a.pending[changePrefix:]
	}
	for len(a.pending) >= changeHeader {
		at, n, crc := le.Uint64(a.pending), int(le.Uint32(a.pending[8:])), le.Uint32(a.pending[12:])
		if n > pageSize+superblockSize*2 {
			return notes.StatusCorruptChangeInfo
		}
		if len(a.pending) < changeHeader+n {
			return nil
		}
		b := a.pending[changeHeader : changeHeader+n]
		if crc32.ChecksumIEEE(b) != crc {
			return notes.StatusCorruptChangeInfo
		}
		if err := writeAt(a.path, b, int64(at)); err != nil {
			return err
		}
		a.pending = a.pending[changeHeader+n:]
	}
	return nil
}

// name compares the prefix with the copy: its database, and its backup.
func (a *application) name(prefix []byte) error {
	if string(prefix[:4]) != "QCHG" || notes.UNID(prefix[8:24]) != header(a.head).dbiid() || le.Uint64(prefix[24:]) != le.Uint64(a.head[atSerial:]) ||
		int64(le.Uint64(prefix[32:]))+changePrefix != a.size {
		return notes.StatusCorruptChangeInfo
	}
	return nil
}

// ApplyEnd is NSFBackupEndApplyChangeInfo. After an abort the copy is worth nothing.
func (t *Thread) ApplyEnd(ctx context.Context, c notes.ApplyContext, abort bool) error {
	return t.call(ctx, "NSFBackupEndApplyChangeInfo", []string{fmt.Sprint(abort)}, func() error {
		a, err := t.applying(c)
		if err != nil {
			return err
		}
		delete(t.p.applies, c)
		if !abort && (a.failed || a.got != a.size || len(a.pending) > 0) {
			return notes.StatusCorruptChangeInfo
		}
		return nil
	})
}
