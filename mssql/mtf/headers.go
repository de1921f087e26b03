package mtf

import (
	"errors"
	"time"
)

// vendor is SQL Server's number in TAPE and SSET (7.5, 7.6, observed).
const vendor = 0x1200

// media reads TAPE. Offsets: MTF 1.00a MTF_TAPE_BLK; 7.5.
func (w *walk) media(b block) error {
	if got := b.u16(86); got != vendor {
		return corrupt(b.at, "this tape format was written by vendor 0x%04x, not by SQL Server", got)
	}
	w.unit = int64(b.u16(84))
	if w.unit == 0 {
		return corrupt(b.at, "the media header says that logical blocks have no bytes")
	}
	m := w.m
	m.FamilyID = b.u32(52)
	m.PasswordProtected = b.u16(62) != 0 || b.u16(76) != 0
	m.FilemarkBytes = b.u16(64) * 512
	m.Written = b.date(88, time.UTC)
	m.Family, m.Families = 1, 1
	kind := b.u8(blockStrings)
	return errors.Join(w.text(b.fields, b.at, 68, kind, &m.Name), w.text(b.fields, b.at, 72, kind, &m.Description), w.text(b.fields, b.at, 80, kind, &m.Software))
}

// raidSize is the stream RAID of TAPE (7.5, observed).
const raidSize = 32

// stripe reads which part of a media set the file is.
func (w *walk) stripe(s stream) error {
	if s.length < raidSize {
		return corrupt(s.at, "the stream RAID has %d bytes, want %d", s.length, raidSize)
	}
	b, err := w.t.take(raidSize)
	if err != nil {
		return err
	}
	f := fields(b)
	w.m.SetID, w.m.Families, w.m.Family = f.guid(0), f.u16(20), f.u16(24)
	if w.m.Families < 1 || w.m.Family < 1 || w.m.Family > w.m.Families {
		return corrupt(s.at, "the file says that it is stripe %d of %d", w.m.Family, w.m.Families)
	}
	return w.t.pass(s.length-raidSize, nil)
}

// Attributes of a set (MTF 1.00a). The copy flag was on in no genuine file at hand.
const copyOnly = 0x2

// noZone is the zone of a server that does not tell (MTF 1.00a; 7.6). Zones are in quarters of an hour, and positive ones east of Greenwich
// (inferred).
const (
	noZone   = 127
	lastZone = 14 * 4 // the easternmost zone there is
)

// begin reads SSET. Offsets: MTF 1.00a MTF_SSET_BLK; 7.6.
func (w *walk) begin(b block) error {
	s := &Set{Offset: b.at, Position: b.u16(62)}
	w.m.Sets = append(w.m.Sets, s)
	w.set, w.first, w.order, w.data, w.summed = s, nil, 0, 0, 0
	if want := len(w.m.Sets); s.Position != want {
		return corrupt(b.at, "the set is number %d in the file, and says that it is number %d", want, s.Position)
	}
	s.CopyOnly = b.u32(52)&copyOnly != 0
	s.PasswordProtected = b.u16(56) != 0 || b.u16(72) != 0
	s.VersionMajor, s.VersionMinor = b.u8(93), b.u8(94)
	w.zone = time.UTC
	if zone := int8(b.u8(95)); zone != noZone && zone >= -lastZone && zone <= lastZone {
		s.ZoneKnown = true
		w.zone = time.FixedZone("", int(zone)*15*60)
	}
	s.Started = b.date(88, w.zone)
	// What the system adds are 21 bytes that begin with the GUID of the set (observed: the differentials and logs of four chains name that of their full, at
	// 0xC8 and 0x110 of SCIN, and stripes have the same).
	if size, from := b.u16(blockExtra), b.u16(blockExtra+2); size >= len(GUID{}) {
		s.GUID = b.guid(from)
	}
	kind := b.u8(blockStrings)
	return errors.Join(w.text(b.fields, b.at, 64, kind, &s.Name), w.text(b.fields, b.at, 68, kind, &s.Description), w.text(b.fields, b.at, 76, kind, &s.User))
}

// volume reads VOLB. Offsets: MTF 1.00a MTF_VOLB_BLK; 7.7.
func (w *walk) volume(b block) error {
	kind := b.u8(blockStrings)
	return errors.Join(w.text(b.fields, b.at, 56, kind, &w.set.Device), w.text(b.fields, b.at, 64, kind, &w.set.Machine))
}
