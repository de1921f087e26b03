package dominosim

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

const (
	extentHeader = 64
	recordHeader = 52
	controlFile  = "NLOGCTRL.LFH"
	controlSize  = 64
)

// control is the log's control file: which series, which extent is being written and how far.
type control struct {
	style  notes.LogStyle
	id     notes.UNID
	number uint32 // the current extent
	size   uint32 // of each extent
	end    uint32 // where the next record goes
}

// position is where the next record goes, as an LSN.
func (c *control) position() uint64 { return uint64(c.number)<<32 | uint64(c.end) }

func extentName(number uint32) string { return fmt.Sprintf("S%07X.TXN", number) }

func (s *Server) loadControl() (*control, error) {
	b, err := os.ReadFile(filepath.Join(s.LogDir(), controlFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, notes.StatusServerNotTransLogged
	}
	if err != nil {
		return nil, err
	}
	if len(b) != controlSize || string(b[:4]) != "QLFH" {
		return nil, errors.New("dominosim: the control file of the log is damaged")
	}
	return &control{style: notes.LogStyle(le.Uint32(b[4:])), id: notes.UNID(b[8:24]), number: le.Uint32(b[24:]), size: le.Uint32(b[28:]), end: le.Uint32(b[32:])}, nil
}

func (s *Server) saveControl(c *control) error {
	b := make([]byte, controlSize)
	copy(b, "QLFH")
	le.PutUint32(b[4:], uint32(c.style))
	copy(b[8:], c.id[:])
	le.PutUint32(b[24:], c.number)
	le.PutUint32(b[28:], c.size)
	le.PutUint32(b[32:], c.end)
	return os.WriteFile(filepath.Join(s.LogDir(), controlFile), b, 0o600)
}

// newExtent writes the empty extent that the control names.
func (s *Server) newExtent(c *control) error {
	c.end = extentHeader
	b := make([]byte, c.size)
	copy(b, "QTXN")
	le.PutUint32(b[4:], 1)
	copy(b[8:], c.id[:])
	le.PutUint32(b[24:], c.number)
	le.PutUint32(b[28:], c.size)
	if err := os.WriteFile(filepath.Join(s.LogDir(), extentName(c.number)), b, 0o600); err != nil {
		return err
	}
	return s.saveControl(c)
}

// roll closes the current extent and begins the next one.
func (s *Server) roll(c *control) error {
	end := make([]byte, 4)
	le.PutUint32(end, c.end)
	if err := writeAt(filepath.Join(s.LogDir(), extentName(c.number)), end, 32); err != nil {
		return err
	}
	c.number++
	if err := s.newExtent(c); err != nil {
		return err
	}
	if c.style == notes.LogArchive {
		return nil
	}
	numbers, err := s.extents(c.id)
	if err != nil {
		return err
	}
	for len(numbers) > s.cfg.MaxExtents {
		if err := os.Remove(filepath.Join(s.LogDir(), extentName(numbers[0]))); err != nil {
			return err
		}
		numbers = numbers[1:]
	}
	return nil
}

// extents are the numbers of the extents of a series in the log directory, in order.
func (s *Server) extents(id notes.UNID) ([]uint32, error) {
	names, err := filepath.Glob(filepath.Join(s.LogDir(), "S???????.TXN"))
	if err != nil {
		return nil, err
	}
	var numbers []uint32
	for _, name := range names {
		e, err := readExtent(name)
		if err != nil {
			continue // not one of this log
		}
		if e.id == id {
			numbers = append(numbers, e.number)
		}
	}
	slices.Sort(numbers)
	return numbers, nil
}

// record is a transaction in the log.
type record struct {
	lsn   uint64
	at    time.Time
	dbiid notes.UNID
	ops   []Op
}

func (r record) encode() []byte {
	b := make([]byte, recordHeader)
	le.PutUint64(b[8:], r.lsn)
	le.PutUint64(b[16:], uint64(r.at.UnixNano()))
	copy(b[24:], r.dbiid[:])
	le.PutUint32(b[40:], uint32(len(r.ops)))
	for _, op := range r.ops {
		kind := byte(1)
		if op.Delete {
			kind = 2
		}
		b = append(b, kind)
		b = le.AppendUint16(b, uint16(len(op.Key)))
		b = le.AppendUint16(b, uint16(len(op.Value)))
		b = append(append(b, op.Key...), op.Value...)
	}
	le.PutUint32(b, uint32(len(b)))
	le.PutUint32(b[4:], crc32.ChecksumIEEE(b[8:]))
	return b
}

// append writes a transaction to the end of the log and returns its LSN.
func (s *Server) append(c *control, r record) (uint64, error) {
	r.lsn = c.position()
	b := r.encode()
	if len(b) > int(c.size)-extentHeader {
		return 0, fmt.Errorf("dominosim: a transaction of %d bytes does not fit into an extent of %d", len(b), c.size)
	}
	if int(c.end)+len(b) > int(c.size) {
		if err := s.roll(c); err != nil {
			return 0, err
		}
		r.lsn = c.position()
		b = r.encode()
	}
	if err := writeAt(filepath.Join(s.LogDir(), extentName(c.number)), b, int64(c.end)); err != nil {
		return 0, err
	}
	c.end += uint32(len(b))
	return r.lsn, s.saveControl(c)
}

func writeAt(path string, b []byte, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	return errors.Join(err, f.Close())
}

// extentFile is one extent read from its bytes.
type extentFile struct {
	id     notes.UNID
	number uint32
	closed bool // no record follows those
	end    uint32
	data   []byte
}

func readExtent(path string) (*extentFile, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) < extentHeader || string(b[:4]) != "QTXN" || le.Uint32(b[4:]) != 1 || int(le.Uint32(b[28:])) != len(b) {
		return nil, fmt.Errorf("%s: not an extent, or cut off", path)
	}
	e := &extentFile{id: notes.UNID(b[8:24]), number: le.Uint32(b[24:]), end: le.Uint32(b[32:]), data: b}
	e.closed = e.end != 0
	if e.closed && int(e.end) > len(b) {
		return nil, fmt.Errorf("%s: ends behind itself", path)
	}
	return e, nil
}

