package config_test

import (
	"bytes"
	"context"
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
)

func TestFifteenMistakesAreFifteenLines(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/mistakes.yaml")
	require.NoError(t, err)
	p := problems(t, string(text))
	assert.Len(t, p, 15)
	var lines []int
	for _, one := range p {
		lines = append(lines, one.Line)
		assert.Positive(t, one.Column)
		assert.NotEmpty(t, one.Path)
	}
	var want []int
	for i, line := range strings.Split(string(text), "\n") {
		for range strings.Count(line, "wrong") {
			want = append(want, i+1)
		}
	}
	assert.Equal(t, want, lines, "the file says itself where it is wrong")
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	p := problems(t, "sink: file:///b\nseal: {}\n# \xff\n")
	require.Len(t, p, 1)
	assert.Equal(t, "/etc/obm/obm.yaml:3:1: not UTF-8; save the file as UTF-8", p[0].String())
	p = problems(t, "sink: file:///b\nseal: \"\x01\"\n")
	require.Len(t, p, 1)
	assert.Equal(t, 2, p[0].Line, p[0])
	parse(t, "\ufeff"+strings.ReplaceAll(soundBeginning, "\n", "\r\n"))
}

func TestDefaultsFillKeyByKey(t *testing.T) {
	t.Parallel()
	c := parse(t, `sink: file:///b
seal: {plain: true}
stage: {dir: stage, max: 1GiB}
transfer: {workers: 3, part_size: 1MiB}
defaults:
  schedule: {full: "@weekly", log: "@hourly", timezone: Europe/Berlin}
  retention: {window: 14d, daily: 7}
  objective: 26h
  hooks: {before: [[a], [b]]}
jobs:
  own:
    application: clock
    stage: {dir: /elsewhere}
    transfer: {workers: 1}
    schedule: {full: "@daily"}
    retention: {daily: 3}
    objective: 0
    hooks: {before: [[c]], after: [[d]]}
  plain:
    application: clock
`)
	own, plain := c.Jobs[0], c.Jobs[1]
	assert.Equal(t, "own", own.Name)
	assert.EqualValues(t, "@daily", own.Schedule.Full)
	assert.EqualValues(t, "@hourly", own.Schedule.Log)
	assert.Equal(t, "Europe/Berlin", own.Schedule.Timezone.String())
	assert.Equal(t, 3, own.Retention.Daily)
	assert.EqualValues(t, 14*24*time.Hour, own.Retention.Window)
	assert.Zero(t, own.Objective, "0 is an answer, not a gap")
	assert.EqualValues(t, 26*time.Hour, plain.Objective)
	require.Len(t, own.Hooks.Before, 1)
	assert.Equal(t, []string{"c"}, own.Hooks.Before[0].Run)
	assert.Len(t, plain.Hooks.Before, 2)
	assert.Equal(t, 1, own.Transfer.Workers)
	assert.Equal(t, config.Size(1<<20), own.Transfer.PartSize)
	assert.Equal(t, 3, plain.Transfer.Workers)
	assert.Regexp(t, "^.*/elsewhere$", filepath.ToSlash(string(own.Stage.Dir)))
	assert.Zero(t, own.Stage.Max, "a stage is taken as a whole")
	assert.Nil(t, plain.Stage)
	assert.Regexp(t, "^.*/etc/obm/stage$", filepath.ToSlash(string(c.Stage.Dir)))
	// What nobody says is at its default.
	assert.Equal(t, config.Listen("127.0.0.1:9187"), c.Agent.Listen)
	assert.Equal(t, 2, c.Agent.Concurrent)
	assert.EqualValues(t, 30*time.Second, c.Agent.Grace)
	assert.EqualValues(t, 24*time.Hour, plain.Schedule.CatchUp)
	assert.Equal(t, backup.ProofBytes, plain.Retention.MinProof)
	assert.EqualValues(t, 5*time.Minute, plain.Transfer.Stall.After)
}

