package oraclesim

import (
	"errors"
	"os"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// Record is a row as [Instance.Contents] shows it.
type Record struct {
	SCN  uint64
	At   time.Time
	Text string
}

// Commit adds rows to a tablespace (of the root, or in one of a PDB as "PDB.SPACE") each in a transaction of its own, and returns the SCN of the last. They are in redo when it returns, and in data files later.
func (i *Instance) Commit(space string, texts ...string) (uint64, error) {
	return i.CommitOn(1, space, texts...)
}

// CommitOn is Commit in an instance of a RAC: it writes redo of that thread.
func (i *Instance) CommitOn(thread int, space string, texts ...string) (uint64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	switch {
	case i.state != Open:
		return 0, fault(1109, "database not open")
	case i.readOnly:
		return 0, fault(16000, "database or pluggable database open for read-only access")
	case i.archiverStuck() && len(i.ctl.currentGroup(thread).used) > i.config.LogBlocks*400:
		return 0, fault(257, "Archiver error. Connect AS SYSDBA only until resolved.")
	}
	t := i.findSpace(space)
	if t == nil {
		return 0, fault(959, "tablespace '%s' does not exist", space)
	}
	for _, text := range texts {
		i.scn++
		if err := i.add(thread, t, text); err != nil {
			return 0, err
		}
	}
	scn := i.scn
	if err := i.flush(); err != nil {
		return 0, err
	}
	return scn, i.writeSome()
}

func (i *Instance) findSpace(name string) *tablespace {
	for _, t := range i.ctl.Tablespaces {
		full := t.Name
		for _, p := range i.ctl.PDBs {
			if p.ConID == t.ConID {
				full = p.Name + "." + t.Name
			}
		}
		if full == name {
			return t
		}
	}
	return nil
}

// add puts a row into the first block with room, beginning with a file chosen by the seed.
func (i *Instance) add(thread int, t *tablespace, text string) error {
	files := i.ctl.filesOf(t.No)
	if len(files) == 0 {
		return fault(959, "tablespace '%s' does not exist", t.Name)
	}
	first := i.random.IntN(len(files))
	for n := range files {
		f := files[(first+n)%len(files)]
		if !f.online() {
			return stack(fault(376, "file %d cannot be read at this time", f.No), dataFileFault(f))
		}
		if !f.writable() {
			return stack(fault(372, "file %d cannot be modified at this time", f.No), dataFileFault(f))
		}
		// The first two and the last two blocks belong to touch.
		room := i.headerOf(i.ctl, f, 0).Payload()
		n := f.Blocks - 5
		start := i.random.IntN(n)
		for k := range n {
			no := uint32(4 + (start+k)%n)
			b, err := i.buffer(f, no)
			if err != nil {
				return err
			}
			if b.full(room, text) {
				continue
			}
			return i.change(thread, f, no, b, change{Kind: added, Text: text})
		}
	}
	return fault(1653, "unable to extend table by 8 in tablespace %s", t.Name)
}

// change applies a change to a block in memory, behind its redo.
func (i *Instance) change(thread int, f *dataFile, no uint32, b *block, c change) error {
	c.SCN, c.At, c.File, c.Block, c.Prev = i.scn, i.config.Now().UnixNano(), f.No, no, b.scn
	if f.Begin != 0 && !mark(i.imaged, f.No, no) {
		whole := change{SCN: c.SCN, At: c.At, Kind: imaged, File: f.No, Block: no, Prev: b.scn, Image: b.records, Filler: b.filler}
		if err := i.log(thread, whole); err != nil {
			return err
		}
	}
	if err := i.log(thread, c); err != nil {
		return err
	}
	b.apply(c)
	mark(i.dirty, f.No, no)
	return nil
}

// apply brings a block from c.Prev to c.SCN, or to the image.
func (k *block) apply(c change) {
	switch c.Kind {
	case added:
		k.records = append(slices.Clone(k.records), record{SCN: c.SCN, At: c.At, Text: c.Text})
		k.scn, k.filler = c.SCN, c.SCN
	case touched:
		k.scn, k.filler = c.SCN, c.Filler
	case imaged:
		k.scn, k.records, k.filler = c.Prev, c.Image, c.Filler
	}
}

// mark sets a flag of a block and says whether it was set.
func mark(flags map[int]map[uint32]bool, file int, no uint32) bool {
	if flags[file] == nil {
		flags[file] = map[uint32]bool{}
	}
	was := flags[file][no]
	flags[file][no] = true
	return was
}

// buffer is a block in memory, read from its file first.
func (i *Instance) buffer(f *dataFile, no uint32) (*block, error) {
	if b := i.cache[f.No][no]; b != nil {
		return b, nil
	}
	file, err := os.Open(f.Name)
	if err != nil {
		return nil, cannotIdentify(f)
	}
	defer file.Close()
	b, err := readBlock(file, i.headerOf(i.ctl, f, 0).DataFile, no)
	if errors.Is(err, blocks.ErrTorn) {
		return nil, stack(fault(1578, "ORACLE data block corrupted (file # %d, block # %d)", f.No, no), dataFileFault(f))
	}
	if err != nil {
		return nil, cannotIdentify(f)
	}
	if i.cache[f.No] == nil {
		i.cache[f.No] = map[uint32]*block{}
	}
	i.cache[f.No][no] = b
	return b, nil
}

func cannotIdentify(f *dataFile) error {
	return stack(fault(1157, "cannot identify/lock data file %d - see DBWR trace file", f.No), dataFileFault(f))
}

// writeSome writes one changed block, which the seed chooses: files are written while they are read, and not in the order of changes.
func (i *Instance) writeSome() error {
	for _, f := range i.ctl.Files {
		if len(i.dirty[f.No]) == 0 || i.random.IntN(2) == 0 {
			continue
		}
		all := sortedBlocks(i.dirty[f.No])
		no := all[i.random.IntN(len(all))]
		if i.inflight[f.No][no] {
			continue
		}
		if err := i.writeBlock(f, no, false); err != nil {
			return err
		}
		delete(i.dirty[f.No], no)
	}
	return nil
}

func sortedBlocks(m map[uint32]bool) []uint32 {
	all := make([]uint32, 0, len(m))
	for n := range m {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

// writeBlock writes a block from memory, or only its first half.
func (i *Instance) writeBlock(f *dataFile, no uint32, half bool) error {
	h := i.headerOf(i.ctl, f, 0).DataFile
	b, err := i.cache[f.No][no].bytes(h, no)
	if err != nil {
		return err
	}
	if half {
		b = b[:len(b)/2]
	}
	if err := writeAt(f.Name, b, h.Offset(no)); err != nil {
		return cannotIdentify(f)
	}
	return nil
}

// touch changes a block at the start and one at the end of a file and leaves the write of both half-done, until the next settle. So an open file is never whole on disk. In backup mode these are other
// blocks than outside it: whole images of the ones do not repair the others.
func (i *Instance) touch(f *dataFile) error {
	i.scn++
	two := []uint32{2, uint32(f.Blocks)}
	if f.Begin != 0 {
		two = []uint32{3, uint32(f.Blocks) - 1}
	}
	for _, no := range two {
		b, err := i.buffer(f, no)
		if err != nil {
			return err
		}
		if err := i.change(1, f, no, b, change{Kind: touched, Filler: i.scn}); err != nil {
			return err
		}
	}
	if err := i.flush(); err != nil {
		return err
	}
	for _, no := range two {
		if err := i.writeBlock(f, no, true); err != nil {
			return err
		}
		mark(i.inflight, f.No, no)
	}
	return nil
}

// settle touches all files that are written to.
func (i *Instance) settle() error {
	for _, f := range i.ctl.Files {
		if f.writable() {
			if err := i.touch(f); err != nil {
				return err
			}
		}
	}
	return i.saveControl()
}

// writeFile writes all changed blocks of a file, and its header as of now.
func (i *Instance) writeFile(f *dataFile, status uint16) error {
	for _, no := range sortedBlocks(i.dirty[f.No]) {
		if err := i.writeBlock(f, no, false); err != nil {
			return err
		}
	}
	i.dirty[f.No], i.inflight[f.No] = nil, nil
	f.Checkpoint, f.CheckpointAt = i.scn, i.config.Now()
	if err := writeHeader(f.Name, i.headerOf(i.ctl, f, status)); err != nil {
		return cannotIdentify(f)
	}
	return nil
}

// checkpoint writes what memory has to all files.
func (i *Instance) checkpoint() error {
	if err := i.flush(); err != nil {
		return err
	}
	if err := i.writeFiles(); err != nil {
		return err
	}
	return i.saveControl()
}

// writeFiles writes what memory has to all files; redo is there before.
func (i *Instance) writeFiles() error {
	for _, f := range i.ctl.Files {
		if f.writable() {
			if err := i.writeFile(f, blocks.Online); err != nil {
				return err
			}
		}
	}
	i.ctl.SCN = i.scn
	i.retire()
	return nil
}

// Checkpoint writes what memory has to the data files, as the database writer does now and then.
func (i *Instance) Checkpoint() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.state != Open || i.readOnly {
		return fault(1109, "database not open")
	}
	if err := i.checkpoint(); err != nil {
		return err
	}
	return i.settle()
}

// Contents returns the rows of all tablespaces that are online, oldest first. A block that is torn is ORA-01578. The database is open.
func (i *Instance) Contents() ([]Record, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.state != Open {
		return nil, fault(1109, "database not open")
	}
	var all []Record
	for _, f := range i.ctl.Files {
		if !f.online() {
			continue
		}
		for no := 2; no <= f.Blocks; no++ {
			b, err := i.buffer(f, uint32(no))
			if err != nil {
				return nil, err
			}
			for _, r := range b.records {
				all = append(all, Record{SCN: r.SCN, At: time.Unix(0, r.At).In(i.config.Now().Location()), Text: r.Text})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b Record) int {
		switch {
		case a.SCN < b.SCN:
			return -1
		case a.SCN > b.SCN:
			return 1
		}
		return 0
	})
	return all, nil
}
