package mssql

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

func TestFullTakesEveryDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.CreateDatabase("it's]odd/..", mssqlsim.Simple))
	m := s.take(s.pipeline(s.source(nil)), backup.Full)
	var names []string
	for _, it := range m.Items {
		names = append(names, it.Name)
		assert.Equal(t, backup.Full, it.Kind, it.Name)
		assert.Equal(t, 1, it.Artifacts, it.Name)
		assert.Positive(t, it.Bytes, it.Name)
	}
	assert.Equal(t, []string{"it's]odd/..", "master", "model", "msdb", "sales"}, names)
	assert.Empty(t, m.Warnings)
	assert.Equal(t, "SIM", m.Meta["server"])
	set, err := setOf(s.item(m, "sales"))
	require.NoError(t, err)
	assert.True(t, set.Checksums)
	assert.Equal(t, []string{"sales/full.bak"}, set.Devices)
	assert.Equal(t, 60, set.ZoneMinutes)
	assert.WithinRange(t, set.Finished, set.Started, s.item(m, "sales").Window.To)
}

func TestLogsContinueTheChain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	p := s.pipeline(s.source(&Options{Include: []string{"sales"}}))
	full := s.take(p, backup.Full)
	require.NoError(t, s.Insert("sales", "one"))
	log1 := s.take(p, backup.Log)
	require.NoError(t, s.Insert("sales", "two"))
	diff := s.take(p, backup.Differential)
	require.NoError(t, s.Insert("sales", "three"))
	log2 := s.take(p, backup.Log)
	one, two := s.item(log1, "sales"), s.item(log2, "sales")
	assert.Equal(t, []backup.Kind{backup.Log, backup.Differential, backup.Log}, []backup.Kind{one.Kind, s.item(diff, "sales").Kind, two.Kind})
	assert.Equal(t, full.ID, one.Parent)
	assert.Equal(t, full.ID, s.item(diff, "sales").Parent)
	assert.Equal(t, one.End, two.Begin, "logs follow each other whatever data backups come between")
	assert.True(t, two.PointInTime)
	assert.Equal(t, s.item(diff, "sales").Window.To, two.Window.From)
	h, err := p.History(t.Context())
	require.NoError(t, err)
	c := h.Coverage("sales")
	assert.Empty(t, c.Gaps)
	assert.True(t, c.Contains(one.Window.To))
}

// rival is the time between a run's decision and its BACKUP, in which another tool takes a backup.
func (s *site) rival(before, statement string) {
	done := false
	s.stepIn(func(text string) error {
		if !done && strings.HasPrefix(text, before) {
			done = true
			s.exec(statement)
		}
		return nil
	})
}

