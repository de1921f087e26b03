package backuptest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/quiesce-go/quiesce/backup"
)

// log applies a log link to every database it serves.
func (b *ledgerBuild) log(ctx context.Context, step *backup.RestoreStep) error {
	var base uint64
	err := b.read(ctx, step, "log", func(r io.Reader) error {
		return readFile(r, func(h fileHead) error {
			base = h.Base
			if h.What != backup.Log || h.From != step.Item.Begin || h.To != step.Item.End || h.Stream != step.Item.Stream {
				return fmt.Errorf("holds %s of %s from %s to %s: %w", h.What, h.Stream, h.From, h.To, backup.ErrCorrupt)
			}
			return b.continues(step)
		}, func(line []byte) error {
			t, err := decode[tx](line)
			if err != nil || !step.Until.IsZero() && t.Time.After(step.Until) {
				return err
			}
			at := (&stream{Base: base}).position(t.Seq)
			if over, err := b.beyond(step, at); over || err != nil {
				return err
			}
			b.replay(step, at, t)
			return nil
		})
	})
	for _, d := range b.served(step) {
		d.reached = max(d.reached, step.Item.End)
	}
	return err
}

// beyond reports whether the step stops before it comes to the state at a position.
func (b *ledgerBuild) beyond(step *backup.RestoreStep, at backup.Position) (bool, error) {
	if step.UntilPosition == "" {
		return false, nil
	}
	s := &stream{}
	last, err := s.seq(step.UntilPosition)
	if err == nil && b.after {
		last++
	}
	return at > s.position(last), err
}

// served are the databases the step is for.
func (b *ledgerBuild) served(step *backup.RestoreStep) map[string]*built {
	m := map[string]*built{}
	for _, name := range step.For {
		if d, ok := b.dbs[name]; ok && d.stream == step.Item.Stream {
			m[name] = d
		}
	}
	return m
}

// continues checks that no log lies between what a database has reached and the link.
func (b *ledgerBuild) continues(step *backup.RestoreStep) error {
	if b.alone {
		return nil
	}
	served := b.served(step)
	if len(served) == 0 {
		return fmt.Errorf("no database of stream %s before it: %w", step.Item.Stream, backup.ErrChainBroken)
	}
	for name, d := range served {
		if d.reached < step.Item.Begin {
			return fmt.Errorf("database %s has reached %s, the log begins at %s: %w", name, d.reached, step.Item.Begin, backup.ErrChainBroken)
		}
	}
	return nil
}

// replay applies a transaction to the databases that have not seen it.
func (b *ledgerBuild) replay(step *backup.RestoreStep, at backup.Position, t tx) {
	for name, d := range b.served(step) {
		if at <= d.reached {
			continue
		}
		for _, m := range t.Moves {
			if m.DB == name {
				d.Rows[m.Account] = row{Balance: d.Rows[m.Account].Balance + m.Amount}
			}
		}
	}
}

// attached reads the file that belongs to a database and, in a restore, writes it beside its final name.
func (b *ledgerBuild) attached(ctx context.Context, step *backup.RestoreStep, d *built) error {
	return b.read(ctx, step, "attached", func(r io.Reader) error {
		sum := sha256.New()
		r = io.TeeReader(r, sum)
		var err error
		if b.attach == nil {
			_, err = io.Copy(io.Discard, r)
		} else {
			err = b.write(b.attach(step.Item.Name, d.Path), r)
		}
		if err == nil && hex.EncodeToString(sum.Sum(nil)) != d.File {
			err = fmt.Errorf("is not the file that was attached: %w", backup.ErrCorrupt)
		}
		return err
	})
}

func (b *ledgerBuild) write(path string, r io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.restoring")
	if err != nil {
		return err
	}
	b.temps = append(b.temps, [2]string{f.Name(), path})
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}

// keep gives the attached files their names.
func (b *ledgerBuild) keep() error {
	for _, t := range b.temps {
		if err := os.Rename(t[0], t[1]); err != nil {
			return err
		}
	}
	b.temps = nil
	return nil
}

// discard removes attached files that were not kept.
func (b *ledgerBuild) discard() {
	for _, t := range b.temps {
		os.Remove(t[0]) // what cannot be removed is a file named .restoring, which says what it is
	}
}
