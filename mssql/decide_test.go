package mssql

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

var (
	familyA, familyB = mtf.GUID{1}, mtf.GUID{2}
	forkA, forkB     = mtf.GUID{3}, mtf.GUID{4}
	ours, theirs     = mtf.GUID{5}, mtf.GUID{6}
)

func at(block uint32) mtf.LSN { return mtf.LSN{VLF: 36, Block: block, Slot: 1} }

// shop is a database in FULL whose log goes on where the target's last log ended.
func shop(change ...func(*facts)) facts {
	f := facts{name: "shop", state: online, model: "FULL", known: true, family: familyA, fork: forkA, nextLog: at(300), baseGUID: ours}
	for _, c := range change {
		c(&f)
	}
	return f
}

// stored is what the target has of it: a full up to 200 and a log up to 300.
func stored(change ...func(full, last *chain.Set)) base {
	full := chain.Set{Type: mtf.Database, GUID: ours, Database: "shop", FamilyGUID: familyA, Fork: forkA, LastLSN: at(200)}
	last := chain.Set{Type: mtf.Log, GUID: mtf.GUID{7}, Database: "shop", FamilyGUID: familyA, Fork: forkA, FirstLSN: at(200), LastLSN: at(300)}
	for _, c := range change {
		c(&full, &last)
	}
	return base{full: &backup.Link{ID: "full"}, last: &backup.Link{ID: "log"}, fullSet: full, lastSet: last}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	const full, diff, log = backup.Full, backup.Differential, backup.Log
	for _, c := range []struct {
		name string
		ask  ask
		f    facts
		b    base
		p    policy
		want choice // reason, skip, fail and loose are parts of the text
	}{
		{"a full is a full", ask{kind: full}, shop(), stored(), policy{}, choice{kind: full}},
		{"a full needs nothing", ask{kind: full}, facts{name: "x", state: online, model: simple}, base{}, policy{}, choice{kind: full}},
		{"copy-only full", ask{kind: full, copyOnly: true}, shop(), stored(), policy{}, choice{kind: full, copyOnly: true}},
		{"differential on our base", ask{kind: diff}, shop(), stored(), policy{}, choice{kind: diff}},
		{"differential of a simple database", ask{kind: diff}, shop(func(f *facts) { f.model = simple }), stored(), policy{}, choice{kind: diff}},
		{"differential of a new database", ask{kind: diff}, shop(), base{}, policy{}, choice{kind: full, reason: "no full backup of it is at the target"}},
		{"differential of master", ask{kind: diff}, shop(func(f *facts) { f.name = "Master" }), stored(), policy{}, choice{kind: full, reason: "master can only"}},
		{"base of another tool", ask{kind: diff}, shop(func(f *facts) { f.baseGUID = theirs }), stored(), policy{}, choice{kind: full, reason: theirs.String()}},
		{"no base on the server", ask{kind: diff}, shop(func(f *facts) { f.baseGUID = mtf.GUID{} }), stored(), policy{}, choice{kind: full, reason: "no full backup to build"}},
		{"another database of the name", ask{kind: diff}, shop(func(f *facts) { f.family = familyB }), stored(), policy{}, choice{kind: full, reason: "another one"}},
		{"differential without rights to look", ask{kind: diff}, shop(func(f *facts) { f.known, f.family = false, mtf.GUID{} }), stored(), policy{}, choice{kind: diff}},
		{"newest full is a secondary's", ask{kind: diff}, shop(), stored(func(f, _ *chain.Set) { f.CopyOnly = true }), policy{}, choice{kind: full, reason: "copy-only"}},
		{"differential after a restore of our full", ask{kind: diff}, shop(func(f *facts) { f.fork = forkB }), stored(), policy{}, choice{kind: diff}},

		{"log goes on", ask{kind: log}, shop(), stored(), policy{}, choice{kind: log}},
		{"log overlaps, after a differential", ask{kind: log}, shop(func(f *facts) { f.nextLog = at(250) }), stored(), policy{}, choice{kind: log}},
		{"log in bulk-logged", ask{kind: log}, shop(func(f *facts) { f.model = "BULK_LOGGED" }), stored(), policy{}, choice{kind: log}},
		{"log of a read-only database", ask{kind: log}, shop(func(f *facts) { f.readOnly = true }), stored(), policy{}, choice{kind: log}},
		{"copy-only log", ask{kind: log, copyOnly: true}, shop(), stored(), policy{}, choice{kind: log, copyOnly: true}},
		{"log of a new database", ask{kind: log}, shop(), base{}, policy{}, choice{kind: full, reason: "no full backup of it is at the target"}},
		{"log taken by another tool", ask{kind: log}, shop(func(f *facts) { f.nextLog = at(301) }), stored(), policy{},
			choice{kind: diff, reason: "the log from 36000000030000001 to 36000000030100001 is not at the target"}},
		{"log and full taken by another tool", ask{kind: log}, shop(func(f *facts) { f.nextLog, f.baseGUID = at(400), theirs }), stored(), policy{},
			choice{kind: full, reason: "is not at the target: another tool took it, or a log backup never arrived; the differential base"}},
		{"only the full taken by another tool", ask{kind: log}, shop(func(f *facts) { f.baseGUID = theirs }), stored(), policy{}, choice{kind: log}},
		{"copy-only log over a gap", ask{kind: log, copyOnly: true}, shop(func(f *facts) { f.nextLog = at(400) }), stored(), policy{}, choice{kind: full, copyOnly: true, reason: "is not at the target"}},
		{"switched from simple", ask{kind: log}, shop(func(f *facts) { f.nextLog = mtf.LSN{} }), stored(), policy{}, choice{kind: diff, reason: "no log chain"}},
		{"switched from simple, base of another tool", ask{kind: log}, shop(func(f *facts) { f.nextLog, f.baseGUID = mtf.LSN{}, theirs }), stored(), policy{},
			choice{kind: full, reason: "no log chain: it was switched from SIMPLE, or had no full since; the differential base is"}},
		{"restored since", ask{kind: log}, shop(func(f *facts) { f.fork = forkB }), stored(), policy{}, choice{kind: diff, reason: "another recovery fork"}},
		{"restored since, from a foreign full", ask{kind: log}, shop(func(f *facts) { f.fork, f.baseGUID = forkB, theirs }), stored(), policy{}, choice{kind: full, reason: "another recovery fork"}},
		{"dropped and created again", ask{kind: log}, shop(func(f *facts) { f.family, f.fork, f.nextLog = familyB, forkB, at(250) }), stored(), policy{}, choice{kind: full, reason: "another one"}},
		{"log without rights to look", ask{kind: log}, shop(func(f *facts) { f.known, f.nextLog = false, mtf.LSN{} }), stored(), policy{}, choice{kind: log}},
		{"log of simple", ask{kind: log}, shop(func(f *facts) { f.model = simple }), stored(), policy{}, choice{kind: diff, reason: "SIMPLE"}},
		{"log of simple without base", ask{kind: log}, shop(func(f *facts) { f.model = simple }), base{}, policy{}, choice{kind: full, reason: "SIMPLE, which has no log backups; no full"}},
		{"log of simple, left out", ask{kind: log}, shop(func(f *facts) { f.model = simple }), stored(), policy{skipSimple: true}, choice{skip: "SIMPLE", meant: true}},
		{"log of master", ask{kind: log}, shop(func(f *facts) { f.name, f.model = "master", simple }), stored(), policy{}, choice{kind: full, reason: "master has no log"}},
		{"log of master, left out", ask{kind: log}, shop(func(f *facts) { f.name = "master" }), stored(), policy{skipSimple: true}, choice{skip: "master", meant: true}},

		{"offline", ask{kind: log}, shop(func(f *facts) { f.state = "OFFLINE" }), stored(), policy{}, choice{skip: "OFFLINE"}},
		{"restoring", ask{kind: full}, shop(func(f *facts) { f.state = "RESTORING" }), stored(), policy{}, choice{skip: "RESTORING"}},
		{"standby", ask{kind: full}, shop(func(f *facts) { f.standby = true }), stored(), policy{}, choice{skip: "standby"}},
		{"offline, but asked for by name", ask{kind: full}, shop(func(f *facts) { f.state, f.named = "OFFLINE", true }), stored(), policy{}, choice{fail: "OFFLINE"}},
		{"suspect", ask{kind: full}, shop(func(f *facts) { f.state = "SUSPECT" }), stored(), policy{}, choice{fail: "SUSPECT"}},
		{"emergency", ask{kind: log, tail: TailNoTruncate}, shop(func(f *facts) { f.state = "EMERGENCY" }), stored(), policy{}, choice{fail: "EMERGENCY"}},

		{"tail", ask{kind: log, tail: TailNoRecovery}, shop(), stored(), policy{}, choice{kind: log, tail: TailNoRecovery}},
		{"tail of a damaged database", ask{kind: log, tail: TailNoTruncate}, shop(func(f *facts) { f.state = "SUSPECT" }), stored(), policy{}, choice{kind: log, tail: TailNoTruncate}},
		{"tail that leaves it restoring, of a damaged database", ask{kind: log, tail: TailNoRecovery}, shop(func(f *facts) { f.state = "SUSPECT" }), stored(), policy{}, choice{fail: "SUSPECT"}},
		{"tail over a gap is taken", ask{kind: log, tail: TailNoRecovery}, shop(func(f *facts) { f.nextLog = at(400) }), stored(), policy{}, choice{kind: log, tail: TailNoRecovery, loose: "not at the target"}},
		{"tail of simple", ask{kind: log, tail: TailNoRecovery}, shop(func(f *facts) { f.model = simple }), stored(), policy{}, choice{fail: "no tail"}},

		{"another replica takes it", ask{kind: log}, shop(func(f *facts) { f.elsewhere = true }), stored(), policy{}, choice{skip: "another replica", left: true}},
		{"any replica", ask{kind: log}, shop(func(f *facts) { f.elsewhere, f.secondary = true, true }), stored(), policy{anyReplica: true}, choice{kind: log}},
		{"full on a secondary", ask{kind: full}, shop(func(f *facts) { f.secondary = true }), stored(), policy{}, choice{kind: full, copyOnly: true, standIn: true}},
		{"copy-only full on a secondary", ask{kind: full, copyOnly: true}, shop(func(f *facts) { f.secondary = true }), stored(), policy{}, choice{kind: full, copyOnly: true}},
		{"differential on a secondary", ask{kind: diff}, shop(func(f *facts) { f.secondary = true }), stored(), policy{}, choice{kind: full, copyOnly: true, standIn: true, reason: "no differentials"}},
		{"log on a secondary that does not know the chain", ask{kind: log}, shop(func(f *facts) { f.secondary, f.nextLog = true, mtf.LSN{} }), stored(), policy{}, choice{kind: log}},
		{"log on a secondary after a secondary's full", ask{kind: log}, shop(func(f *facts) { f.secondary = true }), stored(func(f, _ *chain.Set) { f.CopyOnly = true }), policy{}, choice{kind: log}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := decide(c.ask, c.f, c.b, c.p)
			for _, text := range []struct{ want, got *string }{
				{&c.want.reason, &got.reason}, {&c.want.skip, &got.skip}, {&c.want.fail, &got.fail}, {&c.want.loose, &got.loose},
			} {
				if *text.want == "" {
					assert.Empty(t, *text.got)
				}
				assert.Contains(t, *text.got, *text.want)
				*text.want, *text.got = "", ""
			}
			assert.Equal(t, c.want, got)
		})
	}
}

