package backup_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// notes is the smallest agent: one item, one artifact, and a way back.
type notes struct{ text string }

func (n *notes) Describe() backup.Description {
	return backup.Description{Application: "notes", Instance: "desk", Kinds: []backup.Kind{backup.Full}}
}

func (n *notes) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	w, err := st.Create(ctx, backup.Artifact{Name: "notes.txt", Item: "notes", Role: backup.RoleData})
	if err != nil {
		return backup.Result{}, err
	}
	defer w.Close() // discards what was not committed
	if _, err := io.WriteString(w, n.text); err != nil {
		return backup.Result{}, err
	}
	if err := w.Commit(); err != nil {
		return backup.Result{}, err
	}
	now := time.Now() // this application has no clock of its own
	return backup.Result{Items: []backup.Item{{Name: "notes", Kind: backup.Full, Window: backup.Window{From: now, To: now}}}}, nil
}

func (n *notes) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	if n.text != "" && !r.Overwrite {
		return fmt.Errorf("notes: %w", backup.ErrExists)
	}
	for _, step := range set.Steps() {
		e, _ := step.Find("notes.txt")
		rc, err := set.Open(ctx, step, e)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(rc)
		rc.Close()
		if err != nil {
			return err
		}
		n.text = string(text)
	}
	return nil
}

// An agent of a few lines goes through a whole life: backup, proof, loss, plan, restore.
func Example() {
	ctx := context.Background()
	app := &notes{text: "buy milk"}
	p, err := backup.New(backup.Config{Job: "desk", Source: app, Sink: backuptest.NewMemSink()})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := p.Backup(ctx, backup.Full)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Kind, m.Bytes, "bytes, proof:", m.Proof)

	app.text = ""
	plan, err := p.Plan(ctx, backup.Target{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := p.Restore(ctx, plan, backup.RestoreOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(app.text)
	// Output:
	// full 8 bytes, proof: bytes
	// buy milk
}
