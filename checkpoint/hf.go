package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"hone/quant"
)

// The names of a Hugging Face directory, and the most that is read of its side files (a JSON tree takes up to about 32
// times its text in memory).
const (
	configName  = "config.json"
	weightsName = "model.safetensors"
	indexName   = "model.safetensors.index.json"

	maxConfig = 3 << 18
	maxIndex  = 64 << 20
	maxShards = 4096
)

// tensors is a safetensors model: one file or many, with the config.json beside it.
type tensors struct {
	kind    string
	path    string
	config  Config
	shards  []*shard
	names   []string // logical names in file order
	slabs   map[string]*slab
	weights map[string]*codedWeight // quantized weights by logical name

	mu    sync.Mutex
	noted map[string][]string // what was changed to serve them → weights
}

// openLone opens a single safetensors file; a config.json beside it is read too.
func openLone(m *mapping, path string) (File, error) {
	s, err := readShard(m, path)
	if err != nil {
		return nil, err
	}
	t := &tensors{kind: "safetensors", path: path, shards: []*shard{s}, config: Config{Dir: filepath.Dir(path)}}
	if t.config.HF, err = readConfig(t.config.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return t, t.index()
}

// loneGGUF is the GGUF file of a directory that holds one (or the parts of one) and no config.json, "" otherwise: a model
// that the store keeps as it came.
func loneGGUF(dir string) string {
	if _, err := os.Lstat(filepath.Join(dir, configName)); err == nil {
		return ""
	}
	files, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.gguf"))
	if err != nil {
		return ""
	}
	file := wholeGGUF(files)
	if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	return file
}

// openDir opens a Hugging Face directory: config.json, and model.safetensors or the shards of its index. A
// directory with one GGUF file is that file.
func openDir(dir string) (File, error) {
	if path := loneGGUF(dir); path != "" {
		return Open(path)
	}
	config, err := readConfig(dir)
	if err != nil {
		return nil, dirFault(dir, err)
	}
	paths, listed, err := weightFiles(dir)
	if err != nil {
		return nil, err
	}
	t := &tensors{kind: "hf", path: dir, config: Config{HF: config, Dir: dir}}
	if err := t.open(paths, listed); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

func (t *tensors) open(paths []string, listed map[string]string) error {
	for _, p := range paths {
		s, err := openShard(p)
		if err != nil {
			return err
		}
		t.shards = append(t.shards, s)
	}
	if err := t.index(); err != nil {
		return err
	}
	for name, file := range listed {
		if s := t.slabs[name]; s == nil || filepath.Base(s.shard.path) != file {
			return fault(filepath.Join(t.path, indexName), name, "the index places it in %s, where it is not", file)
		}
	}
	return nil
}

// dirFault names what the directory holds instead, when it holds no config.json.
func dirFault(dir string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "adapter_config.json")); err == nil {
		return fault(dir, "", "adapter_config.json, but no %s: a LoRA adapter, which has to be merged into its model first", configName)
	}
	for _, other := range []struct{ file, says string }{
		{"modules.json", "modules.json, but no " + configName + ": an old layout of sentence-transformers keeps the model in a folder of its own; move the files of 0_Transformer beside modules.json and let its path be empty"},
		{"params.json", "params.json, but no " + configName + ": weights in their maker's own layout; take the directory that was converted for transformers"},
		{"model_index.json", "model_index.json, but no " + configName + ": a pipeline of diffusion models, which is not served"},
	} {
		if _, err := os.Stat(filepath.Join(dir, other.file)); err == nil {
			return fault(dir, "", "%s", other.says)
		}
	}
	if ggufs, _ := filepath.Glob(filepath.Join(escapeGlob(dir), "*.gguf")); len(ggufs) > 0 {
		return fault(dir, "", "no %s in it: not a Hugging Face directory; name a file in it, such as %s", configName, filepath.Base(ggufs[0]))
	}
	return fault(dir, "", "no %s in it: not a Hugging Face directory", configName)
}

