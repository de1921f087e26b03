package esebcli_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/windows"

	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esebcli2"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

// standIn is the path of the stand-in for esebcli2.dll.
func standIn(t *testing.T) string {
	t.Helper()
	path := os.Getenv("QSIM_DLL")
	if path == "" {
		t.Skip("QSIM_DLL does not name the stand-in for esebcli2.dll; TestUnderWine does on Linux")
	}
	return path
}

// loaded is the stand-in as a Library. When the test ends nothing that it gave out may be left.
func loaded(t *testing.T) *esebcli.Library {
	t.Helper()
	lib, err := esebcli.Load(standIn(t))
	require.NoError(t, err)
	t.Cleanup(func() { assert.Zero(t, outstanding(t), "memory, sessions or files of the library were not given back") })
	return lib
}

func outstanding(t *testing.T) int32 {
	t.Helper()
	n, _, _ := windows.NewLazyDLL(standIn(t)).NewProc("QsimOutstanding").Call()
	return int32(n)
}

var (
	oneID = esebcli.GUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	twoID = esebcli.GUID{0xF1, 0xE2, 0xD3, 0xC4, 0xB5, 0xA6, 0x97, 0x88, 0x79, 0x6A, 0x5B, 0x4C, 0x3D, 0x2E, 0x1F, 0xFF}
)

// bigID does not fit into 32 bits, nor do its halves tell their order by accident.
const bigID = 0x1234567890ABCDEF

// server is an Exchange server with two storage groups, of which the first has two databases.
func server(t *testing.T) *esebcli2.Server {
	t.Helper()
	moment := time.Date(2007, 3, 9, 14, 5, 6, 0, time.UTC)
	now := func() time.Time { moment = moment.Add(time.Second); return moment }
	s, err := esebcli2.New(winetest.TempDir(t), "EXCH1", now,
		esebcli2.Group{ID: bigID, Name: "Erste Speichergruppe", Databases: []esebcli2.Database{{Name: "Postfächer", GUID: oneID, Mounted: true}, {Name: "public", GUID: twoID, Stream: true, Mounted: true}}},
		esebcli2.Group{ID: -2, Name: "second", Databases: []esebcli2.Database{{Name: "archive", Mounted: true}, {Name: "cold"}}},
	)
	require.NoError(t, err)
	t.Setenv("QSIM_EXCHANGE", s.Description())
	return s
}

// put writes a key into the databases of the first group.
func put(t *testing.T, s *esebcli2.Server, key, value string) {
	t.Helper()
	g := &s.Groups[0]
	for i := range g.Databases {
		require.NoError(t, s.Put(g, &g.Databases[i], key, g.Databases[i].Name+" "+value))
	}
}

// copied is the files of a backup by their paths at the server.
type copied map[string][]byte

// errLong is returned for more bytes than OpenFile promised.
var errLong = errors.New("more bytes than the size of the file")

// take reads a file to its end.
func (c copied) take(ctx context.Context, s esebcli.Session, path string) error {
	f, size, err := s.OpenFile(ctx, path, 65535)
	if err != nil {
		return err
	}
	var b []byte
	buf := make([]byte, 100000)
	for {
		n, err := f.Read(ctx, buf)
		b = append(b, buf[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return errors.Join(err, f.Close(ctx))
		}
		if int64(len(b)) > size {
			return errors.Join(errLong, f.Close(ctx))
		}
	}
	if int64(len(b)) != size {
		return errors.Join(io.ErrUnexpectedEOF, f.Close(ctx))
	}
	c[path] = b
	return f.Close(ctx)
}

// backUp backs a group up: all of it, or its logs.
func backUp(ctx context.Context, api esebcli.API, group string, t esebcli.BackupType, between func()) (c copied, logs []string, err error) {
	s, groups, err := api.Prepare(ctx, "EXCH1", esebcli.InformationStore)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, s.End(ctx)) }()
	c = copied{}
	for _, g := range groups {
		if g.Name != group {
			continue
		}
		if err := s.Setup(ctx, g.ID, t); err != nil {
			return nil, nil, err
		}
		for _, d := range g.Databases {
			for _, path := range d.Streams {
				if !d.Mounted || t == esebcli.LogsOnly {
					continue
				}
				if err := c.take(ctx, s, path); err != nil {
					return nil, nil, err
				}
				between()
			}
		}
		if logs, err = s.LogFiles(ctx); err != nil {
			return nil, nil, err
		}
		for _, path := range logs {
			if err := c.take(ctx, s, path); err != nil {
				return nil, nil, err
			}
		}
		return c, logs, errors.Join(s.TruncateLogs(ctx), s.EndInstance(ctx, true))
	}
	return nil, nil, errors.New("no such group")
}

// dismount makes the databases of a group ready for a restore and removes their files.
func dismount(t *testing.T, s *esebcli2.Server, g *esebcli2.Group) {
	t.Helper()
	for i := range g.Databases {
		d := &g.Databases[i]
		d.Mounted, d.Overwrite = false, true
		require.NoError(t, os.Remove(d.File))
	}
	require.NoError(t, s.Describe())
}

// bringBack restores files of a group, which holds for the databases in c, and recovers them.
func bringBack(t *testing.T, api esebcli.API, g esebcli2.Group, c copied, target string, flags esebcli.CompleteFlags) error {
	t.Helper()
	ctx := t.Context()
	r, err := api.RestoreOpen(ctx, "EXCH1", esebcli.InformationStore, g.Name, "")
	require.NoError(t, err)
	env, err := r.Environment(ctx)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(g.SystemDir, "restore"), env.RestoreLogPath)
	write := func(path string, b []byte) {
		f, atFileLevel, err := r.OpenFile(ctx, path)
		require.NoError(t, err)
		if atFileLevel {
			assert.Nil(t, f)
			require.NoError(t, os.WriteFile(path, b, 0o600))
			return
		}
		n, err := f.Write(ctx, b)
		require.NoError(t, err)
		require.Len(t, b, n)
		require.NoError(t, f.Close(ctx))
	}
	for _, d := range g.Databases {
		streams := []string{d.File}
		if d.StreamFile != "" {
			streams = append(streams, d.StreamFile)
		}
		to, err := r.AddDatabase(ctx, d.Name, d.GUID, streams)
		require.NoError(t, err)
		require.Equal(t, streams, to)
		for i := range to {
			require.Contains(t, c, streams[i])
			write(to[i], c[streams[i]])
			delete(c, streams[i])
		}
	}
	for path, b := range c {
		write(filepath.Join(env.RestoreLogPath, filepath.Base(path)), b)
	}
	require.NoError(t, r.SaveEnvironment(ctx))
	require.NoError(t, r.Close(ctx, false))

	r, err = api.RestoreReopen(ctx, "EXCH1", "", env.RestoreLogPath)
	require.NoError(t, err)
	err = r.Complete(ctx, env.RestoreLogPath, env.RestoreLogPath, target, flags)
	require.NoError(t, r.Close(ctx, err != nil))
	return err
}
