package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"hone/engine"
	"hone/eval"
	"hone/model"
	"hone/nn"
	"hone/tokenizer"
)

// maxTaskFile bounds a task's file: the largest benchmark in use has a tenth of it.
const maxTaskFile = 1 << 30

// tasksReport is what `hone eval --task --json` prints.
type tasksReport struct {
	Tasks         []eval.TaskResult `json:"tasks"`
	Weights       string            `json:"weights"`
	BitsPerWeight float64           `json:"bits_per_weight"`
	Parent        string            `json:"parent,omitempty"`
}

// taskRun is one task with its items and what the models answered.
type taskRun struct {
	task  *eval.Task
	items []eval.Item
	asked *eval.Asked // as the model that ran last reads them
	child []eval.Outcome
}

// tasks runs benchmarks on a model, and on its parent.
func (f *evalFlags) tasks(cmd *cobra.Command, name string) error {
	runs, err := f.readTasks(cmd.Context())
	if err != nil {
		return err
	}
	m, err := openModel(name)
	if err != nil {
		return err
	}
	r := tasksReport{Weights: f.weights.String(), Parent: f.parent}
	plan, err := f.answer(cmd, m, f.weights.Weights, runs, func(i int, out []eval.Outcome) error {
		runs[i].child = out
		r.Tasks = append(r.Tasks, runs[i].asked.Sum(out))
		return nil
	})
	if err != nil {
		return err
	}
	r.BitsPerWeight = plan.BitsPerWeight()
	if f.parent != "" {
		parent, err := openModel(f.parent)
		if err != nil {
			return err
		}
		_, err = f.answer(cmd, parent, model.Weights{}, runs, func(i int, out []eval.Outcome) (err error) {
			r.Tasks[i].Parent, err = runs[i].asked.Pair(runs[i].child, out)
			return err
		})
		if err != nil {
			return err
		}
	}
	return f.printTasks(cmd, r)
}

// readTasks reads the file of each task.
func (f *evalFlags) readTasks(ctx context.Context) ([]*taskRun, error) {
	if len(f.data) != len(f.task) {
		return nil, usagef("%d tasks, but %d files: give --data FILE once for each task, in the same order", len(f.task), len(f.data))
	}
	var runs []*taskRun
	for i, name := range f.task {
		task, err := eval.LookupTask(name)
		if err != nil {
			return nil, usagef("--task %q is not known%s; the tasks are %s", name, didYouMean(name, eval.TaskNames()), strings.Join(eval.TaskNames(), ", "))
		}
		info, err := os.Stat(f.data[i])
		if err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		if info.Size() > maxTaskFile {
			return nil, fmt.Errorf("%s has %s; a task's file may have %s", f.data[i], bytesText(info.Size()), bytesText(maxTaskFile))
		}
		data, err := readFile(ctx, "data", f.data[i])
		if err != nil {
			return nil, err
		}
		items, err := task.Load([]byte(data), f.shots, f.limit)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.data[i], err)
		}
		runs = append(runs, &taskRun{task: task, items: items})
	}
	return runs, nil
}

// answer loads m, closes it in the end, and gives each task's outcomes to took.
func (f *evalFlags) answer(cmd *cobra.Command, m *model.Model, w model.Weights, runs []*taskRun, took func(i int, out []eval.Outcome) error) (model.Plan, error) {
	if m.Encoder() {
		m.File.Close()
		return model.Plan{}, usagef("%s is an encoder and writes no text; tasks need a language model", m.Path)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		m.File.Close()
		return model.Plan{}, fmt.Errorf("%s: %w", m.Path, err)
	}
	size, err := ask(runs, tok)
	if err == nil && size.context > m.Design.Context {
		err = fmt.Errorf("%s: the longest item has %d tokens, but the model's context is %d: take fewer --shots", m.Path, size.context, m.Design.Context)
	}
	if err != nil {
		m.File.Close()
		return model.Plan{}, err
	}
	s, err := load(cmd.Context(), m, w, *f.threads, size, cmd.ErrOrStderr())
	if err != nil {
		return model.Plan{}, err
	}
	defer s.close()
	for i, r := range runs {
		bar := newProgress(cmd, r.task.Name)
		out, err := s.answer(cmd.Context(), tok, size, r.asked, eval.Options{Workers: *f.threads, Progress: func(p eval.Progress) { bar.at(p.Window, p.Windows) }})
		bar.end()
		if err == nil {
			err = took(i, out)
		}
		if err != nil {
			return s.plan, err
		}
	}
	return s.plan, nil
}

