package imports

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"hone/internal/testdata"
)

// TestRepository holds the repository to its rules.
func TestRepository(t *testing.T) {
	tree, err := Load(os.DirFS(testdata.Root(t)))
	if err != nil {
		t.Fatal(err)
	}
	if tree.Packages["nn"] == nil || tree.Packages["internal/testdata"] == nil || tree.Texts["README.md"] == "" {
		t.Fatalf("the tree was not read: %d packages, %d texts", len(tree.Packages), len(tree.Texts))
	}
	for _, p := range Own().Check(tree) {
		t.Error(p)
	}
}

// sample is a small module that keeps all rules.
func sample() fstest.MapFS {
	return files(map[string]string{
		"go.mod":              "module m\n\ngo 1.26\n\nrequire example.com/dep v1.0.0\n\nrequire (\n\texample.com/testing/v2 v2.0.0\n\texample.com/far v0.1.0 // indirect\n)\n",
		".gitignore":          "# built\n/bin/\nnode_modules/\n*.out\n",
		"top/top.go":          "// Package top is first.\npackage top\n\nimport (\n\t_ \"example.com/dep/sub\"\n\t_ \"m/low\"\n\t_ \"os\"\n)\n",
		"low/low.go":          "package low\n\nimport _ \"m/internal/x\"\n",
		"low/doc.go":          "// Package low is second.\npackage low\n\n// F, T, I and C are named in documents.\nfunc F() {}\n\n// T is.\ntype T struct{ field int }\n\n// I is.\ntype I interface{ M() }\n\nfunc (T) M() {}\n\nconst C = 1\n",
		"low/low_test.go":     "package low\n\nimport _ \"example.com/testing/v2\"\n",
		"internal/x/x.go":     "// Package x is last.\npackage x\n",
		"asset/asset.go":      "// Package asset is for top.\npackage asset\n",
		"low/_asm/go.mod":     "module asm\n",
		"low/_asm/main.go":    "package main\n\nimport _ \"example.com/unlisted\"\n",
		"bin/hone.go":         "package broken because ignored",
		"low/run.out":         "see /" + "tmp/x",
		"low/testdata/bad.go": "package bad of syntax",
		"low/blob":            "\x00/" + "tmp/x",
	})
}

