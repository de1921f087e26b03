package agent_test

import (
	"context"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// An agent that runs by schedules until its context ends. Before that, one backup is made by hand, which is a full though a log was asked for.
func Example() {
	app := backuptest.NewLedger(nil) // stands for a database server
	a, err := agent.New(agent.Options{
		Jobs: []agent.Job{{
			Name:      "shop",
			Open:      func(context.Context) (backup.Source, error) { return app.Source(nil), nil },
			Config:    backup.Config{Sink: backuptest.NewMemSink()},
			Schedule:  agent.Schedule{Full: "0 2 * * SUN", Log: "*/15 * * * *", Verify: "@daily", Jitter: time.Minute},
			Promote:   agent.Promotion{FullAfter: 8 * 24 * time.Hour},
			Retention: backup.Policy{Window: 14 * 24 * time.Hour, Weekly: 4},
			Objective: time.Hour,
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background()) // a program would use signal.NotifyContext
	r, err := a.Backup(ctx, "shop", backup.Log)
	fmt.Println(r.Outcome, r.Kind, r.Proof, err)
	fmt.Println(r.Reason)

	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	stop()
	fmt.Println(<-done)
	// Output:
	// ok full bytes <nil>
	// There is no proven full to build on.
	// <nil>
}

// Configuration is checked whole: every problem is reported at once.
func ExampleNew() {
	_, err := agent.New(agent.Options{Jobs: []agent.Job{{
		Name:     "shop",
		Schedule: agent.Schedule{Full: "0 2 30 2 *", Jitter: -time.Second},
	}}})
	fmt.Println(err)
	// Output:
	// agent: configuration: job "shop": Open is missing
	// job "shop": Config.Sink is missing
	// job "shop": Schedule.Full "0 2 30 2 *" never comes
	// job "shop": Schedule.Jitter -1s is negative
}

// Hooks are Go functions or programs.
func ExampleHooks() {
	_ = agent.Hooks{
		BeforeBackup: []agent.Hook{agent.Command{Args: []string{"mount", "/mnt/stage"}, Timeout: time.Minute}},
		AfterBackup:  []agent.Hook{agent.Command{Args: []string{"umount", "/mnt/stage"}}},
		BackupFailed: []agent.Hook{
			agent.Command{Args: []string{"umount", "/mnt/stage"}},
			agent.HookFunc(func(ctx context.Context, r agent.Record) error {
				fmt.Println(r.Job, r.Outcome, r.Error)
				return nil
			}),
		},
	}
	// Output:
}

// A restore to a time, with a look at the plan before anything is touched.
func ExampleAgent_Restore() {
	ctx := context.Background()
	app := backuptest.NewLedger(nil)
	a, err := agent.New(agent.Options{Jobs: []agent.Job{{
		Name:   "shop",
		Open:   func(context.Context) (backup.Source, error) { return app.Source(nil), nil },
		Config: backup.Config{Sink: backuptest.NewMemSink()},
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := a.Backup(ctx, "shop", backup.Full); err != nil {
		fmt.Println(err)
	}
	good := app.Current()
	_ = app.Lose()
	r, err := a.Restore(ctx, "shop", backup.Target{}, agent.RestoreOptions{
		Confirm: func(p *backup.RestorePlan) error {
			fmt.Println(len(p.Steps), "steps")
			return nil
		},
	})
	fmt.Println(r.Outcome, err, good.Equal(app.Current()))
	// Output:
	// 2 steps
	// ok <nil> true
}
