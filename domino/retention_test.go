package domino

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// first is the first extent that a link of the log holds, or that a full needs.
func first(p backup.Position) string {
	extent, _, _ := strings.Cut(string(p), ".")
	return extent
}

// An extent is pruned only when no full that is kept, of any database of its log, begins at or before it. Here the databases have their fulls in different runs, so that the log one of them needs is not what the other needs.
func TestPruneKeepsTheLogOfEveryFull(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.opt.SkipFiles = true // files have a place in the log, too, and only full runs take them
	dbs := []string{"names.nsf", "mail/a.nsf"}
	l.create(dbs...)
	j := l.job(false)
	var taken []*backup.Manifest
	take := func(kind backup.Kind, compact string) {
		t.Helper()
		fill(l, 2)
		if compact != "" {
			require.NoError(t, l.sim.Compact(compact))
		}
		l.write("mail/a.nsf", "run", string(rune('1'+len(taken))))
		taken = append(taken, j.take(kind))
	}
	take(backup.Full, "")
	take(backup.Log, "")
	take(backup.Log, "mail/a.nsf") // its full is here
	take(backup.Log, "")
	within := l.clock.now()
	take(backup.Log, "")
	take(backup.Log, "names.nsf") // and its full is here
	take(backup.Log, "")
	for i, full := range map[int]string{2: "mail/a.nsf", 5: "names.nsf"} {
		require.Equal(t, backup.Full, itemOf(t, taken[i], full).Kind)
	}

	plan, err := j.Prune(t.Context(), backup.Policy{Last: 1})
	require.NoError(t, err)
	removed := map[backup.ID]bool{}
	for _, id := range plan.Remove {
		removed[id] = true
	}
	assert.Equal(t, map[backup.ID]bool{taken[0].ID: true, taken[1].ID: true}, removed, "what only fulls that are gone need goes, and nothing else: %v", plan.Keep)

	for _, gone := range taken {
		if !removed[gone.ID] {
			continue
		}
		link := itemOf(t, gone, itemLog)
		for _, kept := range taken {
			for _, it := range kept.Items {
				if !removed[kept.ID] && it.Kind == backup.Full && it.Stream == link.Stream {
					assert.LessOrEqual(t, first(link.End), first(it.End), "%s of %s needs an extent that went with %s", it.Name, kept.ID, gone.ID)
				}
			}
		}
	}

	restored := func(db, as string, target backup.Target) map[string]string {
		t.Helper()
		target.Select = []backup.Selection{{Name: db, As: as}}
		require.NoError(t, j.restore(target, backup.RestoreOptions{}))
		got, err := l.sim.Read(as)
		require.NoError(t, err)
		return got
	}
	assert.Equal(t, "4", restored("mail/a.nsf", "within.nsf", backup.Target{Time: within})["run"], "between the fulls")
	for _, db := range dbs {
		want, err := l.sim.Read(db)
		require.NoError(t, err)
		assert.Equal(t, want, restored(db, "latest/"+db, backup.Target{}), db)
	}
	_, err = j.Plan(t.Context(), backup.Target{Time: within, Select: named("names.nsf")})
	require.ErrorContains(t, err, "nothing that old", "its full of that time is gone")

	// A full of both makes all before it needless.
	fill(l, 1)
	m := j.take(backup.Full)
	_, err = j.Prune(t.Context(), backup.Policy{Last: 1})
	require.NoError(t, err)
	h, err := j.History(t.Context())
	require.NoError(t, err)
	for db, a := range h.Anchors() {
		assert.Equal(t, m.ID, a.Last.ID, db)
	}
	for _, db := range dbs {
		want, err := l.sim.Read(db)
		require.NoError(t, err)
		assert.Equal(t, want, restored(db, "last/"+db, backup.Target{}), db)
	}
}
