package oraclesim

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// checkBackups reads all backups that a restore would take.
func (m *rman) checkBackups(whole bool) error {
	for _, f := range m.ctl.Files {
		c := m.choose(f.No)
		if c == nil {
			return noBackup(f)
		}
		if !whole {
			continue
		}
		b, err := c.content()
		if err != nil {
			return err
		}
		if bad, err := damagedBlocks(b, f.BlockSize); err != nil || len(bad) > 0 {
			return corruptBlocks(c, f)
		}
	}
	return nil
}

// preview lists what a restore would read, and fails when redo is missing between the backups and now.
func (m *rman) preview() error {
	if err := m.checkBackups(false); err != nil {
		return err
	}
	need := uint64(noSCN)
	for _, f := range m.ctl.Files {
		c := m.choose(f.No)
		if f.Enabled == "READ WRITE" && f.online() {
			need = min(need, c.file.Checkpoint+1)
		}
		m.out.WriteString(c.piece.Handle + "\n")
	}
	for _, t := range m.ctl.sortedThreads() {
		if err := m.redoFrom(t, need); err != nil {
			return err
		}
	}
	return nil
}

// redoFrom follows the archived logs of a thread from an SCN to the current log.
func (m *rman) redoFrom(thread int, at uint64) error {
	end := m.ctl.currentGroup(thread).First
	if m.untilSCN != 0 {
		end = min(end, m.untilSCN)
	}
	for at < end {
		next := uint64(0)
		for _, l := range m.ctl.Archived {
			if _, err := os.Stat(l.Name); err == nil && !l.Deleted && l.Thread == thread && l.First <= at && at < l.Next && l.ResetlogsSCN == m.ctl.incarnation().SCN {
				next = l.Next
			}
		}
		for _, p := range m.ctl.Pieces {
			for _, f := range p.Files {
				if p.Kind == "archivelog" && p.Status == "A" && f.Thread == thread && f.First <= at && at < f.Next && p.Resets == m.ctl.incarnation().SCN {
					next = f.Next
				}
			}
		}
		if next == 0 {
			return fmt.Errorf("RMAN-06025: no backup of archived log for thread %d with sequence %d and starting SCN of %d found to restore", thread, m.sequenceAtSCN(thread, at), at)
		}
		at = next
	}
	return nil
}

func (m *rman) sequenceAtSCN(thread int, at uint64) uint32 {
	for _, l := range m.ctl.Archived {
		if l.Thread == thread && l.First <= at && at < l.Next {
			return l.Sequence
		}
	}
	return 0
}

func (m *rman) checkLogs() error {
	for _, l := range m.ctl.Archived {
		if l.Deleted {
			continue
		}
		if _, err := readRedo(l.Name); err != nil {
			return err
		}
	}
	return nil
}

// validate reads all data files of the database. What it finds is in V$DATABASE_BLOCK_CORRUPTION, and no error [RMAN].
func (m *rman) validate(*act) error {
	m.corrupt = nil
	for _, f := range m.ctl.Files {
		image, _, err := m.imageOf(f)
		if err != nil {
			return err
		}
		bad, err := damagedBlocks(image, f.BlockSize)
		if err != nil {
			return err
		}
		status := "OK    "
		if len(bad) > 0 {
			status = "FAILED"
		}
		for _, no := range bad {
			m.corrupt = append(m.corrupt, row{"FILE#": num(f.No), "BLOCK#": num(no), "BLOCKS": num(1), "CORRUPTION_CHANGE#": num(0), "CORRUPTION_TYPE": "CHECKSUM", "CON_ID": num(f.ConID)})
		}
		fmt.Fprintf(&m.out, "File Status Marked Corrupt Empty Blocks Blocks Examined High SCN\n%-4d %s %-14d 0            %-15d %d\n", f.No, status, len(bad), f.Blocks, m.scn)
	}
	return nil
}

// tagged gives a catalogued copy its TAG.
func (m *rman) tagged(path, tag string) {
	for _, p := range m.ctl.Pieces {
		if p.Handle == path && p.Status == "A" {
			p.Tag = tag
		}
	}
}

// validateSets reads backup sets, which are numbered as their pieces are: each has one here. Any copy of it will do [RMAN].
func (m *rman) validateSets(a *act) error {
	for {
		text, _ := a.r.number()
		at := slices.IndexFunc(m.ctl.Pieces, func(p *piece) bool { return fmt.Sprint(p.Key) == text && p.Kind != "copy" && p.Status != "D" })
		if at < 0 {
			return errors.New("RMAN-20215: backup set not found in the recovery catalog")
		}
		if _, _, err := readPiece(m.ctl.Pieces[at].Handle); err != nil {
			return err
		}
		if !a.r.take(",") {
			break
		}
	}
	if !a.r.end() {
		return syntax(a.note.Text)
	}
	return nil
}

// damagedBlocks are the blocks of an image that are not whole.
func damagedBlocks(image []byte, size int) (bad []int, err error) {
	h, err := blocks.ReadHeader(image[size:2*size], false)
	if err != nil {
		return nil, err
	}
	for no := 2; no <= int(h.Blocks) && (no+1)*size <= len(image); no++ {
		if _, _, err := h.Read(uint32(no), image[no*size:][:size]); err != nil {
			bad = append(bad, no)
		}
	}
	return bad, nil
}
