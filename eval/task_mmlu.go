package eval

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
)

// MMLU (Hendrycks et al. 2021) and what is written like it: a question with lettered choices, answered by the letter.
// Layouts: JSONL with question, choices, answer (index or letter) and perhaps subject; or the authors' CSV: question,
// choices, letter.
func init() {
	register(Task{Name: "mmlu", About: "multiple choice over many subjects, answered by letter", Kind: Choose, Read: readMMLU})
}

type mmlu struct {
	Question, Subject string
	Choices           []string
	Answer            label
}

func readMMLU(data []byte) ([]Item, error) {
	if s := bytes.TrimSpace(data); len(s) > 0 && (s[0] == '{' || s[0] == '[') {
		return itemsOf(data, mmlu.item)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("reading CSV: %w", err)
	}
	var items []Item
	for i, row := range rows {
		n := len(row) - 1
		if n < 3 {
			return nil, fmt.Errorf("row %d has %d fields; expected question, choices, letter", i+1, n+1)
		}
		it, err := mmlu{Question: row[0], Choices: row[1:n], Answer: label(row[n])}.item()
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		items = append(items, it)
	}
	return items, nil
}

func (r mmlu) item() (Item, error) {
	if len(r.Choices) > 26 {
		return Item{}, fmt.Errorf("it has %d choices; there are 26 letters", len(r.Choices))
	}
	var letters []string
	text := strings.TrimSpace(r.Question)
	for i, c := range r.Choices {
		letters = append(letters, string(rune('A'+i)))
		text += "\n" + letters[i] + ". " + c
	}
	names := letters
	if r.Answer != "" && r.Answer[0] >= '0' && r.Answer[0] <= '9' {
		names = nil
		for i := range letters {
			names = append(names, fmt.Sprint(i))
		}
	}
	answer, err := r.Answer.among(names...)
	it := Item{Context: text + "\nAnswer:", Choices: letters, Answer: answer}
	if r.Subject != "" {
		it.Intro = "The following are multiple choice questions (with answers) about " + strings.ReplaceAll(r.Subject, "_", " ") + ".\n\n"
	}
	return it, err
}