// What the header says after the backup outweighs what was decided before it.
func TestHeaderDecides(t *testing.T) {
	t.Parallel()
	good := chain.Set{Type: mtf.Log, Database: "shop", FamilyGUID: familyA, FirstFork: forkA, Fork: forkA, FirstLSN: at(300), LastLSN: at(350)}
	set := func(change func(*chain.Set)) chain.Set {
		s := good
		change(&s)
		return s
	}
	log := choice{kind: backup.Log}
	for _, c := range []struct {
		name string
		c    choice
		set  chain.Set
		want backup.Kind // "" when the set is good
	}{
		{"log goes on", log, good, ""},
		{"log from before", log, set(func(s *chain.Set) { s.FirstLSN = at(100) }), ""},
		{"log after a gap", log, set(func(s *chain.Set) { s.FirstLSN = at(301) }), backup.Differential},
		{"log of another fork", log, set(func(s *chain.Set) { s.Fork = forkB }), backup.Differential},
		{"tail after a gap", choice{kind: backup.Log, tail: TailNoRecovery}, set(func(s *chain.Set) { s.FirstLSN = at(301) }), ""},
		{"differential of ours", choice{kind: backup.Differential}, chain.Set{Type: mtf.Differential, FamilyGUID: familyA, Fork: forkA, DifferentialBaseGUID: ours}, ""},
		{"differential of theirs", choice{kind: backup.Differential}, chain.Set{Type: mtf.Differential, FamilyGUID: familyA, Fork: forkA, DifferentialBaseGUID: theirs}, backup.Full},
		{"a full is a full", choice{kind: backup.Full}, chain.Set{Type: mtf.Database, FamilyGUID: familyB, Fork: forkB}, ""},
	} {
		next, other := c.c.next(ask{kind: backup.Log}, shop(), stored(), c.set)
		assert.Equal(t, c.want != "", other, c.name)
		assert.Equal(t, c.want, next.kind, c.name)
	}
}

