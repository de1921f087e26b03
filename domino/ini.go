package domino

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxIncludes bounds how deep files that are included may include others.
const maxIncludes = 16

// ini is notes.ini with the files it includes: name=value lines, of which names are told apart without regard to case.
type ini struct {
	values map[string]string
	// paths are notes.ini itself, and what it includes.
	paths []string
}

// readINI reads notes.ini and, after each line include=FILE, that file, with a path relative to the file that names it. No vendor document at hand describes such a line; servers that do not know it
// ignore it, and to keep a file too many does no harm. An included file that is not there is in missing.
func readINI(path string) (n *ini, missing []string, err error) {
	n = &ini{values: map[string]string{}}
	missing, err = n.read(path, 0)
	return n, missing, err
}

func (n *ini) read(path string, depth int) (missing []string, err error) {
	for _, p := range n.paths {
		if p == path {
			return nil, nil
		}
	}
	if depth > maxIncludes {
		return nil, fmt.Errorf("%s: files include each other more than %d deep", path, maxIncludes)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) && depth > 0 {
		return []string{path}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	n.paths = append(n.paths, path)
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if !ok {
			continue
		}
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if name == "include" && value != "" {
			if value = fromSlash(value); !filepath.IsAbs(value) {
				value = filepath.Join(filepath.Dir(path), value)
			}
			more, err := n.read(value, depth+1)
			if missing = append(missing, more...); err != nil {
				return missing, err
			}
			continue
		}
		if _, there := n.values[name]; !there { // the first one counts
			n.values[name] = value
		}
	}
	return missing, lines.Err()
}

// get is a value by its name.
func (n *ini) get(name string) string {
	if n == nil {
		return ""
	}
	return n.values[strings.ToLower(name)]
}

// fromSlash takes the separators of either system.
func fromSlash(path string) string {
	if filepath.Separator == '/' {
		return strings.ReplaceAll(path, `\`, "/")
	}
	return filepath.FromSlash(path)
}
