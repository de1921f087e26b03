package exchange_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
)

// On a machine that is none of Windows a check says what each part of a backup and a restore would need, and a run fails with the same.
func TestMachineWithoutExchange(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the tools are looked for there")
	}
	for _, way := range []exchange.Way{exchange.WayAuto, exchange.WayESE, exchange.WayVSS} {
		s, err := exchange.New(&exchange.Options{StateDir: t.TempDir(), Way: way})
		require.NoError(t, err)
		var all []string
		for _, f := range s.Check(t.Context(), backup.StageDir{}) {
			if f.Err != nil {
				assert.ErrorIs(t, f.Err, errors.ErrUnsupported, f.What)
				assert.NotEmpty(t, f.Hint, f.What)
			}
			all = append(all, f.What+": "+f.Hint)
		}
		text := strings.Join(all, "\n")
		for _, need := range []string{"diskshadow", "esebcli2.dll", "Exchange Management Shell", "wbadmin", "eseutil"} {
			assert.Contains(t, text, need, "way %q", way)
		}
		_, err = s.Backup(t.Context(), backup.Request{Kind: backup.Full, Job: "mail"}, nil)
		require.ErrorIs(t, err, errors.ErrUnsupported)
		require.NoError(t, s.Close())
	}
}
