package backuptest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

func salvageRules() []sourceRule {
	log := []backup.Kind{backup.Full, backup.Log}
	return []sourceRule{
		{name: "given-up-log-is-salvaged", check: givenUpLog, kinds: log, restore: true,
			why: "Some applications give log up when the backup of it ends. If the process dies in that moment the stage holds the only copy; " +
				"thrown away, no time between two backups can be restored any more."},
		{name: "torn-file-is-not-salvaged", check: tornFile, kinds: log, restore: true,
			why: "A process dies while the application writes. A file that is not whole looks like any other until a restore needs it; only its own format tells."},
	}
}

func givenUpLog(ctx context.Context, tr *trial) error {
	dead, err := tr.dieAtTruncation(ctx)
	if err != nil {
		return err
	}
	want, err := tr.app.Fingerprint(ctx)
	if err != nil {
		return fmt.Errorf("fingerprint: %w", err)
	}
	m, err := tr.backup(ctx, backup.Log)
	if err != nil {
		return fmt.Errorf("the run after the dead one: %w", err)
	}
	if err := quiesced(ctx, tr.app, "after the run after the dead one"); err != nil {
		return err
	}
	h, err := tr.history(ctx)
	if err != nil {
		return err
	}
	if b, ok := h.Find(dead.id); !ok || !b.Resumed {
		return fmt.Errorf("run %s, whose files were whole when it died, did not become a backup", dead.id)
	}
	for _, it := range m.Items {
		if it.Kind != backup.Log {
			return fmt.Errorf("item %q became a %s because %q, though its log had not been lost", it.Name, it.Kind, it.Reason)
		}
	}
	if !dead.at.IsZero() {
		if err := tr.lost(ctx, backup.Target{Time: dead.at}, dead.fingerprint); err != nil {
			return fmt.Errorf("restore into the log of the dead run: %w", err)
		}
	}
	return tr.lost(ctx, backup.Target{}, want)
}

func tornFile(ctx context.Context, tr *trial) error {
	dead, err := tr.dieAtTruncation(ctx)
	if err != nil {
		return err
	}
	if err := tearFiles(tr.dir); err != nil {
		return fmt.Errorf("tear the stage: %w", err)
	}
	if err := tr.roundTrip(ctx, backup.Log); err != nil {
		return err
	}
	h, err := tr.history(ctx)
	if err != nil {
		return err
	}
	if _, ok := h.Find(dead.id); ok {
		return fmt.Errorf("run %s became a backup, though no file it left was whole", dead.id)
	}
	return nil
}

func (tr *trial) history(ctx context.Context) (backup.History, error) {
	p, err := tr.pipeline()
	if err != nil {
		return nil, err
	}
	return p.History(ctx)
}

// deadLog is a log run that died, with a moment that only its log leads to.
type deadLog struct {
	id          backup.ID
	at          time.Time // zero when the application does not tell its time
	fingerprint string
}

// dieAtTruncation makes a run that is dead in the moment the application has given up the last log: what is left of it is its stage as it was then.
func (tr *trial) dieAtTruncation(ctx context.Context) (dead deadLog, err error) {
	app, err := ability[SelfTruncating](tr.app, "SelfTruncating")
	if err != nil {
		return dead, err
	}
	if _, ok := tr.app.Source().(backup.Salvager); !ok {
		return dead, errors.New("the application gives up log when a backup of it ends, and the agent is no Salvager")
	}
	if _, err := tr.series(ctx, backup.Full, backup.Log); err != nil {
		return dead, err
	}
	if dead.at, dead.fingerprint, err = tr.moment(ctx); err != nil {
		return dead, err
	}
	if err := tr.app.Mutate(ctx, 5); err != nil {
		return dead, fmt.Errorf("mutate: %w", err)
	}
	left := tr.dir + "-left"
	defer os.RemoveAll(left)
	var mu sync.Mutex // several items may lose their log at once
	times, cerr := 0, error(nil)
	tr.change = func(p *probe) {
		p.request = func(r backup.Request) backup.Request { dead.id = r.ID; return r }
	}
	app.AtTruncation(func() {
		mu.Lock()
		defer mu.Unlock()
		times++
		cerr = errors.Join(os.RemoveAll(left), os.CopyFS(left, os.DirFS(tr.dir)))
	})
	// Nothing leaves the stage, so that it is the only thing that counts.
	tr.sink.Script(Fault{Op: OpPut, Key: "/runs/", Nth: 1, Times: -1})
	_, err = tr.backup(ctx, backup.Log)
	tr.sink.Script()
	app.AtTruncation(nil)
	tr.change = nil
	switch {
	case err == nil:
		return dead, errors.New("a run whose every part failed succeeded")
	case times == 0:
		return dead, fmt.Errorf("the application never gave up log: %w", err)
	case cerr != nil:
		return dead, fmt.Errorf("copy the stage: %w", cerr)
	}
	return dead, errors.Join(os.RemoveAll(tr.dir), os.Rename(left, tr.dir))
}

// moment changes something and tells when and what the content was then, where the application tells its time.
func (tr *trial) moment(ctx context.Context) (at time.Time, fingerprint string, err error) {
	if err := tr.app.Mutate(ctx, 5); err != nil {
		return at, "", fmt.Errorf("mutate: %w", err)
	}
	if fingerprint, err = tr.app.Fingerprint(ctx); err != nil {
		return at, "", fmt.Errorf("fingerprint: %w", err)
	}
	if app, ok := tr.app.(Clocked); ok {
		if at, err = app.Now(ctx); err != nil {
			return at, "", fmt.Errorf("now: %w", err)
		}
	}
	return at, fingerprint, nil
}

// tearFiles cuts what artifacts lie in a stage.
func tearFiles(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".jsonl") || strings.HasSuffix(path, ".lock") {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	})
}