func TestChainBrokenByAnotherTool(t *testing.T) {
	t.Parallel()
	const log, full = `BACKUP LOG sales TO DISK = 'S:\foreign\x.trn'`, `BACKUP DATABASE sales TO DISK = 'S:\foreign\x.bak'`
	for _, c := range []struct {
		name   string
		rivals []string // before the run
		before string   // the statement of ours before which late comes
		late   string
		ask    backup.Kind
		want   backup.Kind
		reason string
		kept   int
	}{
		{"log before", []string{log}, "", "", backup.Log, backup.Differential, "is not at the target", 0},
		{"log and full before", []string{log, full}, "", "", backup.Log, backup.Full, "is not at the target", 0},
		{"full before, which no log minds", []string{full}, "", "", backup.Log, backup.Log, "", 0},
		{"full before a differential", []string{full}, "", "", backup.Differential, backup.Full, "another tool took it", 0},
		{"copy-only before", []string{full + " WITH COPY_ONLY", log + " WITH COPY_ONLY"}, "", "", backup.Log, backup.Log, "", 0},
		{"log in between", nil, "BACKUP LOG [sales]", log, backup.Log, backup.Differential, "is not at the target", 1},
		{"full in between", nil, "BACKUP DATABASE [sales]", full, backup.Differential, backup.Full, "another tool took it", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
			p := s.pipeline(s.source(&Options{Include: []string{"sales"}}))
			s.take(p, backup.Full)
			require.NoError(t, s.Insert("sales", "one"))
			for _, r := range c.rivals {
				s.exec(r)
			}
			require.NoError(t, s.Insert("sales", "two"))
			if c.before != "" {
				s.rival(c.before, c.late)
			}
			m := s.take(p, c.ask)
			it := s.item(m, "sales")
			assert.Equal(t, c.want, it.Kind)
			assert.Contains(t, it.Reason, c.reason)
			assert.Equal(t, c.reason == "", it.Reason == "", it.Reason)
			if it.Kind != backup.Log {
				assert.Contains(t, it.Reason, `to S:\foreign\x.`, "msdb names the stranger's backup")
			}
			assert.Equal(t, 1+c.kept, it.Artifacts)
			assert.Len(t, m.Warnings, c.kept)

			// The chain is whole again.
			require.NoError(t, s.Insert("sales", "three"))
			next := s.item(s.take(p, backup.Log), "sales")
			assert.Equal(t, backup.Log, next.Kind, next.Reason)
			assert.Equal(t, m.ID, next.Parent)
			h, err := p.History(t.Context())
			require.NoError(t, err)
			assert.True(t, h.Coverage("sales").Contains(next.Window.To))
		})
	}
}

func TestDatabaseThatIsNotTheSame(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.CreateDatabase("hr", mssqlsim.Full))
	require.NoError(t, s.CreateDatabase("crm", mssqlsim.Simple))
	p := s.pipeline(s.source(&Options{Include: []string{"sales", "hr", "crm"}}))
	s.exec(`BACKUP DATABASE hr TO DISK = 'S:\foreign\hr.bak'`)
	s.take(p, backup.Full)
	s.DropDatabase("sales")
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	s.exec(`RESTORE DATABASE hr FROM DISK = 'S:\foreign\hr.bak' WITH REPLACE`)
	s.exec(`ALTER DATABASE crm SET RECOVERY FULL`)
	m := s.take(p, backup.Log)
	assert.Equal(t, backup.Full, s.item(m, "sales").Kind)
	assert.Contains(t, s.item(m, "sales").Reason, "another one")
	assert.Equal(t, backup.Full, s.item(m, "hr").Kind, "restored from a full that is not at the target")
	assert.Contains(t, s.item(m, "hr").Reason, "recovery fork")
	assert.Equal(t, backup.Differential, s.item(m, "crm").Kind)
	assert.Contains(t, s.item(m, "crm").Reason, "no log chain")
	m = s.take(p, backup.Log)
	for _, it := range m.Items {
		assert.Equal(t, backup.Log, it.Kind, it.Name)
	}
}

func TestLogRunOfWhatHasNoLog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.pipeline(s.source(nil))
	s.take(p, backup.Full)
	m := s.take(p, backup.Log)
	kinds := map[string]backup.Kind{}
	for _, it := range m.Items {
		kinds[it.Name] = it.Kind
	}
	assert.Equal(t, map[string]backup.Kind{"master": backup.Full, "model": backup.Log, "msdb": backup.Differential}, kinds)
	m = s.take(s.pipeline(s.source(&Options{SkipSimple: true})), backup.Log)
	assert.Len(t, m.Items, 1)
	assert.Empty(t, m.Warnings)
}