func TestWrongSets(t *testing.T) {
	t.Parallel()
	good := chain.Set{Type: mtf.Log, Database: "Shop", FamilyGUID: familyA, Stripes: 1, Devices: []string{"a"}}
	c := choice{kind: backup.Log}
	assert.Empty(t, c.wrong(shop(), good))
	for want, change := range map[string]func(*chain.Set){
		`backup of "other"`:    func(s *chain.Set) { s.Database = "other" },
		"replaced":             func(s *chain.Set) { s.FamilyGUID = familyB },
		"a full backup, not":   func(s *chain.Set) { s.Type = mtf.Database },
		"copy-only is true":    func(s *chain.Set) { s.CopyOnly = true },
		"marked the backup as": func(s *chain.Set) { s.Damaged = true },
		"over 2 files":         func(s *chain.Set) { s.Stripes = 2 },
	} {
		set := good
		change(&set)
		assert.Contains(t, c.wrong(shop(), set), want)
	}
}

func TestPositionsOrderAsLSNs(t *testing.T) {
	t.Parallel()
	rising := []mtf.LSN{{}, {Slot: 1}, {Block: 1}, {Block: 1, Slot: 65535}, {Block: 4294967295}, {VLF: 1}, {VLF: 9, Block: 5}, {VLF: 10}, {VLF: 4294967295, Block: 4294967295, Slot: 65535}}
	for i, l := range rising {
		back, err := lsnOf(positionOf(l))
		require.NoError(t, err)
		assert.Equal(t, l, back)
		if i > 0 {
			assert.Less(t, positionOf(rising[i-1]), positionOf(l))
		}
	}
	for _, bad := range []backup.Position{"", "1", "000000003600000000010000x", "9999999999000000000000000"} {
		_, err := lsnOf(bad)
		require.Error(t, err, bad)
	}
}
