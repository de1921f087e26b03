package tds_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-sql/sqlexp"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

var guid = tds.GUID{0x40, 0x70, 0x04, 0x24, 0x00, 0x80, 0x11, 0xd2, 0x85, 0x1f, 0x00, 0xc0, 0x4f, 0xc2, 0x17, 0x59}

func guidOnWire() []byte {
	return []byte{0x24, 0x04, 0x70, 0x40, 0x80, 0x00, 0xd2, 0x11, 0x85, 0x1f, 0x00, 0xc0, 0x4f, 0xc2, 0x17, 0x59}
}

// results are columns of each type: what the server writes, and what the driver reads.
func results() map[string]struct {
	typ   tds.Type
	value any
	want  any
} {
	at := time.Date(2026, 2, 28, 23, 59, 58, 997_000_000, time.UTC)
	zoned := time.Date(2026, 2, 28, 23, 59, 58, 123456700, time.FixedZone("", -210*60))
	long := strings.Repeat("Grüße 𝄞 ", 20_000)
	type c = struct {
		typ   tds.Type
		value any
		want  any
	}
	return map[string]c{
		"tinyint":                {tds.TinyInt(), 255, int64(255)},
		"smallint":               {tds.SmallInt(), math.MinInt16, int64(math.MinInt16)},
		"int":                    {tds.Int(), math.MinInt32, int64(math.MinInt32)},
		"bigint":                 {tds.BigInt(), int64(math.MinInt64), int64(math.MinInt64)},
		"bit":                    {tds.Bit(), true, true},
		"bit 0":                  {tds.Bit(), false, false},
		"float":                  {tds.Float(), -1.5, -1.5},
		"LSN":                    {tds.Numeric(25, 0), "36000000012800037", []byte("36000000012800037")},
		"numeric as big.Int":     {tds.Numeric(20, 0), big.NewInt(-5), []byte("-5")},
		"numeric with fraction":  {tds.Numeric(5, 2), "1.5", []byte("1.50")},
		"widest numeric":         {tds.Numeric(38, 0), strings.Repeat("9", 38), []byte(strings.Repeat("9", 38))},
		"datetime":               {tds.DateTime(), at, at},
		"datetime rounds up":     {tds.DateTime(), at.Add(2 * time.Millisecond), at.Add(3 * time.Millisecond).Truncate(time.Second)},
		"datetime before 1900":   {tds.DateTime(), time.Date(1753, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1753, 1, 1, 0, 0, 0, 0, time.UTC)},
		"datetime2":              {tds.DateTime2(), at.Add(100), at.Add(100)},
		"datetimeoffset":         {tds.DateTimeOffset(), zoned, zoned},
		"uniqueidentifier":       {tds.UniqueIdentifier(), guid, guidOnWire()},
		"nvarchar":               {tds.NVarChar(128), "Größe 𝄞", "Größe 𝄞"},
		"nvarchar empty":         {tds.NVarChar(1), "", ""},
		"nvarchar(max)":          {tds.NVarCharMax(), long, long},
		"nvarchar(max) empty":    {tds.NVarCharMax(), "", ""},
		"varchar":                {tds.VarChar(8000), strings.Repeat("x", 8000), strings.Repeat("x", 8000)},
		"varchar(max)":           {tds.VarCharMax(), strings.Repeat("x", 70_000), strings.Repeat("x", 70_000)},
		"char":                   {tds.Char(3), "D", "D  "},
		"varbinary":              {tds.VarBinary(20), []byte{0, 255}, []byte{0, 255}},
		"varbinary(max)":         {tds.VarBinaryMax(), []byte(long), []byte(long)},
		"varbinary(max) nothing": {tds.VarBinaryMax(), []byte{}, []byte{}},
	}
}

