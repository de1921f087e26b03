package mssqlsim_test

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	mssql "github.com/microsoft/go-mssqldb"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// pipe hands the driver one end of a pipe and the server the other: no port is needed.
type pipe struct{ server *tds.Server }

func (p pipe) DialContext(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	go func() { _ = p.server.ServeConn(context.Background(), server) }()
	return client, nil
}

// The genuine driver backs up a database, which is then lost, and restores it.
func Example() {
	instance, err := mssqlsim.New(mssqlsim.Config{
		Name:  "SIM",
		Now:   func() time.Time { return time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC) },
		Media: mssqlsim.NewMemoryMedia(`S:\backup`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = instance.CreateDatabase("sales", mssqlsim.Full)
	_ = instance.Insert("sales", "an order")
	server, err := tds.NewServer(tds.Config{Name: "SIM", Users: map[string]string{"sa": "secret"}, Handler: instance})
	if err != nil {
		fmt.Println(err)
		return
	}
	connector, err := mssql.NewConnector("sqlserver://sa:secret@127.0.0.1?encrypt=disable")
	if err != nil {
		fmt.Println(err)
		return
	}
	connector.Dialer = pipe{server: server}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()

	_, err = db.Exec("BACKUP DATABASE @db TO DISK = @path WITH INIT, CHECKSUM", sql.Named("db", "sales"), sql.Named("path", `S:\backup\sales.bak`))
	fmt.Println("backup:", err)
	_, err = db.Exec(`RESTORE DATABASE sales FROM DISK = 'S:\backup\sales.bak'`)
	fmt.Println("restore over it:", err)
	instance.DropDatabase("sales")
	_, err = db.Exec(`RESTORE DATABASE sales FROM DISK = 'S:\backup\sales.bak'`)
	contents, _ := instance.Contents("sales")
	fmt.Println("restore:", err, contents)
	// Output:
	// backup: <nil>
	// restore over it: mssql: The tail of the log for the database "sales" has not been backed up. Use BACKUP LOG WITH NORECOVERY to backup the log if it contains work you do not want to lose. Use the WITH REPLACE or WITH STOPAT clause of the RESTORE statement to just overwrite the contents of the log. (3159)
	// mssql: RESTORE DATABASE is terminating abnormally. (3013)
	// restore: <nil> [an order]
}

// A server writes its backups into a folder that has another name there, and they are files like SQL Server's.
func ExampleNewFileMedia() {
	folder, err := os.MkdirTemp("", "stage")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	media := mssqlsim.NewFileMedia(map[string]string{`S:\stage`: folder}, nil)
	local, err := media.Local(`S:\stage\sales.bak`)
	fmt.Println(filepath.Base(local), err)
	set := mssqlsim.Set{Type: mssqlsim.DatabaseSet, Database: "sales", Records: []mssqlsim.Record{{LSN: 1, Text: "an order"}}}
	device, err := media.Create(context.Background(), mssqlsim.Job{Path: `S:\stage\sales.bak`, Family: mssqlsim.Family{Sequence: 1, Count: 1}, Set: set})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer device.Close()
	fmt.Println(device.Commit(context.Background(), time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)))
	content, err := os.ReadFile(local)
	fmt.Println(string(content[:4]), err)
	// Output:
	// sales.bak <nil>
	// <nil>
	// TAPE <nil>
}
