package config

import (
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/quiesce-go/quiesce/backup"
)

// Jobs are the jobs of a file; in it they are a mapping from name to job.
type Jobs []Job

// Job is one instance of an application with what is done for it. The application's own settings stand beside these keys, in a section named
// as the application.
type Job struct {
	// Name is the key prefix at the target; see backup.ValidJob.
	Name string `yaml:"-"`
	// Application is a name of the Registry. Required.
	Application string `yaml:"application" config:"required"`
	// Sink, Stage and Seal are this job's own, each as a whole in place of that at the top of the file.
	Sink  URL    `yaml:"sink,omitempty"`
	Stage *Stage `yaml:"stage,omitempty"`
	Seal  *Seal  `yaml:"seal,omitempty"`
	// Transfer has, key by key, what stands at the top of the file unless the job says otherwise.
	Transfer Transfer `yaml:"transfer"`
	Care     `yaml:",inline"`

	open     Open
	settings []any // what the application bound, for Print
}

// Care is what is done for a job and when. The section "defaults" has the same keys and fills, key by key, what a job leaves out.
type Care struct {
	// Schedule says when. Default never: runs are started by hand.
	Schedule Schedule `yaml:"schedule"`
	// Retention says which backups stay. Default all.
	Retention Retention `yaml:"retention"`
	// Promote says when a log or differential run becomes a full by itself.
	Promote Promotion `yaml:"promote,omitempty"`
	// Objective is how old the newest proven recovery point may become before it is reported as absent. Default 0, no objective.
	Objective Duration `yaml:"objective,omitempty"`
	// Verify is how scheduled verifies look at the stored backups.
	Verify Verification `yaml:"verify"`
	// Rehearse is where scheduled rehearsals restore to.
	Rehearse Rehearsal `yaml:"rehearse,omitempty"`
	// Hooks are commands around backups and restores.
	Hooks Hooks `yaml:"hooks,omitempty"`
}

// Schedule says when a job does what.
type Schedule struct {
	// Full, Differential and Log start backups of that kind.
	Full         Cron `yaml:"full,omitempty"`
	Differential Cron `yaml:"differential,omitempty"`
	Log          Cron `yaml:"log,omitempty"`
	// Verify and Rehearse start what the sections of that name say.
	Verify   Cron `yaml:"verify,omitempty"`
	Rehearse Cron `yaml:"rehearse,omitempty"`
	// Prune applies the retention at its own times. Default after each proven backup.
	Prune Cron `yaml:"prune,omitempty"`
	// Timezone is that of all of them. Default the machine's.
	Timezone Location `yaml:"timezone,omitempty"`
	// Jitter delays every start by a random time up to this. Default 0.
	Jitter Duration `yaml:"jitter,omitempty"`
	// CatchUp is how late a missed run is still made up for. Default 1d; 0 never.
	CatchUp Duration `yaml:"catch_up"`
}

// Defaults fills the defaults in.
func (s *Schedule) Defaults() { s.CatchUp = Duration(24 * time.Hour) }

// backups reports whether backups are scheduled.
func (s Schedule) backups() bool { return s.Full != "" || s.Differential != "" || s.Log != "" }

// Retention says which backups stay: those that any of its rules wants, and what these need. Without a rule everything stays.
type Retention struct {
	// Window keeps every time within it restorable.
	Window Duration `yaml:"window,omitempty"`
	// Last keeps the newest n fulls with what continues them.
	Last int `yaml:"last,omitempty"`
	// Hourly to Yearly keep the newest full of so many past periods.
	Hourly  int `yaml:"hourly,omitempty"`
	Daily   int `yaml:"daily,omitempty"`
	Weekly  int `yaml:"weekly,omitempty"`
	Monthly int `yaml:"monthly,omitempty"`
	Yearly  int `yaml:"yearly,omitempty"`
	// MinProof is what a backup must have earned to fill a rule: sealed, bytes, format or restored. Default bytes.
	MinProof backup.Proof `yaml:"min_proof"`
	// Timezone is that of hours, days, weeks and so on. Default UTC.
	Timezone Location `yaml:"timezone,omitempty"`
}

// Defaults fills the defaults in.
func (r *Retention) Defaults() { r.MinProof = backup.ProofBytes }

// Validate implements the rules of single keys.
func (r *Retention) Validate() error {
	var errs []error
	for _, n := range []struct {
		key   string
		value int
	}{{"last", r.Last}, {"hourly", r.Hourly}, {"daily", r.Daily}, {"weekly", r.Weekly}, {"monthly", r.Monthly}, {"yearly", r.Yearly}} {
		if n.value < 0 {
			errs = append(errs, field(n.key, "", "%d is negative", n.value))
		}
	}
	return errors.Join(errs...)
}