func TestResultTypes(t *testing.T) {
	t.Parallel()
	for name, c := range results() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The value, then NULL in its place, then NULL by bitmap.
			db := connect(t, handler(func(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
				columns := make([]tds.Column, 3)
				for i := range columns {
					columns[i] = tds.Column{Name: fmt.Sprint("c", i), Type: c.typ}
				}
				return errors.Join(a.Columns(columns...), a.Row(c.value, c.value, c.value), a.Row(c.value, nil, c.value), a.Row(nil, nil, c.value))
			}))
			rows, err := db.Query("select these")
			require.NoError(t, err)
			defer func() { require.NoError(t, rows.Close()) }()
			names, err := rows.Columns()
			require.NoError(t, err)
			assert.Equal(t, []string{"c0", "c1", "c2"}, names)
			for _, nulls := range [][3]bool{{}, {false, true, false}, {true, true, false}} {
				require.True(t, rows.Next())
				var got [3]any
				require.NoError(t, rows.Scan(&got[0], &got[1], &got[2]))
				for i, null := range nulls {
					switch want := c.want.(type) {
					case time.Time:
						if null {
							assert.Nil(t, got[i])
						} else if at, ok := got[i].(time.Time); assert.True(t, ok) {
							assert.True(t, want.Equal(at), "want %s, got %s", want, at)
							assert.Equal(t, want.Format(time.RFC3339), at.Format(time.RFC3339))
						}
					default:
						if null {
							want = nil
						}
						assert.Equal(t, want, got[i])
					}
				}
			}
			assert.False(t, rows.Next())
			require.NoError(t, rows.Err())
		})
	}
}

func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		typ   tds.Type
		value any
	}{
		{tds.TinyInt(), 256}, {tds.TinyInt(), -1}, {tds.SmallInt(), 40000}, {tds.Int(), int64(1) << 40}, {tds.Int(), "1"}, {tds.Bit(), 1},
		{tds.Numeric(3, 0), "1000"}, {tds.Numeric(3, 1), "1.55"}, {tds.Numeric(3, 0), "--1"}, {tds.Numeric(3, 0), ""}, {tds.Numeric(3, 1), big.NewInt(1)},
		{tds.DateTime(), time.Date(1752, 1, 1, 0, 0, 0, 0, time.UTC)}, {tds.NVarChar(3), "four"}, {tds.NVarChar(1), "𝄞"}, {tds.VarChar(9), "ü"},
		{tds.Char(1), "DD"}, {tds.VarBinary(1), []byte("ab")}, {tds.UniqueIdentifier(), "x"}, {tds.Float(), 1}, {tds.NVarChar(9), 1},
		{tds.NVarChar(5000), "x"}, {tds.VarChar(0), ""}, {tds.Numeric(39, 0), "1"}, {tds.Type{}, nil},
	} {
		var wrote error
		db := connect(t, handler(func(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
			if wrote = a.Columns(tds.Column{Name: "v", Type: c.typ}); wrote == nil {
				wrote = a.Row(c.value)
			}
			return nil
		}))
		_, err := db.Exec("select it")
		require.NoError(t, err)
		assert.Errorf(t, wrote, "%v in %s", c.value, c.typ)
	}
}

func TestParameters(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 2, 28, 23, 59, 58, 120_000_000, time.UTC)
	long := strings.Repeat("Grüße 𝄞 ", 20_000)
	id := mssql.UniqueIdentifier{}
	require.NoError(t, id.Scan(guidOnWire()))
	for name, c := range map[string]struct{ give, want any }{
		"int64":           {int64(-5), int64(-5)},
		"int32":           {int32(-5), int64(-5)},
		"int16":           {int16(-5), int64(-5)},
		"byte":            {byte(200), int64(200)},
		"bool":            {true, true},
		"float":           {2.5, 2.5},
		"string":          {"Größe 𝄞", "Größe 𝄞"},
		"empty string":    {"", ""},
		"long string":     {long, long},
		"nvarchar(max)":   {mssql.NVarCharMax("x"), "x"},
		"varchar":         {mssql.VarChar("2026-02-28T23:59:58.120"), "2026-02-28T23:59:58.120"},
		"varchar(max)":    {mssql.VarCharMax(strings.Repeat("x", 9000)), strings.Repeat("x", 9000)},
		"bytes":           {[]byte{0, 1, 255}, []byte{0, 1, 255}},
		"no bytes":        {[]byte{}, []byte{}},
		"long bytes":      {[]byte(long), []byte(long)},
		"guid":            {id, guid},
		"datetime":        {mssql.DateTime1(at), at},
		"time":            {at.Add(700), at.Add(700)},
		"null":            {nil, nil},
		"null string":     {sql.NullString{}, nil},
		"null int":        {sql.NullInt32{}, nil},
		"null bool":       {sql.NullBool{}, nil},
		"null time":       {sql.NullTime{}, nil},
		"numeric as text": {"36000000012800037", "36000000012800037"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got tds.Query
			db := connect(t, handler(func(_ context.Context, _ *tds.Session, q tds.Query, a *tds.Answer) error {
				got = q
				return nil
			}))
			_, err := db.Exec("BACKUP DATABASE @db TO DISK = @p2", sql.Named("db", c.give), "second")
			require.NoError(t, err)
			assert.Equal(t, "BACKUP DATABASE @db TO DISK = @p2", got.Text)
			require.Len(t, got.Params, 2)
			first, ok := got.Param("@DB")
			require.True(t, ok)
			second, ok := got.Param("@p2")
			require.True(t, ok)
			assert.Equal(t, "second", second.Value)
			if want, ok := c.want.(time.Time); ok {
				require.IsType(t, time.Time{}, first.Value)
				assert.True(t, want.Equal(first.Value.(time.Time)), "want %s, got %s", want, first.Value)
				return
			}
			assert.Equal(t, c.want, first.Value)
		})
	}
}

