package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Check implements backup.Checker: it connects and, where there is a stage, lets the server write a file there.
func (s *LedgerSource) Check(ctx context.Context, dir backup.StageDir) []backup.Finding {
	_, err := s.l.connect(ctx, s.o.Password)
	found := []backup.Finding{{What: "the server answers", Err: err, Hint: "start the server and check the password of the backup account"}}
	if dir.Path == "" || !s.o.ServerFiles {
		return found
	}
	path := dir.ServerPath
	if path == "" {
		path = dir.Path
	}
	name := filepath.Join(path, "check.tmp")
	err = errors.Join(os.WriteFile(name, []byte("check"), 0o600), os.Remove(name))
	return append(found, backup.Finding{What: "the server writes to the stage", Err: err, Hint: "give the server the right to write to " + path})
}

// Estimate implements backup.Estimator.
func (s *LedgerSource) Estimate(ctx context.Context, r backup.Request) (int64, error) {
	if err := (&ledgerConn{s.l}).call(ctx, ""); err != nil {
		return 0, s.error("estimate", r.ID, err)
	}
	s.l.mu.Lock()
	defer s.l.mu.Unlock()
	const line = 48 // bytes of an account or a leg of a transaction, roughly
	var n int64
	for name, db := range s.l.state.DBs {
		anchor := r.Anchors[name]
		if r.Kind == backup.Full || anchor.Full == nil {
			n += db.Ballast + line*int64(len(db.Rows))
			continue
		}
		n += line * 4
	}
	return n, nil
}

// Recover implements backup.Recoverer. A session whose run is durable is brought to its end with the truncation it owes; any other is just ended.
func (s *LedgerSource) Recover(ctx context.Context, job string, h backup.History) error {
	conn, err := s.l.connect(ctx, s.o.Password)
	if err != nil {
		return s.error("recover", "", err)
	}
	open, err := conn.sessions(ctx, s.o.Owner)
	if err != nil {
		return s.error("recover", "", err)
	}
	for _, ses := range open {
		if b, ok := h.Find(ses.Run); ok && b.Abandoned == "" {
			err = conn.finish(ctx, s.o.Owner, ses.ID, &b.Manifest)
		} else {
			err = conn.end(ctx, s.o.Owner, ses.ID)
		}
		if err != nil {
			return s.error("recover", ses.Run, err)
		}
	}
	// A server that crashed kept no session, but its databases may still be in backup mode.
	if err := conn.end(ctx, s.o.Owner, 0); err != nil {
		return s.error("recover", "", err)
	}
	return nil
}

// Restore implements backup.Restorer. Databases appear all together at the end, or not at all.
func (s *LedgerSource) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if err := s.restore(ctx, r, set); err != nil {
		return s.error("restore", "", err)
	}
	return nil
}

func (s *LedgerSource) restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	for k := range r.Options {
		return fmt.Errorf("%w %q", backup.ErrOption, k)
	}
	conn, err := s.l.connect(ctx, s.o.Password)
	if err != nil {
		return err
	}
	rename := renames(r.Target)
	if err := conn.refuse(ctx, r.Overwrite, rename, set); err != nil {
		return err
	}
	b := &ledgerBuild{set: set, dbs: map[string]*built{}, after: r.Target.After}
	defer b.discard()
	b.attach = func(name, path string) string { return attachedPath(rename, name, path) }
	if err := b.build(ctx); err != nil {
		return err
	}
	dbs := map[string]*database{}
	for name, d := range b.dbs {
		d.Path = attachedPath(rename, name, d.Path)
		dbs[rename(name)] = &d.database
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := conn.restore(ctx, dbs, r.Overwrite); err != nil {
		return err
	}
	return b.keep()
}

// renames tells under which name a database is restored.
func renames(t backup.Target) func(string) string {
	as := map[string]string{}
	for _, sel := range t.Select {
		if sel.As != "" {
			as[sel.Name] = sel.As
		}
	}
	return func(name string) string {
		if n, ok := as[name]; ok {
			return n
		}
		return name
	}
}

// attachedPath keeps the file of a renamed database apart from the original's.
func attachedPath(rename func(string) string, name, path string) string {
	if as := rename(name); path != "" && as != name {
		return path + "." + as
	}
	return path
}

// refuse finds what the restore would overwrite, before anything is changed.
func (c *ledgerConn) refuse(ctx context.Context, overwrite bool, rename func(string) string, set *backup.RestoreSet) error {
	existing, err := c.existing(ctx)
	if err != nil || overwrite {
		return err
	}
	for _, step := range set.Steps() {
		name := step.Item.Name
		if step.Item.Kind != backup.Full {
			continue
		}
		if slices.Contains(existing, rename(name)) {
			return fmt.Errorf("database %q: %w", rename(name), backup.ErrExists)
		}
		for _, e := range step.Entries {
			path := attachedPath(rename, name, e.Meta["path"])
			if _, err := os.Lstat(path); path != "" && err == nil {
				return fmt.Errorf("file %s: %w", path, backup.ErrExists)
			}
		}
	}
	return nil
}

// Locate implements backup.Locator: "tx:7" is the state before transaction 7 of the log, "tx:7+" the state after it.
func (s *LedgerSource) Locate(_ context.Context, _ backup.History, _, where string) (backup.Target, error) {
	number, after := strings.CutSuffix(strings.TrimPrefix(where, "tx:"), "+")
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 || !strings.HasPrefix(where, "tx:") {
		return backup.Target{}, fmt.Errorf("%q is no place in a ledger's log, such as tx:7 or tx:7+: %w", where, backup.ErrOption)
	}
	// A state is numbered by the last transaction in it, so a transaction stands at the number of the state it finds.
	return backup.Target{Position: (&stream{}).position(n - 1), After: after}, nil
}