// policy is the retention as package backup has it.
func (r Retention) policy() backup.Policy {
	return backup.Policy{Window: r.Window.std(), Last: r.Last, Hourly: r.Hourly, Daily: r.Daily, Weekly: r.Weekly, Monthly: r.Monthly, Yearly: r.Yearly,
		MinProof: &r.MinProof, Location: r.Timezone.Get()}
}

// keepsAll reports whether no rule is set.
func (r Retention) keepsAll() bool {
	return r.Window == 0 && r.Last == 0 && r.Hourly == 0 && r.Daily == 0 && r.Weekly == 0 && r.Monthly == 0 && r.Yearly == 0
}

// Promotion says when a log or differential run becomes a full. One without a full to build on always does.
type Promotion struct {
	// FullAfter is the age of the newest proven full. Default 0, never.
	FullAfter Duration `yaml:"full_after,omitempty"`
	// Links is the number of links on the newest full. Default 0, never.
	Links int `yaml:"links,omitempty"`
}

// Validate implements the rules of single keys.
func (p *Promotion) Validate() error {
	if p.Links < 0 {
		return field("links", "", "%d is negative", p.Links)
	}
	return nil
}

// Verification is how a scheduled verify looks at the stored backups.
type Verification struct {
	// Level is bytes or format. Default bytes; format needs the identity file.
	Level backup.Proof `yaml:"level"`
	// Sample is the share of the parts to read; what is sampled earns no proof. Default 100%.
	Sample Percent `yaml:"sample"`
}

// Defaults fills the defaults in.
func (v *Verification) Defaults() { v.Level, v.Sample = backup.ProofBytes, 100 }

// Validate implements the rules of single keys.
func (v *Verification) Validate() error {
	if v.Level != backup.ProofBytes && v.Level != backup.ProofFormat {
		return field("level", "rehearsals earn restored", "%s is not a level of verifying: want bytes or format", v.Level)
	}
	if v.Sample == 0 {
		return field("sample", "write a share above 0%, or leave it out to read everything", "a verify that reads nothing proves nothing")
	}
	return nil
}

// Rehearsal is where a scheduled rehearsal restores the latest state to.
type Rehearsal struct {
	// To is a harmless place, in the form the application documents: a DSN, a directory. Secret.
	To Secret `yaml:"to,omitempty"`
	// Items limits the rehearsal. Default all.
	Items []string `yaml:"items,omitempty"`
	// Options are switches of the application.
	Options map[string]string `yaml:"options,omitempty"`
}

// Hooks are commands around backups and restores, each list in order; see agent.Hooks.
type Hooks struct {
	// Before runs before a backup, which it can stop; After when it succeeded, Failed when not.
	Before []Command `yaml:"before,omitempty"`
	After  []Command `yaml:"after,omitempty"`
	Failed []Command `yaml:"failed,omitempty"`
	// The same around a restore.
	BeforeRestore []Command `yaml:"before_restore,omitempty"`
	AfterRestore  []Command `yaml:"after_restore,omitempty"`
	RestoreFailed []Command `yaml:"restore_failed,omitempty"`
}

// Command is a program to run, without a shell. In the file it is a list of words, or a mapping with these keys.
type Command struct {
	// Run is the program and its arguments. Required. A program with a slash in it is a Path, one without is sought in PATH.
	Run []string `yaml:"run" config:"required"`
	// Timeout ends it. Default 10m.
	Timeout Duration `yaml:"timeout"`
	// Dir is where it runs. Default where this program was started.
	Dir Path `yaml:"dir,omitempty"`
	// Env is added to this program's environment. Values are secrets.
	Env map[string]Secret `yaml:"env,omitempty"`
}

// Defaults fills the defaults in.
func (c *Command) Defaults() { c.Timeout = Duration(10 * time.Minute) }

func (c *Command) bindNode(b *binder, path string, at place) {
	switch at.value.Kind {
	case yaml.MappingNode:
		b.bindStruct(path, at, valueOf(c), nil)
	case yaml.SequenceNode:
		b.bind(path, at, valueOf(&c.Run))
	default:
		b.add(at.position(), path, "is "+form(at.value)+", want a command as a list of words",
			`write ["/usr/bin/program", "argument"]; for a shell ["/bin/sh", "-c", "..."]`)
		return
	}
	if len(c.Run) > 0 && strings.ContainsAny(c.Run[0], `/`+string(filepath.Separator)) && !filepath.IsAbs(c.Run[0]) {
		c.Run[0] = filepath.Join(b.dir, c.Run[0])
	}
	if c.Timeout <= 0 {
		b.add(b.at(join(path, "timeout")), join(path, "timeout"), "a command without time never runs", "leave it out for 10m")
	}
	if c.Run != nil && (len(c.Run) == 0 || c.Run[0] == "") {
		b.add(at.position(), path, "names no program", `write ["/usr/bin/program", "argument"]`)
	}
	for name := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") {
			b.add(b.at(join(join(path, "env"), name)), join(join(path, "env"), name), "is not a name of an environment variable", "")
		}
	}
}

