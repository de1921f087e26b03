package s3device_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"database/sql"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	mssql "github.com/microsoft/go-mssqldb"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/s3device"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// pipe hands the driver one end of a pipe and the server the other.
type pipe struct{ server *tds.Server }

func (p pipe) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { _ = p.server.ServeConn(context.Background(), server) }()
	return client, nil
}

func server(t *testing.T, roots *x509.CertPool) (*mssqlsim.Instance, *sql.DB) {
	t.Helper()
	in, err := mssqlsim.New(mssqlsim.Config{
		Name: "SIM", Now: func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) }, Media: mssqlsim.NewMemoryMedia(), Remote: s3device.Remote(roots),
	})
	require.NoError(t, err)
	s, err := tds.NewServer(tds.Config{Name: "SIM", Users: map[string]string{"sa": "secret"}, Handler: in})
	require.NoError(t, err)
	connector, err := mssql.NewConnector("sqlserver://sa:secret@127.0.0.1?encrypt=disable")
	require.NoError(t, err)
	connector.Dialer = pipe{server: s}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return in, db
}

// The statements of a real backup to URL, striped, and of the restore: against the endpoint of the product.
func TestStatements(t *testing.T) {
	t.Parallel()
	e, roots := endpoint(t)
	in, db := server(t, roots)
	require.NoError(t, in.CreateDatabase("sales", mssqlsim.Full))
	for i := range 30 {
		require.NoError(t, in.Insert("sales", fmt.Sprintf("order %d", i)))
	}
	require.NoError(t, in.Fill("sales", 24<<20))
	want, err := in.Contents("sales")
	require.NoError(t, err)
	exec := func(q string) error {
		_, err := db.ExecContext(t.Context(), q)
		return err
	}
	var stripes [2]bytes.Buffer
	var uploads [2]interface {
		Wait(context.Context) error
		Close()
	}
	var devices []string
	for i := range stripes {
		u, err := e.Receive(t.Context(), fmt.Sprintf("run/sales.%d", i), &stripes[i], func() error { return nil })
		require.NoError(t, err)
		uploads[i] = u
		devices = append(devices, "URL = N'"+u.URL+"'")
	}
	to := strings.Join(devices, ", ")
	backup := "BACKUP DATABASE sales TO " + to + " WITH FORMAT, CHECKSUM, COPY_ONLY, STATS = 20"
	require.ErrorContains(t, exec(backup), "Operating system error 50(", "there is no credential")
	c := e.Credential()
	require.NoError(t, exec("CREATE CREDENTIAL ["+c.Name+"/nobody] WITH IDENTITY = 'S3 Access Key', SECRET = 'no:body'"))
	require.NoError(t, exec("CREATE CREDENTIAL ["+c.Name+"] WITH IDENTITY = '"+c.Identity+"', SECRET = '"+c.Secret+"'"))
	require.NoError(t, exec(backup))
	var media []*mtf.Media
	for i, u := range uploads {
		require.NoError(t, u.Wait(t.Context()))
		u.Close()
		m, err := mtf.Verify(t.Context(), bytes.NewReader(stripes[i].Bytes()))
		require.NoError(t, err)
		media = append(media, m)
		o, err := e.Offer(t.Context(), fmt.Sprintf("run/sales.%d", i), int64(stripes[i].Len()), func(_ context.Context, off int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(stripes[i].Bytes()[off:])), nil
		})
		require.NoError(t, err)
		defer o.Close()
	}
	require.NoError(t, mtf.Group(media...)[0].Check())
	require.NoError(t, exec("RESTORE VERIFYONLY FROM "+to+" WITH CHECKSUM"))
	in.DropDatabase("sales")
	require.NoError(t, exec("RESTORE DATABASE sales FROM "+to+" WITH RECOVERY"))
	got, err := in.Contents("sales")
	require.NoError(t, err)
	assert.Equal(t, want, got)
	require.ErrorContains(t, exec("BACKUP DATABASE sales TO "+to), "(3296)", "nothing is added to an object")
}
