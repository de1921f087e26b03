package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

// seal turns a shipped run into a backup: entries, sums, and last the manifest.
func (s *session) seal(ctx context.Context, r *run, res resultRecord) (*Manifest, error) {
	p := s.p
	for _, key := range r.garbage() {
		if err := p.vault.delete(ctx, key); err != nil {
			return nil, fmt.Errorf("remove a discarded part: %w", err)
		}
	}
	kept := r.kept()
	m := s.header(r, res, kept)
	if p.cfg.Prove.Mode != ProveAll {
		if err := s.countParts(ctx, r.id, m.Parts, m.StoredBytes); err != nil {
			return nil, err
		}
	}
	var err error
	if m.Entries, err = s.putEntries(ctx, r.id, kept); err != nil {
		return nil, fmt.Errorf("write entries: %w", err)
	}
	if m.Sums, err = s.putSums(ctx, r.id, kept); err != nil {
		return nil, fmt.Errorf("write sums: %w", err)
	}
	if m.Previous, err = s.previous(ctx); err != nil {
		return nil, fmt.Errorf("read the previous manifest: %w", err)
	}
	m.Finished = p.cfg.Now().UTC()
	return m, s.publish(ctx, m)
}

// header fills the manifest from what the run counted.
func (s *session) header(r *run, res resultRecord, kept []*artifact) *Manifest {
	d := s.p.cfg.Source.Describe()
	m := &Manifest{Format: FormatVersion, ID: r.id, Job: s.p.cfg.Job, Application: d.Application, Instance: d.Instance, Kind: r.kind, Options: r.options,
		Started: r.started.UTC(), Items: res.Items, PartSize: int64(r.partSize), Suffix: s.p.vault.suffix,
		Fence: s.lease.fence(), Untaken: res.Untaken, Resumed: r.resumed, Meta: res.Meta, Warnings: res.Warnings}
	if s.p.cfg.Prove.Mode == ProveAll {
		m.Proof = ProofBytes
	}
	at := make(map[string]*Item, len(m.Items))
	for i := range m.Items {
		it := &m.Items[i]
		it.Artifacts, it.Parts, it.Bytes = 0, 0, 0
		at[it.Name] = it
	}
	for _, a := range kept {
		it := at[a.Item]
		it.Artifacts++
		it.Parts += len(a.parts)
		it.Bytes += a.size
		m.Artifacts++
		m.Parts += len(a.parts)
		m.Bytes += a.size
		for _, part := range a.parts {
			m.StoredBytes += part.Stored
		}
	}
	return m
}

// countParts compares what the target lists with what it accepted, for runs that do not read every part back.
func (s *session) countParts(ctx context.Context, id ID, parts int, bytes int64) error {
	var n int
	var size int64
	for o, err := range s.p.vault.list(ctx, s.p.keys.run(id)) {
		if err != nil {
			return fmt.Errorf("list the run: %w", err)
		}
		if o.Key == s.p.keys.sums(id) || o.Key == s.p.keys.entries(id)+s.p.vault.suffix {
			continue // of an earlier attempt to seal this run
		}
		n++
		size += o.Size
	}
	if n != parts || size != bytes {
		return &Error{Op: "count parts", ID: id, Err: fmt.Errorf("%w: the target lists %d parts of %d bytes, %d of %d were stored", ErrCorrupt, n, size, parts, bytes),
			Advice: "the target lost or gained objects during the run; check it, then run again"}
	}
	return nil
}

// putEntries writes the list of artifacts, one JSON object a line, through the sealers.
func (s *session) putEntries(ctx context.Context, id ID, kept []*artifact) (ObjectRef, error) {
	next := 0
	lines := &lineReader{next: func() ([]byte, error) {
		if next == len(kept) {
			return nil, io.EOF
		}
		a := kept[next]
		next++
		return json.Marshal(Entry{Artifact: a.Artifact, Size: a.size, SHA256: a.sha, Key: a.key, Parts: a.parts})
	}}
	key := s.p.keys.entries(id)
	var r io.Reader = lines
	var err error
	for _, sealer := range s.p.vault.seals {
		if key, r, err = sealer.Seal(key, r); err != nil {
			return ObjectRef{}, err
		}
	}
	return s.putWhole(ctx, key, r)
}

