package cli

import (
	"cmp"
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/exchange/ese"
)

// eseSeries is all that was found of one series of logs.
type eseSeries struct {
	signature   ese.Signature
	folders     []eseFolder
	databases   []eseFound[*ese.Database]
	checkpoints []eseFound[*ese.Checkpoint]
}

// eseFolder is the logs in a directory that have one base name, which are one chain or should be.
type eseFolder struct {
	dir, base string
	logs      []ese.NamedLog
}

// eseFolderLine is such logs, as --json prints them.
type eseFolderLine struct {
	Dir     string   `json:"dir"`
	Base    string   `json:"base"`
	Logs    eseRange `json:"logs"`
	Files   int      `json:"files"`
	Current bool     `json:"current"` // the log that is being written is there
}

func (l eseFolderLine) String() string {
	text := filepath.Join(l.Dir, l.Base) + "*: " + l.Logs.String()
	if l.Current {
		text += ", with the one that is being written"
	}
	return text
}

// eseRecovery is whether a database can be recovered with the logs that are there.
type eseRecovery struct {
	Database  string   `json:"database"`
	Possible  bool     `json:"possible"`
	Lossless  bool     `json:"lossless"`
	Required  eseRange `json:"required_logs"`
	Committed uint32   `json:"committed_log"`
	Replay    eseRange `json:"replayable_logs"`
	Checked   string   `json:"checked"`
	Verdict   string   `json:"verdict"`
	Reasons   []string `json:"reasons"`
	Notes     []string `json:"notes"`
}

func (r eseRecovery) String() string {
	text := r.Database + ": " + r.Verdict
	for _, line := range slices.Concat(r.Reasons, r.Notes) {
		text += "\n          " + line
	}
	return text
}

// eseHold is what keeps logs on a server.
type eseHold struct {
	Cause    ese.Cause `json:"cause"`
	Database string    `json:"database"`
	From     uint32    `json:"from"`
	What     string    `json:"what"`
}

func (h eseHold) String() string { return h.What }

// eseSentences are printed to people one below the other.
type eseSentence string

func (s eseSentence) String() string { return string(s) }

func sentences(all []string) rowsOf[eseSentence] {
	rows := rowsOf[eseSentence]{}
	for _, s := range all {
		rows = append(rows, eseSentence(s))
	}
	return rows
}

