package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// summarizer is an Inspector that has something to say of all its files together, once each has been looked at.
type summarizer interface{ Summary() []Inspected }

// rowsOf are printed to people one below the other.
type rowsOf[T fmt.Stringer] []T

func (l rowsOf[T]) String() string {
	if len(l) == 0 {
		return "none"
	}
	var b strings.Builder
	for _, e := range l {
		b.WriteString("\n        " + e.String())
	}
	return b.String()
}

// catalogueSet is a backup of a database, whatever files it is in.
type catalogueSet struct {
	Kind     string    `json:"kind"`
	CopyOnly bool      `json:"copy_only"`
	GUID     mtf.GUID  `json:"guid"`
	Fork     mtf.GUID  `json:"recovery_fork_id"`
	FirstLSN mtf.LSN   `json:"first_lsn"`
	LastLSN  mtf.LSN   `json:"last_lsn"`
	Finished time.Time `json:"finished"`
	Position int       `json:"position"`
	Files    []string  `json:"files"`
	// Missing are the numbers of stripes that no file brought.
	Missing []int `json:"missing_stripes"`
}

func (s catalogueSet) String() string {
	text := fmt.Sprintf("%s, LSN %s to %s, %s: %s", s.Kind, s.FirstLSN, s.LastLSN, s.Finished.Format(time.RFC3339), strings.Join(s.Files, ", "))
	if s.Position > 1 {
		text += fmt.Sprintf(", set %d", s.Position)
	}
	if s.CopyOnly {
		text += ", copy-only"
	}
	if len(s.Missing) > 0 {
		text += fmt.Sprintf(", without stripe %s", strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Missing), " ", ", "), "[]"))
	}
	return text
}

// catalogueWindow is a stretch of time, or one moment, that can be restored to.
type catalogueWindow struct {
	Fork mtf.GUID  `json:"recovery_fork_id"`
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

func (w catalogueWindow) String() string {
	if w.From.Equal(w.To) {
		return w.From.Format(time.RFC3339)
	}
	return w.From.Format(time.RFC3339) + " to " + w.To.Format(time.RFC3339)
}

// catalogueGap is log that no file holds.
type catalogueGap struct {
	Fork mtf.GUID `json:"recovery_fork_id"`
	From mtf.LSN  `json:"from_lsn"`
	To   mtf.LSN  `json:"to_lsn"`
}

func (g catalogueGap) String() string { return fmt.Sprintf("LSN %s to %s", g.From, g.To) }

// catalogueFork is one course of a database's history.
type catalogueFork struct {
	ID      mtf.GUID  `json:"id"`
	Parent  mtf.GUID  `json:"parent"`
	Point   mtf.LSN   `json:"fork_point_lsn"`
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	LastLSN mtf.LSN   `json:"last_lsn"`
}

func (f catalogueFork) String() string {
	text := fmt.Sprintf("%s, %s to %s, up to LSN %s", f.ID, f.From.Format(time.RFC3339), f.To.Format(time.RFC3339), f.LastLSN)
	if !f.Parent.IsZero() {
		text += fmt.Sprintf(", left %s at LSN %s", f.Parent, f.Point)
	}
	return text
}

// catalogueLost is a backup that cannot be used.
type catalogueLost struct {
	GUID mtf.GUID `json:"guid"`
	Why  string   `json:"why"`
}

func (l catalogueLost) String() string { return l.Why }

// Summary tells what the files are together, a database each, when there are several. Gaps and missing files are no damage of the files that are there.
func (m *mssqlMedia) Summary() []Inspected {
	if m.files < 2 {
		return nil
	}
	var all []Inspected
	for _, d := range chain.Catalogue(m.sets) {
		sets, dir := rowsOf[catalogueSet]{}, ""
		for _, s := range d.Sets {
			c := catalogueSet{Kind: string(s.Type.Kind()), CopyOnly: s.CopyOnly, GUID: s.GUID, Fork: s.Fork, FirstLSN: s.FirstLSN, LastLSN: s.LastLSN, Finished: s.Finished,
				Position: s.Position, Files: slices.DeleteFunc(slices.Clone(s.Devices), func(name string) bool { return name == "" }), Missing: append([]int{}, s.Missing()...)}
			for i, name := range c.Files {
				dir, c.Files[i] = common(dir, filepath.Dir(name)), filepath.Base(name)
			}
			sets = append(sets, c)
		}
		windows, gaps, forks, lost := rowsOf[catalogueWindow]{}, rowsOf[catalogueGap]{}, rowsOf[catalogueFork]{}, rowsOf[catalogueLost]{}
		for _, w := range d.Windows {
			windows = append(windows, catalogueWindow{w.Fork, w.From, w.To})
		}
		for _, g := range d.Gaps {
			gaps = append(gaps, catalogueGap{g.Fork, g.From, g.To})
		}
		for _, f := range d.Forks {
			forks = append(forks, catalogueFork{f.ID, f.Parent, f.Point, f.From, f.To, f.LastLSN})
		}
		for _, l := range d.Lost {
			lost = append(lost, catalogueLost{l.Set.GUID, l.Why.Error()})
		}
		all = append(all, Inspected{Path: dir, Type: "SQL Server database", OK: true, Problems: []string{}, Details: map[string]any{
			"database": d.Name, "names": append([]string{}, d.Names...), "servers": append([]string{}, d.Servers...), "family_guid": d.Family,
			"backups": sets, "windows": windows, "missing_log": gaps, "forks": forks, "unusable": lost}})
	}
	return all
}

// common is the directory that holds both. An empty one is no directory yet.
func common(a, b string) string {
	if a == "" {
		return b
	}
	for {
		if rel, err := filepath.Rel(a, b); err == nil && filepath.IsLocal(rel) {
			return a
		}
		up := filepath.Dir(a)
		if up == a {
			return a
		}
		a = up
	}
}
