package notes_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	core "github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

func TestEveryCallInAChildProcess(t *testing.T) {
	t.Parallel()
	report := filepath.Join(t.TempDir(), "calls")
	api, err := notes.Start(t.Context(), command("reports "+report))
	require.NoError(t, err)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	extents := 0
	for n, err := range every(t, t.Context(), th, func(context.Context, notes.UNID, uint32, string) error { extents++; return nil }) {
		require.NoError(t, err, "call %d", n)
	}
	assert.Equal(t, 3, extents)
	require.NoError(t, api.Close())

	local := &fake{}
	th, err = local.Thread(t.Context())
	require.NoError(t, err)
	every(t, t.Context(), th, func(context.Context, notes.UNID, uint32, string) error { return nil })
	far, err := os.ReadFile(report)
	require.NoError(t, err)
	assert.Equal(t, strings.Join(local.called(), "\n"), string(far))
}

// names are the calls of the fake, in the order of every.
var names = [...]string{
	"DataDirectory", "Environment", "Open", "IsDirectory", "Path", "BackupStart", "LogInfo", "BackupHighWater", "BackupStop", "ChangeInfoSize", "ApplyStart", "NextChangeInfo", "Apply",
	"ApplyEnd", "BackupEnd", "Close", "LogStyle", "ArchivingBegin", "FirstLog", "NextLog", "LogDone", "ArchivingEnd", "TakeOffline", "Recover", "BringOnline", "End",
}

// ask makes the call of that name.
func ask(ctx context.Context, th notes.Thread, name string) (err error) {
	put := func(context.Context, notes.UNID, uint32, string) error { return nil }
	switch name {
	case "DataDirectory":
		_, err = th.DataDirectory(ctx)
	case "Environment":
		_, _, err = th.Environment(ctx, "x")
	case "Open":
		_, err = th.Open(ctx, "x")
	case "IsDirectory":
		_, err = th.IsDirectory(ctx, handle)
	case "Path":
		_, err = th.Path(ctx, handle)
	case "BackupStart":
		_, _, err = th.BackupStart(ctx, handle)
	case "LogInfo":
		_, err = th.LogInfo(ctx, handle)
	case "BackupHighWater":
		err = th.BackupHighWater(ctx, handle, backup, 1)
	case "BackupStop":
		err = th.BackupStop(ctx, handle, backup)
	case "ChangeInfoSize":
		_, err = th.ChangeInfoSize(ctx, handle, backup)
	case "ApplyStart":
		_, err = th.ApplyStart(ctx, "x", 1)
	case "NextChangeInfo":
		_, err = th.NextChangeInfo(ctx, handle, backup, make([]byte, 1<<20))
	case "Apply":
		err = th.Apply(ctx, apply, nil)
	case "ApplyEnd":
		err = th.ApplyEnd(ctx, apply, false)
	case "BackupEnd":
		err = th.BackupEnd(ctx, handle, backup, false)
	case "Close":
		err = th.Close(ctx, handle)
	case "LogStyle":
		_, err = th.LogStyle(ctx)
	case "ArchivingBegin":
		err = th.ArchivingBegin(ctx)
	case "FirstLog":
		_, err = th.FirstLog(ctx)
	case "NextLog":
		_, err = th.NextLog(ctx)
	case "LogDone":
		err = th.LogDone(ctx, logID, 1)
	case "ArchivingEnd":
		err = th.ArchivingEnd(ctx)
	case "TakeOffline":
		err = th.TakeOffline(ctx, "x", time.Second)
	case "Recover":
		_, err = th.Recover(ctx, []string{"x"}, 0, time.Time{}, put)
	case "BringOnline":
		err = th.BringOnline(ctx, "x")
	case "End":
		err = th.End()
	}
	return err
}

func TestAChildThatDiesAtAnyCall(t *testing.T) {
	t.Parallel()
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			api, err := notes.Start(t.Context(), command("dies "+name))
			require.NoError(t, err)
			th, err := api.Thread(t.Context())
			require.NoError(t, err)
			err = ask(t.Context(), th, name)
			require.ErrorIs(t, err, notes.ErrGone)
			require.ErrorContains(t, err, "exit status 7")
			require.ErrorContains(t, err, "PANIC in "+name)
			_, err = th.DataDirectory(t.Context())
			require.Error(t, err)
			_, err = api.Thread(t.Context())
			require.ErrorIs(t, err, notes.ErrGone)
			require.NoError(t, api.Close())
		})
	}
}

