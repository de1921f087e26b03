package chain_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func TestFollows(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		prev, next string
		edit       func(facts)
		cause      chain.Cause
		number     int
	}{
		{prev: "log1", next: "log2"},
		{prev: "log3", next: "log4"},
		{prev: "full", next: "log1"},
		{prev: "full", next: "diff"},
		{prev: "diff", next: "log4"},
		{prev: "log1", next: "full"},
		{prev: "ola.log1", next: "ola.empty1"},
		{prev: "ola.empty1", next: "ola.log2"},
		{prev: "log4", next: "b1", edit: func(f facts) { f.fork(); f["log4"].LastLSN = f["b1"].ForkPointLSN }},
		{prev: "b1", next: "b2", edit: facts.fork},
		{prev: "log1", next: "log3", cause: chain.Gap, number: 4305},
		{prev: "log3", next: "log1", cause: chain.TooEarly, number: 4326},
		{prev: "log4", next: "b1", edit: facts.fork, cause: chain.WrongFork, number: 4330},
		{prev: "b1", next: "log5", edit: func(f facts) { f.fork(); f["log5"].LastLSN = place(21000001) }, cause: chain.WrongFork, number: 4330},
		{prev: "log1", next: "sum.log", cause: chain.WrongFamily, number: 3154},
		{prev: "log3", next: "diff", cause: chain.WrongOrder, number: 3117},
		{prev: "full", next: "diff", edit: func(f facts) { f["full"].GUID = number(3) }, cause: chain.WrongBase, number: 3136},
		{prev: "full", next: "diff", edit: func(f facts) { f["full"].CopyOnly = true }, cause: chain.WrongBase, number: 3136},
		{prev: "full", next: "diff", edit: func(f facts) { f["diff"].DifferentialBaseGUID = mtf.GUID{} }, cause: chain.WrongBase, number: 3136},
		{prev: "full", next: "diff", edit: func(f facts) { f["diff"].LastLSN = place(1) }, cause: chain.Conflicting},
	} {
		f := genuineSets(t)
		if c.edit != nil {
			c.edit(f)
		}
		what := fmt.Sprintf("%s after %s", c.next, c.prev)
		err := chain.Follows(*f[c.prev], *f[c.next])
		if c.cause == "" {
			assert.NoError(t, err, what)
			continue
		}
		var r *chain.Refusal
		require.ErrorAs(t, err, &r, what)
		assert.Equal(t, c.cause, r.Cause, what)
		assert.Equal(t, c.number, r.Number, what)
		assert.Len(t, r.Sets, 2)
		assert.NotEmpty(t, r.Database)
		assert.NotEmpty(t, backup.Hint(err))
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		steps []string
		cause chain.Cause
	}{
		{steps: []string{"full"}},
		{steps: []string{"full", "diff", "log4", "log5", "log6"}},
		{steps: []string{"full", "log1", "log2", "log3", "log4"}},
		{steps: []string{"ola.full", "ola.log1", "ola.empty1", "ola.log2"}},
		{steps: []string{"sum.full", "sum.diff", "sum.log", "sum.empty"}},
		{steps: nil, cause: chain.NothingHere},
		{steps: []string{"log1"}, cause: chain.WrongOrder},
		{steps: []string{"diff"}, cause: chain.WrongOrder},
		{steps: []string{"full", "full"}, cause: chain.WrongOrder},
		{steps: []string{"full", "log1", "diff"}, cause: chain.WrongOrder},
		{steps: []string{"full", "diff", "diff"}, cause: chain.WrongOrder},
		{steps: []string{"full", "log2"}, cause: chain.Gap},
		{steps: []string{"full", "diff", "log4", "log6"}, cause: chain.Gap},
		{steps: []string{"full", "diff", "log3"}, cause: chain.TooEarly},
		{steps: []string{"full", "log1", "sum.log"}, cause: chain.WrongFamily},
		{steps: []string{"full", "ola.diff1"}, cause: chain.WrongFamily},
		{steps: []string{"ola.full", "diff"}, cause: chain.WrongFamily},
		{steps: []string{"stripe.full.a"}, cause: chain.Incomplete},
	} {
		f := genuineSets(t)
		var steps []chain.Set
		for _, name := range c.steps {
			steps = append(steps, *f[name])
		}
		err := chain.Check(steps)
		if c.cause == "" {
			assert.NoError(t, err, c.steps)
			continue
		}
		var r *chain.Refusal
		require.ErrorAs(t, err, &r, "%v", c.steps)
		assert.Equal(t, c.cause, r.Cause, "%v: %v", c.steps, err)
	}
}

