package backup_test

import (
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// A history is asked which times it can give back, and what a restore to one of them would do.
func ExampleHistory_Plan() {
	at := func(hour, minute int) time.Time { return time.Date(2026, 11, 22, hour, minute, 0, 0, time.UTC) }
	took := func(id backup.ID, kind backup.Kind, it backup.Item) backup.Backup {
		it.Name, it.Kind, it.Stream = "shop", kind, "server-1"
		return backup.Backup{
			Manifest: backup.Manifest{ID: id, Job: "shop", Kind: kind, Items: []backup.Item{it}},
			Proof:    backup.ProofBytes,
		}
	}
	log := func(begin, end backup.Position, from, to time.Time) backup.Item {
		return backup.Item{Begin: begin, End: end, Window: backup.Window{From: from, To: to}, PointInTime: true}
	}
	h := backup.History{
		took("22a-full", backup.Full, backup.Item{End: "0100", Window: backup.Window{From: at(2, 0), To: at(2, 0)}}),
		took("22b-log", backup.Log, log("0100", "0180", at(2, 0), at(3, 0))),
		// The link from 3:00 to 4:00 is lost.
		took("22d-log", backup.Log, log("0250", "0300", at(4, 0), at(5, 0))),
		took("22e-full", backup.Full, backup.Item{End: "0320", Window: backup.Window{From: at(6, 0), To: at(6, 0)}}),
	}

	c := h.Coverage("shop")
	for i, s := range c.Spans {
		fmt.Println(s.From.Format("15:04"), "to", s.To.Format("15:04"))
		if i < len(c.Gaps) {
			fmt.Println("gap:", c.Gaps[i].Why)
		}
	}
	fmt.Print(h.Plan(backup.Target{Time: at(2, 30)}).Text())
	fmt.Println(h.Plan(backup.Target{Time: at(4, 30)}).Err())
	// Output:
	// 02:00 to 03:00
	// gap: missing positions 0180..0250 in stream server-1
	// 06:00 to 06:00
	// Restore of shop to 2026-11-22T02:30:00Z
	//   1.  full  shop  22a-full  bytes  2026-11-22T02:00:00Z
	//   2.  log   shop  22b-log   bytes  stop at 2026-11-22T02:30:00Z
	// 2 steps, 0 bytes.
	// restore of shop refused: "shop": missing positions 0180..0250 in stream server-1; the nearest restorable times are 2026-11-22T03:00:00Z and 2026-11-22T06:00:00Z
}
