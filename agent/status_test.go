package agent_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

func TestStatusFromHistory(t *testing.T) {
	t.Parallel()
	at := func(h int) time.Time { return time.Date(2026, 11, 22, h, 0, 0, 0, time.UTC) }
	full := func(h int, proof backup.Proof, items ...string) backup.Backup {
		b := backup.Backup{Proof: proof, Manifest: backup.Manifest{ID: backup.NewID(at(h), ""), Kind: backup.Full, Started: at(h), Finished: at(h)}}
		for _, name := range items {
			b.Items = append(b.Items, backup.Item{Name: name, Kind: backup.Full, Window: backup.Window{From: at(h), To: at(h)}})
		}
		return b
	}
	job := agent.Job{Name: "books", Objective: 3 * time.Hour}
	for name, c := range map[string]struct {
		h      backup.History
		point  time.Time
		absent bool
	}{
		"nothing at all":          {nil, time.Time{}, true},
		"proven in time":          {backup.History{full(10, backup.ProofBytes, "a")}, at(10), false},
		"proven too long ago":     {backup.History{full(8, backup.ProofBytes, "a")}, at(8), true},
		"the newest is unproven":  {backup.History{full(8, backup.ProofBytes, "a"), full(11, backup.ProofSealed, "a")}, at(8), true},
		"an item without a proof": {backup.History{full(10, backup.ProofBytes, "a"), full(11, backup.ProofSealed, "a", "b")}, time.Time{}, true},
		"an item that is gone":    {backup.History{full(6, backup.ProofBytes, "a", "b"), full(11, backup.ProofBytes, "a")}, at(11), false},
	} {
		s := job.StatusFrom(c.h, at(12))
		assert.True(t, s.RecoveryPoint.Equal(c.point), "%s: %s", name, s.RecoveryPoint)
		assert.Equal(t, c.absent, s.Absent, name)
	}
}
