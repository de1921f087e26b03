package oracle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// rmanLab is a lab whose agent uses RMAN.
func rmanLab(t testing.TB, o Options, change func(c *oraclesim.Config)) *lab {
	t.Helper()
	o.Mode = ModeRMAN
	l := newLab(t, &o, change)
	l.programs()
	return l
}

// rman runs commands by hand, as an administrator.
func (l *lab) rman(commands string) oraclesim.Result {
	return l.sim.RunProgram(l.t.Context(), oraclesim.Call{Args: []string{"rman", "target", "/"}, Input: commands})
}

func (l *lab) rmanMust(commands string) {
	l.t.Helper()
	res := l.rman(commands)
	require.Zero(l.t, res.Exit, res.Output)
}

// byRMAN brings backups back with RMAN alone, as the guide has it: from the files of the backups, up to an SCN, 0 for all there is.
func (l *lab) byRMAN(until SCN, all ...*backup.Manifest) {
	l.t.Helper()
	dir := l.t.TempDir()
	var last *RMANContents
	for _, m := range all {
		c := l.look(m)
		last = c.Backup.RMAN
		for _, p := range last.Pieces {
			require.NoError(l.t, os.WriteFile(filepath.Join(dir, baseName(p.Artifact)), c.texts[p.Artifact], 0o600))
		}
	}
	l.lose()
	at := slices.IndexFunc(last.Pieces, func(p RMANPiece) bool { return p.Kind == pieceControl })
	require.GreaterOrEqual(l.t, at, 0)
	l.rmanMust("STARTUP NOMOUNT;\nRESTORE CONTROLFILE FROM '" + filepath.Join(dir, baseName(last.Pieces[at].Artifact)) + "';\nALTER DATABASE MOUNT;\nCATALOG START WITH '" + dir + "/' NOPROMPT;\nCROSSCHECK BACKUP;\nCROSSCHECK COPY;\n" +
		fmt.Sprintf("RUN { SET UNTIL SCN %d; RESTORE DATABASE; RECOVER DATABASE; }\nALTER DATABASE OPEN RESETLOGS;", until))
}

// known are the tags of what the server thinks it has.
func (l *lab) known() (tags []string) {
	l.t.Helper()
	src := l.source()
	require.NoError(l.t, src.with(l.t.Context(), func(c *session) error {
		all, err := c.records(l.t.Context())
		for _, p := range all.pieces {
			if p.status == available && !slices.Contains(tags, p.tag) {
				tags = append(tags, p.tag)
			}
		}
		for _, f := range all.files {
			if f.copied() && f.status == available && !slices.Contains(tags, f.tag) {
				tags = append(tags, f.tag)
			}
		}
		return err
	}))
	return tags
}

// pieces are the files that RMAN made and that are still there.
func (l *lab) pieces() (out []string) {
	l.t.Helper()
	require.NoError(l.t, filepath.WalkDir(filepath.Join(l.dir, "stage"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(d.Name(), "quiesce-") {
			out = append(out, path)
		}
		return err
	}))
	return out
}

// nothingLeft looks that nothing is left of runs but what a differential needs.
func (l *lab) nothingLeft(base ...string) {
	l.t.Helper()
	assert.Empty(l.t, l.pieces())
	assert.ElementsMatch(l.t, base, l.known())
	assert.Empty(l.t, readDir(l.t, l.opt.StateDir))
	assert.Zero(l.t, l.sim.Sessions())
}

