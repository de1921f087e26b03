package mssqlsim

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// selectStatement is a list of scalars, or columns of one view with conditions that all hold.
type selectStatement struct {
	scalars []scalar
	columns []string // of the view; "*" for all
	view    string   // in lower case, as sys.databases
	where   []condition
	orderBy string
	down    bool
}

// scalar is one of: a number, @@SPID, @@VERSION, @@SERVERNAME, SERVERPROPERTY('name'), SYSDATETIMEOFFSET(), DB_NAME().
type scalar struct {
	word  string
	arg   string
	alias string
}

type condition struct {
	column string
	sign   string // =, <>, NULL, NOT NULL
	value  any    // string or int64
}

func (p *parser) selection() (statement, error) {
	var s selectStatement
	for {
		c, column, err := p.item()
		if err != nil {
			return nil, err
		}
		if column {
			s.columns = append(s.columns, c.word)
		} else {
			s.scalars = append(s.scalars, c)
		}
		if !p.sign(",") {
			break
		}
	}
	if len(s.columns) == 0 {
		return s, nil
	}
	if len(s.scalars) > 0 || !p.words("FROM") {
		return nil, p.stuck()
	}
	if err := p.from(&s); err != nil {
		return nil, err
	}
	if p.words("WHERE") {
		for more := true; more; more = p.words("AND") {
			c, err := p.condition()
			if err != nil {
				return nil, err
			}
			s.where = append(s.where, c)
		}
	}
	if p.words("ORDER", "BY") {
		s.orderBy = strings.ToLower(p.take().text)
		s.down = p.words("DESC")
	}
	return s, nil
}

// item reads one entry of the list, and reports whether it is a column of a view.
func (p *parser) item() (c scalar, column bool, err error) {
	t := p.take()
	c.word = t.text
	switch {
	case t.kind == tokenSign && t.text == "*":
		return c, true, nil
	case t.kind == tokenNumber:
		c.word, c.arg = "number", t.text
	case t.kind == tokenVariable && strings.HasPrefix(t.text, "@@"):
		c.word = strings.ToUpper(t.text)
	case t.kind == tokenWord && p.sign("("):
		c.word = strings.ToUpper(t.text)
		if p.peek().kind == tokenText {
			c.arg = p.take().text
		}
		if !p.sign(")") {
			return c, false, p.stuck()
		}
	case t.kind == tokenWord || t.kind == tokenName:
		return c, true, nil
	default:
		return c, false, unknown(fmt.Sprintf("%q in a list of SELECT", t.text))
	}
	if p.words("AS") {
		c.alias = p.take().text
	}
	return c, false, nil
}

func (p *parser) from(s *selectStatement) error {
	var parts []string
	for more := true; more; more = p.sign(".") {
		if k := p.peek().kind; k != tokenWord && k != tokenName {
			return p.stuck()
		}
		parts = append(parts, strings.ToLower(p.take().text))
	}
	s.view = strings.TrimPrefix(strings.Join(parts, "."), "master.")
	return nil
}

func (p *parser) condition() (condition, error) {
	c := condition{column: strings.ToLower(p.take().text)}
	switch {
	case p.words("IS", "NULL"):
		c.sign = "NULL"
	case p.words("IS", "NOT", "NULL"):
		c.sign = "NOT NULL"
	case p.sign("="):
		c.sign = "="
	case p.sign("<>"):
		c.sign = "<>"
	default:
		return c, p.stuck()
	}
	if c.sign != "=" && c.sign != "<>" {
		return c, nil
	}
	var err error
	switch p.peek().kind {
	case tokenNumber:
		var n int
		n, err = p.number()
		c.value = int64(n)
	case tokenText:
		c.value, err = p.text()
	case tokenVariable:
		c.value, err = p.variable()
	default:
		err = p.stuck()
	}
	return c, err
}

func (in *Instance) selectFrom(s *tds.Session, st selectStatement, a *tds.Answer) error {
	if st.view == "" {
		var fields []field
		for _, c := range st.scalars {
			f, err := in.scalar(s, c)
			if err != nil {
				return err
			}
			f.name = c.alias
			fields = append(fields, f)
		}
		var t table
		t.add(fields)
		return t.send(a)
	}
	t, err := in.view(st.view)
	if err != nil {
		return err
	}
	if t, err = t.narrow(st); err != nil {
		return err
	}
	return t.send(a)
}

func (in *Instance) scalar(s *tds.Session, c scalar) (field, error) {
	text := func(v any) (field, error) { return field{typ: tds.NVarChar(300), value: v}, nil }
	v := in.config.Version
	switch c.word {
	case "number":
		n, err := strconv.ParseInt(c.arg, 10, 32)
		if err != nil {
			return field{}, unknown("number " + c.arg)
		}
		return field{typ: tds.Int(), value: n}, nil
	case "@@SPID":
		return field{typ: tds.SmallInt(), value: int(s.ID)}, nil
	case "@@SERVERNAME":
		return text(in.config.Name)
	case "@@VERSION":
		return text(fmt.Sprintf("Microsoft SQL Server (simulated) - %d.%d.%d.0 (X64)", v.Major, v.Minor, v.Build))
	case "DB_NAME":
		if c.arg == "" {
			return text(s.Database())
		}
	case "SYSDATETIMEOFFSET":
		return field{typ: tds.DateTimeOffset(), value: in.config.Now()}, nil
	case "SERVERPROPERTY":
		return in.property(c.arg)
	}
	return field{}, unknown("SELECT " + c.word)
}

