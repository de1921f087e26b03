package ese_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/exchange/ese"
)

// madeSet is a database that requires logs 17 to 19 and has committed 20, with logs 16 to 22 and a checkpoint at 17.
func madeSet(t *testing.T) ese.Set {
	t.Helper()
	d, err := verify(t, made(4096, 4))
	require.NoError(t, err)
	c, err := ese.VerifyCheckpoint(t.Context(), bytes.NewReader(madeCheckpoint()))
	require.NoError(t, err)
	return ese.Set{Database: d, Checkpoint: c, Logs: madeLogs(t, 16, 22)}
}

// madeLogs follow one another; the last is the one that is being written.
func madeLogs(t testing.TB, first, last uint32) (logs []ese.NamedLog) {
	t.Helper()
	sum := uint64(0)
	for g := first; g <= last; g++ {
		name := fmt.Sprintf("E00%05X.log", g)
		if g == last {
			name = "E00.log"
		}
		n := readLog(t, name, madeLog(8, g, sum))
		sum = n.Log.Sum
		logs = append(logs, n)
	}
	return logs
}

// without leaves out generations.
func without(s *ese.Set, generations ...uint32) {
	s.Logs = slices.DeleteFunc(s.Logs, func(n ese.NamedLog) bool { return slices.Contains(generations, n.Log.Generation) })
}

// at is the log of a generation in a set.
func at(s *ese.Set, generation uint32) *ese.NamedLog {
	i := slices.IndexFunc(s.Logs, func(n ese.NamedLog) bool { return n.Log.Generation == generation })
	return &s.Logs[i]
}

const (
	lost     = "can be recovered with loss"
	no       = "cannot be recovered"
	lossless = "can be recovered"
)

// explained is a row: what is done to the set of madeSet, and what is then said of it.
type explained struct {
	name   string
	edit   func(s *ese.Set)
	want   string // the verdict
	last   uint32 // of the logs that can be replayed
	reason string // the first, in part
	note   string // the first, in part
}

