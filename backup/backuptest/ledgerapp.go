package backuptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// NewLedgerApplication returns a harness of TestSource over new Ledgers with those options. Every ability of a harness is there, so it is
// also the example for authors of harnesses.
func NewLedgerApplication(o *LedgerOptions, so *LedgerSourceOptions) NewApplication {
	return func() (Application, error) {
		dir, err := os.MkdirTemp("", "ledger-")
		if err != nil {
			return nil, err
		}
		opts := o.withDefaults()
		if opts.Password == "" {
			opts.Password = "canary-7Qx2vLw9"
		}
		a := &ledgerApp{l: NewLedger(&opts), so: so, dir: dir}
		file := dir + "/attached.txt"
		if err := os.WriteFile(file, []byte(strings.Repeat("attached to the books\n", 4000)), 0o600); err != nil {
			return nil, errors.Join(err, a.Close())
		}
		if err := a.l.Attach(opts.Databases[0], file); err != nil {
			return nil, errors.Join(err, a.Close())
		}
		if opts.TruncatesItself {
			return &selfTruncatingApp{a}, nil
		}
		return a, nil
	}
}

// selfTruncatingApp is a Ledger with TruncatesItself as an Application.
type selfTruncatingApp struct{ *ledgerApp }

func (a *selfTruncatingApp) Source() backup.Source { return a.l.SalvagingSource(a.so) }

func (a *selfTruncatingApp) AtTruncation(fn func()) { a.l.AtTruncation(fn) }

var _ SelfTruncating = (*selfTruncatingApp)(nil)

// ledgerApp is a Ledger as an Application.
type ledgerApp struct {
	l   *Ledger
	so  *LedgerSourceOptions
	dir string
}

func (a *ledgerApp) Source() backup.Source { return a.l.Source(a.so) }

func (a *ledgerApp) Mutate(_ context.Context, n int) error { return a.l.Mutate(n) }

func (a *ledgerApp) Fingerprint(context.Context) (string, error) {
	return a.l.Current().Fingerprint(), nil
}

func (a *ledgerApp) Lose(context.Context) error {
	return errors.Join(a.l.Lose(), os.RemoveAll(a.dir), os.MkdirAll(a.dir, 0o700))
}

func (a *ledgerApp) Quiesced(context.Context) error {
	open := a.l.Open()
	for _, o := range open {
		if !strings.HasSuffix(o, "somebody else") {
			return fmt.Errorf("open: %s", strings.Join(open, ", "))
		}
	}
	return nil
}

func (a *ledgerApp) Close() error { return os.RemoveAll(a.dir) }

func (a *ledgerApp) Now(context.Context) (time.Time, error) { return a.l.Now(), nil }

func (a *ledgerApp) Positions(context.Context) (map[string]backup.Position, error) {
	a.l.mu.Lock()
	defer a.l.mu.Unlock()
	at := map[string]backup.Position{}
	for _, name := range a.l.state.names() {
		if s, ok := a.l.state.stream(name); ok {
			at[name] = s.position(a.l.state.Seq)
		}
	}
	return at, nil
}

func (a *ledgerApp) Truncations(context.Context) (int, error) { return a.l.Truncations(), nil }

func (a *ledgerApp) Secret() string { return a.l.o.Password }

func (a *ledgerApp) AddItem(context.Context) (string, error) {
	return "new/ledger 2", a.l.Create("new/ledger 2")
}

func (a *ledgerApp) FailItem(context.Context) (string, func(context.Context) error, error) {
	name := a.l.Current().Names()[0]
	a.l.FailDatabase(name, errors.New("checksum of page 12 is wrong"))
	return name, func(context.Context) error {
		a.l.FailDatabase(name, nil)
		return nil
	}, nil
}

func (a *ledgerApp) ResetLog(context.Context) error {
	if a.l.o.SharedLog {
		return a.l.ResetLog("")
	}
	for _, name := range a.l.Current().Names() {
		if err := a.l.ResetLog(name); err != nil {
			return err
		}
	}
	return nil
}

func (a *ledgerApp) Committed(_ context.Context, fingerprint string) (bool, error) {
	return a.l.committed(fingerprint), nil
}

func (a *ledgerApp) OpenForeign(context.Context) (func(context.Context) error, func(context.Context) error, error) {
	if err := a.l.OpenSession("somebody else"); err != nil {
		return nil, nil, err
	}
	alive := func(context.Context) error {
		for _, o := range a.l.Open() {
			if strings.HasSuffix(o, "somebody else") {
				return nil
			}
		}
		return errors.New("the session of somebody else is gone")
	}
	end := func(ctx context.Context) error {
		open, err := (&ledgerConn{a.l}).sessions(ctx, "somebody else")
		for _, s := range open {
			err = errors.Join(err, (&ledgerConn{a.l}).end(ctx, s.Owner, s.ID))
		}
		return err
	}
	return alive, end, nil
}

func (a *ledgerApp) Scratch(context.Context) (string, func(context.Context) error, error) {
	dir, err := os.MkdirTemp(a.dir, "scratch-")
	return dir, func(context.Context) error { return emptyDir(dir) }, err
}

var _ interface {
	Application
	Clocked
	Positioned
	Truncating
	Secretive
	Growing
	Failing
	Resetting
	Remembering
	Crowded
	Rehearsing
} = (*ledgerApp)(nil)
