package engine

// Sequence is one continuation of one prompt as the scheduler sees it: tokens, and how far they are computed.
type Sequence struct {
	// Set by the caller before Add.
	Name      string // for errors and scripts
	Principal string
	Salt      string
	Priority  int
	MaxLen    int       // most tokens, prompt included
	User      any       // the caller's own
	Leader    *Sequence // if set, this one waits until the leader's prompt is computed, to share its blocks

	Cached int // tokens of the prompt found in the prefix cache when it was first admitted

	tokens   []int32 // prompt and what Done brought
	prompt   int
	state    state
	order    uint64 // of arrival; kept over preemption
	owner    *account
	primed   bool // the prompt was computed once
	admitted bool // it ran before
	burst    int  // rows of a decode step: the tokens of the last Done

	// 0 <= computed <= scheduled <= len(tokens); between the two are rows of batches that are not Done yet.
	computed, scheduled int
	flights             int // batches that hold rows of it and are not Done yet
	mark                uint64

	table []int32    // covers at least scheduled positions while running, empty otherwise
	keys  []blockKey // of the full blocks of tokens, as far as they were needed
	root  blockKey
}

type state uint8

const (
	idle    state = iota // not added yet
	waiting              // holds no blocks
	running              // holds blocks
	ended
)

// NewSequence returns a sequence of a prompt, which it keeps.
func NewSequence(name string, prompt []int32, maxLen int) *Sequence {
	return &Sequence{Name: name, tokens: prompt[:len(prompt):len(prompt)], prompt: len(prompt), MaxLen: maxLen}
}

// Tokens returns the prompt and all tokens so far; not to be changed, valid until the next Done.
func (q *Sequence) Tokens() []int32 { return q.tokens }

// Generated returns the tokens after the prompt, likewise.
func (q *Sequence) Generated() []int32 { return q.tokens[q.prompt:] }

func (q *Sequence) rest() int     { return len(q.tokens) - q.scheduled }
func (q *Sequence) decodes() bool { return q.primed && len(q.tokens)-q.computed <= 1 }

// follows: it waits for its leader to compute the prompt that both share.
func (q *Sequence) follows() bool {
	return q.Leader != nil && !q.Leader.primed && q.Leader.state != ended
}

// before orders sequences: higher priority, then earlier arrival.
func (q *Sequence) before(o *Sequence) bool {
	if q.Priority != o.Priority {
		return q.Priority > o.Priority
	}
	return q.order < o.order
}

// account sums what a principal was given. Among equal priorities the principal with the least is served first.
type account struct {
	name   string
	served float64 // rows computed for it; a newcomer starts at the least of those present
	active int     // sequences waiting or running
}