func TestRMANBackups(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opt    Options
		change func(c *oraclesim.Config)
	}{
		"sets":       {Options{}, nil},
		"compressed": {Options{RMANCompressed: true, Files: 1}, nil},
		"copies":     {Options{RMANFormat: RMANCopy}, nil},
		"threads":    {Options{}, func(c *oraclesim.Config) { c.Threads = 2 }},
		"containers": {Options{}, func(c *oraclesim.Config) { c.PDBs = []string{"SALES"} }},
		"ASM":        {Options{}, func(c *oraclesim.Config) { c.ASM = true }},
		"pfile":      {Options{}, func(c *oraclesim.Config) { c.NoSPFile = true }},
		"old":        {Options{RMANFormat: RMANCopy}, func(c *oraclesim.Config) { c.Version = "11.2.0.4.0" }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, c.opt, c.change)
			l.commit("before the full")
			full := l.take(backup.Full)
			zero := l.look(full).Backup.RMAN
			assert.Equal(t, 0, zero.Level)
			l.nothingLeft(zero.Tag)
			l.commit("before the differential")
			diff := l.take(backup.Differential)
			require.Equal(t, backup.Differential, diff.Items[0].Kind, diff.Items[0].Reason)
			assert.Equal(t, full.ID, diff.Items[0].Parent)
			one := l.look(diff).Backup.RMAN
			assert.Equal(t, 1, one.Level)
			assert.Equal(t, zero.Tag, one.Parent)
			l.nothingLeft(zero.Tag)
			l.commit("before the log")
			log := l.take(backup.Log)
			require.Equal(t, backup.Log, log.Items[0].Kind, log.Items[0].Reason)
			l.nothingLeft(zero.Tag)
			truth, err := l.sim.Contents()
			require.NoError(t, err)
			end := l.look(log).Backup.End
			l.byRMAN(end, full, diff, log)
			got, err := l.sim.Contents()
			require.NoError(t, err)
			assert.Equal(t, truth, got)
			again := l.take(backup.Differential)
			assert.Equal(t, backup.Full, again.Items[0].Kind)
			assert.Contains(t, again.Items[0].Reason, "RESETLOGS")
		})
	}
}

// A log run has exactly the logs since the last link, whatever other tools took or count as backed up.
func TestRMANLogsGoOnFromOurOwnLink(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, nil)
	l.take(backup.Full)
	l.commit("one")
	l.rmanMust("BACKUP ARCHIVELOG ALL NOT BACKED UP 1 TIMES FORMAT '" + t.TempDir() + "/%U' TAG 'THEIRS';")
	first := l.look(l.take(backup.Log))
	l.commit("two")
	second := l.look(l.take(backup.Log))
	assert.Equal(t, first.Backup.End, second.Backup.From)
	assert.Equal(t, first.Backup.Logs[len(first.Backup.Logs)-1].NextSCN, second.Backup.Logs[0].FirstSCN)
	assert.Equal(t, formatSet, first.Backup.RMAN.Format)
	assert.Equal(t, -1, first.Backup.RMAN.Level)
	assert.Contains(t, l.known(), "THEIRS")
}

// A log that is at no destination makes the run a full.
func TestRMANLogIsLost(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, nil)
	old := l.look(l.take(backup.Full)).Backup.RMAN.Tag
	l.commit("lost")
	l.exec("ALTER SYSTEM ARCHIVE LOG CURRENT")
	for _, path := range l.archived() {
		require.NoError(t, os.Remove(path))
	}
	m := l.take(backup.Log)
	assert.Equal(t, backup.Full, m.Items[0].Kind)
	assert.Contains(t, m.Items[0].Reason, "is at no destination any more")
	tag := l.look(m).Backup.RMAN.Tag
	assert.NotEqual(t, old, tag)
	l.nothingLeft(tag)
}

