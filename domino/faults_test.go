package domino

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// before runs functions whenever a call of that name is about to be made.
func before(name string, do func() error, also ...func(c dominosim.Call) error) dominosim.Fault {
	return func(_ context.Context, c dominosim.Call) error {
		if c.Name != name || c.After {
			return nil
		}
		if err := do(); err != nil {
			return err
		}
		for _, f := range also {
			if err := f(c); err != nil {
				return err
			}
		}
		return nil
	}
}

// looking is a Source that looks at the material of a restore.
type looking struct {
	do func(set *backup.RestoreSet) error
}

func (looking) Describe() backup.Description {
	return backup.Description{Application: application, Instance: "mail1/acme", Kinds: []backup.Kind{backup.Full}}
}

func (looking) Backup(context.Context, backup.Request, *backup.Stage) (backup.Result, error) {
	return backup.Result{}, errors.ErrUnsupported
}

func (l looking) Restore(_ context.Context, _ backup.RestoreRequest, set *backup.RestoreSet) error {
	return l.do(set)
}
