package exchange

import (
	"testing"

	"github.com/quiesce-go/quiesce/internal/winetest"
)

// The programs that this agent starts, by their stand-ins, as Windows starts them: the gate of diskshadow is a batch file of cmd.exe there.
func TestProgramsUnderWine(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run: it is a program of its own, without the race detector")
	}
	winetest.Run(t, ".", "^Test(Diskshadow|Gate|Program|PowerShell|SystemVolumes|SystemState(Is|That|Of)|.*Wbadmin|NotesOf|Ntdsutil|Eseutil|StandIns|JETErrors|Configured)")
}