func TestStopAt(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	utc := func(text string) time.Time {
		at, err := time.Parse("2006-01-02 15:04:05.999999999", text)
		require.NoError(t, err)
		return at
	}
	for _, c := range []struct {
		name          string
		at            string // UTC
		before, after string // the ends of the set before and of the log, UTC
		first, last   int    // their offsets
		zone          *time.Location
		want          string
		refused       bool
	}{
		{"one offset", "2024-07-01 10:00:00", "2024-07-01 09:00:00", "2024-07-01 11:00:00", 120, 120, nil, "2024-07-01T12:00:00.0000000", false},
		{"100 ns", "2024-07-01 10:00:00.123456789", "2024-07-01 09:00:00", "2024-07-01 11:00:00", 120, 120, nil, "2024-07-01T12:00:00.1234567", false},
		{"west of Greenwich", "2024-07-01 01:00:00", "2024-07-01 00:00:00", "2024-07-01 11:00:00", -210, -210, nil, "2024-06-30T21:30:00.0000000", false},
		{"another log holds the change", "2024-10-27 02:30:00", "2024-10-27 01:00:00", "2024-10-27 03:00:00", 60, 60, nil, "2024-10-27T03:30:00.0000000", false},
		{"the log was over before", "2024-10-27 05:00:00", "2024-10-27 00:00:00", "2024-10-27 03:00:00", 120, 60, nil, "2024-10-27T07:00:00.0000000", false},
		{"set back, no zone", "2024-10-27 00:30:00", "2024-10-27 00:00:00", "2024-10-27 03:00:00", 120, 60, nil, "", true},
		{"set back, first pass", "2024-10-27 00:30:00", "2024-10-26 20:00:00", "2024-10-27 05:00:00", 120, 60, berlin, "", true},
		{"set back, second pass", "2024-10-27 01:30:00", "2024-10-26 20:00:00", "2024-10-27 05:00:00", 120, 60, berlin, "", true},
		{"set back, at the very change", "2024-10-27 01:00:00", "2024-10-26 20:00:00", "2024-10-27 05:00:00", 120, 60, berlin, "", true},
		{"set back, well before", "2024-10-26 23:30:00", "2024-10-26 20:00:00", "2024-10-27 05:00:00", 120, 60, berlin, "2024-10-27T01:30:00.0000000", false},
		{"set back, well after", "2024-10-27 02:30:00", "2024-10-26 20:00:00", "2024-10-27 05:00:00", 120, 60, berlin, "2024-10-27T03:30:00.0000000", false},
		{"set forward, no zone", "2024-03-31 00:30:00", "2024-03-30 20:00:00", "2024-03-31 05:00:00", 60, 120, nil, "", true},
		{"set forward, before", "2024-03-31 00:30:00", "2024-03-30 20:00:00", "2024-03-31 05:00:00", 60, 120, berlin, "2024-03-31T01:30:00.0000000", false},
		{"set forward, after", "2024-03-31 01:30:00", "2024-03-30 20:00:00", "2024-03-31 05:00:00", 60, 120, berlin, "2024-03-31T03:30:00.0000000", false},
		{"not the server's zone", "2024-03-31 01:30:00", "2024-03-30 20:00:00", "2024-03-31 05:00:00", 0, 60, berlin, "", true},
	} {
		before, log := chain.Set{Finished: utc(c.before), ZoneMinutes: c.first}, chain.Set{Type: mtf.Log, Finished: utc(c.after), ZoneMinutes: c.last}
		got, err := chain.StopAt(utc(c.at), before, log, c.zone)
		assert.Equal(t, c.want, got, c.name)
		if !c.refused {
			assert.NoError(t, err, c.name)
			continue
		}
		var r *chain.Refusal
		require.ErrorAs(t, err, &r, c.name)
		assert.Equal(t, chain.DoubledHour, r.Cause)
		assert.Contains(t, r.Hint(), "stop before an LSN")
	}
}

