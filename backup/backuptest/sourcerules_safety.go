package backuptest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

func safetyRules() []sourceRule {
	log := []backup.Kind{backup.Log}
	return []sourceRule{
		{name: "failing-sink-leaves-nothing-open", check: failingSink,
			why: "The network fails on any part. Whatever the moment, the server must not stay in backup mode, locked or with a snapshot that grows."},
		{name: "cancel-leaves-nothing-open", check: cancelAnywhere,
			why: "An operator cancels at any moment. The agent stops soon, says so, and undoes its work on a context of its own, since the run's is over."},
		{name: "cancelled-run-touches-nothing", check: cancelledBefore,
			why: "A run that was cancelled before it began must not report a backup."},
		{name: "log-is-kept-until-the-manifest", check: logKept, kinds: log, restore: true,
			why: "Log that is truncated before the backup that holds it is durable is gone for ever when the manifest cannot be written."},
		{name: "commit-is-idempotent", check: commitTwice,
			why: "A commit whose answer was lost is repeated. The second one does nothing and is no error."},
		{name: "abort-is-idempotent", check: abortTwice,
			why: "Cleanup paths do not know of each other. The second abort does nothing and is no error."},
		{name: "dead-run-is-recovered", check: deadRun,
			why: "A process that is killed after its backup calls neither Commit nor Abort. The next run must end what it left, or every run from now on fails."},
		{name: "recovery-spares-others", check: recoverySpares,
			why: "Other tools back up the same server. Ending their sessions destroys their backups."},
		{name: "errors-say-where", check: errorsSayWhere,
			why: "An operator with forty servers reads the error alone. A *backup.Error names application and instance, and the cause stays reachable for errors.Is."},
		{name: "secrets-stay-secret", check: secretsStay,
			why: "Manifests lie in plain text at the target, and errors and logs go to chat rooms."},
	}
}

// strides are the calls that are struck: all of the first ones, then ever fewer.
var strides = [...]int{1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 30, 40, 60, 90, 140, 200}

func failingSink(ctx context.Context, tr *trial) error {
	for _, streaming := range []bool{true, false} {
		tr.streaming = streaming
		for _, n := range strides {
			tr.sink.Script(Fault{Op: OpPut, Key: "/runs/", Nth: n, Times: -1})
			_, err := tr.backup(ctx, backup.Full)
			if errors.Is(err, backup.ErrNoPath) {
				break
			}
			if qerr := quiesced(ctx, tr.app, fmt.Sprintf("after put %d and all later ones failed (streaming: %t)", n, streaming)); qerr != nil {
				return qerr
			}
			if err == nil {
				break // the run has fewer parts than that
			}
		}
		tr.sink.Script()
		tr.discardStages()
	}
	return tr.worksAgain(ctx)
}

func cancelAnywhere(ctx context.Context, tr *trial) error {
	tr.streaming = true
	for _, n := range strides {
		var looks *lookCtx
		tr.change = func(p *probe) {
			p.ctx = func(ctx context.Context) context.Context {
				looks = cancelAtLook(ctx, n)
				return looks
			}
		}
		_, err := tr.backup(ctx, backup.Full)
		if errors.Is(err, backup.ErrNoPath) {
			tr.streaming = false
			continue
		}
		when := fmt.Sprintf("after its context ended at the %d. look", n)
		if qerr := quiesced(ctx, tr.app, when); qerr != nil {
			return qerr
		}
		own, asked := tr.probe.last()
		if asked && own == nil && err != nil {
			return fmt.Errorf("%s, the agent reports a backup and the run fails: %w", when, err)
		}
		if own != nil && !errors.Is(own, errLooked) && !errors.Is(own, context.Canceled) {
			return fmt.Errorf("%s, the agent's error does not wrap the cause: %w", when, own)
		}
		if looks == nil || !looks.struck() {
			break
		}
	}
	tr.change = nil
	return tr.worksAgain(ctx)
}

func cancelledBefore(ctx context.Context, tr *trial) error {
	tr.change = func(p *probe) {
		p.ctx = func(ctx context.Context) context.Context {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(errLooked)
			return ctx
		}
	}
	if _, err := tr.backup(ctx, backup.Full); err == nil {
		return errors.New("the agent took a backup on a context that had ended before")
	}
	if err := quiesced(ctx, tr.app, "after a run on an ended context"); err != nil {
		return err
	}
	tr.change = nil
	return tr.worksAgain(ctx)
}

