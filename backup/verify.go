package backup

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// VerifyOptions say what to verify and how far.
type VerifyOptions struct {
	// IDs are the backups to verify; empty means all of the job.
	IDs []ID
	// Level is ProofBytes (the default) or ProofFormat, which includes it and needs the keys and a source that is a Verifier.
	Level Proof
	// Sample, when above 0 and below 1, reads that share of the parts. A sample finds damage but earns no proof.
	Sample float64
}

// VerifyReport is what a verification found.
type VerifyReport struct {
	Backups      int   `json:"backups"`
	CheckedParts int   `json:"checked_parts"`
	Bytes        int64 `json:"bytes"` // as stored
	Bad          []Bad `json:"bad"`
}

// Bad is one thing that is damaged.
type Bad struct {
	ID       ID     `json:"id"`
	Artifact string `json:"artifact"`
	Part     string `json:"part,omitempty"` // the object below the run
	Reason   string `json:"reason"`
}

// Err returns nil when nothing is damaged, else an error that wraps ErrCorrupt.
func (r *VerifyReport) Err() error {
	if len(r.Bad) == 0 {
		return nil
	}
	b := r.Bad[0]
	more := ""
	if len(r.Bad) > 1 {
		more = fmt.Sprintf(" (and %d more)", len(r.Bad)-1)
	}
	return &Error{Op: "verify", ID: b.ID, Artifact: b.Artifact, Err: fmt.Errorf("%w: %s%s", ErrCorrupt, b.Reason, more),
		Advice: "take a full backup now; plans no longer use damaged backups"}
}

// Verify checks stored backups and records what it finds: a proof, or the damage, after which plans and windows leave the backup out. Bytes are checked
// as they lie at the target, without any key. The error is about the checking; damage is in the report.
func (p *Pipeline) Verify(ctx context.Context, o VerifyOptions) (*VerifyReport, error) {
	if o.Level == ProofSealed {
		o.Level = ProofBytes
	}
	rep := &VerifyReport{Bad: []Bad{}}
	if o.Level > ProofFormat {
		return rep, p.fail("verify", "", fmt.Errorf("level %s is earned by a rehearsal", o.Level))
	}
	if _, ok := p.cfg.Source.(Verifier); !ok && o.Level == ProofFormat {
		return rep, p.fail("verify", "", fmt.Errorf("this source cannot check its format: %w", errors.ErrUnsupported))
	}
	h, err := p.History(ctx)
	if err != nil {
		return rep, err
	}
	chosen, err := h.choose(o.IDs)
	if err != nil {
		return rep, p.fail("verify", "", err)
	}
	for _, b := range chosen {
		if err := p.verifyOne(ctx, b, o, rep); err != nil {
			return rep, p.fail("verify", b.ID, err)
		}
	}
	return rep, nil
}

func (h History) choose(ids []ID) (History, error) {
	if len(ids) == 0 {
		return h, nil
	}
	var chosen History
	for _, id := range ids {
		b, ok := h.Find(id)
		if !ok {
			return nil, &Error{Op: "find", ID: id, Err: ErrNoBackup, Advice: "list the backups of the job to see their ids"}
		}
		chosen = append(chosen, b)
	}
	return chosen, nil
}

// verifyOne checks one backup and records the outcome.
func (p *Pipeline) verifyOne(ctx context.Context, b Backup, o VerifyOptions, rep *VerifyReport) error {
	rep.Backups++
	v := &verification{p: p, id: b.ID, sample: o.Sample, meter: newMeter(p, b.ID)}
	v.meter.expect(0, b.StoredBytes)
	v.meter.enter(PhaseVerify)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := v.meter.run(ctx, cancel)
	err := v.bytes(ctx)
	if err == nil && len(v.bad) == 0 && o.Level == ProofFormat {
		err = v.format(ctx, b)
	}
	stop()
	rep.CheckedParts += v.parts
	rep.Bytes += v.size
	rep.Bad = append(rep.Bad, v.bad...)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return err
	}
	return v.record(ctx, b, o)
}

// verification is the check of one backup.
type verification struct {
	p      *Pipeline
	id     ID
	sample float64
	meter  *meter

	mu    sync.Mutex
	parts int
	size  int64
	bad   []Bad
}

func (v *verification) damaged(artifact, part, format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bad = append(v.bad, Bad{ID: v.id, Artifact: artifact, Part: part, Reason: fmt.Sprintf(format, args...)})
}

