package exchange

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

var day = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

// stampAt is a time as Exchange 2013 writes it: UTC, with milliseconds.
func stampAt(at time.Time) ese.Stamp {
	ms := at.Nanosecond() / int(time.Millisecond)
	return ese.Stamp{byte(at.Second()), byte(at.Minute()), byte(at.Hour()), byte(at.Day()), byte(at.Month()), byte(at.Year() - 1900), byte(ms<<1) | 1, byte(ms >> 7 << 1)}
}

// minute is when generation n began: a little past a full minute.
func minute(n uint32) time.Time { return day.Add(time.Duration(n)*time.Minute + 7*time.Millisecond) }

// logOf is a log that lasted for a minute.
func logOf(n uint32) logFile {
	return logFile{step: &backup.RestoreStep{PlanStep: backup.PlanStep{ID: "a"}}, name: fmt.Sprintf("E00%08X.log", n), base: "E00", generation: n, created: stampAt(minute(n)), previous: stampAt(minute(n - 1)), signature: "s"}
}

func partialOf(n uint32) logFile {
	l := logOf(n)
	l.name, l.partial = "E00.log", true
	return l
}

func logsOf(first, last uint32) (out []logFile) {
	for n := first; n <= last; n++ {
		out = append(out, logOf(n))
	}
	return out
}

func numbers(logs []logFile) (out []string) {
	for _, l := range logs {
		text := fmt.Sprint(l.generation)
		if l.partial {
			text += "p"
		}
		out = append(out, text)
	}
	return out
}

func TestLogsAreChosen(t *testing.T) {
	t.Parallel()
	foreign := logOf(6)
	foreign.signature = "other"
	fork := logOf(6)
	fork.previous = stampAt(day)
	twice := logOf(5)
	twice.created = stampAt(day)
	after := func(logs []logFile, until time.Time) []linkLogs {
		return []linkLogs{{logs: logs, until: until, end: minute(logs[len(logs)-1].generation + 1)}}
	}
	for name, c := range map[string]struct {
		own   []logFile
		links []linkLogs
		want  []string
		left  []string
		err   string
	}{
		"a full alone":                               {own: logsOf(3, 4), want: []string{"3", "4"}},
		"a snapshot alone":                           {own: append(logsOf(3, 4), partialOf(5)), want: []string{"3", "4", "5p"}},
		"only the log being written":                 {own: []logFile{partialOf(5)}, want: []string{"5p"}},
		"all":                                        {own: logsOf(3, 4), links: after(logsOf(5, 7), time.Time{}), want: []string{"3", "4", "5", "6", "7"}},
		"the closed one replaces its beginning":      {own: append(logsOf(3, 4), partialOf(5)), links: after(logsOf(5, 6), time.Time{}), want: []string{"3", "4", "5", "6"}},
		"its beginning stays when it was not over":   {own: append(logsOf(3, 4), partialOf(5)), links: after(logsOf(5, 6), minute(6).Add(-time.Second)), want: []string{"3", "4", "5p"}, left: []string{"5", "6"}},
		"a time between two ends":                    {own: logsOf(3, 4), links: after(logsOf(5, 7), minute(7).Add(-time.Second)), want: []string{"3", "4", "5"}, left: []string{"6", "7"}},
		"a moment before the end of a millisecond":   {own: logsOf(3, 4), links: after(logsOf(5, 7), minute(7)), want: []string{"3", "4", "5"}, left: []string{"6", "7"}},
		"and just behind it":                         {own: logsOf(3, 4), links: after(logsOf(5, 7), minute(7).Add(time.Millisecond)), want: []string{"3", "4", "5", "6"}, left: []string{"7"}},
		"the end of the window":                      {own: logsOf(3, 4), links: after(logsOf(5, 7), minute(8)), want: []string{"3", "4", "5", "6", "7"}},
		"two links that overlap":                     {own: logsOf(3, 4), links: append(after(logsOf(3, 6), time.Time{}), after(logsOf(5, 7), time.Time{})...), want: []string{"3", "4", "5", "6", "7"}},
		"a generation":                               {own: logsOf(3, 4), links: []linkLogs{{logs: logsOf(5, 7), last: 5}}, want: []string{"3", "4", "5"}, left: []string{"6", "7"}},
		"a gap that is not reached":                  {own: logsOf(3, 4), links: after(append(logsOf(5, 5), logsOf(7, 8)...), minute(6).Add(-time.Second)), err: "generation 0x6"},
		"a gap":                                      {own: logsOf(3, 4), links: after(append(logsOf(5, 5), logsOf(8, 9)...), time.Time{}), err: "generation 0x6 to 0x7"},
		"a gap behind the full":                      {own: logsOf(3, 4), links: after(logsOf(6, 9), time.Time{}), err: "generation 0x5 are not in the backups of this plan, and E0000000006.log"},
		"a gap behind the full that is not needed":   {own: logsOf(3, 4), links: after(logsOf(6, 9), minute(6).Add(-time.Second)), want: []string{"3", "4"}, left: []string{"6", "7", "8", "9"}},
		"a gap of a log that was being written":      {own: append(logsOf(3, 4), partialOf(5)), links: after(logsOf(6, 9), time.Time{}), err: "only the beginning"},
		"a gap in the full":                          {own: append(logsOf(3, 4), logOf(6)), err: "generation 0x5 are not in the backup"},
		"another series":                             {own: logsOf(3, 5), links: after([]logFile{foreign}, time.Time{}), err: "E0000000006.log of a is of another series"},
		"another history":                            {own: logsOf(3, 5), links: after([]logFile{fork}, time.Time{}), err: "does not continue E0000000005.log"},
		"another history from within the last":       {own: append(logsOf(3, 4), partialOf(5)), links: after([]logFile{twice}, time.Time{}), err: "not of one history"},
		"another history of one generation in links": {own: logsOf(3, 4), links: append(after(logsOf(5, 5), time.Time{}), after([]logFile{twice}, time.Time{})...), err: "not of one history"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := chooseLogs(c.own, minute(5), c.links, time.UTC)
			if c.err != "" {
				require.ErrorIs(t, err, backup.ErrChainBroken)
				require.ErrorContains(t, err, c.err)
				assert.NotEmpty(t, backup.Hint(err))
				return
			}
			require.NoError(t, err)
			assert.Equal(t, c.want, numbers(got.logs))
			assert.Equal(t, c.left, numbers(got.left))
		})
	}
}

