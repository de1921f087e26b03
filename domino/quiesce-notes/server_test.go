package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim/libnotes"
)

// way is a way to a server's API.
type way struct {
	name string
	open func(t *testing.T, s *dominosim.Server) notes.API
}

// ways are all to the same rules: the model itself, the model behind the protocol, and the library in C that the program loads.
var ways = [...]way{
	{"model", func(_ *testing.T, s *dominosim.Server) notes.API { return s.Process() }},
	{"model behind the protocol", func(t *testing.T, s *dominosim.Server) notes.API {
		near, far := net.Pipe()
		go func() { _ = notes.Serve(context.Background(), far, s.Process()) }()
		api, err := notes.Connect(t.Context(), near)
		require.NoError(t, err)
		return api
	}},
	{"library in C", func(t *testing.T, s *dominosim.Server) notes.API {
		return start(t, s)
	}},
}

// start runs the program with the library in C at a server.
func start(t *testing.T, s *dominosim.Server, env ...string) notes.API {
	t.Helper()
	library, ini := serverCommand(t, s)
	c := command(t, library, env...)
	c.INI = ini
	api, err := notes.Start(t.Context(), c)
	require.NoError(t, err)
	return api
}

// serverCommand is what the program is given to be at a server.
func serverCommand(t *testing.T, s *dominosim.Server) (library, ini string) {
	t.Helper()
	library, err := standIn()
	if errors.Is(err, libnotes.ErrNoCompiler) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return library, s.IniPath()
}

func newServer(t *testing.T) *dominosim.Server {
	t.Helper()
	s, err := dominosim.New(t.TempDir(), dominosim.Config{Clock: time.Now, Style: notes.LogArchive, ExtentSize: 16 << 10})
	require.NoError(t, err)
	return s
}

const (
	mail  = "mail/jdoe.nsf"
	names = "names.nsf"
)

// round is a backup of a server and what was restored of it: the calls of an agent in their order, each of which may fail.
type round struct {
	s      *dominosim.Server
	th     notes.Thread
	dir    string // for what is backed up
	writes int

	middle   map[string]string // of mail, at then
	then     time.Time
	done     []uint32
	asked    []uint32
	restored map[string]string
}

func newRound(t *testing.T, s *dominosim.Server) *round {
	t.Helper()
	require.NoError(t, s.CreateDB(mail, dominosim.DB{Title: "Jane Doe"}))
	require.NoError(t, s.CreateDB(names, dominosim.DB{Title: "Directory"}))
	r := &round{s: s, dir: t.TempDir()}
	require.NoError(t, r.write(30))
	return r
}

