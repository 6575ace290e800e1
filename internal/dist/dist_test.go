package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

var at = time.Unix(1_700_000_000, 0).UTC()

func sample() []file {
	return []file{
		{"hone", 0o755, []byte("program")}, {"README.md", 0o644, []byte("read")}, {"LICENSE", 0o644, []byte("own")}, {"CHANGELOG.md", 0o644, []byte("changes")},
		{"THIRD_PARTY_LICENSES", 0o644, []byte("licences")}, {"man/man1/hone-up.1", 0o644, []byte(".TH")}, {"man/man1/hone.1", 0o644, []byte(".TH")},
		{"completions/bash/hone", 0o644, []byte("b")}, {"completions/zsh/_hone", 0o644, []byte("z")}, {"completions/fish/hone.fish", 0o644, []byte("f")},
		{"completions/powershell/hone.ps1", 0o644, []byte("p")},
	}
}

// untar lists the entries of a tarball with their modes.
func untar(t *testing.T, data []byte) map[string]int64 {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]int64{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(at) || h.Uid != 0 || h.Uname != "" {
			t.Errorf("%s: %v of %d", h.Name, h.ModTime, h.Uid)
		}
		out[h.Name] = h.Mode
	}
}

func TestTarball(t *testing.T) {
	files := sample()
	a := tarball(files, "hone-1", at)
	files[0], files[3] = files[3], files[0]
	if !bytes.Equal(a, tarball(files, "hone-1", at)) {
		t.Error("the order of the files changes the bytes")
	}
	got := untar(t, a)
	if got["hone-1/hone"] != 0o755 || got["hone-1/man/man1/hone.1"] != 0o644 || got["hone-1/man/"] != 0o755 || len(got) != len(files)+8 {
		t.Errorf("%v", got)
	}
}

// members splits an archive of ar.
func members(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	if !ok {
		t.Fatal("no archive")
	}
	out := map[string][]byte{}
	for len(rest) > 0 {
		size, err := strconv.Atoi(strings.TrimSpace(string(rest[48:58])))
		if err != nil || string(rest[58:60]) != "`\n" {
			t.Fatalf("a bad head %q", rest[:60])
		}
		out[strings.TrimSpace(string(rest[:16]))] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	return out
}

func TestDebian(t *testing.T) {
	deb := debian(sample(), "0.1.0-dev", "amd64", at)
	if !bytes.Equal(deb, debian(sample(), "0.1.0-dev", "amd64", at)) {
		t.Error("two builds differ")
	}
	m := members(t, deb)
	data := untar(t, m["data.tar.gz"])
	for _, want := range []string{"./usr/bin/hone", "./usr/share/man/man1/hone-up.1.gz", "./usr/share/bash-completion/completions/hone",
		"./usr/share/zsh/vendor-completions/_hone", "./usr/share/fish/vendor_completions.d/hone.fish", "./usr/share/doc/hone/copyright", "./usr/share/doc/hone/changelog.gz"} {
		if _, ok := data[want]; !ok {
			t.Errorf("no %s in %v", want, data)
		}
	}
	if string(m["debian-binary"]) != "2.0\n" || len(untar(t, m["control.tar.gz"])) != 3 {
		t.Errorf("%q", m["debian-binary"])
	}
	path := filepath.Join(t.TempDir(), "hone.deb")
	if err := os.WriteFile(path, deb, 0o600); err != nil {
		t.Fatal(err)
	}
	tool, err := exec.LookPath("dpkg-deb")
	if err != nil {
		t.Skip("left out: no dpkg-deb here")
	}
	for args, want := range map[string]string{"-I": "Version: 0.1.0~dev", "-c": "./usr/bin/hone"} {
		out, err := exec.Command(tool, args, path).CombinedOutput()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("dpkg-deb %s: %v\n%s", args, err, out)
		}
	}
}

func buildOf() *debug.BuildInfo {
	return &debug.BuildInfo{GoVersion: "go1.26.0", Main: debug.Module{Path: "hone"}, Deps: []*debug.Module{
		{Path: "z.example/b", Version: "v2.0.0", Sum: "h1:b"}, {Path: "a.example/a", Version: "v1.0.0", Sum: "h1:a"}},
		Settings: []debug.BuildSetting{{Key: "vcs.revision", Value: "abc"}}}
}

func TestBOM(t *testing.T) {
	data := bom(buildOf(), "1.0", "linux/amd64", []byte("program"), at)
	var got struct {
		Format   string `json:"bomFormat"`
		Serial   string `json:"serialNumber"`
		Metadata struct{ Component part }
		Parts    []part `json:"components"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if got.Format != "CycloneDX" || len(got.Serial) != 45 || len(got.Parts) != 3 || got.Parts[0].Purl != "pkg:golang/std@1.26.0" ||
		got.Parts[1].Purl != "pkg:golang/z.example/b@v2.0.0" || got.Metadata.Component.Version != "1.0" || len(got.Metadata.Component.Hashes) != 1 {
		t.Errorf("%s", data)
	}
	if !bytes.Equal(data, bom(buildOf(), "1.0", "linux/amd64", []byte("program"), at)) {
		t.Error("two builds differ")
	}
}

func TestNotice(t *testing.T) {
	r := release{version: "1.0", licences: map[string]string{"hone": "own", "std": "go", "a.example/a": "A", "z.example/b": "B"}}
	text, err := r.notice(buildOf())
	if err != nil || !strings.HasPrefix(string(text), "hone 1.0\n\nown\n") || strings.Index(string(text), "a.example") > strings.Index(string(text), "z.example") {
		t.Errorf("%v %s", err, text)
	}
	delete(r.licences, "z.example/b")
	if _, err := r.notice(buildOf()); err == nil || !strings.Contains(err.Error(), "z.example/b") {
		t.Errorf("a part without a licence: %v", err)
	}
}

// TestVersion: a version that Debian or a file name would not take is refused before anything is built.
func TestVersion(t *testing.T) {
	for version, want := range map[string]bool{"1.0.0": true, "0.1.0-dev": true, "2.0+git1": true, "v1.0.0": false, "": false, "1.0 rc": false, "1/2": false, "1_0": false} {
		if isVersion(version) != want {
			t.Errorf("%q: %v", version, !want)
		}
	}
	r := release{version: "v1", out: filepath.Join(t.TempDir(), "dist")}
	if err := r.build(nil); err == nil || !strings.Contains(err.Error(), `"v1"`) {
		t.Error(err)
	}
	if _, err := os.Stat(r.out); err == nil {
		t.Error("something was made")
	}
}
