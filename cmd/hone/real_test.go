package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// smolLM2 is the small real model.
const smolLM2 = "smollm2-135m-instruct.Q4_1.gguf"

// read returns the text of a file.
func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// decode runs a verb and reads its JSON.
func decode(t *testing.T, v any, args ...string) {
	t.Helper()
	out := must(t, args...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("hone %s: %v in %q", strings.Join(args, " "), err, out)
	}
}

// TestTokenizeVectors compares with the ids that the reference gave.
func TestTokenizeVectors(t *testing.T) {
	for _, name := range []string{"gpt-2", "starcoder", "mpt", "deepseek-llm", "bert-bge"} {
		vocab := testdata.Data(t, "tokenizers/llama.cpp-vocab/ggml-vocab-"+name+".gguf")
		const border = "\n__ggml_vocab_test__\n"
		texts := strings.Split(strings.TrimSuffix(read(t, vocab+".inp"), border), border)
		wants := strings.Split(strings.TrimSuffix(read(t, vocab+".out"), "\n"), "\n")
		if len(texts) != len(wants) {
			t.Fatalf("%s: %d texts, %d lines of ids", name, len(texts), len(wants))
		}
		for i, text := range texts {
			if i%8 != 0 && testing.Short() {
				continue // package tokenizer tests them all
			}
			file := t.TempDir() + "/text"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			var got struct{ IDs []int32 }
			decode(t, &got, "tokenize", vocab, "--file", file, "--no-special", "--json")
			if s := joinIDs(got.IDs); s != strings.TrimSpace(wants[i]) {
				t.Errorf("%s, text %d %q\n got %s\nwant %s", name, i, text, s, wants[i])
			}
		}
	}
}

func joinIDs(ids []int32) string {
	var words []string
	for _, id := range ids {
		words = append(words, strconv.Itoa(int(id)))
	}
	return strings.Join(words, " ")
}

func TestTokenizeWikiText(t *testing.T) {
	var got struct{ IDs []int32 }
	decode(t, &got, "tokenize", testdata.Models(t, smolLM2), "--no-special", "--json",
		"--file", testdata.Data(t, "text/wikitext-2/wiki.test.raw"))
	if len(got.IDs) != 303415 {
		t.Errorf("%d ids, want 303415", len(got.IDs))
	}
}

// goldenCase is one text with the reference's likelihoods and greedy continuation.
type goldenCase struct {
	Name   string
	IDs    []int32   `json:"ids"`
	NLL    []float64 `json:"nll"`
	Greedy []int32   `json:"greedy_ids"`
	Margin []float64 `json:"greedy_margin"`
}

func goldenCases(t *testing.T) []goldenCase {
	t.Helper()
	var g struct{ Cases []goldenCase }
	if err := json.Unmarshal([]byte(read(t, testdata.Data(t, "models/golden/smollm2_golden.json"))), &g); err != nil {
		t.Fatal(err)
	}
	return g.Cases
}

// TestEvalGolden measures a perplexity that the reference gives token by token.
func TestEvalGolden(t *testing.T) {
	c := goldenCases(t)[3]
	file := t.TempDir() + "/text"
	if err := os.WriteFile(file, []byte(c.Name), 0o600); err != nil {
		t.Fatal(err)
	}
	var want float64
	for _, v := range c.NLL {
		want += v / float64(len(c.NLL))
	}
	var got struct {
		PPL, NLL                float64
		Tokens, Scored, Windows int
		BitsPerWeight           float64 `json:"bits_per_weight"`
		ParentPPL               float64 `json:"parent_ppl"`
		KLD                     struct{ Max float64 }
		SameTop1                float64                 `json:"same_top1"`
		PPLRatio                struct{ Value float64 } `json:"ppl_ratio"`
	}
	model := testdata.Models(t, smolLM2)
	decode(t, &got, "eval", model, "--ppl", file, "--ctx", strconv.Itoa(len(c.IDs)), "--weights", "f32", "--parent", model, "--json")
	if math.Abs(got.NLL-want) > 1e-3 || math.Abs(math.Log(got.PPL)-want) > 1e-3 {
		t.Errorf("NLL %v, perplexity %v; want NLL %v", got.NLL, got.PPL, want)
	}
	if got.Tokens != len(c.IDs) || got.Scored != len(c.NLL) || got.Windows != 1 || got.BitsPerWeight != 32 {
		t.Errorf("%+v", got)
	}
	if r := got.PPLRatio.Value; math.Abs(r-1) > 0.05 || got.KLD.Max > 0.1 || got.SameTop1 < 0.9 || got.ParentPPL == 0 {
		t.Errorf("the file's own formats beside f32: %+v", got)
	}
}

