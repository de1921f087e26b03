package config

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// check applies the rules between the sections. A key that is in the file but did not bind counts as given: it has been reported.
func (b *binder) check(c *Config) {
	keys := map[string]sealKeys{}
	for i := range c.Jobs {
		b.checkJob(c, &c.Jobs[i], keys)
	}
	b.checkNames(c)
	for i, n := range c.Notify {
		for k, name := range n.Jobs {
			if !slices.ContainsFunc(c.Jobs, func(j Job) bool { return j.Name == name }) {
				path := fmt.Sprintf("notify[%d].jobs[%d]", i, k)
				b.add(b.at(path), path, fmt.Sprintf("there is no job %q", name), likeJob(name, c.Jobs))
			}
		}
	}
	if c.Agent.Listen != "" && !c.Agent.Listen.loopback() {
		b.warn(b.at("agent.listen"), "agent.listen", "metrics and health can be read from other machines, without a password",
			"listen on 127.0.0.1 unless the network is closed")
	}
}

func (b *binder) has(path string) bool { _, ok := b.where[path]; return ok }

func likeJob(name string, jobs Jobs) string {
	names := make([]string, len(jobs))
	for i, j := range jobs {
		names[i] = j.Name
	}
	if best := nearest(name, names); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "jobs are: " + strings.Join(names, ", ")
}

// checkNames refuses names that some targets cannot tell apart.
func (b *binder) checkNames(c *Config) {
	for i, j := range c.Jobs {
		for _, earlier := range c.Jobs[:i] {
			if strings.EqualFold(j.Name, earlier.Name) {
				b.add(b.at(jobPath(j.Name)), jobPath(j.Name), fmt.Sprintf("differs from %q by case alone", earlier.Name),
					"some file systems take both for one: give one of them another name")
			}
		}
	}
}

// sink, stage and seal are what holds for a job, with the path of the section it comes from.
func (c *Config) sink(j *Job) URL {
	if j.Sink != "" {
		return j.Sink
	}
	return c.Sink
}

func (c *Config) stage(j *Job) (*Stage, string) {
	if j.Stage != nil {
		return j.Stage, join(jobPath(j.Name), "stage")
	}
	return c.Stage, "stage"
}

func (c *Config) seal(j *Job) (*Seal, string) {
	if j.Seal != nil {
		return j.Seal, join(jobPath(j.Name), "seal")
	}
	return &c.Seal, "seal"
}

func (b *binder) checkJob(c *Config, j *Job, keys map[string]sealKeys) {
	path := jobPath(j.Name)
	if !b.has("sink") && !b.has(join(path, "sink")) {
		b.add(b.at(path), join(path, "sink"), "is missing", `name the target in "sink", at the top of the file for all jobs or here`)
	}
	if stage, at := c.stage(j); stage != nil && stage.Max != 0 && stage.Max < 2*j.Transfer.PartSize {
		b.add(b.at(join(at, "max")), join(at, "max"), fmt.Sprintf("%s is less than two parts of %s", stage.Max, j.Transfer.PartSize),
			"give it room for at least some gibibytes")
	}
	if c.ReadOnly && j.Schedule.backups() {
		b.add(b.at(join(path, "schedule")), join(path, "schedule"), "backups are scheduled, but read_only is set", "take one of the two out")
	}
	b.checkKeys(c, j, path, keys)
	b.checkRehearse(j, path)
	b.checkProof(j, path)
	s := j.Schedule
	if (s.Log != "" || s.Differential != "") && !b.has(join(path, "schedule.full")) && j.Promote == (Promotion{}) {
		kind := "log"
		if s.Log == "" {
			kind = "differential"
		}
		at := join(path, "schedule."+kind)
		b.warn(b.at(at), at, "no full is scheduled: the first run becomes one and all others follow it in one chain without end",
			"schedule a full, or set promote.full_after")
	}
	if s.Prune != "" && j.Retention.keepsAll() && !b.has(join(path, "retention")) {
		at := join(path, "schedule.prune")
		b.add(b.at(at), at, "prunes are scheduled, but without a retention they would remove nothing", "add retention, such as {window: 14d}")
	}
}

