package mtf

import (
	"errors"
	"slices"
)

// A set is described twice, in MSCI at its start and in MSLS at its end, by a stream MQCI of records: a name of four letters, the length of the record with
// its header in 32 bits, and fields. SCIN is the set, SFGI a file group, SFIN a file (7.9, observed on SQL Server 2005 to 2016).
const (
	recordHeader = 8
	maxRecord    = 64 << 10 // the longest seen has 1262 bytes
	maxFiles     = 32767    // files, and file groups, that a database can have
	scinSize     = 0xF0     // up to FamilyGUID, the last field that every set has
	sfgiSize     = 0x14
	sfinSize     = 0x38
)

// config reads the records of one MQCI. The later description, from MSLS, is the one that counts: only there are the finish date and the size.
func (w *walk) config(s stream, last bool) error {
	d := *w.set
	d.FileGroups, d.Files = nil, nil
	seen := false
	for left := s.length; left > 0; {
		if left < recordHeader {
			return corrupt(w.t.at, "%d bytes are left over after the records of the set", left)
		}
		if err := w.t.fill(recordHeader); err != nil {
			return err
		}
		f := fields(w.t.buf[w.t.from:][:recordHeader])
		size := int64(f.u32(4))
		if size < recordHeader || size > left || size > maxRecord {
			return corrupt(w.t.at, "a record %q of the set has %d bytes, %d are left", f[:4], size, left)
		}
		at := w.t.at
		f, err := w.t.take(int(size))
		if err != nil {
			return err
		}
		left -= size
		switch string(f[:4]) {
		case "SCIN":
			seen = true
			err = w.scin(f, at, &d)
		case "SFGI":
			err = w.sfgi(f, at, &d)
		case "SFIN":
			err = w.sfin(f, at, &d)
		}
		if err != nil {
			return err
		}
	}
	if !seen {
		return corrupt(s.at, "the description of the set has no record SCIN")
	}
	*w.set = d
	if !last {
		w.first = &d
		return nil
	}
	return w.agree(s.at)
}

// scin reads the record of the set (7.9 SCIN).
func (w *walk) scin(f fields, at int64, s *Set) error {
	if len(f) < scinSize {
		return corrupt(at, "the record SCIN has %d bytes, want at least %d", len(f), scinSize)
	}
	s.FirstLSN, s.LastLSN, s.CheckpointLSN, s.DatabaseBackupLSN = f.lsn(0x20), f.lsn(0x2A), f.lsn(0x34), f.lsn(0x3E)
	s.DatabaseCreated, s.Started, s.Finished = f.date(0x48, w.zone), f.date(0x4D, w.zone), f.date(0x52, w.zone)
	s.Type = Type(f[0x57:0x58])
	s.SortOrder, s.CodePage, s.CompatibilityLevel, s.DatabaseVersion = f.u8(0x58), f.u16(0x59), f.u8(0x5B), f.u16(0x5E)
	var ok bool
	if s.BackupSizeBytes, ok = f.size(0x60); !ok {
		return corrupt(at, "the set cannot have %d bytes", f.u64(0x60))
	}
	w.lastAgain = f.lsn(0x90)
	s.LocaleID, s.CompareStyle = f.u32(0x74), f.u32(0x78)
	s.BindingID, s.RecoveryForkID, s.FamilyGUID = f.guid(0x7C), f.guid(0x9C), f.guid(0xE0)
	s.ForkPointLSN = f.lsn(0xAC)
	s.FirstRecoveryForkID = f.guid(0xB8) // zero when no fork lies in the set (not confirmed)
	if s.FirstRecoveryForkID.IsZero() {
		s.FirstRecoveryForkID = s.RecoveryForkID
	}
	s.DatabaseBackupGUID = f.guid(0xC8)
	if s.Type == Differential {
		s.DifferentialBaseLSN, s.DifferentialBaseGUID = f.lsn(0x104), f.guid(0x110)
	}
	return errors.Join(w.text(f, at, 0x68, unicode, &s.Database), w.text(f, at, 0x6C, unicode, &s.Server))
}