// property answers SERVERPROPERTY, in the type the value has; the real one is wrapped in sql_variant. An unknown property is NULL, as on a server.
func (in *Instance) property(name string) (field, error) {
	v := in.config.Version
	values := map[string]any{
		"servername": in.config.Name, "machinename": in.config.Name, "edition": "Developer Edition (64-bit)",
		"productversion":          fmt.Sprintf("%d.%d.%d.0", v.Major, v.Minor, v.Build),
		"instancedefaultdatapath": `S:\data\`, "instancedefaultlogpath": `S:\data\`, "instancedefaultbackuppath": `S:\backup\`,
	}
	numbers := map[string]int{"engineedition": 3, "productmajorversion": int(v.Major), "ishadrenabled": 0}
	if n, ok := numbers[strings.ToLower(name)]; ok {
		return field{typ: tds.Int(), value: n}, nil
	}
	return field{typ: tds.NVarChar(300), value: values[strings.ToLower(name)]}, nil
}

// view makes the rows of a system view as they are now.
func (in *Instance) view(name string) (table, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	var t table
	switch name {
	case "sys.databases":
		for _, d := range in.databases {
			t.add(d.row())
		}
	case "sys.database_recovery_status":
		for _, d := range in.databases {
			t.add([]field{
				{"database_id", tds.Int(), d.id}, {"database_guid", tds.UniqueIdentifier(), d.binding}, {"family_guid", tds.UniqueIdentifier(), d.family},
				{"last_log_backup_lsn", tds.Numeric(25, 0), orNull(d.logStart)}, {"recovery_fork_guid", tds.UniqueIdentifier(), d.fork},
				{"first_recovery_fork_guid", tds.UniqueIdentifier(), d.firstFork}, {"fork_point_lsn", tds.Numeric(25, 0), orNull(d.forkPoint)},
			})
		}
	case "sys.master_files":
		for _, d := range in.databases {
			for _, f := range d.files {
				t.add(d.fileRow(f))
			}
		}
	case "sys.dm_exec_requests":
		t.add((&activity{}).row(0)) // for its columns
		t.rows = nil
		for id, r := range in.running {
			t.add(r.row(id))
		}
	case "msdb.dbo.backupset":
		t.add(historyEntry{}.row(0))
		t.rows = nil
		for i, h := range in.history {
			t.add(h.row(i + 1))
		}
	case "msdb.dbo.backupmediafamily":
		t.add(familyRow(0, 0, ""))
		t.rows = nil
		for i, h := range in.history {
			for j, path := range h.devices {
				t.add(familyRow(i+1, j+1, path))
			}
		}
	default:
		return t, failure(208, "Invalid object name '%s'.", name)
	}
	return t, nil
}

func (r *activity) row(session uint16) []field {
	return []field{
		{"session_id", tds.SmallInt(), int(session)}, {"command", tds.NVarChar(32), r.command}, {"database_id", tds.SmallInt(), r.database},
		{"percent_complete", tds.Float(), float64(r.percent)},
	}
}

// familyRow tells one device of a backup. Each backup has a media set of its own in this history, even when it was added to another.
func familyRow(mediaSet, sequence int, path string) []field {
	return []field{
		{"media_set_id", tds.Int(), mediaSet}, {"family_sequence_number", tds.TinyInt(), sequence},
		{"physical_device_name", tds.NVarChar(260), path}, {"device_type", tds.TinyInt(), 2}, {"mirror", tds.TinyInt(), 0},
	}
}

func (d *database) row() []field {
	state, stateText := 0, "ONLINE"
	if d.restoring {
		state, stateText = 1, "RESTORING"
	}
	model := map[Model]int{Full: 1, BulkLogged: 2, Simple: 3}[d.model]
	access := map[string]int{multiUser: 0, singleUser: 1}[d.access]
	return []field{
		{"name", tds.NVarChar(128), d.name}, {"database_id", tds.Int(), d.id}, {"source_database_id", tds.Int(), nil}, {"create_date", tds.DateTime(), d.created},
		{"compatibility_level", tds.TinyInt(), 160}, {"collation_name", tds.NVarChar(128), "SQL_Latin1_General_CP1_CI_AS"},
		{"user_access", tds.TinyInt(), access}, {"user_access_desc", tds.NVarChar(60), d.access}, {"is_read_only", tds.Bit(), false},
		{"state", tds.TinyInt(), state}, {"state_desc", tds.NVarChar(60), stateText}, {"is_in_standby", tds.Bit(), false},
		{"recovery_model", tds.TinyInt(), model}, {"recovery_model_desc", tds.NVarChar(60), string(d.model)}, {"is_encrypted", tds.Bit(), false},
	}
}

func (d *database) fileRow(f File) []field {
	kind, kindText := 0, "ROWS"
	var base, baseID, redo any
	if f.Log {
		kind, kindText = 1, "LOG"
	} else {
		base, baseID = orNull(d.baseLSN), orNull(d.baseID)
	}
	if d.restoring {
		redo = lsn(d.next)
	}
	return []field{
		{"database_id", tds.Int(), d.id}, {"file_id", tds.Int(), f.ID}, {"type", tds.TinyInt(), kind}, {"type_desc", tds.NVarChar(60), kindText},
		{"name", tds.NVarChar(128), f.Logical}, {"physical_name", tds.NVarChar(260), f.Physical}, {"size", tds.Int(), f.Bytes / 8192},
		{"differential_base_lsn", tds.Numeric(25, 0), base}, {"differential_base_guid", tds.UniqueIdentifier(), baseID},
		{"redo_start_lsn", tds.Numeric(25, 0), redo},
	}
}

func (h historyEntry) row(id int) []field {
	s := h.set
	_, letter := s.Type.words()
	number, guid, bit := tds.Numeric(25, 0), tds.UniqueIdentifier(), tds.Bit()
	return []field{
		{"backup_set_id", tds.Int(), id}, {"backup_set_uuid", guid, s.ID}, {"media_set_id", tds.Int(), id}, {"position", tds.Int(), h.position},
		{"name", tds.NVarChar(128), orNullText(s.Name)}, {"description", tds.NVarChar(255), orNullText(s.Description)}, {"user_name", tds.NVarChar(128), s.User},
		{"first_lsn", number, lsn(s.First)}, {"last_lsn", number, lsn(s.Last)}, {"checkpoint_lsn", number, lsn(s.Checkpoint)},
		{"database_backup_lsn", number, lsn(s.DatabaseLSN)}, {"backup_start_date", tds.DateTime(), s.Start}, {"backup_finish_date", tds.DateTime(), s.Finish},
		{"type", tds.Char(1), letter}, {"backup_size", tds.Numeric(20, 0), big.NewInt(s.Bytes)},
		{"database_name", tds.NVarChar(128), s.Database}, {"server_name", tds.NVarChar(128), s.Server}, {"recovery_model", tds.NVarChar(60), string(s.Model)},
		{"has_backup_checksums", bit, s.Checksum}, {"begins_log_chain", bit, s.BeginsChain}, {"is_copy_only", bit, s.CopyOnly},
		{"first_recovery_fork_guid", guid, s.FirstFork}, {"last_recovery_fork_guid", guid, s.Fork}, {"fork_point_lsn", number, orNull(s.ForkPoint)},
		{"database_guid", guid, s.Binding}, {"family_guid", guid, s.FamilyGUID}, {"differential_base_lsn", number, orNull(s.BaseLSN)},
		{"differential_base_guid", guid, orNull(s.BaseID)},
	}
}

// narrow keeps the rows and columns that a SELECT asks for.
func (t table) narrow(st selectStatement) (table, error) {
	for _, c := range st.where {
		i, err := t.find(c.column)
		if err != nil {
			return t, err
		}
		t.rows = slices.DeleteFunc(t.rows, func(row []any) bool { return !c.holds(row[i]) })
	}
	if st.orderBy != "" {
		i, err := t.find(st.orderBy)
		if err != nil {
			return t, err
		}
		slices.SortStableFunc(t.rows, func(a, b []any) int {
			order := compare(a[i], b[i])
			if st.down {
				return -order
			}
			return order
		})
	}
	if slices.Equal(st.columns, []string{"*"}) {
		return t, nil
	}
	out := table{rows: make([][]any, len(t.rows))}
	for _, name := range st.columns {
		i, err := t.find(name)
		if err != nil {
			return t, err
		}
		out.columns = append(out.columns, t.columns[i])
		for r := range t.rows {
			out.rows[r] = append(out.rows[r], t.rows[r][i])
		}
	}
	return out, nil
}

func (t table) find(column string) (int, error) {
	i := slices.IndexFunc(t.columns, func(c tds.Column) bool { return strings.EqualFold(c.Name, column) })
	if i < 0 {
		return 0, failure(207, "Invalid column name '%s'.", column)
	}
	return i, nil
}

func (c condition) holds(v any) bool {
	switch c.sign {
	case "NULL":
		return v == nil
	case "NOT NULL":
		return v != nil
	}
	if v == nil || c.value == nil {
		return false // NULL equals nothing and differs from nothing
	}
	return strings.EqualFold(plain(v), plain(c.value)) == (c.sign == "=")
}

// plain is a value as text, for comparing: the collation of the server ignores case.
func plain(v any) string {
	if b, ok := v.(bool); ok {
		v = map[bool]int{true: 1}[b]
	}
	return fmt.Sprint(v)
}

func compare(a, b any) int {
	x, okX := new(big.Int).SetString(plain(a), 10)
	y, okY := new(big.Int).SetString(plain(b), 10)
	if okX && okY {
		return x.Cmp(y)
	}
	return strings.Compare(strings.ToLower(plain(a)), strings.ToLower(plain(b)))
}
