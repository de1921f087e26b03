package house

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t, "linux") {
		if p.production() {
			assert.NotEmptyf(t, p.Doc, "%s has no package comment: say in doc.go what it is for", p.ImportPath)
		}
		if !p.public() || p.forTests() || !p.production() {
			continue
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, s := range parse(t, fset, p.Dir, slices.Concat(p.TestGoFiles, p.XTestGoFiles)) {
			files = append(files, s.file)
		}
		assert.NotEmptyf(t, doc.Examples(files...), "%s has no example: show its use in example_test.go, where it is compiled", p.ImportPath)
	}
}

// maxLines is the length of a file that still reads in one sitting, with some room.
const (
	maxLines     = 600
	maxFuncLines = 100
)

func TestFilesReadInOneSitting(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t, "linux") {
		fset := token.NewFileSet()
		for _, s := range parse(t, fset, p.Dir, slices.Concat(p.GoFiles, p.CgoFiles)) {
			check(t, fmt.Sprintf("%s/%s: one concept a file, one step a function", p.ImportPath, s.name), tooLong(fset, s.file))
		}
	}
}

func TestLongFilesAreFound(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	dir := t.TempDir()
	src := "package x\n\nfunc f() {" + strings.Repeat("\n", maxLines) + "}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "x.go"), []byte(src), 0o600))
	assert.Len(t, tooLong(fset, parse(t, fset, dir, []string{"x.go"})[0].file), 2)
}

func tooLong(fset *token.FileSet, f *ast.File) (bad []string) {
	if n := fset.File(f.Pos()).LineCount(); n > maxLines {
		bad = append(bad, fmt.Sprintf("%d lines, want at most %d", n, maxLines))
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFuncLines {
			bad = append(bad, fmt.Sprintf("func %s has %d lines, want at most %d", fn.Name.Name, n, maxFuncLines))
		}
	}
	return bad
}

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		check(t, path+": links lead somewhere", deadLinks(filepath.Dir(path), string(text)))
		return nil
	})
	require.NoError(t, err)
	assert.Positive(t, n, "no document found")
}

func TestDeadLinksAreFound(t *testing.T) {
	t.Parallel()
	assert.NotEmpty(t, deadLinks(".", "see [this](nowhere.md)"))
	assert.Empty(t, deadLinks(".", "see [this](doc.go#top), [that](https://example.org/x) and [up](#top)"))
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// deadLinks names the relative links of a text in dir that lead to no file.
func deadLinks(dir, text string) (bad []string) {
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		to, _, _ := strings.Cut(m[1], "#")
		if to == "" || strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(to))); err != nil {
			bad = append(bad, m[0])
		}
	}
	return bad
}
