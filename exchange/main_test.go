package exchange

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if exit, ok := runStandIn(); ok {
		os.Exit(exit)
	}
	os.Exit(m.Run())
}
