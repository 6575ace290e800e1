package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"hone/engine"
)

func init() {
	register(endpoint{pattern: "GET /metrics", serve: (*Server).serveMetrics})
}

func (s *Server) serveMetrics(x *exchange) error {
	s.metrics.handler.ServeHTTP(x, x.r)
	return nil
}

// metrics are on a registry of the server's own. Every label has few values, none of them from a client: routes are the
// patterns of endpoints, models the served names.
type metrics struct {
	handler  http.Handler
	requests *prometheus.CounterVec // route, code
	panics   prometheus.Counter

	ttft       prometheus.Histogram
	e2e        prometheus.Histogram
	prompt     prometheus.Histogram
	generated  prometheus.Histogram
	choices    prometheus.Histogram
	maxTokens  prometheus.Histogram
	embeddings prometheus.Counter
}

var (
	tokenBuckets = []float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000}
	ttftBuckets  = []float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560}
	e2eBuckets   = []float64{0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680}
)

func newMetrics(s *Server) *metrics {
	labels := prometheus.Labels{"model_name": s.config.Models[0], "engine": "0"}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, ConstLabels: labels, Buckets: buckets})
	}
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hone:http_requests_total",
			Help: "Requests answered, by endpoint and status; gone means that the client left first."}, []string{"route", "code"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "hone:handler_panics_total",
			Help: "Requests that ended with a panic."}),
		ttft:      histogram("vllm:time_to_first_token_seconds", "From a request's arrival to its first token.", ttftBuckets),
		e2e:       histogram("vllm:e2e_request_latency_seconds", "From a request's arrival to its end.", e2eBuckets),
		prompt:    histogram("vllm:request_prompt_tokens", "Prompt tokens of a request.", tokenBuckets),
		generated: histogram("vllm:request_generation_tokens", "Generated tokens of a request.", tokenBuckets),
		choices:   histogram("vllm:request_params_n", "Choices asked for.", []float64{1, 2, 5, 10, 20}),
		maxTokens: histogram("vllm:request_params_max_tokens", "max_tokens asked for.", tokenBuckets),
		embeddings: prometheus.NewCounter(prometheus.CounterOpts{Name: "hone:embedding_tokens_total",
			Help: "Tokens of texts that were embedded, classified or ranked.", ConstLabels: labels}),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.panics, m.embeddings, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if s.config.Generator != nil {
		r.MustRegister(m.ttft, m.e2e, m.prompt, m.generated, m.choices, m.maxTokens, newEngineCollector(s.config.Generator, labels))
	}
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{})
	return m
}

func (m *metrics) firstToken(arrived time.Time) { m.ttft.Observe(time.Since(arrived).Seconds()) }

// finished records a request that ran to its end.
func (m *metrics) finished(arrived time.Time, g *generation, u usage) {
	m.e2e.Observe(time.Since(arrived).Seconds())
	m.prompt.Observe(float64(u.PromptTokens))
	m.generated.Observe(float64(u.CompletionTokens))
	m.choices.Observe(float64(g.n))
	if g.maxTokens > 0 {
		m.maxTokens.Observe(float64(g.maxTokens))
	}
}

// engineCollector reads an engine's statistics when they are scraped: the engine's loop pays nothing for it.
type engineCollector struct {
	generator Generator
	gauges    []engineValue
	counters  []engineValue
	hists     []engineHistogram
	finished  *prometheus.Desc
	cache     func(blocks int) *prometheus.Desc
}

type engineValue struct {
	desc *prometheus.Desc
	read func(*engine.Stats) float64
}

type engineHistogram struct {
	desc *prometheus.Desc
	read func(*engine.Stats) engine.Histogram
}

