package hook

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// TestLoopback is the way of Windows: a port, and a token that only this account can read.
func TestLoopback(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "calls")
	made := ""
	private := func(path string) error {
		info, err := os.Stat(path)
		if err == nil && info.Size() == 0 {
			made = path
		}
		return err
	}
	l, err := listenLoopback(dir, private)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, tokenName+".new"), made, "private while it is empty")
	_, err = listenLoopback(dir, private)
	require.ErrorIs(t, err, backup.ErrBusy)
	done := make(chan error, 1)
	go func() {
		done <- l.Serve(t.Context(), func(context.Context, Call) (string, error) { return "ref", nil })
	}()
	ask := func(token string) string {
		conn, right, err := dialLoopback(t.Context(), dir)
		require.NoError(t, err)
		defer conn.Close()
		if token == "" {
			token = right
		}
		text, err := json.Marshal(message{token, Call{Op: Done}})
		require.NoError(t, err)
		_, err = conn.Write(append(text, '\n'))
		require.NoError(t, err)
		buf := make([]byte, 100)
		n, _ := conn.Read(buf)
		return string(buf[:n])
	}
	assert.Equal(t, "{\"reference\":\"ref\"}\n", ask(""))
	assert.Empty(t, ask("guessed"))
	require.NoError(t, l.Close())
	require.NoError(t, <-done)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left)
	_, _, err = dialLoopback(t.Context(), dir)
	require.Error(t, err)
}
