package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"fmt"
	"slices"
	"strings"
	"time"
)

// tarball packs files below a folder, sorted, all of one time and of root.
func tarball(files []file, folder string, at time.Time) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check(err)
	w := tar.NewWriter(z)
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b file) int { return strings.Compare(a.name, b.name) })
	made := map[string]bool{}
	for _, f := range sorted {
		name := folder + "/" + f.name
		folders(w, name, made, at)
		check(w.WriteHeader(&tar.Header{Name: name, Mode: f.mode, Size: int64(len(f.data)), ModTime: at, Format: tar.FormatUSTAR}))
		_, err := w.Write(f.data)
		check(err)
	}
	check(w.Close())
	check(z.Close())
	return b.Bytes()
}

// folders writes the folders above a file, once each.
func folders(w *tar.Writer, name string, made map[string]bool, at time.Time) {
	i := strings.LastIndexByte(name, '/')
	if i < 0 || made[name[:i]] {
		return
	}
	folders(w, name[:i], made, at)
	made[name[:i]] = true
	check(w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name[:i+1], Mode: 0o755, ModTime: at, Format: tar.FormatUSTAR}))
}

// check ends the program on what cannot happen: writing to memory does not fail.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// debVersion writes a version as Debian orders them: 1.0~rc1 stands before 1.0.
func debVersion(version string) string { return strings.ReplaceAll(version, "-", "~") }

// debPlaces are where Debian keeps what a tarball holds: prefixes of names, the first that fits.
var debPlaces = []struct{ from, to string }{
	{"hone", "usr/bin/hone"},
	{"man/man1/", "usr/share/man/man1/"},
	{"completions/bash/", "usr/share/bash-completion/completions/"},
	{"completions/zsh/", "usr/share/zsh/vendor-completions/"},
	{"completions/fish/", "usr/share/fish/vendor_completions.d/"},
	{"README.md", "usr/share/doc/hone/README.md"},
	{"CHANGELOG.md", "usr/share/doc/hone/changelog"},
	{"THIRD_PARTY_LICENSES", "usr/share/doc/hone/copyright"}, // Hone's own licence stands in front
}

// debian makes a package for one architecture of Linux.
func debian(files []file, version, arch string, at time.Time) []byte {
	data := debFiles(files, at)
	var sums strings.Builder
	size := 0
	for _, f := range data {
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name)
		size += (len(f.data) + 1023) / 1024
	}
	control := fmt.Sprintf(`Package: hone
Version: %s
Architecture: %s
Maintainer: The Hone authors <hone@localhost>
Section: science
Priority: optional
Installed-Size: %d
Recommends: ca-certificates
Description: measures, compresses and serves language models on CPUs
 Hone turns a large transformer model into a cheap, fast, trustworthy service:
 it measures the model, makes smaller variants, judges them against the parent
 inside a quality budget, and serves the fastest over an OpenAI-compatible API.
`, debVersion(version), arch, size)
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []file{
		{"debian-binary", 0o644, []byte("2.0\n")},
		{"control.tar.gz", 0o644, tarball([]file{{"control", 0o644, []byte(control)}, {"md5sums", 0o644, []byte(sums.String())}}, ".", at)},
		{"data.tar.gz", 0o644, tarball(data, ".", at)},
	} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", m.name, at.Unix(), 0, 0, 0o100000|m.mode, len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// debFiles puts files where Debian keeps them; manual and changelog are packed, as its policy says.
func debFiles(files []file, at time.Time) []file {
	var out []file
	for _, f := range files {
		for _, p := range debPlaces {
			rest, ok := strings.CutPrefix(f.name, p.from)
			if !ok || rest != "" && !strings.HasSuffix(p.from, "/") {
				continue
			}
			name := p.to + rest
			if strings.Contains(name, "/man/") || strings.HasSuffix(name, "/changelog") {
				name, f.data = name+".gz", packed(f.data)
			}
			out = append(out, file{name, f.mode, f.data})
			break
		}
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return out
}

func packed(data []byte) []byte {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	check(err)
	_, err = z.Write(data)
	check(err)
	check(z.Close())
	return b.Bytes()
}
