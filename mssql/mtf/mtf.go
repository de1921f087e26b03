package mtf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
)

// The first bytes of a file (7.1): TAPE with the attributes that SQL Server gives it, observed on 108 files, and the container of compressed backups.
const (
	magicPlain   = "TAPE\x00\x00\x03\x00"
	magicWrapped = "MSSQLBAK"
	magicZip     = "PK\x03\x04"
)

// Match reports whether a file that begins with head is a backup of SQL Server. Eight bytes are enough.
func Match(head []byte) bool {
	return bytes.HasPrefix(head, []byte(magicPlain)) || bytes.HasPrefix(head, []byte(magicWrapped))
}

// Scan reads the metadata of a file of size bytes and seeks over its data: it walks all blocks and streams to the exact end of the file, and checks their
// headers. Damage is a *CorruptError, or several joined; the Media then has what was understood up to there. Other errors are those of r and ctx.
func Scan(ctx context.Context, r io.ReaderAt, size int64) (*Media, error) {
	s := io.NewSectionReader(r, 0, size)
	t := &tape{ctx: ctx, r: s, size: size, buf: make([]byte, scanBuffer), seek: func(to int64) error {
		_, err := s.Seek(to, io.SeekStart)
		return err
	}}
	return read(t, false)
}

// Verify reads every byte of r once, to its end, and checks besides what Scan checks the data of every set that was taken WITH CHECKSUM. It needs 512 KiB
// of memory. What it returns is as for Scan; Media.Depth says how much the absence of an error is worth.
func Verify(ctx context.Context, r io.Reader) (*Media, error) {
	return read(&tape{ctx: ctx, r: r, size: -1, buf: make([]byte, verifyBuffer)}, true)
}

func read(t *tape, sums bool) (*Media, error) {
	m := &Media{Container: Plain}
	if err := t.fill(len(magicPlain)); errors.Is(err, errShort) {
		return m, corrupt(t.size, "the file ends here: it is too short for a backup")
	} else if err != nil {
		return m, err
	}
	switch head := string(t.buf[:len(magicPlain)]); {
	case head == magicWrapped:
		return m, wrapped(t, m)
	case head[:4] == magicZip:
		return m, corrupt(0, "this is a zip archive, perhaps a bacpac, not a backup")
	case head[:4] != magicPlain[:4]:
		return m, corrupt(0, "this is not a backup of SQL Server: it begins with % x", head)
	}
	return m, (&walk{t: t, m: m, sums: sums}).run()
}

// wrapped reads the head of the container (7.12, described by others; no genuine file was at hand) and goes to its end.
func wrapped(t *tape, m *Media) error {
	m.Container = Wrapped
	b, err := t.take(16)
	if errors.Is(err, errShort) {
		return corrupt(t.size, "the file ends here, inside the head of the container %s", magicWrapped)
	}
	if err != nil {
		return err
	}
	version := fields(b).u32(8)
	if version > math.MaxInt16 {
		return corrupt(8, "the container %s has version %d", magicWrapped, version)
	}
	m.ContainerVersion = int(version)
	if t.seek != nil {
		m.SizeBytes = t.size
		return nil
	}
	for {
		if more, err := t.more(); err != nil || !more {
			m.SizeBytes = t.at
			return err
		}
		if err := t.pass(int64(t.to-t.from), nil); err != nil {
			return fmt.Errorf("read container: %w", err)
		}
	}
}
