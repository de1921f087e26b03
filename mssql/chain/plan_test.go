package chain_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// clock is a moment of the day on which the genuine chain was taken: its full at 12:59:12, logs at 13:04:13, 13:09:13 and 13:14:13, a differential then, logs at 13:19:13,
// 13:24:13 and 13:29:13, all +02:00.
func clock(text string) time.Time {
	t, err := time.Parse(time.RFC3339, "2017-06-01T"+text+"+02:00")
	if err != nil {
		panic(err)
	}
	return t
}

// number is a GUID that is easily told from others.
func number(n byte) mtf.GUID { return mtf.GUID{15: n} }

func place(n uint64) mtf.LSN {
	return mtf.LSN{VLF: 25, Block: uint32(n / 100000), Slot: uint16(n % 100000)}
}

// add puts a copy of a set, changed, under a new name.
func (f facts) add(name, from string, guid byte, change func(*chain.Set)) {
	s := *f[from]
	s.GUID, s.Devices = number(guid), []string{name}
	change(&s)
	f[name] = &s
}

// fork adds what follows a restore to LSN 19500001, inside log4: the logs b1 and b2 of the fork 99, at 13:40 and 13:45. The first begins where log4 does.
func (f facts) fork() {
	f.add("b1", "log4", 101, func(s *chain.Set) {
		s.Fork, s.BindingID, s.ForkPointLSN, s.FirstLSN, s.LastLSN = number(99), number(98), place(19500001), place(17300001), place(20500001)
		s.Started, s.Finished = clock("13:40:00"), clock("13:40:00")
	})
	f.add("b2", "b1", 102, func(s *chain.Set) {
		s.FirstFork, s.ForkPointLSN, s.FirstLSN, s.LastLSN = number(99), mtf.LSN{}, place(20500001), place(21500001)
		s.Started, s.Finished = clock("13:45:00"), clock("13:45:00")
	})
}

const (
	wholeChain = "full log1 log2 log3 diff log4 log5 log6"
	olaChain   = "ola.full ola.log1 ola.empty1 ola.diff1 ola.log2 ola.empty2 ola.diff2 ola.log3 ola.empty3"
)

type planCase struct {
	name string
	use  string      // the sets that are there
	edit func(facts) // what is changed in them before, or added to be used
	to   chain.Target
	want string // the steps; empty when it is refused
	stop string // of the last log
	// Of a refusal:
	cause   chain.Cause
	number  int
	missing string // from-to, in LSNs of VLF 25
	wraps   error
	says    string // in the error, the hint or, of a plan, the notes
}

func TestPlans(t *testing.T) {
	t.Parallel()
	cases := slices.Concat(choosing, gaps, timed, records, marks, forks, families, unusable)
	assert.GreaterOrEqual(t, len(cases), 60)
	seen := map[string]bool{}
	for _, c := range cases {
		assert.False(t, seen[c.name], c.name)
		seen[c.name] = true
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := genuineSets(t)
			if c.edit != nil {
				c.edit(f)
			}
			var sets []chain.Set
			names := map[mtf.GUID]string{}
			for _, name := range strings.Fields(c.use) {
				require.Contains(t, f, name)
				sets = append(sets, *f[name])
				if names[f[name].GUID] == "" {
					names[f[name].GUID] = name
				}
			}
			c.check(t, names, sets)
			slices.Reverse(sets) // the order of files does not matter
			c.check(t, names, sets)
		})
	}
}

