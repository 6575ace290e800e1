package eval

import (
	"fmt"
	"strings"
)

// LAMBADA (Paperno et al. 2016): the last word of a passage that only the whole passage tells. Layout: JSONL with text.
func init() {
	register(Task{Name: "lambada", About: "the last word of a passage", Kind: Recall, Read: readLAMBADA})
}

func readLAMBADA(data []byte) ([]Item, error) {
	return itemsOf(data, func(r struct{ Text string }) (Item, error) {
		cut := strings.LastIndexByte(r.Text, ' ')
		if cut < 0 {
			return Item{}, fmt.Errorf("its text is %.60q; expected words with spaces between", r.Text)
		}
		return Item{Context: r.Text[:cut], Choices: []string{r.Text[cut+1:]}}, nil
	})
}
