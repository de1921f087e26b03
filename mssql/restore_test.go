package mssql

import (
	"bytes"
	"context"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// shopLab has backups of shop: a full with one, a log with two, a differential with three and a log with four.
func shopLab(t *testing.T, o *Options) (l *lab, manifests []*backup.Manifest) {
	t.Helper()
	l = newLab(t, o)
	l.create(t, "shop", "one")
	manifests = append(manifests, l.backup(t, backup.Full))
	l.insert(t, "shop", "two")
	manifests = append(manifests, l.backup(t, backup.Log))
	l.insert(t, "shop", "three")
	manifests = append(manifests, l.backup(t, backup.Differential))
	l.insert(t, "shop", "four")
	manifests = append(manifests, l.backup(t, backup.Log))
	l.heard.changes()
	return l, manifests
}

func TestRestoreLatest(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}))
	l.holds(t, "shop", "one", "two", "three", "four")
	ran := l.heard.changes()
	require.Len(t, ran, 4, "full, differential, one log, recovery: %v", ran)
	for _, st := range ran[:3] {
		assert.Contains(t, st, "NORECOVERY")
		assert.Contains(t, st, "CHECKSUM")
		assert.NotContains(t, st, "REPLACE")
		assert.NotContains(t, st, "MOVE")
		assert.NotContains(t, st, "STOPAT")
	}
	assert.Equal(t, "RESTORE DATABASE [shop] WITH RECOVERY", ran[3])
}

func TestRestoreFromStripes(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, &Options{Stripes: 3})
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}))
	l.holds(t, "shop", "one", "two", "three", "four")
	assert.Equal(t, 3, strings.Count(l.heard.changes()[0], "DISK = "))
}

func TestRestoreToATime(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	l.insert(t, "shop", "two")
	at := l.clock.now()
	l.insert(t, "shop", "three")
	l.backup(t, backup.Log)
	l.insert(t, "shop", "four")
	l.backup(t, backup.Log)
	l.sim.DropDatabase("shop")
	l.heard.changes()
	require.NoError(t, l.restore(t, backup.Target{Time: at, Select: []backup.Selection{{Name: "shop"}}}, backup.RestoreOptions{}))
	l.holds(t, "shop", "one", "two")
	ran := l.heard.changes()
	require.Len(t, ran, 3)
	assert.Contains(t, ran[1], "STOPAT = N'"+at.Format("2006-01-02T15:04:05.000")+"'", "in the server's local time")
}

func TestRestoreToTheEndOfABackup(t *testing.T) {
	t.Parallel()
	l, m := shopLab(t, nil)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, backup.Target{ID: m[1].ID}, backup.RestoreOptions{}))
	l.holds(t, "shop", "one", "two")
}

func TestRestoreUnderAnotherName(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	target := backup.Target{Select: []backup.Selection{{Name: "shop", As: "o'copy]"}}}
	require.NoError(t, l.restore(t, target, backup.RestoreOptions{}))
	l.holds(t, "o'copy]", "one", "two", "three", "four")
	l.holds(t, "shop", "one", "two", "three", "four")
	ran := l.heard.changes()
	assert.Contains(t, ran[0], `RESTORE DATABASE [o'copy]]]`)
	assert.Contains(t, ran[0], `TO N'S:\data\o''copy].mdf'`)
	assert.Contains(t, ran[0], `TO N'S:\data\o''copy]_log.ldf'`)
	for _, st := range ran[1:] {
		assert.NotContains(t, st, "MOVE", "the files have their places")
	}
	err := l.restore(t, target, backup.RestoreOptions{})
	require.ErrorIs(t, err, backup.ErrExists, "and no second time")
	assert.Empty(t, l.heard.changes())
}

func TestRestoreOfFilesToOtherPlaces(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, backup.Target{Select: []backup.Selection{{Name: "shop"}}},
		backup.RestoreOptions{Options: map[string]string{"data_dir": `D:\db`, "move:shop_log": `L:\logs\x.ldf`}}))
	ran := l.heard.changes()
	assert.Contains(t, ran[0], `MOVE N'shop' TO N'D:\db\shop.mdf'`)
	assert.Contains(t, ran[0], `MOVE N'shop_log' TO N'L:\logs\x.ldf'`)
	err := l.restore(t, backup.Target{Select: []backup.Selection{{Name: "shop", As: "b"}}}, backup.RestoreOptions{Options: map[string]string{"move:nothing": `D:\x`}})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Empty(t, l.heard.changes())
}

