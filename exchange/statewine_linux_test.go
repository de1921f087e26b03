package exchange

import (
	"testing"

	"github.com/quiesce-go/quiesce/internal/winetest"
)

// The programs that save the system state and recover databases, started as Windows starts them.
func TestStateAndRecoveryUnderWine(t *testing.T) {
	winetest.Run(t, ".", "^Test(SystemState(Is|That|Of)|.*Wbadmin|NotesOf|Ntdsutil|Eseutil|StandIns|JETErrors|Configured)")
}
