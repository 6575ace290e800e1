package eval

import "fmt"

// A Window is a piece of text that is run on its own. Targets Tokens[From:] are scored, each predicted by the row before it.
type Window struct {
	Tokens []int32
	From   int // first scored target, at least 1
}

// Scored is the number of targets.
func (w Window) Scored() int { return len(w.Tokens) - w.From }

// Sampled makes windows of texts that a model drew by itself, each after prompt given tokens (at least one): the drawn
// tokens are scored. On a parent's own samples at temperature 1 the logarithm of a child's perplexity ratio estimates
// the divergence parent‖child itself.
func Sampled(texts [][]int32, prompt int) []Window {
	windows := make([]Window, len(texts))
	for i, ids := range texts {
		windows[i] = Window{Tokens: ids, From: max(prompt, 1)}
	}
	return windows
}

func (w Window) check(i int) error {
	if w.From < 1 || w.From >= len(w.Tokens) {
		return fmt.Errorf("eval: window %d has %d tokens and scores from %d: it needs a token before the first target and at least one target", i, len(w.Tokens), w.From)
	}
	return nil
}

// Protocols are the names that Plan.Protocol takes.
const (
	// ProtocolWindows: the text is tokenized as a whole without BOS and cut into windows that do not overlap; every
	// position but a window's first is scored.
	ProtocolWindows = "windows"
	// ProtocolLlamaCpp is the way of llama.cpp's perplexity program: the text is tokenized as a whole with BOS, BOS stands
	// in place of each window's first token, and only the targets ctx/2+1 … ctx-1 are scored.
	ProtocolLlamaCpp = "llama.cpp"
)

// A Plan says how to cut a text.
type Plan struct {
	Protocol string // ProtocolWindows ("" too) or ProtocolLlamaCpp
	Ctx      int    // tokens a window
	Windows  int    // at most so many, from the start; 0: all
	BOS      int32  // ProtocolLlamaCpp: the id put first; negative when the vocabulary has none (nothing is replaced then)
}

// AddBOS tells whether the text must be tokenized with BOS in front.
func (p Plan) AddBOS() bool { return p.Protocol == ProtocolLlamaCpp }

// Cut cuts a tokenized text into windows of equal length. What does not fill the last window is left out: left is the
// number of tokens after the last window taken. Windows share storage with tokens where nothing is replaced.
func Cut(tokens []int32, p Plan) (windows []Window, left int, err error) {
	from := 1
	switch p.Protocol {
	case "", ProtocolWindows:
	case ProtocolLlamaCpp:
		from = p.Ctx/2 + 1
	default:
		return nil, 0, fmt.Errorf("eval: unknown protocol %q: use %q or %q", p.Protocol, ProtocolWindows, ProtocolLlamaCpp)
	}
	if p.Ctx <= from {
		return nil, 0, fmt.Errorf("eval: a window of %d tokens has nothing to score: use a larger --ctx", p.Ctx)
	}
	if p.Windows < 0 {
		return nil, 0, fmt.Errorf("eval: %d windows: use a positive number, or 0 for all", p.Windows)
	}
	n := len(tokens) / p.Ctx
	if n == 0 {
		return nil, 0, fmt.Errorf("eval: the text has %d tokens, less than one window of %d: use a longer text, or shorter windows (hone eval --ctx)", len(tokens), p.Ctx)
	}
	if p.Windows > 0 && p.Windows < n {
		n = p.Windows
	}
	for i := range n {
		w := Window{Tokens: tokens[i*p.Ctx : (i+1)*p.Ctx : (i+1)*p.Ctx], From: from}
		if p.Protocol == ProtocolLlamaCpp && p.BOS >= 0 {
			w.Tokens = append([]int32{p.BOS}, w.Tokens[1:]...)
		}
		windows = append(windows, w)
	}
	return windows, len(tokens) - n*p.Ctx, nil
}
