package notes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// connected is the API behind the protocol, and what Serve returned in the end.
func connected(t *testing.T, api notes.API) (notes.API, <-chan error) {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- notes.Serve(context.Background(), far, api) }()
	c, err := notes.Connect(t.Context(), near)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c, served
}

// every calls each function once, in an order that makes sense.
func every(t *testing.T, ctx context.Context, th notes.Thread, put func(context.Context, notes.UNID, uint32, string) error) []error {
	t.Helper()
	var errs []error
	keep := func(err error) { errs = append(errs, err) }
	s, err := th.DataDirectory(ctx)
	keep(err)
	assert.Equal(t, "/local/däta", s)
	v, is, err := th.Environment(ctx, "is")
	keep(err)
	assert.Equal(t, "v", v)
	assert.True(t, is)
	h, err := th.Open(ctx, "mail/jürgen.nsf")
	keep(err)
	assert.Equal(t, handle, h)
	dir, err := th.IsDirectory(ctx, h)
	keep(err)
	assert.True(t, dir)
	s, err = th.Path(ctx, h)
	keep(err)
	assert.Equal(t, "/local/x.nsf", s)
	c, size, err := th.BackupStart(ctx, h)
	keep(err)
	assert.Equal(t, backup, c)
	assert.Equal(t, huge, size)
	info, err := th.LogInfo(ctx, h)
	keep(err)
	assert.Equal(t, notes.LogInfo{Logged: true, LogID: logID, DBIID: dbiid, Extent: 0xFFFFFFFE}, info)
	keep(th.BackupHighWater(ctx, h, c, huge))
	keep(th.BackupStop(ctx, h, c))
	size, err = th.ChangeInfoSize(ctx, h, c)
	keep(err)
	assert.Equal(t, huge, size)
	a, err := th.ApplyStart(ctx, "/stage/x", huge)
	keep(err)
	assert.Equal(t, apply, a)
	buf := make([]byte, 1<<20)
	n, err := th.NextChangeInfo(ctx, h, c, buf)
	keep(err)
	assert.Equal(t, len(buf)-1, n)
	keep(th.Apply(ctx, a, buf[:n]))
	keep(th.ApplyEnd(ctx, a, false))
	keep(th.BackupEnd(ctx, h, c, true))
	keep(th.Close(ctx, h))
	style, err := th.LogStyle(ctx)
	keep(err)
	assert.Equal(t, notes.LogLinear, style)
	keep(th.ArchivingBegin(ctx))
	e, err := th.FirstLog(ctx)
	keep(err)
	assert.Equal(t, notes.Extent{LogID: logID, Number: 7, Path: "/log/S0000007.TXN"}, e)
	e, err = th.NextLog(ctx)
	require.ErrorIs(t, err, notes.StatusNoTransLogsToArchive)
	assert.Equal(t, notes.Extent{LogID: logID, Number: 8, Path: "/log/S0000008.TXN"}, e)
	keep(th.LogDone(ctx, logID, 7))
	keep(th.ArchivingEnd(ctx))
	keep(th.TakeOffline(ctx, "x.nsf", 1500*time.Millisecond))
	until := time.Date(2026, 1, 2, 3, 4, 5, 6e7, time.UTC)
	r, err := th.Recover(ctx, []string{"a.nsf", "b.nsf"}, notes.RecoverPointInTime|notes.RecoverZapID, until, put)
	keep(err)
	assert.Equal(t, notes.Recovered{Failed: -1, Last: until.Add(-time.Second)}, r)
	keep(th.BringOnline(ctx, "x.nsf"))
	keep(th.End())
	return errs
}

func TestEveryCallIsTheSameBehindTheProtocol(t *testing.T) {
	t.Parallel()
	direct, far := &fake{}, &fake{}
	var asked [2][]string
	for i, f := range []*fake{direct, far} {
		api := notes.API(f)
		if i == 1 {
			api, _ = connected(t, f)
		}
		th, err := api.Thread(t.Context())
		require.NoError(t, err)
		for n, err := range every(t, t.Context(), th, func(_ context.Context, id notes.UNID, number uint32, path string) error {
			asked[i] = append(asked[i], fmt.Sprint(id, number, path))
			return nil
		}) {
			require.NoError(t, err, "call %d", n)
		}
	}
	assert.Equal(t, direct.called(), far.called())
	assert.Equal(t, asked[0], asked[1])
	assert.Len(t, asked[1], 3)
}

func TestErrorsTravel(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		err  error
		text string
		is   error
	}{
		"status":  {notes.StatusDBOffline, "NSFDbOpen: database is offline (ERR_DBOFFLINE, 0x13F9)", notes.StatusDBOffline},
		"detail":  {&notes.CallError{Call: "x", Status: notes.StatusDBInUse, Detail: "in Benutzung"}, `NSFDbOpen: database is in use (ERR_DBINUSE, 0x13EA): "in Benutzung"`, notes.StatusDBInUse},
		"wrapped": {fmt.Errorf("deep: %w", notes.Status(0x3FFF)), "NSFDbOpen: Notes status 0x3FFF", notes.Status(0x3FFF)},
		"other":   {errTest, "NSFDbOpen: test", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, _ := connected(t, &fake{at: func(_ context.Context, call string) error {
				if call == "Open" {
					return test.err
				}
				return nil
			}})
			th, err := api.Thread(t.Context())
			require.NoError(t, err)
			_, err = th.Open(t.Context(), "x.nsf")
			require.EqualError(t, err, test.text)
			if test.is != nil {
				require.ErrorIs(t, err, test.is)
			}
			_, err = th.DataDirectory(t.Context())
			require.NoError(t, err, "the thread goes on")
		})
	}
}

