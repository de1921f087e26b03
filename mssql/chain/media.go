package chain

import (
	"time"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// FromMedia makes the sets of a file that package mtf read; name is what Devices shall call it. A stripe yields sets whose other Devices are missing: Merge puts stripes
// together. zone is the server's, for files that name no offset; nil is UTC.
//
// A media header does not say the recovery model, bulk-logged changes, the server's build or whether the database was damaged: those fields stay zero. Files of the
// container MSSQLBAK yield no sets, since only a server reads them.
func FromMedia(name string, m *mtf.Media, zone *time.Location) []Set {
	if zone == nil {
		zone = time.UTC
	}
	var sets []Set
	for _, s := range m.Sets {
		moment := func(t time.Time) time.Time {
			if s.ZoneKnown || t.IsZero() {
				return t
			}
			return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
		}
		set := Set{
			Type: s.Type, GUID: s.GUID, Database: s.Database, Server: s.Server,
			FirstLSN: s.FirstLSN, LastLSN: s.LastLSN, CheckpointLSN: s.CheckpointLSN, DatabaseBackupLSN: s.DatabaseBackupLSN,
			DifferentialBaseLSN: s.DifferentialBaseLSN, DifferentialBaseGUID: s.DifferentialBaseGUID,
			FamilyGUID: s.FamilyGUID, BindingID: s.BindingID, Fork: s.RecoveryForkID, FirstFork: s.FirstRecoveryForkID, ForkPointLSN: s.ForkPointLSN,
			Started: moment(s.Started), Finished: moment(s.Finished),
			CopyOnly: s.CopyOnly, Checksums: s.Checksums, Compressed: s.Compressed,
			VersionMajor: s.VersionMajor, VersionMinor: s.VersionMinor, DatabaseVersion: s.DatabaseVersion,
			Position: s.Position, Stripes: max(1, m.Families), Devices: make([]string, max(1, m.Families, m.Family)),
		}
		_, offset := set.Finished.Zone()
		set.ZoneMinutes = offset / 60
		set.Devices[max(1, m.Family)-1] = name
		for _, f := range s.Files {
			kind := "D"
			if f.Log {
				kind = "L"
			}
			set.Files = append(set.Files, File{Logical: f.Logical, Physical: f.Physical, Type: kind, SizeBytes: f.SizeBytes})
		}
		sets = append(sets, set)
	}
	return sets
}

// Merge makes one set of those that are the same one: stripes, which bring a file each, and copies, which may fill in for a file that is missing. Sets stay in the order
// in which they are met first. Two that have one GUID and yet say different things stay apart; Make uses neither of them.
func Merge(sets []Set) []Set {
	type place struct {
		guid              mtf.GUID
		position, stripes int
	}
	var merged []Set
	at := map[place]int{}
	for _, s := range sets {
		key := place{s.GUID, s.Position, s.Stripes}
		if i, ok := at[key]; ok && !s.GUID.IsZero() && same(merged[i], s) {
			m := &merged[i]
			m.Devices = join(m.Devices, s.Devices)
			m.Checksums = m.Checksums || s.Checksums // a stripe without data bears none
			continue
		}
		at[key] = len(merged)
		merged = append(merged, s)
	}
	return merged
}

// same reports whether two headers tell of one backup.
func same(a, b Set) bool {
	return a.Type == b.Type && a.FamilyGUID == b.FamilyGUID && a.Fork == b.Fork && a.firstFork() == b.firstFork() && a.FirstLSN == b.FirstLSN && a.LastLSN == b.LastLSN &&
		a.DifferentialBaseGUID == b.DifferentialBaseGUID && a.CopyOnly == b.CopyOnly
}

// join fills the gaps of one list of files with the other.
func join(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil // the caller of one of them has all files
	}
	all := append(make([]string, 0, max(len(a), len(b))), a...)
	for i, name := range b {
		switch {
		case i == len(all):
			all = append(all, name)
		case all[i] == "":
			all[i] = name
		}
	}
	return all
}
