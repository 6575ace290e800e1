package eval

import (
	"context"
	"fmt"
	"sync"

	"hone/engine"
)

// A Writer continues prompts greedily. It is called from several goroutines.
type Writer interface {
	Write(ctx context.Context, prompt []int32, maxTokens int, stop []string) (string, error)
}

// EngineWriter writes with an engine, which runs the prompts together.
func EngineWriter(e *engine.Engine) Writer { return engineWriter{e} }

type engineWriter struct{ e *engine.Engine }

func (w engineWriter) Write(ctx context.Context, prompt []int32, maxTokens int, stop []string) (string, error) {
	stream, err := w.e.Submit(ctx, engine.Request{Prompt: prompt, MaxTokens: maxTokens, Stop: stop})
	if err != nil {
		return "", err
	}
	results, err := stream.Collect(ctx)
	if err != nil {
		return "", err
	}
	return results[0].Text, results[0].Err
}

// together is how many prompts are written at once.
const together = 32

// Write runs a task of kind Write: every item's text is written greedily and its answer compared with the gold one.
func (a *Asked) Write(ctx context.Context, w Writer, opt Options) ([]Outcome, error) {
	if a.Task.Kind != Write {
		return nil, fmt.Errorf("%s: this task is scored, not written", a.Task.Name)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := make([]Outcome, len(a.asked))
	slots := make(chan struct{}, together)
	var wait sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for i, q := range a.asked {
		slots <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			defer func() { <-slots }()
			text, err := w.Write(ctx, q.choices[0], a.Task.MaxTokens, a.Task.Stop)
			if err != nil {
				cancel(fmt.Errorf("%s: item %d: %w", a.Task.Name, i+1, err))
				return
			}
			said := a.Task.Answer(text)
			out[i] = Outcome{Text: text, Said: said, Right: said != "" && said == a.Task.Answer(a.Items[i].Choices[0])}
			mu.Lock()
			defer mu.Unlock()
			done++
			opt.report(done, len(out), 0)
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return out, nil
}
