package domino

import (
	"path"
	"slices"
	"strings"
)

// filter decides which databases belong to a backup.
type filter struct{ include, exclude []string }

// takes reports whether the database belongs to the backup.
func (f filter) takes(name string) bool {
	matches := func(pattern string) bool { return glob(strings.ToLower(pattern), strings.ToLower(name)) }
	return !slices.ContainsFunc(f.exclude, matches) && (len(f.include) == 0 || slices.ContainsFunc(f.include, matches))
}

// missing lists the names in include, without wildcards, that are not among those there.
func (f filter) missing(have func(lower string) bool) []string {
	return slices.DeleteFunc(slices.Clone(f.include), func(p string) bool { return strings.ContainsAny(p, "*?") || have(strings.ToLower(p)) })
}

// glob matches * and ? in pattern against name; * also matches slashes.
func glob(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return len(name) == len(first) && same(name, first)
	}
	if len(name) < len(first) || !same(name[:len(first)], first) {
		return false
	}
	for name = name[len(first):]; ; name = name[1:] {
		if glob(rest, name) {
			return true
		}
		if name == "" {
			return false
		}
	}
}

// same compares with ? for any one byte. Both have the same length.
func same(name, pattern string) bool {
	for i := range len(pattern) {
		if pattern[i] != '?' && pattern[i] != name[i] {
			return false
		}
	}
	return true
}

// isDatabase reports whether a file of that name is backed up as a database: *.ns?, *.nt? and *.box.
func isDatabase(name string) bool {
	ext := strings.ToLower(path.Ext(name))
	return len(ext) == 4 && (strings.HasPrefix(ext, ".ns") || strings.HasPrefix(ext, ".nt")) || ext == ".box"
}

// unfinished ends the names under which a restore keeps what is not yet a database of the server, and what it is about to replace.
const (
	unfinished = ".quiesce"
	replaced   = ".quiesce-old"
)

// rebuilt reports whether the file is one that Domino makes anew, or that says nothing when it is gone [ADM DAOS index files], or ours.
func rebuilt(name string) bool {
	base := strings.ToLower(path.Base(name))
	switch base {
	case "daos.cfg", "daos.cf2", "daoscat.nsf", "dbdirman.nsf", "nlogctrl.lfh", "pid.nbf":
		return true
	}
	switch path.Ext(base) {
	case ".lck", ".dtf", ".tmp", ".mtc", ".txn", unfinished, replaced:
		return true
	}
	return strings.HasPrefix(base, listPrefix)
}

// rebuiltDirectory reports whether all of a directory is left out: full-text indexes and diagnostics.
func rebuiltDirectory(name string) bool {
	base := strings.ToLower(path.Base(name))
	return path.Ext(base) == ".ft" || base == "ibm_technical_support" || base == "hcl_technical_support"
}
