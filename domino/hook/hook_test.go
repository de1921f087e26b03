package hook_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/hook"
)

// ten are the documented parameters, each its number.
func ten(n int, set map[int]string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "p" + string(rune('0'+(i+1)%10))
	}
	for i, v := range set {
		out[i-1] = v
	}
	return out
}

func TestParse(t *testing.T) {
	t.Parallel()
	c, err := hook.Parse(ten(9, map[int]string{6: "full"}))
	require.NoError(t, err)
	assert.Equal(t, hook.Call{Op: hook.Backup, File: "p1", Name: "p2", Reference: "p3", Node: "p4", BackupName: "p5", Mode: "FULL", Start: "p7", TargetDir: "p8", Retention: "p9"}, c)
	c, err = hook.Parse(ten(10, nil))
	require.NoError(t, err)
	assert.Equal(t, hook.Restore, c.Op)
	assert.Equal(t, []string{"p9", "p0"}, []string{c.To, c.Ref})
	c, err = hook.Parse(ten(10, map[int]string{10: ""}))
	require.NoError(t, err)
	assert.Equal(t, hook.Backup, c.Op, "an empty reference is none")
	c, err = hook.Parse(append([]string{"RESTORE"}, ten(10, map[int]string{10: ""})...))
	require.NoError(t, err)
	assert.Equal(t, hook.Restore, c.Op, "the word goes before the guess")
	c, err = hook.Parse([]string{"done"})
	require.NoError(t, err)
	assert.Equal(t, hook.Call{Op: hook.Done}, c)
	for _, bad := range [][]string{nil, {"file"}, ten(11, nil), {"restore", "a", "b"}, {"backup", "a\nb", "c"}} {
		_, err := hook.Parse(bad)
		require.ErrorIs(t, err, hook.ErrCall, "%q", bad)
	}
}

func TestAnswer(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "BackupRef: r/1\nReturn: PROCESSED\n", hook.Answer{Reference: "r/1"}.Text())
	assert.Equal(t, "Return: PROCESSED\n", hook.Answer{}.Text())
	text := hook.Answer{Error: "open Return: PROCESSED.nsf:\nBackupRef: no"}.Text()
	assert.Equal(t, "Return: ERROR - open Return: processed.nsf:; backup reference no\n", text)
	assert.NotContains(t, text, "PROCESSED", "no part of a reason is taken for success")
}

// short is a directory whose path is short enough for a socket.
func short(t *testing.T) string {
	dir, err := os.MkdirTemp("", "hk")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Join(dir, "calls")
}

// serve answers calls at a directory until the test ends.
func serve(t *testing.T, l *hook.Listener, handle func(context.Context, hook.Call) (string, error)) {
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, handle) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-done)
		require.NoError(t, l.Close())
	})
}

// program runs quiesce-hook in this process.
func program(t *testing.T, env map[string]string, args ...string) (string, int) {
	var out bytes.Buffer
	code := hook.Program(t.Context(), filepath.Join(env["exe"], "quiesce-hook"), args, func(k string) string { return env[k] }, &out)
	return out.String(), code
}

func TestCalls(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l, err := hook.Listen(dir)
	require.NoError(t, err)
	_, err = hook.Listen(dir)
	require.ErrorIs(t, err, backup.ErrBusy)
	serve(t, l, func(_ context.Context, c hook.Call) (string, error) {
		if c.Mode == "TRANSLOG" {
			return "", &backup.Error{Op: "take", Artifact: c.Name, Err: errors.New("disk is full"), Advice: "make room"}
		}
		return "run/" + c.Reference, nil
	})
	beside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(beside, hook.DirFile), []byte(dir+"\n"), 0o600))
	for name, env := range map[string]map[string]string{"environment": {hook.DirVariable: dir}, "file": {"exe": beside}} {
		out, code := program(t, env, ten(9, nil)...)
		assert.Equal(t, "BackupRef: run/p3\nReturn: PROCESSED\n", out, name)
		assert.Zero(t, code)
	}
	for _, flag := range []string{"-dir=", "--dir="} {
		out, code := program(t, nil, append([]string{flag + dir, "backup"}, ten(9, map[int]string{6: "TRANSLOG"})...)...)
		assert.Equal(t, "Return: ERROR - take p2: disk is full (make room)\n", out)
		assert.Equal(t, 1, code)
	}
}

// TestNobodyThere: without an agent, and with one that dies, the answer is an error.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	dir := short(t)
	for env, want := range map[string]string{"": "it is not known where the agent waits", dir: "no backup or restore of Quiesce is waiting for Domino at " + dir} {
		out, code := program(t, map[string]string{hook.DirVariable: env}, ten(9, nil)...)
		assert.True(t, strings.HasPrefix(out, "Return: ERROR - "+want), out)
		assert.Equal(t, 1, code)
	}
	if runtime.GOOS == "windows" {
		return
	}
	require.NoError(t, os.MkdirAll(dir, 0o700))
	mute, err := net.Listen("unix", filepath.Join(dir, "hook.sock"))
	require.NoError(t, err)
	go func() {
		for {
			c, err := mute.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	out, _ := program(t, map[string]string{hook.DirVariable: dir}, ten(9, nil)...)
	assert.True(t, strings.HasPrefix(out, "Return: ERROR - "), out)
	require.NoError(t, mute.(*net.UnixListener).Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hook.sock"), nil, 0o600)) // a dead agent's
	l, err := hook.Listen(dir)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, os.Chmod(dir, 0o755))
	_, err = hook.Listen(dir)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "mode 700")
}

// TestTheProgramIsKilled: the agent learns that nobody waits for its answer.
func TestTheProgramIsKilled(t *testing.T) {
	t.Parallel()
	dir := short(t)
	l, err := hook.Listen(dir)
	require.NoError(t, err)
	entered, gone := make(chan struct{}), make(chan error, 1)
	serve(t, l, func(ctx context.Context, _ hook.Call) (string, error) {
		close(entered)
		<-ctx.Done()
		gone <- context.Cause(ctx)
		return "", ctx.Err()
	})
	ctx, kill := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := hook.Ask(ctx, dir, hook.Call{Op: hook.Backup, File: "f", Name: "n"})
		asked <- err
	}()
	<-entered
	kill()
	require.ErrorIs(t, <-asked, context.Canceled)
	require.ErrorContains(t, <-gone, "the program that Domino called is gone")
}

// TestProcess builds quiesce-hook and calls it as Domino does.
func TestProcess(t *testing.T) {
	t.Parallel()
	exe := filepath.Join(t.TempDir(), "quiesce-hook")
	if runtime.GOOS == "windows" {
		exe += ".exe"
	}
	out, err := exec.Command("go", "build", "-o", exe, "../quiesce-hook").CombinedOutput()
	require.NoError(t, err, "%s", out)
	dir := short(t)
	l, err := hook.Listen(dir)
	require.NoError(t, err)
	serve(t, l, func(_ context.Context, c hook.Call) (string, error) { return c.Name, nil })
	c := exec.Command(exe, ten(9, map[int]string{2: "mail/j doe.nsf"})...)
	c.Env = append(os.Environ(), hook.DirVariable+"="+dir)
	out, err = c.Output()
	require.NoError(t, err)
	assert.Equal(t, "BackupRef: mail/j doe.nsf\nReturn: PROCESSED\n", string(out))
	c = exec.Command(exe, "done")
	c.Env = append(os.Environ(), hook.DirVariable+"="+dir+"x")
	out, err = c.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "Return: ERROR")
}
