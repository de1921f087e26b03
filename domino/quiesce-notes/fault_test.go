package main

import (
	"context"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

// calls are the functions a round calls, by asking the model, each as a fault at its first call; every other one after Domino has done it.
func calls(t *testing.T) (all []string) {
	t.Helper()
	s := newServer(t)
	r := newRound(t, s)
	seen := map[string]bool{}
	s.SetFault(func(_ context.Context, c dominosim.Call) error {
		late := c.After && len(all)%2 == 1
		switch {
		case !strings.HasPrefix(c.Name, "NSF") && c.Name != "LOGRESTORECALLBACK": // the library has no faults there
		case !c.After && !seen[c.Name]:
			seen[c.Name] = true
			all = append(all, c.Name+"@1")
		case late && all[len(all)-1] == c.Name+"@1":
			all[len(all)-1] = c.Name + "+@1"
		}
		return nil
	})
	require.NoError(t, r.run(t.Context(), s.Process()))
	return all
}

// tidied makes the server fit for another round, as its administrator would: it knows no process that is dead.
func tidied(t *testing.T, s *dominosim.Server, th notes.Thread) {
	t.Helper()
	left, err := s.InBackup()
	require.NoError(t, err)
	for _, path := range left {
		rel, err := filepath.Rel(s.DataDir(), path)
		require.NoError(t, err)
		require.NoError(t, s.ResetBackup(filepath.ToSlash(rel)))
	}
	off, err := s.Offline()
	require.NoError(t, err)
	for _, path := range off {
		require.NoError(t, th.BringOnline(t.Context(), path))
	}
}

func TestTheProgramDiesAtAnyCall(t *testing.T) {
	t.Parallel()
	all := calls(t)
	require.Greater(t, len(all), 20)
	for n, call := range all {
		if testing.Short() && n%4 > 0 {
			continue
		}
		how := [...]string{"exit", "abort"}[n/2%2]
		t.Run(call+" "+how, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			r := newRound(t, s)
			api := start(t, s, "QSIM_FAULT="+call+"="+how)
			err := r.run(t.Context(), api)
			require.ErrorIs(t, err, notes.ErrGone)
			require.ErrorContains(t, err, "libnotes stand-in: fault", "what it said is told")
			require.NoError(t, api.Close())

			// Nobody else has suffered, and a new process goes on where the server is.
			again := start(t, s)
			defer again.Close()
			th, err := again.Thread(t.Context())
			require.NoError(t, err)
			tidied(t, s, th)
			if _, err := s.Read(mail); err != nil { // the backup has replaced the database and was not yet recovered: what is stored is the way back
				r.th = th
				require.NoError(t, r.inPlace(t.Context()))
			}
			require.NoError(t, th.End())
			r = &round{s: s, dir: r.dir, writes: r.writes}
			require.NoError(t, r.run(t.Context(), again))
			assert.True(t, maps.Equal(r.middle, r.restored))
		})
	}
}

func TestACallThatHangs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	newRound(t, s)
	library, ini := serverCommand(t, s)
	c := command(t, library, "QSIM_FAULT=NSFBackupStop@1=hang")
	c.INI, c.Grace = ini, 300*time.Millisecond
	api, th := begin(t, c)
	h, err := th.Open(t.Context(), mail)
	require.NoError(t, err)
	b, _, err := th.BackupStart(t.Context(), h)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, th.BackupStop(ctx, h, b), context.DeadlineExceeded)
	require.ErrorContains(t, api.Close(), "killed")

	left, err := s.InBackup()
	require.NoError(t, err)
	assert.Len(t, left, 1, "what Domino does with a backup whose process is dead is its own affair")
	again := start(t, s)
	defer again.Close()
	th, err = again.Thread(t.Context())
	require.NoError(t, err)
	h, err = th.Open(t.Context(), mail)
	require.NoError(t, err)
	_, _, err = th.BackupStart(t.Context(), h)
	require.ErrorIs(t, err, notes.StatusBackupAlreadyInProgress)
	assert.NotEmpty(t, backup.Hint(err))
}

// The end of its input is all that the program sees of its parent's death.
func TestAParentThatGoesLeavesNothingInBackup(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	newRound(t, s)
	api := start(t, s)
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	h, err := th.Open(t.Context(), mail)
	require.NoError(t, err)
	_, _, err = th.BackupStart(t.Context(), h)
	require.NoError(t, err)
	require.NoError(t, th.ArchivingBegin(t.Context()))
	left, err := s.InBackup()
	require.NoError(t, err)
	require.Len(t, left, 1)
	require.NoError(t, api.Close())
	left, err = s.InBackup()
	require.NoError(t, err)
	assert.Empty(t, left)
	again := start(t, s)
	defer again.Close()
	th, err = again.Thread(t.Context())
	require.NoError(t, err)
	require.NoError(t, th.ArchivingBegin(t.Context()), "the log is free too")
}

func TestStatusesOfTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	newRound(t, s)
	api := start(t, s, "QSIM_FAULT=NSFBackupStart@1=d3a9") // with both bits above the code
	defer api.Close()
	th, err := api.Thread(t.Context())
	require.NoError(t, err)
	h, err := th.Open(t.Context(), mail)
	require.NoError(t, err)
	_, _, err = th.BackupStart(t.Context(), h)
	require.ErrorIs(t, err, notes.StatusNSFCantBackup)
	_, _, err = th.BackupStart(t.Context(), h)
	require.NoError(t, err)
	_, err = th.Open(t.Context(), "nö.nsf")
	require.ErrorIs(t, err, notes.StatusNoExist)
	require.NoError(t, s.CreateDB("größe/ŁÓDŹ 日本.nsf", dominosim.DB{Title: "x"}))
	h, err = th.Open(t.Context(), "größe/ŁÓDŹ 日本.nsf")
	require.NoError(t, err)
	path, err := th.Path(t.Context(), h)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(s.DataDir(), "größe", "ŁÓDŹ 日本.nsf"), path)
}
