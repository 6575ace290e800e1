package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"hone/model"
	"hone/recipe"
)

func init() { register(convertCommand) }

// keepFormats is the --dtype that leaves every matrix in its number format.
const keepFormats = "keep"

func convertCommand() *cobra.Command {
	var to, dtype string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "convert MODEL OUT",
		Short:   "Write a model as a GGUF file or a Hugging Face directory",
		GroupID: groupJudge,
		Long: `Write a model as a GGUF file or as a Hugging Face directory: weights under the other kind's names and in its order of
rows, config, tokenizer and chat template. OUT must not be there; it appears whole or not at all. Tensors are written a few
rows at a time, so that a model larger than memory can be converted, and the same model gives the same bytes.

Weights are written as f32 unless --dtype names another format: f32, f16 or bf16 for both kinds, one of GGUF's block formats for GGUF files, or
"keep" for those that the model has. Vectors of GGUF files are always f32.`,
		Example: `  hone convert model.gguf model-hf/
  hone convert model-hf/ model.gguf --dtype bf16
  hone convert model-00001-of-00003.gguf model.gguf --dtype keep`,
		Args: takes(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := recipe.Conversion{To: to, Keep: dtype == keepFormats}
			if to != "" && to != recipe.KindGGUF && to != recipe.KindHF {
				return usagef("--to %q: gguf and hf are possible", to)
			}
			var err error
			if !c.Keep {
				if c.Weights, err = model.ParseWeights(dtype); err != nil {
					return usagef("--dtype: %v", err)
				}
			}
			return convert(cmd, args[0], args[1], c, *asJSON)
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "kind of file, `KIND` gguf or hf (default gguf where OUT ends in .gguf, else hf)")
	cmd.Flags().StringVar(&dtype, "dtype", "f32", "number format of matrices: `FORMAT[,head=FORMAT]`, or keep")
	asJSON = addJSON(cmd)
	return cmd
}

func convert(cmd *cobra.Command, name, out string, c recipe.Conversion, asJSON bool) error {
	m, err := openModel(name)
	if err != nil {
		return err
	}
	defer m.File.Close()
	return convertModel(cmd, m, out, c, asJSON)
}

func convertModel(cmd *cobra.Command, m *model.Model, out string, c recipe.Conversion, asJSON bool) error {
	if err := checkOutput(out); err != nil {
		return err
	}
	bar := newProgress(cmd, "writing")
	c.Progress = func(done, all int64) error {
		bar.bytes(done, all)
		return nil
	}
	r, err := recipe.Convert(cmd.Context(), m, out, c)
	bar.end()
	if err != nil {
		return interrupted(err, "nothing was written; run it again")
	}
	if asJSON {
		return printJSON(cmd, r)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "wrote %s: %s, %s, %d tensors, %s\n", r.Path, r.To, r.Dtype, r.Tensors, bytesText(r.Bytes))
	for _, note := range r.Notes {
		fmt.Fprintln(w, "note:", note)
	}
	return nil
}