func TestMarkedStops(t *testing.T) {
	t.Parallel()
	f := genuineSets(t)
	p, err := chain.Make([]chain.Set{*f["full"], *f["log1"], *f["log2"]}, chain.Target{BeforeMark: "deploy", Time: clock("13:00:00")})
	require.NoError(t, err)
	assert.Equal(t, chain.Stop{BeforeMark: "deploy", After: "2017-06-01T13:00:00.0000000"}, p.Steps[1].Stop)
	assert.Equal(t, []bool{false, false, true}, []bool{p.Steps[0].Reached, p.Steps[1].Reached, p.Steps[2].Reached})
}

func TestStopMayBeReachedBefore(t *testing.T) {
	t.Parallel()
	f := genuineSets(t)
	at := f["log1"].Started.Add(500 * time.Millisecond) // log1 was begun and ended within that second
	p, err := chain.Make([]chain.Set{*f["full"], *f["log1"], *f["log2"]}, chain.Target{Time: at})
	require.NoError(t, err)
	require.Len(t, p.Steps, 3)
	assert.Equal(t, []bool{false, false, true}, []bool{p.Steps[0].Reached, p.Steps[1].Reached, p.Steps[2].Reached})
}

func TestFromMediaZone(t *testing.T) {
	t.Parallel()
	written := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	m := &mtf.Media{Family: 2, Families: 3, Sets: []*mtf.Set{{Type: mtf.Log, Position: 4, Started: written, Finished: written}}}
	s := chain.FromMedia("b.trn", m, time.FixedZone("", 7200))[0]
	assert.Equal(t, written.Add(-2*time.Hour), s.Finished.UTC())
	assert.Equal(t, 120, s.ZoneMinutes)
	assert.Equal(t, []string{"", "b.trn", ""}, s.Devices)
	assert.Equal(t, []int{1, 3}, s.Missing())
	assert.Equal(t, 4, s.Position)
	assert.Equal(t, written, chain.FromMedia("b.trn", m, nil)[0].Finished)
	m.Sets[0].ZoneKnown = true
	assert.Equal(t, written, chain.FromMedia("b.trn", m, time.FixedZone("", 7200))[0].Finished)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	f := genuineSets(t)
	merged := chain.Merge([]chain.Set{*f["stripe.log.b"], *f["full"], *f["stripe.log.a"], *f["full"]})
	require.Len(t, merged, 2)
	assert.Equal(t, []string{"stripe_log1_1of2.trn", "stripe_log1_2of2.trn"}, merged[0].Devices)
	assert.Empty(t, merged[0].Missing())
	assert.Equal(t, *f["full"], merged[1])
	none := *f["full"]
	none.GUID = mtf.GUID{}
	assert.Len(t, chain.Merge([]chain.Set{none, none}), 2, "sets without a GUID are not known to be the same")
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	f := genuineSets(t)
	f.fork()
	f["b1"].FirstLSN, f["b2"].Database = place(19500001), "Renamed"
	f["log5"].BulkLogged = true
	var sets []chain.Set
	for _, name := range []string{"log6", "full", "log1", "log3", "diff", "log4", "log5", "b1", "b2", "pubs.full", "stripe.full.a"} {
		sets = append(sets, *f[name])
	}
	all := chain.Catalogue(sets)
	require.Len(t, all, 3)
	db := all[0]
	assert.Equal(t, "Renamed", db.Name)
	assert.Equal(t, []string{"RestoreTimeClean", "Renamed"}, db.Names)
	assert.Len(t, db.Sets, 9)
	assert.Equal(t, []chain.Hole{{Fork: genuineFork, From: place(15300001), To: place(16300001)}}, db.Gaps)
	assert.Equal(t, []chain.Fork{
		{ID: genuineFork, From: clock("12:59:12"), To: clock("13:29:13"), LastLSN: place(22000001)},
		{ID: number(99), Parent: genuineFork, Point: place(19500001), From: clock("13:40:00"), To: clock("13:45:00"), LastLSN: place(21500001)},
	}, inUTC(db.Forks))
	var windows []string
	for _, w := range db.Windows {
		assert.Equal(t, genuineFork, w.Fork, "no log leads to the other")
		windows = append(windows, w.From.Format("15:04:05")+" to "+w.To.Format("15:04:05"))
	}
	assert.Equal(t, []string{"12:59:12 to 12:59:12", "12:59:13 to 13:04:13", "13:14:13 to 13:14:13", "13:14:14 to 13:19:13", "13:24:14 to 13:29:13"}, windows)

	assert.Equal(t, "RestoreTimeStripe", all[1].Name)
	require.Len(t, all[1].Lost, 1)
	require.ErrorIs(t, all[1].Lost[0].Why, backup.ErrCorrupt)
	assert.Empty(t, all[1].Windows)
	assert.Equal(t, "pubs", all[2].Name)
}

