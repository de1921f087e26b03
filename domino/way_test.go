package domino

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// ways is one server with an agent of each way, all of one job at one target.
type ways struct {
	*hookLab
	sink   *backuptest.MemSink
	warned []string
}

func newWays(t *testing.T) *ways {
	w := &ways{hookLab: withTask(newLab(t)), sink: backuptest.NewMemSink()}
	w.create("names.nsf", "mail/a.nsf")
	w.file("server.id", "an id")
	return w
}

func (w *ways) by(way Way) *job {
	var src backup.Source
	switch way {
	case Hook:
		src = administrated{w.source(), w.hookLab}
	case Offline:
		src = w.offline()
	default:
		src = w.lab.source()
	}
	cfg := backup.Config{Job: "mail", Source: src, Sink: w.sink, PartSize: 64 << 10, Events: func(e backup.Event) {
		if e, ok := e.(backup.Warning); ok {
			w.warned = append(w.warned, e.Text)
		}
	}}
	if way != "streamed" {
		cfg.Stager = backup.DirStager{Dir: filepath.Join(w.dir, "stage-"+string(way))}
	}
	p, err := backup.New(cfg)
	require.NoError(w.t, err)
	return &job{p, w.t, w.sink}
}

// Every way verifies what every other made, and puts plain files of it back. Databases it restores, or refuses them by the name of the way that can, and touches nothing.
func TestRestoreByAnotherWay(t *testing.T) {
	t.Parallel()
	for _, made := range []Way{CAPI, "streamed", Hook, Offline} {
		for _, by := range []Way{CAPI, Hook, Offline} {
			if made == by || made == "streamed" && by == CAPI {
				continue
			}
			t.Run(string(made+" by "+by), func(t *testing.T) {
				t.Parallel()
				w := newWays(t)
				if made == Hook || made == "streamed" { // so that there is change information
					w.sim.SetFault(before("NSFBackupStop", func() error { return w.sim.Write("mail/a.nsf", "during", "the copy") }))
				}
				m := w.by(made).take(backup.Full)
				w.sim.SetFault(nil)
				way := strings.Replace(string(made), "streamed", string(CAPI), 1)
				require.Equal(t, way, m.Meta[metaWay])
				j := w.by(by)
				report, err := j.Verify(t.Context(), backup.VerifyOptions{Level: backup.ProofFormat})
				require.NoError(t, err)
				require.Empty(t, report.Bad)

				w.write("mail/a.nsf", "later", "words")
				id := filepath.Join(w.sim.DataDir(), "server.id")
				require.NoError(t, os.Remove(id))
				require.NoError(t, j.restore(backup.Target{Select: named(itemFiles)}, backup.RestoreOptions{}))
				assert.FileExists(t, id)

				err = j.restore(backup.Target{Select: named("mail/a.nsf")}, backup.RestoreOptions{Overwrite: true})
				if made != Offline || by != CAPI {
					require.ErrorIs(t, err, backup.ErrRefused)
					assert.ErrorContains(t, err, fmt.Sprintf("backup %s was made by way %s", m.ID, way))
					assert.Contains(t, backup.Hint(err), "way: "+way)
					all, err := w.sim.Read("mail/a.nsf")
					require.NoError(t, err)
					assert.Equal(t, "words", all["later"], "it stays as it is")
				}
				if by != CAPI {
					return
				}
				if made == Hook {
					assert.Contains(t, backup.Hint(err), "log=none")
					err = j.restore(backup.Target{Select: named("mail/a.nsf")}, backup.RestoreOptions{Overwrite: true, Options: map[string]string{"log": "none"}})
				}
				require.NoError(t, err)
				got, err := dominosim.ReadFile(filepath.Join(w.sim.DataDir(), "mail", "a.nsf"))
				require.NoError(t, err)
				assert.Equal(t, map[string]string{"created": "mail/a.nsf"}, got.Contents, "as when its full began")
				if got.Backup { // its log was given up, and nothing can recover it
					assert.Contains(t, strings.Join(w.warned, "\n"), "could not be recovered")
				}
				assert.Contains(t, strings.Join(w.warned, "\n"), "ake a full at once")
				if made == Offline {
					assert.Contains(t, strings.Join(w.warned, "\n"), "load fixup")
				}
				require.NoError(t, w.leavings())
			})
		}
	}
}

// What belongs to a whole server is left to the way that copied it, and a server without log has nothing that the C API cannot put back.
func TestWholeByAnotherWay(t *testing.T) {
	t.Parallel()
	w := newWays(t)
	w.hopt.NoLog = true
	w.by(Hook).take(backup.Full)
	j := w.by(CAPI)
	w.write("names.nsf", "later", "words")
	require.NoError(t, j.restore(backup.Target{}, backup.RestoreOptions{Overwrite: true}))
	all, err := w.sim.Read("names.nsf")
	require.NoError(t, err)
	assert.NotContains(t, all, "later")

	w.by(Offline).take(backup.Full)
	err = j.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"mode": "server", "data": filepath.Join(w.dir, "new")}})
	require.ErrorIs(t, err, backup.ErrRefused)
	assert.Contains(t, backup.Hint(err), "way: offline")
	require.NoError(t, j.restore(backup.Target{}, backup.RestoreOptions{Options: map[string]string{"to": "copies"}}))
	assert.Contains(t, strings.Join(w.warned, "\n"), "log files of backup")
}

// A log run never goes on with what another way began: it takes everything, saying why, and the chain goes on from there.
func TestLogRunAfterAnotherWay(t *testing.T) {
	t.Parallel()
	for _, order := range [][]Way{
		{CAPI, Hook}, {Hook, CAPI}, {Offline, CAPI}, {Offline, Hook},
		{CAPI, Hook, CAPI}, {Hook, CAPI, Hook}, {Hook, Offline, Hook},
	} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			w := newWays(t)
			w.by(order[0]).take(backup.Full)
			for i, way := range order[1:] {
				w.write("names.nsf", "in between", fmt.Sprint(i))
				j := w.by(way)
				if way == Offline {
					j.take(backup.Full)
					continue
				}
				m := j.take(backup.Log)
				for _, name := range []string{"names.nsf", "mail/a.nsf"} {
					it, ok := m.Item(name)
					require.True(t, ok, "%s: %v", name, kinds(m))
					assert.Equal(t, backup.Full, it.Kind)
					assert.Contains(t, it.Reason, "way "+string(order[i]), name)
				}
				w.write("names.nsf", "in between", "and after")
				m = j.take(backup.Log)
				assert.NotContains(t, kinds(m), "names.nsf")
				w.write("names.nsf", "in between", "nothing")
				require.NoError(t, j.restore(backup.Target{Select: named("names.nsf")}, backup.RestoreOptions{Overwrite: true}))
				all, err := w.sim.Read("names.nsf")
				require.NoError(t, err)
				assert.Equal(t, "and after", all["in between"])
			}
		})
	}
}