// TestEvalCosine compares an encoder with itself in a coarser format.
func TestEvalCosine(t *testing.T) {
	model := testdata.Models(t, "all-minilm-l6-v2")
	file := t.TempDir() + "/lines"
	if err := os.WriteFile(file, []byte("A cat sits on the mat.\n\nPrices rose by three percent.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Cosine struct {
			Mean, Worst float64
			Texts       int
		}
	}
	decode(t, &got, "eval", model, "--cosine", file, "--weights", "int8-row", "--parent", model, "--json")
	if c := got.Cosine; c.Texts != 2 || c.Worst < 0.99 || c.Mean > 1.000001 || c.Worst == 1 {
		t.Errorf("%+v", c)
	}
	if _, errs, code := call(t, "eval", model, "--ppl", file); code != exitUsage || !strings.Contains(errs, "is an encoder") {
		t.Errorf("exit code %d, %s", code, errs)
	}
}

// answered is what `hone run --json` prints.
type answered struct {
	Text         string
	IDs          []int32
	FinishReason string `json:"finish_reason"`
}

// TestRunGolden compares greedy continuations with the reference as far as its choice was clear.
func TestRunGolden(t *testing.T) {
	model := testdata.Models(t, smolLM2)
	for i, c := range goldenCases(t) {
		if i%3 != 2 && testing.Short() {
			continue
		}
		args := []string{"run", model, "--raw", c.Name}
		if user, ok := strings.CutPrefix(c.Name, "chat: "); ok {
			args = []string{"run", model, user}
		}
		var got answered
		decode(t, &got, append(args, "--max-tokens", "32", "--temperature", "0", "--weights", "f32", "--json")...)
		for k, want := range c.Greedy {
			if c.Margin[k] <= 0.01 {
				break
			}
			if k >= len(got.IDs) || got.IDs[k] != want {
				t.Errorf("%q: token %d differs: %v, want %v", c.Name, k, got.IDs, c.Greedy)
				break
			}
		}
		if reason := map[bool]string{true: "stop", false: "length"}[len(c.Greedy) < 32]; got.FinishReason != reason {
			t.Errorf("%q: finish_reason %s, want %s", c.Name, got.FinishReason, reason)
		}
	}
}

// TestRunSeed: the same seed gives the same text, whatever the number of threads.
func TestRunSeed(t *testing.T) {
	model := testdata.Models(t, smolLM2)
	var texts []string
	for _, threads := range []string{"1", "2"} {
		var got answered
		decode(t, &got, "run", model, "--raw", "Once upon a time", "--max-tokens", "8", "--temperature", "1", "--seed", "7", "--threads", threads, "--json")
		texts = append(texts, got.Text)
	}
	if texts[0] != texts[1] {
		t.Errorf("%q and %q", texts[0], texts[1])
	}
}

