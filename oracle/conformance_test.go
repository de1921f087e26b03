package oracle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

const conformantSecret = "s3cr3t-of-the-suite"

// conformant is a lab for the conformance suite.
type conformant struct {
	*lab
	sources []*Source
	aux     *oraclesim.Instance

	mu     sync.Mutex
	change int
}

func newConformant(t *testing.T, o Options) (*conformant, error) {
	a := &conformant{lab: newLab(t, &o, func(c *oraclesim.Config) {
		c.Users = map[string]oraclesim.User{"BACKUP": {Password: conformantSecret, Administrative: []string{"SYSBACKUP", "SYSDBA"}}}
	})}
	a.opt.ScratchDir = filepath.Join(a.dir, "scratch")
	aux, err := oraclesim.Attach(oraclesim.Config{SID: "AUX", Dir: filepath.Join(a.dir, "auxiliary"), Now: a.clock.now, Seed: 11})
	if err != nil {
		return nil, err
	}
	a.programsOf(oraclesim.NewHost(a.sim, aux).Listen)
	a.opt.Auxiliary, a.aux = "AUX", aux
	a.login = oraclesim.Login{User: "BACKUP", Password: conformantSecret, Privilege: "SYSBACKUP"}
	if o.Mode == ModeRemote {
		a.login.Privilege = "SYSDBA" // SYSBACKUP may not drop the DIRECTORY objects that it creates
	}
	return a, os.MkdirAll(a.opt.ScratchDir, 0o700)
}

func (a *conformant) Source() backup.Source {
	src, err := FromDB(a.sim.OpenDB(a.login), &a.opt)
	require.NoError(a.t, err)
	a.sources = append(a.sources, src)
	return executing{src}
}

// executing restores as an operator does who wants the database open at the end.
type executing struct{ *Source }

func (e executing) Restore(ctx context.Context, r backup.RestoreRequest, set *backup.RestoreSet) error {
	r.Options = maps.Clone(r.Options)
	if r.Options == nil {
		r.Options = map[string]string{}
	}
	r.Options["execute"], r.Options["open"] = "sqlplus", "resetlogs"
	if e.opt.Mode == ModeRMAN {
		r.Options["execute"] = "rman"
	}
	return e.Source.Restore(ctx, r, set)
}

func (a *conformant) Mutate(_ context.Context, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for range n {
		a.change++
		if _, err := a.sim.Commit("USERS", fmt.Sprintf("change %d", a.change)); err != nil {
			return err
		}
	}
	return nil
}

func (a *conformant) Fingerprint(context.Context) (string, error) {
	all, err := a.sim.Contents()
	if err != nil || len(all) == 0 {
		return "", err
	}
	return fmt.Sprintf("%d rows, last %s", len(all), all[len(all)-1].Text), nil
}

func (a *conformant) Lose(context.Context) error {
	files := a.sim.Files()
	if err := a.sim.Shutdown(true); err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f.Path); err != nil {
			return err
		}
	}
	return a.loseRest()
}

// Quiesced looks for what a backup leaves. A note in the state directory is none: it stays, for the next run, where the answer to BEGIN BACKUP never came.
func (a *conformant) Quiesced(ctx context.Context) error {
	if files := a.sim.InBackupMode(); len(files) > 0 {
		return fmt.Errorf("data files are in backup mode: %v", files)
	}
	if n := a.sim.Sessions(); n > 0 {
		return fmt.Errorf("%d sessions are open", n)
	}
	left, err := filepath.Glob(filepath.Join(a.opt.ScratchDir, "*"))
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("files are left in the scratch folder: %v", left)
	}
	if err := a.onlyBases(ctx); err != nil {
		return err
	}
	return a.directories(ctx, func(name string) bool {
		return strings.HasPrefix(name, defaultPrefix) && !strings.HasSuffix(name, "FOREIGN")
	}, 0)
}

// onlyBases looks that the server knows nothing of what RMAN made for us but data files at level 0.
func (a *conformant) onlyBases(ctx context.Context) error {
	all, err := a.recorded(ctx)
	if err != nil {
		return err
	}
	for _, p := range all.pieces {
		if what := all.piece(p); p.status == available && strings.HasPrefix(p.tag, defaultPrefix+"_") && what.Kind != pieceData {
			return fmt.Errorf("the server still knows the %s piece %s", what.Kind, p.handle)
		}
	}
	return nil
}

func (a *conformant) recorded(ctx context.Context) (all *records, err error) {
	src, err := FromDB(a.sim.OpenDB(oraclesim.Login{}), &a.opt)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	err = src.with(ctx, func(c *session) error {
		all, err = c.records(ctx)
		return err
	})
	return all, err
}

