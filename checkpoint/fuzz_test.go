package checkpoint

import "testing"

// The fuzzers' seeds are built here, so that no corpus has to be kept.

func FuzzSafetensors(f *testing.F) {
	f.Add(good())
	f.Add(header(`{"t":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`, 16))
	f.Add(header(`{"__metadata__":{"a":"b\u00e9"},"t":{"dtype":"BF16","shape":[1,2],"data_offsets":[0,4]}}`, 4))
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

func FuzzGGUF(f *testing.F) {
	f.Add(goodGGUF().bytes())
	f.Add(newGGUF().tensor("q", 2, []int{1, 32}, make([]byte, 18)).tensor("r", 8, []int{2, 32}, make([]byte, 68)).bytes())
	f.Fuzz(func(t *testing.T, data []byte) { readAll(t, data) })
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":1e9},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}}`))
	f.Add([]byte(`{"weight_map":{"a":"../x.safetensors"}}`))
	f.Add([]byte(`{"x":[1,{"y":null}],"weight_map":{"\ud800":"s.safetensors"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		listed, files, err := parseIndex(data)
		if err != nil {
			return
		}
		for _, file := range files {
			if checkShardName(file) != nil {
				t.Fatalf("shard %q passed", file)
			}
		}
		if len(files) == 0 || len(files) > len(listed) {
			t.Fatalf("%d files for %d tensors", len(files), len(listed))
		}
	})
}

// FuzzQuantConfig reads config.json with two fixed tensors, and what comes of them.
func FuzzQuantConfig(f *testing.F) {
	g := packGoldens[2]
	f.Add([]byte(g.config(true)))
	f.Add([]byte(g.config(false)))
	f.Add([]byte(quantConfigOf(`{"num_bits":8,"type":"int"}`, `,"format":null`)))
	f.Fuzz(func(t *testing.T, config []byte) {
		c, err := jsonObject(config)
		if err != nil {
			return
		}
		q, err := readQuantConfig(c)
		if err != nil || q == nil {
			return
		}
		s, err := q.schemeOf("model.layers.0.mlp.up_proj")
		if err == nil {
			s.format(s.group == 0)
		}
	})
}
