package exchange

import (
	"testing"

	"github.com/quiesce-go/quiesce/internal/winetest"
)

// The programs that this agent starts, by their stand-ins, as Windows starts them: the gate is a batch file of cmd.exe there.
func TestProgramsUnderWine(t *testing.T) {
	winetest.Run(t, ".", "^(TestDiskshadow|TestGate|TestProgram|TestPowerShell|TestSystemVolumes)")
}