// TestDefaultsEndAtAKey: what stands below a key of a section is one value, and is not mixed from two places.
func TestDefaultsEndAtAKey(t *testing.T) {
	t.Parallel()
	c := parse(t, `sink: file:///b
seal: {plain: true}
defaults: {rehearse: {to: {env: OPS_TOKEN}, options: {a: b}, items: [x]}}
jobs: {a: {application: clock, rehearse: {to: plain text, options: {c: d}}}}
`)
	r := c.Jobs[0].Rehearse
	assert.Equal(t, "plain text", r.To.Reveal())
	assert.Equal(t, map[string]string{"c": "d"}, r.Options)
	assert.Equal(t, []string{"x"}, r.Items)
}

// TestNamesWithDots: a job's name cannot stand in for a key of another job.
func TestNamesWithDots(t *testing.T) {
	t.Parallel()
	p := problems(t, "seal: {plain: true}\njobs:\n  a: {application: clock}\n  a.sink: {application: clock, sink: 'mem://', objective: 5}\nnotify: [{url: x, jobs: [a.sink, a.sink.objective]}]\n")
	var lines []string
	for _, one := range p {
		lines = append(lines, one.Path+": "+one.Message)
	}
	assert.Equal(t, []string{"jobs.a.sink: is missing", `jobs."a.sink".objective: "5" has no unit of time`, `notify[0].jobs[1]: there is no job "a.sink.objective"`}, lines)
}

func TestNotify(t *testing.T) {
	t.Parallel()
	c := parse(t, soundBeginning+"\nnotify: [{url: a}, {url: b, on: [absent], jobs: [shop]}]\n")
	p := c.Problem("notify[1].url", &backup.Error{Op: "read", Err: fs.ErrInvalid, Advice: "write it anew"})
	assert.Equal(t, "/etc/obm/obm.yaml:7:26: notify[1].url: read: invalid argument; write it anew", p.String())
	assert.Equal(t, 7, c.Problem("notify[5].url", fs.ErrInvalid).Line)
	assert.True(t, c.Notify[0].Wants(agent.NoticeRecovered, "any"))
	assert.True(t, c.Notify[1].Wants(agent.NoticeAbsent, "shop"))
	assert.False(t, c.Notify[1].Wants(agent.NoticeAbsent, "other"))
	assert.False(t, c.Notify[1].Wants(agent.NoticeFailed, "shop"))
}

// full is testdata/full.yaml, parsed.
func full(t *testing.T) *config.Config {
	t.Helper()
	text, err := os.ReadFile("testdata/full.yaml")
	require.NoError(t, err)
	c, err := config.Parse("/etc/obm/obm.yaml", text, options(fullFiles()))
	require.NoError(t, err)
	return c
}

func fullFiles() map[string]string {
	return map[string]string{
		"/etc/obm/recipients.txt": "# spare\n" + recipient + "\n",
		"/etc/obm/key.txt":        identity,
		"/etc/obm/scratch.dsn":    "scratch\n",
		"/etc/obm/archive.dsn":    "archive\n",
	}
}

func TestPrintParsesAgain(t *testing.T) {
	t.Parallel()
	c := full(t)
	assert.Empty(t, c.Warnings)
	var once, again bytes.Buffer
	require.NoError(t, c.Print(&once))
	d, err := config.Parse("/somewhere/else.yaml", once.Bytes(), options(fullFiles()))
	require.NoError(t, err)
	require.NoError(t, d.Print(&again))
	assert.Equal(t, once.String(), again.String())
	for i := range c.Jobs {
		assert.Equal(t, c.Jobs[i].Care, d.Jobs[i].Care)
		assert.Equal(t, c.Jobs[i].Transfer, d.Jobs[i].Transfer)
	}
	assert.Equal(t, c.Agent, d.Agent)
	assert.Equal(t, c.Notify, d.Notify)
	assert.Equal(t, c.Stage, d.Stage)
	assert.NotContains(t, once.String(), "defaults:")
}

// painter reads its section by hand, and reports by hand.
type painter struct{ section *config.Section }

