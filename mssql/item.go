package mssql

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// newItem is the record of a backup set: name, kind, history and checkpoint. Its parent, reason and window are the caller's to add.
func newItem(set chain.Set) (backup.Item, error) {
	checkpoint, err := json.Marshal(set)
	if err != nil {
		return backup.Item{}, fmt.Errorf("encode the checkpoint of %q: %w", set.Database, err)
	}
	it := backup.Item{
		Name: set.Database, Kind: set.Type.Kind(), Stream: streamOf(set.FamilyGUID, set.Fork), End: positionOf(set.LastLSN), CopyOnly: set.CopyOnly && set.Type == mtf.Database,
		Checkpoint: checkpoint, ByName: systemDatabase(set.Database),
	}
	if set.Type == mtf.Log {
		it.Begin = positionOf(set.FirstLSN)
		it.PointInTime = !set.BulkLogged
	}
	return it, nil
}

// setOf is the backup set that an item was made of.
func setOf(it backup.Item) (chain.Set, error) {
	var set chain.Set
	if len(it.Checkpoint) == 0 {
		return set, fmt.Errorf("the record of %q has no checkpoint", it.Name)
	}
	if err := json.Unmarshal(it.Checkpoint, &set); err != nil {
		return set, fmt.Errorf("read the checkpoint of %q: %w", it.Name, err)
	}
	return set, nil
}

// streamOf is the history in which LSNs compare: a database, known by its family, on one recovery fork. A restore to an earlier point begins another fork, in
// which the same LSNs mean other changes.
func streamOf(family, fork mtf.GUID) string {
	return strings.ToLower(family.String()) + "/" + strings.ToLower(fork.String())
}

// positionOf writes an LSN so that positions order bytewise. The widths are those of the parts: ten decimals hold 32 bits, five hold 16.
func positionOf(l mtf.LSN) backup.Position {
	return backup.Position(fmt.Sprintf("%010d%010d%05d", l.VLF, l.Block, l.Slot))
}

// lsnOf reads what positionOf writes.
func lsnOf(p backup.Position) (mtf.LSN, error) {
	if len(p) != 25 {
		return mtf.LSN{}, fmt.Errorf("position %q is not an LSN of 25 digits", p)
	}
	vlf, err1 := strconv.ParseUint(string(p[:10]), 10, 32)
	block, err2 := strconv.ParseUint(string(p[10:20]), 10, 32)
	slot, err3 := strconv.ParseUint(string(p[20:]), 10, 16)
	if err1 != nil || err2 != nil || err3 != nil {
		return mtf.LSN{}, fmt.Errorf("position %q is not an LSN of 25 digits", p)
	}
	return mtf.LSN{VLF: uint32(vlf), Block: uint32(block), Slot: uint16(slot)}, nil
}