func (c planCase) check(t *testing.T, names map[mtf.GUID]string, sets []chain.Set) {
	t.Helper()
	p, err := chain.Make(sets, c.to)
	if c.cause != "" {
		var r *chain.Refusal
		require.ErrorAs(t, err, &r)
		assert.Equal(t, c.cause, r.Cause, err)
		assert.Equal(t, c.number, r.Number, err)
		assert.NotEmpty(t, backup.Hint(err), err)
		if c.missing != "" {
			from, to, _ := strings.Cut(c.missing, "-")
			assert.Equal(t, from+"-"+to, short(r.From)+"-"+short(r.To), err)
		}
		if c.wraps != nil {
			assert.ErrorIs(t, err, c.wraps)
		}
		assert.Contains(t, err.Error()+" ("+backup.Hint(err)+")", c.says)
		return
	}
	require.NoError(t, err)
	var got []string
	for i, s := range p.Steps {
		got = append(got, names[s.Set.GUID])
		last := i == len(p.Steps)-1
		if last && s.Set.Type == mtf.Log {
			assert.Equal(t, c.stop, s.Stop.At+s.Stop.AtMark+s.Stop.BeforeMark)
		}
		if s.Set.Type == mtf.Log {
			assert.Equal(t, c.stop == "", s.Stop.IsZero())
		}
	}
	assert.Equal(t, c.want, strings.Join(got, " "))
	assert.Contains(t, strings.Join(p.Notes, "\n"), c.says)
	assert.NoError(t, chain.Check(p.Sets()))
}

// short leaves out the VLF of the genuine chain.
func short(l mtf.LSN) string { return strings.TrimLeft(strings.TrimPrefix(l.String(), "25"), "0") }

var choosing = []planCase{
	{name: "the newest goes over the differential and skips the logs it covers", use: wholeChain, want: "full diff log4 log5 log6"},
	{name: "without the differential the logs run on unbroken", use: "full log1 log2 log3 log4 log5 log6", want: "full log1 log2 log3 log4 log5 log6"},
	{name: "a full alone", use: "full", want: "full"},
	{name: "a full and its differential", use: "full diff", want: "full diff"},
	{name: "a full of another server alone", use: "pubs.full", want: "pubs.full"},
	{name: "logs across a newer full begin at it", use: wholeChain + " full2", edit: func(f facts) {
		f.add("full2", "full", 1, func(s *chain.Set) {
			s.FirstLSN, s.LastLSN, s.Started, s.Finished = place(20500001), place(20600001), clock("13:22:00"), clock("13:22:00")
		})
	}, want: "full2 log5 log6"},
	{name: "a newer full does not break the logs of an older one", use: "full log1 log2 log3 log4 log5 log6", to: chain.Target{Time: clock("13:20:00")},
		want: "full log1 log2 log3 log4 log5", stop: "2017-06-01T13:20:00.0000000"},
	{name: "the newest differential is the one, and ends where its log does", use: olaChain, want: "ola.full ola.diff2"},
	{name: "empty logs are skipped", use: "ola.full ola.log1 ola.empty1 ola.log2 ola.empty2 ola.log3 ola.empty3", want: "ola.full ola.log1 ola.log2 ola.log3"},
	{name: "a log from long before the full covers it", use: "sum.full sum.diff sum.log sum.empty", want: "sum.full sum.diff sum.log"},
	{name: "a log from long before the full, without the differential", use: "sum.full sum.log sum.empty", want: "sum.full sum.log"},
	{name: "a copy-only full may be restored", use: "full", edit: func(f facts) { f["full"].CopyOnly = true }, want: "full"},
	{name: "logs go on a copy-only full", use: "full log1 log2", edit: func(f facts) { f["full"].CopyOnly = true }, want: "full log1 log2"},
	{name: "a copy-only full is no base", use: "full diff log4 log5 log6", edit: func(f facts) { f["full"].CopyOnly = true },
		cause: chain.Gap, number: 4305, missing: "13200001-17300001", wraps: backup.ErrChainBroken, says: "a copy-only full is never the base"},
	{name: "a copy-only full is no base, and nothing else is there", use: "full diff", edit: func(f facts) { f["full"].CopyOnly = true }, cause: chain.WrongBase, number: 3136},
	{name: "the base of a differential is the full it names, not a copy-only one after that", use: wholeChain + " copy", edit: func(f facts) {
		f.add("copy", "full", 1, func(s *chain.Set) {
			s.CopyOnly, s.FirstLSN, s.LastLSN, s.Finished = true, place(15000001), place(15100001), clock("13:03:00")
		})
	}, want: "full diff log4 log5 log6"},
	{name: "a copy-only log bridges a gap", use: "full log1 copy log3", edit: func(f facts) {
		f.add("copy", "log2", 1, func(s *chain.Set) { s.CopyOnly = true })
	}, want: "full log1 copy log3"},
	{name: "overlapping copy-only logs are entered in their middle", use: "full log1 copy log4", edit: func(f facts) {
		f.add("copy", "log3", 1, func(s *chain.Set) { s.CopyOnly, s.FirstLSN = true, place(15300001) })
	}, want: "full log1 copy log4"},
	{name: "a differential that finished before its full by a wrong clock still goes on it", use: wholeChain, edit: func(f facts) {
		f["full"].Started, f["full"].Finished = clock("14:00:00"), clock("14:00:00")
	}, want: "full diff log4 log5 log6"},
	{name: "names have no part in it", use: wholeChain, edit: func(f facts) { f["diff"].Database, f["log5"].Database = "Other", "Third" }, want: "full diff log4 log5 log6"},
	{name: "exactly one full", use: wholeChain, edit: func(f facts) { f["full"].GUID, f["diff"].DifferentialBaseGUID = number(7), number(7) }, to: chain.Target{GUID: number(7)}, want: "full"},
	{name: "exactly one differential", use: wholeChain, edit: func(f facts) { f["diff"].GUID = number(7) }, to: chain.Target{GUID: number(7)}, want: "full diff"},
	{name: "exactly one log", use: wholeChain, edit: func(f facts) { f["log5"].GUID = number(7) }, to: chain.Target{GUID: number(7)}, want: "full diff log4 log5"},
	{name: "exactly one log before the differential", use: wholeChain, edit: func(f facts) { f["log2"].GUID = number(7) }, to: chain.Target{GUID: number(7)}, want: "full log1 log2"},
	{name: "exactly an empty log is what was before it", use: olaChain, edit: func(f facts) { f["ola.empty1"].GUID = number(7) }, to: chain.Target{GUID: number(7)}, want: "ola.full ola.log1"},
	{name: "a backup that is not there", use: wholeChain, to: chain.Target{GUID: number(7)}, cause: chain.NothingHere, wraps: backup.ErrNoBackup},
	{name: "no backups at all", cause: chain.NothingHere, wraps: backup.ErrNoBackup},
	{name: "two goals", use: wholeChain, to: chain.Target{GUID: number(7), AtMark: "x"}, cause: chain.BadTarget, wraps: backup.ErrRefused},
}