func escapeGlob(s string) string {
	return strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func readConfig(dir string) (map[string]any, error) {
	path := filepath.Join(dir, configName)
	data, err := readSmall(path, maxConfig)
	if err != nil {
		return nil, err
	}
	config, err := jsonObject(data)
	if err != nil {
		return nil, fault(path, "", "%w", err)
	}
	return config, nil
}

// weightFiles lists the safetensors files of a directory; listed is the index's map of tensor to file, if there is one.
func weightFiles(dir string) (paths []string, listed map[string]string, err error) {
	if _, err := os.Stat(filepath.Join(dir, weightsName)); err == nil {
		return []string{filepath.Join(dir, weightsName)}, nil, nil
	}
	index := filepath.Join(dir, indexName)
	if _, err := os.Stat(index); err == nil {
		return readIndex(dir, index)
	}
	found, err := filepath.Glob(filepath.Join(escapeGlob(dir), "*.safetensors"))
	if err != nil || len(found) != 1 {
		return nil, nil, noWeights(dir, len(found))
	}
	return found, nil, nil
}

func noWeights(dir string, found int) error {
	if found > 1 {
		return fault(dir, "", "%d safetensors files, but neither %s nor %s says which to read", found, weightsName, indexName)
	}
	for _, pickle := range []string{"pytorch_model.bin", "pytorch_model.bin.index.json"} {
		if _, err := os.Stat(filepath.Join(dir, pickle)); err == nil {
			return &Error{Path: dir, Err: unserved("holds only %s, a PyTorch pickle, which is code and is never loaded; convert it to safetensors", pickle)}
		}
	}
	return fault(dir, "", "no weights: neither %s nor %s is there; fetch the model's .safetensors files or name a GGUF file", weightsName, indexName)
}

// readIndex parses a shard index and returns the shards' paths in order.
func readIndex(dir, path string) ([]string, map[string]string, error) {
	data, err := readSmall(path, maxIndex)
	if err != nil {
		return nil, nil, err
	}
	listed, files, err := parseIndex(data)
	if err != nil {
		return nil, nil, fault(path, "", "%w", err)
	}
	paths := make([]string, len(files))
	for i, f := range files {
		paths[i] = filepath.Join(dir, f)
		if _, err := os.Stat(paths[i]); err != nil {
			return nil, nil, fault(path, "", "shard %s is not there: %w", quoteName(f), err)
		}
	}
	return paths, listed, nil
}

// parseIndex reads {"metadata":…,"weight_map":{"tensor":"file",…}} and checks the files' names.
func parseIndex(data []byte) (listed map[string]string, files []string, err error) {
	s := &scanner{data: data}
	known := map[string]string{} // file → the one copy of its name
	s.object(func(key string) {
		if key != "weight_map" {
			s.skip(maxDepth)
			return
		}
		if listed != nil {
			s.fail("weight_map stands twice")
			return
		}
		listed = map[string]string{}
		s.object(func(tensor string) { s.place(listed, known, tensor, s.str()) })
	})
	s.end()
	if s.err == nil && len(listed) == 0 {
		s.err = errors.New("no weight_map in the index")
	}
	if s.err != nil {
		return nil, nil, s.err
	}
	for f := range known {
		files = append(files, f)
	}
	slices.Sort(files)
	return listed, files, nil
}

// place notes that a tensor lies in a file.
func (s *scanner) place(listed, known map[string]string, tensor, file string) {
	if s.err != nil {
		return
	}
	if err := checkShardName(file); err != nil {
		s.fail("tensor %s: %w", quoteName(tensor), err)
		return
	}
	if _, twice := listed[tensor]; twice {
		s.fail("tensor %s stands twice", quoteName(tensor))
		return
	}
	if _, ok := known[file]; !ok {
		known[file] = file
	}
	listed[tensor] = known[file]
	switch {
	case len(known) > maxShards:
		s.fail("more than %d shards", maxShards)
	case len(listed) > 2*maxTensors:
		s.fail("more than %d tensors", 2*maxTensors)
	}
}

// checkShardName lets an index name only files that lie beside it.
func checkShardName(file string) error {
	if filepath.Base(file) != file || !filepath.IsLocal(file) || strings.ContainsAny(file, "/\\:\x00") {
		return fmt.Errorf("shard %s is not a plain file name: an index may only name files beside it", quoteName(file))
	}
	if !strings.HasSuffix(file, ".safetensors") {
		return fmt.Errorf("shard %s is not a .safetensors file", quoteName(file))
	}
	return nil
}

// index joins the shards' tensors and finds the quantized weights among them.
func (t *tensors) index() error {
	total := 0
	for _, s := range t.shards {
		total += len(s.slabs)
	}
	if total > 2*maxTensors {
		return fault(t.path, "", "%d tensors; at most %d are read", total, 2*maxTensors)
	}
	t.slabs = make(map[string]*slab, total)
	raw := make([]string, 0, total)
	for _, s := range t.shards {
		for i := range s.slabs {
			x := &s.slabs[i]
			if other := t.slabs[x.name]; other != nil {
				return doubled(x, other)
			}
			t.slabs[x.name] = x
			raw = append(raw, x.name)
		}
	}
	return t.findCoded(raw)
}

func doubled(x, other *slab) error {
	if x.shard == other.shard {
		return fault(x.shard.path, x.name, "the name stands twice in the header")
	}
	return fault(x.shard.path, x.name, "the name stands in %s too", filepath.Base(other.shard.path))
}

func (t *tensors) Kind() string    { return t.kind }
func (t *tensors) Config() Config  { return t.config }
func (t *tensors) Names() []string { return slices.Clone(t.names) }

func (t *tensors) Info(name string) (Info, bool) {
	if w := t.weights[name]; w != nil {
		return w.info(), true
	}
	s := t.slabs[name]
	if s == nil {
		return Info{}, false
	}
	return Info{Format: s.format(), Shape: slices.Clone(s.shape), Bytes: int64(s.end - s.begin)}, true
}

func (t *tensors) Matrix(name string) (quant.Matrix, error) {
	if w := t.weights[name]; w != nil {
		return w.matrix()
	}
	s := t.slabs[name]
	if s == nil {
		return nil, t.missing(name)
	}
	m, err := matrixOf(s.format(), s.shape, s.data())
	if err != nil {
		return nil, &Error{Path: s.shard.path, Tensor: name, Err: err}
	}
	return m, nil
}

func (t *tensors) Vector(name string) ([]float32, error) {
	if w := t.weights[name]; w != nil {
		m, err := w.matrix()
		if err != nil {
			return nil, err
		}
		return flatten(m), nil
	}
	s := t.slabs[name]
	if s == nil {
		return nil, t.missing(name)
	}
	v, err := vectorOf(s.format(), s.shape, s.data())
	if err != nil {
		return nil, &Error{Path: s.shard.path, Tensor: name, Err: err}
	}
	return v, nil
}

func (t *tensors) missing(name string) error { return fault(t.path, name, "%w", ErrNoTensor) }

func (t *tensors) Release() {
	for _, s := range t.shards {
		s.mapping.Release()
	}
}

func (t *tensors) Close() error {
	var errs []error
	for _, s := range t.shards {
		errs = append(errs, s.mapping.Close())
	}
	return errors.Join(errs...)
}
