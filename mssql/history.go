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

// recorded is what msdb says of the backup that the server has just written to the devices, for those it cannot read again. The devices have names that no other backup has.
func (c *session) recorded(ctx context.Context, f facts, devices []device) (chain.Set, error) {
	set, err := c.history(ctx, devices)
	if err != nil {
		return set, fmt.Errorf("read the record of the backup in msdb, which the login must be able to read: %w", err)
	}
	if !f.encrypted {
		return set, nil
	}
	keys, err := c.query(ctx, "SELECT encryptor_thumbprint FROM sys.dm_database_encryption_keys WHERE database_id = "+fmt.Sprint(f.id))
	if err != nil {
		return set, fmt.Errorf("read which certificate %q is encrypted with: %w", f.name, err)
	}
	for _, k := range keys {
		set.TDEThumbprint = hex.EncodeToString(k.bytes("encryptor_thumbprint"))
	}
	return set, nil
}

func (c *session) history(ctx context.Context, devices []device) (chain.Set, error) {
	now, err := c.now(ctx)
	if err != nil {
		return chain.Set{}, err
	}
	_, ahead := now.Zone()
	family, ok, err := c.one(ctx, "SELECT media_set_id FROM msdb.dbo.backupmediafamily WHERE physical_device_name = "+quoteText(devices[0].Path))
	if err != nil {
		return chain.Set{}, err
	}
	if !ok {
		return chain.Set{}, fmt.Errorf("no backup to %s is recorded", devices[0].Path)
	}
	media := fmt.Sprint(family.int("media_set_id"))
	families, err := c.query(ctx, "SELECT physical_device_name FROM msdb.dbo.backupmediafamily WHERE media_set_id = "+media+" ORDER BY family_sequence_number")
	if err != nil {
		return chain.Set{}, err
	}
	rows, err := c.query(ctx, "SELECT * FROM msdb.dbo.backupset WHERE media_set_id = "+media) // all columns: versions differ in them
	if err != nil {
		return chain.Set{}, err
	}
	if len(rows) != 1 {
		return chain.Set{}, fmt.Errorf("%d backups to %s are recorded, not one", len(rows), devices[0].Path)
	}
	set, err := setFromHistory(rows[0], time.Duration(ahead)*time.Second)
	if err != nil {
		return set, err
	}
	set.Stripes = len(families)
	for i, d := range devices {
		if i >= len(families) || families[i].text("physical_device_name") != d.Path {
			return set, fmt.Errorf("%s is not recorded as number %d of the backup", d.Path, i+1)
		}
		set.Devices = append(set.Devices, d.Path)
	}
	files, err := c.query(ctx, "SELECT logical_name, physical_name, file_type, file_size FROM msdb.dbo.backupfile WHERE backup_set_id = "+
		fmt.Sprint(rows[0].int("backup_set_id")))
	for _, r := range files {
		set.Files = append(set.Files, chain.File{
			Logical: r.text("logical_name"), Physical: r.text("physical_name"), Type: strings.TrimSpace(r.text("file_type")), SizeBytes: r.int("file_size"),
		})
	}
	return set, err
}

// setFromHistory reads one row of msdb.dbo.backupset; ahead is as for setFrom.
func setFromHistory(r row, ahead time.Duration) (chain.Set, error) {
	if r.has("time_zone") && r.int("time_zone") != zoneUnknown {
		ahead = time.Duration(r.int("time_zone")) * 15 * time.Minute
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
	kind := mtf.Type(strings.TrimSpace(r.text("type")))
	if kind.Kind() == "" {
		errs = append(errs, fmt.Errorf("backup type %q: want a full (D), log (L) or differential (I) backup of a whole database", kind))
	}
	set := chain.Set{
		Type: kind, GUID: guid("backup_set_uuid"), Database: r.text("database_name"), Server: r.text("server_name"),
		FirstLSN: lsn("first_lsn"), LastLSN: lsn("last_lsn"), CheckpointLSN: lsn("checkpoint_lsn"), DatabaseBackupLSN: lsn("database_backup_lsn"),
		DifferentialBaseLSN: lsn("differential_base_lsn"), DifferentialBaseGUID: guid("differential_base_guid"),
		FamilyGUID: guid("family_guid"), BindingID: guid("database_guid"),
		Fork: guid("last_recovery_fork_guid"), FirstFork: guid("first_recovery_fork_guid"), ForkPointLSN: lsn("fork_point_lsn"),
		Started: r.local("backup_start_date", ahead), Finished: r.local("backup_finish_date", ahead), ZoneMinutes: int(ahead / time.Minute),
		RecoveryModel: r.text("recovery_model"), CopyOnly: r.flag("is_copy_only"), BulkLogged: r.flag("has_bulk_logged_data"), BeginsLogChain: r.flag("begins_log_chain"),
		Tail: r.flag("is_force_offline"), Damaged: r.flag("is_damaged"), IncompleteMetadata: r.flag("has_incomplete_metadata"),
		Checksums: r.flag("has_backup_checksums"), KeyAlgorithm: r.text("key_algorithm"),
		EncryptorThumbprint: hex.EncodeToString(r.bytes("encryptor_thumbprint")),
		VersionMajor:        int(r.int("software_major_version")), VersionMinor: int(r.int("software_minor_version")), Build: int(r.int("software_build_version")),
		DatabaseVersion: int(r.int("database_version")), Position: int(r.int("position")),
	}
	// There is no column for it before the one of the algorithm.
	set.Compressed = r.has("compression_algorithm") || r.has("compressed_backup_size") && r.int("compressed_backup_size") < r.int("backup_size")
	if set.FirstFork.IsZero() {
		set.FirstFork = set.Fork
	}
	return set, errors.Join(errs...)
}
