package backuptest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// wrongSource is a LedgerSource with something replaced.
type wrongSource struct {
	*LedgerSource
	describe func() backup.Description
	request  func(*backup.Request)
	take     func(context.Context, backup.Request, *backup.Stage) (backup.Result, error)
	after    func(context.Context, backup.Request, *backup.Result, error) error
	restore  func(context.Context, backup.RestoreRequest, *backup.RestoreSet) error
	verify   func(context.Context, *backup.RestoreSet) error
	rehearse func(context.Context, string) error
	check    func(backup.StageDir)
	estimate func() int64
	recover  func(context.Context, string, backup.History) error
}

func (w *wrongSource) Describe() backup.Description {
	if w.describe != nil {
		return w.describe()
	}
	return w.LedgerSource.Describe()
}

func (w *wrongSource) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	if w.request != nil {
		w.request(&r)
	}
	take := w.LedgerSource.Backup
	if w.take != nil {
		take = w.take
	}
	res, err := take(ctx, r, st)
	if w.after != nil {
		err = w.after(ctx, r, &res, err)
	}
	return res, err
}

func (w *wrongSource) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if w.restore != nil {
		return w.restore(ctx, r, set)
	}
	return w.LedgerSource.Restore(ctx, r, set)
}

func (w *wrongSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	if w.verify != nil {
		return w.verify(ctx, set)
	}
	return w.LedgerSource.Verify(ctx, set)
}

func (w *wrongSource) Rehearse(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, scratch string) error {
	if w.rehearse != nil {
		return w.rehearse(ctx, scratch)
	}
	return w.LedgerSource.Rehearse(ctx, r, set, scratch)
}

func (w *wrongSource) Check(ctx context.Context, dir backup.StageDir) []backup.Finding {
	if w.check != nil {
		w.check(dir)
	}
	return w.LedgerSource.Check(ctx, dir)
}

func (w *wrongSource) Estimate(ctx context.Context, r backup.Request) (int64, error) {
	if w.estimate != nil {
		return w.estimate(), nil
	}
	return w.LedgerSource.Estimate(ctx, r)
}

func (w *wrongSource) Recover(ctx context.Context, job string, h backup.History) error {
	if w.recover != nil {
		return w.recover(ctx, job, h)
	}
	return w.LedgerSource.Recover(ctx, job, h)
}

// wrongApp is a Ledger whose agent is wrong.
type wrongApp struct {
	*ledgerApp
	change func(*wrongSource)
	source func() *LedgerSource
}

func (a *wrongApp) Source() backup.Source {
	w := &wrongSource{LedgerSource: a.source()}
	if a.change != nil {
		a.change(w)
	}
	return w
}

// wrongWith makes applications with the same mistake, which may remember things from one agent of an application to the next.
func wrongWith(mistake func(l *Ledger) func(*wrongSource)) NewApplication {
	return func() (Application, error) {
		app, err := NewLedgerApplication(&LedgerOptions{Ballast: 150 << 10}, nil)()
		if err != nil {
			return nil, err
		}
		a := app.(*ledgerApp)
		w := &wrongApp{ledgerApp: a, source: func() *LedgerSource { return a.l.Source(nil) }}
		if mistake != nil {
			w.change = mistake(a.l)
		}
		return w, nil
	}
}

// wrongApplications holds, for every rule, an agent that breaks it.
func wrongApplications() map[string]NewApplication {
	all := map[string]NewApplication{"agents-do-not-share": sharingApplications()}
	for name, mistake := range wrongSalvages() {
		all[name] = wrongSalvageWith(mistake)
	}
	for _, group := range []map[string]func(*Ledger) func(*wrongSource){
		wrongDescriptions(), wrongChains(), wrongSafety(), wrongPendings(), wrongRecords(), wrongRestores(),
	} {
		for name, mistake := range group {
			all[name] = wrongWith(mistake)
		}
	}
	return all
}

// sharingApplications have agents that all talk to the server that was started last.
func sharingApplications() NewApplication {
	var mu sync.Mutex
	var last *Ledger
	return func() (Application, error) {
		app, err := wrongWith(nil)()
		if err != nil {
			return nil, err
		}
		w := app.(*wrongApp)
		mu.Lock()
		last = w.l
		mu.Unlock()
		w.source = func() *LedgerSource {
			mu.Lock()
			defer mu.Unlock()
			return last.Source(nil)
		}
		return w, nil
	}
}

func wrongDescriptions() map[string]func(*Ledger) func(*wrongSource) {
	return map[string]func(*Ledger) func(*wrongSource){
		"describe-is-constant": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.describe = func() backup.Description {
					d := w.LedgerSource.Describe()
					d.Instance = fmt.Sprintf("%s with %d databases", d.Instance, len(l.Current()))
					return d
				}
			}
		},
		"check-passes-and-leaves-nothing": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.check = func(d backup.StageDir) {
					if d.Path != "" {
						os.WriteFile(filepath.Join(d.Path, "probe.tmp"), []byte("x"), 0o600)
					}
				}
			}
		},
		"estimate-is-near": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) { w.estimate = func() int64 { return 1 << 40 } }
		},
	}
}

