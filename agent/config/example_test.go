package config_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
)

// ledger are the settings of an application, as the file has them.
type ledger struct {
	Server   string        `yaml:"server" config:"required"`
	Password config.Secret `yaml:"password" config:"required"`
	Batch    int           `yaml:"batch"`
}

// Defaults fills in what the file may leave out.
func (l *ledger) Defaults() { l.Batch = 500 }

// Validate is asked once every key fitted.
func (l *ledger) Validate() error {
	if l.Batch < 1 {
		return &config.FieldError{Field: "batch", Err: errors.New("is less than 1")}
	}
	return nil
}

// ledgers is what main registers: one line for each application.
func ledgers() config.Registry {
	return config.Registry{"ledger": config.App(func(_ context.Context, l ledger, to string) (backup.Source, error) {
		return nil, errors.ErrUnsupported // a real one connects to l.Server, or to another place if to is set
	})}
}

// A file with several mistakes: all are told, with their places.
func ExampleParse() {
	file := `sink: file:///var/backups
seal: {plain: true}
stage: {dir: /var/tmp/ledger, max: 20G}
jobs:
  books:
    application: ledger
    ledger: {server: db1, password: {env: LEDGER_PASSWORD}, batch: 0}
    schedule: {full: "0 2 * *", logs: "@hourly"}
    retention: {window: 14}
`
	_, err := config.Parse("obm.yaml", []byte(file), config.Options{
		Registry:  ledgers(),
		LookupEnv: func(string) (string, bool) { return "secret", true },
	})
	var problems *config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems.All {
			fmt.Printf("%d:%d %s: %s\n", p.Line, p.Column, p.Path, strings.SplitN(p.Message, ":", 2)[0])
		}
	}
	// Output:
	// 3:36 stage.max: "20G" has no unit of size
	// 7:68 jobs.books.ledger.batch: is less than 1
	// 8:22 jobs.books.schedule.full: "0 2 * *" is not a schedule
	// 8:33 jobs.books.schedule.logs: unknown key
	// 9:25 jobs.books.retention.window: "14" has no unit of time
}

// From a file to the jobs of an agent.
func ExampleConfig_Build() {
	ctx := context.Background()
	file := `sink: mem://
seal: {plain: true}
defaults:
  retention: {window: 14d}
jobs:
  books:
    application: ledger
    ledger: {server: db1, password: {env: LEDGER_PASSWORD}}
    schedule: {full: "0 2 * * *"}
`
	c, err := config.Parse("obm.yaml", []byte(file), config.Options{
		Registry:  ledgers(),
		LookupEnv: func(string) (string, bool) { return "secret", true },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	built, err := c.Build(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() {
		if err := built.Close(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	// agent.New(built.Options()) would run them.
	for _, job := range built.Jobs {
		fmt.Println(job.Name, job.Application, job.Schedule.Full, job.Retention.Window)
	}
	// Output:
	// books ledger 0 2 * * * 336h0m0s
}
