//go:build unix

package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func TestCommandIsToldWhatItIsAbout(t *testing.T) {
	dir := t.TempDir()
	c := agent.Command{
		Args: []string{"/bin/sh", "-c", `cat >record.json; env | grep -E '^(QUIESCE_(JOB|ACTION|OUTCOME|KIND|ID|ERROR)|MINE)=' | sort >env; echo "$1" >arg`, "sh", "two words; $(no shell)"},
		Dir:  dir, Env: []string{"MINE=1", "LC_ALL=C", "QUIESCE_JOB=forged"},
	}
	r := agent.Record{Job: "shop", Action: agent.ActionBackup, Outcome: agent.OutcomeFailed, Kind: backup.Log, ID: "i", Error: "line 1", Scheduled: day(1, 2, 0)}
	require.NoError(t, c.Run(t.Context(), r))
	env, err := os.ReadFile(filepath.Join(dir, "env"))
	require.NoError(t, err)
	assert.Equal(t, "MINE=1\nQUIESCE_ACTION=backup\nQUIESCE_ERROR=line 1\nQUIESCE_ID=i\nQUIESCE_JOB=shop\nQUIESCE_KIND=log\nQUIESCE_OUTCOME=failed\n", string(env))
	arg, err := os.ReadFile(filepath.Join(dir, "arg"))
	require.NoError(t, err)
	assert.Equal(t, "two words; $(no shell)\n", string(arg))
	data, err := os.ReadFile(filepath.Join(dir, "record.json"))
	require.NoError(t, err)
	var got agent.Record
	require.NoError(t, json.Unmarshal(data, &got))
	assert.Equal(t, r, got)
}

func TestCommandThatFailsShowsItsLastWords(t *testing.T) {
	c := agent.Command{Args: []string{"/bin/sh", "-c", `i=0; while [ $i -lt 500 ]; do echo "line $i"; i=$((i+1)); done; echo "cannot mount" >&2; exit 3`}}
	err := c.Run(t.Context(), agent.Record{})
	require.ErrorContains(t, err, "exit status 3")
	assert.True(t, strings.HasSuffix(err.Error(), "line 499\ncannot mount"), "%v", err)
	assert.Less(t, len(err.Error()), 3000)
	require.NoError(t, agent.Command{Args: []string{"true"}}.Run(t.Context(), agent.Record{Error: strings.Repeat("x", 1<<20)}), "it need not read the record")
	require.ErrorContains(t, agent.Command{Args: []string{"/nothing/here"}}.Run(t.Context(), agent.Record{}), "/nothing/here")
	require.Error(t, agent.Command{}.Run(t.Context(), agent.Record{}))
}

func TestCommandIsKilledWithItsChildren(t *testing.T) {
	start := func(ctx context.Context, limit time.Duration) (pid string, done chan error) {
		pid, done = filepath.Join(t.TempDir(), "pid"), make(chan error, 1)
		c := agent.Command{Args: []string{"/bin/sh", "-c", `sleep 1000 & echo $! >"$1"; wait`, "sh", pid}, Timeout: limit}
		go func() { done <- c.Run(ctx, agent.Record{}) }()
		return pid, done
	}
	child := func(file string) int {
		text, err := os.ReadFile(file)
		n, aerr := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil || aerr != nil {
			return 0
		}
		return n
	}
	t.Run("by a cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		pid, done := start(ctx, 0)
		require.Eventually(t, func() bool { return child(pid) != 0 }, time.Minute, 10*time.Millisecond)
		cancel(errors.New("the run ended"))
		require.ErrorContains(t, <-done, "the run ended")
		assert.Eventually(t, func() bool { return gone(child(pid)) }, time.Minute, 10*time.Millisecond, "the child lives on")
	})
	t.Run("by its timeout", func(t *testing.T) {
		pid, done := start(t.Context(), time.Second)
		require.ErrorContains(t, <-done, "it took longer than 1s")
		if n := child(pid); n != 0 { // else it had not come that far
			assert.Eventually(t, func() bool { return gone(n) }, time.Minute, 10*time.Millisecond, "the child lives on")
		}
	})
}

// gone reports whether a process has ended, though nobody may have asked for its status yet.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
