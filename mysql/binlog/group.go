package binlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/quiesce-go/quiesce/backup"
)

// group is a row group on its way to the server. Rows never go there without the maps of their tables in the same statement: the server would crash, or lose them without a word (section 9). So a group that is too large for one statement goes in
// pieces that each begin with all maps, and of which each last event says that its statement ends.
type group struct {
	limit int
	want  func(schema, table string) bool

	maps    []byte
	buf     []byte // maps and rows, without those of tables that are not wanted
	last    int    // where the last rows begin in buf; 0: there are none
	skip    map[uint64]bool
	dropped bool
}

func (g *group) empty() bool { return len(g.maps) == 0 && len(g.buf) == 0 && !g.dropped }

func (g *group) reset() {
	*g = group{limit: g.limit, want: g.want, maps: g.maps[:0], buf: g.buf[:0]}
}

// add takes one event of the group and sends what is complete.
func (g *group) add(raw []byte, checksums bool, send func([]byte) error) error {
	if len(raw) < rowFlagsAt+2 {
		return errors.New("rows that are too short")
	}
	table := tableID(raw)
	if replication.EventType(raw[typeAt]) == replication.TABLE_MAP_EVENT {
		wanted, err := g.wants(raw)
		if err != nil {
			return err
		}
		if !wanted {
			if g.skip == nil {
				g.skip = map[uint64]bool{}
			}
			g.skip[table], g.dropped = true, true
			return nil
		}
		g.maps = append(g.maps, raw...)
		g.buf = append(g.buf, raw...)
		return g.fits(len(g.maps), raw)
	}
	end := raw[rowFlagsAt]&replication.RowsEventStmtEndFlag != 0
	if !g.skip[table] {
		if err := g.rows(raw, checksums, send); err != nil {
			return err
		}
	}
	if !end {
		return nil
	}
	return g.flush(checksums, send)
}

// rows takes rows of a table that is wanted.
func (g *group) rows(raw []byte, checksums bool, send func([]byte) error) error {
	raw, err := plainRows(raw, checksums)
	if err != nil {
		return err
	}
	if err := g.fits(len(g.maps)+len(raw), raw); err != nil {
		return err
	}
	if len(g.buf)+len(raw) > g.limit && g.last > 0 {
		if err := g.piece(checksums, send); err != nil {
			return err
		}
	}
	g.last = len(g.buf)
	g.buf = append(g.buf, raw...)
	return nil
}

func (g *group) fits(n int, raw []byte) error {
	if n <= g.limit {
		return nil
	}
	return fmt.Errorf("an event of %d bytes is too large for a statement: set max_allowed_packet of the server that is restored to at least as high as it was, to %d or more: %w", len(raw), (n+3)/3*4+1024, backup.ErrRefused)
}

// piece sends what is there as a statement of its own and begins the next.
func (g *group) piece(checksums bool, send func([]byte) error) error {
	endStatement(g.buf[g.last:], checksums)
	err := send(g.buf)
	g.buf, g.last = append(g.buf[:0], g.maps...), 0
	return err
}

// flush ends the group.
func (g *group) flush(checksums bool, send func([]byte) error) error {
	var err error
	if g.last > 0 {
		err = g.piece(checksums, send)
	}
	g.reset()
	return err
}

// wants reports whether the table of a map is to be replayed.
func (g *group) wants(raw []byte) (bool, error) {
	if g.want == nil {
		return true, nil
	}
	// Two names, each with its length before it and a zero behind.
	c := &cursor{b: raw[rowFlagsAt+2:]}
	schema := string(c.take(int(c.u8())))
	c.u8()
	table := string(c.take(int(c.u8())))
	if c.short {
		return false, errors.New("the map of a table is too short for its name")
	}
	return g.want(schema, table), nil
}

func tableID(raw []byte) uint64 {
	var id [8]byte
	copy(id[:6], raw[headerBytes:])
	return binary.LittleEndian.Uint64(id[:])
}

// endStatement marks rows as the last of their statement.
func endStatement(raw []byte, checksums bool) {
	raw[rowFlagsAt] |= replication.RowsEventStmtEndFlag
	if checksums {
		resum(raw)
	}
}

// plainRows unpacks rows that MariaDB compressed, which its statement BINLOG refuses (section 9). Others are returned as they are.
func plainRows(raw []byte, checksums bool) ([]byte, error) {
	kind := replication.EventType(raw[typeAt])
	switch kind {
	case replication.MARIADB_WRITE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1, replication.MARIADB_DELETE_ROWS_COMPRESSED_EVENT_V1:
	default:
		return raw, nil
	}
	end := len(raw)
	if checksums {
		end -= checksumBytes
	}
	body := raw[:end]
	const postHeader = 8
	at := headerBytes + postHeader
	columns, n, err := packed(body, at)
	if err != nil {
		return nil, err
	}
	at += n
	bitmaps := 1
	if kind == replication.MARIADB_UPDATE_ROWS_COMPRESSED_EVENT_V1 {
		bitmaps = 2
	}
	at += bitmaps * int((columns+7)/8)
	if columns > 1<<16 || at >= len(body) {
		return nil, errors.New("compressed rows are too short")
	}
	rest, err := inflate(body[at:])
	if err != nil {
		return nil, err
	}
	const compressedAbove = 143 // 166 is 23, and so on
	out := append(append(make([]byte, 0, at+len(rest)+checksumBytes), body[:at]...), rest...)
	out[typeAt] = byte(kind) - compressedAbove
	if checksums {
		out = append(out, 0, 0, 0, 0)
		resum(out)
		return out, nil
	}
	binary.LittleEndian.PutUint32(out[sizeAt:], uint32(len(out)))
	return out, nil
}

// inflate unpacks what MariaDB compressed. The library trusts what it is given.
func inflate(b []byte) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("compressed rows make no sense: %v", p)
		}
	}()
	return mysql.DecompressMariadbData(b)
}

// packed reads a number of the protocol's own form.
func packed(b []byte, at int) (v uint64, n int, err error) {
	if at >= len(b) {
		return 0, 0, errors.New("rows are too short for their number of columns")
	}
	width := map[byte]int{0xfc: 2, 0xfd: 3, 0xfe: 8}[b[at]]
	if width == 0 {
		return uint64(b[at]), 1, nil
	}
	if at+1+width > len(b) {
		return 0, 0, errors.New("rows are too short for their number of columns")
	}
	var w [8]byte
	copy(w[:], b[at+1:at+1+width])
	return binary.LittleEndian.Uint64(w[:]), 1 + width, nil
}
