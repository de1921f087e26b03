package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
)

func restoreRules() []sourceRule {
	return []sourceRule{
		{name: "restore-refuses-to-overwrite", check: refusesOverwrite, restore: true,
			why: "A restore into the wrong server must not destroy what is there. ErrExists comes before anything is changed; Overwrite allows it."},
		{name: "restore-refuses-unknown-options", check: refusesOptions, restore: true,
			why: "A misspelt option that is ignored restores something else than what was asked for."},
		{name: "cancelled-restore-can-be-repeated", check: repeatedRestore, restore: true,
			why: "A restore is interrupted like anything else. It fails, and the next one, allowed to overwrite, gets there."},
		{name: "verify-accepts-what-is-good", check: verifyGood,
			why: "A verification that cries wolf is switched off."},
		{name: "verify-finds-damage", check: verifyDamage,
			why: "Damage done before the backup was sealed, by a failing disk or a tool that was cut short, is found by nobody but the agent."},
		{name: "rehearsal-proves-and-cleans-up", check: rehearsal,
			why: "A rehearsal that touches the application is an outage, one that leaves its copy fills the scratch place."},
	}
}

func refusesOverwrite(ctx context.Context, tr *trial) error {
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	saved, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := tr.app.Mutate(ctx, 5); err != nil {
		return fmt.Errorf("mutate: %w", err)
	}
	now, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := tr.restore(ctx, backup.Target{}, backup.RestoreOptions{}); !errors.Is(err, backup.ErrExists) {
		return fmt.Errorf("over existing content: got %v, want ErrExists", err)
	}
	if err := tr.holds(ctx, now, "the content after a refused restore"); err != nil {
		return err
	}
	if err := tr.restore(ctx, backup.Target{}, backup.RestoreOptions{Overwrite: true}); err != nil {
		return fmt.Errorf("allowed to overwrite: %w", err)
	}
	return tr.holds(ctx, saved, "the content after an allowed restore")
}

func refusesOptions(ctx context.Context, tr *trial) error {
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	if err := tr.app.Lose(ctx); err != nil {
		return fmt.Errorf("lose: %w", err)
	}
	o := backup.RestoreOptions{Options: map[string]string{"no-agent-knows-this": "yes"}}
	if err := tr.restore(ctx, backup.Target{}, o); err == nil {
		return errors.New("an option that no agent knows was accepted")
	}
	return nil
}

func repeatedRestore(ctx context.Context, tr *trial) error {
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	if err := tr.app.Lose(ctx); err != nil {
		return fmt.Errorf("lose: %w", err)
	}
	for _, n := range []int{1, 3, 7, 20, 60} {
		var looks *lookCtx
		tr.change = func(p *probe) {
			p.ctx = func(ctx context.Context) context.Context {
				looks = cancelAtLook(ctx, n)
				return looks
			}
		}
		err := tr.restore(ctx, backup.Target{}, backup.RestoreOptions{Overwrite: true})
		if looks == nil {
			return fmt.Errorf("the agent was not asked to restore: %w", err)
		}
		if err == nil {
			if herr := tr.holds(ctx, want, fmt.Sprintf("the content after a restore that succeeded though its context ended at the %d. look", n)); herr != nil {
				return herr
			}
		}
		if !looks.struck() {
			break
		}
	}
	tr.change = nil
	if err := tr.restore(ctx, backup.Target{}, backup.RestoreOptions{Overwrite: true}); err != nil {
		return fmt.Errorf("after cancelled restores: %w", err)
	}
	return tr.holds(ctx, want, "the content restored after cancelled restores")
}

// verify runs the agent over the whole chain.
func (tr *trial) verify(ctx context.Context, src backup.Source, sink backup.Sink) error {
	// The stager gives a verifier that asks its server a place for files.
	p, err := backup.New(backup.Config{Job: trialJob, Source: src, Sink: sink, PartSize: trialPart, Workers: 2, Stager: tr.stager()})
	if err != nil {
		return err
	}
	rep, err := p.Verify(ctx, backup.VerifyOptions{Level: backup.ProofFormat})
	if err != nil {
		return err
	}
	return rep.Err()
}

func verifyGood(ctx context.Context, tr *trial) error {
	src := tr.app.Source()
	if _, err := ability[backup.Verifier](src, "a Verifier"); err != nil {
		return err
	}
	if _, err := tr.series(ctx, src.Describe().Kinds...); err != nil {
		return err
	}
	if err := tr.verify(ctx, src, tr.mem); err != nil {
		return fmt.Errorf("good backups: %w", err)
	}
	return quiesced(ctx, tr.app, "after the verification")
}

// damages are what can happen to an artifact before it is sealed.
var damages = []struct {
	name   string
	change func([]byte) []byte
}{
	{"cut in half", func(b []byte) []byte { return b[:len(b)/2] }},
	{"cut by its last byte", func(b []byte) []byte { return b[:len(b)-1] }},
	{"empty", func([]byte) []byte { return nil }},
	{"with a flipped bit in the middle", func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b }},
}

func verifyDamage(ctx context.Context, tr *trial) error {
	src := tr.app.Source()
	v, err := ability[backup.Verifier](src, "a Verifier")
	if err != nil {
		return err
	}
	if err := tr.app.Mutate(ctx, 20); err != nil {
		return fmt.Errorf("mutate: %w", err)
	}
	m, err := tr.backup(ctx, backup.Full)
	if err != nil {
		return err
	}
	taken, err := tr.read(ctx, m)
	if err != nil {
		return err
	}
	largest := slices.MaxFunc(taken, func(a, b takenArtifact) int { return len(a.body) - len(b.body) })
	for _, d := range damages {
		if err := tr.damaged(ctx, src, v, m, taken, largest.Name, d.change); !errors.Is(err, backup.ErrCorrupt) {
			return fmt.Errorf("artifact %s, %d bytes, %s: got %v, want ErrCorrupt", largest.Name, len(largest.body), d.name, err)
		}
	}
	return nil
}

