package mssql

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Flags of RESTORE HEADERONLY that have no column of their own.
const (
	flagTail           = 64
	flagTailIncomplete = 128
)

// zoneUnknown is the TimeZone of a header that has none.
const zoneUnknown = 127

// headers reads what the backup on the devices says about itself: every set in it, in order, with its files. devices are all stripes; the first one is asked, since these
// statements take one device.
func (c *session) headers(ctx context.Context, devices []device) ([]chain.Set, error) {
	if len(devices) == 0 {
		return nil, errors.New("no device to read a header from")
	}
	now, err := c.now(ctx)
	if err != nil {
		return nil, err
	}
	_, ahead := now.Zone()
	first := devices[:1]
	label, ok, err := c.one(ctx, labelOnly(first[0]))
	if err != nil {
		return nil, fmt.Errorf("read the media header: %w", err)
	}
	if !ok {
		return nil, errors.New("read the media header: the server gave none")
	}
	rows, err := c.query(ctx, headerOnly(first[0]))
	if err != nil {
		return nil, fmt.Errorf("read the headers: %w", err)
	}
	var sets []chain.Set
	for _, r := range rows {
		set, err := setFrom(r, time.Duration(ahead)*time.Second)
		if err != nil {
			return nil, fmt.Errorf("read the headers: %w", err)
		}
		set.Stripes = int(label.int("FamilyCount"))
		for _, d := range devices {
			set.Devices = append(set.Devices, d.Path)
		}
		if err := c.readFiles(ctx, first[0], &set); err != nil {
			return nil, fmt.Errorf("read the list of files: %w", err)
		}
		sets = append(sets, set)
	}
	if len(sets) == 0 {
		return nil, fmt.Errorf("no backup set on %s", first[0].Path)
	}
	return sets, nil
}

func labelOnly(d device) string  { return "RESTORE LABELONLY FROM " + d.String() }
func headerOnly(d device) string { return "RESTORE HEADERONLY FROM " + d.String() }

func fileListOnly(d device, position int) string {
	return "RESTORE FILELISTONLY FROM " + d.String() + clauses(filePosition([]device{d}, position))
}

// readFiles adds the files of the database, and the certificate under which its pages are encrypted.
func (c *session) readFiles(ctx context.Context, d device, set *chain.Set) error {
	rows, err := c.query(ctx, fileListOnly(d, set.Position))
	if err != nil {
		return err
	}
	for _, r := range rows {
		set.Files = append(set.Files, chain.File{
			Logical: r.text("LogicalName"), Physical: r.text("PhysicalName"), Type: strings.TrimSpace(r.text("Type")), SizeBytes: r.int("Size"),
		})
		if b := r.bytes("TDEThumbprint"); len(b) > 0 {
			set.TDEThumbprint = hex.EncodeToString(b)
		}
	}
	return nil
}

// setFrom reads one row of RESTORE HEADERONLY. ahead is how far the server's local time is ahead of UTC, for headers that do not say it.
func setFrom(r row, ahead time.Duration) (chain.Set, error) {
	if r.has("TimeZone") && r.int("TimeZone") != zoneUnknown {
		ahead = time.Duration(r.int("TimeZone")) * 15 * time.Minute
	}
	var errs []error
	lsn := func(column string) mtf.LSN {
		v, err := r.lsn(column)
		errs = append(errs, err)
		return v
	}
	guid := func(column string) mtf.GUID {
		v, err := r.guid(column)
		errs = append(errs, err)
		return v
	}
	kind, err := setType(r.int("BackupType"))
	errs = append(errs, err)
	flags := r.int("Flags")
	set := chain.Set{
		Type: kind, GUID: guid("BackupSetGUID"), Database: r.text("DatabaseName"), Server: r.text("ServerName"),
		FirstLSN: lsn("FirstLSN"), LastLSN: lsn("LastLSN"), CheckpointLSN: lsn("CheckpointLSN"), DatabaseBackupLSN: lsn("DatabaseBackupLSN"),
		DifferentialBaseLSN: lsn("DifferentialBaseLSN"), DifferentialBaseGUID: guid("DifferentialBaseGUID"),
		FamilyGUID: guid("FamilyGUID"), BindingID: guid("BindingID"),
		Fork: guid("RecoveryForkID"), FirstFork: guid("FirstRecoveryForkID"), ForkPointLSN: lsn("ForkPointLSN"),
		Started: r.local("BackupStartDate", ahead), Finished: r.local("BackupFinishDate", ahead), ZoneMinutes: int(ahead / time.Minute),
		RecoveryModel: r.text("RecoveryModel"), CopyOnly: r.flag("IsCopyOnly"), BulkLogged: r.flag("HasBulkLoggedData"), BeginsLogChain: r.flag("BeginsLogChain"),
		Tail: flags&flagTail != 0 || r.flag("IsForceOffline"), Damaged: r.flag("IsDamaged"),
		IncompleteMetadata: r.flag("HasIncompleteMetaData") || flags&flagTailIncomplete != 0,
		Checksums:          r.flag("HasBackupChecksums"), Compressed: r.flag("Compressed"), KeyAlgorithm: r.text("KeyAlgorithm"),
		EncryptorThumbprint: hex.EncodeToString(r.bytes("EncryptorThumbprint")),
		VersionMajor:        int(r.int("SoftwareVersionMajor")), VersionMinor: int(r.int("SoftwareVersionMinor")), Build: int(r.int("SoftwareVersionBuild")),
		DatabaseVersion: int(r.int("DatabaseVersion")), Position: int(r.int("Position")),
	}
	if set.FirstFork.IsZero() {
		set.FirstFork = set.Fork // a set within one fork may leave it out
	}
	return set, errors.Join(errs...)
}

// setType reads BackupType. Backups of single files and partial ones are nothing this agent takes.
func setType(n int64) (mtf.Type, error) {
	switch n {
	case 1:
		return mtf.Database, nil
	case 2:
		return mtf.Log, nil
	case 5:
		return mtf.Differential, nil
	}
	return mtf.Database, fmt.Errorf("backup type %d: want a full (1), log (2) or differential (5) backup of a whole database", n)
}
