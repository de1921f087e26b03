package oraclesim_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// A copy of a file, taken in backup mode, is brought forward by redo.
func Example() {
	dir, err := os.MkdirTemp("", "oraclesim")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	server, err := oraclesim.Create(oraclesim.Config{SID: "ORCL", Dir: dir, Now: func() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		fmt.Println(err)
		return
	}
	db := server.OpenDB(oraclesim.Login{})
	defer db.Close()
	run := func(statement string) {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			fmt.Println(err)
		}
	}
	run("ALTER TABLESPACE USERS BEGIN BACKUP")
	users := server.Files()[3].Path
	saved, _ := os.ReadFile(users)
	_, _ = server.Commit("USERS", "written while the file was copied")
	run("ALTER TABLESPACE USERS END BACKUP")

	run("ALTER DATABASE DATAFILE 4 OFFLINE")
	_ = os.WriteFile(users, saved, 0o600)
	run("ALTER DATABASE RECOVER AUTOMATIC TABLESPACE USERS")
	run("ALTER DATABASE DATAFILE 4 ONLINE")
	rows, err := server.Contents()
	fmt.Println(rows[0].Text, err)
	// Output: written while the file was copied <nil>
}
