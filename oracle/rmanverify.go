package oracle

import (
	"fmt"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
)

// pieces looks whether what RMAN made is whole, by the inventory of one step: each data file in a piece or a copy, each log in a piece, no piece of a set missing, and a differential behind its full.
func (v *verifying) pieces(inv *Inventory) error {
	m := inv.Backup.RMAN
	switch {
	case inv.Backup.Kind == string(backup.Full):
		v.full, v.tag = true, ""
		if m != nil {
			v.tag = m.Tag
		}
	case inv.Backup.Kind == string(backup.Differential) && v.full && (m == nil || m.Parent == "" || m.Parent != v.tag):
		return fmt.Errorf("it is a differential, and does not belong to the full before it, with tag %q", v.tag)
	}
	if m == nil {
		return nil
	}
	numbers := map[int][]int{}
	for _, p := range m.Pieces {
		if !p.Copy {
			numbers[p.Set] = append(numbers[p.Set], p.Piece)
		}
	}
	for set, have := range numbers {
		slices.Sort(have)
		for i, n := range have {
			if n != i+1 {
				return fmt.Errorf("backup set %d lacks piece %d", set, i+1)
			}
		}
	}
	for _, l := range inv.Backup.Logs {
		if !m.holdsLog(l) {
			return fmt.Errorf("no piece holds the log of %s", l)
		}
	}
	if inv.Backup.Kind != string(backup.Log) && !slices.ContainsFunc(m.Pieces, func(p RMANPiece) bool { return p.Kind == pieceData }) {
		return fmt.Errorf("no piece holds data files")
	}
	return nil
}

// holdsLog reports whether a piece has the log.
func (m *RMANContents) holdsLog(l ArchivedLog) bool {
	return slices.ContainsFunc(m.Pieces, func(p RMANPiece) bool {
		return slices.Contains(p.Logs, RMANLog{l.Thread, l.Sequence, l.FirstSCN, l.NextSCN})
	})
}

// controlCopy reports whether an artifact is an image copy of the control file.
func (m *RMANContents) controlCopy(artifact string) bool {
	return m != nil && slices.ContainsFunc(m.Pieces, func(p RMANPiece) bool { return p.Copy && p.Kind == pieceControl && p.Artifact == artifact })
}
