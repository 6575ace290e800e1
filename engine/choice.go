package engine

import (
	"slices"
	"time"

	"hone/nn"
)

// job is a request in the engine.
type job struct {
	req       Request
	stream    *Stream
	choices   []*choice
	submitted time.Time
	live      int         // choices that have not ended; the loop's
	unhook    func() bool // from the caller's context
	cause     error       // why it was cancelled; under Engine.mu
}

// choice is one continuation of a job, with all that turns its tokens into events. The loop owns it, save that a
// sampling worker has it during its draw.
type choice struct {
	job   *job
	index int
	seq   *Sequence

	draw    draw
	eos     []int32
	decoder Decoder
	stop    *stopper
	most    int // generated tokens

	began, first, last time.Time
	generated          int

	// What the current step brought.
	token [1]int32
	lp    [1]TokenLogprob
	text  []byte
	end   Event
	fresh bool // a token was accepted
}

// choices makes a job's choices.
func (e *Engine) makeChoices(j *job, context int) {
	r := &j.req
	n := max(r.N, 1)
	most := context - len(r.Prompt)
	if r.MaxTokens > 0 {
		most = min(most, r.MaxTokens)
	}
	bias := flatten(r.Sampling.LogitBias)
	for i := range n {
		c := &choice{job: j, index: i, eos: r.EOS, most: most, stop: newStopper(r.Stop)}
		if c.eos == nil {
			c.eos = e.opt.EOS
		}
		c.draw = draw{params: &r.Sampling, bias: bias, seed: j.stream.seed, choice: i, prompt: len(r.Prompt),
			mask: r.Mask, logprobs: r.Logprobs, top: r.TopLogprobs}
		if e.opt.Tokenizer != nil {
			c.decoder = e.opt.Tokenizer.NewDecoder(!r.KeepSpecial)
		}
		c.seq = NewSequence(r.ID, r.Prompt, len(r.Prompt)+most)
		c.seq.Principal, c.seq.Salt, c.seq.Priority, c.seq.User = r.Principal, e.salt(r.Salt), r.Priority, c
		if i > 0 && len(r.Prompt) > nn.BlockTokens {
			c.seq.Leader = j.choices[0].seq
		}
		j.choices = append(j.choices, c)
	}
	if e.opt.NoPrefixCache { // only the choices of one request meet
		own := e.ownSalt()
		for _, c := range j.choices {
			c.seq.Salt = own
		}
	}
}

func flatten(m map[int32]float32) []tokenBias {
	var list []tokenBias
	for id, add := range m {
		list = append(list, tokenBias{id, add})
	}
	slices.SortFunc(list, func(a, b tokenBias) int { return int(a.id - b.id) })
	return list
}

// prepare sets a draw up for the next token.
func (c *choice) prepare() *draw {
	c.draw.tokens = c.seq.Tokens()
	c.draw.banned = nil
	if c.generated < c.job.req.MinTokens {
		c.draw.banned = c.eos
	}
	return &c.draw
}

// accept takes the token in c.token: it decodes the text and decides whether the choice ends.
func (c *choice) accept(now time.Time) {
	if c.generated++; c.generated == 1 {
		c.first = now
	}
	c.last, c.fresh = now, true
	switch {
	case !c.job.req.IgnoreEOS && slices.Contains(c.eos, c.token[0]):
		c.finish(FinishStop, nil)
	case c.decoder != nil && c.say(c.decoder.Add(c.token[0])):
		c.finish(FinishStop, nil)
	case c.generated == c.most:
		c.finish(FinishLength, nil)
	}
}

// tryAccept is accept with a panic in the decoder turned into an error.
func (c *choice) tryAccept(now time.Time) (err error) {
	defer caught(&err, "decoding text")
	c.accept(now)
	return nil
}

// cut ends a choice in the middle. Its decoder, which may be the one at fault, is not asked for more.
func (c *choice) cut(why FinishReason, err error) {
	c.decoder = nil
	c.finish(why, err)
}

// say passes a piece of text on; true when it completes a stop string.
func (c *choice) say(piece string) bool {
	if piece == "" {
		return false
	}
	if c.generated < c.job.req.MinTokens {
		c.text = append(c.text, piece...)
		return false
	}
	var found int
	if c.text, found = c.stop.add(c.text, piece); found >= 0 {
		c.end.StopText = c.job.req.Stop[found]
		return true
	}
	return false
}

// finish ends a choice: what was held back comes out, except after a stop string.
func (c *choice) finish(why FinishReason, err error) {
	if c.decoder != nil && c.end.StopText == "" {
		if c.say(c.decoder.Flush()) {
			why = FinishStop
		} else {
			c.text = c.stop.flush(c.text)
		}
	}
	c.end.Finish, c.end.Err = why, err
	c.end.Usage = Usage{PromptTokens: c.draw.prompt, CachedTokens: c.seq.Cached, GeneratedTokens: c.generated}
	c.end.Timings = c.timings()
}

func (c *choice) timings() (t Timings) {
	if c.began.IsZero() {
		return t
	}
	t.Queue = c.began.Sub(c.job.submitted)
	if c.generated > 0 {
		t.Prefill, t.Decode = c.first.Sub(c.began), c.last.Sub(c.first)
	}
	return t
}

func (c *choice) ended() bool { return c.end.Finish != "" }

// deliver hands the step's token, text and end to the stream.
func (c *choice) deliver() {
	var tokens []int32
	var lps []TokenLogprob
	var end *Event
	if c.fresh {
		tokens = c.token[:]
		if c.draw.logprobs {
			lps = c.lp[:]
		}
	}
	if c.ended() {
		end = &c.end
	}
	if c.fresh || end != nil {
		c.job.stream.push(c.index, tokens, c.text, lps, end)
	}
	c.text, c.fresh = c.text[:0], false
}
