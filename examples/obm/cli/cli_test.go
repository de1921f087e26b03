package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

func emptyPlan() *backup.RestorePlan {
	p := backup.History{}.Plan(backup.Target{})
	p.Refused = nil
	return &p
}
func emptyBackup() backup.Backup     { return backup.Backup{} }
func emptyCoverage() backup.Coverage { return backup.Coverage{} }

func TestExitCodes(t *testing.T) {
	t.Parallel()
	wrapped := func(err error) error { return &backup.Error{Op: "do", Err: fmt.Errorf("x: %w", err)} }
	for _, c := range []struct {
		err  error
		want int
	}{
		{nil, exitDone},
		{errors.New("x"), exitFailed},
		{wrapped(context.Canceled), exitFailed},
		{wrapped(backup.ErrCorrupt), exitFailed},
		{usage(errors.New("x")), exitUsage},
		{wrapped(usagef("y", "x")), exitUsage},
		{wrapped(backup.ErrOption), exitUsage},
		{&outcomeError{agent.OutcomeRefused, wrapped(backup.ErrOption)}, exitUsage},
		{wrapped(backup.ErrPartial), exitPartial},
		{&backup.ItemErrors{Total: 2, Failed: []backup.ItemError{{Item: "a", Err: backup.ErrCorrupt}}}, exitPartial},
		{wrapped(backup.ErrRefused), exitRefused},
		{wrapped(backup.ErrNoBackup), exitRefused},
		{wrapped(backup.ErrChainBroken), exitRefused},
		{wrapped(backup.ErrExists), exitRefused},
		{wrapped(backup.ErrBusy), exitBusy},
		{errors.Join(backup.ErrLeaseLost, backup.ErrBusy), exitBusy},
		{&outcomeError{agent.OutcomePartial, errors.New("x")}, exitPartial},
		{&outcomeError{agent.OutcomeRefused, errors.New("hook said no")}, exitRefused},
		{&outcomeError{agent.OutcomeCancelled, wrapped(backup.ErrRefused)}, exitFailed},
		{&outcomeError{agent.OutcomeFailed, wrapped(backup.ErrCorrupt)}, exitFailed},
	} {
		assert.Equal(t, c.want, exitCode(c.err), "%v", c.err)
		if c.err != nil {
			assert.NotEmpty(t, (&Program{}).hint(c.err), "%v", c.err)
		}
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]float64{"": 0, "5%": 0.05, "0.25": 0.25, "100%": 1, "1": 1} {
		got, err := share(in)
		require.NoError(t, err, in)
		assert.InDelta(t, want, got, 1e-9, in)
	}
	for _, in := range []string{"0", "0%", "-1%", "101%", "much", "NaN", "%"} {
		_, err := share(in)
		assert.Equal(t, exitUsage, exitCode(err), in)
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 20 << 30: "20.0 GiB", 1<<63 - 1: "8.0 EiB"} {
		assert.Equal(t, want, size(n))
	}
}

// In a pipe there is a line for each phase, and one about every ten seconds while bytes move.
func TestLinesAreFew(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := &lines{w: &out}
	l.event(backup.RunStarted{Job: "shop"})
	l.event(backup.PhaseStarted{Job: "shop", Phase: backup.PhaseBackup})
	for s := range 120 { // a minute
		l.event(backup.Progress{Job: "shop", Phase: backup.PhaseBackup, Elapsed: time.Duration(s) * time.Second / 2, Shipped: int64(s) << 20, Expected: 1 << 30})
	}
	l.event(backup.Warning{Job: "shop", Text: "look here"})
	l.event(backup.RunFinished{Job: "shop"})
	require.NoError(t, l.Close())
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, got, 1+5+1)
	assert.Equal(t, "shop: backup", got[0])
	assert.Contains(t, got[1], "shop: backup: 20.0 MiB of 1.0 GiB")
	assert.Equal(t, "shop: warning: look here", got[6])
}

func TestBarsEnd(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	b := &bars{w: &out}
	for _, id := range []backup.ID{"a", "a", "b"} {
		b.event(backup.Progress{Job: "shop", ID: id, Shipped: 5, Expected: 3})
	}
	b.event(backup.Warning{Job: "shop", Text: "look here"})
	b.event(backup.Progress{Job: "shop", ID: "b"})
	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "it is idempotent")
	assert.Contains(t, out.String(), "shop: warning: look here\n")
}

func TestJobsHaveTheirTurnWhenOneFails(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	jobs := []agent.Job{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	var turns string
	err := each(ctx, jobs, func(j agent.Job) error {
		turns += j.Name
		if j.Name == "b" {
			cancel()
		}
		return fmt.Errorf("%s: %w", j.Name, backup.ErrBusy)
	})
	assert.Equal(t, "ab", turns, "the end of the context ends it")
	assert.Equal(t, exitBusy, exitCode(err))
	assert.ErrorContains(t, err, "a: ")
	assert.ErrorContains(t, err, "b: ")
}

// Whatever lies at a path, inspect names it or says that it does not know it, and never panics.
func FuzzInspect(f *testing.F) {
	f.Add([]byte(nil))
	f.Add([]byte("1\t\\N\n2\tx\n"))
	f.Add([]byte("age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Add([]byte(`{"format": 1, "id": "x", "job": "y", "started": 1}`))
	f.Add([]byte(`{"format": 1, "server": {"flavour": "mysql"}, "artifacts": {"../x": {}}}`))
	f.Add([]byte(`{"name":"a","item":"b","sha256":"","key":"","parts":[]}`))
	f.Add([]byte("-- quiesce: x"))
	f.Add([]byte(strings.Repeat("0", 64) + "  ../../etc/passwd\n"))
	known, err := (&invocation{Program: &Program{}}).inspectors("")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		name := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(name, data, 0o600))
		one, err := inspectFile(t.Context(), known, name)
		require.NoError(t, err)
		assert.Equal(t, len(one.Problems) == 0, one.OK)
		assert.False(t, one.OK && one.Type == "")
	})
}

// A sealed part is opened to its end: what is cut, or changed anywhere, is found.
func TestSealedPartsAreReadToTheEnd(t *testing.T) {
	t.Parallel()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	keys := sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
	plain := bytes.Repeat([]byte("something to keep\n"), 9999)
	_, stored, err := sink.Compress(sink.Encrypt(nil, keys), nil).Seal("part", bytes.NewBuffer(plain))
	require.NoError(t, err)
	_, stored, err = sink.Encrypt(nil, keys).Seal("part", stored)
	require.NoError(t, err)
	var whole bytes.Buffer
	_, err = whole.ReadFrom(stored)
	require.NoError(t, err)

	dir := t.TempDir()
	look := func(data []byte) Inspected {
		t.Helper()
		name := filepath.Join(dir, "00000000.zst.age")
		require.NoError(t, os.WriteFile(name, data, 0o600))
		one, err := inspectFile(t.Context(), []Inspector{sealedFile{keys}}, name)
		require.NoError(t, err)
		return one
	}
	one := look(whole.Bytes())
	assert.True(t, one.OK, "%v", one.Problems)
	assert.Equal(t, int64(len(plain)), one.Details.(map[string]any)["bytes"])
	assert.False(t, look(whole.Bytes()[:whole.Len()-1]).OK, "cut at the end")
	assert.False(t, look(whole.Bytes()[:100]).OK, "cut in the header")
	spoilt := bytes.Clone(whole.Bytes())
	spoilt[len(spoilt)-20] ^= 1
	assert.False(t, look(spoilt).OK, "one bit")
}