// records are the transactions of an extent. The last extent may end in a torn record, a closed one may not.
func (e *extentFile) records() ([]record, error) {
	var all []record
	at := extentHeader
	for !e.closed || at < int(e.end) {
		r, n := e.record(at)
		if n == 0 {
			if e.closed {
				return nil, fmt.Errorf("extent %d is damaged at %d", e.number, at)
			}
			e.end = uint32(at)
			break
		}
		all = append(all, r)
		at += n
	}
	return all, nil
}

// record reads the transaction at an offset, and its length; 0 when there is none or it is damaged.
func (e *extentFile) record(at int) (record, int) {
	if at+recordHeader > len(e.data) {
		return record{}, 0
	}
	n := int(le.Uint32(e.data[at:]))
	if n < recordHeader || at+n > len(e.data) {
		return record{}, 0
	}
	b := e.data[at : at+n]
	if crc32.ChecksumIEEE(b[8:]) != le.Uint32(b[4:]) || le.Uint64(b[8:]) != uint64(e.number)<<32|uint64(at) {
		return record{}, 0
	}
	r := record{lsn: le.Uint64(b[8:]), at: time.Unix(0, int64(le.Uint64(b[16:]))), dbiid: notes.UNID(b[24:40])}
	rest := bytes.NewBuffer(b[recordHeader:])
	for range le.Uint32(b[40:]) {
		f := rest.Next(5)
		k, v := int(le.Uint16(f[1:])), int(le.Uint16(f[3:]))
		r.ops = append(r.ops, Op{Key: string(rest.Next(k)), Value: string(rest.Next(v)), Delete: f[0] == 2})
	}
	return r, n
}