// Whether a differential is one, the server decides; ours must be relative to the full at the target.
func TestRMANDifferentialNeedsItsFull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		between string
		want    backup.Kind
		why     string
	}{
		"level 1 of others":    {"BACKUP INCREMENTAL LEVEL 1 DATABASE FORMAT '%s/%%U' TAG 'THEIRS';", backup.Differential, ""},
		"full of others":       {"BACKUP DATABASE FORMAT '%s/%%U' TAG 'THEIRS';", backup.Differential, ""},
		"level 0 of others":    {"BACKUP INCREMENTAL LEVEL 0 DATABASE FORMAT '%s/%%U' TAG 'THEIRS';", backup.Full, "another level 0 of data file 1"},
		"copies of others":     {"BACKUP AS COPY INCREMENTAL LEVEL 0 DATAFILE 2 FORMAT '%s/%%U' TAG 'THEIRS';", backup.Full, "another level 0 of data file 2"},
		"records were deleted": {"CROSSCHECK BACKUP;\nDELETE NOPROMPT EXPIRED BACKUP;\n#%s", backup.Full, "does not know the last full"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, nil)
			full := l.take(backup.Full)
			l.commit("one")
			to := filepath.Join(dir, strings.ReplaceAll(name, " ", "-"))
			require.NoError(t, os.MkdirAll(to, 0o700))
			l.rmanMust(fmt.Sprintf(c.between+"\n", to))
			l.commit("two")
			m := l.take(backup.Differential)
			assert.Equal(t, c.want, m.Items[0].Kind, m.Items[0].Reason)
			if c.why != "" {
				assert.Contains(t, m.Items[0].Reason, c.why)
			}
			log := l.take(backup.Log)
			truth, err := l.sim.Contents()
			require.NoError(t, err)
			end := l.look(log).Backup.End
			if c.want == backup.Full {
				l.byRMAN(end, m, log)
			} else {
				require.NoError(t, os.RemoveAll(to), "what others took is no part of our backup")
				l.byRMAN(end, full, m, log)
			}
			got, err := l.sim.Contents()
			require.NoError(t, err)
			assert.Equal(t, truth, got)
		})
	}
}

// Another tool takes its level 0 between our look and our BACKUP: what the server recorded shows it.
func TestRMANDifferentialIsJudgedByItsRecords(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, nil)
	l.take(backup.Full)
	l.commit("one")
	dir := t.TempDir()
	var once bool
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if !once && m == oraclesim.Before && strings.Contains(s.Text, "LEVEL 1 CUMULATIVE") {
			once = true
			if res := l.rman("BACKUP INCREMENTAL LEVEL 0 DATABASE FORMAT '" + dir + "/%U' TAG 'THEIRS';"); res.Exit != 0 {
				return errors.New(res.Output)
			}
		}
		return nil
	})
	m := l.take(backup.Differential)
	l.hooked(nil)
	assert.Equal(t, backup.Full, m.Items[0].Kind)
	assert.Contains(t, m.Items[0].Reason, "another tool took a level 0 in between")
	l.nothingLeft(l.look(m).Backup.RMAN.Tag, "THEIRS")
}

// A data file that came to be after the full is in the differential whole, and more than once.
func TestRMANDifferentialHasNewFiles(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{}, nil)
	full := l.take(backup.Full)
	_, err := l.sim.AddFile("USERS", filepath.Join(l.dir, "server", "oradata", "users02.dbf"))
	require.NoError(t, err)
	l.commit("one", "two")
	first := l.take(backup.Differential)
	require.Equal(t, backup.Differential, first.Items[0].Kind, first.Items[0].Reason)
	l.commit("three", "four")
	second := l.take(backup.Differential)
	require.Equal(t, backup.Differential, second.Items[0].Kind, second.Items[0].Reason)
	truth, err := l.sim.Contents()
	require.NoError(t, err)
	end := l.look(second).Backup.End
	l.byRMAN(end, full, second)
	got, err := l.sim.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
}

// A data file that nobody writes to is not in a differential at all, and comes from the full.
func TestRMANDifferentialLeavesOutWhatRests(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{Files: 8}, func(c *oraclesim.Config) {
		c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS"}, {Name: "ARCHIVE", ReadOnly: true}, {Name: "AWAY", Offline: true}}
	})
	l.commit("one")
	full := l.take(backup.Full)
	l.commit("two")
	diff := l.take(backup.Differential)
	require.Equal(t, backup.Differential, diff.Items[0].Kind, diff.Items[0].Reason)
	c := l.look(diff)
	var in []int
	for _, p := range c.Backup.RMAN.Pieces {
		in = append(in, p.Files...)
	}
	for _, d := range c.DataFiles {
		assert.Equal(t, d.TablespaceName != "ARCHIVE" && d.TablespaceName != "AWAY", slices.Contains(in, d.File), d.TablespaceName)
	}
	truth, err := l.sim.Contents()
	require.NoError(t, err)
	l.byRMAN(c.Backup.End, full, diff)
	got, err := l.sim.Contents()
	require.NoError(t, err)
	assert.Equal(t, truth, got)
}

