package mssql

import (
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/mssql/chain"
)

// move gives a file of a database another place: MOVE 'logical' TO 'path'.
type move struct{ Logical, Path string }

// Types of files in RESTORE FILELISTONLY.
const (
	dataFile     = "D"
	logFile      = "L"
	containerDir = "S" // a directory of FILESTREAM or memory-optimised data
)

// placement finds places for the files of the databases of one restore.
//
// A database that keeps its name keeps the paths of its files. Under another name, and where another database has the path, a file goes to
// the directory given, or else the server's own for new databases, under a name made of the database's, numbered when that is taken.
type placement struct {
	options         restoreOptions
	dataDir, logDir string            // the server's own
	taken           map[string]string // by folded path: which database has it
	separator       string
}

// newPlacement knows the directories of a server and the files of its databases. overwritten tells which of them this restore replaces: their files are free.
func newPlacement(o restoreOptions, h *host, overwritten func(database string) bool) *placement {
	p := &placement{options: o, dataDir: h.dataDir, logDir: h.logDir, taken: map[string]string{}, separator: "/"}
	if strings.Contains(h.dataDir+o.dataDir, `\`) {
		p.separator = `\`
	}
	for _, d := range h.databases {
		if overwritten(d.name) {
			continue
		}
		for _, file := range d.files {
			p.taken[foldPath(file.physical)] = d.name
		}
	}
	return p
}

// foldPath makes paths comparable. Case is ignored everywhere: on Windows paths differ in it for nothing, elsewhere hardly ever on purpose.
func foldPath(path string) string { return strings.ToLower(strings.ReplaceAll(path, "/", `\`)) }

// place returns the moves that files of database item need when it becomes name, and takes their places.
func (p *placement) place(item, name string, files []chain.File) ([]move, error) {
	var moves []move
	primary := true
	for _, f := range files {
		path, err := p.path(item, name, f, primary && f.Type == dataFile)
		if err != nil {
			return nil, err
		}
		if f.Type == dataFile {
			primary = false
		}
		p.taken[foldPath(path)] = name
		if path != f.Physical {
			moves = append(moves, move{f.Logical, path})
		}
	}
	for logical := range p.options.moves {
		if !hasLogical(files, logical) {
			return nil, fmt.Errorf("restore option %s%s: %q has no such file; it has %s", movePrefix, logical, item, logicalNames(files))
		}
	}
	return moves, nil
}

func (p *placement) path(item, name string, f chain.File, primary bool) (string, error) {
	if to := lookupFold(p.options.moves, f.Logical); to != "" {
		if owner, ok := p.taken[foldPath(to)]; ok {
			return "", fmt.Errorf("restore option %s%s=%s: database %q has a file there", movePrefix, f.Logical, to, owner)
		}
		return to, nil
	}
	given := p.options.dataDir
	fallback := p.dataDir
	if f.Type == logFile {
		given, fallback = p.options.logDir, p.logDir
		if given == "" && p.options.dataDir != "" {
			given = p.options.dataDir
		}
	}
	_, clash := p.taken[foldPath(f.Physical)]
	if item == name && given == "" && !clash {
		return f.Physical, nil
	}
	dir := given
	if dir == "" {
		dir = fallback
	}
	if dir == "" {
		return "", fmt.Errorf("no place for file %q of %q: the server does not tell its default directory; give data_dir and log_dir", f.Logical, name)
	}
	if !strings.HasSuffix(dir, p.separator) {
		dir += p.separator
	}
	stem, ext := fileName(name, f, primary)
	return p.free(dir, stem, ext), nil
}

// free is the first of dir/stem.ext, dir/stem_2.ext, ... that no database has.
func (p *placement) free(dir, stem, ext string) string {
	for n := 1; ; n++ {
		path := dir + stem + ext
		if n > 1 {
			path = fmt.Sprintf("%s%s_%d%s", dir, stem, n, ext)
		}
		if _, ok := p.taken[foldPath(path)]; !ok {
			return path
		}
	}
}

// fileName derives a name from the new name of the database: shop.mdf, shop_archive.ndf, shop_log.ldf, and shop_docs for a directory.
func fileName(database string, f chain.File, primary bool) (stem, ext string) {
	stem = cleanName(database)
	switch {
	case f.Type == logFile:
		stem, ext = stem+"_log", ".ldf"
	case f.Type == dataFile && primary:
		ext = ".mdf"
	case f.Type == dataFile:
		stem, ext = stem+"_"+cleanName(f.Logical), ".ndf"
	default:
		stem += "_" + cleanName(f.Logical)
	}
	return stem, ext
}

// cleanName replaces what a file name cannot hold on any system.
func cleanName(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || strings.ContainsRune(`<>:"/\|?*`, r) {
			return '_'
		}
		return r
	}, s)
	s = strings.TrimRight(s, ". ")
	if s == "" {
		return "_"
	}
	return s
}

func hasLogical(files []chain.File, name string) bool {
	for _, f := range files {
		if strings.EqualFold(f.Logical, name) {
			return true
		}
	}
	return false
}

func logicalNames(files []chain.File) string {
	var names []string
	for _, f := range files {
		names = append(names, f.Logical)
	}
	return strings.Join(names, ", ")
}

// lookupFold finds a name in any case.
func lookupFold(m map[string]string, name string) string {
	for k, v := range m {
		if strings.EqualFold(k, name) {
			return v
		}
	}
	return ""
}