var gaps = []planCase{
	{name: "a missing log is named", use: "full log1 log3", cause: chain.Gap, number: 4305, missing: "15300001-16300001", wraps: backup.ErrChainBroken, says: "25000000015300001 to 25000000016300001"},
	{name: "two missing logs: the first is named", use: "full log2 log4", cause: chain.Gap, number: 4305, missing: "13200001-15300001"},
	{name: "a differential mends a gap", use: "full log1 log3 diff log4", want: "full diff log4"},
	{name: "a gap behind the differential", use: "full diff log5", cause: chain.Gap, number: 4305, missing: "19000001-20000001"},
	{name: "the log after the full is missing", use: "full log2 log3", cause: chain.Gap, number: 4305, missing: "13200001-15300001"},
	{name: "a full behind the gap", use: "full log1 log5 full2 log6", edit: func(f facts) {
		f.add("full2", "full", 1, func(s *chain.Set) {
			s.FirstLSN, s.LastLSN, s.Finished = place(20500001), place(20600001), clock("13:22:00")
		})
	}, want: "full2 log5 log6"},
	{name: "only logs", use: "log1 log2", cause: chain.NoFull, missing: "-6200170", wraps: backup.ErrChainBroken},
	{name: "only a differential", use: "diff", cause: chain.WrongBase, number: 3136, says: "5AF3E50D-A4E0-4E9B-8AEF-FE52898C6359"},
	{name: "a differential without its base is useless, logs go around it", use: "old log1 log2 log3 diff log4", edit: func(f facts) {
		f.add("old", "full", 1, func(*chain.Set) {})
	}, want: "old log1 log2 log3 log4"},
	{name: "a differential without its base is the newest", use: "old log1 diff", edit: func(f facts) { f.add("old", "full", 1, func(*chain.Set) {}) },
		cause: chain.WrongBase, number: 3136, missing: "15300001-19000001"},
	{name: "the newest log is missing: the target is beyond", use: "full log1 log2", to: chain.Target{Time: clock("13:12:00")}, cause: chain.TooLate, wraps: backup.ErrNoBackup, says: "13:09:13"},
	{name: "a foreign log in between", use: "full log1 log3 log4", to: chain.Target{Time: clock("13:12:00")}, cause: chain.Gap, number: 4305, missing: "15300001-16300001",
		says: "another tool"},
	{name: "a gap does not matter before it", use: "full log1 log3", to: chain.Target{Time: clock("13:01:00")}, want: "full log1", stop: "2017-06-01T13:01:00.0000000"},
	{name: "the backup that is wanted lies behind a gap", use: "full log1 log3", edit: func(f facts) { f["log3"].GUID = number(7) }, to: chain.Target{GUID: number(7)},
		cause: chain.Gap, number: 4305, missing: "15300001-16300001"},
}