func TestRMANFailures(t *testing.T) {
	t.Parallel()
	fails := func(text, advice string) func(t *testing.T, l *lab) {
		return func(t *testing.T, l *lab) {
			err := l.fails(backup.Full)
			require.ErrorContains(t, err, text)
			assert.Contains(t, backup.Hint(err), advice)
		}
	}
	at := func(word string, moment oraclesim.Moment, nth int, err error) func(l *lab) {
		return func(l *lab) {
			l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
				if s.Program == "rman" && m == moment && strings.Contains(s.Text, word) {
					if nth--; nth == 0 {
						return err
					}
				}
				return nil
			})
		}
	}
	full := errors.New("ORA-19502: write error on file \"/stage/x\", block number 9 (block size=8192)\nORA-27072: File I/O error\nLinux-x86_64 Error: 28: No space left on device")
	for name, c := range map[string]struct {
		harm  func(l *lab)
		check func(t *testing.T, l *lab)
	}{
		"not there": {func(l *lab) { l.opt.RMAN = "/nowhere/rman" }, fails("/nowhere/rman", "ORACLE_HOME")},
		"no program": {func(l *lab) {
			l.opt.RMAN = filepath.Join(l.dir, "text")
			writeFile(l.t, l.opt.RMAN, "#!/bin/sh\nexit 3\n")
		}, fails("exit status 3", "")},
		"wrong password":           {func(l *lab) { l.opt.RMANConnect = "backup/s3cr3t@orcl AS SYSBACKUP" }, fails("ORA-01017", "RMANConnect")},
		"disk full in a piece":     {at("LEVEL 0", oraclesim.Inside, 1, full), fails("ORA-27072", "room for all of a backup")},
		"disk full later":          {at("LEVEL 0", oraclesim.Inside, 5, full), fails("ORA-27072", "room for all of a backup")},
		"logs fail":                {at("ARCHIVELOG", oraclesim.Before, 1, full), fails("ORA-27072", "room for all of a backup")},
		"control file fails":       {at("CURRENT CONTROLFILE", oraclesim.Inside, 1, full), fails("ORA-27072", "room for all of a backup")},
		"session is killed":        {at("LEVEL 0", oraclesim.Inside, 3, oraclesim.ErrKillSession), fails("", "")},
		"damaged block":            {at("LEVEL 0", oraclesim.Inside, 3, errors.New("ORA-19566: exceeded limit of 0 corrupt blocks for file /u/users01.dbf")), fails("ORA-19566", "V$DATABASE_BLOCK_CORRUPTION")},
		"success of another agent": {func(l *lab) { l.opt.RMAN = l.pretender() }, fails("the server knows nothing with tag QUIESCE_", "")},
		"another database":         {func(l *lab) { l.opt.RMAN = l.pretender("42") }, fails("DBID 42", "ORACLE_SID")},
		"piece vanishes":           {func(l *lab) { l.vanish(false) }, fails("quiesce-", "")},
		"piece is cut":             {func(l *lab) { l.vanish(true) }, fails("the server recorded", "")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{}, nil)
			l.rmanMust("BACKUP DATABASE FORMAT '" + t.TempDir() + "/%U' TAG 'THEIRS';")
			good := l.opt.RMAN
			c.harm(l)
			c.check(t, l)
			l.hooked(nil)
			l.opt.RMAN, l.opt.RMANConnect = good, ""
			require.NoError(t, l.source().Recover(t.Context(), "lab", backup.History{}))
			l.nothingLeft("THEIRS")
			l.commit("afterwards")
			l.take(backup.Full)
		})
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o700)) //nolint:gosec // a program
}