var explainedLogs = []explained{
	{"all logs", func(*ese.Set) {}, lossless, 22, "", ""},
	{"in any order", func(s *ese.Set) { slices.Reverse(s.Logs) }, lossless, 22, "", ""},
	{"headers alone", func(s *ese.Set) { s.Database.Depth = ese.HeaderRead }, lossless, 22, "", ""},
	{"up to the committed", func(s *ese.Set) { without(s, 16, 21, 22) }, lossless, 20, "", ""},
	{"up to the required", func(s *ese.Set) { without(s, 20, 21, 22) }, lost, 19, "log 0x14 is not there; what was committed up to log 0x14 is lost", ""},
	{"no log", func(s *ese.Set) { s.Logs = nil }, no, 0, "log 0x11 is not there; logs 0x11 to 0x13 are required", ""},
	{"without 16", func(s *ese.Set) { without(s, 16) }, lossless, 22, "", ""},
	{"without 17", func(s *ese.Set) { without(s, 17) }, no, 0, "log 0x11 is not there", "logs up to 0x16 are there, and of no use without log 0x11"},
	{"without 18", func(s *ese.Set) { without(s, 18) }, no, 17, "log 0x12 is not there", "without log 0x12"},
	{"without 19", func(s *ese.Set) { without(s, 19) }, no, 18, "log 0x13 is not there; logs 0x11 to 0x13 are required", "without log 0x13"},
	{"without 20", func(s *ese.Set) { without(s, 20) }, lost, 19, "log 0x14 is not there; what was committed", "without log 0x14"},
	{"without 21", func(s *ese.Set) { without(s, 21) }, lossless, 20, "", "logs up to 0x16 are there, and of no use without log 0x15"},
	{"damaged", func(s *ese.Set) { at(s, 18).Log.Depth = ese.Recognised }, no, 17, "log 0x12 cannot be replayed (E0000012.log is left out: it is damaged)", "without log 0x12"},
	{"damaged, not required", func(s *ese.Set) { at(s, 21).Log.Depth = ese.Recognised }, lossless, 20, "", "log 0x15 cannot be replayed (E0000015.log is left out: it is damaged); it is not required"},
	{"foreign", func(s *ese.Set) { at(s, 18).Log.Signature.Random++ }, no, 17, "it is of the logs 134678022 of", "without log 0x12"},
	{"misnamed", func(s *ese.Set) { at(s, 18).Name = "E0000017.log" }, no, 17, "that is not the name of log 0x12", "without log 0x12"},
	{"out of order by its sum", func(s *ese.Set) { at(s, 19).Log.PreviousSum++ }, no, 18, "E0000013.log: out of order: it continues a log with the sum", "without log 0x13"},
	{"out of order by its time", func(s *ese.Set) { at(s, 20).Log.PreviousCreated[0]++ }, lost, 19, "E0000014.log: out of order: it continues a log created", "without log 0x14"},
	{"two of a generation, one foreign", func(s *ese.Set) {
		other := *at(s, 18).Log
		other.Signature.Random++
		s.Logs = append([]ese.NamedLog{{Name: "E0000012.log", Log: &other}}, s.Logs...)
	}, lossless, 22, "", ""},
	{"two of a generation, one out of order", func(s *ese.Set) {
		other := *at(s, 18).Log
		other.PreviousCreated[0]++
		s.Logs = append([]ese.NamedLog{{Name: "E0000012.log", Log: &other}}, s.Logs...)
	}, lossless, 22, "", ""},
	{"two of a generation, one cut off", func(s *ese.Set) {
		early := *at(s, 18).Log
		early.Sum++
		s.Logs = append([]ese.NamedLog{{Name: "E00.log", Log: &early}}, s.Logs...)
	}, lossless, 22, "", ""},
	{"a recycled log", func(s *ese.Set) {
		s.Logs = append(s.Logs, ese.NamedLog{Name: "E00tmp.log", Log: &ese.Log{Generation: 18, Signature: s.Database.LogSignature, Depth: ese.Summed}})
	}, lossless, 22, "", ""},
	{"required log of another course", func(s *ese.Set) { s.Database.RequiredLastCreated = ese.Stamp{9} }, lossless, 22, "", "E0000013.log was created"},
	{"committed log of another course", func(s *ese.Set) {
		s.Database.RequiredLastCreated, s.Database.CommittedLastCreated = at(s, 19).Log.Created, ese.Stamp{9}
	}, lossless, 22, "", "E0000014.log was created"},
	{"logs of the right course", func(s *ese.Set) {
		s.Database.RequiredLastCreated, s.Database.CommittedLastCreated = at(s, 19).Log.Created, at(s, 20).Log.Created
	}, lossless, 22, "", ""},
	{"one stamp, of which is not known", func(s *ese.Set) { s.Database.CommittedLastCreated = ese.Stamp{9} }, lossless, 22, "", ""},
	{"no checkpoint", func(s *ese.Set) { s.Checkpoint = nil }, lossless, 22, "", ""},
	{"checkpoint later", func(s *ese.Set) { s.Checkpoint.At.Generation = 18 }, lossless, 22, "", "the checkpoint is at 0x12:2:1, later than the first required log 0x11: leave it out"},
	{"checkpoint earlier", func(s *ese.Set) { s.Checkpoint.At.Generation = 16 }, lossless, 22, "", "earlier than the first required log 0x11, as when another database needs older logs"},
	{"checkpoint foreign", func(s *ese.Set) { s.Checkpoint.Signature.Random++ }, lossless, 22, "", "the checkpoint is of the logs 134678022 of"},
}

