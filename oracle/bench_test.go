package oracle

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// benchBlocks makes a data file of 32 MiB.
const benchBlocks = 4096

// benchRTT is what a round trip takes in the benchmark of remote reading: two machines of one site.
const benchRTT = 2 * time.Millisecond

// BenchmarkRemoteRead reads a data file over the database connection, through chunks and sessions, from a fake of the wire that answers the driver's BFILE calls from memory, on this machine, each after a round trip of 2 ms. It shows how
// far several sessions hide the way to the server. How fast a server reads, and a network carries, it does not show: nothing here is a server.
func BenchmarkRemoteRead(b *testing.B) {
	const size = 32 << 20
	for _, connections := range []int{1, 4, 8} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			s := &ttc{size: oneFile("DATA/users.dbf", size), at: func(string, int64, []byte) {}, before: func(int, int64) error {
				time.Sleep(benchRTT)
				return nil
			}}
			src, err := New(s.dsn(b), &Options{Mode: ModeRemote, StateDir: b.TempDir(), ScratchDir: "/scratch", Connections: connections, ChunkSize: 256 << 10})
			require.NoError(b, err)
			defer src.Close()
			r := newRemote(src, "bench")
			r.directories["/u01"] = "DATA"
			defer r.close(b.Context())
			b.SetBytes(size)
			for b.Loop() {
				in, err := r.open(b.Context(), "/u01/users.dbf")
				require.NoError(b, err)
				n, err := io.Copy(struct{ io.Writer }{io.Discard}, in)
				require.NoError(b, err)
				require.EqualValues(b, size, n)
				require.NoError(b, in.Close())
			}
		})
	}
}

// BenchmarkLocalCopy reads a data file of the simulator from the page cache, and checks every block on the way: the agent's own share of a local full.
func BenchmarkLocalCopy(b *testing.B) {
	l := newLab(b, nil, func(c *oraclesim.Config) {
		c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS", Blocks: benchBlocks}}
	})
	var inv *Inventory
	require.NoError(b, l.source().with(b.Context(), func(c *session) (err error) {
		inv, err = c.survey(b.Context())
		return err
	}))
	require.NoError(b, l.sim.Shutdown(false)) // no block is half written then
	d := &inv.DataFiles[len(inv.DataFiles)-1]
	info, err := os.Stat(d.Name)
	require.NoError(b, err)
	require.Greater(b, info.Size(), int64(benchBlocks*8192))
	b.SetBytes(info.Size())
	for b.Loop() {
		in, err := local{}.open(b.Context(), d.Name)
		require.NoError(b, err)
		_, err = inv.checkData(b.Context(), in, d)
		require.NoError(b, err)
		require.NoError(b, in.Close())
	}
}

// BenchmarkLogRun is a whole log run on the simulator, of a database with few and with many data files: its cost should be that of the log. What grows with the number of files is the inventory, which lists them all.
func BenchmarkLogRun(b *testing.B) {
	for _, files := range []int{4, 64, 256} {
		b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
			l := newLab(b, nil, func(c *oraclesim.Config) {
				c.Blocks, c.Tablespaces = 8, []oraclesim.Tablespace{{Name: "USERS", Files: files, Blocks: 16}}
			})
			p, err := backup.New(backup.Config{Job: "bench", Source: l.source(), Sink: l.sink, Stager: backup.DirStager{Dir: filepath.Join(l.dir, "stage")}})
			require.NoError(b, err)
			_, err = p.Backup(b.Context(), backup.Full)
			require.NoError(b, err)
			statements := len(l.sim.Statements())
			runs := 0
			for b.Loop() {
				m, err := p.Backup(context.Background(), backup.Log)
				require.NoError(b, err)
				require.Equal(b, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
				runs++
			}
			b.ReportMetric(float64(len(l.sim.Statements())-statements)/float64(runs), "statements/op")
		})
	}
}
