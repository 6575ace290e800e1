package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hone/bench"
	"hone/recipe"
)

func init() { register(benchCommand) }

func benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "bench [MODEL]",
		Short:   "Measure the machine's limits and a model's speed beside them",
		GroupID: groupHost,
		Long: `Measures what the machine itself can do, then a model's prefill, decode and batched decode with the share of the
limit that each reaches. Without a model, --shape names one by its sizes and takes random weights.`,
		Example: `  hone bench model.gguf --weights q4 --prefill 512 --decode 64 --batch 32
  hone bench --shape llama-1.1b --write-gguf random.gguf
  hone bench model.gguf --weights q4 --peer-llama-bench llama-bench --peer-model model-q4_0.gguf`,
		Args: takes(0, 1),
	}
	spec := bench.Spec{Work: bench.Work{Prefill: 512, Decode: 64, BatchPrompt: 128, BatchDecode: 64, Repeat: 5}, Pairs: 5}
	f := cmd.Flags()
	threads := addThreads(cmd)
	asJSON := addJSON(cmd)
	f.StringVar(&spec.Shape, "shape", "", "measure random weights of this `SHAPE` instead of a model")
	weights, kv := addWeights(cmd), addKV(cmd)
	addRange(cmd, &spec.Work.Prefill, "prefill", 0, mostWork, "tokens of the prompt")
	addRange(cmd, &spec.Work.Decode, "decode", 0, mostWork, "tokens generated one by one from an empty context")
	addRange(cmd, &spec.Work.Batch, "batch", 0, mostWork, "sequences decoded together")
	addCount(cmd, &spec.Work.Repeat, "repeat", 1, "runs of each; the median counts")
	f.StringVar(&spec.WriteGGUF, "write-gguf", "", "write the shape's weights to this `FILE` for a peer, and measure nothing")
	f.StringVar(&spec.Peer.Bench, "peer-llama-bench", "", "llama.cpp's llama-bench `PROGRAM`, run alternately")
	f.StringVar(&spec.Peer.BatchedBench, "peer-llama-batched-bench", "", "llama.cpp's llama-batched-bench `PROGRAM`, run alternately")
	f.StringVar(&spec.Peer.Model, "peer-model", "", "the GGUF `FILE` that the peer runs; default: MODEL")
	peerFlags := f.String("peer-flags", "", "further `ARGUMENTS` of the peer's programs, such as \"-fa 1\"")
	addCount(cmd, &spec.Pairs, "pairs", 1, "alternate runs with each peer")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		spec.Peer.Flags = strings.Fields(*peerFlags)
		spec.Threads, spec.Weights, spec.KV = *threads, weights.Weights, string(*kv)
		if len(args) == 1 {
			spec.Path = args[0]
		}
		return benchModel(cmd, spec, *asJSON)
	}
	return cmd
}

// mostWork bounds each count of tokens and sequences: memory for them is reckoned without overflow.
const mostWork = 1 << 20

func benchModel(cmd *cobra.Command, spec bench.Spec, asJSON bool) error {
	if (spec.Path == "") == (spec.Shape == "") {
		return usagef("name either a MODEL or a --shape")
	}
	if spec.Peer.Model == "" {
		spec.Peer.Model = spec.Path
	}
	if spec.Path != "" {
		path, err := locate(spec.Path)
		if err != nil {
			return err
		}
		spec.Path = path
	}
	if names := bench.ShapeNames(); spec.Shape != "" && !slices.Contains(names, spec.Shape) {
		return usagef("--shape %q is not known%s; the shapes are %s", spec.Shape, didYouMean(spec.Shape, names), strings.Join(names, ", "))
	}
	r, err := bench.Run(cmd.Context(), spec)
	switch {
	case err != nil:
		return err
	case r == nil:
		fmt.Fprintf(cmd.OutOrStdout(), "wrote %s\n", spec.WriteGGUF)
		return nil
	case asJSON:
		return printJSON(cmd, r)
	}
	printBench(cmd.OutOrStdout(), r)
	return nil
}

func printBench(w io.Writer, r *bench.Result) {
	fmt.Fprintf(w, "%s, %s: %.2f bits a weight, %.1f MB; %d threads, %s kernels\n", r.Model, cmp.Or(r.Weights, recipe.AsStored), r.BitsPerWeight, float64(r.WeightBytes)/1e6, r.Threads, r.Kernels)
	fmt.Fprintf(w, "limits        f32 %.0f GFLOP/s, bf16 %.0f GFLOP/s, int8 %.0f GOP/s, read %.1f GB/s\n", r.Limits.F32GFLOPS, r.Limits.BF16GFLOPS, r.Limits.Int8GOPS, r.Limits.ReadGBps)
	fmt.Fprintf(w, "prefill       %v\ndecode        %v\nbatch decode  %v\n", r.Prefill, r.Decode, r.BatchDecode)
	for _, c := range r.Comparisons {
		fmt.Fprintf(w, "%-16s ours %.1f, peer %.1f tokens/s: %.2fx (%.2f to %.2f in %d pairs)\n", c.Work, c.Ours, c.Peer, c.Ratio, c.Lowest, c.Highest, len(c.Pairs))
	}
}