// inUTC lets forks be compared: equal moments in zones that were parsed apart are not deeply equal.
func inUTC(forks []chain.Fork) []chain.Fork {
	for i := range forks {
		zone := clock("00:00:00").Location()
		forks[i].From, forks[i].To = forks[i].From.In(zone), forks[i].To.In(zone)
	}
	return forks
}

// BenchmarkMake plans over years of log backups. Its time grows with the number of sets, and not with its square.
func BenchmarkMake(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		sets := years(n)
		last := sets[n-1].Started
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				p, err := chain.Make(sets, chain.Target{Time: last})
				if err != nil || len(p.Steps) < 3 {
					b.Fatal(err, len(p.Steps))
				}
			}
		})
		b.Run(fmt.Sprint(n, " refused"), func(b *testing.B) {
			for b.Loop() {
				if _, err := chain.Make(sets, chain.Target{Time: last.Add(time.Hour)}); err == nil {
					b.Fatal("a plan beyond the end")
				}
			}
		})
		b.Run(fmt.Sprint(n, " catalogue"), func(b *testing.B) {
			for b.Loop() {
				if all := chain.Catalogue(sets); len(all) != 1 || len(all[0].Windows) == 0 {
					b.Fatal(all)
				}
			}
		})
	}
}

// years is n backups: a full every thousand, a differential every hundred, logs else.
func years(n int) []chain.Set {
	fork := number(1)
	var base mtf.GUID
	sets := make([]chain.Set, 0, n)
	logged := mtf.LSN{VLF: 1}
	for i := range n {
		at := time.Date(2000, 1, 1, 0, 15*i, 0, 0, time.UTC)
		s := chain.Set{
			Type: mtf.Log, GUID: mtf.GUID{1, byte(i), byte(i >> 8), byte(i >> 16)}, Database: "shop", FamilyGUID: fork, Fork: fork, FirstFork: fork, Started: at, Finished: at.Add(30 * time.Second),
			FirstLSN: logged, LastLSN: mtf.LSN{VLF: uint32(i + 2)}, Position: 1, Stripes: 1,
		}
		switch {
		case i%1000 == 0:
			s.Type, s.FirstLSN, base = mtf.Database, s.LastLSN, s.GUID
		case i%100 == 0:
			s.Type, s.FirstLSN, s.DifferentialBaseGUID = mtf.Differential, s.LastLSN, base
		default:
			logged = s.LastLSN
		}
		sets = append(sets, s)
	}
	return sets
}
