package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// headersAtOnce is how many small objects are fetched side by side: enough to hide a target's latency.
const headersAtOnce = 16

// mark is what is written beside a manifest after the fact: a proof earned, damage found, a legal hold.
type mark struct {
	ID     ID        `json:"id"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason,omitempty"`
	Parts  int       `json:"parts,omitempty"` // parts checked
	Bytes  int64     `json:"bytes,omitempty"` // bytes checked, as stored
	// Notes are what a rehearsal found, by the agent's words, and under "duration" how long it took.
	Notes map[string]string `json:"notes,omitempty"`
}

const damagedMark = "damaged"

// History reads what is known of the job's backups, oldest first. It reads headers and marks, never entries or parts. A header that cannot be
// read is listed as damaged rather than left out.
func (p *Pipeline) History(ctx context.Context) (History, error) {
	h, _, err := p.readHistory(ctx)
	return h, p.fail("read history of job "+p.cfg.Job, "", err)
}

// readHistory also returns the ids of tombstones.
func (p *Pipeline) readHistory(ctx context.Context) (h History, tombstones []ID, err error) {
	ids, err := p.listIDs(ctx, p.keys.manifests(), ".json")
	if err != nil {
		return nil, nil, err
	}
	found := make([]*Backup, len(ids))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(headersAtOnce)
	for i, id := range ids {
		g.Go(func() (err error) {
			found[i], err = p.header(gctx, id)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, b := range found {
		if b != nil {
			h = append(h, *b)
		} else {
			tombstones = append(tombstones, ids[i])
		}
	}
	slices.SortFunc(h, func(a, b Backup) int { return compareIDs(a.ID, b.ID) })
	return h, tombstones, p.readMarks(ctx, h)
}

func compareIDs(a, b ID) int { return cmp.Compare(a, b) }

func (p *Pipeline) listIDs(ctx context.Context, prefix, suffix string) ([]ID, error) {
	var ids []ID
	for o, err := range p.vault.list(ctx, prefix) {
		if err != nil {
			return nil, err
		}
		if id, ok := idOf(o.Key, prefix, suffix); ok {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// header reads one manifest; nil is a tombstone, or a manifest pruned since it was listed.
func (p *Pipeline) header(ctx context.Context, id ID) (*Backup, error) {
	m, err := p.manifest(ctx, id)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, ErrCorrupt):
		return &Backup{Manifest: Manifest{ID: id, Job: p.cfg.Job}, Damaged: err.Error()}, nil
	case err != nil:
		return nil, err
	case m.Abandoned != "":
		return nil, nil
	}
	return &Backup{Manifest: *m, Proof: m.Proof}, nil
}

// manifest reads the header of a backup, or of a tombstone.
func (p *Pipeline) manifest(ctx context.Context, id ID) (*Manifest, error) {
	data, err := p.vault.get(ctx, p.keys.manifest(id))
	if err != nil {
		return nil, err
	}
	return decodeManifest(data, id, p.cfg.Job)
}

// readMarks adds to h what was learned after the manifests were written. Proof levels stand in the keys, so that listing is enough.
func (p *Pipeline) readMarks(ctx context.Context, h History) error {
	at := make(map[ID]*Backup, len(h))
	for i := range h {
		at[h[i].ID] = &h[i]
	}
	for o, err := range p.vault.list(ctx, p.keys.proofs()) {
		if err != nil {
			return err
		}
		id, what, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(o.Key, p.keys.proofs()), ".json"), "/")
		b := at[ID(id)]
		if !ok || b == nil {
			continue
		}
		if what == damagedMark {
			m, err := p.readMark(ctx, o.Key)
			if err != nil {
				return err
			}
			b.Damaged = m.Reason
		} else if level, err := ParseProof(what); err == nil {
			b.Proof = max(b.Proof, level)
		}
	}
	held, err := p.listIDs(ctx, p.keys.holds(), ".json")
	if err != nil {
		return err
	}
	for _, id := range held {
		if b := at[id]; b != nil {
			m, err := p.readMark(ctx, p.keys.hold(id))
			if err != nil {
				return err
			}
			b.Held = m.Reason
		}
	}
	return nil
}

func (p *Pipeline) readMark(ctx context.Context, key string) (mark, error) {
	data, err := p.vault.get(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return mark{Reason: "removed meanwhile"}, nil
	}
	if err != nil {
		return mark{}, err
	}
	var m mark
	if json.Unmarshal(data, &m) != nil || m.Reason == "" {
		m.Reason = "unknown: " + key + " cannot be read"
	}
	return m, nil
}

func (p *Pipeline) writeMark(ctx context.Context, key string, m mark) error {
	m.At = p.cfg.Now().UTC()
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	return p.vault.put(ctx, key, append(data, '\n'))
}

// Hold keeps a backup, and with it what its chain needs, from every prune until Unhold. reason must not be empty.
func (p *Pipeline) Hold(ctx context.Context, id ID, reason string) error {
	if reason == "" {
		return p.fail("hold", id, errors.New("a legal hold needs a reason"))
	}
	if _, err := p.manifest(ctx, id); errors.Is(err, fs.ErrNotExist) {
		return p.fail("hold", id, ErrNoBackup)
	} else if err != nil {
		return p.fail("hold", id, err)
	}
	return p.fail("hold", id, p.writeMark(ctx, p.keys.hold(id), mark{ID: id, Reason: reason}))
}

// Unhold ends a legal hold. Ending one that does not exist is not an error.
func (p *Pipeline) Unhold(ctx context.Context, id ID) error {
	return p.fail("end hold of", id, p.vault.delete(ctx, p.keys.hold(id)))
}
