package mssqlsim

import (
	"cmp"
	"compress/flate"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/internal/sim/tapesim"
)

// What the tape format has no known place for, but RESTORE HEADERONLY tells.
const (
	ownRecord = "QSIM" // in the description of a set: the Set as JSON, without what the format holds
)

// container begins a compressed or encrypted backup: the name, the version, and a number.
var container = [16]byte{'M', 'S', 'S', 'Q', 'L', 'B', 'A', 'K', 2}

// Tape writes one device as SQL Server does: Microsoft Tape Format, or the container of compressed backups. It is a Device for Media of all kinds, which own out.
type Tape struct {
	out    *tapesim.Writer
	packed *flate.Writer // or nil
	family Family
	set    Set
	facts  tapesim.Set
	groups [][]Record
	pages  int64 // of this family
	next   int64 // of them
}

// Extent is what a device holds: so many sets, in so many bytes of tape format. The bytes are those of the file unless it is compressed.
type Extent struct {
	Sets  int
	Bytes int64
}

// BeginTape writes the headers of a set. before is what the device holds already, nothing when it is new.
func BeginTape(out io.Writer, family Family, set Set, before Extent) (*Tape, error) {
	t := &Tape{family: family, set: set, groups: set.groups(), pages: set.pagesOf(family.Sequence, family.Count)}
	if set.packed() {
		if before.Sets == 0 {
			if _, err := out.Write(container[:]); err != nil {
				return nil, err
			}
		}
		t.packed, _ = flate.NewWriter(out, flate.BestSpeed) // fails for unknown levels only
		out = t.packed
	}
	file := tapesim.File{SetID: tapeGUID(family.MediaSet), Family: family.Sequence, Families: family.Count, ID: binary.BigEndian.Uint32(family.ID[:]),
		Name: family.Name, About: family.About, Written: set.Start}
	var err error
	if t.facts, err = set.onTape(family.Count); err != nil {
		return nil, err
	}
	if before.Sets > 0 {
		t.out = tapesim.Continue(out, file, before.Bytes, before.Sets)
	} else if t.out, err = tapesim.NewWriter(out, file); err != nil {
		return nil, err
	}
	open := t.out.Pages
	if set.Type == LogSet {
		open = t.out.Log
	}
	return t, errors.Join(t.out.Begin(t.facts), open(t.pages*pageBytes))
}

// packed: it is written in the container.
func (s Set) packed() bool { return s.Compressed || s.KeyAlgorithm != "" }

// Advance does what Device says.
func (t *Tape) Advance(ctx context.Context, percent int) error {
	block := make([]byte, 0, blockPages*pageBytes)
	for last := t.pages * int64(percent) / 100; t.next < last; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		block = block[:0]
		for ; t.next < last && len(block) < cap(block); t.next++ {
			block = block[:len(block)+pageBytes]
			page(block[len(block)-pageBytes:], t.next*int64(t.family.Count)+int64(t.family.Sequence)-1, t.set.ID, t.groups)
		}
		if _, err := t.out.Write(block); err != nil {
			return err
		}
	}
	if t.packed != nil {
		return t.packed.Flush()
	}
	return nil
}

// Commit does what Device says.
func (t *Tape) Commit(ctx context.Context, finish time.Time) error {
	if err := t.Advance(ctx, 100); err != nil {
		return err
	}
	if err := t.out.EndData(); err != nil {
		return err
	}
	if t.set.Type != LogSet {
		if err := errors.Join(t.out.Log(0), t.out.EndData()); err != nil {
			return err
		}
	}
	t.facts.Finished = finish
	if err := t.out.End(t.facts); err != nil {
		return err
	}
	if t.packed != nil {
		return t.packed.Close()
	}
	return nil
}

