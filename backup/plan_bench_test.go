package backup

import (
	"fmt"
	"testing"
	"time"
)

// longHistory is a history of n backups: a full of each database every 100 runs, a log in between. With shared set the
// databases stand in one log that is an item of its own.
func longHistory(n, databases int, shared bool) History {
	h := make(History, n)
	at := modelEpoch
	for i := range h {
		next := at.Add(15 * time.Minute)
		b := &h[i]
		b.ID, b.Job, b.Kind, b.Proof = ID(fmt.Sprintf("b%08d", i)), "shop", Log, ProofBytes
		link := Item{Kind: Log, Begin: Position(fmt.Sprintf("%012d", i)), End: Position(fmt.Sprintf("%012d", i+1)), Window: Window{at, next}, PointInTime: true}
		for d := range databases {
			it := link
			it.Name, it.Stream = fmt.Sprintf("db%03d", d), fmt.Sprintf("s%03d", d)
			if shared {
				it.Stream = "log"
			}
			if i%100 == 1 && !shared {
				it.Begin = Position(fmt.Sprintf("%012d", i-1)) // from the link before the full
			}
			if i%100 == 0 {
				b.Kind = Full
				it.Kind, it.Begin, it.Window, it.PointInTime = Full, "", Window{next, next}, false
			}
			if it.Kind == Full || !shared {
				b.Items = append(b.Items, it)
			}
		}
		if shared {
			link.Name, link.Stream = "txn", "log"
			b.Items = append(b.Items, link)
		}
		at = next
	}
	return h
}

func benchHistories(b *testing.B, run func(h History, mid, end time.Time)) {
	for _, c := range []struct {
		name         string
		n, databases int
		shared       bool
	}{{"one", 100_000, 1, false}, {"shared20", 100_000, 20, true}} {
		h := longHistory(c.n, c.databases, c.shared)
		end := modelEpoch.Add(time.Duration(c.n) * 15 * time.Minute)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run(h, modelEpoch.Add(end.Sub(modelEpoch)/2+time.Minute), end)
			}
		})
	}
}

func BenchmarkPlanTime(b *testing.B) {
	benchHistories(b, func(h History, mid, _ time.Time) {
		if p := h.Plan(Target{Time: mid}); p.Err() != nil {
			b.Fatal(p.Err())
		}
	})
}

func BenchmarkPlanLatest(b *testing.B) {
	benchHistories(b, func(h History, _, _ time.Time) {
		if p := h.Plan(Target{}); p.Err() != nil {
			b.Fatal(p.Err())
		}
	})
}

// BenchmarkPlanGap asks for a time in a gap, where every full is tried and the reason is searched.
func BenchmarkPlanGap(b *testing.B) {
	benchHistories(b, func(h History, mid, _ time.Time) {
		lost := len(h)/2 + 7
		h[lost].Damaged = "scripted"
		if p := h.Plan(Target{Time: mid.Add(7 * 15 * time.Minute)}); p.Err() == nil {
			b.Fatal("planned through a gap")
		}
		h[lost].Damaged = ""
	})
}

func BenchmarkCoverages(b *testing.B) {
	benchHistories(b, func(h History, _, _ time.Time) {
		if c := h.Coverages(); len(c[0].Spans) != 1 {
			b.Fatalf("%d spans", len(c[0].Spans))
		}
	})
}

func BenchmarkAnchors(b *testing.B) {
	benchHistories(b, func(h History, _, _ time.Time) {
		if a := h.Anchors(); len(a) == 0 {
			b.Fatal("no anchors")
		}
	})
}

func BenchmarkPlanPrune(b *testing.B) {
	benchHistories(b, func(h History, _, end time.Time) {
		p := Policy{Window: 14 * 24 * time.Hour, Last: 3, Hourly: 24, Daily: 7, Weekly: 4, Monthly: 12, Yearly: 5}
		if plan := h.PlanPrune(p, end); len(plan.Remove) == 0 {
			b.Fatal("nothing removed")
		}
	})
}