func files(m map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range m {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func sampleRules() Rules {
	return Rules{
		Order: []string{"top", "low", "asset", "internal"},
		Only:  map[string][]string{"asset": {"top"}},
		Dependencies: map[string]Dependency{
			"example.com/dep":        {Why: "x", Packages: []string{"top"}},
			"example.com/testing/v2": {Why: "x", TestOnly: true},
		},
	}
}

// TestCheck changes one thing of a sound sample at a time: each must be found, and nothing else.
func TestCheck(t *testing.T) {
	long := func(n int) string {
		return "package low\n\n// F is long.\nfunc F() {\n" + strings.Repeat("\t_ = 0\n", n-2) + "}\n"
	}
	cases := []struct {
		name, file, text string
		rules            func(*Rules)
		want             []string // a part of each problem, in order
	}{
		{name: "sound"},
		{name: "upward", file: "low/bad.go", text: "package low\n\nimport _ \"m/top\"\n", want: []string{"low/bad.go: imports top: low stands below top"}},
		{name: "upward in a test", file: "low/bad_test.go", text: "package low_test\n\nimport _ \"m/top\"\n", want: []string{"low/bad_test.go: imports top"}},
		{name: "upward behind a build tag", file: "low/bad_plan9.go", text: "//go:build plan9\n\npackage low\n\nimport _ \"m/top\"\n", want: []string{"low/bad_plan9.go: imports top"}},
		{name: "excused", file: "low/bad.go", text: "package low\n\nimport _ \"m/top\"\n", rules: func(r *Rules) { r.Exceptions = map[string]string{"low -> top": "why"} }},
		{name: "stale exception", rules: func(r *Rules) { r.Exceptions = map[string]string{"low -> top": "why"} }, want: []string{`exception "low -> top" is not needed`}},
		{name: "exception without reason", file: "low/bad.go", text: "package low\n\nimport _ \"m/top\"\n", rules: func(r *Rules) { r.Exceptions = map[string]string{"low -> top": ""} }, want: []string{"has no reason", "imports top"}},
		{name: "unknown package", file: "odd/odd.go", text: "// Package odd is odd.\npackage odd\n", want: []string{"odd: package is not in the order table"}},
		{name: "package in the root", file: "main.go", text: "// Command m is odd.\npackage main\n", want: []string{".: package is not in the order table"}},
		{name: "unknown import", file: "top/bad.go", text: "package top\n\nimport _ \"m/odd\"\n", want: []string{"imports odd: package is not in the order table"}},
		{name: "sub-package", file: "low/sub/sub.go", text: "// Package sub is part of low.\npackage sub\n\nimport _ \"m/low\"\n"},
		{name: "upward from a sub-package", file: "low/sub/sub.go", text: "// Package sub is part of low.\npackage sub\n\nimport _ \"m/top\"\n", want: []string{"low/sub/sub.go: imports top"}},
		{name: "reserved package", file: "low/bad.go", text: "package low\n\nimport _ \"m/asset\"\n", want: []string{"only top may import it"}},
		{name: "reserved package, allowed", file: "top/good.go", text: "package top\n\nimport _ \"m/asset\"\n"},
		{name: "dependency of another package", file: "low/bad.go", text: "package low\n\nimport _ \"example.com/dep\"\n", want: []string{"example.com/dep is for top"}},
		{name: "test dependency in the product", file: "top/bad.go", text: "package top\n\nimport _ \"example.com/testing/v2/x\"\n", want: []string{"is for tests only"}},
		{name: "indirect dependency", file: "top/bad.go", text: "package top\n\nimport _ \"example.com/far\"\n", want: []string{"no module of the table"}},
		{name: "a name that only starts alike", file: "top/bad.go", text: "package top\n\nimport _ \"example.com/deputy\"\n", want: []string{"no module of the table"}},
		{name: "unlisted requirement", rules: func(r *Rules) { delete(r.Dependencies, "example.com/testing/v2") }, want: []string{"go.mod: requires example.com/testing/v2", "low/low_test.go: imports"}},
		{name: "cgo", file: "top/bad.go", text: "package top\n\nimport \"C\"\n", want: []string{"no cgo"}},
		{name: "no package comment", file: "low/sub/sub.go", text: "package sub\n", want: []string{"low/sub: no package comment"}},
		{name: "bare names", file: "top/bad.go", text: "package top\n\nfunc F() {}\n\ntype T struct{}\n\nfunc (*T) M() {}\n\nfunc (T) String() string { return \"\" }\n\ntype u struct{}\n\nfunc (u) M() {}\n",
			want: []string{"top/bad.go: F is exported", "top/bad.go: T is exported", "top/bad.go: T.M is exported"}},
		{name: "method of an interface", file: "top/good.go", text: "package top\n\n// T is.\ntype T struct{}\n\nfunc (*T) M() {}\n\n// I has M.\ntype I interface {\n\tM()\n}\n"},
		{name: "document names what is there", file: "docs/a.md", text: "`low.F`, `low.T.M`, `low.T.field`, `low.I.M`, `low.C`, `low/doc.go`, `low.go`, `os.Open`, `far/away.go`\n"},
		{name: "document names what is not there", file: "docs/a.md", text: "`low.Gone`, `low.T.Gone`, `low/gone.go`, `docs/gone.md`\n",
			want: []string{"low.Gone is not", "low.T.Gone is not", "no file docs/gone.md", "no file low/gone.go"}},
		{name: "long function", file: "low/bad.go", text: long(maxFunc + 1), want: []string{"low/bad.go: F: 71 lines"}},
		{name: "function at the limit", file: "low/good.go", text: long(maxFunc)},
		{name: "long test", file: "low/good_test.go", text: long(maxFunc + 1)},
		{name: "too long test", file: "low/bad_test.go", text: long(maxTestFunc + 1), want: []string{"low/bad_test.go: F: 121 lines"}},
		{name: "long function with reason", file: "low/bad.go", text: long(99), rules: func(r *Rules) { r.LongFuncs = map[string]string{"low/bad.go: F": "why"} }},
		{name: "stale long function", rules: func(r *Rules) { r.LongFuncs = map[string]string{"low/bad.go: F": "why"} }, want: []string{"is not needed"}},
		{name: "long generated file", file: "low/gen.go", text: "// Code generated by x. DO NOT EDIT.\n\npackage low\n" + strings.Repeat("\n", maxFile)},
		{name: "long file", file: "low/bad.go", text: "package low\n" + strings.Repeat("\n", maxFile), want: []string{"low/bad.go: 601 lines"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fsys, rules := sample(), sampleRules()
			if c.file != "" {
				fsys[c.file] = &fstest.MapFile{Data: []byte(c.text)}
			}
			if c.rules != nil {
				c.rules(&rules)
			}
			tree, err := Load(fsys)
			if err != nil {
				t.Fatal(err)
			}
			expect(t, rules.Check(tree), c.want)
		})
	}
}

func expect(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.Contains) {
		t.Errorf("problems:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// TestWords tries lines that must and must not be found. They are put together here so that this file keeps the rules.
func TestWords(t *testing.T) {
	bad := []string{
		"cd /" + "home/someone/hone", "\"/" + "tmp/x\"", "x=/" + "root/.cache", "`/" + "work/shared`", "in /" + "tmp", "/" + "Users/me",
		"// TO" + "DO: later", "FIX" + "ME", "go run example.com/x@lat" + "est", "https://proxy.golang" + ".org/x", "pypi" + ".org", "registry.npmjs" + ".org",
		`"resolved": "https` + `://mirror/x.tgz"`, "pip install --index-url http" + "://mirror/simple", "GOPROXY=https" + "://mirror",
	}
	good := []string{
		"https://example.com/work/x", "~/work/x", "../tmp/x", "a/home/b", "/workers", "/tmpfs", "TODOS", "$HOME/tmp/x", "${TMPDIR}/work/",
		"GOPROXY=off", `"resolved": "file:x"`, "/v1/models", "go install golang.org/x/tools", "net/work/",
	}
	check := func(line string) []string { return words(&Tree{Texts: map[string]string{"f": line}}) }
	for _, line := range bad {
		if len(check("x\n"+line+"\n")) == 0 {
			t.Errorf("not found: %s", line)
		}
	}
	for _, line := range good {
		if p := check(line); len(p) > 0 {
			t.Errorf("found without need: %v", p)
		}
	}
	expect(t, words(&Tree{Texts: map[string]string{"doc/x.md": "one\n  /" + "tmp/x\n"}}), []string{"doc/x.md:2: \"/" + "tmp/\""})
}

// TestLoadErrors: a tree that cannot be read is an error, never an empty tree that keeps all rules.
func TestLoadErrors(t *testing.T) {
	for name, fsys := range map[string]fstest.MapFS{
		"no go.mod":      files(map[string]string{"a/a.go": "package a\n"}),
		"no module line": files(map[string]string{"go.mod": "go 1.26\n"}),
		"broken source":  files(map[string]string{"go.mod": "module m\n", "a/a.go": "package"}),
	} {
		if _, err := Load(fsys); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestTables: the tables agree with themselves.
func TestTables(t *testing.T) {
	known := Own().Order
	for name, d := range Dependencies {
		if d.Why == "" {
			t.Errorf("dependency %s has no reason", name)
		}
		for _, p := range d.Packages {
			if !slices.Contains(known, p) {
				t.Errorf("dependency %s is for %s, which is not in Order", name, p)
			}
		}
	}
	for name := range Only {
		if !slices.Contains(known, name) {
			t.Errorf("Only names %s, which is not in Order", name)
		}
	}
}
