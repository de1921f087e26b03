package oraclesim

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// record is a row: what a commit added, and when.
type record struct {
	SCN  uint64
	At   int64 // nanoseconds since 1970
	Text string
}

// header is what block 1 of a data file says.
type header struct {
	blocks.DataFile
	// absoluteFuzzy is the SCN that recovery has to pass before a copy by RMAN is whole; 0: none.
	absoluteFuzzy uint64
}

// At this offset of block 1 the simulator keeps absoluteFuzzy; where the server has it is not known.
const fuzzyAt = 1024

// headerOf is the header of a file that is f, with a status of its own.
func (i *Instance) headerOf(c *control, f *dataFile, status uint16) header {
	inc := c.incarnation()
	ts := c.tablespace(f.TS)
	h := blocks.DataFile{
		BlockSize: f.BlockSize, Blocks: uint32(f.Blocks), DBID: c.DBID, Database: c.Name, Compatible: compatible, ControlSequence: uint32(c.Version),
		File: uint16(f.No), RelativeFile: uint32(f.RFile), Bigfile: ts.Bigfile, Tablespace: int32(f.TS), TablespaceName: ts.Name, Status: status,
		CreationSCN: f.Created, Created: f.CreatedAt, ResetlogsSCN: inc.SCN, ResetlogsID: inc.ResetlogsID, PreviousResetlogsSCN: inc.Prior,
		CheckpointSCN: f.Checkpoint, CheckpointTime: f.CheckpointAt, CheckpointCount: uint32(c.Version), Thread: 1, Sequence: i.sequenceAt(c, f.Checkpoint+1),
	}
	if f.Begin != 0 {
		h.Status |= blocks.InBackup
		h.BackupSCN, h.BackupTime, h.CheckpointSCN, h.CheckpointTime = f.Begin, f.BeginAt, f.Begin, f.BeginAt
		h.Sequence = i.sequenceAt(c, f.Begin+1)
	}
	return header{DataFile: h}
}

// compatible is 19.0 as headers have it.
const compatible = 0x13000000

// sequenceAt is the log of thread 1 that holds what comes behind an SCN.
func (i *Instance) sequenceAt(c *control, scn uint64) uint32 {
	for _, g := range c.Groups {
		if g.Thread == 1 && g.Status != "UNUSED" && g.First <= scn && scn < g.Next {
			return g.Sequence
		}
	}
	for _, a := range c.Archived {
		if a.Thread == 1 && a.ResetlogsSCN == c.incarnation().SCN && a.First <= scn && scn < a.Next {
			return a.Sequence
		}
	}
	return 1
}

func (h header) bytes() []byte {
	b := h.Header()
	binary.LittleEndian.PutUint64(b[fuzzyAt:], h.absoluteFuzzy)
	b[16], b[17] = 0, 0
	var x uint16
	for n := 0; n < len(b); n += 2 {
		x ^= binary.LittleEndian.Uint16(b[n:])
	}
	binary.LittleEndian.PutUint16(b[16:], x)
	return b
}

// readHeader reads block 1 of a file. The file must be as long as the header says.
func readHeader(path string, size int) (header, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, int64(size)); err != nil {
		return header{}, fmt.Errorf("file is too short")
	}
	d, err := blocks.ReadHeader(b, false)
	if err != nil {
		return header{}, err
	}
	st, err := f.Stat()
	if err != nil {
		return header{}, err
	}
	if st.Size() != d.Length() {
		return header{}, fmt.Errorf("file has %d bytes, its header says %d", st.Size(), d.Length())
	}
	return header{DataFile: d, absoluteFuzzy: binary.LittleEndian.Uint64(b[fuzzyAt:])}, nil
}

func writeHeader(path string, h header) error {
	return writeAt(path, h.bytes(), h.Offset(1))
}

func writeAt(path string, b []byte, at int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, at)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// block is one as the buffer cache has it.
type block struct {
	scn     uint64
	records []record
	filler  uint64 // changed by touches, so that two versions of a block differ at its end as well
}

func (k *block) payload(room int) []byte {
	text, _ := json.Marshal(k.records) // numbers and texts always have a JSON form
	b := make([]byte, room)
	binary.BigEndian.PutUint32(b, uint32(len(text)))
	copy(b[4:], text)
	binary.BigEndian.PutUint64(b[room-8:], k.filler)
	return b
}

func (k *block) full(room int, text string) bool {
	used := binary.BigEndian.Uint32(k.payload(room))
	return int(used)+len(text)*6+120 > room // a letter may take six in JSON
}

func parsePayload(scn uint64, b []byte) (*block, error) {
	k := &block{scn: scn}
	if b == nil {
		return k, nil
	}
	n := binary.BigEndian.Uint32(b)
	if int(n) > len(b)-12 {
		return nil, blocks.ErrTorn
	}
	k.filler = binary.BigEndian.Uint64(b[len(b)-8:])
	return k, json.Unmarshal(b[4:4+n], &k.records)
}

// createDataFile makes a file with nothing but its header.
func createDataFile(path string, h header) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(append(h.Block0(), h.bytes()...))
	if err == nil {
		err = f.Truncate(h.Length())
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// readBlock reads block n of a file; blocks.ErrTorn when it is not whole.
func readBlock(f io.ReaderAt, h blocks.DataFile, n uint32) (*block, error) {
	b := make([]byte, h.Size())
	if _, err := f.ReadAt(b, h.Offset(n)); err != nil {
		return nil, err
	}
	scn, payload, err := h.Read(n, b)
	if err != nil {
		return nil, err
	}
	return parsePayload(scn, payload)
}

func (k *block) bytes(h blocks.DataFile, n uint32) ([]byte, error) {
	return h.Block(n, k.scn, 1, k.payload(h.Payload()))
}

// controlImage is a control file with text as its content.
func controlImage(c *control, text []byte) []byte {
	var b bytes.Buffer
	k := blocks.Control{DBID: c.DBID, Database: c.Name, Compatible: compatible, Sequence: uint32(c.Version)}
	_ = k.Write(&b, text) // a buffer takes everything
	return b.Bytes()
}

func controlText(b []byte) ([]byte, error) {
	_, text, err := blocks.ReadControl(b)
	return text, err
}
