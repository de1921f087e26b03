package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/examples/obm/cli"
)

const monthConfig = `
sink: file://TARGET
seal: {recipients: [RECIPIENT], identity_file: key.txt}
stage: {dir: stage}
agent: {listen: none, state: state}
jobs:
  books:
    application: ledger
    schedule: {full: "0 2 * * *", log: "30 */2 * * *", verify: "0 5 * * 3", rehearse: "0 6 * * 6", timezone: Europe/Berlin, jitter: 2m}
    retention: {window: 5d, weekly: 3}
    rehearse: {to: scratch}
    objective: 30h
`

// month is a machine that obm runs on for a simulated month: an application that changes all the time, and troubles now and then.
type month struct {
	dir    string
	ledger *backuptest.Ledger
	spare  *backuptest.Ledger // what --to restores into
	rnd    *rand.Rand
	out    bytes.Buffer
	log    bytes.Buffer
}

// obm runs a command to its end and returns its exit code and output.
func (m *month) obm(ctx context.Context, args ...string) (int, string) {
	m.out.Reset()
	p := &cli.Program{Applications: config.Registry{"ledger": config.App(m.open)}, Stdin: strings.NewReader(""), Stdout: &m.out, Stderr: &m.log}
	code := p.Run(ctx, append([]string{"--config", filepath.Join(m.dir, "obm.yaml"), "--quiet"}, args...))
	return code, m.out.String()
}

func (m *month) open(_ context.Context, _ struct{}, to string) (backup.Source, error) {
	if to != "" {
		return m.spare.Source(nil), nil
	}
	return m.ledger.Source(nil), nil
}

// passes lets the application live for some days.
func (m *month) passes(t *testing.T, days int) {
	target := filepath.Join(m.dir, "target")
	for end := time.Now().AddDate(0, 0, days); time.Now().Before(end); {
		require.NoError(t, m.ledger.Advance(max(time.Since(m.ledger.Now()), 0)))
		require.NoError(t, m.ledger.Mutate(1+m.rnd.IntN(4)))
		pause := time.Duration(10+m.rnd.IntN(60)) * time.Minute
		switch m.rnd.IntN(30) {
		case 0:
			m.ledger.FailDatabase("bank", errors.New("page is torn"))
		case 1:
			m.ledger.GoneAfter(1 + m.rnd.IntN(20))
		case 2: // the disk of the target is unplugged for some hours
			require.NoError(t, os.Rename(target, target+".away"))
			time.Sleep(time.Duration(1+m.rnd.IntN(4)) * time.Hour)
			require.NoError(t, os.RemoveAll(target)) // a command may have made it anew, with nothing that counts in it
			require.NoError(t, os.Rename(target+".away", target))
		}
		time.Sleep(pause)
		m.ledger.Revive()
		m.ledger.FailDatabase("bank", nil)
	}
}

// TestAMonthOfRun keeps obm running for a month, with restarts, and then restores what it advertises, by its commands.
func TestAMonthOfRun(t *testing.T) {
	days := []int{8, 3, 19}
	if testing.Short() {
		days = []int{2, 1, 2}
	}
	open := descriptors(t)
	synctest.Test(t, func(t *testing.T) {
		m := &month{dir: t.TempDir(), ledger: backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{"shop", "bank"}}), rnd: rand.New(rand.NewPCG(7, 7))}
		id, err := age.GenerateX25519Identity()
		require.NoError(t, err)
		text := strings.NewReplacer("TARGET", filepath.ToSlash(filepath.Join(m.dir, "target")), "RECIPIENT", id.Recipient().String()).Replace(monthConfig)
		require.NoError(t, os.WriteFile(filepath.Join(m.dir, "obm.yaml"), []byte(text), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(m.dir, "key.txt"), []byte(id.String()+"\n"), 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(m.dir, "scratch"), 0o700))
		time.Sleep(time.Until(m.ledger.Now())) // from here on its clock and ours tell the same time

		for _, n := range days {
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan int)
			go func() {
				code, _ := m.obm(ctx, "run")
				ended <- code
			}()
			m.passes(t, n)
			stop()
			require.Zero(t, <-ended, m.log.String())
		}
		log := m.log.String()
		assert.Greater(t, strings.Count(log, "outcome=ok"), 100, log)
		if !testing.Short() {
			assert.Greater(t, strings.Count(log, "outcome=failed")+strings.Count(log, "outcome=partial"), 10, "the month was not without troubles")
		}

		assert.Greater(t, m.restores(t), 20)
		code, out := m.obm(t.Context(), "verify", "books", "--level", "format")
		require.Zero(t, code, out)
	})
	assert.LessOrEqual(t, descriptors(t), open+1, "descriptors were left open")
}

// restores brings back every item at moments of every window that is advertised, and compares it with what was.
func (m *month) restores(t *testing.T) (n int) {
	code, out := m.obm(t.Context(), "windows", "books", "--json")
	require.Zero(t, code, out)
	var windows []cli.ItemWindow
	require.NoError(t, json.Unmarshal([]byte(out), &windows))
	items := map[string]bool{}
	for _, w := range windows {
		items[w.Item] = true
		at := []time.Time{w.From, w.To}
		for _, g := range w.Gaps {
			at = append(at, g.From, g.To) // where one span ends and the next begins
		}
		for range 20 {
			if span := w.To.Sub(w.From); span > 0 {
				at = append(at, w.From.Add(time.Duration(m.rnd.Int64N(int64(span)))))
			}
		}
		for _, to := range at {
			if inGap(w, to) {
				continue
			}
			m.spare = backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
			code, out := m.obm(t.Context(), "restore", "books", "--item", w.Item, "--at", to.Format(time.RFC3339Nano), "--to", "spare", "--yes")
			require.Zero(t, code, "%s at %s is advertised: %s\n%s", w.Item, to, out, m.log.String())
			require.Empty(t, m.ledger.At(to).Only(w.Item).Diff(m.spare.Current()), "%s at %s", w.Item, to)
			n++
		}
	}
	assert.Len(t, items, 2, "an item is missing: %v", items)
	t.Logf("%d restores", n)
	return n
}

func inGap(w cli.ItemWindow, at time.Time) bool {
	for _, g := range w.Gaps {
		if at.After(g.From) && at.Before(g.To) {
			return true
		}
	}
	return false
}

// descriptors counts the open files of this process, where the system tells.
func descriptors(t *testing.T) int {
	if runtime.GOOS != "linux" {
		return 0
	}
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}
