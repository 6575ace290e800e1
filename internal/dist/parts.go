package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// part is a module of Go in a CycloneDX list of parts.
type part struct {
	Type    string     `json:"type"`
	Ref     string     `json:"bom-ref"`
	Name    string     `json:"name"`
	Version string     `json:"version"`
	Purl    string     `json:"purl"`
	Hashes  []hash     `json:"hashes,omitempty"`
	More    []property `json:"properties,omitempty"`
}

type hash struct {
	Kind    string `json:"alg"`
	Content string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// goModule describes a module; sum is that of go.sum.
func goModule(path, version, sum string) part {
	p := part{Type: "library", Name: path, Version: version, Purl: "pkg:golang/" + path + "@" + version}
	p.Ref = p.Purl
	if sum != "" {
		p.More = []property{{"go:sum", sum}}
	}
	return p
}

// bom lists the parts of a program as it was built, in CycloneDX 1.5.
func bom(info *debug.BuildInfo, version, platform string, program []byte, at time.Time) []byte {
	sum := fmt.Sprintf("%x", sha256.Sum256(program))
	main := goModule(info.Main.Path, version, "")
	main.Type, main.Hashes = "application", []hash{{"SHA-256", sum}}
	main.More = append(main.More, property{"platform", platform})
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			main.More = append(main.More, property{"vcs.revision", s.Value})
		}
	}
	parts := []part{goModule("std", strings.TrimPrefix(info.GoVersion, "go"), "")}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		parts = append(parts, goModule(m.Path, m.Version, m.Sum))
	}
	var refs []string
	for _, p := range parts {
		refs = append(refs, p.Ref)
	}
	out, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
		"serialNumber": fmt.Sprintf("urn:uuid:%s-%s-5%s-8%s-%s", sum[:8], sum[8:12], sum[13:16], sum[17:20], sum[20:32]),
		"metadata":     map[string]any{"timestamp": at.Format(time.RFC3339), "component": main},
		"components":   parts,
		"dependencies": []map[string]any{{"ref": main.Ref, "dependsOn": refs}},
	}, "", "  ")
	check(err)
	return append(out, '\n')
}

// licences are the texts of all modules that the build may use, by module.
func licences() (map[string]string, error) {
	list, err := output("go", "list", "-m", "-f", "{{.Path}}\t{{.Dir}}", "all")
	if err != nil {
		return nil, err
	}
	root, err := output("go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for line := range strings.Lines("std\t" + string(root) + string(list)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if dir == "" {
			continue // not needed to build
		}
		text, err := licence(dir)
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

// licence joins the files of a folder that say what may be done with it.
func licence(dir string) (string, error) {
	var texts []string
	for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "NOTICE*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return "", err
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				return "", err
			}
			texts = append(texts, strings.TrimSpace(string(data)))
		}
	}
	return strings.Join(texts, "\n\n"), nil
}

// notice is Hone's own licence and those of the parts of a program. A part without one must not be shipped.
func (r *release) notice(info *debug.BuildInfo) ([]byte, error) {
	var b bytes.Buffer
	add := func(name, version string) error {
		text := r.licences[name]
		if text == "" {
			return fmt.Errorf("no licence of %s was found", name)
		}
		fmt.Fprintf(&b, "%s %s\n\n%s\n\n%s\n\n", name, version, text, strings.Repeat("-", 80))
		return nil
	}
	err := add(info.Main.Path, r.version)
	if err == nil {
		err = add("std", info.GoVersion)
	}
	deps := slices.Clone(info.Deps)
	slices.SortFunc(deps, func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
	for _, m := range deps {
		if err == nil {
			err = add(m.Path, m.Version)
		}
	}
	return b.Bytes(), err
}