func TestWhatExistsIsNotOverwritten(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.insert(t, "shop", "five")
	err := l.restore(t, backup.Target{}, backup.RestoreOptions{})
	require.ErrorIs(t, err, backup.ErrExists)
	assert.Contains(t, backup.Hint(err), "tail=norecovery")
	assert.Empty(t, l.heard.changes(), "nothing was touched")
	l.holds(t, "shop", "one", "two", "three", "four", "five")
}

func TestWhatExistsIsOverwrittenWhenTold(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.insert(t, "shop", "five")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	l.holds(t, "shop", "one", "two", "three", "four")
	ran := l.heard.changes()
	assert.Equal(t, "ALTER DATABASE [shop] SET SINGLE_USER WITH ROLLBACK IMMEDIATE", ran[0])
	assert.Contains(t, ran[1], "REPLACE")
	assert.NotContains(t, ran[2], "REPLACE")
	assert.Equal(t, "ALTER DATABASE [shop] SET MULTI_USER", ran[len(ran)-1])
	assert.Equal(t, multiUser, l.state(t, "shop").access)
}

// state is how the server sees a database.
func (l *lab) state(t testing.TB, name string) *hostDatabase {
	t.Helper()
	c, err := l.src.open(t.Context())
	require.NoError(t, err)
	defer c.close()
	d, err := c.state(t.Context(), name)
	require.NoError(t, err)
	return d
}

func TestAnotherDatabaseOfThatNameIsToldOf(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.sim.DropDatabase("shop")
	l.create(t, "shop", "stranger")
	require.ErrorIs(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}), backup.ErrExists)
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	l.holds(t, "shop", "one", "two", "three", "four")
}

func TestOneDatabaseFailsTheOthersAreRestored(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.create(t, "bank", "coin")
	l.backup(t, backup.Full)
	l.sim.DropDatabase("shop")
	l.sim.DropDatabase("bank")
	l.heard.refuse = func(q string) bool { return strings.HasPrefix(q, "RESTORE DATABASE [bank] WITH RECOVERY") }
	err := l.restore(t, backup.Target{}, backup.RestoreOptions{})
	require.ErrorIs(t, err, backup.ErrPartial)
	var items *backup.ItemErrors
	require.ErrorAs(t, err, &items)
	require.Len(t, items.Failed, 1)
	assert.Equal(t, "bank", items.Failed[0].Item)
	assert.ErrorContains(t, err, "the database is RESTORING now; 1 of 1 steps were applied")
	assert.Contains(t, backup.Hint(items.Failed[0].Err), "without overwrite to go on")
	l.holds(t, "shop", "one")
	l.heard.refuse = nil
	l.sim.DropDatabase("shop")
	l.heard.changes()
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}), "and again")
	l.holds(t, "bank", "coin")
	for _, st := range l.heard.changes() {
		assert.NotContains(t, st, "[bank] FROM", "what was applied is left out")
	}
}

func TestSystemDatabasesAreLeftOutOfEverything(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	at := l.clock.now()
	l.insert(t, "shop", "two")
	l.backup(t, backup.Log)
	l.sim.DropDatabase("shop")
	l.heard.changes()
	everything := backup.Target{Time: at} // which no system database can be brought to, having no log
	plan, err := l.pipeline(t).Plan(t.Context(), everything)
	require.NoError(t, err)
	var skipped []string
	for _, r := range plan.Skipped {
		assert.Equal(t, backup.CauseByName, r.Cause)
		skipped = append(skipped, r.Name)
	}
	assert.Equal(t, []string{"master", "model", "msdb"}, skipped)
	require.NoError(t, l.restore(t, everything, backup.RestoreOptions{}))
	for _, st := range l.heard.changes() {
		assert.Contains(t, st, "[shop]")
	}
	l.holds(t, "shop", "one")

	err = l.restore(t, backup.Target{Select: []backup.Selection{{Name: "master"}}}, backup.RestoreOptions{Overwrite: true})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "-mAPPNAME")
	require.NoError(t, l.restore(t, backup.Target{Select: []backup.Selection{{Name: "msdb"}}}, backup.RestoreOptions{Overwrite: true}))
}

func TestAFullOfOneDatabaseDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.create(t, "bank", "one")
	l.backup(t, backup.Full)
	_, err := l.pipeline(t).BackupWith(t.Context(), backup.BackupOptions{Kind: backup.Full, Options: map[string]string{"databases": "shop"}})
	require.NoError(t, err)
	l.sim.DropDatabase("shop")
	l.sim.DropDatabase("bank")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}))
	l.holds(t, "shop", "one")
	l.holds(t, "bank", "one")
}

func TestNoRecovery(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.sim.DropDatabase("shop")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{Options: map[string]string{"recovery": "norecovery"}}))
	assert.Equal(t, "RESTORING", l.state(t, "shop").state)
	l.heard.changes()
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}), "it is brought up later")
	assert.Equal(t, []string{"RESTORE DATABASE [shop] WITH RECOVERY", "ALTER DATABASE [shop] SET MULTI_USER"}, l.heard.changes())
	l.holds(t, "shop", "one", "two", "three", "four")
}

func TestOptionsOfARestoreAreRead(t *testing.T) {
	t.Parallel()
	bad := []map[string]string{
		{"recovery": "maybe"}, {"colour": "red"}, {"recovery": "standby"}, {"standby_file": "x"}, {"move:": "x"}, {"move:a": ""},
		{"stop_at_mark": "a", "stop_before_mark": "b"}, {"stop_before_lsn": "seven"}, {"stop_at_mark": ""}, {"keep_cdc": "yes"}, {"broker": "old"},
		{"recovery": "norecovery", "broker": "new"}, {"files": "x"},
	}
	for _, o := range bad {
		_, err := parseRestoreOptions(o)
		assert.ErrorIs(t, err, backup.ErrRefused, "%v", o)
	}
	o, err := parseRestoreOptions(map[string]string{"keep_cdc": "true", "keep_replication": "true", "broker": "new", "restricted_user": "true"})
	require.NoError(t, err)
	st, ok := (&course{name: "x", options: o}).finish()
	require.True(t, ok)
	assert.Equal(t, "RESTORE DATABASE [x] WITH RECOVERY, RESTRICTED_USER, KEEP_CDC, KEEP_REPLICATION, NEW_BROKER", st.SQL)
}

func TestAGapIsRefused(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil)
	l.create(t, "shop", "one")
	l.backup(t, backup.Full)
	l.insert(t, "shop", "two")
	l.backup(t, backup.Log)
	l.insert(t, "shop", "three")
	m := l.backup(t, backup.Log)
	l.sim.DropDatabase("shop")
	l.heard.changes()
	p := l.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{Select: []backup.Selection{{Name: "shop"}}})
	require.NoError(t, err)
	for i, s := range plan.Steps {
		if s.Item.Kind == backup.Log && s.ID != m.ID {
			plan.Steps = append(plan.Steps[:i:i], plan.Steps[i+1:]...)
			break
		}
	}
	err = p.Restore(t.Context(), plan, backup.RestoreOptions{})
	require.ErrorIs(t, err, backup.ErrChainBroken)
	assert.Empty(t, l.heard.changes())
}

func TestCancelInMidRestore(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	tired := errors.New("tired")
	l.heard.before = func(q string) {
		if strings.HasPrefix(q, "RESTORE LOG") {
			cancel(tired)
		}
	}
	err := l.restoreCtx(ctx, t, backup.Target{}, backup.RestoreOptions{Overwrite: true})
	l.heard.before = nil
	require.ErrorIs(t, err, tired)
	assert.ErrorContains(t, err, "the database is RESTORING now")
	assert.Equal(t, "RESTORING", l.state(t, "shop").state)
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{}), "it goes on from there")
	l.holds(t, "shop", "one", "two", "three", "four")
}

func TestAFailureBeforeTheFirstStepLetsUsersIn(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	l.heard.refuse = func(q string) bool { return strings.HasPrefix(q, "RESTORE DATABASE [shop] FROM") }
	err := l.restore(t, backup.Target{}, backup.RestoreOptions{Overwrite: true})
	require.Error(t, err)
	assert.ErrorContains(t, err, "the database is ONLINE now; 0 of 3 steps were applied")
	assert.Equal(t, multiUser, l.state(t, "shop").access)
	l.holds(t, "shop", "one", "two", "three", "four")
}

