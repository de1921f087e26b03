package ese_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/quiesce-go/quiesce/exchange/ese"
)

// madeStream is two mounted databases with logs 11 to 22, 22 being written, and a checkpoint at 20. Both had a full backup with logs up to 18.
func madeStream(t *testing.T) *ese.Stream {
	t.Helper()
	full := ese.BackupMark{At: ese.Position{Generation: 18, Sector: 1}, Time: ese.Stamp{5, 30, 12, 1, 3, 124, 1}, First: 15, Last: 18, Method: ese.ByOSSnapshot}
	s := &ese.Stream{Logs: madeLogs(t, 11, 22), Checkpoint: madeSet(t).Checkpoint}
	s.Checkpoint.At = ese.Position{Generation: 20, Sector: 3}
	for _, name := range []string{"mail.edb", "public.edb"} {
		d := madeSet(t).Database
		d.RequiredFirst, d.RequiredLast, d.CommittedLast, d.FullPrevious = 20, 21, 22, full
		s.Databases = append(s.Databases, ese.NamedDatabase{Name: name, Database: d})
	}
	return s
}

// kept is a row: what is done to the stream, and what holds its logs then.
type kept struct {
	name    string
	edit    func(s *ese.Stream)
	free    uint32
	holds   string // cause, database and first log of each
	refused string // in part; "": not
	note    string // in part; "": none of this kind
}

const (
	afterFull = "no backup mail.edb 19, no backup public.edb 19, recovery  20"
	nothing   = "nothing in the headers holds logs 0xB to 0x12"
)

func mail(s *ese.Stream) *ese.Database   { return s.Databases[0].Database }
func public(s *ese.Stream) *ese.Database { return s.Databases[1].Database }

var keptLogs = []kept{
	{"full backup, logs not yet deleted", func(*ese.Stream) {}, 18, afterFull, "", nothing},
	{"full backup, logs deleted", func(s *ese.Stream) { s.Logs = s.Logs[8:] }, 0, afterFull, "", ""},
	{"checkpoint behind the backup", func(s *ese.Stream) { s.Checkpoint.At.Generation = 14 }, 13, "recovery  14, no backup mail.edb 19, no backup public.edb 19", "", "nothing in the headers holds logs 0xB to 0xD"},
	{"one never backed up", func(s *ese.Stream) { public(s).FullPrevious = ese.BackupMark{} }, 0, "no full backup public.edb 11, no backup mail.edb 19, recovery  20", "public.edb has had no full backup: take one first", ""},
	{"one backed up long ago", func(s *ese.Stream) { public(s).FullPrevious.Last = 12 }, 12, "no backup public.edb 13, no backup mail.edb 19, recovery  20", "", "holds logs 0xB to 0xC"},
	{"incremental since", func(s *ese.Stream) {
		mail(s).IncrementalPrevious = ese.BackupMark{At: ese.Position{Generation: 20}, First: 19, Last: 20, Method: ese.ByOSSnapshot}
		public(s).IncrementalPrevious = mail(s).IncrementalPrevious
	}, 19, "recovery  20, no backup mail.edb 21, no backup public.edb 21", "", "holds logs 0xB to 0x13"},
	{"incremental before the full", func(s *ese.Stream) { mail(s).IncrementalPrevious = ese.BackupMark{First: 11, Last: 13} }, 18, afterFull, "", nothing},
	{"copy since", func(s *ese.Stream) {
		mail(s).CopyPrevious = ese.BackupMark{At: ese.Position{Generation: 20}, First: 19, Last: 20}
	}, 18, afterFull, "", "mail.edb has had a copy backup since"},
	{"differential since", func(s *ese.Stream) {
		public(s).DifferentialPrevious = ese.BackupMark{At: ese.Position{Generation: 18, Sector: 2}, First: 19, Last: 20}
	}, 18, afterFull, "", "public.edb has had a differential backup since"},
	{"copy before", func(s *ese.Stream) {
		mail(s).CopyPrevious = ese.BackupMark{At: ese.Position{Generation: 18}, First: 15, Last: 17}
	}, 18, afterFull, "", nothing},
	{"dirty with an older range", func(s *ese.Stream) { public(s).RequiredFirst = 12 }, 11, "recovery public.edb 12, no backup mail.edb 19, no backup public.edb 19, recovery  20", "", "holds log 0xB:"},
	{"dismounted clean, never backed up", func(s *ese.Stream) {
		public(s).State, public(s).FullPrevious = ese.CleanShutdown, ese.BackupMark{}
	}, 18, "no backup mail.edb 19, recovery  20", "", "public.edb is in clean shutdown: as long as it is not mounted it holds no logs"},
	{"of other logs", func(s *ese.Stream) { public(s).LogSignature.Random++ }, 18, "no backup mail.edb 19, recovery  20", "", "public.edb is of the logs 134678022 of"},
	{"a header that cannot be read", func(s *ese.Stream) { s.Databases[1].Database = &ese.Database{} }, 18, "no backup mail.edb 19, recovery  20", "", "public.edb: its header cannot be read"},
	{"no checkpoint", func(s *ese.Stream) { s.Checkpoint = nil }, 18, "no backup mail.edb 19, no backup public.edb 19, recovery mail.edb 20, recovery public.edb 20", "", nothing},
	{"checkpoint of other logs", func(s *ese.Stream) { s.Checkpoint.Signature.Random++ }, 18, "no backup mail.edb 19, no backup public.edb 19, recovery mail.edb 20, recovery public.edb 20", "", "the checkpoint is of the logs"},
	{"two methods", func(s *ese.Stream) { public(s).FullPrevious.Method = ese.ByStreaming }, 18, afterFull, "that of public.edb by streaming: take a full backup of both by one method", nothing},
	{"surrogate and snapshot are one", func(s *ese.Stream) { public(s).FullPrevious.Method = ese.BySurrogate }, 18, afterFull, "", nothing},
	{"logs gone that no backup has", func(s *ese.Stream) { s.Logs = s.Logs[9:] }, 0, "no backup mail.edb 19, no backup public.edb 19, recovery  20", "log 0x13, which the last backup of mail.edb would be followed by, is not there any more", ""},
	{"circular", func(s *ese.Stream) { s.Logs[11].Log.Circular = true }, 19, "recovery  20", "circular logging is on", "holds logs 0xB to 0x13"},
	{"circular once", func(s *ese.Stream) { s.Logs[3].Log.Circular = true }, 18, afterFull, "", nothing},
	{"a foreign log", func(s *ese.Stream) {
		stray := *s.Logs[0].Log
		stray.Generation = 6
		stray.Signature.Random++
		s.Logs = append(s.Logs, ese.NamedLog{Name: "E0000006.log", Log: &stray})
	}, 18, afterFull, "", nothing},
	{"files that are no logs", func(s *ese.Stream) {
		stray := *s.Logs[0].Log
		stray.Generation = 5
		s.Logs = append(s.Logs, ese.NamedLog{Name: "E00tmp.log", Log: &stray}, ese.NamedLog{Name: "E0000006.log", Log: &stray})
	}, 18, afterFull, "", nothing},
}