var timed = []planCase{
	{name: "to a time in the third log", use: wholeChain, to: chain.Target{Time: clock("13:10:00")}, want: "full log1 log2 log3", stop: "2017-06-01T13:10:00.0000000"},
	{name: "to 100 ns", use: wholeChain, to: chain.Target{Time: clock("13:10:00").Add(123456789)}, want: "full log1 log2 log3", stop: "2017-06-01T13:10:00.1234567"},
	{name: "to a time asked for in another zone", use: wholeChain, to: chain.Target{Time: clock("13:10:00").UTC()}, want: "full log1 log2 log3", stop: "2017-06-01T13:10:00.0000000"},
	{name: "to a time after the differential", use: wholeChain, to: chain.Target{Time: clock("13:20:00")}, want: "full diff log4 log5", stop: "2017-06-01T13:20:00.0000000"},
	{name: "a differential of that second may be too new", use: wholeChain, to: chain.Target{Time: clock("13:14:13").Add(time.Millisecond)}, want: "full log1 log2 log3 log4", stop: "2017-06-01T13:14:13.0010000"},
	{name: "to the second in which a differential ended", use: wholeChain, to: chain.Target{Time: clock("13:14:13")}, want: "full diff"},
	{name: "to the second in which the full ended", use: wholeChain, to: chain.Target{Time: clock("12:59:12")}, want: "full"},
	{name: "to the start of a log", use: "full log1 log2", to: chain.Target{Time: clock("13:09:13")}, want: "full log1 log2", stop: "2017-06-01T13:09:13.0000000"},
	{name: "before the first full", use: wholeChain, to: chain.Target{Time: clock("12:00:00")}, cause: chain.TooEarly, number: 4326, says: "12:59:12", wraps: backup.ErrNoBackup},
	{name: "beyond the last log", use: wholeChain, to: chain.Target{Time: clock("14:00:00")}, cause: chain.TooLate, says: "13:29:13"},
	{name: "a simple database has its backups' moments only", use: "full diff", edit: func(f facts) { f["full"].RecoveryModel, f["diff"].RecoveryModel = "SIMPLE", "SIMPLE" },
		to: chain.Target{Time: clock("13:05:00")}, cause: chain.Simple, number: 3145, says: "12:59:12+02:00 and 2017-06-01T13:14:13"},
	{name: "a simple database to the moment of a differential", use: "full diff", edit: func(f facts) { f["diff"].RecoveryModel = "SIMPLE" }, to: chain.Target{Time: clock("13:14:13")}, want: "full diff"},
	{name: "inside a bulk-logged log", use: "full log1 log2 log3", edit: func(f facts) { f["log2"].BulkLogged = true }, to: chain.Target{Time: clock("13:07:00")},
		cause: chain.BulkLogged, number: 4341, says: "13:04:13+02:00 and 2017-06-01T13:09:14", wraps: backup.ErrRefused},
	{name: "after a bulk-logged log", use: "full log1 log2 log3", edit: func(f facts) { f["log2"].BulkLogged = true }, to: chain.Target{Time: clock("13:10:00")},
		want: "full log1 log2 log3", stop: "2017-06-01T13:10:00.0000000"},
	{name: "a copy-only log without bulk-logged changes helps to stop", use: "full log1 copy log2 log3", edit: func(f facts) {
		f["log2"].BulkLogged = true
		f.add("copy", "log2", 1, func(s *chain.Set) {
			s.CopyOnly, s.BulkLogged, s.LastLSN, s.Started, s.Finished = true, false, place(16000001), clock("13:08:00"), clock("13:08:00")
		})
	}, to: chain.Target{Time: clock("13:07:00")}, want: "full log1 copy", stop: "2017-06-01T13:07:00.0000000"},
	{name: "a log backup that ran over the moment: the next may not be needed", use: "full log1 log2 log3", edit: func(f facts) { f["log2"].Finished = clock("13:10:00") },
		to: chain.Target{Time: clock("13:09:30")}, want: "full log1 log2 log3", stop: "2017-06-01T13:09:30.0000000"},
	{name: "a log backup that ran over the moment and is the last", use: "full log1 log2", edit: func(f facts) { f["log2"].Finished = clock("13:10:00") },
		to: chain.Target{Time: clock("13:09:30")}, cause: chain.TooLate},
	{name: "a full that ran over the moment is too new", use: wholeChain, edit: func(f facts) { f["full"].Finished = clock("13:02:00") }, to: chain.Target{Time: clock("13:01:00")},
		cause: chain.TooEarly, number: 4326, says: "13:02:00"},
	{name: "the clock was set back inside the log", use: "full log1", edit: func(f facts) { f["log1"].ZoneMinutes = 60 }, to: chain.Target{Time: clock("13:01:00")},
		cause: chain.DoubledHour, says: "stop before an LSN"},
	{name: "the clock was set back before the log", use: "full log1 log2", edit: func(f facts) { f["log1"].ZoneMinutes, f["log2"].ZoneMinutes = 60, 60 }, to: chain.Target{Time: clock("13:06:00")},
		want: "full log1 log2", stop: "2017-06-01T12:06:00.0000000"},
}

