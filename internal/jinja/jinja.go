// Package jinja renders the Jinja templates that come with models, as Python's Jinja2 does when transformers sets it up:
// sandboxed, blocks trimmed. Templates are not trusted: parsing and rendering are bounded in time and size, and what is not
// known is refused by name when a template is compiled.
package jinja

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Limits of a template's source and of one rendering. Sizes grow with what is put in. Real templates stay far below.
const (
	maxSource  = 1 << 18 // bytes
	maxNesting = 64      // of brackets and operators, of blocks, of macros
	maxTime    = 2 * time.Second
	maxSteps   = 1 << 23 // values computed, statements run
	maxDepth   = 4096    // of values and blocks under way: the stack of a Go program that runs out ends it
	maxText    = 1 << 20 // bytes of one text, beyond twice the input
	maxItems   = 1 << 17 // of one list, likewise
	maxMade    = 256 << 20
	maxOutput  = 4 << 20 // bytes, beyond four times the input
	maxRange   = 100000  // as in the reference's sandbox
	maxIndent  = 256
)

// Template is a compiled template, safe for concurrent use.
type Template struct{ body []statement }

// RaisedError is what a template says when it refuses its input (raise_exception).
type RaisedError struct{ Message string }

func (e *RaisedError) Error() string { return e.Message }

// failure is an error on its way up; only this package's own panics are of this type.
type failure struct{ err error }

func fail(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }

// caught turns a failure into an error, and any other panic too: the template is data.
func caught(err *error) {
	switch r := recover().(type) {
	case nil:
	case failure:
		*err = r.err
	default:
		*err = fmt.Errorf("internal: %v", r)
	}
}

// Compile parses a template.
func Compile(source string) (t *Template, err error) {
	defer caught(&err)
	if len(source) > maxSource {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", len(source), maxSource)
	}
	segments, err := scanTemplate(source)
	if err != nil {
		return nil, err
	}
	p := &parser{segments: segments}
	body := p.block()
	if p.at < len(p.segments) {
		fail("the statement %s closes nothing", quote(strings.TrimSpace(p.segments[p.at].text)))
	}
	return &Template{body}, nil
}

// Variables are what a template sees, by name: values made by FromJSON, or strings and booleans.
type Variables map[string]any

// Render runs the template. now is the time that strftime_now shows.
func (t *Template) Render(vars Variables, now func() time.Time) (out string, err error) {
	defer caught(&err)
	s := &state{now: now, deadline: time.Now().Add(maxTime)}
	for _, v := range vars {
		s.measure(v, 0)
	}
	s.scope = &scope{vars: map[string]any{}, parent: &scope{vars: vars, parent: &scope{vars: s.globals()}}}
	if s.run(t.body) != nil {
		return "", errors.New("break or continue stands outside a loop")
	}
	return s.out.String(), nil
}