func TestProcedureByName(t *testing.T) {
	t.Parallel()
	db := connect(t, handler(func(_ context.Context, _ *tds.Session, q tds.Query, a *tds.Answer) error {
		return tds.Message{Number: 2812, State: 62, Class: 16, Text: "Could not find stored procedure '" + q.Procedure + "'."}
	}))
	_, err := db.Exec("sp_who")
	require.ErrorContains(t, err, "Could not find stored procedure 'sp_who'.")
}

func TestUnknownParameterType(t *testing.T) {
	t.Parallel()
	db := connect(t, one(tds.Int(), 1))
	_, err := db.Exec("select @p1", mssql.NChar("x"))
	require.ErrorContains(t, err, "Data type 0xEF is unknown")
	require.NoError(t, db.Ping(), "a new or the same connection works")
}

func TestLongBatch(t *testing.T) {
	t.Parallel()
	text := "select '" + strings.Repeat("é", 100_000) + "' as long"
	var got string
	db := connect(t, handler(func(_ context.Context, _ *tds.Session, q tds.Query, _ *tds.Answer) error {
		got = q.Text
		return nil
	}), "packet size", "512")
	_, err := db.Exec(text)
	require.NoError(t, err)
	assert.Equal(t, text, got)
}

func TestManyRowsInManyPackets(t *testing.T) {
	t.Parallel()
	const n = 5000
	for _, size := range []string{"512", "4096", "32767"} {
		db := connect(t, handler(func(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
			if err := a.Columns(tds.Column{Name: "i", Type: tds.Int()}, tds.Column{Name: "t", Type: tds.NVarChar(50)}); err != nil {
				return err
			}
			for i := range n {
				if err := a.Row(i, fmt.Sprint("row ", i)); err != nil {
					return err
				}
			}
			return nil
		}), "packet size", size)
		rows, err := db.Query("select many rows")
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		i := 0
		for ; rows.Next(); i++ {
			var v int
			var text string
			require.NoError(t, rows.Scan(&v, &text))
			require.Equal(t, i, v)
			require.Equal(t, fmt.Sprint("row ", i), text)
		}
		require.NoError(t, rows.Err())
		assert.Equal(t, n, i)
	}
}

func TestSeveralResultSets(t *testing.T) {
	t.Parallel()
	answer := handler(func(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
		return errors.Join(
			a.Columns(tds.Column{Name: "a", Type: tds.Int()}), a.Row(1), a.Done(),
			a.Done(), // a statement without rows
			a.Columns(tds.Column{Name: "b", Type: tds.NVarChar(9)}), a.Row("two"), a.Done(),
		)
	})
	for _, args := range [][]any{nil, {1}} {
		rows, err := connect(t, answer).Query("select two sets", args...)
		require.NoError(t, err)
		defer func() { require.NoError(t, rows.Close()) }()
		var got []string
		for more := true; more; more = rows.NextResultSet() {
			names, err := rows.Columns()
			require.NoError(t, err)
			for rows.Next() {
				var v string
				require.NoError(t, rows.Scan(&v))
				got = append(got, names[0]+"="+v)
			}
		}
		require.NoError(t, rows.Err())
		assert.Equal(t, []string{"a=1", "b=two"}, got)
	}
}

