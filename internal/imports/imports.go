// Package imports holds the rules of the repository as an in-process test: who may import whom, which dependencies a
// package may take, package comments, sizes of files and functions, and words that no tracked file may hold.
//
// The rules are tables (tables.go). The checkers read the tree with go/parser through an fs.FS, never through the go
// command: a test that shells out passes from the cache with a forbidden import in place, while files opened by the
// test itself are part of its cache key.
package imports

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A Tree is a module's sources as the checkers see them.
type Tree struct {
	Module   string            // module path from go.mod
	Requires []string          // module paths that go.mod requires directly
	Packages map[string][]File // folder below the root, "." for the root itself, to its Go files
	Texts    map[string]string // every text file by path, Go files included
}

// A File is one Go source file.
type File struct {
	Path      string
	Imports   []string
	HasDoc    bool // it carries a package comment
	Generated bool
	Lines     int
	Funcs     []Func
	Bare      []string // exported types, functions and methods without a comment
	Contracts []string // methods of the interfaces declared here
	Declared  []string // package-level names and methods: "Name", "Type.Name"
}

// A Func is a declared function, named "Name" or "Type.Name", and its length in lines.
type Func struct {
	Name  string
	Lines int
}

// Test reports whether the file is compiled for tests only.
func (f File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Load reads a module from its root. Folders that .gitignore names and .git are left out; folders that the go command
// leaves out (a leading "_" or ".", testdata, nested modules) give texts but no packages.
func Load(fsys fs.FS) (*Tree, error) {
	t := &Tree{Packages: map[string][]File{}, Texts: map[string]string{}}
	if err := t.readModule(fsys); err != nil {
		return nil, err
	}
	ignored := readIgnore(fsys)
	nested := map[string]bool{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name != "." && (d.Name() == ".git" || ignored.match(name, d.IsDir())) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
			nested[name] = name != "." && (nested[path.Dir(name)] || err == nil || outsideModule(name))
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		return t.add(fsys, name, nested[path.Dir(name)])
	})
	return t, err
}

// outsideModule tells which folders the go command passes over. internal/testdata is a package in spite of its name:
// it is imported by path.
func outsideModule(dir string) bool {
	base := path.Base(dir)
	return strings.HasPrefix(base, "_") || strings.HasPrefix(base, ".") || base == "testdata" && dir != "internal/testdata"
}

func (t *Tree) add(fsys fs.FS, name string, nested bool) error {
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if bytes.IndexByte(src[:min(len(src), 8000)], 0) >= 0 {
		return nil // binary
	}
	t.Texts[name] = string(src)
	if path.Ext(name) != ".go" || nested {
		return nil
	}
	f, err := parse(name, src)
	if err != nil {
		return err
	}
	t.Packages[path.Dir(name)] = append(t.Packages[path.Dir(name)], f)
	return nil
}

func parse(name string, src []byte) (File, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return File{}, err
	}
	f := File{Path: name, HasDoc: tree.Doc != nil, Generated: ast.IsGenerated(tree), Lines: bytes.Count(src, []byte("\n"))}
	for _, spec := range tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return File{}, fmt.Errorf("%s: import %s: %w", name, spec.Path.Value, err)
		}
		f.Imports = append(f.Imports, p)
	}
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			lines := set.Position(d.End()).Line - set.Position(d.Pos()).Line + 1
			f.Funcs = append(f.Funcs, Func{Name: funcName(d), Lines: lines})
			f.Declared = append(f.Declared, funcName(d))
			if d.Doc == nil && exported(funcName(d)) {
				f.Bare = append(f.Bare, funcName(d))
			}
		case *ast.GenDecl:
			f.Bare = append(f.Bare, bareTypes(d)...)
			f.Contracts = append(f.Contracts, contracts(d)...)
			f.Declared = append(f.Declared, declared(d)...)
		}
	}
	return f, nil
}

// contracts are the methods of the interfaces that a declaration makes.
func contracts(d *ast.GenDecl) []string {
	var out []string
	for _, m := range members(d) {
		_, name, _ := strings.Cut(m, ".")
		out = append(out, name)
	}
	return out
}

// declared are the names that a declaration makes, methods of interfaces and fields of structs among them.
func declared(d *ast.GenDecl) []string {
	out := members(d)
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			out = append(out, s.Name.Name)
			if body, ok := s.Type.(*ast.StructType); ok {
				out = append(out, names(s.Name.Name+".", body.Fields)...)
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				out = append(out, n.Name)
			}
		}
	}
	return out
}

// members are the methods of interfaces, as "Type.Name".
func members(d *ast.GenDecl) []string {
	var out []string
	for _, spec := range d.Specs {
		if t, ok := spec.(*ast.TypeSpec); ok {
			if face, ok := t.Type.(*ast.InterfaceType); ok {
				out = append(out, names(t.Name.Name+".", face.Methods)...)
			}
		}
	}
	return out
}

func names(prefix string, list *ast.FieldList) []string {
	var out []string
	for _, f := range list.List {
		for _, n := range f.Names {
			out = append(out, prefix+n.Name)
		}
	}
	return out
}

// exported tells whether every part of "Type.Name" is.
func exported(name string) bool {
	for part := range strings.SplitSeq(name, ".") {
		if !ast.IsExported(part) {
			return false
		}
	}
	return true
}

// bareTypes are the exported types of a declaration that neither it nor their own lines describe.
func bareTypes(d *ast.GenDecl) []string {
	var out []string
	for _, spec := range d.Specs {
		if t, ok := spec.(*ast.TypeSpec); ok && t.Name.IsExported() && d.Doc == nil && t.Doc == nil && t.Comment == nil {
			out = append(out, t.Name.Name)
		}
	}
	return out
}

func funcName(fn *ast.FuncDecl) string {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return fn.Name.Name
	}
	e := fn.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name + "." + fn.Name.Name
		default:
			return fn.Name.Name
		}
	}
}

// readModule takes the module path and the direct requirements from go.mod. It reads the two forms that the go command
// writes, a block and a line.
func (t *Tree) readModule(fsys fs.FS) error {
	src, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return err
	}
	block := ""
	for line := range strings.Lines(string(src)) {
		code, comment, _ := strings.Cut(line, "//")
		w := strings.Fields(code)
		switch {
		case len(w) == 0:
		case w[0] == ")":
			block = ""
		case len(w) == 2 && w[1] == "(":
			block = w[0]
		case block == "":
			t.directive(w[0], w[1:], comment)
		default:
			t.directive(block, w, comment)
		}
	}
	if t.Module == "" {
		return fmt.Errorf("go.mod: no module line")
	}
	slices.Sort(t.Requires)
	return nil
}

func (t *Tree) directive(verb string, args []string, comment string) {
	switch {
	case verb == "module" && len(args) == 1:
		t.Module = args[0]
	case verb == "require" && len(args) == 2 && strings.TrimSpace(comment) != "indirect":
		t.Requires = append(t.Requires, args[0])
	}
}
