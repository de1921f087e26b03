package mssqlsim

import (
	"math/big"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// view makes the rows of a system view as they are now.
func (in *Instance) view(s *tds.Session, name string) (table, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var t table
	of := in.find(in.sessions[s].database)
	if database, rest, ok := strings.Cut(name, "."); ok && strings.HasPrefix(rest, "sys.") {
		if of = in.find(database); of == nil {
			return t, failure(208, "Invalid object name '%s'.", name)
		}
		if err := in.enter(s, of); err != nil {
			return t, err
		}
		name = rest
	}
	rows, ok := in.views(s, of)[name]
	if !ok {
		return t, failure(208, "Invalid object name '%s'.", name)
	}
	t.add(rows.model)
	t.rows = nil
	rows.each(func(f []field) { t.add(f) })
	return t, nil
}

// rows are those of one view. model has its columns, for when there is no row.
type rows struct {
	model []field
	each  func(add func([]field))
}

// views are the system views, by name. Those of a database are about the one given.
func (in *Instance) views(s *tds.Session, of *database) map[string]rows {
	all := func(row func(*database) []field) rows {
		return rows{model: row(&database{}), each: func(add func([]field)) {
			for _, d := range in.databases {
				add(row(d))
			}
		}}
	}
	return map[string]rows{
		"sys.databases":                all(func(d *database) []field { return d.row(in) }),
		"sys.database_recovery_status": all((*database).recoveryRow),
		"sys.master_files": {(&database{}).fileRow(File{}), func(add func([]field)) {
			for _, d := range in.databases {
				for _, f := range d.files {
					add(d.fileRow(f))
				}
			}
		}},
		"sys.dm_exec_requests": {(&activity{}).row(0), func(add func([]field)) {
			for id, r := range in.running {
				if id == s.ID || in.right(s) == SysAdmin {
					add(r.row(id))
				}
			}
		}},
		"sys.dm_exec_sessions": {in.sessionRow(s, &presence{}), func(add func([]field)) {
			for other, p := range in.sessions {
				if other == s || in.right(s) == SysAdmin {
					add(in.sessionRow(other, p))
				}
			}
		}},
		"sys.certificates":                        in.keys(false),
		"sys.asymmetric_keys":                     in.keys(true),
		"sys.credentials":                         in.credentialRows(),
		"sys.dm_database_encryption_keys":         in.encryptionRows(),
		"sys.dm_hadr_database_replica_states":     in.replicaRows((*Replica).stateRow),
		"sys.dm_hadr_availability_replica_states": in.replicaRows((*Replica).roleRow),
		"sys.dm_db_file_space_usage":              spaceRows(of),
		"sys.dm_db_log_space_usage":               logRows(of),
		"msdb.dbo.backupset": {historyEntry{}.row(0, 0), func(add func([]field)) {
			for i, h := range in.history {
				add(h.row(i+1, in.mediaSet(h)))
			}
		}},
		"msdb.dbo.backupfile": {backedUpRow(0, File{}), func(add func([]field)) {
			for i, h := range in.history {
				for _, f := range h.set.Files {
					add(backedUpRow(i+1, f))
				}
			}
		}},
		"msdb.dbo.backupmediafamily": {familyRow(0, 0, backupDevice{}), func(add func([]field)) {
			for i, h := range in.history {
				if h.first(in.history[:i]) {
					for j, d := range h.devices {
						add(familyRow(in.mediaSet(h), j+1, d))
					}
				}
			}
		}},
		"msdb.dbo.logmarkhistory": {mark{}.row(), func(add func([]field)) {
			for _, m := range in.marks {
				add(m.row())
			}
		}},
	}
}

func (r *activity) row(session uint16) []field {
	return []field{
		{"session_id", tds.SmallInt(), int(session)}, {"start_time", tds.DateTime(), r.since}, {"status", tds.NVarChar(30), "running"},
		{"command", tds.NVarChar(32), r.command}, {"database_id", tds.SmallInt(), r.database}, {"wait_type", tds.NVarChar(60), nil},
		{"percent_complete", tds.Float(), float64(r.percent)}, {"estimated_completion_time", tds.BigInt(), 0}, {"total_elapsed_time", tds.Int(), 0},
	}
}

func (in *Instance) sessionRow(s *tds.Session, p *presence) []field {
	id, status := 0, "sleeping"
	if d := in.find(p.database); d != nil {
		id = d.id
	}
	if in.running[s.ID] != nil {
		status = "running"
	}
	return []field{
		{"session_id", tds.SmallInt(), int(s.ID)}, {"login_time", tds.DateTime(), p.since}, {"host_name", tds.NVarChar(128), s.Login.Host},
		{"program_name", tds.NVarChar(128), s.Login.App}, {"login_name", tds.NVarChar(128), s.Login.User}, {"status", tds.NVarChar(30), status},
		{"is_user_process", tds.Bit(), true}, {"database_id", tds.SmallInt(), id},
	}
}

// keys are the certificates of master, or its asymmetric keys.
func (in *Instance) keys(asymmetric bool) rows {
	row := func(i int, c Certificate) []field {
		fields := []field{
			{"name", tds.NVarChar(128), c.Name}, {"principal_id", tds.Int(), 1}, {"pvt_key_encryption_type", tds.Char(2), "MK"},
			{"pvt_key_encryption_type_desc", tds.NVarChar(60), "ENCRYPTED_BY_MASTER_KEY"}, {"thumbprint", tds.VarBinary(32), c.Thumbprint},
		}
		if asymmetric {
			return append(fields, field{"asymmetric_key_id", tds.Int(), i})
		}
		return append(fields, field{"certificate_id", tds.Int(), i}, field{"subject", tds.NVarChar(4000), c.Name},
			field{"issuer_name", tds.NVarChar(442), c.Name}, field{"expiry_date", tds.DateTime(), orNullTime(c.Expires)},
			field{"pvt_key_last_backup_date", tds.DateTime(), orNullTime(c.KeyBackedUp)})
	}
	return rows{row(0, Certificate{}), func(add func([]field)) {
		for i, c := range in.certificates {
			if c.Asymmetric == asymmetric {
				add(row(i+1, c))
			}
		}
	}}
}

func (in *Instance) credentialRows() rows {
	row := func(i int, c credential) []field {
		return []field{{"credential_id", tds.Int(), i}, {"name", tds.NVarChar(128), c.name}, {"credential_identity", tds.NVarChar(4000), c.identity}, {"create_date", tds.DateTime(), c.created}}
	}
	return rows{row(0, credential{}), func(add func([]field)) {
		for i, c := range in.credentials {
			add(row(i+1, c))
		}
	}}
}

func (in *Instance) encryptionRows() rows {
	row := func(d *database, c Certificate) []field {
		return []field{
			{"database_id", tds.Int(), d.id}, {"encryption_state", tds.Int(), 3}, {"key_algorithm", tds.NVarChar(32), "AES"}, {"key_length", tds.Int(), 256},
			{"encryptor_thumbprint", tds.VarBinary(20), c.Thumbprint}, {"encryptor_type", tds.NVarChar(32), "CERTIFICATE"}, {"percent_complete", tds.Float(), 0.0},
		}
	}
	return rows{row(&database{}, Certificate{}), func(add func([]field)) {
		for _, d := range in.databases {
			if c, ok := in.certificate(d.certificate, false); ok {
				add(row(d, c))
			}
		}
	}}
}

// replicaRows are about the databases that are in an availability group.
func (in *Instance) replicaRows(row func(*Replica, int) []field) rows {
	return rows{row(&Replica{}, 0), func(add func([]field)) {
		for _, d := range in.databases {
			if d.replica != nil {
				add(row(d.replica, d.id))
			}
		}
	}}
}

func (r *Replica) stateRow(database int) []field {
	state, text := 2, "SYNCHRONIZED"
	if r.NotSynchronizing {
		state, text = 0, "NOT SYNCHRONIZING"
	}
	return []field{
		{"database_id", tds.Int(), database}, {"group_id", tds.UniqueIdentifier(), r.group}, {"replica_id", tds.UniqueIdentifier(), r.replica},
		{"group_database_id", tds.UniqueIdentifier(), r.database}, {"is_local", tds.Bit(), true}, {"is_primary_replica", tds.Bit(), r.Primary},
		{"synchronization_state", tds.TinyInt(), state}, {"synchronization_state_desc", tds.NVarChar(60), text},
	}
}

func (r *Replica) roleRow(int) []field {
	role, text := 2, "SECONDARY"
	if r.Primary {
		role, text = 1, "PRIMARY"
	}
	return []field{
		{"replica_id", tds.UniqueIdentifier(), r.replica}, {"group_id", tds.UniqueIdentifier(), r.group}, {"is_local", tds.Bit(), true},
		{"role", tds.TinyInt(), role}, {"role_desc", tds.NVarChar(60), text},
	}
}

// spaceRows are those of one database: an extent for each record, the filler, and a changed extent for each since the differential base.
func spaceRows(d *database) rows {
	row := func(f File, pages, modified int) []field {
		return []field{
			{"database_id", tds.SmallInt(), d.id}, {"file_id", tds.SmallInt(), f.ID}, {"filegroup_id", tds.SmallInt(), 1}, {"total_page_count", tds.BigInt(), f.Bytes / 8192},
			{"allocated_extent_page_count", tds.BigInt(), pages}, {"modified_extent_page_count", tds.BigInt(), modified},
		}
	}
	return rows{row(File{}, 0, 0), func(add func([]field)) {
		changed := 0
		for _, r := range d.records {
			if r.LSN >= d.baseLSN {
				changed++
			}
		}
		for i, f := range d.files {
			if f.Log || f.Stream {
				continue
			}
			if i == 0 {
				add(row(f, 8*(len(d.records)+1)+int(d.ballast/pageBytes), 8*changed))
			} else {
				add(row(f, 0, 0))
			}
		}
	}}
}

// logRows tell how much log one database has: a block for each record since the last log backup.
func logRows(d *database) rows {
	row := func() []field {
		used, total := int64(0), int64(0)
		for _, f := range d.files {
			if f.Log {
				total += f.Bytes
			}
		}
		for _, r := range d.records {
			if r.LSN >= d.logStart {
				used += 4096
			}
		}
		return []field{
			{"database_id", tds.SmallInt(), d.id}, {"total_log_size_in_bytes", tds.BigInt(), total}, {"used_log_space_in_bytes", tds.BigInt(), used},
			{"log_space_in_bytes_since_last_backup", tds.BigInt(), used},
		}
	}
	return rows{row(), func(add func([]field)) { add(row()) }}
}

// first reports whether no earlier backup is on the same media.
func (h historyEntry) first(before []historyEntry) bool {
	for _, other := range before {
		if other.media == h.media {
			return false
		}
	}
	return true
}

// mediaSet numbers the media of a backup: by the first backup on it.
func (in *Instance) mediaSet(h historyEntry) int {
	for i, other := range in.history {
		if other.media == h.media {
			return i + 1
		}
	}
	return 0
}

func familyRow(mediaSet, sequence int, d backupDevice) []field {
	return []field{
		{"media_set_id", tds.Int(), mediaSet}, {"family_sequence_number", tds.TinyInt(), sequence},
		{"physical_device_name", tds.NVarChar(260), d.path}, {"device_type", tds.TinyInt(), d.kind()}, {"mirror", tds.TinyInt(), 0},
	}
}

func backedUpRow(set int, f File) []field {
	kind, group, _ := f.place()
	return []field{
		{"backup_set_id", tds.Int(), set}, {"filegroup_name", tds.NVarChar(128), group}, {"page_size", tds.Int(), 8192}, {"file_number", tds.Numeric(10, 0), big.NewInt(int64(f.ID))},
		{"file_type", tds.Char(1), kind}, {"file_size", tds.Numeric(20, 0), big.NewInt(f.Bytes)}, {"logical_name", tds.NVarChar(128), f.Logical},
		{"physical_name", tds.NVarChar(260), f.Physical}, {"is_readonly", tds.Bit(), f.ReadOnly}, {"is_present", tds.Bit(), true},
	}
}

func (m mark) row() []field {
	return []field{
		{"database_name", tds.NVarChar(128), m.database}, {"mark_name", tds.NVarChar(128), m.name}, {"description", tds.NVarChar(255), orNullText(m.about)},
		{"user_name", tds.NVarChar(128), "dbo"}, {"lsn", tds.Numeric(25, 0), lsn(m.lsn)}, {"mark_time", tds.DateTime(), m.at},
	}
}

func (d *database) row(in *Instance) []field {
	state := map[State]int{Restoring: 1, RecoveryPending: 3, Suspect: 4, Emergency: 5, Offline: 6}[d.state]
	model := map[Model]int{Full: 1, BulkLogged: 2, Simple: 3}[d.model]
	access := map[string]int{multiUser: 0, singleUser: 1, restrictedUser: 2}[d.access]
	var source, replica, group any
	if d.snapshotOf != nil {
		source = d.snapshotOf.id
	}
	if d.replica != nil {
		replica, group = d.replica.replica, d.replica.database
	}
	guid, bit, text := tds.UniqueIdentifier(), tds.Bit(), tds.NVarChar(60)
	return []field{
		{"name", tds.NVarChar(128), d.name}, {"database_id", tds.Int(), d.id}, {"source_database_id", tds.Int(), source}, {"create_date", tds.DateTime(), d.created},
		{"compatibility_level", tds.TinyInt(), int(in.config.Version.Major) * 10}, {"collation_name", tds.NVarChar(128), collation},
		{"user_access", tds.TinyInt(), access}, {"user_access_desc", text, d.access}, {"is_read_only", bit, d.readOnly || d.standby != ""},
		{"state", tds.TinyInt(), state}, {"state_desc", text, string(d.state)}, {"is_in_standby", bit, d.standby != ""},
		{"recovery_model", tds.TinyInt(), model}, {"recovery_model_desc", text, string(d.model)},
		{"is_published", bit, d.published}, {"is_broker_enabled", bit, d.broker}, {"is_cdc_enabled", bit, d.captured},
		{"is_encrypted", bit, d.certificate != ""}, {"replica_id", guid, replica}, {"group_database_id", guid, group},
		{"containment", tds.TinyInt(), 0}, {"containment_desc", text, "NONE"},
	}
}

func (d *database) recoveryRow() []field {
	number, guid := tds.Numeric(25, 0), tds.UniqueIdentifier()
	return []field{
		{"database_id", tds.Int(), d.id}, {"database_guid", guid, orNull(d.binding)}, {"family_guid", guid, orNull(d.family)}, {"last_log_backup_lsn", number, orNull(d.logStart)},
		{"recovery_fork_guid", guid, orNull(d.fork)}, {"first_recovery_fork_guid", guid, orNull(d.firstFork)}, {"fork_point_lsn", number, orNull(d.forkPoint)},
	}
}

func (d *database) fileRow(f File) []field {
	kind, text := 0, "ROWS"
	var base, baseID, redo any
	switch {
	case f.Log:
		kind, text = 1, "LOG"
	case f.Stream:
		kind, text = 2, "FILESTREAM"
	}
	if !f.Log {
		base, baseID = orNull(d.baseLSN), orNull(d.baseID)
	}
	if d.state == Restoring || d.standby != "" {
		redo = orNull(d.next)
	}
	state := d.state
	if d.lost && !f.Log {
		state = RecoveryPending
	}
	guid, number := tds.UniqueIdentifier(), tds.Numeric(25, 0)
	_, _, group := f.place()
	return []field{
		{"database_id", tds.Int(), d.id}, {"file_id", tds.Int(), f.ID}, {"type", tds.TinyInt(), kind}, {"type_desc", tds.NVarChar(60), text},
		{"data_space_id", tds.Int(), group}, {"name", tds.NVarChar(128), f.Logical}, {"physical_name", tds.NVarChar(260), f.Physical},
		{"state_desc", tds.NVarChar(60), string(state)}, {"size", tds.Int(), f.Bytes / 8192}, {"is_read_only", tds.Bit(), f.ReadOnly},
		{"differential_base_lsn", number, base}, {"differential_base_guid", guid, baseID}, {"redo_start_lsn", number, redo},
	}
}

func (h historyEntry) row(id, media int) []field {
	s := h.set
	_, letter := s.Type.words()
	bytes, compressed := s.sizes()
	number, guid, bit, tiny, text := tds.Numeric(25, 0), tds.UniqueIdentifier(), tds.Bit(), tds.TinyInt(), tds.NVarChar(128)
	return []field{
		{"backup_set_id", tds.Int(), id}, {"backup_set_uuid", guid, s.ID}, {"media_set_id", tds.Int(), media}, {"position", tds.Int(), h.position},
		{"name", text, orNullText(s.Name)}, {"description", tds.NVarChar(255), orNullText(s.Description)}, {"user_name", text, s.User},
		{"expiration_date", tds.DateTime(), orNullTime(s.Expires)},
		{"software_major_version", tiny, int(s.Version.Major)}, {"software_minor_version", tiny, int(s.Version.Minor)}, {"software_build_version", tds.SmallInt(), int(s.Version.Build)},
		{"time_zone", tds.SmallInt(), int(quarters(s.Finish))},
		{"first_lsn", number, lsn(s.First)}, {"last_lsn", number, lsn(s.Last)}, {"checkpoint_lsn", number, lsn(s.Checkpoint)},
		{"database_backup_lsn", number, lsn(s.DatabaseLSN)}, {"database_creation_date", tds.DateTime(), s.Created},
		{"backup_start_date", tds.DateTime(), s.Start}, {"backup_finish_date", tds.DateTime(), s.Finish},
		{"type", tds.Char(1), letter}, {"compatibility_level", tiny, int(s.Version.Major) * 10}, {"database_version", tds.Int(), databaseVersion(s.Version)},
		{"backup_size", tds.Numeric(20, 0), big.NewInt(bytes)}, {"database_name", text, s.Database}, {"server_name", text, s.Server},
		{"machine_name", text, machine(s.Server)}, {"recovery_model", tds.NVarChar(60), string(s.Model)},
		{"has_bulk_logged_data", bit, s.BulkLogged}, {"is_snapshot", bit, false}, {"is_readonly", bit, s.ReadOnly}, {"is_single_user", bit, s.SingleUser},
		{"has_backup_checksums", bit, s.Checksum}, {"is_damaged", bit, s.Damaged}, {"begins_log_chain", bit, s.BeginsChain},
		{"has_incomplete_metadata", bit, s.IncompleteMetadata}, {"is_force_offline", bit, s.Tail}, {"is_copy_only", bit, s.CopyOnly},
		{"first_recovery_fork_guid", guid, s.FirstFork}, {"last_recovery_fork_guid", guid, s.Fork}, {"fork_point_lsn", number, orNull(s.ForkPoint)},
		{"database_guid", guid, s.Binding}, {"family_guid", guid, s.FamilyGUID}, {"differential_base_lsn", number, orNull(s.BaseLSN)},
		{"differential_base_guid", guid, orNull(s.BaseID)}, {"compressed_backup_size", tds.Numeric(20, 0), big.NewInt(compressed)},
		{"key_algorithm", tds.NVarChar(32), orNullText(s.KeyAlgorithm)}, {"encryptor_thumbprint", tds.VarBinary(20), orNullBytes(s.EncryptorThumbprint)},
		{"encryptor_type", tds.NVarChar(32), orNullText(s.EncryptorType)}, {"last_valid_restore_time", tds.DateTime(), orNullTime(s.end())},
		{"compression_algorithm", tds.NVarChar(32), orNullText(s.CompressionAlgorithm)},
	}
}

// volumeRow is what sys.dm_os_volume_stats tells about the volume of a file.
func (in *Instance) volumeRow(path string) []field {
	free := in.config.FreeBytes
	if free == 0 {
		free = 1 << 40
	}
	return []field{
		{"volume_mount_point", tds.NVarChar(512), volume(path)}, {"available_bytes", tds.BigInt(), free}, {"total_bytes", tds.BigInt(), 2 * free},
	}
}