var records = []planCase{
	{name: "before a record", use: wholeChain, to: chain.Target{BeforeLSN: place(15500001)}, want: "full log1 log2", stop: "lsn:25000000015500001"},
	{name: "with a record", use: wholeChain, to: chain.Target{AtLSN: place(15500001)}, want: "full log1 log2", stop: "lsn:25000000015500001"},
	{name: "before the first record of a log nothing of it is needed", use: wholeChain, to: chain.Target{BeforeLSN: place(15300001)}, want: "full log1", stop: "lsn:25000000015300001"},
	{name: "with the first record of a log it is needed", use: wholeChain, to: chain.Target{AtLSN: place(15300001)}, want: "full log1 log2", stop: "lsn:25000000015300001"},
	{name: "before a record behind the differential", use: wholeChain, to: chain.Target{BeforeLSN: place(19500001)}, want: "full diff log4", stop: "lsn:25000000019500001"},
	{name: "a record that the full holds already", use: wholeChain, to: chain.Target{AtLSN: place(10000001)}, cause: chain.TooEarly, number: 4326},
	{name: "a record that no backup holds yet", use: wholeChain, to: chain.Target{BeforeLSN: place(90000001)}, cause: chain.TooLate},
	{name: "a record in the gap", use: "full log1 log3", to: chain.Target{BeforeLSN: place(16000001)}, cause: chain.Gap, number: 4305, missing: "15300001-16300001"},
	{name: "a record in a bulk-logged log", use: "full log1 log2", edit: func(f facts) { f["log2"].BulkLogged = true }, to: chain.Target{BeforeLSN: place(15500001)}, cause: chain.BulkLogged, number: 4341},
}

