package eval

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// layouts are the sample files of a task, one for each layout that it reads.
func layouts(t testing.TB, task *Task) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("testdata/tasks/" + task.Name + ".*")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: no sample in testdata/tasks: %v", task.Name, err)
	}
	files := map[string][]byte{}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[p] = b
	}
	return files
}

// TestTasks: what holds for every task that is registered and every layout that it reads.
func TestTasks(t *testing.T) {
	for _, task := range Tasks() {
		if found, err := LookupTask(task.Name); err != nil || found != task || task.About == "" || task.Read == nil {
			t.Errorf("%s: %v, %+v", task.Name, err, found)
		}
		if (task.Kind == Write) != (task.Answer != nil && task.MaxTokens > 0) {
			t.Errorf("%s: kind %d with Answer and MaxTokens %d", task.Name, task.Kind, task.MaxTokens)
		}
		if _, err := task.Load(nil, 0, 0); err == nil {
			t.Errorf("%s: items out of an empty file", task.Name)
		}
		for path, data := range layouts(t, task) {
			items, err := task.Load(data, 0, 0)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			if one, err := task.Load(data, 0, 1); err != nil || len(one) != 1 || !reflect.DeepEqual(one[0], items[0]) {
				t.Errorf("%s: the first item is %+v of %d, %v", path, one[:1], len(one), err)
			}
			for cut := range data { // of a damaged file: an error, or the items before the damage
				if part, err := task.Load(data[:cut], 0, 0); err == nil && len(part) > len(items) {
					t.Errorf("%s: %d items out of the first %d bytes", path, len(part), cut)
				}
			}
			if len(items) < 2 {
				continue
			}
			shot, err := task.Load(data, 1, 0)
			example := strings.TrimPrefix(items[0].Context, items[0].Intro) + " " + items[0].Choices[items[0].Answer] + "\n\n"
			if err != nil || len(shot) != len(items)-1 || !strings.Contains(shot[0].Context, example) {
				t.Errorf("%s: after one example %+v, %v", path, shot, err)
			}
		}
	}
	if _, err := LookupTask("swag"); err == nil || !strings.Contains(err.Error(), "hellaswag, lambada") {
		t.Error(err)
	}
}

// TestTaskItems: the items of each layout as they are asked.
func TestTaskItems(t *testing.T) {
	for name, want := range map[string][]Item{
		"hellaswag.jsonl": {
			{Context: "Washing a dog: A woman fills a tub with water. The dog", Choices: []string{"sings a song.", "jumps in and shakes itself.", "reads the paper.", "drives off."}, Answer: 1},
			{Context: "Cooking: How to boil an egg. Take a pot. Fill it.", Choices: []string{"Throw it away.", "Put in the egg and wait.", "Sleep.", "Run."}, Answer: 1},
		},
		"hellaswag.txt":       {{Context: "Painting a fence: A boy opens a can of paint. he", Choices: []string{"eats the can.", "flies to the moon.", "dips a brush into it.", "forgets his own name and leaves."}, Answer: 2}},
		"arc-easy.jsonl":      {{Context: "Question: Which of these melts in the sun?\nAnswer:", Choices: []string{"a stone", "ice", "sand"}, Answer: 1}, {Context: "Question: What do plants need to grow?\nAnswer:", Choices: []string{"light", "noise"}}},
		"arc-easy.json":       {{Context: "Question: Which animal lays eggs?\nAnswer:", Choices: []string{"a hen", "a cow", "a dog"}}},
		"arc-challenge.jsonl": {{Context: "Question: Two wagons of equal mass meet at equal speed. What is their total momentum?\nAnswer:", Choices: []string{"zero", "twice that of one", "half that of one", "it cannot be told"}}},
		"boolq.jsonl": {
			{Context: "The gate is closed from nine in the evening to six in the morning.\nQuestion: is the gate open at night?\nAnswer:", Choices: []string{"no", "yes"}},
			{Context: "The ferry takes forty cars and two hundred people.\nQuestion: does the ferry carry cars?\nAnswer:", Choices: []string{"no", "yes"}, Answer: 1},
		},
		"boolq.json":    {{Context: "Question: can a fish breathe in water?\nAnswer:", Choices: []string{"no", "yes"}, Answer: 1}},
		"lambada.jsonl": {{Context: "She had left her umbrella at home. When the rain began she thought of her", Choices: []string{"umbrella"}}},
		"sst2.tsv":      {{Context: "a warm and clever little film\nQuestion: Is this sentence positive or negative?\nAnswer:", Choices: []string{"negative", "positive"}, Answer: 1}},
		"sst2.jsonl":    {{Context: "a joy from start to end\nQuestion: Is this sentence positive or negative?\nAnswer:", Choices: []string{"negative", "positive"}, Answer: 1}},
		"mmlu.jsonl": {
			{Intro: "The following are multiple choice questions (with answers) about plane geometry.\n\n", Context: "The following are multiple choice questions (with answers) about plane geometry.\n\nHow many sides has a triangle?\nA. two\nB. three\nC. four\nD. five\nAnswer:", Choices: []string{"A", "B", "C", "D"}, Answer: 1},
			{Context: "Which is a prime?\nA. 4\nB. 6\nC. 7\nD. 8\nE. 9\nAnswer:", Choices: []string{"A", "B", "C", "D", "E"}, Answer: 2},
		},
		"mmlu.csv": {{Context: "Which of these, if any, is a metal?\nA. wood\nB. iron\nC. glass\nD. wool\nAnswer:", Choices: []string{"A", "B", "C", "D"}, Answer: 1}},
	} {
		data, err := os.ReadFile("testdata/tasks/" + name)
		if err != nil {
			t.Fatal(err)
		}
		task, _ := LookupTask(name[:strings.LastIndexByte(name, '.')])
		got, err := task.Load(data, 0, len(want))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, want)
		}
	}
}

