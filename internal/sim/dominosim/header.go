package dominosim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Offsets in the header. Those below atSim are Domino's own.
const (
	atHeaderSize  = 2
	atODS         = 6
	atCreated     = 10
	atBucket      = 34
	atClass       = 42
	atSize        = 88
	atModified    = 136
	atNonData     = 172
	atReplica     = 180
	atTitle       = 200
	titleSize     = 128
	atSuperblock  = 560
	atDBIID       = 688
	atLastBackup  = 704
	atLogNumber   = 728
	atLogID       = 768
	atBackupFlags = 810
	atDesign      = 834
	atSim         = 912
	atFlags       = 916
	atLSN         = 920
	atBackupLSN   = 928
	atBackupTime  = 936
	atSum         = 944
	atPages       = 952
	atHeaderCRC   = 956
	atBackupPos   = 960
	atSerial      = 968

	superblockSize = 4096
	oldestODS      = 41 // release 5
	newestODS      = 55
)

// isBackup is the bit of the backup flags that makes a file a recoverable backup. The field is Domino's, the value of the bit is not known.
const isBackup = 1

// Flags of ours in the header.
const (
	flagLogged   = 1 << iota // changes go into the log
	flagSwitched             // an administrator has switched logging off for this database
)

var le = binary.LittleEndian

// header gives names to the bytes of a file's header.
type header []byte

func headerSize(ods uint32) int {
	if ods >= 53 {
		return 2048
	}
	return 1024
}

func newHeader(o DB, replica [8]byte, now time.Time) header {
	h := make(header, headerSize(o.ODS))
	h[0] = 0x1A
	le.PutUint32(h[atHeaderSize:], uint32(len(h)))
	le.PutUint32(h[atODS:], o.ODS)
	date := timedate(now)
	for _, at := range [...]int{atCreated, atBucket, atModified, atNonData, atDesign} {
		copy(h[at:], date[:])
	}
	class := uint16(0xFF01)
	if o.Template {
		class = 0xFF04
	}
	le.PutUint16(h[atClass:], class)
	copy(h[atReplica:], replica[:])
	copy(h[atTitle:atTitle+titleSize-1], o.Title)
	for i := range 2 {
		le.PutUint32(h[atSuperblock+8*i:], uint32(len(h)+i*superblockSize)/256)
		le.PutUint32(h[atSuperblock+8*i+4:], superblockSize)
	}
	copy(h[atSim:], "QSIM")
	return h
}

func (h header) ods() uint32       { return le.Uint32(h[atODS:]) }
func (h header) logged() bool      { return le.Uint32(h[atFlags:])&flagLogged != 0 }
func (h header) switchedOff() bool { return le.Uint32(h[atFlags:])&flagSwitched != 0 }
func (h header) backup() bool      { return le.Uint16(h[atBackupFlags:])&isBackup != 0 }
func (h header) lsn() uint64       { return le.Uint64(h[atLSN:]) }
func (h header) backupLSN() uint64 { return le.Uint64(h[atBackupLSN:]) }
func (h header) backupPos() uint64 { return le.Uint64(h[atBackupPos:]) }
func (h header) sum() uint64       { return le.Uint64(h[atSum:]) }
func (h header) pages() int        { return int(le.Uint32(h[atPages:])) }
func (h header) dbiid() notes.UNID { return notes.UNID(h[atDBIID : atDBIID+16]) }
func (h header) logID() notes.UNID { return notes.UNID(h[atLogID : atLogID+16]) }

// backupTime is when the backup began, by hundredths of a second.
func (h header) backupTime() time.Time {
	return time.UnixMilli(int64(le.Uint64(h[atBackupTime:])) * 10)
}

func (h header) setFlag(flag uint32, on bool) {
	v := le.Uint32(h[atFlags:]) &^ flag
	if on {
		v |= flag
	}
	le.PutUint32(h[atFlags:], v)
}

func (h header) setBackup(on bool) {
	v := le.Uint16(h[atBackupFlags:]) &^ isBackup
	if on {
		v |= isBackup
	}
	le.PutUint16(h[atBackupFlags:], v)
}

// join begins a life of the database in a log: whatever was backed up before can not be rolled forward into it.
func (h header) join(log, dbiid notes.UNID, logged bool, lsn uint64) {
	copy(h[atLogID:], log[:])
	copy(h[atDBIID:], dbiid[:])
	h.setFlag(flagLogged, logged)
	le.PutUint64(h[atLSN:], max(lsn, h.lsn()))
}

func (h header) checksum() uint32 {
	zeroed := bytes.Clone(h)
	clear(zeroed[atHeaderCRC : atHeaderCRC+4])
	return crc32.ChecksumIEEE(zeroed)
}

func (h header) seal() { le.PutUint32(h[atHeaderCRC:], h.checksum()) }

// parseHeader judges the beginning of a file as NSFDbOpen does.
func parseHeader(b []byte, fileSize int64) (header, error) {
	if len(b) < 1024 || b[0] != 0x1A || b[1] != 0 {
		return nil, notes.StatusNotNSF
	}
	if ods := le.Uint32(b[atODS:]); ods > newestODS || ods < 16 {
		return nil, notes.StatusNSFVersion
	}
	n := int(le.Uint32(b[atHeaderSize:]))
	if n != headerSize(le.Uint32(b[atODS:])) || n > len(b) {
		return nil, notes.StatusNSFCorrupt
	}
	h := header(b[:n])
	switch {
	case string(h[atSim:atSim+4]) != "QSIM" || le.Uint32(h[atHeaderCRC:]) != h.checksum():
		return nil, notes.StatusNSFCorrupt
	case int64(le.Uint32(h[atSize:]))*256 > fileSize:
		return nil, notes.StatusObjectTruncated
	}
	return h, nil
}

// timedate is a moment as Notes keeps it: hundredths of a second since midnight and the Julian day, in GMT.
func timedate(t time.Time) (d [8]byte) {
	hundredths := t.UnixMilli() / 10
	const day = 24 * 60 * 60 * 100
	le.PutUint32(d[:], uint32(hundredths%day))
	le.PutUint32(d[4:], uint32(2440588+hundredths/day))
	return d
}

// moment is a time by the hundredth of a second, which is how Notes dates everything.
func moment(t time.Time) time.Time { return t.Truncate(10 * time.Millisecond) }

// inconsistent says what is wrong with a file.
func inconsistent(format string, args ...any) error {
	return fmt.Errorf("inconsistent database: "+format, args...)
}