// TestRunRefusals: what cannot be run is said.
func TestRunRefusals(t *testing.T) {
	for _, c := range []struct {
		model, want string
		code        int
		args        []string
	}{
		{testdata.Data(t, "models/stories260K-gguf/stories260K-f32.gguf"), "the prompt has 194 tokens and the context is 128", exitFailed, nil},
		{testdata.Data(t, "models/babyllama-tok361-hf"), "no text can be read or written", exitFailed, nil},
		{testdata.Models(t, "all-minilm-l6-v2"), "is an encoder and writes no text", exitFailed, nil},
		{testdata.Models(t, smolLM2), "--ctx 100000 is more than the", exitUsage, []string{"--ctx", "100000"}},
		{testdata.Models(t, smolLM2), "the context is 32: shorten it, or raise --ctx", exitFailed, []string{"--ctx", "32"}},
	} {
		_, errs, code := call(t, append([]string{"run", c.model, strings.Repeat("word ", 64)}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) {
			t.Errorf("%s: exit code %d, %q; want %q", c.model, code, errs, c.want)
		}
	}
}

// TestEvalIDs: windows of ids give what the same text gives.
func TestEvalIDs(t *testing.T) {
	c := goldenCases(t)[3]
	file := t.TempDir() + "/ids"
	b, err := json.Marshal(map[string]any{"windows": []any{map[string]any{"from": 1, "tokens": c.IDs}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var want float64
	for _, v := range c.NLL {
		want += v / float64(len(c.NLL))
	}
	var got struct {
		NLL            float64
		Tokens, Scored int
	}
	decode(t, &got, "eval", testdata.Models(t, smolLM2), "--ids", file, "--weights", "f32", "--json")
	if math.Abs(got.NLL-want) > 1e-3 || got.Tokens != len(c.IDs) || got.Scored != len(c.NLL) {
		t.Errorf("%+v, want NLL %v", got, want)
	}
}

func TestInspect(t *testing.T) {
	got := inspection{shape: &shape{}}
	decode(t, &got, "inspect", testdata.Models(t, smolLM2), "--weights", "int4-g128,head=int8-row", "--json")
	if !got.Served || got.Kind != "gguf" || got.shape == nil || got.Architecture != "llama" || got.Parameters != 134515008 || got.Blocks != 30 ||
		got.Context != 8192 || got.Vocab != 49152 || !got.Tied || got.KVPerToken["f32"] != 46080 {
		t.Errorf("%+v %+v", got, got.shape)
	}
	// 210 matrices at 5 bits, the tied embedding at 8.5, norms at 32
	if want := (106168320*5.0 + 28311552*8.5 + 35136*32) / 134515008; math.Abs(got.Stored-want) > 1e-9 {
		t.Errorf("stored %v bits per weight, want %v", got.Stored, want)
	}
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "does not divide 576 columns") {
		t.Errorf("notes %q", got.Notes)
	}
	if v := got.Tokenizer; v == nil || v.Tokens != 49152 || !v.ChatTemplate || v.Error != "" {
		t.Errorf("%+v", v)
	}
}

// TestInspectUnserved: files that are whole but not served are described, with the reason.
func TestInspectUnserved(t *testing.T) {
	for name, reason := range map[string]string{
		"tokenizers/llama.cpp-vocab/ggml-vocab-gpt-2.gguf": `the file holds no weights, at most a vocabulary`,
		"tokenizers/llama.cpp-vocab/ggml-vocab-mpt.gguf":   `architecture "mpt" is not served`,
	} {
		var got inspection
		decode(t, &got, "inspect", testdata.Data(t, name), "--json")
		if got.Served || !strings.Contains(got.Reason, reason) {
			t.Errorf("%s: served %v, %q", name, got.Served, got.Reason)
		}
	}
}

// TestInspectDamaged: a file whose settings contradict its tensors is a bad file, one without tensors is not.
func TestInspectDamaged(t *testing.T) {
	file, err := os.ReadFile(testdata.Data(t, "models/stories260K-gguf/stories260K-f32.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	key := []byte("llama.feed_forward_length")
	at := bytes.Index(file, key)
	if at < 0 {
		t.Fatal("no such key")
	}
	file[at+len(key)+4] ^= 1
	path := filepath.Join(t.TempDir(), "flipped.gguf")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := call(t, "inspect", path); code != exitFailed || !strings.Contains(errs, path) || !strings.Contains(errs, "ffn_gate") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	gguf, err := os.ReadFile(testdata.Models(t, smolLM2))
	if err != nil {
		t.Fatal(err)
	}
	merge := []byte("Ġunequ iv") // of the list of merges: its result is no token any more
	if at = bytes.LastIndex(gguf, merge); at < 0 {
		t.Fatal("no such merge")
	}
	gguf[at+len(merge)-1] = '~'
	if err := os.WriteFile(path, gguf, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := call(t, "inspect", path); code != exitFailed || !strings.Contains(errs, path) || !strings.Contains(errs, "merge ") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	must(t, "inspect", testdata.Data(t, "tokenizers/llama.cpp-vocab/ggml-vocab-deepseek-llm.gguf"))
}

// TestEvalTasks answers benchmarks, one of each kind, beside a parent that is the same model in another format.
func TestEvalTasks(t *testing.T) {
	model := testdata.Models(t, smolLM2)
	type share struct{ Value, SE float64 }
	var got struct {
		Tasks []struct {
			Task     string
			Items    int
			Accuracy share
			PPL      *float64
			Norm     *share `json:"accuracy_norm"`
			Parent   struct {
				Accuracy, Difference share
				Lost, Won, Flips     int
				Same                 float64
				P                    float64 `json:"mcnemar_p"`
			}
		}
		Parent string
	}
	decode(t, &got, "eval", model, "--weights", "f32", "--parent", model, "--task", "sst2,lambada", "--limit", "12", "--json",
		"--data", testdata.Data(t, "eval/glue/SST-2/dev.tsv")+","+testdata.Data(t, "eval/lambada/lambada_test.jsonl"))
	if len(got.Tasks) != 2 || got.Parent != model {
		t.Fatalf("%+v", got)
	}
	for i, task := range got.Tasks {
		p := task.Parent
		flips := math.Abs(p.Difference.Value - float64(p.Won-p.Lost)/12)
		if task.Items != 12 || task.Accuracy.Value <= 0 || task.Accuracy.SE <= 0 || flips > 1e-9 || p.Flips != p.Won+p.Lost || p.Same < 0.7 || p.P < 0.1 {
			t.Errorf("%+v", task)
		}
		if (task.PPL == nil) != (i == 0) || (task.Norm == nil) != (i == 1) {
			t.Errorf("%s: PPL %v, by length %v", task.Task, task.PPL, task.Norm)
		}
	}
	if testing.Short() {
		return
	}
	table := must(t, "eval", model, "--task", "gsm8k", "--data", testdata.Data(t, "eval/gsm8k/test.jsonl"), "--limit", "2", "--shots", "2")
	if !strings.Contains(table, "gsm8k") || !strings.Contains(table, "±") {
		t.Error(table)
	}
}
