package backuptest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
)

// LedgerSalvager is the agent of a Ledger with TruncatesItself: when a run dies, the files in its stage may hold the only copy of log.
type LedgerSalvager struct{ *LedgerSource }

// SalvagingSource returns the agent of a Ledger with TruncatesItself. Nil options work.
func (l *Ledger) SalvagingSource(o *LedgerSourceOptions) *LedgerSalvager {
	return &LedgerSalvager{l.Source(o)}
}

// Salvage implements backup.Salvager. It believes nothing but the files: each says in its head what it is and proves by its tail that it is whole.
func (s *LedgerSalvager) Salvage(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
	got, err := s.salvage(ctx, d)
	if err != nil {
		return backup.Salvaged{}, s.error("salvage", d.ID, err)
	}
	return got, nil
}

func (s *LedgerSalvager) salvage(ctx context.Context, d *backup.DeadRun) (got backup.Salvaged, err error) {
	if err := s.endOf(ctx, d.ID); err != nil {
		return got, errors.Join(backup.ErrNotNow, err)
	}
	at := map[string][]*backup.StagedArtifact{}
	var names []string
	for _, a := range d.Artifacts {
		if at[a.Item] == nil {
			names = append(names, a.Item)
		}
		at[a.Item] = append(at[a.Item], a)
	}
	for _, name := range names {
		it, err := salvageItem(ctx, name, at[name])
		if context.Cause(ctx) != nil {
			return got, context.Cause(ctx)
		}
		if err != nil {
			d.Log.Warn("an item of a dead run is lost", "item", name, "err", err)
			continue
		}
		got.Items = append(got.Items, it)
		for _, a := range at[name] {
			got.Artifacts = append(got.Artifacts, a.Artifact)
		}
	}
	got.Meta = map[string]string{"version": "1"}
	return got, nil
}

// endOf ends what the server still does for a run.
func (s *LedgerSalvager) endOf(ctx context.Context, run backup.ID) error {
	conn, err := s.l.connect(ctx, s.o.Password)
	if err != nil {
		return err
	}
	open, err := conn.sessions(ctx, s.o.Owner)
	for _, ses := range open {
		if err == nil && ses.Run == run {
			err = conn.end(ctx, s.o.Owner, ses.ID)
		}
	}
	return err
}

// salvageItem reads all artifacts of an item. It fails when one of them is torn or missing.
func salvageItem(ctx context.Context, name string, list []*backup.StagedArtifact) (it backup.Item, err error) {
	find := func(what string) *backup.StagedArtifact {
		i := slices.IndexFunc(list, func(a *backup.StagedArtifact) bool { return a.Name == ledgerArtifact(name, what) })
		if i < 0 {
			return nil
		}
		return list[i]
	}
	main := find("log")
	if main == nil {
		main = find("accounts")
	}
	var h fileHead
	err = readStaged(ctx, main, func(r io.Reader) error {
		return readFile(r, func(head fileHead) error { h = head; return nil }, func([]byte) error { return nil })
	})
	if err == nil && h.What == backup.Full && h.Ballast > 0 {
		err = readStaged(ctx, find("ballast"), func(r io.Reader) error { return readBallast(ctx, r, h.Seed, h.Ballast) })
	}
	if err == nil && h.What == backup.Full && h.Path != "" {
		err = readStaged(ctx, find("attached"), func(r io.Reader) error {
			sum := sha256.New()
			if _, err := io.Copy(sum, r); err != nil {
				return err
			}
			if fmt.Sprintf("%x", sum.Sum(nil)) != h.File {
				return backup.ErrCorrupt
			}
			return nil
		})
	}
	if err != nil {
		return it, err
	}
	return h.item(name)
}

// readStaged reads an artifact that must be there.
func readStaged(ctx context.Context, a *backup.StagedArtifact, use func(io.Reader) error) error {
	if a == nil {
		return fmt.Errorf("an artifact is missing: %w", backup.ErrCorrupt)
	}
	r, err := a.Open(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := use(r); err != nil {
		return fmt.Errorf("artifact %s: %w", a.Name, err)
	}
	return nil
}

// item is the record of the item that a file holds.
func (h fileHead) item(name string) (backup.Item, error) {
	st := stream{Name: h.Stream, Base: h.Base}
	seq, err := st.seq(h.To)
	if err != nil {
		return backup.Item{}, err
	}
	note, err := json.Marshal(map[string]any{"seq": seq})
	it := backup.Item{Name: name, Kind: h.What, Parent: h.Parent, Stream: h.Stream, End: h.To,
		Window: backup.Window{From: h.At, To: h.At}, Checkpoint: note}
	if h.What == backup.Log {
		it.Begin, it.Window.From, it.PointInTime = h.From, h.Since, true
	}
	return it, err
}

var _ backup.Salvager = (*LedgerSalvager)(nil)