func TestWhyKept(t *testing.T) {
	t.Parallel()
	for _, c := range keptLogs {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := madeStream(t)
			c.edit(s)
			k := ese.WhyKept(*s)
			assert.EqualValues(t, 21, k.Last)
			assert.Equal(t, c.free, k.FreeLast)
			var holds []string
			for _, h := range k.Holds {
				holds = append(holds, fmt.Sprintf("%s %s %d", h.Cause, h.Database, h.First))
				assert.Contains(t, h.What, h.Database)
				assert.Contains(t, k.String(), h.What)
			}
			assert.Equal(t, c.holds, strings.Join(holds, ", "))
			if c.refused == "" {
				assert.Empty(t, k.Refused)
			} else {
				assert.Contains(t, strings.Join(k.Refused, "\n"), c.refused)
			}
			if c.note == "" {
				assert.Empty(t, k.Notes)
			} else {
				assert.Contains(t, strings.Join(k.Notes, "\n"), c.note)
			}
		})
	}
}

func TestWhyKeptOfLittle(t *testing.T) {
	t.Parallel()
	assert.Equal(t, &ese.Kept{}, ese.WhyKept(ese.Stream{}))
	s := madeStream(t)
	s.Logs = s.Logs[11:] // the current one
	mail(s).FullPrevious = ese.BackupMark{}
	k := ese.WhyKept(*s)
	assert.Zero(t, k.First+k.Last+k.FreeLast)
	assert.Empty(t, k.Holds)
	assert.Len(t, k.Refused, 2, "a log that is gone is told even so")
	assert.True(t, strings.HasPrefix(k.String(), "no closed logs are there\na backup of logs would be refused: mail.edb has had no full backup"))

	s = madeStream(t)
	s.Logs = s.Logs[10:]
	assert.True(t, strings.HasPrefix(ese.WhyKept(*s).String(), "log 0x15 is there\nmail.edb holds logs from 0x13 on: its last full backup was 2024-03-01 12:30:05Z by OS snapshot, logs 0xF to 0x12\n"))
}