// bytes reads the manifest, the two listings and the parts, and compares digests.
func (v *verification) bytes(ctx context.Context) error {
	m, err := v.p.manifest(ctx, v.id)
	if errors.Is(err, ErrCorrupt) {
		v.damaged("manifest", "", "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	sums, err := v.sums(ctx, m)
	if err != nil || sums == nil {
		return err
	}
	if err := v.object(ctx, entriesName+m.Suffix, entriesName+m.Suffix, m.Entries.SHA256); err != nil {
		return err
	}
	return v.eachPart(ctx, m, sums)
}

// sums reads the list of digests; nil means that it is damaged.
func (v *verification) sums(ctx context.Context, m *Manifest) ([]byte, error) {
	rc, err := v.p.vault.open(ctx, v.p.keys.sums(m.ID))
	if err = missingIsCorrupt(err); errors.Is(err, ErrCorrupt) {
		v.damaged(sumsName, sumsName, "%v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := io.ReadAll(io.LimitReader(rc, m.Sums.Size+1))
	if err != nil {
		return nil, err
	}
	if got := Digest(sha256.Sum256(data)); got != m.Sums.SHA256 {
		v.damaged(sumsName, sumsName, "has sha256 %s, the manifest says %s", got, m.Sums.SHA256)
		return nil, nil
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// eachPart checks the parts named in sums, some at once.
func (v *verification) eachPart(ctx context.Context, m *Manifest, sums []byte) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(v.p.cfg.Workers)
	n := 0
	sc := bufio.NewScanner(bytes.NewReader(sums))
	for sc.Scan() {
		hex, key, ok := strings.Cut(sc.Text(), "  ")
		var want Digest
		if !ok || want.UnmarshalText([]byte(hex)) != nil || !validKey(key) {
			v.damaged(sumsName, sumsName, "line %q cannot be read", sc.Text())
			break
		}
		n++
		if v.sample > 0 && v.sample < 1 && rand.Float64() >= v.sample {
			continue
		}
		artifact := key[:strings.LastIndexByte(key, '/')+1]
		g.Go(func() error { return v.object(gctx, strings.TrimSuffix(artifact, "/"), key, want) })
	}
	err := g.Wait()
	if err == nil && (sc.Err() != nil || n != m.Parts) {
		v.damaged(sumsName, sumsName, "lists %d parts, the manifest counts %d", n, m.Parts)
	}
	return err
}

// object reads one stored object to its end. What it finds wrong is damage; what keeps it from reading is an error.
func (v *verification) object(ctx context.Context, artifact, key string, want Digest) error {
	got, n, err := v.p.vault.hashStored(ctx, v.p.keys.run(v.id)+key)
	v.meter.shippedBytes(n, n)
	v.mu.Lock()
	v.parts++
	v.size += n
	v.mu.Unlock()
	err = missingIsCorrupt(err)
	switch {
	case errors.Is(err, ErrCorrupt):
		v.damaged(artifact, key, "%v", err)
	case err != nil:
		return fmt.Errorf("read %s: %w", key, err)
	case got != want:
		v.damaged(artifact, key, "stored object of %d bytes has sha256 %s, want %s", n, got, want)
	}
	return nil
}

// format lets the agent look at the content of every item. It gets a directory too, for files that only a server can read.
func (v *verification) format(ctx context.Context, b Backup) (err error) {
	dir, release, err := v.p.restoreStage(ctx, NewID(v.p.cfg.Now(), ""))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	var steps []PlanStep
	for _, it := range b.Items {
		if !it.Failed() {
			steps = append(steps, PlanStep{ID: b.ID, Item: it, For: []string{it.Name}, Proof: b.Proof})
		}
	}
	set, err := v.p.newRestoreSet(ctx, steps, dir, v.meter)
	if err == nil {
		err = v.p.cfg.Source.(Verifier).Verify(ctx, set)
	}
	if errors.Is(err, ErrCorrupt) {
		name := ""
		if e := (*Error)(nil); errors.As(err, &e) {
			name = e.Artifact
		}
		v.damaged(name, "", "%v", err)
		return nil
	}
	return err
}

// record writes down what was found. A backup found whole is no longer called damaged.
func (v *verification) record(ctx context.Context, b Backup, o VerifyOptions) error {
	damagedKey := v.p.keys.proof(v.id, damagedMark)
	if len(v.bad) > 0 {
		reason := fmt.Sprintf("%s: %s", v.bad[0].Artifact, v.bad[0].Reason)
		return v.p.writeMark(ctx, damagedKey, mark{ID: v.id, Reason: reason, Parts: v.parts, Bytes: v.size})
	}
	if v.sample > 0 && v.sample < 1 {
		return nil
	}
	if b.Damaged != "" {
		if err := v.p.vault.delete(ctx, damagedKey); err != nil {
			return err
		}
	}
	if b.Proof >= o.Level {
		return nil
	}
	return v.p.writeMark(ctx, v.p.keys.proof(v.id, o.Level.String()), mark{ID: v.id, Parts: v.parts, Bytes: v.size})
}