func (r *round) write(n int) error {
	for range n {
		r.writes++
		if err := r.s.Write(mail, fmt.Sprintf("k%03d", r.writes%50), fmt.Sprintf("%0200d", r.writes)); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) run(ctx context.Context, api notes.API) (err error) {
	if r.th, err = api.Thread(ctx); err != nil {
		return err
	}
	for _, step := range [...]func(context.Context) error{r.look, r.full, r.history, r.archive, r.inPlace, r.beside} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return r.th.End()
}

func (r *round) look(ctx context.Context) error {
	dir, err := r.th.DataDirectory(ctx)
	if err != nil {
		return err
	}
	style, err := r.th.LogStyle(ctx)
	if err != nil {
		return err
	}
	_, is, err := r.th.Environment(ctx, "TRANSLOG_Path")
	if err == nil && (dir != r.s.DataDir() || style != notes.LogArchive || !is) {
		err = fmt.Errorf("data directory %s, style %d, log directory %v", dir, style, is)
	}
	return err
}

func (r *round) full(ctx context.Context) error {
	for _, db := range []string{mail, names} {
		if err := r.copy(ctx, db); err != nil {
			return err
		}
	}
	return nil
}

func (r *round) stored(db string) string { return filepath.Join(r.dir, filepath.Base(db)) }

func (r *round) copy(ctx context.Context, db string) error {
	h, err := r.th.Open(ctx, db)
	if err != nil {
		return err
	}
	c, size, err := r.th.BackupStart(ctx, h)
	if err != nil {
		return err
	}
	_, err = r.th.LogInfo(ctx, h)
	if err != nil {
		return err
	}
	if err := r.bytes(ctx, h, c, r.stored(db), size); err != nil {
		return err
	}
	if err := r.th.BackupStop(ctx, h, c); err != nil {
		return err
	}
	if err := r.changes(ctx, h, c, r.stored(db)); err != nil {
		return err
	}
	if err := r.th.BackupEnd(ctx, h, c, false); err != nil {
		return err
	}
	return r.th.Close(ctx, h)
}

// bytes copies the file while it is written to.
func (r *round) bytes(ctx context.Context, h notes.Handle, c notes.BackupContext, to string, size int64) error {
	path, err := r.th.Path(ctx, h)
	if err != nil {
		return err
	}
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	var all bytes.Buffer
	for n := int64(0); n < size; {
		if err := r.write(1); err != nil {
			return err
		}
		m, err := io.CopyN(&all, in, min(8192, size-n))
		if err != nil {
			return err
		}
		n += m
		if err := r.th.BackupHighWater(ctx, h, c, n); err != nil {
			return err
		}
	}
	return os.WriteFile(to, all.Bytes(), 0o600)
}

func (r *round) changes(ctx context.Context, h notes.Handle, c notes.BackupContext, to string) error {
	size, err := r.th.ChangeInfoSize(ctx, h, c)
	if err != nil {
		return err
	}
	a, err := r.th.ApplyStart(ctx, to, size)
	if err != nil {
		return err
	}
	buf := make([]byte, 5000)
	for {
		n, err := r.th.NextChangeInfo(ctx, h, c, buf)
		if err != nil {
			return err
		}
		if n == 0 {
			return r.th.ApplyEnd(ctx, a, false)
		}
		if err := r.th.Apply(ctx, a, buf[:n]); err != nil {
			return err
		}
	}
}

// history goes on after the full, with a moment to come back to.
func (r *round) history(context.Context) (err error) {
	if err := r.write(60); err != nil {
		return err
	}
	if r.middle, err = r.s.Read(mail); err != nil {
		return err
	}
	r.then, _ = r.s.LastTransaction(mail)
	time.Sleep(20 * time.Millisecond) // TIMEDATEs have hundredths of a second
	if err := r.write(60); err != nil {
		return err
	}
	return nil
}

// archive stores all full extents, and the one that is not.
func (r *round) archive(ctx context.Context) error {
	if err := r.th.ArchivingBegin(ctx); err != nil {
		return err
	}
	for e, err := r.th.FirstLog(ctx); ; e, err = r.th.NextLog(ctx) {
		if err != nil && !errors.Is(err, notes.StatusNoTransLogsToArchive) {
			return err
		}
		partial := err != nil
		if err := copyFile(e.Path, r.extent(e.Number)); err != nil {
			return err
		}
		if partial {
			break
		}
		if err := r.th.LogDone(ctx, e.LogID, e.Number); err != nil {
			return err
		}
		r.done = append(r.done, e.Number)
	}
	return r.th.ArchivingEnd(ctx)
}

func (r *round) extent(n uint32) string { return filepath.Join(r.dir, fmt.Sprint(n)) }

func (r *round) put(_ context.Context, _ notes.UNID, n uint32, path string) error {
	r.asked = append(r.asked, n)
	return copyFile(r.extent(n), path)
}

// inPlace restores the latest state of mail.
func (r *round) inPlace(ctx context.Context) error {
	path := filepath.Join(r.s.DataDir(), filepath.FromSlash(mail))
	if err := r.th.TakeOffline(ctx, path, time.Second); err != nil {
		return err
	}
	if err := copyFile(r.stored(mail), path); err != nil {
		return err
	}
	if _, err := r.th.Recover(ctx, []string{path}, 0, time.Time{}, r.put); err != nil {
		return err
	}
	return r.th.BringOnline(ctx, path)
}

// beside restores an earlier state of mail as another database.
func (r *round) beside(ctx context.Context) error {
	path := filepath.Join(r.s.DataDir(), "then.nsf")
	if err := copyFile(r.stored(mail), path); err != nil {
		return err
	}
	res, err := r.th.Recover(ctx, []string{path}, notes.RecoverPointInTime|notes.RecoverZapReplicaID, r.then, r.put)
	if err != nil {
		return err
	}
	if !res.Last.Equal(r.then.Truncate(10 * time.Millisecond)) {
		return fmt.Errorf("recovered to %v, want %v", res.Last, r.then)
	}
	r.restored, err = r.s.Read("then.nsf")
	return err
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o600)
}

func TestABackupAndItsRestores(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			r := newRound(t, s)
			api := w.open(t, s)
			defer api.Close()
			require.NoError(t, r.run(t.Context(), api))
			assert.NotEmpty(t, r.done)
			assert.IsIncreasing(t, r.done)
			assert.Subset(t, r.done, r.asked[:1])
			assert.True(t, maps.Equal(r.middle, r.restored), "the state at the moment asked for")
			want := map[string]string{}
			for n := 1; n <= r.writes; n++ {
				want[fmt.Sprintf("k%03d", n%50)] = fmt.Sprintf("%0200d", n)
			}
			latest, err := s.Read(mail)
			require.NoError(t, err)
			assert.Equal(t, want, latest)
			require.NoError(t, api.Close())
			busy, err := s.InBackup()
			require.NoError(t, err)
			off, err := s.Offline()
			require.NoError(t, err)
			assert.Empty(t, append(busy, off...))
		})
	}
}