// pretender is a program that says it made a backup.
func (l *lab) pretender(dbid ...string) string {
	src := l.source()
	inv := &Inventory{}
	require.NoError(l.t, src.with(l.t.Context(), func(c *session) error { return c.askDatabase(l.t.Context(), inv) }))
	id := fmt.Sprint(inv.DBID)
	if len(dbid) > 0 {
		id = dbid[0]
	}
	path := filepath.Join(l.dir, "pretender")
	writeFile(l.t, path, "#!/bin/sh\ncat >/dev/null\necho 'connected to target database: ORCL (DBID="+id+")'\necho 'Finished backup'\n")
	return path
}

// vanish removes a piece, or cuts its end off, after RMAN has made it.
func (l *lab) vanish(cut bool) {
	l.hooked(func(s oraclesim.Statement, m oraclesim.Moment) error {
		if s.Program != "rman" || m != oraclesim.After || !strings.Contains(s.Text, "LEVEL 0") {
			return nil
		}
		all := l.pieces()
		if cut {
			return os.Truncate(all[0], 100)
		}
		return os.Remove(all[0])
	})
}

func TestRMANVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{RMANFormat: RMANCopy}, nil)
	full := l.take(backup.Full)
	c := l.look(full)
	assert.True(t, slices.ContainsFunc(c.DataFiles, func(d DataFile) bool { return d.Artifact != "" }), "copies are checked as data files")
	inv := c.Inventory
	v := &verifying{src: l.source(), reached: map[int]SCN{}}
	require.NoError(t, v.pieces(&inv))
	lost := inv
	lost.Backup.RMAN = &RMANContents{Tag: "T", Pieces: slices.DeleteFunc(slices.Clone(inv.Backup.RMAN.Pieces), func(p RMANPiece) bool { return p.Kind == pieceLog })}
	require.ErrorContains(t, v.pieces(&lost), "no piece holds the log")
	lost.Backup.RMAN = &RMANContents{Tag: "T", Pieces: []RMANPiece{{Kind: pieceData, Set: 4, Piece: 2}}}
	lost.Backup.Logs = nil
	require.ErrorContains(t, v.pieces(&lost), "backup set 4 lacks piece 1")
	lost.Backup.Kind = string(backup.Differential)
	lost.Backup.RMAN.Parent = "OTHER"
	require.ErrorContains(t, v.pieces(&lost), "does not belong to the full before it")
	for _, p := range inv.Backup.RMAN.Pieces {
		check := inv.checkOf(p.Artifact)
		require.NotNil(t, check, p.Artifact)
		require.NoError(t, check(t.Context(), strings.NewReader(string(c.texts[p.Artifact]))))
		short := c.texts[p.Artifact][:len(c.texts[p.Artifact])-1]
		require.ErrorIs(t, check(t.Context(), strings.NewReader(string(short))), backup.ErrCorrupt, p.Artifact)
	}
}

func TestRMANErrorStacks(t *testing.T) {
	t.Parallel()
	const stack = `RMAN-03023: executing command: SET NEWNAME
RMAN> RMAN-00571: ===========================================================
RMAN-00569: =============== ERROR MESSAGE STACK FOLLOWS ===============
RMAN-00571: ===========================================================
RMAN-03009: failure of backup command on c1 channel at 03/01/2026 10:00:00
ORA-19502: write error on file "/stage/p", block number 1 (block size=8192)
ORA-27072: File I/O error
`
	err := rmanStack(stack)
	var re *rmanError
	require.ErrorAs(t, err, &re)
	assert.Equal(t, "ORA-27072: File I/O error", re.lines[len(re.lines)-1])
	assert.Equal(t, []int{27072, 19502}, codes(err), "the cause is at the bottom")
	assert.Equal(t, []int{3009}, re.rman)
	assert.True(t, strings.HasPrefix(err.Error(), "ORA-27072"))
	assert.Contains(t, backup.Hint(err), "room")
	assert.NoError(t, rmanStack("RMAN-08120: warning: archived log not deleted, not yet applied by standby\n"))
	require.ErrorContains(t, rmanStack("RMAN-00569: ====\n"), "without a number")
}

