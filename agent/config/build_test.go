package config_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// build loads text as a file in a directory of its own, which stands for DIR in it, and builds all jobs.
func build(t *testing.T, dir, text string) *config.Built {
	t.Helper()
	b, err := load(t, dir, text).Build(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, b.Close()) })
	return b
}

func load(t *testing.T, dir, text string) *config.Config {
	t.Helper()
	path := filepath.Join(dir, "f.yaml")
	text = strings.ReplaceAll(text, "DIR", "file://"+strings.TrimSuffix("/"+strings.TrimPrefix(filepath.ToSlash(dir), "/"), "/"))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	c, err := config.Load(path, config.Options{Registry: registry()})
	require.NoError(t, err)
	return c
}

// run makes one backup of a job and returns its pipeline.
func run(t *testing.T, b *config.Built, name string) (*backup.Pipeline, error) {
	t.Helper()
	p := pipeline(t, b, name)
	_, err := p.Backup(t.Context(), backup.Full)
	return p, err
}

func pipeline(t *testing.T, b *config.Built, name string) *backup.Pipeline {
	t.Helper()
	job, ok := b.Job(name)
	require.True(t, ok)
	source, err := job.Open(t.Context())
	require.NoError(t, err)
	job.Config.Source = source
	p, err := backup.New(job.Config)
	require.NoError(t, err)
	return p
}

// stored are the names of the files of a job's artifacts.
func stored(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, "count.txt") {
			names = append(names, path)
		}
		return err
	}))
	return names
}

func TestBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "key.txt"), []byte("# kept in a safe\n"+identity+"\n"), 0o600))
	b := build(t, dir, `sink: DIR/target
stage: {dir: stage, server_dir: 'S:\stage', max: 1GiB, mode: 0750}
seal: {recipients: [`+recipient+`], identity_file: key.txt}
agent: {state: state, concurrent: 3, grace: 0}
jobs:
  sealed:
    application: counter
    counter: {dsn: one}
    schedule: {full: "0 2 * * *", log: "@hourly", timezone: Europe/Berlin, jitter: 1m, catch_up: 0}
    retention: {window: 14d, daily: 7}
    promote: {full_after: 30d, links: 200}
    objective: 26h
    verify: {level: format, sample: 50%}
    rehearse: {to: scratch, items: [count], options: {a: b}}
    transfer: {part_size: 1MiB, workers: 1, prove: 5%, stall: {after: 1m, cancel: true}, lease: 2m, cleanup: 3m, resume: 4h}
    hooks:
      before: [[a, b], [./bin/c]]
      restore_failed: [{run: [c], timeout: 1m, dir: sub, env: {Y: "2", X: "1"}}]
  open:
    application: counter
    counter: {dsn: two}
    sink: DIR/other
    stage: {stream: true}
    seal: {plain: true, compression: none}
    transfer: {retry: 0, throttle: {up: 100MiB/s}}
`)
	require.Len(t, b.Jobs, 2)
	job, ok := b.Job("sealed")
	require.True(t, ok)
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	assert.Equal(t, agent.Schedule{Full: "0 2 * * *", Log: "@hourly", Location: berlin, Jitter: time.Minute, CatchUp: -1}, job.Schedule)
	assert.Equal(t, agent.Promotion{FullAfter: 30 * 24 * time.Hour, LinksAfter: 200}, job.Promote)
	least := backup.ProofBytes
	assert.Equal(t, backup.Policy{Window: 14 * 24 * time.Hour, Daily: 7, MinProof: &least}, job.Retention)
	assert.Equal(t, 26*time.Hour, job.Objective)
	assert.Equal(t, agent.Verification{Level: backup.ProofFormat, Sample: 0.5}, job.Verify)
	assert.Equal(t, agent.Rehearsal{Scratch: "scratch", Items: []string{"count"}, Options: map[string]string{"a": "b"}}, job.Rehearse)
	assert.Equal(t, []agent.Hook{agent.Command{Args: []string{"a", "b"}, Timeout: 10 * time.Minute},
		agent.Command{Args: []string{filepath.Join(dir, "bin", "c")}, Timeout: 10 * time.Minute}}, job.Hooks.BeforeBackup)
	assert.Equal(t, []agent.Hook{agent.Command{Args: []string{"c"}, Dir: filepath.Join(dir, "sub"), Env: []string{"X=1", "Y=2"}, Timeout: time.Minute}}, job.Hooks.RestoreFailed)
	assert.Equal(t, backup.DirStager{Dir: filepath.Join(dir, "stage"), ServerDir: `S:\stage`, Quota: 1 << 30, Mode: 0o750}, job.Config.Stager)
	assert.EqualValues(t, 1<<20, job.Config.PartSize)
	assert.Equal(t, backup.Prove{Mode: backup.ProveSample, Sample: 0.05}, job.Config.Prove)
	assert.Equal(t, backup.Stall{After: time.Minute, Cancel: true}, job.Config.Stall)
	assert.Equal(t, []time.Duration{2 * time.Minute, 3 * time.Minute, 4 * time.Hour}, []time.Duration{job.Config.LeaseTTL, job.Config.CleanupTimeout, job.Config.ResumeWithin})
	open, _ := b.Job("open")
	assert.Nil(t, open.Config.Stager)
	assert.Equal(t, agent.Options{Jobs: b.Jobs, State: filepath.Join(dir, "state"), Concurrent: 3, Grace: -1}.State, b.Options().State)
	assert.Equal(t, 3, b.Options().Concurrent)
	assert.Negative(t, b.Options().Grace)
	assert.Len(t, b.Options().Jobs, 2)

	_, err = agent.New(b.Options())
	require.NoError(t, err)

	p, err := run(t, b, "sealed")
	require.NoError(t, err)
	report, err := p.Verify(t.Context(), backup.VerifyOptions{})
	require.NoError(t, err)
	require.NoError(t, report.Err())
	_, err = run(t, b, "open")
	require.NoError(t, err)
	names := stored(t, filepath.Join(dir, "target"))
	require.Len(t, names, 1)
	assert.Equal(t, ".age", filepath.Ext(names[0]), names)
	assert.Contains(t, names[0], ".zst.age")
	names = stored(t, filepath.Join(dir, "other"))
	require.Len(t, names, 1)
	text, err := os.ReadFile(names[0])
	require.NoError(t, err)
	assert.Equal(t, "42 two", string(text), "neither compressed nor encrypted")
}

