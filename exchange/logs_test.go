package exchange

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// made is a stamp n seconds into a minute.
func made(n int) ese.Stamp { return ese.Stamp{byte(n), 30, 12, 1, 3, 126, 1, 0} }

var (
	oneSeries     = ese.Signature{Random: 7, Created: made(0), Computer: "MAIL1"}
	anotherSeries = ese.Signature{Random: 8, Created: made(0), Computer: "MAIL1"}
)

// logAt is the header of log g of a series in which log n is created in second n.
func logAt(g int, change ...func(*ese.Log)) serverLog {
	l := &ese.Log{Depth: ese.HeaderRead, Generation: uint32(g), Signature: oneSeries, Created: made(g), PreviousCreated: made(g - 1), Major: 8, Minor: 4000, UpdateMinor: 13, Linked: true, PreviousSum: uint64(g - 1)}
	for _, c := range change {
		c(l)
	}
	return serverLog{name: fmt.Sprintf("E00%08X.log", g), head: l}
}

func logsAt(from, to int) (out []serverLog) {
	for g := from; g <= to; g++ {
		out = append(out, logAt(g))
	}
	return out
}

func current(g int) serverLog {
	l := logAt(g)
	l.name, l.partial = "E00.log", true
	return l
}

func endsWith(g int, partial bool) checkpoint {
	l := *logAt(g).head
	l.Depth, l.Sum = ese.Summed, uint64(g)
	return checkpoint{Way: WayVSS, Signature: seriesText(oneSeries)}.at(&l, partial)
}

func TestPositionsOrder(t *testing.T) {
	t.Parallel()
	assert.Less(t, position(9, false), position(10, false))
	assert.Less(t, position(9, false), position(9, true))
	assert.Less(t, position(9, true), position(10, false))
	assert.Less(t, position(0xFFFFFFF, true), position(0x10000000, false))
	assert.Len(t, seriesText(oneSeries), 56, "28 bytes")
	assert.NotEqual(t, seriesText(oneSeries), seriesText(anotherSeries))
}

func TestFreshLogs(t *testing.T) {
	t.Parallel()
	change := func(g int, c func(*ese.Log)) serverLog { return logAt(g, c) }
	for name, c := range map[string]struct {
		from checkpoint
		logs []serverLog
		want []int
		why  string
	}{
		"behind a closed one":     {endsWith(5, false), logsAt(3, 8), []int{6, 7, 8}, ""},
		"the partial one again":   {endsWith(5, true), logsAt(3, 8), []int{5, 6, 7, 8}, ""},
		"not the current one":     {endsWith(5, false), append(logsAt(5, 6), current(7)), []int{6}, ""},
		"nothing new":             {endsWith(5, false), append(logsAt(3, 5), current(6)), nil, ""},
		"nothing at all":          {endsWith(5, false), nil, nil, ""},
		"after truncation":        {endsWith(5, false), logsAt(6, 8), []int{6, 7, 8}, ""},
		"a gap":                   {endsWith(5, false), logsAt(8, 9), nil, "0x6 to 0x7"},
		"one is gone":             {endsWith(5, false), logsAt(7, 9), nil, "0x6"},
		"the partial one gone":    {endsWith(5, true), logsAt(6, 8), nil, "0x5"},
		"a gap later":             {endsWith(5, false), append(logsAt(6, 7), logAt(9)), nil, "no chain"},
		"went back":               {endsWith(5, false), logsAt(1, 4), nil, "went back"},
		"another series":          {endsWith(5, false), []serverLog{change(6, func(l *ese.Log) { l.Signature = anotherSeries })}, nil, "begun anew"},
		"a foreign one between":   {endsWith(5, false), []serverLog{logAt(6), change(7, func(l *ese.Log) { l.Signature = anotherSeries }), logAt(8)}, nil, "no chain"},
		"another last":            {endsWith(5, false), append([]serverLog{change(5, func(l *ese.Log) { l.Created = made(50) })}, logsAt(6, 7)...), nil, "another one"},
		"another partial":         {endsWith(5, true), []serverLog{change(5, func(l *ese.Log) { l.Created = made(50) }), logAt(6)}, nil, "another one"},
		"continues another":       {endsWith(5, false), []serverLog{change(6, func(l *ese.Log) { l.PreviousCreated = made(50) })}, nil, "continues another log 0x5"},
		"continues other content": {endsWith(5, false), []serverLog{change(6, func(l *ese.Log) { l.PreviousSum = 99 })}, nil, "other content"},
		"out of order":            {endsWith(5, false), []serverLog{logAt(6), change(7, func(l *ese.Log) { l.PreviousCreated = made(50) })}, nil, "no chain"},
	} {
		got, why := c.from.fresh(c.logs)
		var gens []int
		for _, l := range got {
			gens = append(gens, int(l.head.Generation))
		}
		assert.Equal(t, c.want, gens, name)
		if c.why == "" {
			assert.Empty(t, why, name)
		} else {
			assert.Contains(t, why, c.why, name)
		}
	}
}

