package exchange

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

func TestUnderWine(t *testing.T) {
	t.Parallel()
	dll, err := esebcli2.Compile(t.Context(), t.TempDir())
	if !errors.Is(err, esebcli2.ErrNoCompiler) { // of which Run tells
		require.NoError(t, err)
	}
	winetest.Run(t, ".", "^Test", "QSIM_DLL="+winetest.Path(dll))
}