// takenArtifact is an artifact with its content.
type takenArtifact struct {
	backup.Artifact
	body []byte
}

// read fetches the artifacts of a backup by way of a restore that only looks.
func (tr *trial) read(ctx context.Context, m *backup.Manifest) ([]takenArtifact, error) {
	r := &reader{description: tr.app.Source().Describe()}
	p, err := backup.New(backup.Config{Job: trialJob, Source: r, Sink: tr.mem, PartSize: trialPart, Workers: 2})
	if err != nil {
		return nil, err
	}
	plan, err := p.Plan(ctx, backup.Target{ID: m.ID})
	if err != nil {
		return nil, err
	}
	if err := p.Restore(ctx, plan, backup.RestoreOptions{}); err != nil {
		return nil, err
	}
	if len(r.taken) == 0 {
		return nil, errors.New("the full has no artifacts")
	}
	return r.taken, nil
}

// damaged seals the same backup again with one artifact changed, as if the agent had staged it so, and verifies it.
func (tr *trial) damaged(ctx context.Context, src backup.Source, v backup.Verifier, m *backup.Manifest, taken []takenArtifact,
	name string, change func([]byte) []byte) error {
	r := &replayer{reader: reader{description: src.Describe()}, v: v, items: m.Items}
	for _, a := range taken {
		if a.Name == name {
			a.body = change(slices.Clone(a.body))
		}
		r.taken = append(r.taken, a)
	}
	sink := NewMemSink()
	p, err := backup.New(backup.Config{Job: trialJob, Source: r, Sink: sink, PartSize: trialPart, Workers: 2})
	if err != nil {
		return err
	}
	if _, err := p.Backup(ctx, backup.Full); err != nil {
		return fmt.Errorf("seal the damaged artifact: %w", err)
	}
	return tr.verify(ctx, r, sink)
}

// reader is a Source that can only look at what a restore would apply.
type reader struct {
	description backup.Description
	taken       []takenArtifact
}

func (r *reader) Describe() backup.Description { return r.description }

func (r *reader) Backup(context.Context, backup.Request, *backup.Stage) (backup.Result, error) {
	return backup.Result{}, errors.ErrUnsupported
}

func (r *reader) Restore(ctx context.Context, _ backup.RestoreRequest, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		for _, e := range step.Entries {
			in, err := set.Open(ctx, step, e)
			if err != nil {
				return err
			}
			body, err := io.ReadAll(in)
			if err := errors.Join(err, in.Close()); err != nil {
				return err
			}
			r.taken = append(r.taken, takenArtifact{e.Artifact, body})
		}
	}
	return nil
}

// replayer stages what a reader took.
type replayer struct {
	reader
	v     backup.Verifier
	items []backup.Item
}

func (r *replayer) Backup(ctx context.Context, _ backup.Request, st *backup.Stage) (backup.Result, error) {
	for _, a := range r.taken {
		w, err := st.Create(ctx, a.Artifact)
		if err != nil {
			return backup.Result{}, err
		}
		if _, err := w.Write(a.body); err != nil {
			return backup.Result{}, errors.Join(err, w.Close())
		}
		if err := w.Commit(); err != nil {
			return backup.Result{}, err
		}
	}
	return backup.Result{Items: r.items}, nil
}

func (r *replayer) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return r.v.Verify(ctx, set)
}

func rehearsal(ctx context.Context, tr *trial) error {
	if _, err := ability[backup.Rehearser](tr.app.Source(), "a Rehearser"); err != nil {
		return err
	}
	room, err := ability[Rehearsing](tr.app, "Rehearsing")
	if err != nil {
		return err
	}
	scratch, residue, err := room.Scratch(ctx)
	if err != nil {
		return fmt.Errorf("scratch: %w", err)
	}
	if _, err := tr.series(ctx, tr.app.Source().Describe().Kinds...); err != nil {
		return err
	}
	if err := tr.app.Mutate(ctx, 3); err != nil {
		return fmt.Errorf("mutate: %w", err)
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	p, err := tr.pipeline()
	if err != nil {
		return err
	}
	plan, err := p.Plan(ctx, backup.Target{})
	if err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	if err := p.Rehearse(ctx, plan, scratch, backup.RestoreOptions{}); err != nil {
		return fmt.Errorf("rehearse: %w", err)
	}
	if err := residue(ctx); err != nil {
		return fmt.Errorf("the rehearsal left something in its scratch place: %w", err)
	}
	return tr.holds(ctx, want, "the application after a rehearsal")
}

// sourcesApart runs two applications at once.
func sourcesApart(ctx context.Context, fresh NewApplication) (err error) {
	const n = 2
	trials := make([]*trial, n)
	for i := range trials {
		tr, nerr := newTrial(fresh)
		if nerr != nil {
			return nerr
		}
		defer func() { err = errors.Join(err, tr.close()) }()
		if err := tr.app.Mutate(ctx, 1+4*i); err != nil {
			return fmt.Errorf("mutate: %w", err)
		}
		trials[i] = tr
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i, tr := range trials {
		wg.Go(func() {
			if _, ok := tr.app.Source().(backup.Restorer); ok {
				errs[i] = tr.roundTrip(ctx, backup.Full)
				return
			}
			_, errs[i] = tr.series(ctx, backup.Full)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
