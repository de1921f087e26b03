package mssql

import (
	"context"
	"errors"
	"testing"
	"time"

	driver "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// connect opens a session of a source.
func (s *site) connect() *session {
	s.Helper()
	c, err := s.source(nil).open(s.Context())
	require.NoError(s, err)
	s.Cleanup(c.close)
	return c
}

func TestCauseComesBeforeTheEnd(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.connect()
	err := c.run(t.Context(), statement{SQL: `BACKUP DATABASE model TO DISK = 'S:\nowhere\x'`, What: "back up model"}, nil)
	assert.EqualValues(t, 3201, number(err), "not 3013, which comes last")
	assert.True(t, said(err, errTerminating))
	require.EqualError(t, err, `back up model: Cannot open backup device 'S:\nowhere\x'. Operating system error 3(The system cannot find the path specified.). (error 3201)`)
	var e driver.Error
	require.ErrorAs(t, err, &e)
	assert.EqualValues(t, 3201, e.Number, "the driver's own error is reachable")
	assert.Len(t, e.All, 2)
	require.NoError(t, c.run(t.Context(), statement{SQL: "USE master", What: "go on"}, nil), "the session serves on")
	_, err = c.query(t.Context(), "SELECT nothing FROM sys.databases")
	assert.EqualValues(t, 207, number(err))
}

func TestProgress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var seen []int
	c := s.connect()
	require.NoError(t, c.run(t.Context(), backupStatement("model", []device{{Path: `S:\foreign\m.bak`}}, backupOptions{}), func(p int) { seen = append(seen, p) }))
	assert.Len(t, seen, 20)
	assert.IsIncreasing(t, seen)
	assert.Equal(t, 100, seen[19])
	for text, want := range map[string]int{"40 percent processed.": 40, "Vorgang zu 7 Prozent verarbeitet.": 7, "100%": 100} {
		p, ok := percent(driver.Error{Number: 3211, Message: text})
		assert.True(t, ok, text)
		assert.Equal(t, want, p, text)
	}
	_, ok := percent(driver.Error{Number: 3211, Message: "no number"})
	assert.False(t, ok)
	_, ok = percent(driver.Error{Number: 4035, Message: "Processed 8 pages"})
	assert.False(t, ok)
}

func TestCancelledStatement(t *testing.T) {
	t.Parallel()
	for name, why := range map[string]error{"cancel": context.Canceled, "deadline": context.DeadlineExceeded, "reason": errors.New("stalled")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			s := newSite(t, func(c *mssqlsim.Config) {
				c.Pace = func(ctx context.Context, _ string, _ int) error {
					cancel(why)
					<-ctx.Done()
					return nil
				}
			})
			c := s.connect()
			err := c.run(ctx, backupStatement("model", []device{{Path: `S:\foreign\m.bak`}}, backupOptions{}), nil)
			require.ErrorIs(t, err, why)
			assert.Zero(t, number(err), "what the server says of a cancelled statement does not matter")
		})
	}
}

func TestConnectionBreaksInABackup(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *mssqlsim.Config) {
		c.Pace = func(_ context.Context, database string, _ int) error {
			if database == "sales" {
				return errors.New("power failure")
			}
			return nil
		}
	})
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	m, err := s.try(s.pipeline(s.source(&Options{Include: []string{"sales", "model"}})), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Contains(t, s.item(m, "sales").Error, "check that it runs")
	assert.False(t, s.item(m, "model").Failed())
	assert.Empty(t, s.staged())
}

func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	src, err := New("sqlserver://sa:s3cr3t@127.0.0.1:1/inst", nil)
	require.NoError(t, err)
	_, err = src.open(t.Context())
	require.Error(t, err)
	for _, text := range []string{err.Error(), backup.Hint(err), src.String(), src.GoString(), src.LogValue().String()} {
		assert.NotContains(t, text, "s3cr3t")
	}
	assert.Equal(t, `127.0.0.1\inst`, src.Describe().Instance)
	require.NoError(t, src.Close())
	for _, dsn := range []string{"sqlserver://sa:s3cr3t@host:port", "sqlserver://sa:s3cr3t%zz@host", "sqlserver://sa:s3cr3t@host?encrypt=perhaps"} {
		_, err := New(dsn, nil)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "s3cr3t")
		assert.NotEmpty(t, backup.Hint(err))
	}
}

func TestHeaderTimesAreMoments(t *testing.T) {
	t.Parallel()
	local := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) // as the driver labels a datetime
	header := func(columns map[string]any) (chain.Set, error) {
		r := row{at: map[string]int{}}
		for k, v := range map[string]any{"backuptype": int64(1), "backupstartdate": local, "backupfinishdate": local} {
			if _, ok := columns[k]; !ok {
				columns[k] = v
			}
		}
		for k, v := range columns {
			r.at[k] = len(r.values)
			r.values = append(r.values, v)
		}
		return setFrom(r, 2*time.Hour)
	}
	set, err := header(map[string]any{})
	require.NoError(t, err)
	assert.Equal(t, "2026-03-01T06:00:00Z", set.Started.Format(time.RFC3339), "by the server's offset now")
	set, err = header(map[string]any{"timezone": int64(-20)})
	require.NoError(t, err)
	assert.Equal(t, "2026-03-01T13:00:00Z", set.Started.Format(time.RFC3339), "by the header's own offset in quarter hours")
	assert.Equal(t, -300, set.ZoneMinutes)
	set, err = header(map[string]any{"timezone": int64(127)})
	require.NoError(t, err)
	assert.Equal(t, 120, set.ZoneMinutes, "127 is unknown")
	set, err = header(map[string]any{"firstlsn": []byte("36000000012800001"), "flags": int64(64 | 128), "encryptorthumbprint": []byte{0xAB}})
	require.NoError(t, err)
	assert.Equal(t, mtf.LSN{VLF: 36, Block: 128, Slot: 1}, set.FirstLSN)
	assert.True(t, set.Tail && set.IncompleteMetadata)
	assert.Equal(t, "ab", set.EncryptorThumbprint)
	for _, bad := range []map[string]any{{"backuptype": int64(4)}, {"firstlsn": "x"}, {"familyguid": "x"}} {
		_, err := header(bad)
		require.Error(t, err, bad)
	}
}
