package sqlite_test

import (
	"testing"

	"github.com/quiesce-go/quiesce/backup/backuptest"
)

func TestSource(t *testing.T) { backuptest.TestSource(t, newLibrary) }
