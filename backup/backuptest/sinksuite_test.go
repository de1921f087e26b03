package backuptest

import (
	"testing"

	"github.com/quiesce-go/quiesce/backup"
)

func TestMemSinkKeepsTheContract(t *testing.T) {
	TestSink(t, func(*testing.T) backup.Sink { return NewMemSink() })
}

func TestFaultySinkWithoutFaultsKeepsTheContract(t *testing.T) {
	TestSink(t, func(*testing.T) backup.Sink { return NewFaultySink(NewMemSink()) })
}
