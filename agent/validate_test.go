package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func TestNewReportsEveryProblem(t *testing.T) {
	good := newRig().job
	bad := good
	bad.Name, bad.Open, bad.Config.Sink = "shop", nil, nil
	bad.Schedule = agent.Schedule{Full: "0 25 * * *", Log: "sometimes", Verify: "0 0 30 2 *", Rehearse: "@weekly", Prune: "@daily", Jitter: -1}
	bad.Promote = agent.Promotion{FullAfter: -time.Hour, LinksAfter: -1}
	bad.Objective = -1
	bad.Verify = agent.Verification{Level: backup.ProofRestored, Sample: 1.5}
	bad.Hooks = agent.Hooks{BeforeBackup: []agent.Hook{nil}, RestoreFailed: []agent.Hook{agent.Command{}, agent.Command{Args: []string{"true"}, Timeout: -1}}}
	kept := good
	kept.Name, kept.Retention = "kept", backup.Policy{Last: -1}
	small := good
	small.Name, small.Config.PartSize = "small", 1
	_, err := agent.New(agent.Options{Concurrent: -1, Notifiers: []agent.Notifier{nil}, Jobs: []agent.Job{good, bad, kept, small, {Name: "a b"}, good, {Name: "BOOKS", Open: good.Open, Config: good.Config}}})
	require.Error(t, err)
	for _, want := range []string{
		"Concurrent -1 is negative",
		"Notifiers holds a nil",
		`job "shop": Open is missing`,
		`job "shop": Config.Sink is missing`,
		`job "shop": Schedule.Full "0 25 * * *": `,
		`job "shop": Schedule.Log "sometimes": `,
		`job "shop": Schedule.Verify "0 0 30 2 *" never comes`,
		`job "shop": Schedule.Jitter -1ns is negative`,
		`job "shop": Schedule.Prune is set, but Retention keeps everything`,
		`job "shop": Schedule.Rehearse is set, but Rehearse.Scratch is not`,
		`job "shop": Promote.FullAfter -1h0m0s is negative`,
		`job "shop": Promote.LinksAfter -1 is negative`,
		`job "shop": Objective -1ns is negative`,
		`job "shop": Verify.Level restored: want bytes or format`,
		`job "shop": Verify.Sample 1.5: want 0 to 1`,
		`job "shop": Hooks.BeforeBackup: hook 1 is nil`,
		`job "shop": Hooks.RestoreFailed: hook 1: a Command without a program`,
		`job "shop": Hooks.RestoreFailed: hook 2: true: Timeout -1ns is negative`,
		`job "kept": Retention: `,
		`job "small": Config: `,
		`job 5: Name: `,
		`job "books": Name: it comes twice`,
		`job "BOOKS": Name: it differs from "books" by case only`,
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, 25, strings.Count(err.Error(), "\n")+1, "each problem on its line and no other:\n%v", err)
}

func TestAnEmptyAgentIsGood(t *testing.T) {
	a, err := agent.New(agent.Options{})
	require.NoError(t, err)
	assert.Empty(t, a.Jobs())
	assert.Empty(t, a.Status())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, a.Run(ctx))
}