func newEngineCollector(g Generator, labels prometheus.Labels) *engineCollector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, nil, labels) }
	value := func(name, help string, read func(*engine.Stats) float64) engineValue {
		return engineValue{desc(name, help), read}
	}
	return &engineCollector{
		generator: g,
		gauges: []engineValue{
			value("vllm:num_requests_running", "Choices that hold KV blocks.", func(s *engine.Stats) float64 { return float64(s.Running) }),
			value("vllm:num_requests_waiting", "Choices that wait to run.", func(s *engine.Stats) float64 { return float64(s.Waiting) }),
			value("vllm:kv_cache_usage_perc", "Share of the KV blocks in use, 0 to 1.", usedBlocks),
			value("hone:kv_blocks", "KV blocks there are.", func(s *engine.Stats) float64 { return float64(s.Blocks) }),
			value("hone:kv_blocks_used", "KV blocks held by running choices.", func(s *engine.Stats) float64 { return float64(s.BlocksUsed) }),
		},
		counters: []engineValue{
			value("vllm:prompt_tokens_total", "Prompt tokens of admitted choices.", func(s *engine.Stats) float64 { return float64(s.PromptTokens) }),
			value("vllm:generation_tokens_total", "Tokens generated.", func(s *engine.Stats) float64 { return float64(s.GeneratedTokens) }),
			value("vllm:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache.", func(s *engine.Stats) float64 { return float64(s.PromptTokens) }),
			value("vllm:prefix_cache_hits_total", "Prompt tokens found in the prefix cache.", func(s *engine.Stats) float64 { return float64(s.CachedTokens) }),
			value("vllm:num_preemptions_total", "Choices pushed out to be computed again.", func(s *engine.Stats) float64 { return float64(s.Preemptions) }),
			value("hone:steps_total", "Steps of the engine.", func(s *engine.Stats) float64 { return float64(s.Steps) }),
		},
		hists: []engineHistogram{
			{desc("vllm:inter_token_latency_seconds", "Between two tokens of a choice."), func(s *engine.Stats) engine.Histogram { return s.ITL }},
			{desc("vllm:request_queue_time_seconds", "From submission to the first step."), func(s *engine.Stats) engine.Histogram { return s.Queue }},
			{desc("hone:step_batch_size", "Sequences of a step: the mean batch of an interval is the change of the sum over the change of the count."),
				func(s *engine.Stats) engine.Histogram { return s.BatchSize }},
		},
		finished: prometheus.NewDesc("vllm:request_success_total", "Choices that ended, by reason.", []string{"finished_reason"}, labels),
		cache: func(blocks int) *prometheus.Desc {
			with := prometheus.Labels{"block_size": strconv.Itoa(blockTokens), "num_gpu_blocks": strconv.Itoa(blocks)}
			for k, v := range labels {
				with[k] = v
			}
			return prometheus.NewDesc("vllm:cache_config_info", "Size of the KV cache, in the labels.", nil, with)
		},
	}
}

func usedBlocks(s *engine.Stats) float64 {
	if s.Blocks == 0 {
		return 0
	}
	return float64(s.BlocksUsed) / float64(s.Blocks)
}

// Describe sends nothing: the metrics of cache_config_info depend on the engine, so this collector is unchecked.
func (c *engineCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *engineCollector) Collect(out chan<- prometheus.Metric) {
	stats := c.generator.Stats()
	for _, v := range c.gauges {
		out <- prometheus.MustNewConstMetric(v.desc, prometheus.GaugeValue, v.read(&stats))
	}
	for _, v := range c.counters {
		out <- prometheus.MustNewConstMetric(v.desc, prometheus.CounterValue, v.read(&stats))
	}
	for _, h := range c.hists {
		out <- constHistogram(h.desc, h.read(&stats))
	}
	for _, reason := range []engine.FinishReason{engine.FinishStop, engine.FinishLength, engine.FinishAbort, engine.FinishError} {
		out <- prometheus.MustNewConstMetric(c.finished, prometheus.CounterValue, float64(stats.Finished[reason]), string(reason))
	}
	out <- prometheus.MustNewConstMetric(c.cache(stats.Blocks), prometheus.GaugeValue, 1)
}

// constHistogram turns counts per bucket into Prometheus' cumulative ones.
func constHistogram(desc *prometheus.Desc, h engine.Histogram) prometheus.Metric {
	buckets := make(map[float64]uint64, len(h.Bounds))
	var sum uint64
	for i, bound := range h.Bounds {
		if i < len(h.Counts) {
			sum += h.Counts[i]
		}
		buckets[bound] = sum
	}
	return prometheus.MustNewConstHistogram(desc, h.Count, h.Sum, buckets)
}
