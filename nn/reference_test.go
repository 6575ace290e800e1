package nn

import (
	"fmt"
	"math"
)

// referenceLogits is the tiny Llama written out plainly in float64: the definition that the executor is held to.
func referenceLogits(src randomSource, tokens []int32) []float64 {
	embed := src["model.embed_tokens.weight"].data
	x := make([][]float64, len(tokens))
	for t, id := range tokens {
		x[t] = widen(embed[int(id)*tinyWidth : (int(id)+1)*tinyWidth])
	}
	for b := range tinyBlocks {
		w := func(name string) *randomParam { return src[fmt.Sprintf("model.layers.%d.%s.weight", b, name)] }
		y := refAttention(x, w)
		for t := range x {
			for i, v := range y[t] {
				x[t][i] += v
			}
			h := refNorm(x[t], w("post_attention_layernorm").data)
			gate, up := refLinear(h, w("mlp.gate_proj")), refLinear(h, w("mlp.up_proj"))
			for i, g := range gate {
				gate[i] = g / (1 + math.Exp(-g)) * up[i]
			}
			for i, v := range refLinear(gate, w("mlp.down_proj")) {
				x[t][i] += v
			}
		}
	}
	var logits []float64
	for t := range x {
		logits = append(logits, refLinear(refNorm(x[t], src["model.norm.weight"].data), src["model.embed_tokens.weight"])...)
	}
	return logits
}

func refAttention(x [][]float64, w func(string) *randomParam) [][]float64 {
	q, k, v := make([][]float64, len(x)), make([][]float64, len(x)), make([][]float64, len(x))
	for t := range x {
		h := refNorm(x[t], w("input_layernorm").data)
		q[t], k[t], v[t] = refLinear(h, w("self_attn.q_proj")), refLinear(h, w("self_attn.k_proj")), refLinear(h, w("self_attn.v_proj"))
		refRope(q[t], t)
		refRope(k[t], t)
	}
	out := make([][]float64, len(x))
	for t := range x {
		y := make([]float64, tinyHeads*tinySize)
		for h := range tinyHeads {
			at := h / (tinyHeads / tinyKV) * tinySize
			p := make([]float64, t+1)
			var sum float64
			for j := range p {
				var s float64
				for d := range tinySize {
					s += q[t][h*tinySize+d] * k[j][at+d]
				}
				p[j] = math.Exp(s / math.Sqrt(tinySize))
				sum += p[j]
			}
			for j := range p {
				for d := range tinySize {
					y[h*tinySize+d] += p[j] / sum * v[j][at+d]
				}
			}
		}
		out[t] = refLinear(y, w("self_attn.o_proj"))
	}
	return out
}

func refRope(x []float64, pos int) {
	for h := 0; h < len(x); h += tinySize {
		for i := range tinySize / 2 {
			sin, cos := math.Sincos(float64(pos) * math.Pow(100, -2*float64(i)/tinySize))
			a, b := x[h+i], x[h+tinySize/2+i]
			x[h+i], x[h+tinySize/2+i] = a*cos-b*sin, b*cos+a*sin
		}
	}
}

func refNorm(x []float64, gain []float32) []float64 {
	var sq float64
	for _, v := range x {
		sq += v * v
	}
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = v / math.Sqrt(sq/float64(len(x))+1e-5) * float64(gain[i])
	}
	return y
}

func refLinear(x []float64, w *randomParam) []float64 {
	y := make([]float64, w.Rows)
	for r := range y {
		for c, v := range x {
			y[r] += v * float64(w.data[r*w.Cols+c])
		}
	}
	return y
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}

// referenceLoss is the mean negative log-likelihood of the scored targets.
func referenceLoss(src randomSource, b *Batch, targets []int32) float64 {
	var sum float64
	n := 0
	for _, s := range b.Seqs {
		logits := referenceLogits(src, b.Tokens[s.Offset:s.Offset+s.Len])
		for r := range s.Len {
			target := targets[s.Offset+r]
			if target < 0 {
				continue
			}
			row := logits[r*tinyVocab : (r+1)*tinyVocab]
			var z float64
			for _, v := range row {
				z += math.Exp(v)
			}
			sum += math.Log(z) - row[target]
			n++
		}
	}
	return sum / float64(n)
}
