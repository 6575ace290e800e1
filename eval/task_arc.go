package eval

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// ARC (Clark et al. 2018): questions of school science, an easy and a challenging set. Layouts: JSONL of the authors
// (question.stem, question.choices), of Hugging Face (question, choices.text, choices.label), or instruction strings.
func init() {
	register(Task{Name: "arc-easy", About: "easy questions of school science", Kind: Choose, Read: readARC})
	register(Task{Name: "arc-challenge", About: "hard questions of school science", Kind: Choose, Read: readARC})
}

type arcItem struct {
	Question  json.RawMessage
	Choices   struct{ Text, Label []string }
	AnswerKey label
	instruction
}

func readARC(data []byte) ([]Item, error) {
	return itemsOf(data, func(r arcItem) (Item, error) {
		if r.Instruction != "" {
			return r.arc()
		}
		var question string
		var nested struct {
			Stem    string
			Choices []struct{ Text, Label string }
		}
		if json.Unmarshal(r.Question, &question) != nil {
			if err := json.Unmarshal(r.Question, &nested); err != nil {
				return Item{}, fmt.Errorf("its question is neither a string nor an object with stem and choices")
			}
			question = nested.Stem
		}
		for _, c := range nested.Choices {
			r.Choices.Text, r.Choices.Label = append(r.Choices.Text, c.Text), append(r.Choices.Label, c.Label)
		}
		if len(r.Choices.Text) != len(r.Choices.Label) {
			return Item{}, fmt.Errorf("it has %d choices, but %d labels", len(r.Choices.Text), len(r.Choices.Label))
		}
		answer, err := r.AnswerKey.among(r.Choices.Label...)
		return Item{Context: plainQuestion(question), Choices: r.Choices.Text, Answer: answer}, err
	})
}

// plainQuestion is the usual form of a question without a text of its own.
func plainQuestion(question string) string { return "Question: " + question + "\nAnswer:" }

// An instruction is an item as LLM-Adapters (Hu et al. 2023) writes it: question and choices in one string.
type instruction struct {
	Instruction string
	Answer      label
}

var (
	arcInstruction = regexp.MustCompile(`(?s)^Please choose the correct answer to the question: (.*?)\n\n(Answer1: .*?)\n\nAnswer format: `)
	arcChoice      = regexp.MustCompile(`(?:^| )Answer\d: `)
)

func (in instruction) arc() (Item, error) {
	parts := arcInstruction.FindStringSubmatch(in.Instruction)
	if parts == nil {
		return Item{}, fmt.Errorf("its instruction is %.60q…; expected a question, then \"Answer1: …\" and so on, then \"Answer format: …\"", in.Instruction)
	}
	it := Item{Context: plainQuestion(parts[1])}
	var names []string
	for i, c := range arcChoice.Split(parts[2], -1)[1:] {
		it.Choices = append(it.Choices, strings.TrimSpace(c))
		names = append(names, fmt.Sprint("answer", i+1))
	}
	var err error
	it.Answer, err = in.Answer.among(names...)
	return it, err
}
