package imports

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A Rules value is what a tree is checked against. Rules() gives this repository's own.
type Rules struct {
	Order        []string
	Only         map[string][]string
	Exceptions   map[string]string
	Dependencies map[string]Dependency
	LongFiles    map[string]string
	LongFuncs    map[string]string
}

// Own returns the tables of this repository.
func Own() Rules {
	return Rules{Order, Only, Exceptions, Dependencies, LongFiles, LongFuncs}
}

// Check returns one line for each breach of the rules, sorted; none when the tree keeps them all.
func (r Rules) Check(t *Tree) []string {
	problems := slices.Concat(r.order(t), r.dependencies(t), comments(t), r.sizes(t), words(t), documents(t))
	slices.Sort(problems)
	return slices.Compact(problems)
}

// family returns the entry of Order that holds a package, or "".
func (r Rules) family(pkg string) string {
	for _, name := range r.Order {
		if pkg == name || strings.HasPrefix(pkg, name+"/") {
			return name
		}
	}
	return ""
}

// order checks imports inside the module against Order, Only and Exceptions.
func (r Rules) order(t *Tree) []string {
	var out []string
	used := map[string]bool{}
	for pkg, files := range t.Packages {
		if r.family(pkg) == "" {
			out = append(out, fmt.Sprintf("%s: package is not in the order table; add it where it belongs (internal/imports/tables.go)", pkg))
			continue
		}
		for _, f := range files {
			for _, p := range f.Imports {
				to, ok := strings.CutPrefix(p, t.Module+"/")
				if !ok {
					continue
				}
				fault := r.fault(pkg, to)
				if fault == "" {
					continue
				}
				key := pkg + " -> " + to
				if r.Exceptions[key] != "" {
					used[key] = true
					continue
				}
				out = append(out, fmt.Sprintf("%s: imports %s: %s", f.Path, to, fault))
			}
		}
	}
	return append(out, stale("exception", r.Exceptions, used)...)
}

// fault says what is wrong with package from importing package to, or "".
func (r Rules) fault(from, to string) string {
	a, b := r.family(from), r.family(to)
	if b == "" {
		return "package is not in the order table"
	}
	if only := r.Only[b]; only != nil && a != b && !slices.Contains(only, a) {
		return fmt.Sprintf("only %s may import it", strings.Join(only, ", "))
	}
	if slices.Index(r.Order, a) > slices.Index(r.Order, b) {
		return fmt.Sprintf("%s stands below %s; pass what is needed in as a small interface or function", a, b)
	}
	return ""
}

// dependencies checks imports from outside and go.mod against Dependencies.
func (r Rules) dependencies(t *Tree) []string {
	var out []string
	for pkg, files := range t.Packages {
		for _, f := range files {
			for _, p := range f.Imports {
				if fault := r.foreign(t, pkg, f, p); fault != "" {
					out = append(out, fmt.Sprintf("%s: imports %s: %s", f.Path, p, fault))
				}
			}
		}
	}
	for _, m := range t.Requires {
		if _, ok := r.Dependencies[m]; !ok {
			out = append(out, fmt.Sprintf("go.mod: requires %s, which the table of dependencies does not name", m))
		}
	}
	return out
}

// foreign says what is wrong with file f of pkg importing path p from outside the module, or "".
func (r Rules) foreign(t *Tree, pkg string, f File, p string) string {
	if p == "C" {
		return "no cgo"
	}
	first, _, _ := strings.Cut(p, "/")
	if p == t.Module || strings.HasPrefix(p, t.Module+"/") || !strings.Contains(first, ".") {
		return "" // own or standard library
	}
	name := moduleOf(p, r.Dependencies)
	d, ok := r.Dependencies[name]
	switch {
	case !ok:
		return "no module of the table of dependencies holds it"
	case !slices.Contains(t.Requires, name):
		return fmt.Sprintf("go.mod does not require %s directly", name)
	case d.TestOnly && !f.Test():
		return fmt.Sprintf("%s is for tests only", name)
	case d.Packages != nil && !slices.Contains(d.Packages, r.family(pkg)):
		return fmt.Sprintf("%s is for %s", name, strings.Join(d.Packages, ", "))
	}
	return ""
}

// moduleOf returns the longest module path of the table that holds an import path, or "".
func moduleOf(p string, table map[string]Dependency) string {
	best := ""
	for m := range table {
		if (p == m || strings.HasPrefix(p, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

// standardMethods have a meaning that the standard library gives them; a comment would only repeat it.
var standardMethods = []string{"String", "Error", "Unwrap", "Is", "As", "Len", "Less", "Swap", "Close", "Read", "Write", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText", "ServeHTTP"}

// comments asks one package comment of each package, and a comment of each exported type, function and method outside
// tests. A method that an interface of the same package names is described there.
func comments(t *Tree) []string {
	var out []string
	for pkg, files := range t.Packages {
		if !slices.ContainsFunc(files, func(f File) bool { return f.HasDoc }) {
			out = append(out, fmt.Sprintf("%s: no package comment", pkg))
		}
		described := slices.Clone(standardMethods)
		for _, f := range files {
			described = append(described, f.Contracts...)
		}
		for _, f := range files {
			if f.Test() || f.Generated {
				continue
			}
			for _, name := range f.Bare {
				if _, method, _ := strings.Cut(name, "."); !slices.Contains(described, method) {
					out = append(out, fmt.Sprintf("%s: %s is exported and has no comment", f.Path, name))
				}
			}
		}
	}
	return out
}

// sizes checks lengths of files and functions. Generated files are free.
func (r Rules) sizes(t *Tree) []string {
	var out []string
	files, funcs := map[string]bool{}, map[string]bool{}
	for _, list := range t.Packages {
		for _, f := range list {
			if f.Generated {
				continue
			}
			if f.Lines > maxFile {
				if files[f.Path] = true; r.LongFiles[f.Path] == "" {
					out = append(out, fmt.Sprintf("%s: %d lines, more than %d: split it by concept", f.Path, f.Lines, maxFile))
				}
			}
			out = append(out, r.long(f, funcs)...)
		}
	}
	out = append(out, stale("long file", r.LongFiles, files)...)
	return append(out, stale("long function", r.LongFuncs, funcs)...)
}

func (r Rules) long(f File, used map[string]bool) []string {
	limit := maxFunc
	if f.Test() {
		limit = maxTestFunc
	}
	var out []string
	for _, fn := range f.Funcs {
		if fn.Lines <= limit {
			continue
		}
		key := f.Path + ": " + fn.Name
		if used[key] = true; r.LongFuncs[key] == "" {
			out = append(out, fmt.Sprintf("%s: %d lines, more than %d: split it, or name it in LongFuncs with a reason", key, fn.Lines, limit))
		}
	}
	return out
}

// stale reports entries of a table that no longer say anything.
func stale(kind string, table map[string]string, used map[string]bool) []string {
	var out []string
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if table[key] == "" {
			out = append(out, fmt.Sprintf("%s %q has no reason", kind, key))
		} else if !used[key] {
			out = append(out, fmt.Sprintf("%s %q is not needed any more: remove it from internal/imports/tables.go", kind, key))
		}
	}
	return out
}
