package oracle

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// A run that is cancelled leaves nothing, though RMAN's channels outlive the program.
func TestRMANIsCancelled(t *testing.T) {
	t.Parallel()
	for _, word := range []string{"LEVEL 0", "ARCHIVELOG", "SPFILE"} {
		t.Run(word, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, nil)
			ctx, cancel := context.WithCancel(t.Context())
			reached, release := make(chan struct{}), make(chan struct{})
			var held bool
			l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
				if l.mu.Lock(); s.Program != "rman" || m != oraclesim.Inside || held || !strings.Contains(s.Text, word) {
					l.mu.Unlock()
					return nil
				}
				held = true
				l.mu.Unlock()
				close(reached)
				<-release
				return nil
			})
			go func() {
				<-reached
				cancel()
			}()
			p := l.pipeline()
			_, err := p.Backup(ctx, backup.Full)
			require.ErrorIs(t, err, context.Canceled)
			close(release) // the channel goes on, and finds that its session is gone
			require.Eventually(t, func() bool { return l.sim.Sessions() == 0 }, time.Minute, 10*time.Millisecond)
			require.NoError(t, l.source().Recover(t.Context(), "lab", backup.History{}))
			l.nothingLeft()
			l.take(backup.Full)
		})
	}
}

// An agent that dies at whatever statement leaves nothing that its next start does not remove, and nothing of others is touched.
func TestRMANDeathAtEveryStatement(t *testing.T) {
	t.Parallel()
	for _, kind := range []backup.Kind{backup.Full, backup.Differential, backup.Log} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, func(c *oraclesim.Config) { c.Blocks = 8 })
			l.rmanMust("BACKUP DATABASE FORMAT '" + t.TempDir() + "/%U' TAG 'THEIRS';")
			l.take(backup.Full)
			deaths := 0
			for n := 1; ; n += 3 {
				require.Less(t, n, 1000)
				l.commit(fmt.Sprint("row ", n))
				d := &death{n: n, moment: oraclesim.After}
				hook := d.hook(t, l.opt.StateDir)
				l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
					l.mu.Lock()
					defer l.mu.Unlock()
					return hook(s, m)
				})
				m, err := l.pipeline().Backup(t.Context(), kind)
				l.hooked(nil)
				if !d.dead {
					require.NoError(t, err)
					assert.Equal(t, kind, m.Items[0].Kind, m.Items[0].Reason)
					break
				}
				deaths++
				writeDir(t, l.opt.StateDir, d.state)
				h, herr := l.pipeline().History(t.Context())
				require.NoError(t, herr)
				require.NoError(t, l.source().Recover(t.Context(), "lab", h), "statement %d", n)
				require.Empty(t, l.pieces(), "statement %d", n)
				require.Empty(t, readDir(t, l.opt.StateDir), "statement %d", n)
				require.LessOrEqual(t, len(l.known()), 2, "statement %d: the last full, and what is of others", n)
				require.Contains(t, l.known(), "THEIRS")
			}
			assert.Greater(t, deaths, 5)
			m := l.take(backup.Differential)
			assert.Equal(t, backup.Differential, m.Items[0].Kind, m.Items[0].Reason)
		})
	}
}
