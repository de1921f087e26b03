package dominosim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// handle is an open database or directory.
type handle struct {
	t      *Thread
	path   string
	folder bool
}

// DataDirectory is OSGetDataDirectory.
func (t *Thread) DataDirectory(ctx context.Context) (string, error) {
	var dir string
	err := t.call(ctx, "OSGetDataDirectory", nil, func() (err error) {
		dir, _, err = t.p.s.ini("Directory")
		return err
	})
	return dir, err
}

// Environment is OSGetEnvironmentString.
func (t *Thread) Environment(ctx context.Context, name string) (value string, ok bool, err error) {
	err = t.call(ctx, "OSGetEnvironmentString", []string{name}, func() (err error) {
		value, ok, err = t.p.s.ini(name)
		return err
	})
	return value, ok, err
}

// Open is NSFDbOpen.
func (t *Thread) Open(ctx context.Context, name string) (h notes.Handle, err error) {
	err = t.call(ctx, "NSFDbOpen", []string{name}, func() error {
		s := t.p.s
		path, linked, err := s.resolve(name)
		if err != nil {
			return err
		}
		i, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return notes.StatusNoExist
		case errors.Is(err, fs.ErrPermission):
			return notes.StatusNoAccess
		case err != nil:
			return err
		}
		if !i.IsDir() {
			if _, err := s.admit(path, linked); err != nil {
				return err
			}
		}
		h = notes.Handle(s.nextSerial())
		t.p.handles[h] = &handle{t, path, i.IsDir()}
		s.opened[path]++
		return nil
	})
	return h, err
}

// admit opens a file as Domino does, which is not without consequences for it.
func (s *Server) admit(path string, linked bool) (header, error) {
	st, err := s.loadState(path)
	if err != nil {
		return nil, err
	}
	switch {
	case st.is(stateOffline):
		return nil, notes.StatusDBOffline
	case st.is(stateCompacting):
		return nil, notes.StatusCompactMode
	}
	h, err := readHeader(path)
	if err != nil {
		return nil, err
	}
	before := string(h)
	if err := s.adopt(path, linked, h, st); err != nil {
		return nil, err
	}
	st.dbiid, st.lsn = h.dbiid(), h.lsn()
	if string(h) != before {
		h.seal()
		if err := s.quietly(path, func() error { return writeAt(path, h, 0) }); err != nil {
			return nil, err
		}
	}
	return h, s.saveState(st)
}

// adopt decides what becomes of a file that is opened.
func (s *Server) adopt(path string, linked bool, h header, st *state) error {
	_, inside := s.below(path)
	inside = inside || linked
	if h.backup() && !st.is(stateInBackup) {
		if h.logged() && inside {
			return notes.StatusRMOpenBackup
		}
		h.setBackup(false) // a plain copy from now on
	}
	if !inside {
		if h.logged() {
			h.join(h.logID(), s.newID(), false, 0)
		}
		return nil
	}
	if st.dbiid == h.dbiid() && h.lsn() < st.lsn {
		return notes.StatusRMDownLevel
	}
	c, err := s.logging()
	if err != nil && !errors.Is(err, notes.StatusServerNotTransLogged) {
		return err
	}
	stranger := h.logged() && (c == nil || h.logID() != c.id)
	newcomer := !h.logged() && c != nil && !h.switchedOff() && h.ods() >= oldestODS
	if !stranger && !newcomer && st.dbiid != h.dbiid() {
		other, err := s.active(h.dbiid(), path)
		if err != nil {
			return err
		}
		stranger = other != ""
	}
	if stranger || newcomer {
		return s.joinLog(path, h, true)
	}
	return nil
}

// active finds the database other than path that lives under a DBIID.
func (s *Server) active(id notes.UNID, path string) (string, error) {
	all, err := s.states()
	if err != nil {
		return "", err
	}
	for _, st := range all {
		if st.path == path || st.dbiid != id || st.is(stateOffline) {
			continue
		}
		if h, err := readHeader(st.path); err == nil && h.dbiid() == id && (!h.backup() || st.is(stateInBackup)) {
			return st.path, nil
		}
	}
	return "", nil
}

// readHeader reads what stands before the pages of a file.
func readHeader(path string) (header, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notes.StatusNoExist
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	i, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, headerSize(newestODS))
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return parseHeader(b[:n], i.Size())
}

// quietly lets f write to a file whose modification time stays: nothing that users see has changed.
func (s *Server) quietly(path string, f func() error) error {
	i, err := os.Stat(path)
	if err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return os.Chtimes(path, i.ModTime(), i.ModTime())
}

// handle finds an open handle, which must be this thread's.
func (t *Thread) handle(h notes.Handle) (*handle, error) {
	o := t.p.handles[h]
	if o == nil {
		return nil, fmt.Errorf("dominosim: handle %#x is not open", uint64(h))
	}
	if o.t != t {
		return nil, fmt.Errorf("dominosim: handle %#x is another thread's", uint64(h))
	}
	return o, nil
}

// database finds an open database.
func (t *Thread) database(h notes.Handle) (*handle, error) {
	o, err := t.handle(h)
	if err == nil && o.folder {
		err = notes.StatusNotNSF
	}
	return o, err
}

// Close is NSFDbClose. A backup under way stays.
func (t *Thread) Close(ctx context.Context, h notes.Handle) error {
	return t.call(ctx, "NSFDbClose", nil, func() error {
		o, err := t.handle(h)
		if err != nil {
			return err
		}
		t.p.s.opened[o.path]--
		delete(t.p.handles, h)
		return nil
	})
}

// IsDirectory is NSFDbModeGet.
func (t *Thread) IsDirectory(ctx context.Context, h notes.Handle) (folder bool, err error) {
	err = t.call(ctx, "NSFDbModeGet", nil, func() error {
		o, err := t.handle(h)
		if err == nil {
			folder = o.folder
		}
		return err
	})
	return folder, err
}

// Path is NSFDbPathGet.
func (t *Thread) Path(ctx context.Context, h notes.Handle) (path string, err error) {
	err = t.call(ctx, "NSFDbPathGet", nil, func() error {
		o, err := t.handle(h)
		if err == nil {
			path = o.path
		}
		return err
	})
	return path, err
}

// LogInfo is NSFDbGetLogInfo.
func (t *Thread) LogInfo(ctx context.Context, h notes.Handle) (info notes.LogInfo, err error) {
	err = t.call(ctx, "NSFDbGetLogInfo", nil, func() error {
		o, err := t.database(h)
		if err != nil {
			return err
		}
		head, err := readHeader(o.path)
		if err != nil {
			return err
		}
		if !head.logged() {
			info = notes.LogInfo{DBIID: head.dbiid()}
			return nil
		}
		c, err := t.p.s.loadControl()
		if err != nil {
			return err
		}
		info = notes.LogInfo{Logged: true, LogID: head.logID(), DBIID: head.dbiid(), Extent: c.number}
		if head.backup() {
			info.Extent = uint32(head.backupPos() >> 32)
		}
		return nil
	})
	return info, err
}
