// Command dist builds what is released: the program for each platform, with its manual, completions, licences and a list of
// its parts (SBOM), as tarballs and Debian packages, and the digests of all of them.
//
// The same commit, version and Go give the same bytes: times are those of the commit, and every list is sorted. It calls
// only git and go.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	var r release
	platforms := flag.String("platforms", "linux/amd64 linux/arm64 darwin/arm64 windows/amd64", "what to build for")
	flag.StringVar(&r.version, "version", "", "version; empty: that of the source")
	flag.StringVar(&r.out, "out", "dist", "folder for the files")
	flag.Parse()
	if err := r.build(strings.Fields(*platforms)); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

// release is one version being built.
type release struct {
	version, out string
	time         time.Time // of all files
	common       []file    // of every package: manual, completions, documents
	licences     map[string]string
}

// file is a file of a package.
type file struct {
	name string // with slashes, relative
	mode int64
	data []byte
}

// isVersion tells whether a version may stand in file names and Debian's control field, which wants a digit first.
func isVersion(s string) bool {
	for i, c := range []byte(s) {
		digit, letter := c >= '0' && c <= '9', c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !digit && (i == 0 || !letter && c != '.' && c != '-' && c != '+') {
			return false
		}
	}
	return s != ""
}

func (r *release) build(platforms []string) error {
	if r.version != "" && !isVersion(r.version) {
		return fmt.Errorf("version %q: want a digit, then digits, letters, '.', '-' and '+', such as 1.0.0", r.version)
	}
	if err := os.MkdirAll(r.out, 0o777); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "hone-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if r.time, err = commitTime(); err != nil {
		return err
	}
	if err := r.describe(work); err != nil {
		return err
	}
	var made []string
	for _, p := range platforms {
		system, arch, ok := strings.Cut(p, "/")
		if !ok {
			return fmt.Errorf("platform %q: want SYSTEM/ARCHITECTURE", p)
		}
		names, err := r.platform(work, system, arch)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		made = append(made, names...)
	}
	return r.sums(made)
}

// describe builds the program for this machine and lets it write its manual and completions.
func (r *release) describe(work string) error {
	hone := filepath.Join(work, "hone-here")
	if err := r.compile(hone, runtime.GOOS, runtime.GOARCH); err != nil {
		return err
	}
	if r.version == "" {
		out, err := output(hone, "version")
		if err != nil {
			return err
		}
		r.version = strings.Fields(string(out))[1]
	}
	man := filepath.Join(work, "man")
	if _, err := output(hone, "docs", "--man", man); err != nil {
		return err
	}
	pages, err := filepath.Glob(filepath.Join(man, "*.1"))
	if err != nil {
		return err
	}
	for _, p := range pages {
		if err := r.add("man/man1/"+filepath.Base(p), p); err != nil {
			return err
		}
	}
	for shell, name := range map[string]string{"bash": "hone", "zsh": "_hone", "fish": "hone.fish", "powershell": "hone.ps1"} {
		script, err := output(hone, "completion", shell)
		if err != nil {
			return err
		}
		r.common = append(r.common, file{"completions/" + shell + "/" + name, 0o644, script})
	}
	for _, name := range []string{"README.md", "CHANGELOG.md", "LICENSE"} {
		if err := r.add(name, name); err != nil {
			return err
		}
	}
	r.licences, err = licences()
	return err
}

func (r *release) add(name, path string) error {
	data, err := os.ReadFile(path)
	r.common = append(r.common, file{name, 0o644, data})
	return err
}

// platform makes the files of one platform and returns their names.
func (r *release) platform(work, system, arch string) ([]string, error) {
	program := "hone"
	if system == "windows" {
		program += ".exe"
	}
	built := filepath.Join(work, program)
	if err := r.compile(built, system, arch); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(built)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(built)
	if err != nil {
		return nil, err
	}
	notice, err := r.notice(info)
	if err != nil {
		return nil, err
	}
	files := append(slices.Clone(r.common), file{"THIRD_PARTY_LICENSES", 0o644, notice}, file{program, 0o755, data})
	base := fmt.Sprintf("hone-%s-%s-%s", r.version, system, arch)
	made := map[string][]byte{
		base + ".tar.gz":   tarball(files, base, r.time),
		base + ".cdx.json": bom(info, r.version, system+"/"+arch, data, r.time),
	}
	if system == "linux" {
		made["hone_"+debVersion(r.version)+"_"+arch+".deb"] = debian(files, r.version, arch, r.time)
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if err := os.WriteFile(filepath.Join(r.out, name), made[name], 0o644); err != nil {
			return nil, err
		}
		fmt.Printf("%s  %d bytes\n", name, len(made[name]))
		names = append(names, name)
	}
	return names, nil
}

// compile builds the program. Without a version the source's own stands in it.
func (r *release) compile(out, system, arch string) error {
	ld := "-s -w"
	if r.version != "" {
		ld += " -X main.version=" + r.version
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags", ld, "-o", out, "./cmd/hone")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch, "GOFLAGS=")
	cmd.Stderr = os.Stderr
	return cmd.Run()
}

// sums writes the digests of the files.
func (r *release) sums(names []string) error {
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(data), name)
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(b.String()), 0o644)
}

// commitTime is SOURCE_DATE_EPOCH, or the time of the commit that is built.
func commitTime() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		out, err := output("git", "log", "-1", "--format=%ct")
		if err != nil {
			return time.Time{}, fmt.Errorf("no commit and no SOURCE_DATE_EPOCH: %w", err)
		}
		text = strings.TrimSpace(string(out))
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0).UTC(), err
}

func output(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(name), err)
	}
	return out, nil
}
