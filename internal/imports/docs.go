package imports

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	codeName = regexp.MustCompile("`([a-z][a-z0-9]*)\\.([A-Za-z_]\\w*(?:\\.[A-Za-z_]\\w*)?)`")
	codePath = regexp.MustCompile("`((?:[\\w.-]+/)+[\\w.-]+\\.(?:go|s|md))`")
)

// documents checks what Markdown files say in code spans against the tree: `package.Name` and `package.Type.Name` must be
// declared, `folder/file.go` must exist. A document that names functions stays true or fails.
func documents(t *Tree) []string {
	known := map[string][]string{} // by a package's own name
	for pkg, files := range t.Packages {
		for _, f := range files {
			known[path.Base(pkg)] = append(known[path.Base(pkg)], f.Declared...)
		}
	}
	var out []string
	for name, text := range t.Texts {
		if path.Ext(name) != ".md" {
			continue
		}
		for _, m := range codeName.FindAllStringSubmatch(text, -1) {
			if list, ok := known[m[1]]; ok && m[2] != "go" && !slices.Contains(list, m[2]) {
				out = append(out, fmt.Sprintf("%s: %s.%s is not declared any more", name, m[1], m[2]))
			}
		}
		for _, m := range codePath.FindAllStringSubmatch(text, -1) {
			folder, _, _ := strings.Cut(m[1], "/")
			if _, ok := t.Texts[m[1]]; !ok && (known[folder] != nil || folder == "docs" || folder == "internal") {
				out = append(out, fmt.Sprintf("%s: there is no file %s", name, m[1]))
			}
		}
	}
	return out
}
