package backuptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

func wrongSafety() map[string]func(*Ledger) func(*wrongSource) {
	return map[string]func(*Ledger) func(*wrongSource){
		"failing-sink-leaves-nothing-open": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(_ context.Context, _ backup.Request, _ *backup.Result, err error) error {
					if errors.Is(err, ErrFault) {
						return errors.Join(err, l.OpenSession("quiesce"))
					}
					return err
				}
			}
		},
		"cancel-leaves-nothing-open": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(ctx context.Context, _ backup.Request, _ *backup.Result, err error) error {
					if err != nil && context.Cause(ctx) != nil { // END BACKUP on the context of the run
						return errors.Join(err, l.OpenSession("quiesce"))
					}
					return err
				}
			}
		},
		"cancelled-run-touches-nothing": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.take = func(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
					return w.LedgerSource.Backup(context.WithoutCancel(ctx), r, st)
				}
			}
		},
		"log-is-kept-until-the-manifest": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(ctx context.Context, r backup.Request, res *backup.Result, err error) error {
					if err != nil {
						return err
					}
					return res.Pending.Commit(ctx, &backup.Manifest{ID: r.ID, Items: res.Items})
				}
			}
		},
		"errors-say-where": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(_ context.Context, _ backup.Request, _ *backup.Result, err error) error {
					if e := (*backup.Error)(nil); errors.As(err, &e) {
						return e.Err
					}
					return err
				}
			}
		},
		"secrets-stay-secret": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(_ context.Context, r backup.Request, res *backup.Result, err error) error {
					r.Log.Debug("connected", "dsn", "ledger://backup:"+l.o.Password+"@db1")
					return err
				}
			}
		},
		"dead-run-is-recovered": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.recover = func(context.Context, string, backup.History) error { return nil }
			}
		},
		"recovery-spares-others": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.recover = func(ctx context.Context, job string, h backup.History) error {
					conn := &ledgerConn{l}
					others, err := conn.sessions(ctx, "somebody else")
					for _, ses := range others {
						err = errors.Join(err, conn.end(ctx, ses.Owner, ses.ID))
					}
					return errors.Join(err, w.LedgerSource.Recover(ctx, job, h))
				}
			}
		},
	}
}

// strictPending takes the second call of a method for an error.
type strictPending struct {
	backup.Pending
	called *[]string
}

func (p strictPending) call(what string) error {
	if slices.Contains(*p.called, what) {
		return fmt.Errorf("session is not open: cannot %s", what)
	}
	*p.called = append(*p.called, what)
	return nil
}

func (p strictPending) Commit(ctx context.Context, m *backup.Manifest) error {
	return errors.Join(p.call("commit"), p.Pending.Commit(ctx, m))
}

func (p strictPending) Abort(ctx context.Context) error {
	return errors.Join(p.call("abort"), p.Pending.Abort(ctx))
}

func strict(*Ledger) func(*wrongSource) {
	return func(w *wrongSource) {
		w.after = func(_ context.Context, _ backup.Request, res *backup.Result, err error) error {
			if res.Pending != nil {
				res.Pending = strictPending{res.Pending, new([]string)}
			}
			return err
		}
	}
}

func wrongPendings() map[string]func(*Ledger) func(*wrongSource) {
	return map[string]func(*Ledger) func(*wrongSource){
		"commit-is-idempotent": strict,
		"abort-is-idempotent":  strict,
	}
}

// items changes every item of a result.
func items(change func(r backup.Request, it *backup.Item)) func(*Ledger) func(*wrongSource) {
	return func(*Ledger) func(*wrongSource) {
		return func(w *wrongSource) {
			w.after = func(_ context.Context, r backup.Request, res *backup.Result, err error) error {
				for i := range res.Items {
					change(r, &res.Items[i])
				}
				return err
			}
		}
	}
}

// refusing fails a run instead of taking a full where the chain is broken.
func refusing(*Ledger) func(*wrongSource) {
	return func(w *wrongSource) {
		w.after = func(ctx context.Context, r backup.Request, res *backup.Result, err error) error {
			for _, it := range res.Items {
				if it.Reason != "" {
					return errors.Join(backup.ErrChainBroken, res.Pending.Abort(ctx))
				}
			}
			return err
		}
	}
}

func wrongRecords() map[string]func(*Ledger) func(*wrongSource) {
	return map[string]func(*Ledger) func(*wrongSource){
		"log-without-anchor-becomes-full":          items(func(_ backup.Request, it *backup.Item) { it.Reason = "" }),
		"differential-without-anchor-becomes-full": refusing,
		"reset-log-becomes-full":                   refusing,
		"new-item-becomes-full": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) { // one new database makes the whole run a full
				w.request = func(r *backup.Request) {
					if len(r.Anchors) < len(l.Current()) {
						r.Anchors = nil
					}
				}
			}
		},
		"items-have-artifacts": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(_ context.Context, _ backup.Request, res *backup.Result, err error) error {
					if err == nil {
						ghost := res.Items[0]
						ghost.Name, ghost.Kind, ghost.Parent, ghost.Begin = "ghost", backup.Full, "", ""
						ghost.Window.From = ghost.Window.To
						res.Items = append(res.Items, ghost)
					}
					return err
				}
			}
		},
		"windows-by-the-applications-clock": items(func(_ backup.Request, it *backup.Item) {
			now := time.Now()
			it.Window.To = now
			if it.Kind != backup.Log {
				it.Window.From = now
			}
		}),
		"windows-and-positions-advance": items(func(_ backup.Request, it *backup.Item) {
			if it.Kind == backup.Full {
				it.End = "000000000000"
			}
		}),
		"failed-item-spares-others": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(ctx context.Context, _ backup.Request, res *backup.Result, err error) error {
					for _, it := range res.Items {
						if it.Failed() {
							return errors.Join(errors.New(it.Error), res.Pending.Abort(ctx))
						}
					}
					return err
				}
			}
		},
	}
}

func wrongRestores() map[string]func(*Ledger) func(*wrongSource) {
	request := func(change func(*backup.RestoreRequest)) func(*Ledger) func(*wrongSource) {
		return func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.restore = func(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
					change(&r)
					return w.LedgerSource.Restore(ctx, r, set)
				}
			}
		}
	}
	return map[string]func(*Ledger) func(*wrongSource){
		"restore-refuses-to-overwrite":    request(func(r *backup.RestoreRequest) { r.Overwrite = true }),
		"restore-refuses-unknown-options": request(func(r *backup.RestoreRequest) { r.Options = nil }),
		"cancelled-restore-can-be-repeated": func(*Ledger) func(*wrongSource) {
			var stuck error // the database of a failed restore stays in the restoring state
			return func(w *wrongSource) {
				w.restore = func(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
					if stuck == nil {
						stuck = w.LedgerSource.Restore(ctx, r, set)
					}
					return stuck
				}
			}
		},
		"verify-accepts-what-is-good": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.verify = func(_ context.Context, set *backup.RestoreSet) error {
					for _, s := range set.Steps() {
						if s.Item.Kind != backup.Full {
							return fmt.Errorf("%s does not begin with a full: %w", s.Item.Name, backup.ErrCorrupt)
						}
					}
					return nil
				}
			}
		},
		"verify-finds-damage": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.verify = func(context.Context, *backup.RestoreSet) error { return nil }
			}
		},
		"rehearsal-proves-and-cleans-up": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.rehearse = func(_ context.Context, scratch string) error {
					return os.WriteFile(filepath.Join(scratch, "copy"), nil, 0o600)
				}
			}
		},
	}
}
