package tokenizer

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hone/internal/testdata"
)

func joinIDs(ids []int32) string {
	var parts []string
	for _, id := range ids {
		parts = append(parts, strconv.Itoa(int(id)))
	}
	return strings.Join(parts, " ")
}

// encode is Encode of a text on which it cannot fail.
func encode(t testing.TB, tok Tokenizer, text string, opt EncodeOptions) []int32 {
	t.Helper()
	ids, err := tok.Encode(text, opt)
	if err != nil {
		t.Error(err)
	}
	return ids
}

// golden is a file of models/golden as far as tokenizers are concerned.
type golden struct {
	Cases []struct {
		Name, Text string
		IDs        []int32 `json:"ids"`
	}
}

func readGolden(t *testing.T, name string) golden {
	t.Helper()
	var g golden
	if err := json.Unmarshal([]byte(readText(t, testdata.Data(t, "models/golden/"+name))), &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Cases) == 0 {
		t.Fatal("no cases in " + name)
	}
	return g
}

func TestGoldenSmolLM2(t *testing.T) {
	tok := smolLM2(t)
	template, err := NewChatTemplate(tok.TemplateSource(), "<|im_start|>", "<|im_end|>")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readGolden(t, "smollm2_golden.json").Cases {
		text := c.Name
		if user, ok := strings.CutPrefix(text, "chat: "); ok {
			if text, err = template.Render([]Message{{Role: "user", Content: user}}, true, nil); err != nil {
				t.Fatal(err)
			}
		}
		got := encode(t, tok, text, EncodeOptions{ParseSpecial: true})
		if !slices.Equal(got, c.IDs) {
			t.Errorf("%q\n got %v\nwant %v", text, got, c.IDs)
		}
		if back := tok.Decode(got, false); back != text {
			t.Errorf("decoded %q, want %q", back, text)
		}
	}
	if got := tok.EOS(); !slices.Equal(got, []int32{0, 2}) {
		t.Errorf("EOS %v, want [0 2]", got)
	}
}

func TestGoldenMiniLM(t *testing.T) {
	tok, err := FromHF(testdata.Models(t, "all-minilm-l6-v2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range readGolden(t, "minilm_golden.json").Cases {
		if got := encode(t, tok, c.Text, EncodeOptions{AddSpecial: true}); !slices.Equal(got, c.IDs) {
			t.Errorf("%q\n got %v\nwant %v", c.Text, got, c.IDs)
		}
	}
}

// TestWikiText counts the ids of a whole text, as the perplexity protocol does.
func TestWikiText(t *testing.T) {
	text := readText(t, testdata.Data(t, "text/wikitext-2/wiki.test.raw"))
	tok := smolLM2(t)
	ids := encode(t, tok, text, EncodeOptions{})
	if len(ids) != 303415 {
		t.Errorf("%d ids, want 303415", len(ids))
	}
	if tok.Decode(ids, false) != text {
		t.Error("the decoded text differs")
	}
}
