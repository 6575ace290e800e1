package eval

import (
	"regexp"
	"strings"
)

// GSM8K (Cobbe et al. 2021): word problems whose answer is a number. Layout: JSONL with question and answer, which ends
// with "#### number". A text's answer is what stands behind "####", its last number otherwise.
func init() {
	register(Task{Name: "gsm8k", About: "word problems, answered by a number after a derivation", Kind: Write, Read: readGSM8K,
		Stop: []string{"Question:", "\n\n\n"}, MaxTokens: 256, Answer: lastNumber})
}

func readGSM8K(data []byte) ([]Item, error) {
	return itemsOf(data, func(r struct{ Question, Answer string }) (Item, error) {
		return Item{Context: plainQuestion(r.Question), Choices: []string{r.Answer}}, nil
	})
}

var number = regexp.MustCompile(`-?\$?\d[\d,]*(?:\.\d+)?`)

func lastNumber(text string) string {
	if _, after, ok := strings.Cut(text, "####"); ok {
		if n := number.FindString(after); n != "" {
			return plainNumber(n)
		}
	}
	all := number.FindAllString(text, -1)
	if len(all) == 0 {
		return ""
	}
	return plainNumber(all[len(all)-1])
}

// plainNumber writes equal numbers alike: without currency, thousands' commas and trailing zeros of a fraction.
func plainNumber(n string) string {
	n = strings.NewReplacer("$", "", ",", "").Replace(n)
	if strings.Contains(n, ".") {
		n = strings.TrimSuffix(strings.TrimRight(n, "0"), ".")
	}
	return n
}
