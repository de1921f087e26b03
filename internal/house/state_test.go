package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const stateRule = "libraries hold no state of their own: several differently configured instances must live in one process"

func TestNoHiddenState(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t, "linux") {
		fset := token.NewFileSet()
		files := parse(t, fset, p.Dir, slices.Concat(p.GoFiles, p.CgoFiles))
		check(t, p.ImportPath+": "+stateRule, hiddenState(fset, files))
	}
}

func TestHiddenStateIsFound(t *testing.T) {
	t.Parallel()
	for name, src := range map[string]string{
		"init":            `func init() {}`,
		"no value":        `var count int`,
		"lock":            `import "sync"; var mu = sync.Mutex{}`,
		"pointer to lock": `import "sync"; var mu = &sync.Mutex{}`,
		"pool":            `import "sync"; var pool = sync.Pool{}`,
		"atomic":          `import "sync/atomic"; var n = new(atomic.Int64)`,
		"channel":         `var c = make(chan int)`,
		"assigned":        `var level = 3; func Set(n int) { level = n }`,
		"counted":         `var n = 0; func f() { n++ }`,
		"map entry":       `var m = map[string]int{}; func Register(s string) { m[s] = 1 }`,
		"map delete":      `var m = map[string]int{"a": 1}; func f() { delete(m, "a") }`,
		"field":           `var c = struct{ N int }{}; func f() { c.N = 2 }`,
		"address":         `var c = 5; func f() *int { return &c }`,
		"exported":        `var Default = 5`,
	} {
		assert.NotEmpty(t, stateOf(t, src), "%s: not found", name)
	}
	for name, src := range map[string]string{
		"sentinel": `import "errors"; var ErrBusy = errors.New("busy")`,
		"wrapped":  `import ("errors"; "fmt"); var ErrPath = fmt.Errorf("none: %w", errors.ErrUnsupported)`,
		"guard":    `import "io"; var _ io.Reader = (*T)(nil); type T struct{ io.Reader }`,
		"table":    `var names = [...]string{"a", "b"}; func f(i int) string { return names[i] }`,
		"local":    `var n = 1; func f() int { n := n; n++; return n }`,
		"param":    `var n = 1; func f(n int) { n = 2; _ = n }`,
		"embed":    "import _ \"embed\"\n//go:embed x.txt\nvar text string",
	} {
		assert.Empty(t, stateOf(t, src), "%s: refused", name)
	}
}

func stateOf(t *testing.T, src string) []string {
	t.Helper()
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "x.go", "package x\n"+src, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	return hiddenState(fset, []source{{name: "x.go", file: f}})
}

// hiddenState names the init functions of a package and the package-level variables that change or could.
func hiddenState(fset *token.FileSet, files []source) (bad []string) {
	vars := map[string]bool{}
	for _, s := range files {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					bad = append(bad, fmt.Sprintf("%s: func init", fset.Position(d.Pos())))
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					bad = append(bad, variables(fset, d, vars)...)
				}
			}
		}
	}
	for _, s := range files {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				bad = append(bad, changes(fset, f, vars)...)
			}
		}
	}
	return bad
}

// variables judges the declarations of d and adds their names to vars.
func variables(fset *token.FileSet, d *ast.GenDecl, vars map[string]bool) (bad []string) {
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		for i, n := range v.Names {
			if n.Name == "_" {
				continue
			}
			vars[n.Name] = true
			var value ast.Expr
			if i < len(v.Values) {
				value = v.Values[i]
			} else if len(v.Values) == 1 {
				value = v.Values[0]
			}
			where := fmt.Sprintf("%s: var %s ", fset.Position(n.Pos()), n.Name)
			switch {
			case value == nil && (embedded(d.Doc) || embedded(v.Doc)):
			case value == nil:
				bad = append(bad, where+"has no value: it can only be there to change")
			case changing(v.Type) || changing(value):
				bad = append(bad, where+"is a lock, a pool, a counter or a channel")
			case ast.IsExported(n.Name) && !sentinel(value):
				bad = append(bad, where+"is exported and anyone may assign to it")
			}
		}
	}
	return bad
}

func embedded(c *ast.CommentGroup) bool {
	return c != nil && slices.ContainsFunc(c.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// changing reports whether an expression makes something whose only use is to change: sync.Mutex{}, new(atomic.Int64), make(chan T).
func changing(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return changing(e.Type)
	case *ast.UnaryExpr:
		return changing(e.X)
	case *ast.StarExpr:
		return changing(e.X)
	case *ast.ChanType:
		return true
	case *ast.IndexExpr:
		return changing(e.X)
	case *ast.SelectorExpr:
		x, ok := e.X.(*ast.Ident)
		return ok && (x.Name == "atomic" || x.Name == "sync" && !strings.HasPrefix(e.Sel.Name, "Once"))
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.Ident); ok && (f.Name == "make" || f.Name == "new") {
			return changing(e.Args[0])
		}
	}
	return false
}

// sentinel reports whether a value is an error made once.
func sentinel(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := c.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := f.X.(*ast.Ident)
	return ok && (x.Name == "errors" && f.Sel.Name == "New" || x.Name == "fmt" && f.Sel.Name == "Errorf")
}

// changes finds where f assigns to one of vars or hands out its address.
func changes(fset *token.FileSet, f *ast.FuncDecl, vars map[string]bool) (bad []string) {
	local := locals(f)
	hit := func(e ast.Expr, how string) {
		if n := base(e); n != nil && vars[n.Name] && !local[n.Name] {
			bad = append(bad, fmt.Sprintf("%s: var %s is %s", fset.Position(n.Pos()), n.Name, how))
		}
	}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			for _, l := range n.Lhs {
				if n.Tok != token.DEFINE {
					hit(l, "assigned to")
				}
			}
		case *ast.IncDecStmt:
			hit(n.X, "counted")
		case *ast.UnaryExpr:
			if n.Op == token.AND {
				hit(n.X, "handed out by address")
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
				hit(n.Args[0], "emptied")
			}
		}
		return true
	})
	return bad
}

// base is the variable an expression such as v.f[i].g reaches into.
func base(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// locals are the names f declares itself, which hide package-level ones. Scopes inside f are not told apart: a name that is local
// somewhere in f counts as local everywhere in it.
func locals(f *ast.FuncDecl) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Field:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		case *ast.AssignStmt:
			if n.Tok == token.DEFINE {
				for _, l := range n.Lhs {
					if id, ok := l.(*ast.Ident); ok {
						names[id.Name] = true
					}
				}
			}
		case *ast.RangeStmt:
			for _, e := range []ast.Expr{n.Key, n.Value} {
				if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
					names[id.Name] = true
				}
			}
		case *ast.ValueSpec:
			for _, id := range n.Names {
				names[id.Name] = true
			}
		}
		return true
	})
	return names
}