// failedBackup says what SQL Server does: the cause, then 3013.
func failedBackup(_ context.Context, _ *tds.Session, _ tds.Query, a *tds.Answer) error {
	return errors.Join(
		a.Message(tds.Message{Number: 3201, State: 1, Class: 16, Text: `Cannot open backup device 'S:\x.bak'. Operating system error 3.`}),
		a.Message(tds.Message{Number: 3013, State: 1, Class: 16, Text: "BACKUP DATABASE is terminating abnormally."}),
	)
}

func TestErrorsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	db := connect(t, handler(failedBackup))
	for _, args := range [][]any{nil, {"x"}} {
		_, err := db.Exec("BACKUP DATABASE x TO DISK = 'S:\\x.bak'", args...)
		var e mssql.Error
		require.ErrorAs(t, err, &e)
		assert.EqualValues(t, 3013, e.Number)
		require.Len(t, e.All, 2)
		assert.EqualValues(t, 3201, e.All[0].Number)
		assert.EqualValues(t, 3013, e.All[1].Number)
	}
}

func TestErrorAfterRows(t *testing.T) {
	t.Parallel()
	db := connect(t, handler(func(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
		return errors.Join(a.Columns(tds.Column{Name: "a", Type: tds.Int()}), a.Row(1), failedBackup(ctx, s, q, a))
	}))
	rows, err := db.Query("select and fail")
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	assert.True(t, rows.Next())
	assert.False(t, rows.Next())
	require.ErrorContains(t, rows.Err(), "3013")
}

func TestProgressArrivesWhileTheBatchRuns(t *testing.T) {
	t.Parallel()
	seen := make(chan string)
	db := connect(t, handler(func(ctx context.Context, s *tds.Session, q tds.Query, a *tds.Answer) error {
		for _, p := range []string{"10", "50", "100"} {
			m := tds.Message{Number: 3211, State: 1, Class: 10, Text: p + " percent processed."}
			if err := errors.Join(a.Message(m), a.Flush()); err != nil {
				return err
			}
			// Only after the client has it does the backup go on.
			if got := <-seen; got != m.Text {
				return fmt.Errorf("client has seen %q", got)
			}
		}
		return failedBackup(ctx, s, q, a)
	}))
	message := &sqlexp.ReturnMessage{}
	rows, err := db.QueryContext(t.Context(), "BACKUP DATABASE x TO DISK = 'y'", message)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var errs []int32
	for active := true; active; {
		switch m := message.Message(t.Context()).(type) {
		case sqlexp.MsgNotice:
			e, ok := m.Message.(mssql.Error)
			require.True(t, ok)
			assert.EqualValues(t, 3211, e.Number)
			seen <- e.Message
		case sqlexp.MsgError:
			var e mssql.Error
			require.ErrorAs(t, m.Error, &e)
			errs = append(errs, e.Number)
		case sqlexp.MsgNextResultSet:
			active = rows.NextResultSet()
		case sqlexp.MsgNext:
			t.Error("rows from a backup")
		}
	}
	assert.Equal(t, []int32{3201, 3013}, errs)
}

func TestFatalErrorEndsTheSession(t *testing.T) {
	t.Parallel()
	db := connect(t, handler(func(_ context.Context, _ *tds.Session, q tds.Query, a *tds.Answer) error {
		if q.Text != "die now" {
			return nil
		}
		return tds.Message{Number: 824, State: 2, Class: 24, Text: "I/O error."}
	}))
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	_, err = c.ExecContext(t.Context(), "die now")
	require.Error(t, err)
	_, err = c.ExecContext(t.Context(), "select 1")
	require.Error(t, err, "the connection must be dead")
	_ = c.Close()
	require.NoError(t, db.Ping())
}
