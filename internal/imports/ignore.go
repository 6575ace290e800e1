package imports

import (
	"io/fs"
	"path"
	"strings"
)

// ignoreList is the part of .gitignore that this repository uses: names and globs, a leading slash for the root, a
// trailing slash for folders. No negation, no path inside a pattern.
type ignoreList []string

func readIgnore(fsys fs.FS) ignoreList {
	src, err := fs.ReadFile(fsys, ".gitignore")
	if err != nil {
		return nil
	}
	var list ignoreList
	for line := range strings.Lines(string(src)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, line)
		}
	}
	return list
}

func (list ignoreList) match(name string, dir bool) bool {
	for _, p := range list {
		pattern, folder := strings.CutSuffix(p, "/")
		if folder && !dir {
			continue
		}
		subject := path.Base(name)
		if root, ok := strings.CutPrefix(pattern, "/"); ok {
			pattern, subject = root, name
		}
		if ok, _ := path.Match(pattern, subject); ok {
			return true
		}
	}
	return false
}