// TestKeys: what works with which half of a key.
func TestKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const job = "\njobs: {a: {application: counter, counter: {dsn: one}}}"
	for _, compression := range []string{"zstd", "none"} {
		writer := build(t, dir, "sink: DIR/"+compression+"\nseal: {recipients: ["+recipient+"], identity_file: "+compression+".key, compression: "+compression+"}"+job)
		p, err := run(t, writer, "a")
		require.NoError(t, err, "an identity that is elsewhere stops no backup")
		latest := func(p *backup.Pipeline) error {
			return p.Fetch(t.Context(), planned(t, p), t.TempDir())
		}
		require.ErrorIs(t, latest(p), backup.ErrKey)

		require.NoError(t, os.WriteFile(filepath.Join(dir, compression+".key"), []byte(identity), 0o600))
		reader := build(t, dir, "read_only: true\nsink: DIR/"+compression+"\nseal: {identity_file: "+compression+".key, compression: "+compression+"}"+job)
		p = pipeline(t, reader, "a")
		require.NoError(t, latest(p))
		_, err = p.Backup(t.Context(), backup.Full)
		require.ErrorIs(t, err, backup.ErrReadOnly)
	}
}

func planned(t *testing.T, p *backup.Pipeline) *backup.RestorePlan {
	t.Helper()
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	return plan
}

