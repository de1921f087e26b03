package chain

import (
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Set is what the header of one backup set says, whether RESTORE HEADERONLY, msdb or package mtf read it. It is the checkpoint the agent keeps with every item.
//
// Times are moments: whoever makes a Set has converted them from the server's local time with the offset that held there.
type Set struct {
	Type mtf.Type `json:"type"`
	// GUID is BackupSetGUID, by which differentials name their base; equal in all stripes.
	GUID     mtf.GUID `json:"guid"`
	Database string   `json:"database"`
	Server   string   `json:"server,omitempty"`

	// FirstLSN and LastLSN bound the log in the set: from FirstLSN up to, and without, LastLSN.
	FirstLSN          mtf.LSN `json:"first_lsn"`
	LastLSN           mtf.LSN `json:"last_lsn"`
	CheckpointLSN     mtf.LSN `json:"checkpoint_lsn"`
	DatabaseBackupLSN mtf.LSN `json:"database_backup_lsn"`
	// DifferentialBaseLSN and DifferentialBaseGUID name the full that a differential needs; zero otherwise.
	DifferentialBaseLSN  mtf.LSN  `json:"differential_base_lsn,omitzero"`
	DifferentialBaseGUID mtf.GUID `json:"differential_base_guid,omitzero"`

	// FamilyGUID stays with a database for ever; BindingID changes when it is restored.
	FamilyGUID mtf.GUID `json:"family_guid"`
	BindingID  mtf.GUID `json:"binding_id"`
	// Fork is the recovery fork at the end of the set, FirstFork that at its start; they differ when the database was restored in between, at ForkPointLSN.
	Fork         mtf.GUID `json:"fork"`
	FirstFork    mtf.GUID `json:"first_fork"`
	ForkPointLSN mtf.LSN  `json:"fork_point_lsn,omitzero"`

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	// ZoneMinutes is how far the server's local time was ahead of UTC at Finished. A restore formats STOPAT with it, since the log bears local times.
	ZoneMinutes int `json:"zone_minutes"`

	RecoveryModel string `json:"recovery_model,omitempty"` // FULL, BULK_LOGGED or SIMPLE
	CopyOnly      bool   `json:"copy_only,omitempty"`
	// BulkLogged: the log holds bulk-logged changes, so a restore cannot stop inside it (4341).
	BulkLogged bool `json:"bulk_logged,omitempty"`
	// BeginsLogChain marks the first log after a full that began a chain.
	BeginsLogChain bool `json:"begins_log_chain,omitempty"`
	// Tail: taken WITH NORECOVERY, so the database was left restoring. Damaged: taken WITH CONTINUE_AFTER_ERROR of a damaged database; its metadata may be
	// IncompleteMetadata.
	Tail               bool `json:"tail,omitempty"`
	Damaged            bool `json:"damaged,omitempty"`
	IncompleteMetadata bool `json:"incomplete_metadata,omitempty"`

	Checksums  bool `json:"checksums,omitempty"`
	Compressed bool `json:"compressed,omitempty"`
	// KeyAlgorithm and EncryptorThumbprint (hex) are set for an encrypted backup, TDEThumbprint for one of a database with transparent data encryption.
	KeyAlgorithm        string `json:"key_algorithm,omitempty"`
	EncryptorThumbprint string `json:"encryptor_thumbprint,omitempty"`
	TDEThumbprint       string `json:"tde_thumbprint,omitempty"`

	// VersionMajor, VersionMinor and Build are the server's: 16.0.1000. DatabaseVersion is the internal number of the database's format.
	VersionMajor    int `json:"version_major"`
	VersionMinor    int `json:"version_minor"`
	Build           int `json:"build,omitempty"`
	DatabaseVersion int `json:"database_version,omitempty"`

	// Position is the number of the set in its file, from 1. Devices are its files, in the order of their stripes, in whatever way the caller names files; an
	// empty name stands for a file that is missing. No Devices at all: the caller keeps the files' names elsewhere and has all of them.
	Position int      `json:"position"`
	Devices  []string `json:"devices,omitempty"`
	// Stripes is how many files the set is spread over; fewer Devices mean that some are missing.
	Stripes int    `json:"stripes"`
	Files   []File `json:"files,omitempty"`
}

// File is a file of the database, as RESTORE FILELISTONLY shows it.
type File struct {
	Logical  string `json:"logical"`
	Physical string `json:"physical"`
	// Type is D data, L log, S a container directory of FILESTREAM or memory-optimised data, F full text.
	Type      string `json:"type"`
	SizeBytes int64  `json:"size"`
}

// Missing are the stripes without a file, from 1.
func (s Set) Missing() []int {
	if len(s.Devices) == 0 {
		return nil
	}
	var missing []int
	for i := range max(s.Stripes, len(s.Devices)) {
		if i >= len(s.Devices) || s.Devices[i] == "" {
			missing = append(missing, i+1)
		}
	}
	return missing
}

// Empty reports whether the set is a log without a record, which a chain is complete without.
func (s Set) Empty() bool { return s.Type == mtf.Log && s.FirstLSN == s.LastLSN }

// String names the set for people: "log of sales, 25000000015300001 to 25000000016300001, 2017-06-01 13:09:13 +02:00".
func (s Set) String() string {
	zone := time.FixedZone("", s.ZoneMinutes*60)
	return fmt.Sprintf("%s of %s, %s to %s, %s", s.Type.Kind(), s.Database, s.FirstLSN, s.LastLSN, s.Finished.In(zone).Format("2006-01-02 15:04:05 -07:00"))
}

func (s Set) isLog() bool { return s.Type == mtf.Log }

// crosses reports whether the database was restored, and so began another fork, within the log of the set.
func (s Set) crosses() bool { return !s.FirstFork.IsZero() && s.FirstFork != s.Fork }

// firstFork is the fork at the start: that at the end when the header names none.
func (s Set) firstFork() mtf.GUID {
	if s.FirstFork.IsZero() {
		return s.Fork
	}
	return s.FirstFork
}

// forkPoint is where the fork of a set that crosses begins. A header that does not say leaves only the start, which is safe.
func (s Set) forkPoint() mtf.LSN {
	if s.ForkPointLSN.IsZero() {
		return s.FirstLSN
	}
	return s.ForkPointLSN
}

// before reports whether s is certainly over at t. Headers have whole seconds, so a set may have ended most of a second after what its header says.
func (s Set) before(t time.Time) bool { return !s.ended().After(t) }

func (s Set) ended() time.Time {
	if s.Finished.Nanosecond() == 0 {
		return s.Finished.Add(time.Second)
	}
	return s.Finished
}
