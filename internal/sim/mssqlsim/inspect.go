package mssqlsim

import (
	"context"
	"math/big"

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
func (in *Instance) inspect(ctx context.Context, st restoreStatement, a *tds.Answer) error {
	if st.what == "VERIFYONLY" {
		if _, err := in.pick(ctx, st); err != nil {
			return err
		}
		if _, err := in.load(ctx, st); err != nil {
			return err
		}
		return a.Message(info(3262, "The backup set on file %d is valid.", max(1, st.options.file)))
	}
	family, sets, err := in.config.Media.Read(ctx, st.devices[0])
	if err != nil {
		return deviceMessage(ctx, st.devices[0], err)
	}
	if len(sets) == 0 {
		return failure(3254, "The volume on device '%s' is empty.", st.devices[0])
	}
	var t table
	switch st.what {
	case "LABELONLY":
		t.add(label(family, sets[0]))
	case "HEADERONLY":
		for i, set := range sets {
			row := header(set, i+1)
			if set.Incomplete {
				row = incomplete(row, i+1)
			}
			t.add(row)
		}
	case "FILELISTONLY":
		position := max(1, st.options.file)
		if position > len(sets) {
			return failure(4038, "Cannot find file ID %d on device '%s'.", position, st.devices[0])
		}
		set := sets[position-1] // one family of several tells all
		for _, f := range set.Files {
			t.add(fileRow(set, f))
		}
	}
	return t.send(a)
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

// Flags of a backup set.
const (
	flagChecksum = 16
	flagTail     = 64
	flagNoRecov  = 256
)

func header(s Set, position int) []field {
	name, size := tds.NVarChar(128), tds.Numeric(20, 0)
	number, guid, bit := tds.Numeric(25, 0), tds.UniqueIdentifier(), tds.Bit()
	description, _ := s.Type.words()
	flags := 0
	if s.Checksum {
		flags |= flagChecksum
	}
	if s.Tail {
		flags |= flagTail | flagNoRecov
	}
	bytes := s.Bytes
	packed := bytes
	if s.Compressed {
		packed /= 4 // made up
	}
	return []field{
		{"BackupName", name, orNullText(s.Name)}, {"BackupDescription", tds.NVarChar(255), orNullText(s.Description)},
		{"BackupType", tds.SmallInt(), int(s.Type)}, {"ExpirationDate", tds.DateTime(), nil}, {"Compressed", bit, s.Compressed},
		{"Position", tds.SmallInt(), position}, {"DeviceType", tds.TinyInt(), 2}, {"UserName", name, s.User}, {"ServerName", name, s.Server},
		{"DatabaseName", name, s.Database}, {"DatabaseVersion", tds.Int(), databaseVersion}, {"DatabaseCreationDate", tds.DateTime(), s.Created},
		{"BackupSize", size, big.NewInt(bytes)}, {"FirstLSN", number, lsn(s.First)}, {"LastLSN", number, lsn(s.Last)},
		{"CheckpointLSN", number, lsn(s.Checkpoint)}, {"DatabaseBackupLSN", number, lsn(s.DatabaseLSN)},
		{"BackupStartDate", tds.DateTime(), s.Start}, {"BackupFinishDate", tds.DateTime(), s.Finish}, {"SortOrder", tds.SmallInt(), 52},
		{"CodePage", tds.SmallInt(), 0}, {"UnicodeLocaleId", tds.Int(), 1033}, {"UnicodeComparisonStyle", tds.Int(), 196609},
		{"CompatibilityLevel", tds.TinyInt(), compatibility}, {"SoftwareVendorId", tds.Int(), 4608},
		{"SoftwareVersionMajor", tds.Int(), int(s.Version.Major)}, {"SoftwareVersionMinor", tds.Int(), int(s.Version.Minor)},
		{"SoftwareVersionBuild", tds.Int(), int(s.Version.Build)}, {"MachineName", name, s.Server}, {"Flags", tds.Int(), flags},
		{"BindingID", guid, s.Binding}, {"RecoveryForkID", guid, s.Fork}, {"Collation", name, "SQL_Latin1_General_CP1_CI_AS"},
		{"FamilyGUID", guid, s.FamilyGUID}, {"HasBulkLoggedData", bit, false}, {"IsSnapshot", bit, false}, {"IsReadOnly", bit, false},
		{"IsSingleUser", bit, false}, {"HasBackupChecksums", bit, s.Checksum}, {"IsDamaged", bit, false}, {"BeginsLogChain", bit, s.BeginsChain},
		{"HasIncompleteMetaData", bit, false}, {"IsForceOffline", bit, s.Tail}, {"IsCopyOnly", bit, s.CopyOnly},
		{"FirstRecoveryForkID", guid, s.FirstFork}, {"ForkPointLSN", number, orNull(s.ForkPoint)}, {"RecoveryModel", tds.NVarChar(60), string(s.Model)},
		{"DifferentialBaseLSN", number, orNull(s.BaseLSN)}, {"DifferentialBaseGUID", guid, orNull(s.BaseID)},
		{"BackupTypeDescription", tds.NVarChar(60), description}, {"BackupSetGUID", guid, s.ID}, {"CompressedBackupSize", tds.BigInt(), packed},
		{"containment", tds.TinyInt(), 0}, {"KeyAlgorithm", tds.NVarChar(32), nil}, {"EncryptorThumbprint", tds.VarBinary(20), nil},
		{"EncryptorType", tds.NVarChar(32), nil},
	}
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

func fileRow(s Set, f File) []field {
	number, size, guid, kind, group := tds.Numeric(25, 0), tds.Numeric(20, 0), tds.UniqueIdentifier(), "D", any("PRIMARY")
	groupID := 1
	if f.Log {
		kind, group, groupID = "L", nil, 0
	}
	id := s.Binding
	id[15] += byte(f.ID)
	return []field{
		{"LogicalName", tds.NVarChar(128), f.Logical}, {"PhysicalName", tds.NVarChar(260), f.Physical}, {"Type", tds.Char(1), kind},
		{"FileGroupName", tds.NVarChar(128), group}, {"Size", size, big.NewInt(f.Bytes)}, {"MaxSize", size, big.NewInt(35184372080640)},
		{"FileId", tds.BigInt(), f.ID}, {"CreateLSN", number, big.NewInt(0)}, {"DropLSN", number, big.NewInt(0)}, {"UniqueId", guid, id},
		{"ReadOnlyLSN", number, big.NewInt(0)}, {"ReadWriteLSN", number, big.NewInt(0)}, {"BackupSizeInBytes", tds.BigInt(), f.Bytes},
		{"SourceBlockSize", tds.Int(), 512}, {"FileGroupId", tds.Int(), groupID}, {"LogGroupGUID", guid, nil},
		{"DifferentialBaseLSN", number, lsn(s.BaseLSN)}, {"DifferentialBaseGUID", guid, orNull(s.BaseID)}, {"IsReadOnly", tds.Bit(), false},
		{"IsPresent", tds.Bit(), true}, {"TDEThumbprint", tds.VarBinary(32), nil}, {"SnapshotUrl", tds.NVarChar(360), nil},
	}
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
