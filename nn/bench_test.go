package nn

import (
	"fmt"
	"testing"

	"hone/kernel"
)

// smolAttention is the attention of SmolLM2-135M, ten of its thirty layers, without the rest of the blocks.
func smolAttention() *Program {
	rope := &Rope{}
	for range 32 {
		rope.InvFreq = append(rope.InvFreq, 0.01)
	}
	a := Attention{Q: "q", K: "k", V: "v", O: "o", Heads: 9, KVHeads: 3, Size: 64, Causal: true, Rope: rope}
	b := NewBuilder()
	x := b.Embed("embed.weight", tinyVocab, 576)
	for i := range 10 {
		b.Block(fmt.Sprintf("layer.%d.", i), func() { x = b.Add(x, b.Attention(b.RMSNorm(x, "norm", 1e-5), "attention", a)) })
	}
	b.Head(x, "embed.weight", tinyVocab)
	return b.Program()
}

// BenchmarkAttention: a token (of each of n sequences) far into a text, and prompts of two lengths; by the CPU time of
// one thread, and by the clock with two.
func BenchmarkAttention(b *testing.B) {
	p := smolAttention()
	src := newRandomSource(p, 1)
	for _, kind := range []string{"f32", "bf16", "int8"} {
		for threads := 1; threads <= 2; threads++ {
			pool := kernel.NewPool(threads)
			x, err := New(p, src, Options{MaxTokens: 2048, MaxContext: benchBlocks * BlockTokens, Pool: pool,
				Formats: inFormat("int4-g32"), KV: KVConfig{Type: kind, Blocks: 8 * benchBlocks}})
			if err != nil {
				b.Fatal(err)
			}
			for _, c := range []struct{ seqs, rows, pos int }{{1, 1, 100}, {1, 1, 2000}, {1, 2, 2000}, {8, 1, 2000}, {1, 512, 0}, {1, 2048, 0}} {
				b.Run(fmt.Sprintf("%s/seqs=%d/rows=%d/pos=%d/threads=%d", kind, c.seqs, c.rows, c.pos, threads), func(b *testing.B) {
					benchForward(b, x, benchBatch(c.seqs, c.rows, c.pos), threads)
				})
			}
			pool.Close()
		}
	}
}

const benchBlocks = 96

func benchBatch(seqs, rows, pos int) *Batch {
	batch := &Batch{Tokens: make([]int32, seqs*rows)}
	for i := range seqs {
		s := Seq{Offset: i * rows, Len: rows, Pos: pos}
		for j := range benchBlocks {
			s.Blocks = append(s.Blocks, int32(i*benchBlocks+j))
		}
		batch.Seqs = append(batch.Seqs, s)
	}
	return batch
}

func benchForward(b *testing.B, x *Exec, batch *Batch, threads int) {
	if err := x.Forward(batch); err != nil {
		b.Fatal(err)
	}
	start := threadTime()
	for b.Loop() {
		if err := x.Forward(batch); err != nil {
			b.Fatal(err)
		}
	}
	seconds := b.Elapsed().Seconds()
	if threads == 1 {
		seconds = threadTime() - start
	}
	b.ReportMetric(seconds*1e6/float64(b.N)/float64(len(x.p.Blocks)), "µs/layer")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkExperts: the experts of a small Qwen3-MoE, one token and prompts.
func BenchmarkExperts(b *testing.B) {
	bb := NewBuilder()
	x := bb.Embed("embed.weight", tinyVocab, 1024)
	for i := range 2 {
		bb.Block(fmt.Sprintf("layer.%d.", i), func() {
			x = bb.Add(x, bb.Experts(bb.RMSNorm(x, "norm", 1e-5), Experts{Router: "gate.weight", Prefix: "experts.", Gate: "gate_proj", Up: "up_proj",
				Down: "down_proj", Count: 64, Active: 8, Width: 384, Normalize: true}))
		})
	}
	bb.Head(x, "embed.weight", tinyVocab)
	p := bb.Program()
	src := newRandomSource(p, 1)
	for threads := 1; threads <= 2; threads++ {
		pool := kernel.NewPool(threads)
		x, err := New(p, src, Options{MaxTokens: 512, Pool: pool, Formats: func(q Param) string {
			if q.Router || q.Embedding {
				return ""
			}
			return "int4-g32"
		}})
		if err != nil {
			b.Fatal(err)
		}
		for _, rows := range []int{1, 8, 32, 512} {
			b.Run(fmt.Sprintf("rows=%d/threads=%d", rows, threads), func(b *testing.B) {
				batch := whole(tinyTokens(rows))
				benchForward(b, x, batch, threads)
			})
		}
		pool.Close()
	}
}
