package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Pair is our rate beside a peer's, measured one right after the other.
type Pair struct{ Ours, Peer float64 }

// Comparison is a number of pairs: the ratio of the medians and the spread of the pairs' own ratios.
type Comparison struct {
	Work    string  `json:"work"`
	Ours    float64 `json:"ours"` // median tokens a second
	Peer    float64 `json:"peer"`
	Ratio   float64 `json:"ratio"`
	Lowest  float64 `json:"lowest"` // of the pairs' ratios
	Highest float64 `json:"highest"`
	Pairs   []Pair  `json:"pairs"`
}

// Compare runs ours and the peer alternately n times.
func Compare(ctx context.Context, work string, n int, ours, peer func() (float64, error)) (Comparison, error) {
	c := Comparison{Work: work}
	var a, b, ratios []float64
	for range n {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		x, err := ours()
		if err != nil {
			return c, err
		}
		y, err := peer()
		if err != nil {
			return c, err
		}
		c.Pairs = append(c.Pairs, Pair{x, y})
		a, b, ratios = append(a, x), append(b, y), append(ratios, x/y)
	}
	c.Ours, c.Peer = Median(a), Median(b)
	c.Ratio, c.Lowest, c.Highest = c.Ours/c.Peer, slices.Min(ratios), slices.Max(ratios)
	return c, nil
}

// LlamaBench runs llama.cpp's llama-bench once and returns its tokens a second: prefill of p tokens, or generation of n
// from an empty context (the other is 0). The peer's flags come last.
func LlamaBench(ctx context.Context, peer Peer, threads, p, n int) (float64, error) {
	args := append([]string{"-m", peer.Model, "-t", strconv.Itoa(threads), "-p", strconv.Itoa(p), "-n", strconv.Itoa(n), "-r", "1", "-o", "json"}, peer.Flags...)
	out, err := run(ctx, peer.Bench, args...)
	if err != nil {
		return 0, err
	}
	var results []struct {
		Rate float64 `json:"avg_ts"`
	}
	if err := json.Unmarshal(out, &results); err != nil || len(results) != 1 {
		return 0, fmt.Errorf("bench: %s printed no result that can be read: %.200q", peer.Bench, out)
	}
	return results[0].Rate, nil
}

// LlamaBatchedBench runs llama.cpp's llama-batched-bench once and returns the generated tokens a second of batch
// sequences together.
func LlamaBatchedBench(ctx context.Context, peer Peer, threads, prompt, generate, batch int) (float64, error) {
	t := strconv.Itoa(threads)
	args := append([]string{"-m", peer.Model, "-t", t, "-tb", t, "-c", "8192", "-b", "2048", "-ub", "512",
		"-npp", strconv.Itoa(prompt), "-ntg", strconv.Itoa(generate), "-npl", strconv.Itoa(batch), "--output-format", "jsonl"}, peer.Flags...)
	out, err := run(ctx, peer.BatchedBench, args...)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(out)) {
		var result struct {
			Rate float64 `json:"speed_tg"`
		}
		if json.Unmarshal([]byte(line), &result) == nil && result.Rate > 0 {
			return result.Rate, nil
		}
	}
	return 0, fmt.Errorf("bench: %s printed no result that can be read: %.200q", peer.BatchedBench, out)
}

func run(ctx context.Context, program string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("bench: %s %s: %w", program, strings.Join(args, " "), err)
	}
	return out, nil
}