func TestExplainLogs(t *testing.T) {
	t.Parallel()
	for _, c := range explainedLogs {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := madeSet(t)
			c.edit(&s)
			r := ese.Explain(s)
			assert.Equal(t, c.want != no, r.Possible)
			assert.Equal(t, c.want == lossless, r.Lossless)
			assert.Equal(t, [4]uint32{17, 19, 20, c.last}, [4]uint32{r.RequiredFirst, r.RequiredLast, r.CommittedLast, r.Last})
			have := "none of them"
			switch {
			case c.last == 17:
				have = "log 0x11"
			case c.last > 0:
				have = fmt.Sprintf("logs 0x11 to 0x%X", c.last)
			}
			assert.Equal(t, fmt.Sprintf("the database %s: it requires logs 0x11 to 0x13, and those up to 0x14 to lose nothing; %s can be replayed", c.want, have), r.String())
			assert.Equal(t, s.Database.Depth, r.Depth)
			mention(t, c.reason, r.Reasons)
			mention(t, c.note, r.Notes)
		})
	}
}

// mention: the first of the sentences has this in it; "": there are none.
func mention(t *testing.T, want string, sentences []string) {
	t.Helper()
	if want == "" {
		assert.Empty(t, sentences)
	} else if assert.NotEmpty(t, sentences) {
		assert.Contains(t, sentences[0], want)
	}
}

var explainedDatabases = []struct {
	name   string
	edit   func(d *ese.Database)
	want   string
	reason string
}{
	{"clean", func(d *ese.Database) { d.State = ese.CleanShutdown }, "the database needs no log", ""},
	{"clean and damaged", func(d *ese.Database) { d.State, d.Depth = ese.CleanShutdown, ese.Recognised }, "the database cannot be recovered with logs", "the database is damaged"},
	{"damaged", func(d *ese.Database) { d.Depth = ese.Recognised },
		"the database cannot be recovered: it requires logs 0x11 to 0x13, and those up to 0x14 to lose nothing; logs 0x11 to 0x16 can be replayed", "the database is damaged"},
	{"dirty and patched", func(d *ese.Database) { d.State = ese.DirtyAndPatched },
		"the database can be recovered: it requires logs 0x11 to 0x13, and those up to 0x14 to lose nothing; logs 0x11 to 0x16 can be replayed", ""},
	{"one log", func(d *ese.Database) { d.RequiredLast, d.CommittedLast = 17, 0 }, "the database can be recovered: it requires log 0x11; logs 0x11 to 0x16 can be replayed", ""},
	{"reverting", func(d *ese.Database) { d.State = ese.Reverting }, "the database cannot be recovered with logs", "its state is revert in progress, from which logs do not recover"},
	{"no range", func(d *ese.Database) { d.RequiredFirst, d.RequiredLast = 0, 0 }, "the database cannot be recovered with logs", "its header does not say which"},
	{"range turned round", func(d *ese.Database) { d.RequiredFirst = 30 }, "the database cannot be recovered with logs", "its header does not say which: 0x1E to 0x13"},
	{"snapshot copy", func(d *ese.Database) { d.SnapshotCurrent = ese.BackupMark{First: 3, Last: 9} },
		"the database can be recovered: it requires logs 0x11 to 0x13, and those up to 0x14 to lose nothing; logs 0x11 to 0x16 can be replayed", ""},
	{"streaming copy, closed in its header", func(d *ese.Database) { d.FullCurrent = ese.BackupMark{First: 18, Last: 20} },
		"the database can be recovered: it requires logs 0x12 to 0x14; logs 0x12 to 0x16 can be replayed", ""},
	{"streaming copy without its end", func(d *ese.Database) { d.FullCurrent = ese.BackupMark{First: 18} }, "the database cannot be recovered with logs", "the page at its end, which names the logs that it needs"},
	{"streaming copy that says clean", func(d *ese.Database) { d.State, d.FullCurrent = ese.CleanShutdown, ese.BackupMark{First: 18, Last: 23} },
		"the database cannot be recovered: it requires logs 0x12 to 0x17; logs 0x12 to 0x16 can be replayed", "log 0x17 is not there"},
}

