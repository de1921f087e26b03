package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// scripted is a source of files whose script has a line for each: where it lies, what it is and what it should hold.
type scripted struct{ *files }

func (scripted) Script(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet, w io.Writer) error {
	if r.Options["files"] == "" {
		return fmt.Errorf("where are the files?: %w", backup.ErrOption)
	}
	for _, s := range set.Steps() {
		for _, e := range s.Entries {
			if _, err := set.Fetch(ctx, s, e); !errors.Is(err, backup.ErrNoPath) {
				return fmt.Errorf("fetch: %w", err)
			}
			fmt.Fprintf(w, "%s/%s\t%s\t%s\n", r.Options["files"], s.Path(e), e.Name, e.SHA256)
		}
	}
	return nil
}

func TestAScriptFitsTheFilesOfAFetch(t *testing.T) {
	t.Parallel()
	mem := backuptest.NewMemSink()
	src := scripted{&files{content: map[string][]byte{
		"db/shop.bak": []byte("shop"), "db/SHOP.bak": []byte("upper case"), "2026": []byte("digits"), "con": []byte("a device"),
		"odd name/ä #1": bytes.Repeat([]byte("x"), 300<<10), strings.Repeat("long", 60): []byte("long"),
	}}}
	p := newPipeline(t, backup.Config{Source: src, Sink: mem, Stager: backup.DirStager{Dir: t.TempDir()}})
	_, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, p.Fetch(t.Context(), plan, dir))

	faulty := backuptest.NewFaultySink(mem)
	p = newPipeline(t, backup.Config{Source: src, Sink: faulty, Stager: backup.DirStager{Dir: t.TempDir()}})
	var script strings.Builder
	require.NoError(t, p.Script(t.Context(), plan, backup.RestoreOptions{Options: map[string]string{"files": filepath.ToSlash(dir)}}, &script))
	got := map[string][]byte{}
	for line := range strings.Lines(script.String()) {
		field := strings.Split(strings.TrimSpace(line), "\t")
		data, err := os.ReadFile(filepath.FromSlash(field[0]))
		require.NoError(t, err)
		got[field[1]] = data
	}
	assert.Equal(t, src.content, got)
	for _, c := range faulty.Calls() {
		assert.NotContains(t, c.Key, "/0000", "a part was read for a script")
		assert.Contains(t, []backuptest.Op{backuptest.OpGet, backuptest.OpList}, c.Op, "a script touched the target")
	}
}

func TestScriptsThatAreNot(t *testing.T) {
	t.Parallel()
	src := scripted{&files{content: map[string][]byte{"a": []byte("a")}}}
	p := newPipeline(t, backup.Config{Source: src, Sink: backuptest.NewMemSink()})
	_, err := p.Backup(t.Context(), backup.Full)
	require.NoError(t, err)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	err = p.Script(t.Context(), plan, backup.RestoreOptions{}, io.Discard)
	require.ErrorIs(t, err, backup.ErrOption)
	assert.ErrorContains(t, err, "files: script the restore of test")

	plan, err = p.Plan(t.Context(), backup.Target{Select: []backup.Selection{{Name: "nothing"}}})
	require.ErrorIs(t, err, backup.ErrRefused)
	require.ErrorIs(t, p.Script(t.Context(), plan, backup.RestoreOptions{}, io.Discard), backup.ErrRefused)

	p = newPipeline(t, backup.Config{Source: src.files, Sink: backuptest.NewMemSink()})
	require.ErrorIs(t, p.Script(t.Context(), plan, backup.RestoreOptions{}, io.Discard), errors.ErrUnsupported)
}
