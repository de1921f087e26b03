package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// seeded is a random source whose seed the log tells; QUIESCE_ORACLE_SEED repeats one.
func seeded(t *testing.T) (random *rand.Rand, seed uint64) {
	t.Helper()
	seed = rand.Uint64() //nolint:gosec // a test
	if text := os.Getenv("QUIESCE_ORACLE_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("to repeat it: QUIESCE_ORACLE_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0)), seed //nolint:gosec // a test
}

// A full, its logs, another full and its logs, all taken while sessions commit: restores to random times and SCNs bring back what the ledger says was there, no more and no less, and so does the restore to the end.
func TestRestoresEqualTheLedger(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opt     Options
		threads int
	}{
		"local": {Options{}, 1}, "local two threads": {Options{WholeDatabase: true}, 2}, "remote": {Options{Mode: ModeRemote, ChunkSize: 64 << 10}, 1},
		"remote two threads": {Options{Mode: ModeRemote, Connections: 2, Files: 3}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random, seed := seeded(t)
			l := newLab(t, &c.opt, func(o *oraclesim.Config) {
				o.Seed, o.Threads, o.Tablespaces, o.Blocks = seed, c.threads, []oraclesim.Tablespace{{Name: "USERS", Files: 2}, {Name: "SALES"}}, 60
			})
			l.programs()
			l.workload(c.threads, 120)
			first := l.take(backup.Full)
			kinds := []backup.Kind{backup.Log, backup.Log, backup.Full, backup.Log, backup.Log}
			var last *backup.Manifest
			for _, kind := range kinds {
				l.workload(c.threads, 40)
				last = l.take(kind)
				require.Equal(t, kind, last.Items[0].Kind, last.Items[0].Reason)
			}
			l.hooked(nil)
			truth := l.truth()
			from, to := l.window()
			begin, err := ParsePosition(first.Items[0].End)
			require.NoError(t, err)
			end, err := ParsePosition(last.Items[0].End)
			require.NoError(t, err)
			rounds := 30
			if testing.Short() {
				rounds = 4 // each starts processes, which takes long under the race detector
			}
			for n := range rounds {
				target := backup.Target{}
				in := func(r oraclesim.Record) bool { return SCN(r.SCN) < end }
				switch n % 3 {
				case 1:
					scn := begin + SCN(random.Uint64N(uint64(end-begin)))
					target = backup.Target{Position: scn.Position(), Select: []backup.Selection{{Name: itemName}}}
					in = func(r oraclesim.Record) bool { return SCN(r.SCN) < scn }
				default:
					if n == 0 {
						break
					}
					at := from.Add(time.Duration(random.Int64N(int64(to.Sub(from)))))
					target = backup.Target{Time: at}
					in = func(r oraclesim.Record) bool { return r.At.Before(at.Truncate(time.Second)) }
				}
				l.lose()
				require.NoError(t, l.restore(target, false, with(open, "execute", "sqlplus")), "%+v", target)
				require.Equal(t, below(truth, in), l.contents(), "%+v", target)
			}
		})
	}
}

// workload commits at every statement that a session of the agent runs from now on, most times, on all threads, with checkpoints between.
func (l *lab) workload(threads, most int) {
	var writes atomic.Int32 // of several sessions
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if m != oraclesim.Before || s.Program != "sql" {
			return nil
		}
		n := int(writes.Add(1))
		if n > most {
			return nil
		}
		if _, err := l.sim.CommitOn(1+n%threads, []string{"USERS", "SALES"}[n%2], fmt.Sprintf("%d %s", n, strings.Repeat("x", 40))); err != nil {
			return err
		}
		if n%5 == 0 {
			return l.sim.Checkpoint()
		}
		return nil
	})
}