var marks = []planCase{
	{name: "a mark is looked for in all logs", use: wholeChain, to: chain.Target{AtMark: "deploy"}, want: "full log1 log2 log3 log4 log5 log6", stop: "deploy"},
	{name: "before a mark after a time", use: wholeChain, to: chain.Target{BeforeMark: "deploy", Time: clock("13:20:00")}, want: "full diff log4 log5 log6", stop: "deploy"},
	{name: "a mark behind a gap is not found from before it", use: "full log1 log3 diff log4", to: chain.Target{AtMark: "deploy"}, want: "full diff log4", stop: "deploy"},
	{name: "a mark without logs", use: "full diff", to: chain.Target{AtMark: "deploy"}, cause: chain.TooLate},
}

var forks = []planCase{
	{name: "the newest is on the newest fork", use: wholeChain + " b1 b2", edit: facts.fork, want: "full diff b1 b2", says: "restored before"},
	{name: "the old fork is asked for", use: wholeChain + " b1 b2", edit: facts.fork, to: chain.Target{Fork: genuineFork}, want: "full diff log4 log5 log6"},
	{name: "a time on the old fork, before the restore", use: wholeChain + " b1 b2", edit: facts.fork, to: chain.Target{Time: clock("13:25:00")},
		want: "full diff log4 log5 log6", stop: "2017-06-01T13:25:00.0000000", says: "lived then"},
	{name: "a time on the new fork", use: wholeChain + " b1 b2", edit: facts.fork, to: chain.Target{Time: clock("13:42:00")}, want: "full diff b1 b2", stop: "2017-06-01T13:42:00.0000000"},
	{name: "a log of the old fork never goes on the new one", use: "full diff b1 log6", edit: func(f facts) {
		f.fork()
		f["log6"].GUID, f["log6"].FirstLSN = number(7), place(20500001)
	}, to: chain.Target{GUID: number(7)}, cause: chain.Gap, number: 4305, missing: "19000001-20500001"},
	{name: "the log in which the fork begins is missing", use: wholeChain + " b2", edit: facts.fork, to: chain.Target{Fork: number(99)}, cause: chain.Gap, number: 4305, missing: "-20500001"},
	{name: "the differential is beyond the fork point", use: wholeChain + " b1", edit: func(f facts) {
		f.fork()
		f["b1"].FirstLSN, f["b1"].ForkPointLSN = place(18000001), place(18000001)
	}, cause: chain.Gap, number: 4305, missing: "17300001-18000001"},
	{name: "the fork's first log reaches back before the fork point", use: wholeChain + " b1", edit: func(f facts) {
		f.fork()
		f["b1"].FirstLSN, f["b1"].ForkPointLSN = place(17300001), place(18000001)
	}, want: "full log1 log2 log3 b1"},
	{name: "a full of the new fork begins anew", use: wholeChain + " b2 full2", edit: func(f facts) {
		f.fork()
		f.add("full2", "b2", 5, func(s *chain.Set) {
			s.Type, s.FirstLSN, s.LastLSN, s.Started, s.Finished = mtf.Database, place(20600001), place(20700001), clock("13:41:00"), clock("13:41:00")
		})
	}, want: "full2 b2"},
	{name: "a differential across the restore, of the same base", use: "full b1 diff2 b2", edit: func(f facts) {
		f.fork()
		f.add("diff2", "diff", 5, func(s *chain.Set) {
			s.Fork, s.FirstFork, s.FirstLSN, s.LastLSN, s.Started, s.Finished = number(99), number(99), place(20600001), place(20700001), clock("13:41:00"), clock("13:41:00")
		})
	}, want: "full diff2 b2"},
	{name: "two forks that lived side by side", use: wholeChain + " b1 b2", edit: func(f facts) {
		f.fork()
		f["b1"].Started = clock("13:20:00")
	}, cause: chain.Ambiguous, wraps: backup.ErrRefused, says: "00000063"},
	{name: "two forks that lived side by side, one is named", use: wholeChain + " b1 b2", edit: func(f facts) {
		f.fork()
		f["b1"].Started = clock("13:20:00")
	}, to: chain.Target{Fork: number(99)}, want: "full diff b1 b2"},
	{name: "a record that two forks have", use: wholeChain + " b1 b2", edit: facts.fork, to: chain.Target{BeforeLSN: place(20300001)}, cause: chain.Ambiguous},
	{name: "a record before the forks part", use: wholeChain + " b1 b2", edit: facts.fork, to: chain.Target{BeforeLSN: place(19400001)}, want: "full diff log4", stop: "lsn:25000000019400001"},
	{name: "a fork that is not there", use: wholeChain, to: chain.Target{Fork: number(55)}, cause: chain.NothingHere},
	{name: "the binding changes with a restore and that is noted", use: wholeChain + " b1", edit: facts.fork, want: "full diff b1", says: "had been restored before"},
	{name: "a fork point that the header does not say", use: "full diff b1", edit: func(f facts) {
		f.fork()
		f["b1"].ForkPointLSN, f["b1"].FirstLSN = mtf.LSN{}, place(19000001)
	}, want: "full diff b1"},
}