func TestAnExtentThatCannotBePlaced(t *testing.T) {
	t.Parallel()
	api, _ := connected(t, &fake{})
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	r, err := th.Recover(t.Context(), []string{"x"}, 0, time.Time{}, func(_ context.Context, _ notes.UNID, n uint32, _ string) error {
		if n == 4 {
			return errTest
		}
		return nil
	})
	require.ErrorIs(t, err, notes.StatusRMMQLogError)
	require.ErrorIs(t, err, errTest)
	assert.Equal(t, 1, r.Failed)
}

func TestThreadsWorkAtTheSameTime(t *testing.T) {
	t.Parallel()
	meet := make(chan struct{})
	api, _ := connected(t, &fake{at: func(_ context.Context, call string) error {
		switch call {
		case "Open": // each waits for the other
			meet <- struct{}{}
		case "DataDirectory":
			<-meet
		}
		return nil
	}})
	one, err := api.Thread(t.Context())
	require.NoError(t, err)
	two, err := api.Thread(t.Context())
	require.NoError(t, err)
	opened := make(chan error, 1)
	go func() {
		_, err := one.Open(t.Context(), "x")
		opened <- err
	}()
	_, err = two.DataDirectory(t.Context())
	require.NoError(t, err)
	require.NoError(t, <-opened)
}

func TestWhatAParentLeavesOpenIsEnded(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"close", "end"} {
		f := &fake{}
		api, served := connected(t, f)
		th, err := api.Thread(t.Context())
		require.NoError(t, err)
		h, err := th.Open(t.Context(), "x.nsf")
		require.NoError(t, err)
		_, _, err = th.BackupStart(t.Context(), h)
		require.NoError(t, err)
		_, err = th.ApplyStart(t.Context(), "/copy", 1)
		require.NoError(t, err)
		require.NoError(t, th.ArchivingBegin(t.Context()))
		if how == "end" {
			require.NoError(t, th.End())
		}
		require.NoError(t, api.Close())
		require.NoError(t, <-served)
		all := f.called()
		assert.Equal(t, []string{
			fmt.Sprint("ApplyEnd", apply, true), fmt.Sprint("BackupEnd", fmt.Sprint(handle, backup, true)), fmt.Sprint("Close", handle), "ArchivingEnd", "End",
		}, all[len(all)-5:], how)
	}
}

func TestACallThatIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		f := &fake{at: func(_ context.Context, call string) error {
			if call == "BackupStart" {
				<-hang
			}
			return nil
		}}
		api, served := connected(t, f)
		th, err := api.Thread(t.Context())
		require.NoError(t, err)
		h, err := th.Open(t.Context(), "x.nsf")
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(errTest) })
		began := time.Now()
		_, _, err = th.BackupStart(ctx, h)
		require.ErrorIs(t, err, errTest)
		assert.Equal(t, 75*time.Second, time.Since(began), "a minute and the grace")
		_, err = th.DataDirectory(t.Context())
		require.ErrorIs(t, err, errTest, "the thread is lost")
		require.ErrorIs(t, th.End(), errTest)
		other, err := api.Thread(t.Context())
		require.NoError(t, err, "others are not")
		_, err = other.DataDirectory(t.Context())
		require.NoError(t, err)

		close(hang)
		synctest.Wait()
		assert.Contains(t, strings.Join(f.called(), " "), fmt.Sprint("BackupEnd", fmt.Sprint(handle, backup, true)), "what it had begun is ended when the call came back")
		require.NoError(t, api.Close())
		require.NoError(t, <-served)
	})
}

func TestACallIsAnsweredWithinTheGrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api, _ := connected(t, &fake{at: func(_ context.Context, call string) error {
			if call == "Open" {
				time.Sleep(2 * time.Second)
			}
			return nil
		}})
		defer api.Close()
		th, err := api.Thread(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		h, err := th.Open(ctx, "x.nsf")
		require.NoError(t, err)
		assert.Equal(t, handle, h, "so that it can be closed")
		_, err = th.DataDirectory(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, th.Close(t.Context(), h), "nothing was asked, so nothing is lost")
	})
}

func TestNothingIsWrittenToAnExtentAfterTheEnd(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	go func() { _ = notes.Serve(context.Background(), far, &fake{}) }()
	api, err := notes.Connect(t.Context(), near)
	require.NoError(t, err)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	_, err = th.Recover(t.Context(), []string{"x"}, 0, time.Time{}, func(ctx context.Context, _ notes.UNID, _ uint32, _ string) error {
		far.Close() // the process dies
		<-ctx.Done()
		return context.Cause(ctx)
	})
	require.ErrorIs(t, err, notes.ErrGone)
	_, err = api.Thread(t.Context())
	require.ErrorIs(t, err, notes.ErrGone)
	require.NoError(t, errors.Join(api.Close(), api.Close()))
}

func TestNamesThatNotesCannotHave(t *testing.T) {
	t.Parallel()
	f := &fake{}
	api, _ := connected(t, f)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	for _, path := range []string{"a\xFFb", "a\x00b"} {
		_, err = th.Open(t.Context(), path)
		require.ErrorContains(t, err, "rename")
		_, err = th.Recover(t.Context(), []string{"x", path}, 0, time.Time{}, nil)
		require.ErrorContains(t, err, "rename")
	}
	assert.Equal(t, []string{"Thread"}, f.called())
}

func TestAMessageTooLarge(t *testing.T) {
	t.Parallel()
	api, _ := connected(t, &fake{})
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	require.ErrorContains(t, th.Apply(t.Context(), apply, make([]byte, 16<<20+1)), "16777216")
	n, err := th.NextChangeInfo(t.Context(), handle, backup, make([]byte, 17<<20))
	require.NoError(t, err)
	assert.Equal(t, 16<<20-1, n, "as much as a message holds")
}
