package mssqlsim

import (
	"context"
	"math/big"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// table is a result set: its columns, and rows of as many values.
type table struct {
	columns []tds.Column
	rows    [][]any
}

// field is a column and its value in the row being made.
type field struct {
	name  string
	typ   tds.Type
	value any
}

// add adds a row; the first one also says what the columns are.
func (t *table) add(fields []field) {
	row := make([]any, len(fields))
	columns := make([]tds.Column, len(fields))
	for i, f := range fields {
		row[i], columns[i] = f.value, tds.Column{Name: f.name, Type: f.typ}
	}
	t.columns, t.rows = columns, append(t.rows, row)
}

func (t *table) send(a *tds.Answer) error {
	if err := a.Columns(t.columns...); err != nil {
		return err
	}
	for _, r := range t.rows {
		if err := a.Row(r...); err != nil {
			return err
		}
	}
	return nil
}

// inspect answers RESTORE HEADERONLY, FILELISTONLY, LABELONLY and VERIFYONLY.
func (in *Instance) inspect(ctx context.Context, s *tds.Session, st restoreStatement, a *tds.Answer, f *strike) error {
	in.mu.Lock()
	r := in.right(s)
	in.running[s.ID] = &activity{command: "RESTORE " + strings.Replace(st.what, "ONLY", "ON", 1), since: in.config.Now()}
	in.mu.Unlock()
	defer func() {
		in.mu.Lock()
		defer in.mu.Unlock()
		delete(in.running, s.ID)
	}()
	if r != SysAdmin && r != Creator {
		return denied("CREATE DATABASE", "master")
	}
	if err := in.checkDevices(st.devices); err != nil {
		return err
	}
	if st.what == "VERIFYONLY" {
		return in.verify(ctx, s, st, a, f)
	}
	if err := in.progress(ctx, s, "", 0, a, f, nothing); err != nil {
		return err
	}
	device := st.devices[0]
	family, sets, err := in.read(ctx, device)
	if err != nil {
		return deviceMessage(ctx, device.path, err)
	}
	if len(sets) == 0 {
		return failure(3254, "The volume on device '%s' is empty.", device.path)
	}
	var t table
	switch st.what {
	case "LABELONLY":
		t.add(label(family, sets[0]))
	case "HEADERONLY":
		for i, set := range sets {
			if err := in.unlocked(set.EncryptorThumbprint, set.EncryptorType); err != nil {
				return err
			}
			if n := st.options.numbers["FILE"]; n == 0 || n == i+1 {
				row := in.header(set, i+1, device)
				if set.Incomplete {
					row = incomplete(row, i+1)
				}
				t.add(row)
			}
		}
		if len(t.rows) == 0 {
			return failure(4038, "Cannot find file ID %d on device '%s'.", st.options.numbers["FILE"], device.path)
		}
	case "FILELISTONLY":
		set, err := in.pickAny(ctx, st)
		if err != nil {
			return err
		}
		for _, f := range set.Files {
			t.add(fileRow(set, f))
		}
	}
	return t.send(a)
}

// pickAny finds the set for FILELISTONLY, which needs one device only but the certificate of the database.
func (in *Instance) pickAny(ctx context.Context, st restoreStatement) (Set, error) {
	_, sets, err := in.read(ctx, st.devices[0])
	if err != nil {
		return Set{}, deviceMessage(ctx, st.devices[0].path, err)
	}
	if n := st.position(); n > len(sets) {
		return Set{}, failure(4038, "Cannot find file ID %d on device '%s'.", n, st.devices[0].path)
	}
	set := sets[st.position()-1]
	if err := in.unlocked(set.EncryptorThumbprint, set.EncryptorType); err != nil {
		return Set{}, err
	}
	return set, in.unlocked(set.TDEThumbprint, "")
}

func (in *Instance) verify(ctx context.Context, s *tds.Session, st restoreStatement, a *tds.Answer, f *strike) error {
	if err := st.options.contradiction(); err != nil {
		return err
	}
	set, err := in.pick(ctx, st)
	if err != nil {
		return err
	}
	if err := in.unlocked(set.TDEThumbprint, ""); err != nil {
		return err
	}
	if err := in.progress(ctx, s, set.Database, st.options.numbers["STATS"], a, f, nothing); err != nil {
		return err
	}
	if _, err = in.load(ctx, st); err != nil {
		return err
	}
	return a.Message(info(3262, "The backup set on file %d is valid.", st.position()))
}

func lsn(l LSN) any { return new(big.Int).SetUint64(uint64(l)) }

// orNull is NULL for what is not there.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	if l, ok := any(v).(LSN); ok {
		return lsn(l)
	}
	return v
}

