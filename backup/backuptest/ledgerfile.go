package backuptest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// A file of the LedgerSource is lines of JSON: a head that says what it is, records, and a tail that proves that the last one
// was written. The tail's checksum lets the agent find damage without a server.

// fileHead is the first line.
type fileHead struct {
	What    backup.Kind     `json:"ledger"`
	DB      string          `json:"db,omitempty"`
	Stream  string          `json:"stream"`
	From    backup.Position `json:"from,omitempty"` // of a log: it holds what comes after this
	To      backup.Position `json:"to"`
	Base    uint64          `json:"base"` // of the stream; turns the records' numbers into positions
	Seed    uint64          `json:"seed,omitempty"`
	Ballast int64           `json:"ballast,omitempty"`
	Path    string          `json:"path,omitempty"`
	File    string          `json:"file,omitempty"`
	// What an agent needs to tell of a file that it did not see being made; see LedgerSalvager.
	Parent backup.ID `json:"parent,omitempty"`
	Since  time.Time `json:"since,omitzero"` // of From
	At     time.Time `json:"at,omitzero"`    // of To
}

// fileTail is the last line.
type fileTail struct {
	End     bool   `json:"end"`
	Records int    `json:"records"`
	CRC     uint32 `json:"crc"` // of all lines before
}

// fileWriter writes such a file.
type fileWriter struct {
	w   *bufio.Writer
	crc uint32
	n   int
}

func newFileWriter(w io.Writer, h fileHead) (*fileWriter, error) {
	f := &fileWriter{w: bufio.NewWriter(w)}
	return f, f.line(h)
}

func (f *fileWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	f.crc = crc32.Update(f.crc, crc32.IEEETable, text)
	_, err = f.w.Write(text)
	return err
}

func (f *fileWriter) record(v any) error {
	f.n++
	return f.line(v)
}

func (f *fileWriter) end() error {
	if err := f.line(fileTail{true, f.n, f.crc}); err != nil {
		return err
	}
	return f.w.Flush()
}

// writeLog writes transactions as such a file.
func writeLog(w io.Writer, h fileHead, txs []tx) error {
	f, err := newFileWriter(w, h)
	for i := 0; err == nil && i < len(txs); i++ {
		err = f.record(txs[i])
	}
	if err != nil {
		return err
	}
	return f.end()
}

// readFile reads such a file and hands each record to the function. What is not whole is ErrCorrupt.
func readFile(r io.Reader, head func(fileHead) error, record func([]byte) error) error {
	in := bufio.NewReader(r)
	var crc uint32
	var held []byte // one line behind, since only the end of the file tells which line is the tail
	n := 0
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF && len(line) == 0 {
			return checkTail(held, crc, n-2)
		}
		if err != nil {
			return readError(err)
		}
		if held != nil {
			crc = crc32.Update(crc, crc32.IEEETable, held)
			if n > 1 {
				err = record(held)
			} else {
				err = readHead(held, head)
			}
			if err != nil {
				return err
			}
		}
		held = line
		n++
	}
}

func readError(err error) error {
	if err == io.EOF {
		return fmt.Errorf("cut short inside a line: %w", backup.ErrCorrupt)
	}
	return err
}

func readHead(line []byte, head func(fileHead) error) error {
	var h fileHead
	if err := json.Unmarshal(line, &h); err != nil || h.What == "" {
		return fmt.Errorf("no head: %w", backup.ErrCorrupt)
	}
	return head(h)
}

func checkTail(line []byte, crc uint32, records int) error {
	var t fileTail
	if err := json.Unmarshal(line, &t); err != nil || !t.End {
		return fmt.Errorf("cut short after %d records: %w", max(records+1, 0), backup.ErrCorrupt)
	}
	if t.Records != records || t.CRC != crc {
		return fmt.Errorf("%d records with checksum %08x, tail says %d with %08x: %w", records, crc, t.Records, t.CRC, backup.ErrCorrupt)
	}
	return nil
}

// decode reads one record.
func decode[T any](line []byte) (T, error) {
	var v T
	if err := json.Unmarshal(line, &v); err != nil {
		return v, fmt.Errorf("record: %w", errors.Join(backup.ErrCorrupt, err))
	}
	return v, nil
}

// readBallast compares r with the deterministic content.
func readBallast(ctx context.Context, r io.Reader, seed uint64, size int64) error {
	got, want := make([]byte, ballastBlock), make([]byte, ballastBlock)
	for off := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := io.ReadFull(r, got)
		if int64(n) > size-off {
			return fmt.Errorf("ballast is longer than %d bytes: %w", size, backup.ErrCorrupt)
		}
		fillBallast(want[:n], seed, off)
		if string(got[:n]) != string(want[:n]) {
			return fmt.Errorf("ballast differs in the %d bytes from %d: %w", n, off, backup.ErrCorrupt)
		}
		off += int64(n)
		switch {
		case err == nil:
		case err != io.EOF && err != io.ErrUnexpectedEOF:
			return err
		case off != size:
			return fmt.Errorf("ballast ends after %d of %d bytes: %w", off, size, backup.ErrCorrupt)
		default:
			return nil
		}
	}
}
