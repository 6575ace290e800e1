package eval

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"hone/internal/testdata"
)

// TestGGUFTypes: every file of block types that llama.cpp wrote, as it is stored, beside the perplexity that llama.cpp printed for
// it (protocol `llama.cpp`, windows of 256). Both sides round activations, each in its own way.
func TestGGUFTypes(t *testing.T) {
	input := text(t, "models/ppl_input_tinystories_60k.txt")
	ids := map[string][]int32{}
	for _, line := range strings.Split(strings.TrimSpace(text(t, "models/llamacpp_ppl_reference.txt")), "\n") {
		var name, kind string
		var want, spread float64
		if _, err := fmt.Sscanf(line, "%s %s ctx256 Final estimate: PPL = %f +/- %f", &name, &kind, &want, &spread); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		t.Run(name+"/"+kind, func(t *testing.T) {
			m, lm := load(t, testdata.Data(t, fmt.Sprintf("models/%s-gguf/%s-%s.gguf", name, name, kind)), "", 256)
			bos, tokens := int32(1), ids[name]
			if tokens == nil {
				bos, tokens = sentencePieces(t, m, input)
				ids[name] = tokens
			}
			r := perplexity(t, lm, tokens, Plan{Protocol: ProtocolLlamaCpp, Ctx: 256, BOS: bos})
			t.Logf("%.4f, llama.cpp %.4f: %+.2f %%", r.PPL, want, 100*(r.PPL/want-1))
			if math.Abs(r.PPL/want-1) > 0.005 {
				t.Errorf("perplexity %.4f, llama.cpp %.4f", r.PPL, want)
			}
		})
	}
}