func TestOneFailureDoesNotLoseTheOthers(t *testing.T) {
	t.Parallel()
	var stage string
	fault := func(_ string, size int64) error {
		if size > 4<<20 { // only sales is that large
			return &mssqlsim.DeviceError{Code: 112, Text: "There is not enough space on the disk."}
		}
		return nil
	}
	s := newSite(t, func(c *mssqlsim.Config) {
		stage = t.TempDir()
		c.Media = mssqlsim.NewFileMedia(map[string]string{`S:\stage`: stage}, &mssqlsim.FileOptions{Fault: fault})
	})
	s.dir = stage
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.Fill("sales", 8<<20))
	require.NoError(t, s.CreateDatabase("hr", mssqlsim.Full))
	m, err := s.try(s.pipeline(s.source(&Options{Include: []string{"sales", "hr", "gone"}})), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.False(t, s.item(m, "hr").Failed())
	failed := s.item(m, "sales")
	assert.Contains(t, failed.Error, "not enough space", "the cause, and not that the statement is terminating")
	assert.NotContains(t, failed.Error, "3013")
	assert.Contains(t, failed.Error, "staging folder", "what to do about it")
	assert.Contains(t, s.item(m, "gone").Error, "no database of this name")
	assert.Empty(t, s.staged(), "half-written files are gone")
}

func TestCancelledRunLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	s := newSite(t, func(c *mssqlsim.Config) {
		c.Pace = func(ctx context.Context, database string, percent int) error {
			if database == "sales" && percent >= 50 {
				once.Do(func() { cancel(); <-ctx.Done() })
			}
			return nil
		}
	})
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.Fill("sales", 4<<20))
	p := s.pipeline(s.source(&Options{Include: []string{"sales"}}))
	_, err := p.Backup(ctx, backup.Full)
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, s.staged())
	it := s.item(s.take(p, backup.Log), "sales")
	assert.Equal(t, backup.Full, it.Kind, "the cancelled full is no base")
}

func TestWaitsForAnotherBackup(t *testing.T) {
	t.Parallel()
	for _, attempts := range []int{1, 1000} {
		t.Run(fmt.Sprint(attempts), func(t *testing.T) {
			t.Parallel()
			started, release := make(chan struct{}), make(chan struct{})
			var once, free sync.Once
			s := newSite(t, func(c *mssqlsim.Config) {
				c.Pace = func(_ context.Context, database string, _ int) error {
					if database == "sales" {
						once.Do(func() { close(started); <-release })
					}
					return nil
				}
			})
			require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
			var rival sync.WaitGroup
			rival.Go(func() { s.exec(`BACKUP DATABASE sales TO DISK = 'S:\foreign\x.bak'`) })
			<-started
			tries := 0
			s.stepIn(func(text string) error {
				if strings.HasPrefix(text, "BACKUP DATABASE [sales]") {
					if tries++; tries == 3 {
						free.Do(func() { close(release) })
						rival.Wait()
					}
				}
				return nil
			})
			m, err := s.try(s.pipeline(s.source(&Options{Include: []string{"sales", "model"}, BusyAttempts: attempts, BusyWait: time.Millisecond})), backup.Full)
			free.Do(func() { close(release) })
			rival.Wait()
			assert.False(t, s.item(m, "model").Failed())
			if attempts == 1 {
				require.ErrorIs(t, err, backup.ErrPartial)
				assert.Contains(t, s.item(m, "sales").Error, "3023")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, 3, tries)
		})
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	p := s.pipeline(s.source(nil))
	s.take(p, backup.Full)
	require.NoError(t, s.Insert("sales", "last words"))
	for _, bad := range [][]string{{"tail", "norecovery"}, {"tail", "x", "databases", "sales"}, {"copy_only", "maybe"}, {"databases", "a,,b"}} {
		_, err := s.try(p, backup.Log, bad...)
		require.ErrorIs(t, err, backup.ErrOption, bad)
	}
	_, err := s.try(p, backup.Full, "tail", "norecovery", "databases", "sales")
	require.ErrorIs(t, err, backup.ErrOption)
	_, err = s.try(p, backup.Differential, "copy_only", "true")
	require.ErrorIs(t, err, backup.ErrOption)
	m := s.take(p, backup.Log, "tail", "norecovery", "databases", "sales")
	require.Len(t, m.Items, 1)
	set, err := setOf(m.Items[0])
	require.NoError(t, err)
	assert.True(t, set.Tail)
	assert.Equal(t, "norecovery", m.Meta["tail"])
	_, err = s.Contents("sales")
	require.Error(t, err, "it is restoring")
	m = s.take(p, backup.Log)
	assert.Equal(t, []string{"sales was left out: it is RESTORING"}, m.Warnings)
}

func TestTailThatCouldNotBeKeptIsUndone(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.Insert("sales", "an order"))
	p := s.pipeline(s.source(&Options{Include: []string{"sales"}}))
	s.take(p, backup.Full)
	s.stepIn(func(text string) error {
		if strings.HasPrefix(text, "RESTORE HEADERONLY") {
			return tds.Message{Number: 3203, State: 1, Class: 16, Text: "Read failed."}
		}
		return nil
	})
	_, err := s.try(p, backup.Log, "tail", "norecovery", "databases", "sales")
	require.ErrorContains(t, err, "sales: read back the header: read the headers: Read failed.")
	got, err := s.Contents("sales")
	require.NoError(t, err, "it is online again")
	assert.Equal(t, []string{"an order"}, got)
}

func TestCopyOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	p := s.pipeline(s.source(&Options{Include: []string{"sales"}}))
	base := s.take(p, backup.Full)
	require.NoError(t, s.Insert("sales", "one"))
	full := s.item(s.take(p, backup.Full, "copy_only", "true"), "sales")
	log := s.item(s.take(p, backup.Log, "copy_only", "true"), "sales")
	assert.True(t, full.CopyOnly)
	assert.Equal(t, backup.Log, log.Kind)
	require.NoError(t, s.Insert("sales", "two"))
	diff := s.item(s.take(p, backup.Differential), "sales")
	assert.Equal(t, backup.Differential, diff.Kind, diff.Reason)
	assert.Equal(t, base.ID, diff.Parent)
	again := s.item(s.take(p, backup.Log), "sales")
	assert.Equal(t, backup.Log, again.Kind, again.Reason)
	assert.Equal(t, log.Begin, again.Begin, "the copy-only log truncated nothing")
}

func TestStripesAndOptions(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.Fill("sales", 3<<20))
	src := s.source(&Options{Include: []string{"sales"}, Stripes: 3, Compression: CompressionOff, VerifyOnly: VerifyAlways})
	m := s.take(s.pipeline(src), backup.Full)
	it := s.item(m, "sales")
	assert.Equal(t, 3, it.Artifacts)
	set, err := setOf(it)
	require.NoError(t, err)
	assert.Equal(t, []string{"sales/full-1of3.bak", "sales/full-2of3.bak", "sales/full-3of3.bak"}, set.Devices)
	assert.Equal(t, 3, set.Stripes)
	assert.False(t, set.Compressed)
	assert.Regexp(t, `^BACKUP DATABASE \[sales\] TO DISK = N'S:\\stage\\sim\\[^']+', DISK = N'[^']+', DISK = N'[^']+' WITH FORMAT, INIT, SKIP, CHECKSUM, NO_COMPRESSION, `+
		`NAME = N'`+string(m.ID)+` full', DESCRIPTION = N'Quiesce backup `+string(m.ID)+` of job sim', STATS = 5$`, s.statements("BACKUP DATABASE [sales]")[0])
	assert.Len(t, s.statements("RESTORE VERIFYONLY"), 1)
	s.take(s.pipeline(s.source(&Options{Include: []string{"sales"}, Compression: CompressionOff})), backup.Full)
	assert.Len(t, s.statements("RESTORE VERIFYONLY"), 1, "anybody can check a plain file with checksums")
	s.take(s.pipeline(s.source(&Options{Include: []string{"sales"}, Compression: CompressionOff, NoChecksum: true})), backup.Full)
	assert.Len(t, s.statements("RESTORE VERIFYONLY"), 2, "nobody can check one without")
}

func TestStreamingIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	src := s.source(nil)
	p := s.pipeline(src, func(c *backup.Config) { c.Stager = nil })
	_, err := s.try(p, backup.Full)
	require.ErrorContains(t, err, "no path while streaming")
	assert.Contains(t, backup.Hint(err), "stage")
	assert.Empty(t, s.statements("BACKUP"))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	failing := func(dir backup.StageDir, o *Options) (out []string) {
		for _, f := range s.source(o).Check(t.Context(), dir) {
			if f.Err != nil {
				out = append(out, f.What)
				assert.NotEmpty(t, f.Hint, f.What)
			}
		}
		return out
	}
	stage := backup.StageDir{Path: s.dir, ServerPath: `S:\stage`}
	const file = "a backup written by the server can be read by this process"
	assert.Empty(t, failing(stage, nil))
	assert.Equal(t, []string{"there are databases to back up"}, failing(stage, &Options{Include: []string{"sales"}}))
	assert.Empty(t, failing(stage, &Options{Include: []string{"sales", "model"}}), "what is there is backed up, and the run names the other")
	assert.Equal(t, []string{file}, failing(backup.StageDir{}, nil))
	assert.Equal(t, []string{file}, failing(backup.StageDir{Path: s.dir, ServerPath: `S:\nowhere`}, nil), "the server cannot write there")
	assert.Equal(t, []string{file}, failing(backup.StageDir{Path: t.TempDir(), ServerPath: `S:\foreign`}, nil), "not the same folder")
	assert.Empty(t, s.staged(), "nothing stays behind")
	before := len(s.statements("BACKUP"))
	assert.Equal(t, []string{"server is reachable and takes the login"}, func() (out []string) {
		src, err := New("sqlserver://sa:wrong@"+strings.SplitN(s.dsn, "@", 2)[1], nil)
		require.NoError(t, err)
		defer src.Close()
		for _, f := range src.Check(t.Context(), stage) {
			require.Error(t, f.Err)
			out = append(out, f.What)
		}
		return out
	}())
	assert.Len(t, s.statements("BACKUP"), before)
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	src := s.source(&Options{Include: []string{"sales"}, Compression: CompressionOff})
	small, err := src.Estimate(t.Context(), backup.Request{Kind: backup.Full, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	for range 200 { // each on a page of its own
		require.NoError(t, s.Insert("sales", "an order"))
	}
	large, err := src.Estimate(t.Context(), backup.Request{Kind: backup.Full, Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, large-small, int64(200*pageBytes))
}

// The server has truncated a log once its backup ended: what happens to the run after that must not lose it.
func TestLogOfADeadRunIsSalvaged(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]string{"before it was read back": "RESTORE HEADERONLY", "before it was verified": "RESTORE VERIFYONLY", "another database": "BACKUP LOG [model]"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
			require.NoError(t, s.Fill("sales", 1<<20)) // it comes first
			p := s.pipeline(s.source(&Options{Include: []string{"sales", "model"}, Databases: 1}))
			s.take(p, backup.Full)
			require.NoError(t, s.Insert("sales", "an order"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.stepIn(func(text string) error {
				if strings.HasPrefix(text, step) {
					cancel()
				}
				return nil
			})
			_, err := p.Backup(ctx, backup.Log)
			require.ErrorIs(t, err, context.Canceled)
			s.stepIn(nil)
			require.NoError(t, s.Insert("sales", "another"))
			it := s.item(s.take(p, backup.Log), "sales")
			assert.Equal(t, backup.Log, it.Kind, it.Reason)
			h, err := p.History(t.Context())
			require.NoError(t, err)
			require.Len(t, h, 3)
			saved := s.item(&h[1].Manifest, "sales")
			assert.True(t, h[1].Resumed)
			assert.Equal(t, backup.Log, saved.Kind)
			assert.Equal(t, saved.End, it.Begin)
			assert.Equal(t, h[1].ID, it.Parent)
			assert.Empty(t, h.Coverage("sales").Gaps)
			assert.Empty(t, s.staged())
		})
	}
}