func TestLastChain(t *testing.T) {
	t.Parallel()
	gens := func(logs []serverLog) (out []int) {
		for _, l := range logs {
			out = append(out, int(l.head.Generation))
		}
		return out
	}
	chain, left, why := lastChain(append(logsAt(3, 5), current(6)))
	assert.Equal(t, []int{3, 4, 5, 6}, gens(chain))
	assert.Empty(t, left)
	require.NoError(t, why)

	chain, left, why = lastChain(append(append(logsAt(1, 2), logsAt(4, 5)...), current(6)))
	assert.Equal(t, []int{4, 5, 6}, gens(chain))
	assert.Equal(t, []int{1, 2}, gens(left))
	require.ErrorIs(t, why, backup.ErrChainBroken)

	chain, left, _ = lastChain([]serverLog{logAt(8), logAt(9), current(3)})
	assert.Equal(t, []int{3}, gens(chain), "logs of a life before")
	assert.Equal(t, []int{8, 9}, gens(left))

	chain, left, why = lastChain(nil)
	assert.Empty(t, append(chain, left...))
	require.NoError(t, why)
}

func link(kind backup.Kind, c checkpoint) *backup.Link {
	return &backup.Link{ID: "20260301-120000-aaaa", Item: backup.Item{Name: "SG1", Kind: kind, Stream: c.Signature, Checkpoint: fmt.Appendf(nil,
		`{"way":%q,"signature":%q,"generation":%d,"created":%q,"databases":["a","b"]}`, c.Way, c.Signature, c.Generation, c.Created)}}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	at := endsWith(5, false)
	byESE := at
	byESE.Way = WayESE
	broken := link(backup.Full, at)
	broken.Checkpoint = []byte("{}")
	group := func(names ...string) *target {
		g := &target{Group: Group{Name: "SG1"}}
		for _, n := range names {
			g.Databases = append(g.Databases, Database{Name: n})
		}
		return g
	}
	circular := group("a")
	circular.Circular = true
	for name, c := range map[string]struct {
		kind   backup.Kind
		group  *target
		anchor backup.Anchor
		want   backup.Kind
		why    string
	}{
		"full":                {backup.Full, circular, backup.Anchor{}, backup.Full, ""},
		"log":                 {backup.Log, group("a", "b"), backup.Anchor{Full: link(backup.Full, at), Last: link(backup.Log, at)}, backup.Log, ""},
		"a database less":     {backup.Log, group("a"), backup.Anchor{Full: link(backup.Full, at), Last: link(backup.Full, at)}, backup.Log, ""},
		"no full":             {backup.Log, group("a"), backup.Anchor{}, backup.Full, "no full backup"},
		"full by ese":         {backup.Log, group("a"), backup.Anchor{Full: link(backup.Full, byESE), Last: link(backup.Log, at)}, backup.Full, "way ese"},
		"log by ese":          {backup.Log, group("a"), backup.Anchor{Full: link(backup.Full, at), Last: link(backup.Log, byESE)}, backup.Full, "way ese"},
		"a new database":      {backup.Log, group("a", "c"), backup.Anchor{Full: link(backup.Full, at), Last: link(backup.Full, at)}, backup.Full, `"c" is not in its full`},
		"no checkpoint":       {backup.Log, group("a"), backup.Anchor{Full: broken, Last: broken}, backup.Full, "does not say"},
		"circular is refused": {backup.Log, circular, backup.Anchor{Full: link(backup.Full, at), Last: link(backup.Full, at)}, backup.Log, "circular"},
	} {
		k := decide(c.kind, WayVSS, c.group, c.anchor)
		assert.Equal(t, c.want, k.kind, name)
		if c.why == "" {
			assert.Empty(t, k.reason+k.refusal, name)
		} else {
			assert.Contains(t, k.reason+k.refusal, c.why, name)
		}
	}
}