// ask tokenizes the tasks and tells what they need: batches that hold the largest item, and a cache for the prompts of a
// batch and what follows them, or for the texts that are written together.
func ask(runs []*taskRun, tok tokenizer.Tokenizer) (s sizes, err error) {
	const texts = 16
	s.rows = rowsOfStep
	for _, r := range runs {
		r.asked, err = eval.Ask(r.task, r.items, func(text string) ([]int32, error) { return plainText(tok, text, false) }, leadingBOS(tok))
		if err != nil {
			return s, err
		}
		s.context, s.rows = max(s.context, r.asked.Longest()), max(s.rows, r.asked.Rows())
		if r.task.Kind == eval.Write {
			s.kv.Blocks = max(s.kv.Blocks, texts*(r.asked.Longest()/nn.BlockTokens+1))
		}
	}
	s.kv.Type = "f32"
	s.kv.Blocks = max(s.kv.Blocks, 4*s.rows/nn.BlockTokens)
	return s, nil
}

// answer runs one task in a session of that size.
func (s *session) answer(ctx context.Context, tok tokenizer.Tokenizer, size sizes, a *eval.Asked, opt eval.Options) ([]eval.Outcome, error) {
	if a.Task.Kind != eval.Write {
		return a.Score(ctx, s.exec, size.kv.Blocks, opt)
	}
	e, err := engine.New(s.exec, engine.Options{Blocks: size.kv.Blocks, Context: size.context, Pool: s.pool,
		Tokenizer: engine.Decoding[*tokenizer.StreamDecoder](tok), EOS: tok.EOS()})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return a.Write(ctx, eval.EngineWriter(e), opt)
}

func (f *evalFlags) printTasks(cmd *cobra.Command, r tasksReport) error {
	if *f.json {
		return printJSON(cmd, r)
	}
	head := []string{"task", "items", "accuracy", "by length", "PPL"}
	if r.Parent != "" {
		head = append(head, "parent", "difference", "lost/won", "McNemar p")
	}
	rows := [][]string{head}
	for _, t := range r.Tasks {
		row := []string{t.Task, fmt.Sprint(t.Items), percent(t.Accuracy), "", ""}
		if t.Normalised != nil {
			row[3] = percent(*t.Normalised)
		}
		if t.PPL != nil {
			row[4] = fmt.Sprintf("%.3f", float64(*t.PPL))
		}
		if p := t.Parent; p != nil {
			row = append(row, percent(p.Accuracy), percent(p.Difference), fmt.Sprintf("%d/%d", p.Lost, p.Won), fmt.Sprintf("%.3f", p.McNemar))
		}
		rows = append(rows, row)
	}
	w := cmd.OutOrStdout()
	if err := table(w, rows); err != nil {
		return err
	}
	fmt.Fprintf(w, "weights %s, %.3f bits each\n", r.Weights, r.BitsPerWeight)
	return nil
}

// percent writes a share with its standard error.
func percent(s eval.Share) string {
	if math.IsNaN(float64(s.SE)) {
		return fmt.Sprintf("%.2f %%", 100*s.Value)
	}
	return fmt.Sprintf("%.2f ± %.2f %%", 100*s.Value, 100*float64(s.SE))
}