func (p *painter) Configure(s *config.Section) config.Open {
	p.section = s
	var settings struct {
		Colour string            `yaml:"colour"`
		Limits map[string]uint8  `yaml:"limits"`
		Ratio  float64           `yaml:"ratio"`
		Extra  *struct{ N int8 } `yaml:"extra"`
	}
	if s.Bind(&settings) && settings.Colour != "red" {
		s.Problemf("colour", "%s is not red", settings.Colour)
	}
	if !s.Has("ratio") {
		s.Problemf("", "no ratio")
	}
	s.Bind(settings)
	return func(context.Context, string) (backup.Source, error) { return nil, errors.ErrUnsupported }
}

func TestSection(t *testing.T) {
	t.Parallel()
	p := &painter{}
	text := "sink: mem://\nseal: {plain: true}\njobs:\n  a:\n    application: paint\n    paint:\n      colour: blue\n      limits: {x: 255}\n      extra: {n: 127}\n"
	_, err := config.Parse("f", []byte(text), config.Options{Registry: config.Registry{"paint": p}})
	var all *config.Problems
	require.ErrorAs(t, err, &all)
	require.Len(t, all.All, 3, err)
	assert.Equal(t, "f:6:5: jobs.a.paint: no ratio", all.All[0].String())
	assert.Contains(t, all.All[1].Message, "not a pointer to a struct")
	assert.Equal(t, "f:7:15: jobs.a.paint.colour: blue is not red", all.All[2].String())
	file, line, column := p.section.Position()
	assert.Equal(t, []any{"f", 6, 5, "a", "paint"}, []any{file, line, column, p.section.Job(), p.section.Name()})

	_, err = config.Parse("f", []byte(strings.NewReplacer("255", "256", "127", "128", "blue", "red\n      ratio: x").Replace(text)),
		config.Options{Registry: config.Registry{"paint": p}})
	require.ErrorAs(t, err, &all)
	assert.Contains(t, err.Error(), "f:8:14: jobs.a.paint.ratio: is text, want a number")
	assert.Contains(t, err.Error(), "f:9:19: jobs.a.paint.limits.x: is a whole number, want a whole number from 0")
	assert.Contains(t, err.Error(), "f:10:18: jobs.a.paint.extra.n: is a whole number, want a whole number")
}

func TestLoadWithoutAFile(t *testing.T) {
	t.Parallel()
	_, err := config.Load(filepath.Join(t.TempDir(), "none.yaml"), config.Options{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.NotEmpty(t, backup.Hint(err))
}

// FuzzParse: whatever the file holds, it parses or is refused with places in it, and what parses prints and parses again.
func FuzzParse(f *testing.F) {
	for _, name := range []string{"testdata/full.yaml", "testdata/mistakes.yaml"} {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(text)
	}
	cases, err := os.ReadFile("testdata/problems.txt")
	require.NoError(f, err)
	for _, c := range strings.Split(string(cases), "\n==== ") {
		_, file, _ := strings.Cut(c, "\n")
		file, _, _ = strings.Cut(file, "\n----\n")
		f.Add([]byte(strings.Replace(file, "...", soundBeginning, 1)))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse("/etc/obm/f.yaml", text, options(fullFiles()))
		var p *config.Problems
		if errors.As(err, &p) {
			require.NotEmpty(t, p.All)
			last := 0
			for _, one := range p.All {
				require.GreaterOrEqual(t, one.Line, max(last, 1), one)
				require.LessOrEqual(t, one.Line, 1+bytes.Count(text, []byte("\n"))+bytes.Count(text, []byte("\r"))+bytes.Count(text, []byte("\u0085"))+
					bytes.Count(text, []byte("\u2028"))+bytes.Count(text, []byte("\u2029")), one)
				require.Positive(t, one.Column, one)
				require.NotEmpty(t, one.Message)
				last = one.Line
			}
			return
		}
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, c.Print(&out))
		if !strings.Contains(out.String(), "[redacted]") {
			_, err = config.Parse("/etc/obm/f.yaml", out.Bytes(), options(fullFiles()))
			require.NoError(t, err, out.String())
		}
	})
}