var families = []planCase{
	{name: "a renamed database keeps its chain", use: wholeChain, edit: func(f facts) {
		for _, n := range []string{"log4", "log5", "log6"} {
			f[n].Database = "Renamed"
		}
	}, to: chain.Target{Database: "Renamed"}, want: "full diff log4 log5 log6"},
	{name: "the old name leads to it too", use: wholeChain, edit: func(f facts) { f["log6"].Database = "Renamed" }, to: chain.Target{Database: "restoretimeclean"}, want: "full diff log4 log5 log6"},
	{name: "one name, two families", use: wholeChain + " sum.full sum.log", edit: func(f facts) { f["sum.full"].Database = "RestoreTimeClean" }, to: chain.Target{Database: "RestoreTimeClean"},
		cause: chain.Ambiguous, says: "D5A3C3F2-DF16-4057-B395-8734E54A0E3D"},
	{name: "one name, two families, one is named", use: wholeChain + " sum.full sum.log", edit: func(f facts) { f["sum.full"].Database = "RestoreTimeClean" },
		to: chain.Target{Database: "RestoreTimeClean", Family: genuineFork}, want: "full diff log4 log5 log6"},
	{name: "a log of another database with fitting LSNs is not used", use: "full log1 log2", edit: func(f facts) { f["log2"].FamilyGUID = number(3) }, to: chain.Target{Database: "RestoreTimeClean", Family: genuineFork}, want: "full log1"},
	{name: "several databases and none is named", use: wholeChain + " ola.full", cause: chain.Ambiguous, says: "OlaMsFilterTest"},
	{name: "a database that is not there", use: wholeChain, to: chain.Target{Database: "shop"}, cause: chain.NothingHere, says: "shop"},
}