// Against a reading of the rule that walks through time instead of generations.
func TestLogsAreChosenByTime(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 5))
		first, top := uint32(1+r.IntN(3)), uint32(12+r.IntN(8))
		full := first + uint32(r.IntN(5))
		var own []logFile
		for n := first; n < full; n++ {
			own = append(own, logOf(n))
		}
		snapshot := r.IntN(2) == 0
		if snapshot {
			own = append(own, partialOf(full))
		} else {
			own = append(own, logOf(full))
		}
		begin := full + 1
		if snapshot {
			begin = full
		}
		dropped := uint32(0)
		if r.IntN(3) == 0 {
			dropped = begin + uint32(r.IntN(int(top-begin)))
		}
		var until time.Time
		if r.IntN(4) > 0 {
			until = minute(full).Add(time.Duration(r.Int64N(int64(time.Duration(top-full+2) * time.Minute))))
		}
		var links []linkLogs
		for n := begin; n <= top; {
			m := min(n+uint32(r.IntN(4)), top)
			list := slices.DeleteFunc(logsOf(n, m), func(l logFile) bool { return l.generation == dropped })
			r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			links = append(links, linkLogs{logs: list, until: until, end: minute(m + 1)})
			n = m + 1
		}
		wantLast := full
		for n := begin; n <= top; n++ {
			if !until.IsZero() && minute(n+1).Truncate(time.Millisecond).Add(time.Millisecond).After(until) && !(n == top && !minute(n+1).After(until)) {
				break
			}
			wantLast = n
		}
		got, err := chooseLogs(own, minute(full), links, time.UTC)
		if err != nil {
			require.NotZero(t, dropped, "seed %d: %v", seed, err)
			require.LessOrEqual(t, dropped, wantLast+1, "seed %d: the gap is not needed", seed)
			require.ErrorContains(t, err, generation(dropped), "seed %d", seed)
			continue
		}
		if dropped != 0 {
			require.Less(t, wantLast, dropped, "seed %d: the gap is needed", seed)
		}
		require.Equal(t, wantLast, got.last(), "seed %d", seed)
		require.Equal(t, first, got.first(), "seed %d", seed)
		for i, l := range got.logs {
			require.Equal(t, first+uint32(i), l.generation, "seed %d", seed)
		}
		partial := got.logs[len(got.logs)-1].partial
		closed := wantLast > full || snapshot && !until.IsZero() && !minute(full+1).Add(time.Millisecond).After(until) || snapshot && until.IsZero() || !snapshot
		require.Equal(t, !closed, partial, "seed %d", seed)
		if !until.IsZero() && !partial {
			require.False(t, got.holds.After(until) && wantLast > full, "seed %d: it holds until %s, beyond %s", seed, got.holds, until)
		}
	}
}

func TestRequiredLogsMustBeThere(t *testing.T) {
	t.Parallel()
	c := selection{logs: logsOf(5, 8)}
	for name, v := range map[string]struct {
		first, last uint32
		ok          bool
	}{"none": {0, 0, true}, "all": {5, 8, true}, "some": {6, 7, true}, "older": {4, 7, false}, "newer": {6, 9, false}} {
		err := c.covers(v.first, v.last)
		if v.ok {
			assert.NoError(t, err, name)
			continue
		}
		assert.ErrorIs(t, err, backup.ErrChainBroken, name)
		assert.ErrorContains(t, err, "the plan has 0x5 to 0x8", name)
	}
	assert.ErrorContains(t, selection{}.covers(5, 6), "the plan has none")
}

func TestNamesOfLogs(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "E0000000003.log to E0000000005.log, E00.log (the beginning of 0x6)", fileNames(append(logsOf(3, 5), partialOf(6))))
	assert.Equal(t, "E0000000003.log, E0000000005.log", fileNames([]logFile{logOf(3), logOf(5)}))
}

// A stamp is cut off, so what it dates was over only when its second or millisecond was.
func TestWhenALogWasOver(t *testing.T) {
	t.Parallel()
	whole := ese.Stamp{5, 30, 12, 1, 3, 126, 1, 0}
	assert.Equal(t, time.Date(2026, 3, 1, 12, 30, 6, 0, time.UTC), over(whole, time.UTC))
	assert.Equal(t, minute(3).Add(time.Millisecond), over(stampAt(minute(3)), time.UTC))
	local := ese.Stamp{5, 30, 12, 1, 3, 126, 0, 0}
	assert.Equal(t, time.Date(2026, 3, 1, 10, 30, 6, 0, time.UTC), over(local, time.FixedZone("", 2*3600)).UTC())
	assert.True(t, over(ese.Stamp{}, time.UTC).IsZero())
}
