package esebcli_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

// TestUnderWine runs what is in the files for Windows against the stand-in for esebcli2.dll.
func TestUnderWine(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run: it is a program of its own, without the race detector")
	}
	t.Parallel()
	dll, err := esebcli2.Compile(t.Context(), t.TempDir())
	if errors.Is(err, esebcli2.ErrNoCompiler) {
		t.Log(err) // Run says the same
	} else {
		require.NoError(t, err)
	}
	winetest.Run(t, ".", "^Test", "QSIM_DLL="+winetest.Path(dll))
}
