package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// Verify implements backup.Verifier, without a server and on any system. Every artifact is read once and compared with the size and checksum that it had when it came from the server. Databases are checked page by page
// and logs by header and segment, see package ese. Logs must be one series without a break, from where the item begins to where it ends, with all that each database requires to be recovered; and a log link must
// continue what the step before it holds.
func (s *Source) Verify(ctx context.Context, set *backup.RestoreSet) error {
	v := &verifying{src: s, set: set, ends: map[string]checkpoint{}}
	for _, step := range set.Steps() {
		v.step = step
		if err := v.item(ctx); err != nil {
			return err
		}
	}
	return nil
}

// verifying is one verification.
type verifying struct {
	src  *Source
	set  *backup.RestoreSet
	step *backup.RestoreStep
	// ends is with what the steps so far end, by item.
	ends map[string]checkpoint
}

// group is what was read of one step.
type group struct {
	databases []readDatabase
	logs      []ese.NamedLog
	partial   bool
	note      *groupNote
}

func (v *verifying) item(ctx context.Context) error {
	g := &group{}
	for _, e := range v.step.Entries {
		if err := v.artifact(ctx, e, g); err != nil {
			return v.failed(ctx, e.Name, err)
		}
	}
	if v.step.Item.Name == itemSystem {
		return nil
	}
	return v.failed(ctx, v.step.Item.Name, v.whole(g))
}

// artifact reads one artifact to its end.
func (v *verifying) artifact(ctx context.Context, e backup.Entry, g *group) error {
	in, err := v.set.Open(ctx, v.step, e)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was read to its end, or its error is known
	sum := &staged{w: io.Discard, sum: newSum()}
	tee := io.TeeReader(in, sum)
	jerr := g.judge(ctx, e, tee)
	// What is damaged may not have been read to its end; its sum says whether that is so since it was taken.
	if _, err := plain(ctx, tee); err != nil {
		return err
	}
	if want := e.Meta[metaSize]; want != strconv.FormatInt(sum.n, 10) {
		return errors.Join(damaged("it has %d bytes, and had %q when it came from the server", sum.n, want), jerr)
	}
	if want := e.Meta[metaSum]; want != sumText(sum.sum) {
		return errors.Join(damaged("its checksum is %s, and was %q when it came from the server", sumText(sum.sum), want), jerr)
	}
	return jerr
}

// judge reads one artifact as what it is.
func (g *group) judge(ctx context.Context, e backup.Entry, r io.Reader) error {
	switch e.Meta[metaKind] {
	case fileDatabase, fileStream:
		d, err := ese.VerifyDatabase(ctx, r, -1)
		g.databases = append(g.databases, readDatabase{e.Meta[metaDatabase], d})
		return err
	case fileLog:
		l, err := ese.VerifyLog(ctx, r)
		g.logs = append(g.logs, ese.NamedLog{Name: baseName(e.Meta[metaFile]), Log: l})
		g.partial = e.Meta[metaPartial] == "true"
		return err
	case fileCheckpoint:
		_, err := ese.VerifyCheckpoint(ctx, r)
		return err
	case fileNote:
		text, err := io.ReadAll(io.LimitReader(r, maxNote))
		if err != nil {
			return err
		}
		n, err := parseGroupNote(text)
		g.note = &n
		return err
	}
	return nil
}

// maxNote bounds the note of a group: thousands of databases.
const maxNote = 16 << 20

// whole compares what was read with what the item says, and with the step before.
func (v *verifying) whole(g *group) error {
	it := v.step.Item
	if g.note == nil {
		return damaged("%s is missing", groupNoteName(it.Name))
	}
	var ck checkpoint
	if err := json.Unmarshal(it.Checkpoint, &ck); err != nil {
		return damaged("its checkpoint: %v", err)
	}
	if err := g.chain(it, ck); err != nil {
		return err
	}
	if it.Kind == backup.Full {
		if err := g.full(); err != nil {
			return err
		}
	}
	if err := v.continues(g, it); err != nil {
		return err
	}
	v.ends[it.Name] = ck
	return nil
}

// chain checks that the logs are one series that reaches from where the item begins to where it ends.
func (g *group) chain(it backup.Item, ck checkpoint) error {
	if len(g.logs) == 0 {
		if it.Kind == backup.Log && it.Begin != it.End {
			return damaged("it has no logs, and should lead from %s to %s", it.Begin, it.End)
		}
		return nil
	}
	first, last := g.logs[0].Log, g.logs[len(g.logs)-1].Log
	if err := ese.CheckChain(first.Signature, g.logs); err != nil {
		return fmt.Errorf("%w: %w", backup.ErrCorrupt, err)
	}
	have := ck.at(last, g.partial)
	switch {
	case seriesText(first.Signature) != it.Stream:
		return damaged("its logs are %s, and it says that they are of another series, %s", first.Signature, it.Stream)
	case it.Kind == backup.Log && position(first.Generation, false) != it.Begin:
		return damaged("it begins with log %s, and should with %s", generation(first.Generation), it.Begin)
	case have.end() != it.End:
		return damaged("it ends at %s, and should at %s", have.end(), it.End)
	case have.Created != ck.Created || have.Sum != ck.Sum:
		return damaged("its last log %s is another one than its checkpoint tells", generation(last.Generation))
	}
	return nil
}

// full checks that every database of the group is there, with the logs that it requires.
func (g *group) full() error {
	have, streams := map[string]bool{}, map[string]bool{}
	for _, d := range g.databases {
		if d.Streaming {
			streams[d.name] = true
			continue
		}
		have[d.name] = true
		if r := ese.Explain(ese.Set{Database: d.Database, Logs: g.logs}); !r.Possible {
			return damaged("database %q: %s: %s", d.name, r, strings.Join(r.Reasons, "; "))
		}
	}
	for _, d := range g.note.Group.Databases {
		if !have[d.Name] || d.StreamFile != "" && !streams[d.Name] {
			return damaged("a file of database %q is missing", d.Name)
		}
	}
	return nil
}

// continues checks that the logs of a link lead on from what the step before it holds. Logs that overlap it were compared when they were taken.
func (v *verifying) continues(g *group, it backup.Item) error {
	before, ok := v.ends[it.Name]
	if it.Kind != backup.Log || !ok || len(g.logs) == 0 {
		return nil
	}
	first := g.logs[0].Log
	switch {
	case first.Generation > before.next():
		return damaged("logs %s are missing between it and the step before", generations(before.next(), first.Generation-1))
	case first.Generation < before.next():
		return nil
	}
	if why := before.follows(first); why != "" {
		return damaged("it does not continue the step before: %s", why)
	}
	return nil
}

// failed names what err is about. Damage stays what it is; any other error says that nothing is known.
func (v *verifying) failed(ctx context.Context, artifact string, err error) error {
	if err == nil {
		return nil
	}
	hint := backup.Hint(err)
	if hint == "" && errors.Is(err, backup.ErrCorrupt) {
		hint = "restore from another backup, and take a full now"
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return &backup.Error{Op: "verify", App: application, Instance: v.src.opt.Instance, ID: v.step.ID, Artifact: artifact, Advice: hint, Err: err}
}

var _ backup.Verifier = (*Source)(nil)
