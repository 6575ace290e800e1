package bench

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hone/kernel"
	"hone/model"
	"hone/nn"
)

// fakePeer turns the test binary into llama.cpp's programs: it prints a rate that its arguments tell.
const fakePeer = "HONE_TEST_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(fakePeer) != "" {
		args := strings.Join(os.Args[1:], " ")
		switch {
		case strings.Contains(args, "-npl 3"):
			fmt.Println("main: n_kv_max = 8192\n" + `{"n_kv_max":8192,"pl":3,"speed_pp":900.5,"speed_tg":70.5}`)
		case strings.Contains(args, "-p 32 -n 0 -r 1 -o json -fa 1"):
			fmt.Println(`[{"n_prompt":32,"avg_ts":1000.0}]`)
		case strings.Contains(args, "-p 0 -n 4 -r 1 -o json"):
			fmt.Println(`[{"n_gen":4,"avg_ts":50.0}]`)
		default:
			fmt.Println("usage: " + args)
		}
		return
	}
	Shapes = append(Shapes, Shape{"tiny", 300, 64, 96, 2, 4, 2, 256, 0, 0}, Shape{"tiny-moe", 300, 64, 32, 2, 4, 2, 256, 6, 2})
	os.Exit(m.Run())
}

// tiny loads the tiny shape's random weights.
func tiny(t *testing.T, w Work, src func(*model.Design) nn.Source) Subject {
	t.Helper()
	shape, err := ShapeOf("tiny")
	if err != nil {
		t.Fatal(err)
	}
	design, err := model.FromConfig(shape.Config())
	if err != nil {
		t.Fatal(err)
	}
	pool := kernel.NewPool(2)
	t.Cleanup(pool.Close)
	x, err := nn.New(design.Program, src(design), nn.Options{MaxTokens: w.MaxTokens(), MaxContext: w.KVBlocks() * nn.BlockTokens,
		KV: nn.KVConfig{Blocks: w.KVBlocks()}, Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return Subject{Exec: x, WeightBytes: x.Memory().Weights, Unit: "bf16"}
}

func random(d *model.Design) nn.Source { return NewRandom(d.Program) }

// TestKeys: what `hone bench --json` prints, with each share reckoned from the rate and the limit.
func TestKeys(t *testing.T) {
	w := Work{Prefill: 32, Decode: 4, Batch: 3, BatchPrompt: 8, BatchDecode: 4, Repeat: 3}
	s := tiny(t, w, random)
	limits := kernel.Limits{F32GFLOPS: 100, BF16GFLOPS: 200, Int8GOPS: 400, ReadGBps: 30}
	report, err := Measure(t.Context(), s, w, limits)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(Result{Report: *report})
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	for _, work := range []string{"prefill", "decode", "batch_decode"} {
		speed, _ := out[work].(map[string]any)
		if rate, _ := speed["tokens_per_second"].(float64); !(rate > 0) || !(speed["share_of_limit"].(float64) > 0) || len(speed["runs"].([]any)) != 3 {
			t.Errorf("%s: %v", work, speed)
		}
	}
	want := []string{"bf16_gflops", "f32_gflops", "int8_gops", "read_gbps", "workers"}
	if got := slices.Sorted(maps.Keys(out["limits"].(map[string]any))); !slices.Equal(got, want) {
		t.Errorf("limits %v, want %v", got, want)
	}
	if got, want := report.Decode.ShareOfLimit, report.Decode.TokensPerSecond*float64(s.WeightBytes)/30e9; math.Abs(got/want-1) > 1e-12 || report.Decode.Limit != "read_gbps" {
		t.Errorf("decode's share %v of %s, want %v", got, report.Decode.Limit, want)
	}
	if report.Prefill.Limit != "bf16_gflops" {
		t.Errorf("prefill is held to %s", report.Prefill.Limit)
	}
	none, err := Measure(t.Context(), s, Work{Decode: 2, Repeat: 1}, limits)
	if err != nil || none.Prefill != nil || none.BatchDecode != nil || none.Decode == nil {
		t.Errorf("only decode: %+v, %v", none, err)
	}
}

// TestPeers: the peer's programs run in turn with ours and their results are read; what cannot be read is an error.
func TestPeers(t *testing.T) {
	t.Setenv(fakePeer, "1")
	w := Work{Prefill: 32, Decode: 4, Batch: 3, BatchPrompt: 8, BatchDecode: 4, Repeat: 1}
	spec := Spec{Work: w, Threads: 2, Pairs: 3, Peer: Peer{Bench: os.Args[0], BatchedBench: os.Args[0], Model: "peer.gguf", Flags: []string{"-fa", "1"}}}
	all, err := compare(t.Context(), spec, tiny(t, w, random))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		work string
		peer float64
	}{{"prefill 32", 1000}, {"decode 4", 50}, {"decode, batch 3", 70.5}} {
		c := all[i]
		if c.Work != want.work || c.Peer != want.peer || len(c.Pairs) != 3 || !(c.Lowest <= c.Ratio && c.Ratio <= c.Highest) || c.Ratio != c.Ours/c.Peer {
			t.Errorf("%+v, want %v", c, want)
		}
	}
	if _, err := LlamaBench(t.Context(), spec.Peer, 2, 7, 7); err == nil || !strings.Contains(err.Error(), "no result that can be read") {
		t.Error(err)
	}
	spec.Peer.BatchedBench = filepath.Join(t.TempDir(), "absent")
	if _, err := LlamaBatchedBench(t.Context(), spec.Peer, 2, 1, 1, 1); err == nil {
		t.Error("an absent program ran")
	}
}

// TestShapeFile: the file that a peer is given holds the very weights that are measured.
func TestShapeFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if r, err := Run(t.Context(), Spec{Shape: "tiny", Threads: 1, WriteGGUF: path}); err != nil || r != nil {
		t.Fatal(r, err)
	}
	m, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.File.Close()
	w := Work{Prefill: 8, Repeat: 1}
	var logits [2][]float32
	for i, source := range []func(*model.Design) nn.Source{random, func(*model.Design) nn.Source { return m }} {
		x := tiny(t, w, source).Exec
		logits[i] = make([]float32, x.Vocab())
		if err := x.Forward(&nn.Batch{Tokens: []int32{5, 299, 0, 17}, Seqs: []nn.Seq{{Len: 4}}}); err != nil {
			t.Fatal(err)
		}
		if err := x.Logits(logits[i], []int32{3}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(logits[0], logits[1]) {
		t.Error("the file gives other logits")
	}
	if _, err := Run(t.Context(), Spec{Path: path, Threads: 1, WriteGGUF: path + "2"}); err == nil {
		t.Error("a file's weights were written again")
	}
	if _, err := ShapeOf("llama-7t"); err == nil || !strings.Contains(err.Error(), "llama-1.1b") {
		t.Error(err)
	}
}

// TestMixtureShape: a decode step reads the experts that it picks; the file written for a peer is the model.
func TestMixtureShape(t *testing.T) {
	shape, err := ShapeOf("tiny-moe")
	if err != nil {
		t.Fatal(err)
	}
	design, err := model.FromConfig(shape.Config())
	if err != nil {
		t.Fatal(err)
	}
	expert := int64(3 * 64 * 32)
	if got, want := allWeights(design.Program)-design.Program.Cost(1, 1, 1).WeightFloats, 2*4*expert; got != want {
		t.Errorf("a token leaves out %d weights, want the %d of four experts in each of two blocks", got, want)
	}
	path := filepath.Join(t.TempDir(), "moe.gguf")
	if err := shape.WriteGGUF(path, design, NewRandom(design.Program)); err != nil {
		t.Fatal(err)
	}
	m, err := model.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.File.Close()
	for _, name := range []string{"model.layers.1.mlp.gate.weight", "model.layers.1.mlp.experts.5.down_proj.weight"} {
		got, err := m.Matrix(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := NewRandom(design.Program).Matrix(name)
		if err != nil {
			t.Fatal(err)
		}
		rows, cols := want.Dims()
		a, b := make([]float32, cols), make([]float32, cols)
		for i := range rows {
			got.ReadRow(a, i)
			want.ReadRow(b, i)
			if !slices.Equal(a, b) {
				t.Fatalf("row %d of %s differs", i, name)
			}
		}
	}
}
