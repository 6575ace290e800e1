package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// pairJSON is a word-piece tokenizer of four letters with a post-processor.
func pairJSON(post string) []byte {
	return []byte(`{"model":{"type":"WordPiece","unk_token":"[UNK]","continuing_subword_prefix":"##","max_input_chars_per_word":9,
		"vocab":{"[UNK]":0,"[CLS]":1,"[SEP]":2,"a":3,"b":4,"##b":5}},"pre_tokenizer":{"type":"BertPreTokenizer"},
		"post_processor":` + post + `,"added_tokens":[]}`)
}

// TestPairs: ids and types as PyPI tokenizers 0.23 gives them for the texts "ab a" and "b".
func TestPairs(t *testing.T) {
	const tokens = `,"special_tokens":{"[CLS]":{"id":"[CLS]","ids":[1],"tokens":["[CLS]"]},"[SEP]":{"id":"[SEP]","ids":[2],"tokens":["[SEP]"]}}}`
	template := func(pair string) string {
		return `{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}}],"pair":[` + pair + `]` + tokens
	}
	special := func(name string, kind int) string {
		return fmt.Sprintf(`{"SpecialToken":{"id":%q,"type_id":%d}}`, name, kind)
	}
	text := func(name string, kind int) string {
		return fmt.Sprintf(`{"Sequence":{"id":%q,"type_id":%d}}`, name, kind)
	}
	bert := template(strings.Join([]string{special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1)}, ","))
	for _, c := range []struct {
		name, post, ids, types, says string
	}{
		{"none", `null`, "[3 5 3 4]", "[0 0 0 1]", ""},
		{"bert", `{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]}`, "[1 3 5 3 2 4 2]", "[0 0 0 0 0 1 1]", ""},
		{"roberta", `{"type":"RobertaProcessing","sep":["[SEP]",2],"cls":["[CLS]",1],"trim_offsets":true,"add_prefix_space":false}`, "[1 3 5 3 2 2 4 2]", "[0 0 0 0 0 0 0 0]", ""},
		{"template", bert, "[1 3 5 3 2 4 2]", "[0 0 0 0 0 1 1]", ""},
		{"turned", template(text("B", 0) + "," + special("[SEP]", 1) + "," + text("A", 1)), "[4 2 3 5 3]", "[0 1 1 1 1]", ""},
		{"in a sequence", `{"type":"Sequence","processors":[{"type":"ByteLevel"},` + bert + `]}`, "[1 3 5 3 2 4 2]", "[0 0 0 0 0 1 1]", ""},
		{"two", `{"type":"Sequence","processors":[` + bert + `,` + bert + `]}`, "", "", "two post-processors"},
		{"one text", template(text("A", 0)), "", "", "does not hold both texts"},
		{"a text twice", template(text("A", 0) + "," + text("A", 0)), "", "", "each once"},
		{"a token of no name", template(text("A", 0) + "," + special("[MASK]", 0)), "", "", `token "[MASK]" is not among`},
	} {
		tok, err := FromJSON(pairJSON(c.post), nil)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		ids, types, err := tok.EncodePair("ab a", "b", EncodeOptions{AddSpecial: true})
		if c.says != "" {
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v, want %q", c.name, err, c.says)
			}
			continue
		}
		if err != nil || fmt.Sprint(ids) != c.ids || fmt.Sprint(types) != c.types {
			t.Errorf("%s: %v %v, %v; want %s %s", c.name, ids, types, err, c.ids, c.types)
		}
		if ids, types, err := tok.EncodePair("ab a", "b", EncodeOptions{}); err != nil || !reflect.DeepEqual(ids, []int32{3, 5, 3, 4}) || !reflect.DeepEqual(types, []int32{0, 0, 0, 1}) {
			t.Errorf("%s: without special tokens %v %v, %v", c.name, ids, types, err)
		}
	}
	if rule := parsePair(json.RawMessage(strings.Repeat(`{"type":"Sequence","processors":[`, 20) + strings.Repeat("]}", 20))); rule.err == nil {
		t.Error("a deep nest")
	}
}

// TestGGUFPairs: RoBERTa's second separator goes into GGUF metadata and comes back.
func TestGGUFPairs(t *testing.T) {
	const lower = `"normalizer":{"type":"BertNormalizer","clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true}`
	for post, want := range map[string]string{
		`{"type":"RobertaProcessing","sep":["[SEP]",2],"cls":["[CLS]",1],"trim_offsets":true,"add_prefix_space":false}`: "[1 3 2 2 4 2]",
		`{"type":"BertProcessing","sep":["[SEP]",2],"cls":["[CLS]",1]}`:                                                 "[1 3 2 4 2]",
	} {
		tok, err := FromJSON(bytes.Replace(pairJSON(post), []byte(`"pre_tokenizer"`), []byte(lower+`,"pre_tokenizer"`), 1), nil)
		if err != nil {
			t.Fatal(err)
		}
		again, _ := throughGGUF(t, tok)
		if ids, _, err := again.EncodePair("a", "b", EncodeOptions{AddSpecial: true}); err != nil || fmt.Sprint(ids) != want {
			t.Errorf("%s: %v, %v; want %s", post, ids, err, want)
		}
	}
}
