package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/quiesce-go/quiesce"

// root is the repository as seen from this package's directory, where tests run.
const root = "../.."

// pkg is what the go command says about one package, as far as the rules ask.
type pkg struct {
	Dir          string
	ImportPath   string
	Name         string
	Doc          string
	Imports      []string // of the production files
	Deps         []string // the same, transitively
	GoFiles      []string
	CgoFiles     []string
	TestGoFiles  []string
	XTestGoFiles []string
	Standard     bool
}

// path is the import path below the module: "backup", "mssql/mtf", "" for the root.
func (p pkg) path() string { return below(p.ImportPath) }

func below(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func ours(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// first is the leading element of a path: the name of the room a package lives in.
func first(path string) string {
	f, _, _ := strings.Cut(path, "/")
	return f
}

// public reports whether a vendor can import p.
func (p pkg) public() bool {
	return p.Name != "main" && !strings.Contains("/"+p.path()+"/", "/internal/") && first(p.path()) != "examples"
}

// forTests reports whether p exists to be imported by tests, as its name says.
func (p pkg) forTests() bool { return strings.HasSuffix(p.Name, "test") }

// production reports whether p has files that are not tests.
func (p pkg) production() bool { return len(p.GoFiles)+len(p.CgoFiles) > 0 }

// platforms are those whose files the import rules read; constraints may hide an import from one of them.
var platforms = [...]string{"linux", "windows", "darwin"}

// packages lists every package of the workspace, or of this module alone when there is no workspace.
func packages(t *testing.T, goos string) []pkg {
	t.Helper()
	list := func() ([]pkg, error) { return list(goos) }
	if goos == "linux" {
		list = listLinux
	}
	all, err := list()
	require.NoError(t, err)
	require.NotEmpty(t, all, "go list found no package")
	return all
}

// listLinux asks once for what several tests need.
var listLinux = sync.OnceValues(func() ([]pkg, error) { return list("linux") })

func list(goos string) ([]pkg, error) {
	cmd := exec.Command("go", "list",
		"-json=Dir,ImportPath,Name,Doc,Imports,Deps,GoFiles,CgoFiles,TestGoFiles,XTestGoFiles", "work")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=amd64", "CGO_ENABLED=0")
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list for %s: %w: %s", goos, err, errText.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", goos, err)
		}
		all = append(all, p)
	}
}

// source is one parsed file with its name below the repository.
type source struct {
	name string
	file *ast.File
}

// parse reads the named files of a package.
func parse(t *testing.T, fset *token.FileSet, dir string, names []string) []source {
	t.Helper()
	var all []source
	for _, n := range names {
		f, err := parser.ParseFile(fset, filepath.Join(dir, n), nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		all = append(all, source{name: n, file: f})
	}
	return all
}

// check reports every complaint at once, each with the rule it breaks.
func check(t *testing.T, rule string, complaints []string) {
	t.Helper()
	if len(complaints) > 0 {
		t.Errorf("%s\n  %s", rule, strings.Join(complaints, "\n  "))
	}
}