func TestArtifactNames(t *testing.T) {
	t.Parallel()
	n := namesFor("a/b")
	assert.Equal(t, "a_b/priv.edb", n.take("Mail", `D:\one\priv.edb`))
	assert.Equal(t, "a_b/Public/PRIV.edb", n.take("Public", `D:\two\PRIV.edb`))
	assert.Equal(t, "a_b/Public (2)/PRIV.edb", n.take("Public", "/three/PRIV.edb"))
	assert.Equal(t, "a_b/x/group.json", n.take("x", "group.json"), "the name of the agent's own note")
	assert.Equal(t, "_..", element(".."))
	assert.Equal(t, `D:\logs\E00.chk`, join(`D:\logs`, "E00.chk"))
	assert.Equal(t, `D:\E00.chk`, join(`D:\`, "E00.chk"))
	assert.Equal(t, "/logs/E00.chk", join("/logs", "E00.chk"))
}

// The copies of a database decide which member of the group takes it.
func TestMember(t *testing.T) {
	t.Parallel()
	copies := []Copy{{Server: "mail1.corp.example", Active: true, Healthy: true, Preference: 1}, {Server: "mail3", Healthy: true, Preference: 3}, {Server: "mail2", Healthy: true, Preference: 2}, {Server: "mail0", Preference: 1}}
	for name, c := range map[string]struct {
		prefer Prefer
		copies []Copy
		want   string
	}{
		"passive":            {PreferPassive, copies, "mail2"},
		"active":             {PreferActive, copies, "mail1.corp.example"},
		"here":               {PreferHere, copies, ""},
		"no healthy passive": {PreferPassive, []Copy{copies[0], copies[3]}, "mail1.corp.example"},
		"no active":          {PreferActive, copies[1:], ""},
		"not in a group":     {PreferPassive, nil, ""},
		"equal preferences":  {PreferPassive, []Copy{{Server: "b", Healthy: true}, {Server: "a", Healthy: true}}, "a"},
	} {
		s := &Source{opt: Options{Prefer: c.prefer}}
		assert.Equal(t, c.want, s.member(Database{Copies: c.copies}), name)
	}
	assert.True(t, sameHost("MAIL1", "mail1.corp.example"))
	assert.False(t, sameHost("mail1.a.example", "mail1.b.example"))
	assert.False(t, sameHost("mail1", "mail2"))
}

func TestStampsOfTheServer(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("server", 3600)
	c := &capture{r: &run{s: &Source{opt: Options{Zone: zone}}}}
	ends := c.overs(logsAt(4, 6))
	assert.Equal(t, time.Date(2026, 3, 1, 12, 30, 6, 0, time.UTC), ends[4].UTC(), "to the second: the end of it is meant")
	assert.Contains(t, ends, uint32(5))
	assert.NotContains(t, ends, uint32(6), "nothing tells when the last was over")
}

// A link is compared with the step before it, where a set has both.
func TestContinuesTheStepBefore(t *testing.T) {
	t.Parallel()
	it := backup.Item{Name: "SG1", Kind: backup.Log}
	for name, c := range map[string]struct {
		first serverLog
		want  string
	}{
		"next":          {logAt(6), ""},
		"overlaps":      {logAt(4), ""},
		"a gap":         {logAt(8), "0x6 to 0x7"},
		"another one":   {logAt(6, func(l *ese.Log) { l.PreviousCreated = made(40) }), "does not continue"},
		"other content": {logAt(6, func(l *ese.Log) { l.PreviousSum = 40 }), "does not continue"},
	} {
		v := &verifying{ends: map[string]checkpoint{"SG1": endsWith(5, false)}}
		err := v.continues(&group{logs: []ese.NamedLog{c.first.named()}}, it)
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, backup.ErrCorrupt, name)
		require.ErrorContains(t, err, c.want, name)
	}
	require.NoError(t, (&verifying{}).continues(&group{logs: []ese.NamedLog{logAt(9).named()}}, it), "nothing is known of a step before")
}