// shift replaces the anchors of a request.
func shift(r *backup.Request, change func(*backup.Anchor)) {
	anchors := map[string]backup.Anchor{}
	for name, a := range r.Anchors {
		if a.Full != nil && a.Last != nil {
			full, last := *a.Full, *a.Last
			a = backup.Anchor{Full: &full, Last: &last}
			change(&a)
		}
		anchors[name] = a
	}
	r.Anchors = anchors
}

func wrongChains() map[string]func(*Ledger) func(*wrongSource) {
	return map[string]func(*Ledger) func(*wrongSource){
		"full-restores-all": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) { // one database is left out of the restore
				w.restore = func(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
					return errors.Join(w.LedgerSource.Restore(ctx, r, set), l.Drop("shop"))
				}
			}
		},
		"streaming-restores-all": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.take = func(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
					if st.Dir().Path == "" {
						return backup.Result{}, errors.New("open /shop.bak: permission denied")
					}
					return w.LedgerSource.Backup(ctx, r, st)
				}
			}
		},
		"log-chain-restores-latest": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) { // some log after the last link is skipped
				var begin map[string]backup.Position
				w.request = func(r *backup.Request) {
					begin = map[string]backup.Position{}
					for name, a := range r.Anchors {
						begin[name] = a.Last.End
					}
					shift(r, func(a *backup.Anchor) {
						st := stream{}
						seq, _ := st.seq(a.Last.End)
						a.Last.End = st.position(seq + 2)
					})
				}
				w.after = func(_ context.Context, _ backup.Request, res *backup.Result, err error) error {
					for i, it := range res.Items {
						if it.Kind == backup.Log {
							res.Items[i].Begin = begin[it.Name]
						}
					}
					return err
				}
			}
		},
		"log-chain-restores-to-a-time": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.restore = func(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
					for _, s := range set.Steps() {
						s.Until = time.Time{}
					}
					return w.LedgerSource.Restore(ctx, r, set)
				}
			}
		},
		"log-chain-restores-to-a-position": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.restore = func(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
					for _, s := range set.Steps() {
						s.UntilPosition = ""
					}
					return w.LedgerSource.Restore(ctx, r, set)
				}
			}
		},
		"empty-log-link-restores": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(ctx context.Context, _ backup.Request, res *backup.Result, err error) error {
					for _, it := range res.Items {
						if it.Kind == backup.Log && it.Begin == it.End {
							return errors.Join(errors.New("nothing to back up"), res.Pending.Abort(ctx))
						}
					}
					return err
				}
			}
		},
		"differential-restores-latest": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) { // what changed since the last differential, as if it were since the full
				w.request = func(r *backup.Request) {
					shift(r, func(a *backup.Anchor) { a.Full.End = a.Last.End })
				}
			}
		},
		"log-after-differential-restores": func(*Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.take = func(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
					for _, a := range r.Anchors {
						if r.Kind == backup.Log && a.Last.Kind == backup.Differential {
							return backup.Result{}, errors.New("no log can follow a differential")
						}
					}
					return w.LedgerSource.Backup(ctx, r, st)
				}
			}
		},
		"backup-changes-nothing": func(l *Ledger) func(*wrongSource) {
			return func(w *wrongSource) {
				w.after = func(_ context.Context, _ backup.Request, _ *backup.Result, err error) error {
					return errors.Join(err, l.Mutate(1))
				}
			}
		},
		"writers-go-on":               func(*Ledger) func(*wrongSource) { return fuzzy },
		"restart-continues-the-chain": func(*Ledger) func(*wrongSource) { return forgetful },
	}
}

// fuzzy copies every database as it is when its turn comes.
func fuzzy(w *wrongSource) {
	s := w.LedgerSource
	w.take = func(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
		conn, err := s.l.connect(ctx, s.o.Password)
		if err != nil {
			return backup.Result{}, err
		}
		ses, err := conn.begin(ctx, s.o.Owner, r.ID)
		if err != nil {
			return backup.Result{}, err
		}
		run := &ledgerRun{s: s, conn: conn, ses: ses, r: r, st: st}
		items := run.plan()
		for i := range items {
			if err := run.item(ctx, &items[i]); err != nil {
				return backup.Result{}, errors.Join(err, conn.end(context.WithoutCancel(ctx), s.o.Owner, ses.ID))
			}
			s.l.mu.Lock()
			for name := range ses.Snap {
				ses.Snap[name] = s.l.state.DBs[name].clone()
			}
			s.l.mu.Unlock()
		}
		return backup.Result{Items: items, Pending: &ledgerPending{s: s, conn: conn, session: ses.ID}}, nil
	}
}

// forgetful keeps in memory which databases it has a full of.
func forgetful(w *wrongSource) {
	known := map[string]bool{}
	w.request = func(r *backup.Request) {
		r.Anchors = map[string]backup.Anchor{}
		for name, a := range r.Anchors {
			if known[name] {
				r.Anchors[name] = a
			}
		}
	}
}