var unusable = []planCase{
	{name: "stripes are put together", use: "stripe.log.a stripe.full.a stripe.full.b stripe.log.b", want: "stripe.full.a stripe.log.a"},
	{name: "a stripe of the full is missing", use: "stripe.full.b stripe.log.a stripe.log.b", cause: chain.Incomplete, number: 3132, says: "stripe [1] of 2", wraps: backup.ErrCorrupt},
	{name: "a stripe of the log is missing", use: "stripe.full.a stripe.full.b stripe.log.b", cause: chain.Incomplete, number: 3132, says: "stripe [1] of 2"},
	{name: "a stripe twice is still one stripe", use: "stripe.full.a stripe.full.b stripe.log.b copy", edit: func(f facts) {
		s := *f["stripe.log.b"]
		s.Devices = []string{"", "elsewhere"}
		f["copy"] = &s
	}, cause: chain.Incomplete, number: 3132},
	{name: "two stripes of one GUID that say different things", use: "stripe.full.a stripe.full.b", edit: func(f facts) { f["stripe.full.b"].LastLSN = place(1) }, cause: chain.Conflicting, wraps: backup.ErrCorrupt},
	{name: "a copy of a whole backup", use: "full copy log1 log1", edit: func(f facts) {
		s := *f["full"]
		s.Devices = []string{"elsewhere"}
		f["copy"] = &s
	}, want: "full log1"},
	{name: "a copy stands in for an incomplete backup", use: "full part log1", edit: func(f facts) {
		s := *f["full"]
		s.Stripes, s.Devices = 2, []string{"a", ""}
		f["part"] = &s
	}, want: "full log1"},
	{name: "a copy-only log stands in for one without all stripes", use: "full log1 log2 log3 copy", edit: func(f facts) {
		f["log2"].Stripes = 2
		f.add("copy", "log2", 1, func(s *chain.Set) { s.Stripes, s.CopyOnly = 1, true })
	}, want: "full log1 copy log3"},
	{name: "a full of a damaged database is not used", use: "full log1", edit: func(f facts) { f["full"].Damaged = true }, cause: chain.Damaged, wraps: backup.ErrCorrupt},
	{name: "a full of a damaged database is used when told", use: "full log1", edit: func(f facts) { f["full"].Damaged = true }, to: chain.Target{UseDamaged: true}, want: "full log1"},
	{name: "the log goes around a damaged differential", use: wholeChain, edit: func(f facts) { f["diff"].Damaged = true }, want: "full log1 log2 log3 log4 log5 log6"},
	{name: "the tail of a damaged database is used", use: wholeChain, edit: func(f facts) {
		f["log6"].Damaged, f["log6"].Tail, f["log6"].CopyOnly, f["log6"].IncompleteMetadata = true, true, true, true
	}, want: "full diff log4 log5 log6", says: "damaged database"},
	{name: "an older server", use: wholeChain, to: chain.Target{Server: chain.Server{Major: 10}}, cause: chain.TooNew, number: 3169, wraps: backup.ErrRefused},
	{name: "the same server", use: wholeChain, to: chain.Target{Server: chain.Server{Major: 10, Minor: 50, DatabaseVersion: 661}}, want: "full diff log4 log5 log6"},
	{name: "a newer server", use: wholeChain, to: chain.Target{Server: chain.Server{Major: 16}}, want: "full diff log4 log5 log6"},
	{name: "a format of databases that is too new", use: wholeChain, to: chain.Target{Server: chain.Server{DatabaseVersion: 655}}, cause: chain.TooNew, number: 3169},
	{name: "after an upgrade only what is older goes to the old server", use: wholeChain, edit: func(f facts) { f["log6"].VersionMajor = 11 },
		to: chain.Target{Server: chain.Server{Major: 10, Minor: 50}, Time: clock("13:20:00")}, want: "full diff log4 log5", stop: "2017-06-01T13:20:00.0000000"},
	{name: "a set that ends before it begins", use: "full", edit: func(f facts) { f["full"].LastLSN = place(1) }, cause: chain.Conflicting},
}

// genuineFork is the fork and the family of the genuine chain.
var genuineFork = func() mtf.GUID {
	g, err := mtf.ParseGUID("E4B9B1B7-255C-4866-AF1F-EB4A29E8C2C9")
	if err != nil {
		panic(err)
	}
	return g
}()

func TestNamesOfGenuineSetsAreUsed(t *testing.T) {
	t.Parallel()
	text := ""
	for _, c := range slices.Concat(choosing, gaps, timed, records, marks, forks, families, unusable) {
		text += " " + c.use
	}
	for name := range maps.Keys(genuineSets(t)) {
		assert.Contains(t, strings.Fields(text), name)
	}
}