// worksAgain takes a good backup after bad ones.
func (tr *trial) worksAgain(ctx context.Context) error {
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return fmt.Errorf("the next good run: %w", err)
	}
	return quiesced(ctx, tr.app, "after the next good run")
}

// discardStages throws away what failed runs left to be completed.
func (tr *trial) discardStages() {
	_ = os.RemoveAll(tr.dir)
	_ = os.MkdirAll(tr.dir, 0o700) // when it fails, so does the next run, and says why
}

// noManifest lets no manifest become durable.
func noManifest(do func()) []Fault {
	return []Fault{
		{Op: OpPutIfAbsent, Key: "/manifests/", Times: -1, Do: do},
		{Op: OpPut, Key: "/manifests/", Times: -1, Do: do},
	}
}

func logKept(ctx context.Context, tr *trial) error {
	if _, ok := tr.app.(SelfTruncating); ok {
		return skip("the application gives log up by itself; see given-up-log-is-salvaged")
	}
	count := func() (int, error) { return 0, nil }
	if app, ok := tr.app.(Truncating); ok {
		count = func() (int, error) { return app.Truncations(ctx) }
	}
	if _, err := tr.series(ctx, backup.Full, backup.Log); err != nil {
		return err
	}
	before, err := count()
	if err != nil {
		return fmt.Errorf("truncations: %w", err)
	}
	var early error
	look := func() {
		n, err := count()
		if err != nil || n != before {
			early = errors.Join(err, fmt.Errorf("log was given up %d times before the manifest was written", n-before))
		}
	}
	tr.streaming = true
	tr.sink.Script(noManifest(look)...)
	_, err = tr.series(ctx, backup.Log)
	if errors.Is(err, backup.ErrNoPath) {
		tr.streaming = false
		_, err = tr.series(ctx, backup.Log)
	}
	tr.sink.Script()
	tr.discardStages()
	if err == nil {
		return errors.New("a run without a manifest succeeded")
	}
	look()
	if early != nil {
		return early
	}
	if err := quiesced(ctx, tr.app, "after the manifest failed"); err != nil {
		return err
	}
	return tr.roundTrip(ctx, backup.Log)
}

func commitTwice(ctx context.Context, tr *trial) error { return tr.pendingTwice(ctx, false) }

func abortTwice(ctx context.Context, tr *trial) error { return tr.pendingTwice(ctx, true) }

func (tr *trial) pendingTwice(ctx context.Context, abort bool) error {
	var errs []error
	var commits, aborts int
	tr.change = func(p *probe) {
		p.pending = func(in backup.Pending) backup.Pending {
			return repeated{Pending: in, errs: &errs, commits: &commits, aborts: &aborts}
		}
	}
	for _, k := range tr.app.Source().Describe().Kinds {
		if abort {
			tr.sink.Script(noManifest(nil)...)
		}
		_, err := tr.series(ctx, k)
		tr.sink.Script()
		tr.discardStages()
		switch {
		case abort && err == nil:
			return errors.New("a run without a manifest succeeded")
		case !abort && err != nil:
			return err
		}
		if err := errors.Join(errs...); err != nil {
			return fmt.Errorf("called twice after a %s: %w", k, err)
		}
		if err := quiesced(ctx, tr.app, "after the second call"); err != nil {
			return err
		}
	}
	if commits+aborts == 0 {
		return skip("the agent leaves nothing pending")
	}
	tr.change = nil
	return tr.worksAgain(ctx)
}

func deadRun(ctx context.Context, tr *trial) error {
	forget := func(p *probe) { p.pending = func(backup.Pending) backup.Pending { return forgotten{} } }
	for _, k := range tr.app.Source().Describe().Kinds {
		// Once the process dies after the manifest is durable, once before.
		for _, faults := range [][]Fault{nil, noManifest(nil)} {
			tr.change = forget
			tr.sink.Script(faults...)
			_, err := tr.series(ctx, k)
			tr.sink.Script()
			tr.discardStages()
			if err != nil && faults == nil {
				return err
			}
			tr.change = nil
			if _, err := tr.series(ctx, k); err != nil {
				return fmt.Errorf("the run after a dead %s: %w", k, err)
			}
			if err := quiesced(ctx, tr.app, fmt.Sprintf("after the run after a dead %s", k)); err != nil {
				return err
			}
		}
	}
	if _, ok := tr.app.Source().(backup.Restorer); !ok {
		return nil
	}
	return tr.roundTrip(ctx, backup.Full)
}