// The login is nowhere but on RMAN's standard input.
func TestRMANSecret(t *testing.T) {
	t.Parallel()
	l := rmanLab(t, Options{RMANConnect: "backup/s3cr3t@orcl AS SYSBACKUP"}, func(c *oraclesim.Config) {
		c.Users = map[string]oraclesim.User{"BACKUP": {Password: "s3cr3t", Administrative: []string{"SYSBACKUP"}}}
	})
	m := l.take(backup.Full)
	c := l.look(m)
	for name, text := range c.texts {
		if strings.HasSuffix(name, ".json") {
			assert.NotContains(t, string(text), "s3cr3t")
		}
	}
	spy := filepath.Join(l.dir, "spy")
	writeFile(t, spy, "#!/bin/sh\necho \"$@\" >'"+spy+".args'\nenv >'"+spy+".env'\ncat >'"+spy+".in'\necho 'RMAN-00569: ===='\necho \"RMAN-01009: syntax error: found $(cat '"+spy+".in')\"\nexit 1\n")
	l.opt.RMAN = spy
	err := l.fails(backup.Full)
	assert.NotContains(t, err.Error(), "s3cr3t")
	assert.NotContains(t, fmt.Sprintf("%#v %v", l.source(), l.source()), "s3cr3t")
	for _, what := range []string{".args", ".env"} {
		text, err := os.ReadFile(spy + what)
		require.NoError(t, err)
		assert.NotContains(t, string(text), "s3cr3t")
	}
	text, err := os.ReadFile(spy + ".in")
	require.NoError(t, err)
	assert.Contains(t, string(text), "s3cr3t")
	env, err := os.ReadFile(spy + ".env")
	require.NoError(t, err)
	assert.Contains(t, string(env), "NLS_LANG=AMERICAN_AMERICA.AL32UTF8")
}

// Logs are deleted by RMAN, and only what is safe.
func TestRMANPurges(t *testing.T) {
	t.Parallel()
	for _, asm := range []bool{false, true} {
		t.Run(fmt.Sprint(asm), func(t *testing.T) {
			t.Parallel()
			l := rmanLab(t, Options{PurgeArchived: true}, func(c *oraclesim.Config) { c.ASM = asm })
			l.take(backup.Full)
			l.commit("one")
			l.exec("ALTER SYSTEM ARCHIVE LOG CURRENT")
			require.NotEmpty(t, l.archived())
			first := l.look(l.take(backup.Log))
			for _, g := range first.Backup.Logs {
				if g.NextSCN <= first.Backup.End {
					assert.Contains(t, l.ran("DELETE NOPROMPT ARCHIVELOG"), "DELETE NOPROMPT ARCHIVELOG '"+g.Name+"'")
				}
			}
			assert.Less(t, len(l.archived()), 2)
			l.commit("two")
			m := l.take(backup.Log)
			assert.Equal(t, backup.Log, m.Items[0].Kind, m.Items[0].Reason)
		})
	}
}

// Files in ASM are for RMAN only.
func TestASMIsForRMAN(t *testing.T) {
	t.Parallel()
	l := newLab(t, nil, func(c *oraclesim.Config) { c.ASM = true })
	err := l.fails(backup.Full)
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "use mode rman")
	l.opt.Mode = ModeRMAN
	l.programs()
	var said []string
	for _, f := range l.source().Check(t.Context(), backup.StageDir{Path: t.TempDir()}) {
		require.NoError(t, f.Err, f.What)
		said = append(said, f.What)
	}
	text := strings.Join(said, "\n")
	assert.Contains(t, text, "RMAN 19.3.0.0.0 is there")
	assert.Contains(t, text, "data files are in ASM, which RMAN reads: +DATA/")
	l.take(backup.Full)
}
