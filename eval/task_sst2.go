package eval

import (
	"fmt"
	"strings"
)

// SST-2 (Socher et al. 2013): is a sentence of a film review positive. Layouts: GLUE's TSV with a header line, or JSONL
// with sentence and label.
func init() {
	register(Task{Name: "sst2", About: "is a sentence of a film review positive", Kind: Choose, Read: readSST2})
}

type sst2 struct {
	Sentence string
	Label    label
}

func (r sst2) item() (Item, error) {
	answer, err := r.Label.among("0", "1")
	return Item{Context: strings.TrimSpace(r.Sentence) + "\nQuestion: Is this sentence positive or negative?\nAnswer:",
		Choices: []string{"negative", "positive"}, Answer: answer}, err
}

func readSST2(data []byte) ([]Item, error) {
	l := lines(data)
	if len(l) == 0 || !strings.HasPrefix(l[0].text, "sentence\t") {
		return itemsOf(data, sst2.item)
	}
	var items []Item
	for _, row := range l[1:] {
		sentence, class, ok := strings.Cut(row.text, "\t")
		if !ok {
			return nil, fmt.Errorf("line %d: no tab between sentence and label", row.number)
		}
		it, err := sst2{sentence, label(class)}.item()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", row.number, err)
		}
		items = append(items, it)
	}
	return items, nil
}
