package checkpoint

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

// Keys of a file that is one of several parts (llama.cpp's gguf-split). The first part holds the model's metadata.
const (
	splitNo      = "split.no"    // from 0
	splitCount   = "split.count" // parts
	splitTensors = "split.tensors.count"
)

// maxParts bounds the parts of a model.
const maxParts = 4096

// splitName is how a part is named: PREFIX-00002-of-00003.gguf, counted from 1.
var splitName = regexp.MustCompile(`^(.*)-([0-9]{5})-of-([0-9]{5})\.gguf$`)

// partName names the part of this number, counted from 0.
func partName(prefix string, no, count int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, no+1, count)
}

// join opens the other parts of a split file, whose first part g is, and takes their tensors over.
func (g *gguf) join(count int) error {
	name := splitName.FindStringSubmatch(filepath.Base(g.path))
	switch no, _ := g.meta.Int(splitNo); {
	case count > maxParts:
		return fault(g.path, "", "one of %d parts of a split model; at most %d are read", count, maxParts)
	case name == nil:
		return fault(g.path, "", "one of %d parts of a split model, but its name does not end in -00001-of-%05d.gguf, so the others cannot be found", count, count)
	case no != 0:
		return fault(g.path, "", "part %d of %d of a split model: open %s, the first", no+1, count, partName(name[1], 0, count))
	case filepath.Base(g.path) != partName(name[1], 0, count):
		return fault(g.path, "", "the first of %d parts of a split model by its metadata, part %s of %s by its name", count, name[2], name[3])
	}
	for no := 1; no < count; no++ {
		if err := g.joinPart(filepath.Join(filepath.Dir(g.path), partName(name[1], no, count)), no, count); err != nil {
			return err
		}
	}
	if n, ok := g.meta.Int(splitTensors); ok && n != len(g.names) {
		return fault(g.path, "", "%s is %d, but the %d parts hold %d tensors: parts of different models", splitTensors, n, count, len(g.names))
	}
	return nil
}

func (g *gguf) joinPart(path string, no, count int) error {
	m, err := mapFile(path)
	if err != nil {
		return fmt.Errorf("part %d of %d of a split model: %w", no+1, count, err)
	}
	part, err := parseGGUF(m, path)
	if err != nil {
		m.Close()
		return err
	}
	g.mappings = append(g.mappings, m)
	for key, want := range map[string]int{splitNo: no, splitCount: count} {
		if got, ok := part.meta.Int(key); !ok || got != want {
			return fault(path, "", "%s is %v, but as part %d of %d of %s it must be %d", key, part.meta[key], no+1, count, filepath.Base(g.path), want)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(part.meta)) {
		if first, ok := g.meta[key]; ok && key != splitNo && key != "general.alignment" && !reflect.DeepEqual(toComparable(first), toComparable(part.meta[key])) {
			return fault(path, "", "key %s disagrees with %s: parts of different models", quoteName(key), filepath.Base(g.path))
		}
	}
	for _, name := range part.names {
		if other := g.tensors[name]; other != nil {
			return fault(path, name, "the name stands in %s too", filepath.Base(other.path))
		}
		g.tensors[name] = part.tensors[name]
		g.names = append(g.names, name)
	}
	if len(g.names) > maxTensors {
		return fault(path, "", "%d tensors up to this part; at most %d are read", len(g.names), maxTensors)
	}
	return nil
}

// toComparable takes integers of any width as equal.
func toComparable(v any) any {
	if n, ok := toInt(v); ok {
		return n
	}
	return v
}

// wholeGGUF is the GGUF file that stands for a directory: the only one, or the first part when all are parts of one model;
// "" otherwise.
func wholeGGUF(files []string) string {
	if len(files) == 1 {
		return files[0]
	}
	prefix := ""
	for _, f := range files {
		name := splitName.FindStringSubmatch(filepath.Base(f))
		if name == nil || prefix != "" && name[1]+name[3] != prefix {
			return ""
		}
		prefix = name[1] + name[3]
	}
	slices.Sort(files)
	if len(files) == 0 || !strings.Contains(filepath.Base(files[0]), "-00001-of-") {
		return ""
	}
	return files[0]
}
