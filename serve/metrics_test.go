package serve

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"hone/engine"
)

// scrape returns every sample by its name, and by its name with labels.
func scrape(t testing.TB, s *Server) map[string]float64 {
	t.Helper()
	w := call(s, "GET", "/metrics", "")
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	out := map[string]float64{}
	for lines := bufio.NewScanner(w.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		i := strings.LastIndexByte(line, ' ')
		x, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		out[line[:i]] = x
		name, _, _ := strings.Cut(line[:i], "{")
		out[name] = x
	}
	return out
}

func TestMetrics(t *testing.T) {
	f := &fakeEngine{}
	f.setStats(engine.Stats{
		Running: 3, Waiting: 2, Blocks: 10, BlocksUsed: 5, PromptTokens: 100, CachedTokens: 40, GeneratedTokens: 7, Preemptions: 1, Steps: 4,
		Finished:  map[engine.FinishReason]uint64{engine.FinishStop: 6},
		BatchSize: engine.Histogram{Bounds: []float64{8, 32}, Counts: []uint64{1, 2, 1}, Sum: 120, Count: 4},
		ITL:       engine.Histogram{Bounds: []float64{0.1}, Counts: []uint64{1, 0}, Sum: 0.05, Count: 1},
	})
	s := testServer(t, f)
	post(s, "/v1/chat/completions", chatBody+`,"n":2,"max_tokens":9}`)
	post(s, "/v1/chat/completions", chatBody+`,"n":0}`)
	got := scrape(t, s)
	const labels = `{engine="0",model_name="tiny"}`
	want := map[string]float64{
		"vllm:num_requests_running" + labels:                                                       3,
		"vllm:num_requests_waiting" + labels:                                                       2,
		"vllm:kv_cache_usage_perc" + labels:                                                        0.5,
		"vllm:prefix_cache_queries_total" + labels:                                                 100,
		"vllm:prefix_cache_hits_total" + labels:                                                    40,
		"vllm:num_preemptions_total" + labels:                                                      1,
		"vllm:prompt_tokens_total" + labels:                                                        100,
		"vllm:generation_tokens_total" + labels:                                                    7,
		`vllm:request_success_total{engine="0",finished_reason="stop",model_name="tiny"}`:          6,
		"vllm:time_to_first_token_seconds_count" + labels:                                          1,
		"vllm:e2e_request_latency_seconds_count" + labels:                                          1,
		"vllm:inter_token_latency_seconds_count" + labels:                                          1,
		"vllm:request_prompt_tokens_sum" + labels:                                                  8,
		"vllm:request_generation_tokens_sum" + labels:                                              10,
		"vllm:request_params_n_sum" + labels:                                                       2,
		"vllm:request_params_max_tokens_sum" + labels:                                              9,
		`vllm:cache_config_info{block_size="32",engine="0",model_name="tiny",num_gpu_blocks="10"}`: 1,
		"hone:step_batch_size_sum" + labels:                                                        120,
		"hone:step_batch_size_count" + labels:                                                      4,
		`hone:step_batch_size_bucket{engine="0",model_name="tiny",le="32"}`:                        3,
		`hone:step_batch_size_bucket{engine="0",model_name="tiny",le="+Inf"}`:                      4,
		`hone:http_requests_total{code="200",route="POST /v1/chat/completions"}`:                   1,
		`hone:http_requests_total{code="400",route="POST /v1/chat/completions"}`:                   1,
	}
	for name, x := range want {
		if v, ok := got[name]; !ok || v != x {
			t.Errorf("%s is %v (there: %v), want %v", name, v, ok, x)
		}
	}
}

// TestLabelsBounded: nothing that a client sends becomes a label.
func TestLabelsBounded(t *testing.T) {
	s := testServer(t, &fakeEngine{})
	scrape(t, s)
	before := len(scrape(t, s))
	for i := range 2000 {
		post(s, "/v1/chat/completions", fmt.Sprintf(`{"model":"m%d","messages":[{"role":"user","content":"hi"}]}`, i))
		call(s, fmt.Sprintf("M%d", i), fmt.Sprintf("/p%d", i), "")
		call(s, "GET", fmt.Sprintf("/v1/models/x%d", i), "", "Host", "localhost")
	}
	if after := len(scrape(t, s)); after > before+4 {
		t.Errorf("%d samples grew to %d", before, after)
	}
}
