package filelock_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/filelock"
)

func TestOneHolder(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	l, err := filelock.Take(path)
	require.NoError(t, err)
	_, err = filelock.Take(path)
	require.ErrorIs(t, err, filelock.ErrHeld)
	require.NoError(t, l.Release())
	require.NoError(t, l.Release(), "release is idempotent")
	l, err = filelock.Take(path)
	require.NoError(t, err)
	require.NoError(t, l.Release())
}

// TestDeadHolder kills a process that holds the lock.
func TestDeadHolder(t *testing.T) {
	if path := os.Getenv("FILELOCK_CHILD"); path != "" {
		_, err := filelock.Take(path)
		require.NoError(t, err)
		os.Stdout.WriteString("locked\n")
		select {}
	}
	path := filepath.Join(t.TempDir(), "lock")
	cmd := exec.Command(os.Args[0], "-test.run=^TestDeadHolder$")
	cmd.Env = append(os.Environ(), "FILELOCK_CHILD="+path)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	buf := make([]byte, 7)
	_, err = out.Read(buf)
	require.NoError(t, err)
	_, err = filelock.Take(path)
	assert.ErrorIs(t, err, filelock.ErrHeld)
	require.NoError(t, cmd.Process.Kill())
	cmd.Wait()
	l, err := filelock.Take(path)
	require.NoError(t, err)
	require.NoError(t, l.Release())
}

// TestForkDoesNotKeepTheLock starts processes while locks are taken and given back: a child holds copies of the parent's descriptors
// until its exec, and must not keep a lock by them.
func TestForkDoesNotKeepTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = exec.Command(os.Args[0], "-test.run=^$").Run()
				}
			}
		})
	}
	for range 2000 {
		l, err := filelock.Take(path)
		if !assert.NoError(t, err) {
			break
		}
		require.NoError(t, l.Release())
	}
	close(stop)
	wg.Wait()
}
