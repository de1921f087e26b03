package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/oraclesim"
)

// stageRehearsal gives a lab a machine with a second instance, AUX, and a folder for rehearsals.
func (l *lab) stageRehearsal() (aux *oraclesim.Instance, scratch string) {
	l.t.Helper()
	aux, err := oraclesim.Attach(oraclesim.Config{SID: "AUX", Dir: filepath.Join(l.dir, "auxiliary"), Now: l.clock.now, Seed: 11, Hook: l.hooking})
	require.NoError(l.t, err)
	l.programsOf(oraclesim.NewHost(l.sim, aux).Listen)
	l.opt.Auxiliary = "AUX"
	scratch = filepath.Join(l.dir, "rehearsals")
	require.NoError(l.t, os.MkdirAll(scratch, 0o700))
	return aux, scratch
}

func (l *lab) rehearse(to backup.Target, scratch string, options map[string]string) (map[string]string, error) {
	l.t.Helper()
	p, plan := l.planned(to)
	if err := p.Rehearse(l.t.Context(), plan, scratch, backup.RestoreOptions{Options: options}); err != nil {
		return nil, err
	}
	notes, err := p.ProofNotes(l.t.Context(), plan.Steps[0].ID, backup.ProofRestored)
	require.NoError(l.t, err)
	return notes, nil
}

// leftovers are what a rehearsal left below its scratch folder, without the empty lock.
func leftovers(t testing.TB, scratch string) (out []string) {
	t.Helper()
	all, err := os.ReadDir(scratch)
	require.NoError(t, err)
	for _, e := range all {
		if !strings.HasSuffix(e.Name(), ".lock") {
			out = append(out, e.Name())
		}
	}
	return out
}

// files are all files of the original by content.
func (l *lab) files() map[string]string {
	l.t.Helper()
	out := map[string]string{}
	require.NoError(l.t, filepath.WalkDir(filepath.Join(l.dir, "server"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		out[path] = string(b)
		return err
	}))
	return out
}

func TestARehearsalBringsADatabaseUp(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(c *oraclesim.Config){
		"plain": nil, "two threads": func(c *oraclesim.Config) { c.Threads = 2 }, "containers": func(c *oraclesim.Config) { c.PDBs = []string{"SHOP"} },
		"read-only": func(c *oraclesim.Config) {
			c.Tablespaces = []oraclesim.Tablespace{{Name: "USERS"}, {Name: "OLD", ReadOnly: true}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, nil, change)
			aux, scratch := l.stageRehearsal()
			threads := 1
			if name == "two threads" {
				threads = 2
			}
			truth := l.history(threads)
			before := l.files()
			for _, to := range []backup.Target{{}, {Position: SCN(truth[10].SCN).Position(), Select: []backup.Selection{{Name: itemName}}}} {
				notes, err := l.rehearse(to, scratch, nil)
				require.NoError(t, err)
				for _, note := range []string{"method", "recovered", "opened", "checked", "data files", "logical check", "duration", "target"} {
					assert.NotEmpty(t, notes[note], note)
				}
				assert.Equal(t, "auxiliary", notes["method"])
				assert.Equal(t, "RMAN found no damage", notes["logical check"])
				assert.Contains(t, notes["data files"], fmt.Sprint(len(l.sim.Files())))
				assert.Equal(t, oraclesim.Down, aux.State())
				assert.Empty(t, leftovers(t, scratch))
			}
			assert.Equal(t, before, l.files(), "the original's files are as they were")
			assert.Equal(t, oraclesim.Open, l.sim.State())
			assert.Len(t, l.contents(), len(truth))
		})
	}
}