// Verify implements backup.Verifier.
func (s *LedgerSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	if err := (&ledgerBuild{set: set, dbs: map[string]*built{}, alone: true}).build(ctx); err != nil {
		return s.error("verify", "", err)
	}
	return nil
}

// Rehearse implements backup.Rehearser. scratch is a directory; a Ledger of its own is restored there, looked at and removed.
func (s *LedgerSource) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	dir, err := os.MkdirTemp(scratch, "ledger-rehearsal-")
	if err != nil {
		return s.error("rehearse", "", err)
	}
	defer os.RemoveAll(dir)
	o := s.l.o
	o.Databases = []string{}
	l, err := OpenLedger(dir, &o)
	if err != nil {
		return s.error("rehearse", "", err)
	}
	defer l.Close()
	b := &ledgerBuild{set: set, dbs: map[string]*built{}, after: r.Target.After}
	b.attach = func(_, path string) string { return filepath.Join(dir, filepath.Base(path)) }
	defer b.discard()
	if err := b.build(ctx); err != nil {
		return s.error("rehearse", "", err)
	}
	dbs := map[string]*database{}
	for name, d := range b.dbs {
		dbs[name] = &d.database
	}
	if err := (&ledgerConn{l}).restore(ctx, dbs, false); err != nil {
		return s.error("rehearse", "", err)
	}
	if got := l.Current().Names(); !slices.Equal(got, slices.Sorted(maps.Keys(dbs))) {
		return s.error("rehearse", "", fmt.Errorf("databases %v came up of %v", got, slices.Sorted(maps.Keys(dbs))))
	}
	return nil
}

// ledgerBuild puts databases together from a restore set.
type ledgerBuild struct {
	set    *backup.RestoreSet
	dbs    map[string]*built
	after  bool                           // a step that stops at a position also applies what stands there
	alone  bool                           // links are read by themselves, not applied to their fulls
	attach func(name, path string) string // where an attached file goes; nil reads it only
	temps  [][2]string                    // files written and the names they get at the end
}

// built is a database with the position it has reached.
type built struct {
	database
	stream  string
	reached backup.Position
}

func (b *ledgerBuild) build(ctx context.Context) error {
	for _, step := range b.set.Steps() {
		var err error
		switch step.Item.Kind {
		case backup.Full:
			err = b.full(ctx, step)
		case backup.Differential:
			err = b.differential(ctx, step)
		default:
			err = b.log(ctx, step)
		}
		if err != nil {
			return fmt.Errorf("%s of %s in %s: %w", step.Item.Kind, step.Item.Name, step.ID, err)
		}
	}
	return nil
}

// read opens an artifact the step must have.
func (b *ledgerBuild) read(ctx context.Context, step *backup.RestoreStep, what string, use func(io.Reader) error) error {
	name := ledgerArtifact(step.Item.Name, what)
	e, ok := step.Find(name)
	if !ok {
		return fmt.Errorf("artifact %s is missing: %w", name, backup.ErrCorrupt)
	}
	r, err := b.set.Open(ctx, step, e)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := use(r); err != nil {
		return fmt.Errorf("artifact %s: %w", name, err)
	}
	return nil
}

func (b *ledgerBuild) full(ctx context.Context, step *backup.RestoreStep) error {
	d := &built{stream: step.Item.Stream, reached: step.Item.End}
	d.Rows = map[string]row{}
	err := b.accounts(ctx, step, d, func(h fileHead) error {
		d.Seed, d.Ballast, d.Path, d.File = h.Seed, h.Ballast, h.Path, h.File
		return nil
	})
	if err != nil {
		return err
	}
	if d.Ballast > 0 {
		err = b.read(ctx, step, "ballast", func(r io.Reader) error { return readBallast(ctx, r, d.Seed, d.Ballast) })
	}
	if err == nil && d.Path != "" {
		err = b.attached(ctx, step, d)
	}
	b.dbs[step.Item.Name] = d
	return err
}

func (b *ledgerBuild) differential(ctx context.Context, step *backup.RestoreStep) error {
	d, ok := b.dbs[step.Item.Name]
	if !ok && b.alone {
		d = &built{}
		d.Rows = map[string]row{}
	} else if !ok {
		return fmt.Errorf("its full is not in the set: %w", backup.ErrChainBroken)
	}
	err := b.accounts(ctx, step, d, func(h fileHead) error {
		if h.From != d.reached && !b.alone {
			return fmt.Errorf("builds on %s, the full ends at %s: %w", h.From, d.reached, backup.ErrChainBroken)
		}
		return nil
	})
	d.reached = step.Item.End
	return err
}

func (b *ledgerBuild) accounts(ctx context.Context, step *backup.RestoreStep, d *built, head func(fileHead) error) error {
	return b.read(ctx, step, "accounts", func(r io.Reader) error {
		return readFile(r, func(h fileHead) error {
			if h.What != step.Item.Kind || h.DB != step.Item.Name || h.To != step.Item.End {
				return fmt.Errorf("holds %s of %q to %s: %w", h.What, h.DB, h.To, backup.ErrCorrupt)
			}
			return head(h)
		}, func(line []byte) error {
			r, err := decode[accountRow](line)
			d.Rows[r.Account] = row{Balance: r.Balance}
			return err
		})
	})
}