// TestTaskFaults: a wrong file is refused, and the error says where it is wrong.
func TestTaskFaults(t *testing.T) {
	for _, c := range []struct{ task, data, says string }{
		{"hellaswag", "a\n0\nb\nc\nd\n", "5 lines of text are no multiple of 6"},
		{"hellaswag", "a\n7\nb\nc\nd\ne\n", `line 2: its answer is "7"; the choices are 0, 1, 2, 3`},
		{"hellaswag", `{"ctx":"a","endings":["b","c"],"label":""}`, "item 1: it has no answer: take a file with labels"},
		{"hellaswag", `{"ctx":"a","endings":["b"],"label":0}`, "item 1: it has 1 choices, at least 2"},
		{"hellaswag", `{"ctx":"a","endings":["b",""],"label":0}`, "item 1: choice 2 is empty"},
		{"hellaswag", `{"ctx":"a","endings":["b","c"],"label":[0]}`, "a label is [0]; it must be a number or a string"},
		{"hellaswag", "{\"ctx\":\"a\",\"endings\":[\"b\",\"c\"],\"label\":0}\n{\"ctx\"", "line 2 (item 2): unexpected end"},
		{"arc-easy", `{"question":3,"answerKey":"A"}`, "its question is neither a string nor an object"},
		{"arc-easy", `{"question":"q","choices":{"text":["a","b"],"label":["A"]},"answerKey":"A"}`, "2 choices, but 1 labels"},
		{"arc-easy", `{"instruction":"What now?","answer":"answer1"}`, `its instruction is "What now?"`},
		{"boolq", `{"instruction":"What now?","answer":"true"}`, `its instruction is "What now?"`},
		{"boolq", `{"question":"q"}`, "it has no answer"},
		{"lambada", `{"text":"word"}`, `its text is "word"; expected words`},
		{"sst2", "sentence\tlabel\nfine film\n", "line 2: no tab"},
		{"sst2", "index\tsentence\n0\tfine\n", "line 1 (item 1): invalid character"},
		{"mmlu", "question,A\n", "row 1 has 2 fields"},
		{"mmlu", "q,a,b,Z\n", `row 1: its answer is "Z"; the choices are A, B`},
		{"gsm8k", `{"question":"q","answer":"many"}`, `its gold text holds no answer: "many"`},
		{"gsm8k", `{"answer":"3"}`, ""},
		{"gsm8k", `[{"question":"q"`, "reading a JSON array"},
	} {
		task, err := LookupTask(c.task)
		if err != nil {
			t.Fatal(err)
		}
		_, err = task.Load([]byte(c.data), 0, 0)
		if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s %q: %v, want %q", c.task, c.data, err, c.says)
		}
	}
	task, _ := LookupTask("sst2")
	if _, err := task.Load([]byte(`{"sentence":"a","label":1}`), 1, 0); err == nil || !strings.Contains(err.Error(), "the file has 1 items, but 1 examples") {
		t.Error(err)
	}
}

func TestLastNumber(t *testing.T) {
	for text, want := range map[string]string{
		"so 3 and then #### 1,234": "1234", "it costs $1,250.50.": "1250.5", "none": "", "#### none, but 7": "7", "a -3 b": "-3",
		"first 5, then #### 6 or 7": "6", "2.00": "2", "12 eggs.": "12", "#### $50": "50", "100": "100", "9 #### x": "9",
	} {
		if got := lastNumber(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzTasks(f *testing.F) {
	for i, task := range Tasks() {
		for _, data := range layouts(f, task) {
			f.Add(i, data)
		}
	}
	all := Tasks()
	f.Fuzz(func(t *testing.T, i int, data []byte) {
		task := all[uint(i)%uint(len(all))]
		items, err := task.Load(data, 0, 0)
		if (err == nil) != (len(items) > 0) {
			t.Errorf("%s: %d items and error %v", task.Name, len(items), err)
		}
	})
}
