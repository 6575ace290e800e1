package machine

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// HugePages is the system's setting for large pages of memory: always, madvise or never; "" where it cannot be read.
func HugePages() string { return hugePages(os.DirFS("/")) }

func hugePages(root fs.FS) string {
	_, rest, _ := strings.Cut(word(root, "sys/kernel/mm/transparent_hugepage/enabled"), "[")
	chosen, _, _ := strings.Cut(rest, "]")
	return chosen
}

// Swapped is how much of the machine's memory lies on disk, in bytes.
func Swapped() int64 { return swapped(os.DirFS("/")) }

func swapped(root fs.FS) int64 {
	info := fields(root, "proc/meminfo")
	return max(0, info["SwapTotal:"]-info["SwapFree:"]-info["SwapCached:"]) * 1024
}

// FileSystem is the kind of file system that holds a folder: ext4, nfs4, overlay …; "" where it cannot be read.
func FileSystem(dir string) string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return fileSystem(os.DirFS("/"), dir)
}

func fileSystem(root fs.FS, dir string) string {
	b, err := fs.ReadFile(root, "proc/self/mounts")
	if err != nil {
		return ""
	}
	kind, longest := "", -1
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 {
			continue
		}
		at := strings.TrimSuffix(unescape.Replace(f[1]), "/")
		if len(at) >= longest && (dir == at || strings.HasPrefix(dir, at+"/")) { // a later mount hides an earlier one
			kind, longest = f[2], len(at)
		}
	}
	return kind
}