// onTape is the set in the fields of the tape format.
func (s Set) onTape(families int) (tapesim.Set, error) {
	_, letter := s.Type.words()
	x := tapesim.Set{
		Type: letter[0], GUID: tapeGUID(s.ID), Name: s.Name, Description: s.Description, User: s.User, Database: s.Database, Server: s.Server, Machine: s.Server,
		First: tapeLSN(s.First), Last: tapeLSN(s.Last), Checkpoint: tapeLSN(s.Checkpoint), FullBackup: tapeLSN(s.DatabaseLSN), ForkPoint: tapeLSN(s.ForkPoint),
		BaseLSN: tapeLSN(s.BaseLSN), BaseGUID: tapeGUID(s.BaseID), FullGUID: tapeGUID(s.DatabaseID),
		Binding: tapeGUID(s.Binding), Fork: tapeGUID(s.Fork), FamilyGUID: tapeGUID(s.FamilyGUID),
		Created: s.Created.In(s.Start.Location()), Started: s.Start, Zone: quarters(s.Start), Major: s.Version.Major, Minor: s.Version.Minor,
		DatabaseVersion: uint16(databaseVersion(s.Version)), Compatibility: s.Version.Major * 10, Checksum: s.Checksum, Groups: []string{"PRIMARY"}, Bytes: uint64(s.Bytes),
	}
	if s.FirstFork != s.Fork {
		x.FirstFork = tapeGUID(s.FirstFork)
	}
	for _, f := range s.Files {
		d := tapesim.Database{ID: uint32(f.ID), Logical: f.Logical, Physical: f.Physical, Size: uint64(f.Bytes)}
		if !f.Log {
			name := cmp.Or(f.Group, "PRIMARY")
			if !slices.Contains(x.Groups, name) {
				x.Groups = append(x.Groups, name)
			}
			d.Group = uint32(slices.Index(x.Groups, name) + 1)
		}
		if f.ID == 1 && s.Type != LogSet {
			d.Pages = uint32(s.pages(families))
		}
		x.Files = append(x.Files, d)
	}
	own, err := json.Marshal(s.notOnTape())
	x.Records = []tapesim.Record{{ID: ownRecord, Data: own}}
	return x, err
}

// notOnTape is the set without what the tape format holds, so that a reader has only one place for each fact.
func (s Set) notOnTape() Set {
	var g tds.GUID
	s.ID, s.Binding, s.FamilyGUID, s.FirstFork, s.Fork, s.BaseID, s.DatabaseID = g, g, g, g, g, g, g
	s.Type, s.Name, s.Description, s.Database, s.Server, s.User = 0, "", "", "", "", ""
	s.Created, s.Start, s.Finish = time.Time{}, time.Time{}, time.Time{}
	s.First, s.Last, s.Checkpoint, s.DatabaseLSN, s.ForkPoint, s.BaseLSN = 0, 0, 0, 0, 0, 0
	s.Bytes, s.Version.Major, s.Version.Minor, s.Records = 0, 0, 0, nil
	files := make([]File, len(s.Files))
	for i, f := range s.Files {
		f.ID, f.Logical, f.Physical, f.Log, f.Bytes = 0, "", "", false, 0
		files[i] = f
	}
	s.Files = files
	return s
}

// noZone stands for a zone that is not told, here because it is not whole quarters of an hour.
const noZone = 127

// quarters is the zone of a moment in quarters of an hour east of Greenwich.
func quarters(t time.Time) int8 {
	_, offset := t.Zone()
	if offset%900 != 0 {
		return noZone
	}
	return int8(offset / 900)
}

// Digits of an LSN: slot below 10^5, block below 10^10.
const (
	slots  = 1e5
	blocks = 1e10
)

func tapeLSN(l LSN) tapesim.LSN {
	return tapesim.LSN{uint32(l / (blocks * slots)), uint32(l / slots % blocks), uint32(l % slots)}
}

// tapeGUID swaps the first three groups, which the tape has in little-endian order. It undoes itself.
func tapeGUID(g tds.GUID) [16]byte {
	g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7] = g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6]
	return g
}
