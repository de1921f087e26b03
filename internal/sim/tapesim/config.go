package tapesim

import "cmp"

// config writes the description of a set: in MSCI, at its start, without the finish date. The block ends on a multiple of unit.
func (w *writer) config(id string, s Set, unit int) {
	at := w.block(id, 56, 0)
	w.b[at+48] = 2
	w.seal(at)
	c := &writer{}
	c.scin(s, id == "MSLS")
	for i, g := range s.Groups {
		r := c.record("SFGI", 0x14)
		c.u32(r+8, 16)
		c.u32(r+0x0C, uint32(i+1))
		c.text(r, 0x10, g)
		c.end(r)
	}
	for i, f := range s.Files {
		r := c.record("SFIN", 0x38)
		flags := uint32(4)
		if f.Group == 0 {
			flags |= 8
		}
		c.u32(r+8, flags)
		c.u32(r+0x10, 8192)
		c.u32(r+0x14, cmp.Or(f.ID, uint32(i+1)))
		c.u32(r+0x18, f.Pages)
		c.u32(r+0x20, 512)
		c.u32(r+0x24, f.Group)
		c.u64(r+0x28, f.Size)
		c.text(r, 0x30, f.Logical)
		c.text(r, 0x34, f.Physical)
		c.end(r)
	}
	for _, x := range s.Records {
		r := c.record(x.ID, 8)
		c.b = append(c.b, x.Data...)
		c.end(r)
	}
	w.stream("MQCI", 0, c.b)
	w.pad(unit)
}

func (w *writer) record(id string, size int) int {
	at := len(w.b)
	w.b = append(w.b, make([]byte, size)...)
	copy(w.b[at:], id)
	return at
}

func (w *writer) end(at int) { w.u32(at+4, uint32(len(w.b)-at)) }

func (w *writer) lsn(at int, l LSN) {
	w.u32(at, l[0])
	w.u32(at+4, l[1])
	w.u16(at+8, uint16(l[2]))
}

func (w *writer) scin(s Set, last bool) {
	r := w.record("SCIN", 0x160)
	for i, l := range []LSN{s.First, s.Last, s.Checkpoint, s.FullBackup} {
		w.lsn(r+0x20+10*i, l)
	}
	w.date(r+0x48, s.Created)
	w.date(r+0x4D, s.Started)
	size := uint64(1 << 20)
	if last {
		w.date(r+0x52, s.Finished)
		size = s.Bytes
	}
	if last && size == 0 {
		size = uint64(len(s.Log))
		for _, p := range s.Pages {
			size += uint64(len(p))
		}
	}
	w.b[r+0x57], w.b[r+0x58], w.b[r+0x5B] = s.Type, 52, cmp.Or(s.Compatibility, 100)
	w.u16(r+0x59, 1252)
	w.u16(r+0x5E, s.DatabaseVersion)
	w.u64(r+0x60, size)
	w.u32(r+0x74, 1033)
	w.u32(r+0x78, 196609)
	for o, g := range map[int][16]byte{0x7C: s.Binding, 0x9C: s.Fork, 0xB8: s.FirstFork, 0xC8: s.FullGUID, 0xE0: s.FamilyGUID} {
		copy(w.b[r+o:], g[:])
	}
	w.lsn(r+0x90, s.Last)
	w.lsn(r+0xAC, s.ForkPoint)
	if s.Type == 'I' {
		w.lsn(r+0x104, s.BaseLSN)
		copy(w.b[r+0x110:], s.BaseGUID[:])
	}
	w.text(r, 0x68, s.Database)
	w.text(r, 0x6C, s.Server)
	w.end(r)
}
