package config

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// Built is what a program runs: jobs whose targets are open.
type Built struct {
	// Jobs are in the order of the file.
	Jobs []agent.Job

	config  *Config
	opens   map[string]Open
	targets []sink.Target
}

// Build opens the targets, each once, and makes the jobs: those named, or all. Where a bucket is concerned it makes no contact; a directory is
// created when it is absent. Keys are read again, so that an identity that has come since is found. Applications are not opened.
//
// Close gives the targets up, when nothing uses the jobs any more.
func (c *Config) Build(ctx context.Context, jobs ...string) (*Built, error) {
	if c.from == nil {
		return nil, &backup.Error{Op: "build jobs", Err: errors.New("the configuration was not made by Load or Parse"), Advice: "a program that has no file fills agent.Job itself"}
	}
	b := newBuilder(c)
	for _, name := range jobs {
		if !slices.ContainsFunc(c.Jobs, func(j Job) bool { return j.Name == name }) {
			return nil, &backup.Error{Op: "build jobs", Artifact: name, Err: errors.New("no such job"), Advice: likeJob(name, c.Jobs)}
		}
	}
	for i := range c.Jobs {
		j := &c.Jobs[i]
		if len(jobs) > 0 && !slices.Contains(jobs, j.Name) {
			continue
		}
		if err := b.job(ctx, j); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	return &b.Built, nil
}

// Job finds a job by name.
func (b *Built) Job(name string) (agent.Job, bool) {
	i := slices.IndexFunc(b.Jobs, func(j agent.Job) bool { return j.Name == name })
	if i < 0 {
		return agent.Job{}, false
	}
	return b.Jobs[i], true
}

// Open makes the source of a job. to, when not empty, is another place to restore into than the configured one.
func (b *Built) Open(ctx context.Context, job, to string) (backup.Source, error) {
	open, ok := b.opens[job]
	if !ok {
		return nil, &backup.Error{Op: "open source", Artifact: job, Err: errors.New("no such job"), Advice: likeJob(job, b.config.Jobs)}
	}
	return open(ctx, to)
}

// Options are what the file says of the agent, with the jobs. The program adds its logger, meters and notifiers.
func (b *Built) Options() agent.Options {
	a := b.config.Agent
	return agent.Options{Jobs: b.Jobs, State: string(a.State), Concurrent: a.Concurrent, Grace: a.Grace.orNever()}
}

// Close closes the targets. It is idempotent.
func (b *Built) Close() error {
	var errs []error
	for _, t := range b.targets {
		errs = append(errs, t.Close())
	}
	b.targets = nil
	return errors.Join(errs...)
}

// builder gathers what jobs share.
type builder struct {
	Built
	byURL    map[URL]sink.Target
	limiters map[string]*sink.Limiter
	stacks   map[stack]backup.Sink
}

// stack is what makes the layers of two jobs the same. They share them then, and with them the memory of compression, some MiB for each stack.
type stack struct {
	url     URL
	seal    *Seal
	retry   Duration
	limiter *sink.Limiter
}

func newBuilder(c *Config) *builder {
	return &builder{Built: Built{config: c, opens: map[string]Open{}}, byURL: map[URL]sink.Target{}, limiters: map[string]*sink.Limiter{}, stacks: map[stack]backup.Sink{}}
}

func (b *builder) job(ctx context.Context, j *Job) error {
	target, err := b.sink(ctx, j)
	if err != nil {
		return err
	}
	t := j.Transfer
	job := agent.Job{
		Name: j.Name, Application: j.Application,
		Open: func(ctx context.Context) (backup.Source, error) { return j.open(ctx, "") },
		Config: backup.Config{
			Job: j.Name, Sink: target, Stager: b.stager(j), PartSize: int64(t.PartSize), Workers: t.Workers,
			Prove: backup.Prove{Mode: t.Prove.Mode, Sample: t.Prove.Share.Share()}, Stall: backup.Stall{After: t.Stall.After.std(), Cancel: t.Stall.Cancel},
			LeaseTTL: t.Lease.std(), CleanupTimeout: t.Cleanup.std(), ResumeWithin: t.Resume.std(),
		},
		Schedule:  j.Schedule.times(),
		Promote:   agent.Promotion{FullAfter: j.Promote.FullAfter.std(), LinksAfter: j.Promote.Links},
		Retention: j.Retention.policy(), Objective: j.Objective.std(),
		Verify:   agent.Verification{Level: j.Verify.Level, Sample: j.Verify.share()},
		Rehearse: agent.Rehearsal{Scratch: j.Rehearse.To.Reveal(), Items: j.Rehearse.Items, Options: j.Rehearse.Options},
		Hooks:    j.Hooks.hooks(),
	}
	b.Jobs = append(b.Jobs, job)
	b.opens[j.Name] = j.open
	return nil
}

// times is the schedule as the agent has it.
func (s Schedule) times() agent.Schedule {
	return agent.Schedule{
		Full: string(s.Full), Differential: string(s.Differential), Log: string(s.Log), Verify: string(s.Verify), Rehearse: string(s.Rehearse),
		Prune: string(s.Prune), Location: s.Timezone.Get(), Jitter: s.Jitter.std(), CatchUp: s.CatchUp.orNever(),
	}
}

// share is the part to read as the agent has it, where 0 means all.
func (v Verification) share() float64 {
	if v.Sample == 100 {
		return 0
	}
	return v.Sample.Share()
}

func (h Hooks) hooks() agent.Hooks {
	return agent.Hooks{
		BeforeBackup: commands(h.Before), AfterBackup: commands(h.After), BackupFailed: commands(h.Failed),
		BeforeRestore: commands(h.BeforeRestore), AfterRestore: commands(h.AfterRestore), RestoreFailed: commands(h.RestoreFailed),
	}
}

func commands(list []Command) (hooks []agent.Hook) {
	for _, c := range list {
		var env []string
		for name, value := range c.Env {
			env = append(env, name+"="+value.Reveal())
		}
		slices.Sort(env)
		hooks = append(hooks, agent.Command{Args: c.Run, Dir: string(c.Dir), Env: env, Timeout: c.Timeout.std()})
	}
	return hooks
}

func (b *builder) stager(j *Job) backup.Stager {
	s, _ := b.config.stage(j)
	if s == nil || s.Stream {
		return nil
	}
	return backup.DirStager{Dir: string(s.Dir), ServerDir: s.ServerDir, Quota: int64(s.Max), Mode: fs.FileMode(s.Mode)}
}

// sink is the target of a job under its layers.
func (b *builder) sink(ctx context.Context, j *Job) (backup.Sink, error) {
	target, err := b.open(ctx, j)
	if err != nil {
		return nil, err
	}
	var s backup.Sink = target
	if b.config.ReadOnly {
		s = sink.ReadOnly(s)
	}
	seal, at := b.config.seal(j)
	o, err := b.layers(j, seal)
	if err != nil {
		return nil, err
	}
	same := stack{b.config.sink(j), seal, j.Transfer.Retry, o.Throttle}
	if have, ok := b.stacks[same]; ok {
		return have, nil
	}
	keys, problems, _ := b.config.from.o.keys(*seal) // without the identity file, what needs it fails with backup.ErrKey
	if len(problems) > 0 {
		return nil, b.located(at, errors.Join(problems...))
	}
	if seal.Compression == NoCompression {
		b.stacks[same] = uncompressed(s, keys, o)
	} else {
		b.stacks[same] = sink.Seal(s, keys, &o)
	}
	return b.stacks[same], nil
}

// layers tunes what stands above the target.
func (b *builder) layers(j *Job, seal *Seal) (o sink.SealOptions, err error) {
	o.Compress.Level, o.Plain = seal.Level, seal.Plain
	o.Retry.Patience = j.Transfer.Retry.std()
	if j.Transfer.Retry == 0 {
		o.Retry.Tries = 1
	}
	if t := j.Transfer.Throttle; t != nil {
		o.Throttle, err = b.limiter(*t)
	}
	return o, err
}

// uncompressed is what sink.Seal builds, without its uppermost layer.
func uncompressed(s backup.Sink, keys sink.Keys, o sink.SealOptions) backup.Sink {
	if o.Throttle != nil {
		s = sink.Throttle(s, o.Throttle)
	}
	s = sink.Retry(s, o.Retry)
	if o.Plain {
		return s
	}
	return sink.Encrypt(s, keys)
}

func (b *builder) open(ctx context.Context, j *Job) (sink.Target, error) {
	url, at := b.config.sink(j), "sink"
	if j.Sink != "" {
		at = join(jobPath(j.Name), "sink")
	}
	if t, ok := b.byURL[url]; ok {
		return t, nil
	}
	t, err := sink.Open(ctx, string(url), b.config.from.o.Sink)
	if err != nil {
		return nil, b.located(at, err)
	}
	b.byURL[url] = t
	b.targets = append(b.targets, t)
	return t, nil
}

// limiter is shared by all whose throttle says the same.
func (b *builder) limiter(t Throttle) (*sink.Limiter, error) {
	text, err := yaml.Marshal(t)
	if err != nil {
		return nil, err
	}
	if l, ok := b.limiters[string(text)]; ok {
		return l, nil
	}
	l, err := sink.NewLimiter(t.profile())
	b.limiters[string(text)] = l
	return l, err
}

// located says where in the file the cause of an error stands.
func (b *builder) located(path string, err error) error {
	from := b.config.from
	p, ok := from.where[path]
	if !ok {
		p = position{1, 1}
	}
	return fmt.Errorf("%s:%d:%d: %s: %w", from.file, p.line, p.column, strings.TrimSuffix(path, "."), err)
}
