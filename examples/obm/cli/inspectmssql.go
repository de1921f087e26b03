package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// mssqlMedia is a backup file of SQL Server, whatever its name ends in. It is read to its end, data included.
type mssqlMedia struct {
	files int
	// sets are those of the files that are whole.
	sets []chain.Set
}

func (*mssqlMedia) Type() string { return "SQL Server backup" }

func (*mssqlMedia) Match(head []byte, _ int64) bool { return mtf.Match(head) }

// mssqlSet is one backup in such a file, as --json prints it.
type mssqlSet struct {
	Position          int       `json:"position"`
	Kind              string    `json:"kind"`
	CopyOnly          bool      `json:"copy_only"`
	Database          string    `json:"database"`
	Server            string    `json:"server"`
	Machine           string    `json:"machine"`
	Version           string    `json:"server_version"`
	Name              string    `json:"name"`
	Started           time.Time `json:"started,omitzero"`
	Finished          time.Time `json:"finished,omitzero"`
	ZoneKnown         bool      `json:"zone_known"`
	FirstLSN          mtf.LSN   `json:"first_lsn"`
	LastLSN           mtf.LSN   `json:"last_lsn"`
	CheckpointLSN     mtf.LSN   `json:"checkpoint_lsn"`
	DatabaseBackupLSN mtf.LSN   `json:"database_backup_lsn"`
	GUID              mtf.GUID  `json:"guid"`
	Base              mtf.GUID  `json:"differential_base_guid"`
	Family            mtf.GUID  `json:"family_guid"`
	RecoveryFork      mtf.GUID  `json:"recovery_fork_id"`
	Files             []string  `json:"files"`
	Bytes             int64     `json:"bytes"`
	Checksums         bool      `json:"checksums"`
	Encrypted         bool      `json:"encrypted"`
	Compressed        bool      `json:"compressed"`
	Password          bool      `json:"password"`
}

// String is the line for people.
func (s mssqlSet) String() string {
	when, at := "finished", s.Finished
	if at.IsZero() { // the file ends before it says
		when, at = "started", s.Started
	}
	zone := "server's time"
	if s.ZoneKnown {
		zone = at.Format("-07:00")
	}
	b := fmt.Sprintf("%d: %s of %s on %s, %s %s %s, LSN %s to %s", s.Position, s.Kind, orElse(s.Database, "?"), orElse(s.Server, "?"), when, at.Format(time.DateTime), zone, s.FirstLSN, s.LastLSN)
	for _, w := range []struct {
		is   bool
		word string
	}{{s.CopyOnly, "copy-only"}, {s.Password, "with a password"}, {s.Encrypted, "encrypted"}, {s.Compressed, "compressed"}} {
		if w.is {
			b += ", " + w.word
		}
	}
	return b
}

func (m *mssqlMedia) Inspect(ctx context.Context, f *os.File) (Report, error) {
	var r Report
	media, err := mtf.Verify(ctx, f)
	for _, e := range joined(err) {
		var c *mtf.CorruptError
		if !errors.As(e, &c) {
			return r, e
		}
		r.problem("%v", c)
	}
	m.files++
	if len(r.Problems) == 0 {
		m.sets = append(m.sets, chain.FromMedia(f.Name(), media, nil)...)
	}
	r.Details = map[string]any{"container": media.Container, "checked": checked(media)}
	if media.Container == mtf.Wrapped {
		return r, nil
	}
	sets := []mssqlSet{}
	for _, s := range media.Sets {
		sets = append(sets, mssqlDetails(s))
	}
	r.Details["software"], r.Details["sets"], r.Details["media_set"], r.Details["media_password"] = media.Software, sets, media.SetID, media.PasswordProtected
	if media.Families > 1 {
		r.Details["stripe"] = fmt.Sprintf("%d of %d: a restore needs all of them", media.Family, media.Families)
	}
	return r, nil
}

// joined are the errors that err is made of.
func joined(err error) []error {
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		return many.Unwrap()
	}
	return []error{err}
}

// checked says how much the absence of problems is worth.
func checked(m *mtf.Media) string {
	switch {
	case m.Depth == mtf.Summed:
		return "structure, and all data by its checksums"
	case m.Depth == mtf.Walked:
		return "structure; data has no checksums, take backups WITH CHECKSUM"
	case m.Container == mtf.Wrapped:
		return "nothing: compressed or encrypted, RESTORE VERIFYONLY on a server reads it"
	}
	return "up to the first problem"
}

func mssqlDetails(s *mtf.Set) mssqlSet {
	d := mssqlSet{
		Position: s.Position, Kind: string(s.Type.Kind()), CopyOnly: s.CopyOnly, Database: s.Database, Server: s.Server, Machine: s.Machine, Version: s.Version(), Name: s.Name,
		Started: s.Started, Finished: s.Finished, ZoneKnown: s.ZoneKnown, FirstLSN: s.FirstLSN, LastLSN: s.LastLSN, CheckpointLSN: s.CheckpointLSN,
		DatabaseBackupLSN: s.DatabaseBackupLSN, GUID: s.GUID, Base: s.DifferentialBaseGUID, Family: s.FamilyGUID, RecoveryFork: s.RecoveryForkID,
		Files: []string{}, Bytes: s.BackupSizeBytes, Checksums: s.Checksums, Encrypted: s.Encrypted, Compressed: s.Compressed, Password: s.PasswordProtected,
	}
	d.Kind = orElse(d.Kind, strings.TrimSpace("type "+string(s.Type)))
	for _, f := range s.Files {
		d.Files = append(d.Files, f.Logical+" = "+f.Physical)
	}
	return d
}