// sfgi reads the record of a file group (7.9 SFGI).
func (w *walk) sfgi(f fields, at int64, s *Set) error {
	if len(f) < sfgiSize {
		return corrupt(at, "the record SFGI has %d bytes, want at least %d", len(f), sfgiSize)
	}
	if len(s.FileGroups) == maxFiles {
		return corrupt(at, "the set has more than %d records SFGI", maxFiles)
	}
	g := FileGroup{ID: f.u32(0x0C)}
	err := w.text(f, at, 0x10, unicode, &g.Name)
	s.FileGroups = append(s.FileGroups, g)
	return err
}

// logFile is the flag of a log file (inferred; 7.9 SFIN).
const logFile = 0x8

// sfin reads the record of a file (7.9 SFIN).
func (w *walk) sfin(f fields, at int64, s *Set) error {
	if len(f) < sfinSize {
		return corrupt(at, "the record SFIN has %d bytes, want at least %d", len(f), sfinSize)
	}
	if len(s.Files) == maxFiles {
		return corrupt(at, "the set has more than %d records SFIN", maxFiles)
	}
	x := File{ID: f.u32(0x14), Group: f.u32(0x24), PageSizeBytes: int(f.u32(0x10)), Pages: int64(f.u32(0x18)), Log: f.u32(8)&logFile != 0}
	var ok bool
	if x.SizeBytes, ok = f.size(0x28); !ok {
		return corrupt(at, "the file cannot have %d bytes", f.u64(0x28))
	}
	err := errors.Join(w.text(f, at, 0x30, unicode, &x.Logical), w.text(f, at, 0x34, unicode, &x.Physical))
	s.Files = append(s.Files, x)
	return err
}

// agree compares the two descriptions of a set in what is known when a backup starts. No checksum covers them, so this finds most of what could happen to them.
// LastLSN stands twice in each (0x90, equal in all files observed); one witness is enough, since the start of a long backup may not know it.
func (w *walk) agree(at int64) error {
	a, b := w.first, w.set
	if a == nil {
		return nil
	}
	for _, c := range []struct {
		what string
		same bool
	}{
		{"database", a.Database == b.Database},
		{"server", a.Server == b.Server},
		{"type", a.Type == b.Type},
		{"start", a.Started.Equal(b.Started)},
		{"creation date of the database", a.DatabaseCreated.Equal(b.DatabaseCreated)},
		{"database version", a.DatabaseVersion == b.DatabaseVersion},
		{"FirstLSN", a.FirstLSN == b.FirstLSN},
		{"LastLSN", b.LastLSN == a.LastLSN || b.LastLSN == w.lastAgain},
		{"CheckpointLSN", a.CheckpointLSN == b.CheckpointLSN},
		{"DatabaseBackupLSN", a.DatabaseBackupLSN == b.DatabaseBackupLSN},
		{"DatabaseBackupGUID", a.DatabaseBackupGUID == b.DatabaseBackupGUID},
		{"DifferentialBaseLSN", a.DifferentialBaseLSN == b.DifferentialBaseLSN},
		{"DifferentialBaseGUID", a.DifferentialBaseGUID == b.DifferentialBaseGUID},
		{"BindingID", a.BindingID == b.BindingID},
		{"FamilyGUID", a.FamilyGUID == b.FamilyGUID},
		{"RecoveryForkID", a.RecoveryForkID == b.RecoveryForkID},
		{"list of file groups", slices.Equal(a.FileGroups, b.FileGroups)},
		{"list of files", slices.EqualFunc(a.Files, b.Files, sameFile)},
	} {
		if c.same {
			continue
		}
		if err := w.broken(at, "the %s of the set is not what the start of the set says", c.what); err != nil {
			return err
		}
	}
	return nil
}

// sameFile compares two descriptions of a file. Its pages, and its size if it grew, are known at the end only.
func sameFile(a, b File) bool {
	return a.ID == b.ID && a.Group == b.Group && a.Logical == b.Logical && a.Physical == b.Physical && a.Log == b.Log
}

// finish ends a set after its MSLS.
func (w *walk) finish() error {
	s := w.set
	w.set = nil
	s.Checksums = w.data > 0 && w.data == w.summed
	w.unsummed = w.unsummed || w.data > w.summed
	if s.Type == "" && !s.Encrypted && !s.Compressed {
		return corrupt(s.Offset, "nothing describes the set that begins here")
	}
	return nil
}
