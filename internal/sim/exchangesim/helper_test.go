package exchangesim_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/ese"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// world is a server and its clock, which goes on by a second at each write.
type world struct {
	*exchangesim.Server
	t   *testing.T
	now time.Time
	n   int
}

var start = time.Date(2008, 5, 6, 7, 8, 9, 0, time.UTC)

// two are groups of one and two databases.
func two(version int) []exchangesim.Group {
	if version >= 2010 {
		return []exchangesim.Group{{Name: "one", Databases: []exchangesim.Database{{Name: "one"}}}, {Name: "two", Databases: []exchangesim.Database{{Name: "two"}}}}
	}
	return []exchangesim.Group{{Name: "First", Databases: []exchangesim.Database{{Name: "mail", File: "D/a/priv.edb"}, {Name: "public", File: "D/b/priv.edb"}}}, {Name: "Second", Databases: []exchangesim.Database{{Name: "other"}}}}
}

func serve(t *testing.T, version int, groups ...exchangesim.Group) *world {
	w := &world{t: t, now: start}
	if groups == nil {
		groups = two(version)
	}
	s, err := exchangesim.New(filepath.Join(t.TempDir(), "server"), exchangesim.Config{Version: version, Groups: groups, Now: func() time.Time { return w.now }})
	require.NoError(t, err)
	w.Server = s
	return w
}

// write makes n changes to some twenty keys.
func (w *world) write(db string, n int) {
	for range n {
		w.n++
		w.now = w.now.Add(time.Second)
		require.NoError(w.t, w.Write(db, fmt.Sprint("key", w.n%20), strings.Repeat(fmt.Sprint("value", w.n, " "), 150)))
	}
}

func (w *world) layout() exchange.Layout {
	l, err := w.Tools().Management.Layout(w.t.Context())
	require.NoError(w.t, err)
	return l
}

func (w *world) group(name string) exchange.Group {
	for _, g := range w.layout().Groups {
		if g.Name == name {
			return g
		}
	}
	w.t.Fatal("no group ", name)
	return exchange.Group{}
}

func (w *world) read(db string) map[string]string {
	m, err := w.Read(db)
	require.NoError(w.t, err)
	return m
}

// closed are the closed logs in a folder.
func closed(t *testing.T, dir string) (names []string) {
	all, err := filepath.Glob(filepath.Join(dir, "E*.log"))
	require.NoError(t, err)
	for _, f := range all {
		if n, ok := ese.ParseLogName(filepath.Base(f)); ok && n.Generation > 0 {
			names = append(names, filepath.Base(f))
		}
	}
	return names
}

func answered(t *testing.T, err error, want esebcli.HRESULT) {
	t.Helper()
	require.Error(t, err)
	assert.True(t, errors.Is(err, want), "%v is not %v", err, want) // there may be two answers in the tree
}

func session(t *testing.T, a esebcli.API, group string) (esebcli.Session, esebcli.Instance) {
	x, instances, err := a.Prepare(t.Context(), "", esebcli.InformationStore)
	require.NoError(t, err)
	for _, i := range instances {
		if i.Name == group {
			return x, i
		}
	}
	t.Fatal("no instance ", group)
	return nil, esebcli.Instance{}
}

// fetch reads a file of a session to its end.
func fetch(ctx context.Context, x esebcli.Session, path string) ([]byte, error) {
	f, size, err := x.OpenFile(ctx, path, 65535)
	if err != nil {
		return nil, err
	}
	var all []byte
	buf := make([]byte, 65535)
	for {
		n, err := f.Read(ctx, buf)
		all = append(all, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return all, err
		}
	}
	if int64(len(all)) != size {
		return all, fmt.Errorf("%d bytes, and %d were promised", len(all), size)
	}
	return all, f.Close(ctx)
}

// copies are files of a backup by their paths on the server.
type copies struct {
	dbs   map[string]map[string][]byte // by database, by path
	order map[string][]string
	ids   map[string]esebcli.GUID
	logs  map[string][]byte // by name
}

func newCopies() *copies {
	return &copies{dbs: map[string]map[string][]byte{}, order: map[string][]string{}, ids: map[string]esebcli.GUID{}, logs: map[string][]byte{}}
}

// stream backs a group up, with a busy server, and truncates unless keep.
func (w *world) stream(a esebcli.API, group string, kind esebcli.BackupType, keep bool, c *copies) {
	t, ctx := w.t, w.t.Context()
	x, i := session(t, a, group)
	require.NoError(t, x.Setup(ctx, i.ID, kind))
	if kind != esebcli.LogsOnly {
		for _, d := range i.Databases {
			if !d.Mounted {
				continue
			}
			c.dbs[d.Name], c.order[d.Name], c.ids[d.Name] = map[string][]byte{}, d.Streams, d.GUID
			for _, s := range d.Streams {
				b, err := fetch(ctx, x, s)
				require.NoError(t, err)
				c.dbs[d.Name][s] = b
				w.write(group+"/"+d.Name, 7)
			}
		}
	}
	logs, err := x.LogFiles(ctx)
	require.NoError(t, err)
	for _, l := range logs {
		b, err := fetch(ctx, x, l)
		require.NoError(t, err)
		c.logs[filepath.Base(l)] = b
	}
	if !keep {
		require.NoError(t, x.TruncateLogs(ctx))
	}
	require.NoError(t, x.EndInstance(ctx, true))
	require.NoError(t, x.End(ctx))
}

// put writes a file with its folder.
func put(t *testing.T, path string, b []byte) {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
	require.NoError(t, os.WriteFile(path, b, 0o600))
}