// Summary tells what the files are together: of each series of logs whether it is a chain, whether the databases can be recovered with it, and, where a server still writes to it, why logs were kept.
// What is missing is no damage of the files that are there; a log that is out of its place is.
func (i eseDatabase) Summary() []Inspected {
	var all []Inspected
	for _, s := range i.all.series() {
		all = append(all, s.inspected())
	}
	slices.SortStableFunc(all, func(a, b Inspected) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// series brings together what belongs together. Logs stay with those in their folder that have their base name, whatever they say, so that a foreign one among them is found.
func (f *eseFiles) series() []*eseSeries {
	folders := map[[2]string]*eseFolder{}
	for _, l := range f.logs {
		name, ok := ese.ParseLogName(l.base())
		if !ok {
			continue // as a recycled one: no part of a chain
		}
		key := [2]string{l.dir(), strings.ToLower(name.Base)}
		if folders[key] == nil {
			folders[key] = &eseFolder{dir: l.dir(), base: name.Base}
		}
		folders[key].logs = append(folders[key].logs, ese.NamedLog{Name: l.base(), Log: l.what})
	}
	all, byDir := map[ese.Signature]*eseSeries{}, map[string]*eseSeries{}
	of := func(signature ese.Signature) *eseSeries {
		if all[signature] == nil {
			all[signature] = &eseSeries{signature: signature}
		}
		return all[signature]
	}
	for _, key := range slices.SortedFunc(maps.Keys(folders), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		s := of(folders[key].signature())
		s.folders = append(s.folders, *folders[key])
		byDir[key[0]] = s
	}
	for _, c := range f.checkpoints {
		if s := cmp.Or(all[c.what.Signature], byDir[c.dir()]); s != nil {
			s.checkpoints = append(s.checkpoints, c)
		}
	}
	logless := []*eseSeries{}
	for _, d := range f.databases {
		switch s := cmp.Or(all[d.what.LogSignature], byDir[d.dir()]); {
		case d.what.Streaming:
		case s != nil:
			s.databases = append(s.databases, d)
		case !d.what.Clean() && len(f.databases)+len(f.logs)+len(f.checkpoints) > 1:
			logless = append(logless, &eseSeries{signature: d.what.LogSignature, databases: []eseFound[*ese.Database]{d}})
		}
	}
	bySignature := func(a, b *eseSeries) int { return strings.Compare(a.signature.String(), b.signature.String()) }
	return append(logless, slices.SortedFunc(maps.Values(all), bySignature)...)
}

// signature is that of most of the logs; of as many, that of the newest.
func (f eseFolder) signature() (best ese.Signature) {
	votes := map[ese.Signature]int{}
	slices.SortStableFunc(f.logs, func(a, b ese.NamedLog) int { return cmp.Compare(a.Log.Generation, b.Log.Generation) })
	for _, l := range f.logs {
		if votes[l.Log.Signature]++; votes[l.Log.Signature] >= votes[best] {
			best = l.Log.Signature
		}
	}
	return best
}

// inspected is what is said of a series.
func (s *eseSeries) inspected() Inspected {
	dir := ""
	for _, f := range s.folders {
		dir = common(dir, f.dir)
	}
	for _, d := range s.databases {
		dir = common(dir, d.dir())
	}
	name := func(path string) string {
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return path
		}
		return rel
	}
	one := Inspected{Path: dir, Type: "ESE log series", Problems: []string{}}
	chains, breaks, recoveries, logs := rowsOf[eseFolderLine]{}, []string{}, rowsOf[eseRecovery]{}, []ese.NamedLog{}
	for _, f := range s.folders {
		line := f.line(name(f.dir))
		chains, logs = append(chains, line), append(logs, f.logs...)
		for _, e := range joined(ese.CheckChain(s.signature, f.logs)) {
			if missing(e) {
				breaks = append(breaks, e.Error())
			} else {
				one.Problems = append(one.Problems, e.Error())
			}
		}
	}
	var checkpoint *ese.Checkpoint
	if len(s.checkpoints) > 0 {
		checkpoint = s.checkpoints[0].what
	}
	var named []ese.NamedDatabase
	for _, d := range s.databases {
		recoveries = append(recoveries, recovery(name(d.path), ese.Explain(ese.Set{Database: d.what, Logs: logs, Checkpoint: checkpoint})))
		named = append(named, ese.NamedDatabase{Name: name(d.path), Database: d.what})
	}
	m := map[string]any{"log_signature": s.signature.String(), "server": plain(s.signature.Computer), "logs": chains, "missing_logs": sentences(breaks), "databases": recoveries, "checkpoint": "none"}
	if checkpoint != nil {
		m["checkpoint"] = checkpoint.At.String()
	}
	if len(chains) == 1 && chains[0].Current && len(named) > 0 {
		whyKept(m, ese.WhyKept(ese.Stream{Databases: named, Logs: logs, Checkpoint: checkpoint}))
	}
	one.Details, one.OK = m, len(one.Problems) == 0
	return one
}

// missing reports whether a break is only that logs are not there.
func missing(err error) bool {
	var b *ese.BreakError
	return errors.As(err, &b) && b.Break == ese.Missing
}

func (f eseFolder) line(dir string) eseFolderLine {
	l := eseFolderLine{Dir: dir, Base: f.base, Files: len(f.logs), Logs: eseRange{f.logs[0].Log.Generation, f.logs[len(f.logs)-1].Log.Generation}}
	for _, n := range f.logs {
		if name, ok := ese.ParseLogName(n.Name); ok && name.Generation == 0 {
			l.Current = true
		}
	}
	return l
}

func recovery(name string, r *ese.Recovery) eseRecovery {
	return eseRecovery{Database: name, Possible: r.Possible, Lossless: r.Lossless, Required: eseRange{r.RequiredFirst, r.RequiredLast}, Committed: r.CommittedLast, Replay: eseRange{r.First, r.Last},
		Checked: eseChecked(r.Depth), Verdict: r.String(), Reasons: append([]string{}, r.Reasons...), Notes: append([]string{}, r.Notes...)}
}

// whyKept says why a server kept its logs.
func whyKept(m map[string]any, k *ese.Kept) {
	holds := rowsOf[eseHold]{}
	for _, h := range k.Holds {
		holds = append(holds, eseHold{h.Cause, h.Database, h.First, h.What})
	}
	free := eseRange{}
	if k.FreeLast > 0 {
		free = eseRange{k.First, k.FreeLast}
	}
	m["kept_logs"], m["kept_because"], m["kept_without_need"], m["circular"] = eseRange{k.First, k.Last}, holds, free, k.Circular
	m["log_backup_refused"], m["kept_notes"] = sentences(k.Refused), sentences(k.Notes)
}
