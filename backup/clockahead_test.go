package backup_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// A lease that expires later than its whole lifetime from now was written by a clock ahead of ours. Its time says nothing: the holder is dead when the record
// stands still, and alive when it is renewed.
func TestALeaseFromAClockAhead(t *testing.T) {
	for name, alive := range map[string]bool{"dead": false, "alive": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := backuptest.NewMemSink()
				renew := func() {
					at := time.Now().AddDate(15, 0, 0)
					text := fmt.Sprintf(`{"fence":1,"token":"t","holder":"other","renewed":%q,"expires":%q}`, at.Format(time.RFC3339Nano), at.Add(time.Minute).Format(time.RFC3339Nano))
					require.NoError(t, mem.Put(t.Context(), "books/lease/000000000001.json", strings.NewReader(text)))
				}
				renew()
				done := make(chan error)
				go func() {
					p, err := backup.New(backup.Config{Job: "books", Source: backuptest.NewLedger(nil).Source(nil), Sink: mem, LeaseTTL: time.Minute})
					if err == nil {
						_, err = p.Backup(t.Context(), backup.Full)
					}
					done <- err
				}()
				time.Sleep(20 * time.Second)
				if alive {
					renew()
				}
				if err := <-done; alive {
					require.ErrorIs(t, err, backup.ErrBusy)
				} else {
					require.NoError(t, err)
				}
			})
		})
	}
}