// directories counts DIRECTORY objects.
func (a *conformant) directories(ctx context.Context, is func(name string) bool, want int) error {
	src, err := FromDB(a.sim.OpenDB(oraclesim.Login{}), &a.opt)
	if err != nil {
		return err
	}
	defer src.Close()
	n := 0
	err = src.with(ctx, func(c *session) error {
		return c.each(ctx, queryDirectories, func(r row) {
			if is(r.text("DIRECTORY_NAME")) {
				n++
			}
		})
	})
	if err == nil && n != want {
		err = fmt.Errorf("%d DIRECTORY objects are there, not %d", n, want)
	}
	return err
}

func (a *conformant) run(ctx context.Context, statement string) error {
	db := a.sim.OpenDB(oraclesim.Login{})
	defer db.Close()
	_, err := db.ExecContext(ctx, statement)
	return err
}

// Scratch is a folder of the machine, with an auxiliary instance. The empty lock in it stays.
func (a *conformant) Scratch(context.Context) (string, func(ctx context.Context) error, error) {
	dir := filepath.Join(a.dir, "rehearsals")
	residue := func(context.Context) error {
		if s := a.aux.State(); s != oraclesim.Down {
			return fmt.Errorf("the auxiliary instance is %s", s)
		}
		if left := leftovers(a.t, dir); len(left) > 0 {
			return fmt.Errorf("files are left: %v", left)
		}
		return nil
	}
	return dir, residue, os.MkdirAll(dir, 0o700)
}

// OpenForeign makes a DIRECTORY object of another job.
func (a *conformant) OpenForeign(ctx context.Context) (alive, end func(ctx context.Context) error, err error) {
	const name = defaultPrefix + "_00000000_FOREIGN"
	if a.opt.Mode == ModeRMAN {
		return a.foreignPiece()
	}
	alive = func(ctx context.Context) error {
		return a.directories(ctx, func(n string) bool { return n == name }, 1)
	}
	end = func(ctx context.Context) error { return a.run(ctx, `DROP DIRECTORY "`+name+`"`) }
	return alive, end, a.run(ctx, `CREATE OR REPLACE DIRECTORY "`+name+`" AS `+quoteText(a.dir))
}

// foreignPiece is a backup by RMAN with another tag of ours, as another job has it.
func (a *conformant) foreignPiece() (alive, end func(ctx context.Context) error, err error) {
	path, tag := filepath.Join(a.dir, "foreign.bkp"), rmanTag("another job", "1")
	do := func(commands string) error {
		if res := a.rman(commands); res.Exit != 0 {
			return errors.New(res.Output)
		}
		return nil
	}
	alive = func(ctx context.Context) error {
		if _, err := os.Stat(path); err != nil {
			return err
		}
		all, err := a.recorded(ctx)
		if err == nil && len(all.tagged(tag).pieces) != 1 {
			err = errors.New("the server does not know the backup of another job any more")
		}
		return err
	}
	end = func(context.Context) error {
		return errors.Join(do("CHANGE BACKUPPIECE '"+path+"' UNCATALOG;"), os.Remove(path))
	}
	return alive, end, do("BACKUP FORMAT '" + path + "' TAG '" + tag + "' DATAFILE 2;")
}

func (a *conformant) Positions(context.Context) (map[string]backup.Position, error) {
	return map[string]backup.Position{itemName: SCN(a.sim.SCN() + 1).Position()}, nil
}

func (a *conformant) Now(context.Context) (time.Time, error) { return a.clock.now(), nil }

func (a *conformant) Secret() string { return conformantSecret }

// ResetLog opens the database with RESETLOGS.
func (a *conformant) ResetLog(ctx context.Context) error {
	if err := a.sim.Shutdown(false); err != nil {
		return err
	}
	if err := a.sim.Startup(oraclesim.Mounted); err != nil {
		return err
	}
	db := a.sim.OpenDB(oraclesim.Login{})
	defer db.Close()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	// It asks for a log, and is told that there is none.
	if _, err := c.ExecContext(ctx, "ALTER DATABASE RECOVER DATABASE UNTIL CANCEL"); err != nil && !said(err, 279) {
		return err
	} else if err != nil {
		if _, err := c.ExecContext(ctx, "ALTER DATABASE RECOVER CANCEL"); err != nil {
			return err
		}
	}
	_, err = c.ExecContext(ctx, "ALTER DATABASE OPEN RESETLOGS")
	return err
}

func (a *conformant) Close() error {
	for _, src := range a.sources {
		_ = src.Close()
	}
	return nil
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"local": {}, "remote": {Mode: ModeRemote, ChunkSize: 64 << 10}, "rman": {Mode: ModeRMAN}, "copies": {Mode: ModeRMAN, RMANFormat: RMANCopy}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && o.Mode == ModeRMAN {
				t.Skip("-short: rman is a process for every step")
			}
			backuptest.TestSource(t, func() (backuptest.Application, error) { return newConformant(t, o) })
		})
	}
}