func (j *Jobs) bindNode(b *binder, path string, at place) {
	if at.value.Kind != yaml.MappingNode {
		b.wrong(path, at, "a mapping from names to jobs")
		return
	}
	if len(at.value.Content) == 0 {
		b.add(at.position(), path, "there is no job", "add one: its name, with application and schedule below")
	}
	b.each(path, at.value, func(name string, p place) {
		if err := backup.ValidJob(name); err != nil {
			b.add(place{value: p.key}.position(), jobPath(name), err.Error(), "")
		}
		job := Job{Name: name}
		fill(valueOf(&job))
		b.bindJob(jobPath(name), p, &job)
		*j = append(*j, job)
	})
}

// jobPath is the path of a job's section. A name with a dot in it is quoted, so that it cannot be taken for a key of another job.
func jobPath(name string) string {
	if strings.ContainsAny(name, ".[\"") {
		name = strconv.Quote(name)
	}
	return "jobs." + name
}

// bindJob binds one job with what fills it, and its application's section.
func (b *binder) bindJob(path string, at place, job *Job) {
	b.where[path] = at.position()
	if at.value.Kind == yaml.AliasNode { // refused by plain
		return
	}
	if at.value.Kind != yaml.MappingNode {
		b.wrong(path, at, "a mapping")
		return
	}
	whole := filled(at.value, b.defaults, 2)
	if b.transfer != nil {
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "transfer", Line: b.transfer.Line, Column: b.transfer.Column}
		whole = filled(whole, &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{key, b.transfer}}, 2)
	}
	name := ""
	if n := lookup(at.value, "application"); n != nil && n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
		name = n.Value
	}
	app, known := b.registry[name]
	var section *place
	b.bindStruct(path, place{at.key, whole}, valueOf(job), func(key string, p place) bool {
		_, registered := b.registry[key]
		switch {
		case key == name && name != "":
			section = &p
			return true // of an unknown application it is not judged
		case registered && known:
			b.add(place{value: p.key}.position(), join(path, key), "belongs to another application than the job's, which is "+name, "one of the two is wrong")
		case registered:
		default:
			return false
		}
		return true
	})
	appAt := b.at(join(path, "application"))
	switch {
	case known:
		b.configure(path, name, appAt, section, app, job)
	case name != "":
		known := slices.Sorted(keysIn(b.registry))
		hint := "known are: " + strings.Join(known, ", ")
		if best := nearest(name, known); best != "" {
			hint = `did you mean "` + best + `"? ` + hint
		}
		b.add(appAt, join(path, "application"), "this program knows no application of that name", hint)
	}
}

func keysIn(r Registry) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for k := range r {
			if !yield(k) {
				return
			}
		}
	}
}

// configure hands the application its section. One that is not in the file is empty.
func (b *binder) configure(path, name string, appAt position, at *place, app Application, job *Job) {
	s := &Section{b: b, job: job.Name, name: name, path: join(path, name)}
	if at == nil {
		empty := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: appAt.line, Column: appAt.column}
		at = &place{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: name, Line: appAt.line, Column: appAt.column}, empty}
	}
	s.at = *at
	job.open = app.Configure(s)
	job.settings = s.bound
}

// MarshalYAML makes a mapping of the jobs, each with its application's settings.
func (j Jobs) MarshalYAML() (any, error) {
	jobs := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, job := range j {
		var key, value yaml.Node
		if err := key.Encode(job.Name); err != nil {
			return nil, err
		}
		if err := value.Encode(job); err != nil {
			return nil, err
		}
		section, err := encodeSettings(job.settings)
		if err != nil {
			return nil, err
		}
		if section != nil {
			i := 2 + slices.IndexFunc(value.Content, func(n *yaml.Node) bool { return n.Value == "application" })
			value.Content = slices.Insert(value.Content, i, &yaml.Node{Kind: yaml.ScalarNode, Value: job.Application}, section)
		}
		jobs.Content = append(jobs.Content, &key, &value)
	}
	return jobs, nil
}

// encodeSettings is the section an application bound; nil when it bound nothing.
func encodeSettings(settings []any) (*yaml.Node, error) {
	var whole *yaml.Node
	for _, s := range settings {
		if reflect.ValueOf(s).Elem().Kind() != reflect.Struct {
			continue
		}
		var n yaml.Node
		if err := n.Encode(s); err != nil {
			return nil, err
		}
		if whole == nil {
			whole = &n
		} else {
			whole.Content = append(whole.Content, n.Content...)
		}
	}
	if whole != nil && len(whole.Content) == 0 {
		return nil, nil
	}
	return whole, nil
}