func (b *binder) checkRehearse(j *Job, path string) {
	if at := join(path, "schedule.rehearse"); j.Schedule.Rehearse != "" && !b.has(join(path, "rehearse.to")) {
		b.add(b.at(at), at, "a rehearsal is scheduled, but rehearse.to does not say where it may restore to", "name a harmless place in rehearse.to")
	}
}

// checkProof warns when backups would never be proven far enough for what is asked of them.
func (b *binder) checkProof(j *Job, path string) {
	s := j.Schedule
	if !s.backups() {
		return
	}
	verifies := b.has(join(path, "schedule.verify")) && j.Verify.Sample == 100
	rehearses := b.has(join(path, "schedule.rehearse"))
	if at := join(path, "transfer.prove"); j.Transfer.Prove.Mode != backup.ProveAll && !verifies && !rehearses {
		b.warn(b.at(at), at, "nothing proves the backups: a run reads back "+j.Transfer.Prove.String()+" and no verify of all parts is scheduled",
			"schedule a verify; only what is proven counts for retention and objective")
	}
	at, least := join(path, "retention.min_proof"), j.Retention.MinProof
	if least == backup.ProofFormat && (!verifies || j.Verify.Level < least) && !rehearses || least == backup.ProofRestored && !rehearses {
		b.warn(b.at(at), at, fmt.Sprintf("nothing that is scheduled earns the proof %q, so nothing is ever removed", least),
			"schedule a verify with level format, or a rehearsal")
	}
}

// sealKeys are the keys of one section, read once.
type sealKeys struct {
	keys sink.Keys
	bad  bool
}

func (b *binder) checkKeys(c *Config, j *Job, path string, read map[string]sealKeys) {
	seal, at := c.seal(j)
	k, ok := read[at]
	if !ok {
		k = b.readKeys(seal, at)
		read[at] = k
	}
	if seal.Plain || k.bad {
		return
	}
	none := len(k.keys.Recipients) == 0 && !b.has(join(at, "recipients")) && !b.has(join(at, "recipients_file")) && !b.has(join(at, "plain"))
	if none && !c.ReadOnly && (j.Schedule.backups() || !b.has(join(at, "identity_file"))) {
		b.add(b.at(at), join(at, "recipients"), "is missing: without a recipient nothing can be encrypted",
			"make a pair of keys (age-keygen, or keygen of this program) and write its public half, age1..., into recipients; plain: true stores without encryption")
	}
	if b.has(join(at, "identity_file")) {
		return
	}
	for _, need := range []struct {
		wanted bool
		key    string
		what   string
	}{
		{j.Schedule.Verify != "" && j.Verify.Level == backup.ProofFormat, "verify.level", "format reads the content of backups"},
		{j.Schedule.Rehearse != "", "schedule.rehearse", "a rehearsal reads the content of backups"},
	} {
		if need.wanted {
			b.add(b.at(join(path, need.key)), join(path, need.key), need.what+", but seal.identity_file is missing",
				"verify bytes here, and do this on a machine that may have the identity")
		}
	}
}

func (b *binder) readKeys(s *Seal, path string) sealKeys {
	before := len(b.problems)
	keys, problems, absent := b.o.keys(*s)
	for _, err := range problems {
		b.invalid(path, true, err)
	}
	if s.Recipients != nil && len(s.Recipients) == 0 {
		b.add(b.at(join(path, "recipients")), join(path, "recipients"), "is an empty list", "write at least one age1... key")
	}
	if absent != nil {
		at, why := join(path, "identity_file"), absent
		if errors.Is(absent, fs.ErrNotExist) {
			why = errors.New("there is no such file")
		}
		b.warn(b.at(at), at, fmt.Sprintf("backups are made, but nothing that reads them works now: %v", why), "bring the identity from the safe before restoring")
	}
	return sealKeys{keys, len(b.problems) > before}
}
