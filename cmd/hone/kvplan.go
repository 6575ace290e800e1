package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hone/internal/machine"
	"hone/model"
	"hone/nn"
)

// kvPlan is the context and the KV cache of a service.
type kvPlan struct {
	context int
	kv      nn.KVConfig
	bytes   int64
	note    string // why the context is less than the model takes; "" when it is not
}

// tokens is the number of positions that the cache holds.
func (p kvPlan) tokens() int { return p.kv.Blocks * nn.BlockTokens }

// fullContexts is how many sequences of full length the cache holds when nothing is said and memory allows.
const fullContexts = 16

// planKV chooses the context and the size of the cache. memory is what the user allows, 0: a quarter of what is
// available beside the weights, and no more than fullContexts sequences need. A context that was asked for is never
// made shorter: it fails with the figures instead.
func planKV(m *model.Model, kind string, want int, memory, weights int64) (kvPlan, error) {
	ctx, err := contextOf(m, want, m.Design.Context)
	if err != nil {
		return kvPlan{}, err
	}
	block := m.Design.Program.KVBlockBytes(kind)
	allowed := memory
	if memory == 0 {
		allowed = int64(fullContexts*blocks(ctx)) * block
		if have, ok := machine.ReadMemory(); ok {
			allowed = min(allowed, max(0, have.Available-weights)/4)
		}
	}
	n := int(allowed / block)
	p := kvPlan{context: ctx, kv: nn.KVConfig{Type: kind, Blocks: n}, bytes: int64(n) * block}
	if n >= blocks(ctx) {
		return p, nil
	}
	if want > 0 || n < 1 {
		return p, fmt.Errorf("a context of %d tokens needs a KV cache of %s (%s), but only %s are allowed: take --kv bf16 or int8, a smaller --ctx, or more --kv-memory",
			ctx, bytesText(int64(blocks(ctx))*block), kind, bytesText(allowed))
	}
	p.context = n * nn.BlockTokens
	p.note = fmt.Sprintf("the context is %d tokens, not the %d that the model takes: the KV cache has room for no more", p.context, ctx)
	return p, nil
}

// textFlags refuses flags of a KV cache for a model that has none: they would be passed over.
func textFlags(cmd *cobra.Command, m *model.Model) error {
	for _, name := range []string{"ctx", "kv", "kv-memory"} {
		if m.Encoder() && cmd.Flags().Changed(name) {
			return usagef("--%s is for models that write text; %s is an encoder, which takes texts of up to %d tokens and keeps nothing: leave it out", name, m.Path, m.Design.Context)
		}
	}
	return nil
}

// sizeFlag is a number of bytes: 512MB, 1.5GB, 2GiB.
type sizeFlag int64

var sizeUnits = []struct {
	name  string
	bytes float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}}

func (s *sizeFlag) Set(text string) error {
	unit := 1.0
	number := text
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = rest, u.bytes
			break
		}
	}
	x, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if err != nil || !(x > 0) || x*unit > 1<<60 {
		return fmt.Errorf("want a size such as 512MB or 2GiB")
	}
	*s = sizeFlag(x * unit)
	return nil
}

func (s *sizeFlag) String() string {
	if *s == 0 {
		return ""
	}
	return bytesText(int64(*s))
}

func (s *sizeFlag) Type() string { return "SIZE" }