func orNullText(s string) any { return orNull(s) }

// flags are the Flags of a set.
func (s Set) flags() (flags int) {
	for flag, set := range map[int]bool{1: s.BulkLogged, 4: s.ReadOnly, 8: s.SingleUser, 16: s.Checksum, 32: s.Damaged, 64: s.Tail, 128: s.IncompleteMetadata, 256: s.Tail} {
		if set {
			flags |= flag
		}
	}
	return flags
}

// sizes are those of the set and of what it takes compressed, which is made up: a quarter.
func (s Set) sizes() (bytes, compressed int64) {
	if s.Compressed {
		return s.Bytes, s.Bytes / 4
	}
	return s.Bytes, s.Bytes
}

func (in *Instance) header(s Set, position int, device backupDevice) []field {
	name, size := tds.NVarChar(128), tds.Numeric(20, 0)
	number, guid, bit := tds.Numeric(25, 0), tds.UniqueIdentifier(), tds.Bit()
	description, _ := s.Type.words()
	bytes, compressed := s.sizes()
	fields := []field{
		{"BackupName", name, orNullText(s.Name)}, {"BackupDescription", tds.NVarChar(255), orNullText(s.Description)},
		{"BackupType", tds.SmallInt(), int(s.Type)}, {"ExpirationDate", tds.DateTime(), orNullTime(s.Expires)}, {"Compressed", bit, s.Compressed},
		{"Position", tds.SmallInt(), position}, {"DeviceType", tds.TinyInt(), device.kind()}, {"UserName", name, s.User}, {"ServerName", name, s.Server},
		{"DatabaseName", name, s.Database}, {"DatabaseVersion", tds.Int(), databaseVersion(s.Version)}, {"DatabaseCreationDate", tds.DateTime(), s.Created},
		{"BackupSize", size, big.NewInt(bytes)}, {"FirstLSN", number, lsn(s.First)}, {"LastLSN", number, lsn(s.Last)},
		{"CheckpointLSN", number, lsn(s.Checkpoint)}, {"DatabaseBackupLSN", number, lsn(s.DatabaseLSN)},
		{"BackupStartDate", tds.DateTime(), s.Start}, {"BackupFinishDate", tds.DateTime(), s.Finish}, {"SortOrder", tds.SmallInt(), 52},
		{"CodePage", tds.SmallInt(), 0}, {"UnicodeLocaleId", tds.Int(), 1033}, {"UnicodeComparisonStyle", tds.Int(), 196609},
		{"CompatibilityLevel", tds.TinyInt(), int(s.Version.Major) * 10}, {"SoftwareVendorId", tds.Int(), 4608},
		{"SoftwareVersionMajor", tds.Int(), int(s.Version.Major)}, {"SoftwareVersionMinor", tds.Int(), int(s.Version.Minor)},
		{"SoftwareVersionBuild", tds.Int(), int(s.Version.Build)}, {"MachineName", name, machine(s.Server)}, {"Flags", tds.Int(), s.flags()},
		{"BindingID", guid, s.Binding}, {"RecoveryForkID", guid, s.Fork}, {"Collation", name, collation},
		{"FamilyGUID", guid, s.FamilyGUID}, {"HasBulkLoggedData", bit, s.BulkLogged}, {"IsSnapshot", bit, false}, {"IsReadOnly", bit, s.ReadOnly},
		{"IsSingleUser", bit, s.SingleUser}, {"HasBackupChecksums", bit, s.Checksum}, {"IsDamaged", bit, s.Damaged}, {"BeginsLogChain", bit, s.BeginsChain},
		{"HasIncompleteMetaData", bit, s.IncompleteMetadata}, {"IsForceOffline", bit, s.Tail}, {"IsCopyOnly", bit, s.CopyOnly},
		{"FirstRecoveryForkID", guid, s.FirstFork}, {"ForkPointLSN", number, orNull(s.ForkPoint)}, {"RecoveryModel", tds.NVarChar(60), string(s.Model)},
		{"DifferentialBaseLSN", number, orNull(s.BaseLSN)}, {"DifferentialBaseGUID", guid, orNull(s.BaseID)},
		{"BackupTypeDescription", tds.NVarChar(60), description}, {"BackupSetGUID", guid, s.ID}, {"CompressedBackupSize", tds.BigInt(), compressed},
		{"containment", tds.TinyInt(), 0}, {"KeyAlgorithm", tds.NVarChar(32), orNullText(s.KeyAlgorithm)},
		{"EncryptorThumbprint", tds.VarBinary(20), orNullBytes(s.EncryptorThumbprint)}, {"EncryptorType", tds.NVarChar(32), orNullText(s.EncryptorType)},
	}
	if in.config.Version.Major < 16 {
		return fields
	}
	return append(fields, field{"LastValidRestoreTime", tds.DateTime(), s.end()}, field{"TimeZone", tds.SmallInt(), int(quarters(s.Finish))},
		field{"CompressionAlgorithm", tds.NVarChar(32), orNullText(s.CompressionAlgorithm)})
}

