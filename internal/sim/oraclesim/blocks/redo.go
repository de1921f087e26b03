package blocks

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Log is the header of a redo log.
type Log struct {
	BigEndian                          bool
	BlockSize                          int // 0: 512; 1024, 4096
	DBID                               uint32
	Database                           string // 8 bytes at most
	Compatible                         uint32
	ControlSequence                    uint32
	Thread                             uint16
	Sequence                           uint32
	File                               uint16 // group
	Activation                         uint32
	ResetlogsID, PreviousResetlogsID   uint32
	ResetlogsSCN, PreviousResetlogsSCN uint64
	First, Next                        uint64 // Next NoSCN: still open
	FirstTime, NextTime                time.Time
	Description                        string // "": as servers word it
	KeyFlag                            uint16
	NoChecksum                         bool
	Spare                              uint32 // zero blocks behind those in use, as an online log has them
}

const redoHeader = 16

// Size is the bytes of a block.
func (l Log) Size() int {
	if l.BlockSize == 0 {
		return 512
	}
	return l.BlockSize
}

// Write writes the log with records in it, and returns how many blocks are in use, block 0 among them. Records are spread over the blocks from 2 on,
// each behind its length.
func (l Log) Write(w io.Writer, records [][]byte) (used uint32, err error) {
	var content []byte
	for _, r := range records {
		if len(r) == 0 {
			return 0, errors.New("blocks: an empty record")
		}
		content = append(binary.BigEndian.AppendUint32(content, uint32(len(r))), r...)
	}
	room := l.Size() - redoHeader
	used = 2 + uint32((len(content)+room-1)/room)
	if _, err := w.Write(block0(l.Size(), l.BigEndian, formatByte(l.Size()), used-1+l.Spare)); err != nil {
		return 0, err
	}
	if _, err := w.Write(l.header(used)); err != nil {
		return 0, err
	}
	for n := uint32(2); n < used; n++ {
		k := newBlock(l.Size(), l.BigEndian)
		content = content[copy(k.b[redoHeader:], content):]
		l.finish(k, n)
		if _, err := w.Write(k.b); err != nil {
			return 0, err
		}
	}
	for range l.Spare {
		if _, err := w.Write(make([]byte, l.Size())); err != nil {
			return 0, err
		}
	}
	return used, nil
}

func (l Log) finish(k block, n uint32) {
	k.b[0], k.b[1] = 1, formatByte(l.Size())
	k.put32(4, n)
	k.put32(8, l.Sequence)
	k.put16(12, redoHeader|0x8000)
	if !l.NoChecksum {
		k.putSum(14)
	}
}

// header is block 1.
func (l Log) header(used uint32) []byte {
	k := newBlock(l.Size(), l.BigEndian)
	about := l.Description
	if about == "" {
		about = fmt.Sprintf("Thread %04d, Seq# %010d, SCN 0x%012x-0x%012x", l.Thread, l.Sequence, l.First, l.Next)
	}
	k.put32(20, l.Compatible)
	k.put32(24, l.DBID)
	copy(k.b[28:36], l.Database)
	k.put32(36, l.ControlSequence)
	k.put32(40, used-1+l.Spare)
	k.put16(48, l.File)
	k.put32(52, l.Activation)
	copy(k.b[92:156], about)
	k.put32(156, used)
	if l.Next == NoSCN {
		k.put32(156, 1<<32-1)
	}
	k.put32(160, l.ResetlogsID)
	k.putSCN(164, l.ResetlogsSCN)
	k.put16(176, l.Thread)
	k.putSCN(180, l.First)
	k.put32(188, Stamp(l.FirstTime))
	k.putSCN(192, l.Next)
	k.put32(200, Stamp(l.NextTime))
	k.putSCN(284, l.PreviousResetlogsSCN)
	k.put32(292, l.PreviousResetlogsID)
	k.put16(480, l.KeyFlag)
	l.finish(k, 1)
	return k.b
}

// ErrLog: what was read is no whole log.
var ErrLog = errors.New("blocks: not a whole redo log")

// ReadLog reads what Write wrote: the header and the records. The log must be closed.
func ReadLog(file []byte) (Log, [][]byte, error) {
	if len(file) < 1024 {
		return Log{}, nil, ErrLog
	}
	l := Log{BigEndian: file[28] == 0x7A}
	l.BlockSize = int(orderOf(l.BigEndian).Uint32(file[20:]))
	if l.BlockSize < 512 || l.BlockSize > len(file)/2 {
		return Log{}, nil, ErrLog
	}
	k := block{b: file[l.BlockSize : 2*l.BlockSize], order: orderOf(l.BigEndian)}
	l.Sequence, l.Compatible, l.DBID, l.Database, l.ControlSequence = k.get32(8), k.get32(20), k.get32(24), string(bytes.TrimRight(k.b[28:36], "\x00")), k.get32(36)
	l.File, l.Activation, l.Description = k.get16(48), k.get32(52), string(bytes.TrimRight(k.b[92:156], "\x00"))
	l.ResetlogsID, l.ResetlogsSCN, l.Thread, l.First, l.Next = k.get32(160), k.getSCN(164), k.get16(176), k.getSCN(180), k.getSCN(192)
	l.FirstTime, l.NextTime = unstamp(k.get32(188)), unstamp(k.get32(200))
	l.PreviousResetlogsSCN, l.PreviousResetlogsID, l.KeyFlag = k.getSCN(284), k.get32(292), k.get16(480)
	l.NoChecksum = k.get16(14) == 0
	used := int64(k.get32(156))
	if l.Next == NoSCN || used < 2 || used*int64(l.BlockSize) > int64(len(file)) {
		return l, nil, ErrLog
	}
	l.Spare = uint32(int64(len(file))/int64(l.BlockSize) - used)
	var content []byte
	for n := int64(1); n < used; n++ {
		k.b = file[n*int64(l.BlockSize):][:l.BlockSize]
		if k.get32(4) != uint32(n) || k.get32(8) != l.Sequence || k.get16(14) != 0 && k.sum() != 0 {
			return l, nil, ErrLog
		}
		if n > 1 {
			content = append(content, k.b[redoHeader:]...)
		}
	}
	records, err := cut(content, l.Size()-redoHeader)
	return l, records, err
}

// cut takes the records apart. Less than a block of zeros fills the last block: it reads as empty records, which do not exist.
func cut(content []byte, room int) (records [][]byte, err error) {
	for len(content) >= 4 {
		n := int(binary.BigEndian.Uint32(content))
		if n == 0 && len(content) < room {
			return records, nil
		}
		if n <= 0 || n > len(content)-4 {
			return records, ErrLog
		}
		records = append(records, content[4:4+n])
		content = content[4+n:]
	}
	return records, nil
}