func recoverySpares(ctx context.Context, tr *trial) error {
	crowd, err := ability[Crowded](tr.app, "Crowded")
	if err != nil {
		return err
	}
	alive, end, err := crowd.OpenForeign(ctx)
	if err != nil {
		return fmt.Errorf("open a foreign session: %w", err)
	}
	tr.change = func(p *probe) { p.pending = func(backup.Pending) backup.Pending { return forgotten{} } }
	if _, err := tr.series(ctx, backup.Full); err != nil {
		return err
	}
	tr.change = nil
	if err := tr.worksAgain(ctx); err != nil {
		return err
	}
	if err := alive(ctx); err != nil {
		return fmt.Errorf("a session of somebody else was ended: %w", err)
	}
	return end(ctx)
}

func errorsSayWhere(ctx context.Context, tr *trial) error {
	if err := cancelledBefore(ctx, tr); err != nil {
		return err
	}
	d := tr.app.Source().Describe()
	for n, streaming := range []bool{true, false} {
		tr.streaming = streaming
		tr.change = func(p *probe) {
			p.ctx = func(ctx context.Context) context.Context { return cancelAtLook(ctx, 1+2*n) }
		}
		_, err := tr.backup(ctx, backup.Full)
		if err == nil {
			return errors.New("the agent took a backup on an ended context")
		}
		if streaming && errors.Is(err, backup.ErrNoPath) {
			continue // the agent needs a stage, and says so
		}
		own, _ := tr.probe.last()
		var e *backup.Error
		if !errors.As(own, &e) {
			return fmt.Errorf("the agent's error is no *backup.Error but %T: %w", own, own)
		}
		if e.App != d.Application || e.Instance != d.Instance || e.Op == "" {
			return fmt.Errorf("error of application %q, instance %q, operation %q; want %q, %q and an operation", e.App, e.Instance, e.Op, d.Application, d.Instance)
		}
		if !errors.Is(own, errLooked) && !errors.Is(own, context.Canceled) {
			return fmt.Errorf("the cause is not reachable: %w", own)
		}
	}
	return nil
}

func secretsStay(ctx context.Context, tr *trial) error {
	app, err := ability[Secretive](tr.app, "Secretive")
	if err != nil {
		return err
	}
	secret := app.Secret()
	if len(secret) < 8 {
		return fmt.Errorf("the secret has %d characters, too few to be recognized", len(secret))
	}
	var seen []string
	tr.events = func(e backup.Event) { seen = append(seen, fmt.Sprintf("event %+v", e)) }
	if _, err := tr.series(ctx, tr.app.Source().Describe().Kinds...); err != nil {
		return err
	}
	tr.sink.Script(Fault{Op: OpPut, Key: "/runs/", Nth: 1, Times: -1})
	tr.streaming = true
	if _, err := tr.backup(ctx, backup.Full); err == nil {
		return errors.New("a run whose every part failed succeeded")
	}
	tr.sink.Script()
	if err := tr.app.Lose(ctx); err != nil {
		return fmt.Errorf("lose: %w", err)
	}
	// A backup of a lost application may fail or be empty; what it says is what counts.
	_, _ = tr.backup(ctx, backup.Full)
	for _, e := range tr.errs {
		seen = append(seen, fmt.Sprintf("error %v, %+v, hint %s", e, e, backup.Hint(e)))
	}
	seen = append(seen, "log "+tr.log.String(), fmt.Sprintf("description %+v", tr.app.Source().Describe()))
	for _, k := range tr.mem.Keys("") {
		if text, _ := tr.mem.Object(k); !isPart(k) {
			seen = append(seen, "object "+k+" "+string(text))
		}
	}
	for _, s := range seen {
		if i := strings.Index(s, secret); i >= 0 {
			return fmt.Errorf("the secret stands in: %s", strings.ReplaceAll(s[max(0, i-120):min(len(s), i+len(secret)+60)], secret, "<SECRET>"))
		}
	}
	return nil
}

// isPart reports whether a key is that of a part, whose content belongs to the application.
func isPart(key string) bool {
	return strings.Contains(key, "/runs/") && !strings.Contains(key, "/entries") && !strings.Contains(key, "/parts.")
}

func discardLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// emptyDir tells what lies in a directory that should be empty.
func emptyDir(path string) error {
	files, err := os.ReadDir(path)
	if err == nil && len(files) > 0 {
		return fmt.Errorf("%s holds %q", path, files[0].Name())
	}
	return err
}