// incomplete is the row of a set whose end is missing: its name says so, and nothing else is told.
func incomplete(row []field, position int) []field {
	for i := range row {
		switch row[i].name {
		case "BackupName":
			row[i].value = "*** INCOMPLETE ***"
		case "Position":
			row[i].value = position
		default:
			row[i].value = nil
		}
	}
	return row
}

// kind is a DeviceType.
func (d backupDevice) kind() int {
	if d.url {
		return 9
	}
	return 2
}

func orNullBytes(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func orNullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func fileRow(s Set, f File) []field {
	number, size, guid := tds.Numeric(25, 0), tds.Numeric(20, 0), tds.UniqueIdentifier()
	kind, group, groupID := f.place()
	id := s.Binding
	id[15] += byte(f.ID)
	return []field{
		{"LogicalName", tds.NVarChar(128), f.Logical}, {"PhysicalName", tds.NVarChar(260), f.Physical}, {"Type", tds.Char(1), kind},
		{"FileGroupName", tds.NVarChar(128), group}, {"Size", size, big.NewInt(f.Bytes)}, {"MaxSize", size, big.NewInt(35184372080640)},
		{"FileId", tds.BigInt(), f.ID}, {"CreateLSN", number, big.NewInt(0)}, {"DropLSN", number, big.NewInt(0)}, {"UniqueId", guid, id},
		{"ReadOnlyLSN", number, big.NewInt(0)}, {"ReadWriteLSN", number, big.NewInt(0)}, {"BackupSizeInBytes", tds.BigInt(), f.Bytes},
		{"SourceBlockSize", tds.Int(), 512}, {"FileGroupId", tds.Int(), groupID}, {"LogGroupGUID", guid, nil},
		{"DifferentialBaseLSN", number, lsn(s.BaseLSN)}, {"DifferentialBaseGUID", guid, orNull(s.BaseID)}, {"IsReadOnly", tds.Bit(), f.ReadOnly},
		{"IsPresent", tds.Bit(), true}, {"TDEThumbprint", tds.VarBinary(32), orNullBytes(s.TDEThumbprint)}, {"SnapshotUrl", tds.NVarChar(360), nil},
	}
}

// place tells what kind of file it is and its file group: groups other than PRIMARY are numbered by their first file.
func (f File) place() (kind string, group any, groupID int) {
	switch {
	case f.Log:
		return "L", nil, 0
	case f.Stream:
		return "S", f.Group, f.ID
	case f.Group == "":
		return "D", "PRIMARY", 1
	}
	return "D", f.Group, f.ID
}

func label(f Family, first Set) []field {
	return []field{
		{"MediaName", tds.NVarChar(128), orNullText(f.Name)}, {"MediaSetId", tds.UniqueIdentifier(), f.MediaSet}, {"FamilyCount", tds.Int(), f.Count},
		{"FamilySequenceNumber", tds.Int(), f.Sequence}, {"MediaFamilyId", tds.UniqueIdentifier(), f.ID}, {"MediaSequenceNumber", tds.Int(), 1},
		{"MediaLabelPresent", tds.TinyInt(), 0}, {"MediaDescription", tds.NVarChar(255), orNullText(f.About)},
		{"SoftwareName", tds.NVarChar(128), "Microsoft SQL Server"}, {"SoftwareVendorId", tds.Int(), 4608}, {"MediaDate", tds.DateTime(), first.Start},
		{"Mirror_Count", tds.Int(), 1}, {"IsCompressed", tds.Bit(), first.Compressed},
	}
}
