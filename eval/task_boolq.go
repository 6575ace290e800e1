package eval

import (
	"fmt"
	"regexp"
	"strings"
)

// BoolQ (Clark et al. 2019): yes or no, from a passage. Layouts: JSONL with passage, question and answer (or label), or
// instruction strings, which have no passage.
func init() {
	register(Task{Name: "boolq", About: "yes or no, from a passage", Kind: Choose, Read: readBoolQ})
}

type boolQ struct {
	Passage, Question string
	Label             label
	instruction
}

var boolInstruction = regexp.MustCompile(`(?s)^Please answer the following question with true or false, question: (.*?)\n\nAnswer format: `)

func readBoolQ(data []byte) ([]Item, error) {
	return itemsOf(data, func(r boolQ) (Item, error) {
		if r.Instruction != "" {
			parts := boolInstruction.FindStringSubmatch(r.Instruction)
			if parts == nil {
				return Item{}, fmt.Errorf("its instruction is %.60q…; expected a question, then \"Answer format: …\"", r.Instruction)
			}
			r.Question = parts[1]
		}
		if r.Answer == "" {
			r.Answer = r.Label
		}
		it := Item{Context: plainQuestion(strings.TrimSuffix(r.Question, "?") + "?"), Choices: []string{"no", "yes"}}
		if r.Passage != "" {
			it.Context = r.Passage + "\n" + it.Context
		}
		name := map[label]label{"0": "false", "1": "true"}[r.Answer]
		if name == "" {
			name = r.Answer
		}
		var err error
		it.Answer, err = name.among("false", "true")
		return it, err
	})
}