func TestAChildThatHangsIsKilled(t *testing.T) {
	t.Parallel()
	cmd := command("hangs Open")
	cmd.Grace = 100 * time.Millisecond
	hung := filepath.Join(t.TempDir(), "hung")
	cmd.Env = append(cmd.Env, roleVariable+"_SAYS="+hung)
	api, err := notes.Start(t.Context(), cmd)
	require.NoError(t, err)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancelled := make(chan struct{})
	go func() {
		defer close(cancelled)
		_, err := th.Open(ctx, "x")
		assert.ErrorIs(t, err, errTest)
	}()
	for _, err := os.Stat(hung); err != nil; _, err = os.Stat(hung) {
		time.Sleep(time.Millisecond)
	}
	cancel(errTest)
	<-cancelled
	require.ErrorContains(t, api.Close(), "did not end in order")
	_, err = api.Thread(t.Context())
	require.ErrorIs(t, err, notes.ErrGone)
}

func TestChildrenThatDoNotBegin(t *testing.T) {
	t.Parallel()
	for role, want := range map[string]string{
		"garbage": `not the protocol: "libnotes: al`,
		"exit":    "exit status 3; it said: \"cannot open libnotes.so\"",
		"refuse":  "NotesInitExtended: notes.ini was not found (status 421)",
	} {
		t.Run(role, func(t *testing.T) {
			t.Parallel()
			cmd := command(role)
			_, err := notes.Start(t.Context(), cmd)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, cmd.Path, "it is named")
			assert.NotEmpty(t, core.Hint(err))
			if role == "refuse" {
				require.ErrorIs(t, err, notes.StatusNoNotesINI)
			}
		})
	}
}

func TestAStartIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errTest)
	defer cancel()
	cmd := command("silent")
	cmd.Grace = 50 * time.Millisecond
	_, err := notes.Start(ctx, cmd)
	require.ErrorIs(t, err, errTest)
}

func TestTheProcessOutlivesTheContextOfItsStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	api, err := notes.Start(ctx, command("plain"))
	require.NoError(t, err)
	cancel()
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	require.NoError(t, th.BackupEnd(t.Context(), handle, backup, true), "a cancelled run can end its backups")
	require.NoError(t, api.Close())
}

func TestGarbageBetweenMessages(t *testing.T) {
	t.Parallel()
	cmd := command("mutters Open")
	api, err := notes.Start(t.Context(), cmd)
	require.NoError(t, err)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	_, err = th.Open(t.Context(), "x")
	require.ErrorIs(t, err, notes.ErrGone)
	require.ErrorContains(t, err, "Enter passwo")
	assert.Contains(t, core.Hint(err), "password")
	require.ErrorContains(t, err, cmd.Path)
	require.NoError(t, api.Close())
}

func TestAChildThatIsDeafToItsEnd(t *testing.T) {
	t.Parallel()
	cmd := command("deaf")
	cmd.Grace = 50 * time.Millisecond
	api, err := notes.Start(t.Context(), cmd)
	require.NoError(t, err)
	require.ErrorContains(t, api.Close(), "killed")
}

func TestTheProgramIsNotThere(t *testing.T) {
	_, err := notes.Start(t.Context(), notes.Command{Path: filepath.Join(t.TempDir(), "nothing")})
	require.ErrorIs(t, err, os.ErrNotExist)
	assert.Contains(t, core.Hint(err), "go build")
	t.Setenv("PATH", t.TempDir())
	_, err = notes.Start(t.Context(), notes.Command{})
	require.ErrorContains(t, err, "quiesce-notes")
	assert.Contains(t, core.Hint(err), "go build")
}

func TestNothingIsLeftBehind(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("/proc tells what a process has open on Linux only")
	}
	count := func() (files, children int) {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		tasks, err := filepath.Glob("/proc/self/task/*/children")
		require.NoError(t, err)
		for _, f := range tasks {
			b, _ := os.ReadFile(f) // a thread that has ended has no children
			children += len(strings.Fields(string(b)))
		}
		return len(fds), children
	}
	files, children := count()
	for _, role := range []string{"plain", "dies Open", "garbage", "refuse", "exit"} {
		for range 3 {
			api, err := notes.Start(t.Context(), command(role))
			if err != nil {
				continue
			}
			th, err := api.Thread(t.Context())
			require.NoError(t, err)
			_, _ = th.Open(t.Context(), "x")
			require.NoError(t, api.Close())
		}
	}
	after, zombies := count()
	assert.LessOrEqual(t, after, files+1, "descriptors") // the poller's own comes with the first pipe
	assert.Equal(t, children, zombies)
}