func TestExplainDatabases(t *testing.T) {
	t.Parallel()
	for _, c := range explainedDatabases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := madeSet(t)
			s.Checkpoint = nil
			c.edit(s.Database)
			r := ese.Explain(s)
			assert.Equal(t, c.want, r.String())
			mention(t, c.reason, r.Reasons)
			assert.Equal(t, c.reason == "", r.Possible)
			assert.Equal(t, r.Possible, r.Lossless)
		})
	}
}

// TestExplainCopies goes by files, as they come from a server.
func TestExplainCopies(t *testing.T) {
	t.Parallel()
	for _, size := range pageSizes {
		s := madeSet(t)
		b := streamed(size)
		var err error
		s.Database, err = verify(t, b)
		require.NoError(t, err)
		r := ese.Explain(s)
		assert.True(t, r.Possible && r.Lossless)
		assert.Equal(t, [4]uint32{17, 19, 17, 22}, [4]uint32{r.RequiredFirst, r.RequiredLast, r.First, r.Last})
		assert.Equal(t, []string{"a copy by the streaming API is recovered without a checkpoint: leave it out"}, r.Notes)

		s.Database, err = verify(t, b[:len(b)-size])
		require.Error(t, err)
		r = ese.Explain(s)
		assert.Equal(t, "the database cannot be recovered with logs", r.String())
		assert.Len(t, r.Reasons, 2)

		s.Database, err = ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b))
		require.NoError(t, err)
		assert.Contains(t, ese.Explain(s).Reasons[0], "was not read or is not there")
		s.Database, err = ese.ReadDatabaseHeader(t.Context(), bytes.NewReader(b[2*size:]))
		require.Error(t, err)
		assert.Equal(t, []string{"the database is damaged", "no copy of its header is whole, which would name the logs that it needs"}, ese.Explain(s).Reasons)
	}
}

// TestExplainLeastDepth: a verdict is worth as much as the reading of the file that was read least.
func TestExplainLeastDepth(t *testing.T) {
	t.Parallel()
	s := madeSet(t)
	at(&s, 21).Log.Depth = ese.HeaderRead
	assert.Equal(t, ese.HeaderRead, ese.Explain(s).Depth)
	at(&s, 21).Log.Depth, at(&s, 18).Log.Depth = ese.Summed, ese.Measured
	assert.Equal(t, ese.Measured, ese.Explain(s).Depth)
	at(&s, 18).Log.Depth, at(&s, 16).Log.Depth = ese.Summed, ese.HeaderRead
	assert.Equal(t, ese.Summed, ese.Explain(s).Depth, "log 16 is not used")
}

// TestExplainOneStamp: older engines have one stamp, which is that of the last log when that is required.
func TestExplainOneStamp(t *testing.T) {
	t.Parallel()
	s := madeSet(t)
	s.Database.RequiredLast, s.Database.CommittedLastCreated = 20, ese.Stamp{9}
	r := ese.Explain(s)
	assert.True(t, r.Lossless)
	mention(t, "E0000014.log was created 2024-03-01 12:20:05Z, the log that the database was written with no time", r.Notes)
	s.Database.CommittedLastCreated = at(&s, 20).Log.Created
	assert.Empty(t, ese.Explain(s).Notes)
}

// TestExplainDatabasesOfOneSeries: each database of a group has its own range in the same logs.
func TestExplainDatabasesOfOneSeries(t *testing.T) {
	t.Parallel()
	mail, public := madeSet(t), madeSet(t)
	public.Database.RequiredFirst, public.Database.RequiredLast, public.Database.CommittedLast = 16, 16, 20
	without(&mail, 16)
	public.Logs = mail.Logs
	r := ese.Explain(mail)
	assert.True(t, r.Lossless)
	r = ese.Explain(public)
	assert.Equal(t, "the database cannot be recovered: it requires log 0x10, and those up to 0x14 to lose nothing; none of them can be replayed", r.String())
}