// putSums writes the digests of the stored parts in the format of sha256sum, in plain text, so that anyone can check a backup without a key.
func (s *session) putSums(ctx context.Context, id ID, kept []*artifact) (ObjectRef, error) {
	i, n := 0, 0
	lines := &lineReader{next: func() ([]byte, error) {
		for i < len(kept) && n == len(kept[i].parts) {
			i, n = i+1, 0
		}
		if i == len(kept) {
			return nil, io.EOF
		}
		line := fmt.Appendf(nil, "%s  %s%s", kept[i].parts[n].SHA256, partName(kept[i].key, n), s.p.vault.suffix)
		n++
		return line, nil
	}}
	return s.putWhole(ctx, s.p.keys.sums(id), lines)
}

// putWhole stores a listing from memory, so that the sink may repeat the transfer. A listing takes some 100 bytes a part.
func (s *session) putWhole(ctx context.Context, key string, r io.Reader) (ObjectRef, error) {
	var buf bytes.Buffer
	if _, err := buf.ReadFrom(r); err != nil {
		return ObjectRef{}, err
	}
	ref := ObjectRef{Size: int64(buf.Len()), SHA256: sha256.Sum256(buf.Bytes())}
	if err := s.p.vault.base.Put(ctx, key, bytes.NewReader(buf.Bytes())); err != nil {
		return ObjectRef{}, err
	}
	if s.p.cfg.Prove.Mode == ProveAll {
		digest, _, err := s.p.vault.hashStored(ctx, key)
		if err != nil {
			return ObjectRef{}, fmt.Errorf("read back: %w", err)
		}
		if digest != ref.SHA256 {
			return ObjectRef{}, fmt.Errorf("%s reads back with sha256 %s, want %s: %w", key, digest, ref.SHA256, ErrCorrupt)
		}
	}
	return ref, nil
}

// lineReader makes a stream of lines without holding them all.
type lineReader struct {
	next func() ([]byte, error)
	rest []byte
}

func (l *lineReader) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		line, err := l.next()
		if err != nil {
			return 0, err
		}
		l.rest = append(line, '\n')
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// previous is the link to the newest header of the job.
func (s *session) previous(ctx context.Context) (*PreviousRef, error) {
	if len(s.history) == 0 {
		return nil, nil
	}
	id := s.history[len(s.history)-1].ID
	data, err := s.p.vault.get(ctx, s.p.keys.manifest(id))
	if err != nil {
		return nil, err
	}
	return &PreviousRef{ID: id, SHA256: sha256.Sum256(data)}, nil
}

// publish writes the manifest, if this run still holds the job. After an answer that was lost it looks whether the manifest arrived.
func (s *session) publish(ctx context.Context, m *Manifest) error {
	data, err := encodeManifest(m)
	if err != nil {
		return err
	}
	if err := s.lease.check(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	s.tried = true
	key := s.p.keys.manifest(m.ID)
	err = s.p.vault.putIfAbsent(ctx, key, data)
	if err == nil {
		return nil
	}
	clean, done := s.p.cleanup(ctx)
	defer done()
	there, gerr := s.p.vault.get(clean, key)
	switch {
	case gerr == nil && bytes.Equal(there, data):
		return nil
	case gerr == nil && errors.Is(err, fs.ErrExist):
		return &Error{Op: "write manifest", ID: m.ID, Err: errors.Join(ErrLeaseLost, err), Advice: "another machine declared this run dead while it was silent"}
	}
	return &Error{Op: "write manifest", ID: m.ID, Err: err, Advice: Hint(err)}
}
