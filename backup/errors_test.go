package backup_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func TestErrorsDoNotRepeatThemselves(t *testing.T) {
	t.Parallel()
	cause := errors.New("no route")
	login := &backup.Error{Op: "connect to", App: "mysql", Instance: "db1", Err: cause}
	check := &backup.Error{Op: "check", App: "mysql", Artifact: "server is reachable", Err: login}
	for want, err := range map[string]error{
		"mysql: back up db1 1: check server is reachable: connect to db1: no route": &backup.Error{Op: "back up", App: "mysql", Instance: "db1", ID: "1", Err: check},
		"mysql: connect to db1 1: no route":                                         &backup.Error{Op: "connect to", App: "mysql", Instance: "db1", ID: "1", Err: login},
		"mysql: connect to db2: connect to db1: no route":                           &backup.Error{Op: "connect to", App: "mysql", Instance: "db2", Err: login},
		"put part: mysql: connect to db1: no route":                                 &backup.Error{Op: "put part", Err: login},
		"list": &backup.Error{Op: "list"},
	} {
		require.EqualError(t, err, want)
		if want != "list" {
			require.ErrorIs(t, err, cause)
		}
	}
}