func TestTheConnectionBreaksInMidRestore(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	var once sync.Once
	l.pace = func(context.Context, string, int) error {
		once.Do(l.heard.cut) // the server is at work
		return nil
	}
	err := l.restore(t, backup.Target{}, backup.RestoreOptions{Overwrite: true})
	require.Error(t, err)
	assert.ErrorContains(t, err, "the database is RESTORING now; 0 of 3 steps were applied")
	assert.Contains(t, backup.Hint(err), "again with overwrite")
	require.NoError(t, l.restore(t, backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	assert.Equal(t, multiUser, l.state(t, "shop").access)
	l.holds(t, "shop", "one", "two", "three", "four")
}

func TestTheScriptIsWhatRuns(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]backup.RestoreOptions{
		"overwrite": {Overwrite: true},
		"rename":    {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, _ := shopLab(t, &Options{Stripes: 2})
			target := backup.Target{}
			if name == "rename" {
				target.Select = []backup.Selection{{Name: "shop", As: "a$(b)c"}}
			}
			p := l.pipeline(t)
			plan, err := p.Plan(t.Context(), target)
			require.NoError(t, err)
			var out bytes.Buffer
			o.Options = map[string]string{"files": `X:\fetched`}
			require.NoError(t, p.Script(t.Context(), plan, o, &out))
			assert.Empty(t, l.heard.changes(), "a script touches nothing")
			o.Options = nil
			require.NoError(t, p.Restore(t.Context(), plan, o))

			var script []string
			for batch := range strings.SplitSeq(out.String(), "\nGO\n") {
				lines := strings.Split(strings.TrimSpace(batch), "\n")
				if st := strings.TrimSuffix(lines[len(lines)-1], ";"); st != "" && st != "USE [master]" {
					script = append(script, strings.ReplaceAll(st, "$(Dollar)", "$"))
				}
			}
			folder := regexp.MustCompile(`S:\\stage\\lab~restore\\[^\\]+`)
			var ran []string
			for _, st := range l.heard.changes() {
				ran = append(ran, folder.ReplaceAllLiteralString(st, "$(Folder)"))
			}
			assert.Equal(t, ran, script)
			assert.Contains(t, out.String(), `:setvar Folder "X:\fetched"`)
		})
	}
}

func TestAScriptWithoutAServer(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	p := l.pipeline(t)
	plan, err := p.Plan(t.Context(), backup.Target{})
	require.NoError(t, err)
	l.heard.down = true
	var out bytes.Buffer
	require.NoError(t, p.Script(t.Context(), plan, backup.RestoreOptions{}, &out))
	assert.Contains(t, out.String(), "The server was not asked")
	assert.Contains(t, out.String(), "RESTORE DATABASE [shop] WITH RECOVERY;\nGO")
	assert.NotContains(t, out.String(), labSecret)
}

func TestVerifyOfABackup(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, &Options{Compression: CompressionOff, Stripes: 2})
	rep, err := l.pipeline(t).Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
	require.NoError(t, err)
	require.NoError(t, rep.Err())
	assert.Equal(t, 4, rep.Backups)
}

func TestATimeIsCutToATick(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-03-01T10:00:00.0000000": "2026-03-01T10:00:00.000", "2026-03-01T10:00:00.0029999": "2026-03-01T10:00:00.000",
		"2026-03-01T10:00:00.0050000": "2026-03-01T10:00:00.003", "2026-03-01T10:00:00.9999999": "2026-03-01T10:00:00.997",
	} {
		got, err := onTick(text)
		require.NoError(t, err)
		assert.Equal(t, want, got, text)
	}
}

func TestPlacesInALog(t *testing.T) {
	t.Parallel()
	l, _ := shopLab(t, nil)
	p := l.pipeline(t)
	target, err := p.Locate(t.Context(), backup.Target{Select: []backup.Selection{{Name: "shop"}}}, "lsn:25000000011600037")
	require.NoError(t, err)
	assert.Equal(t, backup.Position("0000000025000000011600037"), target.Position)
	for _, bad := range []string{"lsn:x", "somewhere"} {
		_, err = p.Locate(t.Context(), target, bad)
		require.ErrorIs(t, err, backup.ErrOption, bad)
	}
}
