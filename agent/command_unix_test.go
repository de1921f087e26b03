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
		Args: []string{"/bin/sh", "-c", `cat >record.json; env | grep -E '^(QUIESCE_|MINE=)' | sort >env; echo "$1" >arg`, "sh", "two words; $(no shell)"},
		Dir:  dir, Env: []string{"MINE=1", "QUIESCE_JOB=forged"},
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
	require.NoError(t, agent.Command{Args: []string{"true"}}.Run(t.Context(), agent.Record{Error: strings.Repeat("x", 1<<17)[:100000]}), "it need not read the record")
	require.ErrorContains(t, agent.Command{Args: []string{"/nothing/here"}}.Run(t.Context(), agent.Record{}), "/nothing/here")
	require.Error(t, agent.Command{}.Run(t.Context(), agent.Record{}))
}

func TestCommandIsKilledWithItsChildren(t *testing.T) {
	for _, c := range []struct {
		name string
		stop func(*agent.Command, context.CancelCauseFunc)
		want string
	}{
		{"by a cancel", func(_ *agent.Command, cancel context.CancelCauseFunc) { cancel(errors.New("the run ended")) }, "the run ended"},
		{"by its timeout", func(*agent.Command, context.CancelCauseFunc) {}, "it took longer than 1s"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			fifo := filepath.Join(t.TempDir(), "pid")
			require.NoError(t, syscall.Mkfifo(fifo, 0o600))
			cmd := agent.Command{Args: []string{"/bin/sh", "-c", `sleep 1000 & echo $! >"$1"; wait`, "sh", fifo}, Timeout: time.Second}
			if c.name == "by a cancel" {
				cmd.Timeout = 0
			}
			done := make(chan error)
			go func() { done <- cmd.Run(ctx, agent.Record{}) }()
			text, err := os.ReadFile(fifo)
			require.NoError(t, err)
			child, err := strconv.Atoi(strings.TrimSpace(string(text)))
			require.NoError(t, err)
			c.stop(&cmd, cancel)
			require.ErrorContains(t, <-done, c.want)
			assert.Eventually(t, func() bool { return gone(child) }, time.Minute, 10*time.Millisecond, "the child lives on")
		})
	}
}

// gone reports whether a process has ended, though nobody may have asked for its status yet.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