func TestBuildOfSomeJobs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := load(t, dir, `seal: {plain: true}
jobs:
  good: {application: counter, counter: {dsn: one}, sink: DIR/good}
  far: {application: counter, counter: {dsn: two}, sink: "carrier-pigeon://loft"}
  away: {application: clock, sink: DIR/away}
`)
	b, err := c.Build(t.Context(), "good")
	require.NoError(t, err)
	assert.Len(t, b.Jobs, 1)
	assert.NoDirExists(t, filepath.Join(dir, "away"), "a job that is not asked for opens nothing")
	_, ok := b.Job("far")
	assert.False(t, ok)
	_, err = b.Open(t.Context(), "far", "")
	require.Error(t, err)
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "twice is fine")

	_, err = c.Build(t.Context())
	require.ErrorContains(t, err, "f.yaml:4:58: jobs.far.sink: ")
	require.ErrorContains(t, err, "carrier-pigeon")
	assert.NotEmpty(t, backup.Hint(err))
	_, err = c.Build(t.Context(), "goood")
	require.ErrorContains(t, err, "no such job")
	assert.Equal(t, `did you mean "good"?`, backup.Hint(err))
}

// TestKeysThatBroke: a key file that was sound when the file was read and is not any more.
func TestKeysThatBroke(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "recipients.txt")
	require.NoError(t, os.WriteFile(path, []byte(recipient), 0o600))
	c := load(t, dir, "sink: mem://\nseal: {recipients_file: recipients.txt}\njobs: {a: {application: clock}}")
	require.NoError(t, os.Remove(path))
	_, err := c.Build(t.Context())
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "recipients_file")
	require.False(t, errors.Is(err, backup.ErrKey))
}

func TestBuildNeedsAFile(t *testing.T) {
	t.Parallel()
	_, err := (&config.Config{}).Build(t.Context())
	require.ErrorContains(t, err, "not made by Load or Parse")
}

// TestSharing: jobs with one target share it, and jobs with one throttle share one bound, whoever of them transfers.
func TestSharing(t *testing.T) {
	t.Parallel()
	c := parse(t, `sink: mem://
seal: {plain: true}
transfer: {throttle: {up: 1MiB/s, timezone: Europe/Berlin, windows: [{days: [mon], from: "08:00", to: "18:00", up: 1kB/s}]}}
jobs:
  a: {application: clock}
  b: {application: clock}
  c: {application: clock, transfer: {throttle: {up: 2MiB/s}}}
`)
	assert.Equal(t, c.Jobs[0].Transfer, c.Jobs[1].Transfer)
	assert.EqualValues(t, 2<<20, c.Jobs[2].Transfer.Throttle.Up)
	assert.Empty(t, c.Jobs[2].Transfer.Throttle.Windows, "a throttle is taken as a whole")
	targets, limiters, err := config.Shared(t.Context(), c)
	require.NoError(t, err)
	assert.Equal(t, 1, targets)
	assert.Equal(t, 2, limiters)
	b, err := c.Build(t.Context())
	require.NoError(t, err)
	defer b.Close()
	assert.Same(t, b.Jobs[0].Config.Sink, b.Jobs[1].Config.Sink, "each stack of layers has memory of its own")
	assert.NotSame(t, b.Jobs[0].Config.Sink, b.Jobs[2].Config.Sink)
}

func TestLayers(t *testing.T) {
	t.Parallel()
	c := parse(t, `sink: mem://
seal: {plain: true, level: better}
transfer: {retry: 1h}
jobs:
  a: {application: clock}
  b: {application: clock, transfer: {retry: 0}}
  c: {application: clock, seal: {recipients: [`+recipient+`]}, transfer: {throttle: {down: 1MiB/s}}}
`)
	o, err := config.Layers(c, 0)
	require.NoError(t, err)
	assert.Equal(t, sink.SealOptions{Compress: sink.CompressOptions{Level: sink.Better}, Retry: sink.RetryPolicy{Patience: time.Hour}, Plain: true}, o)
	o, err = config.Layers(c, 1)
	require.NoError(t, err)
	assert.Equal(t, 1, o.Retry.Tries, "0 never repeats")
	o, err = config.Layers(c, 2)
	require.NoError(t, err)
	assert.False(t, o.Plain)
	assert.Equal(t, sink.Fastest, o.Compress.Level, "a seal is taken as a whole")
	assert.NotNil(t, o.Throttle)
}
