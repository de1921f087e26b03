package exchange

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// checkpoint is the note of an item from which the next link starts: the last log that it holds.
type checkpoint struct {
	Way Way `json:"way"`
	// Signature is the series, as in Item.Stream; Generation the last log of the item, Created when that was made, as the engine writes it, in hex.
	Signature  string `json:"signature"`
	Generation uint32 `json:"generation"`
	Created    string `json:"created"`
	// Partial: that log was still being written, and the next link holds it again.
	Partial bool `json:"partial,omitempty"`
	// Sum is that of its segments, in hex, where the next log is linked to it by this.
	Sum string `json:"sum,omitempty"`
	// Circular: circular logging was on.
	Circular bool `json:"circular,omitempty"`
	// Databases are those of the group that a full holds, by their GUID, or by name where there is none.
	Databases []string `json:"databases"`
}

// checkpointOf reads the note of a link.
func checkpointOf(it backup.Item) (checkpoint, error) {
	var c checkpoint
	if err := json.Unmarshal(it.Checkpoint, &c); err != nil {
		return c, fmt.Errorf("read the checkpoint of %s: %w", it.Name, err)
	}
	if c.Signature != it.Stream || c.Generation == 0 {
		return c, fmt.Errorf("the checkpoint of %s is of another series, or of none", it.Name)
	}
	return c, nil
}

// next is the generation that the next link begins with.
func (c checkpoint) next() uint32 {
	if c.Partial {
		return c.Generation
	}
	return c.Generation + 1
}

// at notes l as the last log. Only a log that was read whole has its sum.
func (c checkpoint) at(l *ese.Log, partial bool) checkpoint {
	c.Generation, c.Created, c.Partial, c.Sum = l.Generation, stampText(l.Created), partial, ""
	c.Circular = l.Circular
	if l.Depth == ese.Summed && !partial {
		c.Sum = fmt.Sprintf("%016x", l.Sum)
	}
	return c
}

// follows says why l, the log of generation c.next(), does not continue what is at the target; empty: it does.
func (c checkpoint) follows(l *ese.Log) string {
	switch {
	case seriesText(l.Signature) != c.Signature:
		return "its logs were begun anew, as another series"
	case c.Partial && stampText(l.Created) != c.Created:
		return fmt.Sprintf("its log 0x%X is another one than that at the target", l.Generation)
	case !c.Partial && stampText(l.PreviousCreated) != c.Created:
		return fmt.Sprintf("its log 0x%X continues another log 0x%X than that at the target", l.Generation, c.Generation)
	case !c.Partial && l.Linked && c.Sum != "" && fmt.Sprintf("%016x", l.PreviousSum) != c.Sum:
		return fmt.Sprintf("its log 0x%X continues a log 0x%X with other content than that at the target", l.Generation, c.Generation)
	}
	return ""
}

// position is where the log of that generation begins, or with partial a place inside it, behind what is in an unfinished copy of it.
func position(generation uint32, partial bool) backup.Position {
	p := fmt.Sprintf("%010d", generation)
	if partial {
		p += ".partial"
	}
	return backup.Position(p)
}

// end is the position behind the last log of a checkpoint.
func (c checkpoint) end() backup.Position {
	if c.Partial {
		return position(c.Generation, true)
	}
	return position(c.Generation+1, false)
}

// seriesText is the signature of a series of logs as the 28 bytes that it has in their headers, in hex.
func seriesText(s ese.Signature) string {
	b := binary.LittleEndian.AppendUint32(make([]byte, 0, 28), s.Random)
	b = append(b, s.Created[:]...)
	var computer [16]byte
	copy(computer[:], s.Computer)
	return hex.EncodeToString(append(b, computer[:]...))
}

func stampText(s ese.Stamp) string { return hex.EncodeToString(s[:]) }

// identity is what a checkpoint calls a database.
func (d Database) identity() string {
	if d.GUID != "" {
		return strings.ToLower(d.GUID)
	}
	return d.Name
}
