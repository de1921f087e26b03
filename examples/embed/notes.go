package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// notes is an application: texts by name, in memory. Implementing backup.Source makes it one that can be protected, backup.Restorer one that can be brought back.
type notes struct {
	mu    sync.Mutex
	texts map[string]string
}

// Describe implements backup.Source.
func (n *notes) Describe() backup.Description {
	return backup.Description{Application: "notes", Instance: "memory", Kinds: []backup.Kind{backup.Full}}
}

// Backup implements backup.Source. Everything written after the copy was taken belongs to the next backup.
func (n *notes) Backup(ctx context.Context, _ backup.Request, st *backup.Stage) (backup.Result, error) {
	n.mu.Lock()
	texts, at := maps.Clone(n.texts), time.Now()
	n.mu.Unlock()

	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if err := keep(ctx, st, name, texts[name]); err != nil {
			return backup.Result{}, fmt.Errorf("note %q: %w", name, err)
		}
	}
	item := backup.Item{Name: "notes", Kind: backup.Full, Window: backup.Window{From: at, To: at}}
	return backup.Result{Items: []backup.Item{item}}, nil
}

func keep(ctx context.Context, st *backup.Stage, name, text string) error {
	w, err := st.Create(ctx, backup.Artifact{Name: name, Item: "notes", Role: backup.RoleData})
	if err != nil {
		return err
	}
	defer w.Close() // discards, unless committed
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	return w.Commit()
}

// Restore implements backup.Restorer.
func (n *notes) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.texts) > 0 && !r.Overwrite {
		return fmt.Errorf("%d notes: %w", len(n.texts), backup.ErrExists)
	}
	texts := map[string]string{}
	for _, step := range set.Steps() {
		for _, e := range step.Entries {
			text, err := read(ctx, set, step, e)
			if err != nil {
				return fmt.Errorf("note %q: %w", e.Name, err)
			}
			texts[e.Name] = text
		}
	}
	n.texts = texts
	return nil
}

func read(ctx context.Context, set *backup.RestoreSet, step *backup.RestoreStep, e backup.Entry) (string, error) {
	r, err := set.Open(ctx, step, e)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	return string(text), err
}

var (
	_ backup.Source   = (*notes)(nil)
	_ backup.Restorer = (*notes)(nil)
)
