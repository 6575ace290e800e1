package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
)

// A Kind says how a task's answers are found.
type Kind int

const (
	// Choose: the continuation with the highest log-probability, as it is and after division by its length.
	Choose Kind = iota
	// Recall: the one continuation must be what greedy decoding writes.
	Recall
	// Write: greedy text, whose answer must equal the gold text's.
	Write
)

// A Task is a benchmark: a reader of its files and a way of asking. Scoring is the same for all of a kind.
type Task struct {
	Name, About string
	Kind        Kind
	// Read takes the content of a file, in any layout that the benchmark is known in, to its items.
	Read func(data []byte) ([]Item, error)

	// Of Write alone: Stop ends a text, MaxTokens bounds it, Answer finds the answer in it ("" when there is none).
	Stop      []string
	MaxTokens int
	Answer    func(text string) string
}

// An Item is one question.
type Item struct {
	Intro   string   // stands once before the examples and the question; may be empty
	Context string   // what is asked
	Choices []string // continuations, each after one space: the answers of Choose, the gold text alone of Recall and Write
	Answer  int      // index of the right choice
}

var tasks = map[string]*Task{}

func register(t Task) {
	if _, twice := tasks[t.Name]; twice {
		panic("eval: task " + t.Name + " is registered twice")
	}
	tasks[t.Name] = &t
}

// Tasks lists the tasks by name.
func Tasks() []*Task {
	var all []*Task
	for _, t := range tasks {
		all = append(all, t)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// TaskNames lists the names of all tasks.
func TaskNames() []string {
	var names []string
	for _, t := range Tasks() {
		names = append(names, t.Name)
	}
	return names
}

// LookupTask finds a task by name.
func LookupTask(name string) (*Task, error) {
	if t, ok := tasks[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("eval: task %q is not known; the tasks are %s", name, strings.Join(TaskNames(), ", "))
}

// Load reads a file's items and checks them. The first shots items become examples, with their answers, before each of
// the others, of which at most limit are kept; limit 0 keeps all.
func (t *Task) Load(data []byte, shots, limit int) ([]Item, error) {
	items, err := t.Read(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	for i, it := range items {
		if err := t.check(it); err != nil {
			return nil, fmt.Errorf("%s: item %d: %w", t.Name, i+1, err)
		}
	}
	if len(items) <= shots {
		return nil, fmt.Errorf("%s: the file has %d items, but %d examples and a question are wanted", t.Name, len(items), shots)
	}
	var examples strings.Builder
	for _, it := range items[:shots] {
		examples.WriteString(it.Context + " " + it.Choices[it.Answer] + "\n\n")
	}
	items = items[shots:]
	if limit > 0 && limit < len(items) {
		items = items[:limit]
	}
	for i := range items {
		items[i].Context = items[i].Intro + examples.String() + items[i].Context
	}
	return items, nil
}

func (t *Task) check(it Item) error {
	least := 1
	if t.Kind == Choose {
		least = 2
	}
	switch {
	case it.Context == "":
		return fmt.Errorf("it asks nothing")
	case len(it.Choices) < least:
		return fmt.Errorf("it has %d choices, at least %d are needed", len(it.Choices), least)
	case it.Answer < 0 || it.Answer >= len(it.Choices):
		return fmt.Errorf("its answer is choice %d of %d", it.Answer+1, len(it.Choices))
	}
	for k, c := range it.Choices {
		if c == "" {
			return fmt.Errorf("choice %d is empty", k+1)
		}
	}
	if t.Kind == Write && t.Answer(it.Choices[0]) == "" {
		return fmt.Errorf("its gold text holds no answer: %.60q", it.Choices[0])
	}
	return nil
}

// records reads JSON objects: one a line, or an array of them.
func records[R any](data []byte) ([]R, error) {
	var all []R
	data = bytes.TrimSpace(data)
	if len(data) > 0 && data[0] == '[' {
		if err := json.Unmarshal(data, &all); err != nil {
			return nil, fmt.Errorf("reading a JSON array: %w", err)
		}
		return all, nil
	}
	for i, line := range lines(data) {
		var r R
		if err := json.Unmarshal([]byte(line.text), &r); err != nil {
			return nil, fmt.Errorf("line %d (item %d): %w", line.number, i+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

type line struct {
	number int // from 1
	text   string
}

// lines are the lines that are not empty.
func lines(data []byte) []line {
	var all []line
	for i, text := range strings.Split(string(data), "\n") {
		text = strings.TrimSuffix(text, "\r")
		if strings.TrimSpace(text) != "" {
			all = append(all, line{i + 1, text})
		}
	}
	return all
}

// itemsOf turns records into items; an error names the item.
func itemsOf[R any](data []byte, item func(R) (Item, error)) ([]Item, error) {
	all, err := records[R](data)
	if err != nil {
		return nil, err
	}
	var items []Item
	for i, r := range all {
		it, err := item(r)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i+1, err)
		}
		items = append(items, it)
	}
	return items, nil
}

// A label is an answer's index or letter, written as a JSON number or string; "" when there is none.
type label string

func (l *label) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*l = ""
	case string:
		*l = label(v)
	case float64, bool:
		*l = label(fmt.Sprint(v))
	default:
		return fmt.Errorf("a label is %.40s; it must be a number or a string", b)
	}
	return nil
}

// among finds the label among the names of the choices.
func (l label) among(names ...string) (int, error) {
	for i, n := range names {
		if string(l) == n {
			return i, nil
		}
	}
	if l == "" || l == "-1" {
		return 0, fmt.Errorf("it has no answer: take a file with labels, such as the validation set")
	}
	return 0, fmt.Errorf("its answer is %.40q; the choices are %s", string(l), strings.Join(names, ", "))
}
