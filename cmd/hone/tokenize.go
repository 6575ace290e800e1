package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"hone/checkpoint"
	"hone/tokenizer"
)

func init() { register(tokenizeCommand) }

// tokenizeFlags are the settings of `hone tokenize`.
type tokenizeFlags struct {
	file              string
	noSpecial, decode bool
	json              *bool
}

func tokenizeCommand() *cobra.Command {
	var f tokenizeFlags
	cmd := &cobra.Command{
		Use:     "tokenize VOCAB [TEXT]",
		Short:   "Turn text into token ids, or ids into text",
		GroupID: groupJudge,
		Long: `Turn text into token ids as the model does, or back with --decode.

VOCAB is a model, a GGUF file (one that holds only a vocabulary will do), a Hugging Face directory, a
tokenizer.json, a SentencePiece model (*.model), vocab.json with merges.txt beside it, vocab.txt, or a rank
file of tiktoken (r50k_base.tiktoken, cl100k_base.tiktoken, …). TEXT can come from --file or a pipe instead. With --decode it is a list of ids.`,
		Example: `  hone tokenize model.gguf "Hello, world"
  hone tokenize tokenizer.json --file text.txt --no-special --json
  hone tokenize model.gguf --decode "504 3575 282"`,
		Args: takes(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	cmd.Flags().StringVar(&f.file, "file", "", "read the text from `FILE`")
	cmd.Flags().BoolVar(&f.noSpecial, "no-special", false, "add no BOS, EOS, CLS, SEP and read special-token text as plain text")
	cmd.Flags().BoolVar(&f.decode, "decode", false, "turn ids into text")
	f.json = addJSON(cmd)
	return cmd
}

func (f *tokenizeFlags) run(cmd *cobra.Command, args []string) error {
	path, err := locate(args[0])
	if err != nil {
		return err
	}
	tok, err := openTokenizer(path)
	if err != nil {
		return err
	}
	text, err := inputText(cmd, args, f.file)
	if err != nil {
		return err
	}
	if f.decode {
		return f.printText(cmd, tok, text)
	}
	noteBytes(cmd.ErrOrStderr(), "the text", text)
	ids, err := leave(cmd.Context(), func() ([]int32, error) {
		return tok.Encode(text, tokenizer.EncodeOptions{AddSpecial: !f.noSpecial, ParseSpecial: !f.noSpecial})
	})
	if err != nil {
		return err
	}
	if ids == nil {
		ids = []int32{}
	}
	if *f.json {
		return printJSON(cmd, map[string][]int32{"ids": ids})
	}
	return printIDs(cmd.OutOrStdout(), ids)
}

func (f *tokenizeFlags) printText(cmd *cobra.Command, tok tokenizer.Tokenizer, list string) error {
	ids, err := parseIDs(list, tok.VocabSize())
	if err != nil {
		return err
	}
	text := tok.Decode(ids, f.noSpecial)
	if *f.json {
		return printJSON(cmd, map[string]string{"text": text})
	}
	fmt.Fprintln(cmd.OutOrStdout(), text)
	return nil
}

func printIDs(w io.Writer, ids []int32) error {
	var b bytes.Buffer
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strconv.Itoa(int(id)))
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}

// parseIDs reads ids apart by spaces or commas, brackets and {"ids":…} around them allowed.
func parseIDs(list string, vocab int) ([]int32, error) {
	list = strings.Replace(list, `"ids":`, " ", 1)
	words := strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(" \t\r\n,[]{}", r) })
	ids := make([]int32, len(words))
	for i, w := range words {
		id, err := strconv.ParseInt(w, 10, 32)
		if err != nil || id < 0 || id >= int64(vocab) {
			return nil, fmt.Errorf("id %d is %q; want a number from 0 to %d", i, w, vocab-1)
		}
		ids[i] = int32(id)
	}
	return ids, nil
}

// openTokenizer reads the tokenizer of a GGUF file, a Hugging Face directory, a safetensors file with its directory, or
// one file of a tokenizer.
func openTokenizer(path string) (tokenizer.Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return tokenizer.FromHF(path)
	}
	switch filepath.Ext(path) {
	case ".json", ".model", ".tiktoken", ".txt":
		return tokenizer.FromFile(path)
	}
	file, err := checkpoint.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return tokenizerOf(path, file)
}

// tokenizerOf reads the tokenizer of an open file: in its metadata, or in the files beside it.
func tokenizerOf(path string, file checkpoint.File) (tokenizer.Tokenizer, error) {
	c := file.Config()
	if c.GGUF == nil {
		return tokenizer.FromHF(c.Dir)
	}
	tok, err := tokenizer.FromGGUF(c.GGUF)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return tok, nil
}
