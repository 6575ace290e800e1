// Package lineedit reads messages from a terminal: lines with the usual editing keys, pasted text and line breaks in them,
// a history that outlives the program, and search in it.
//
// A message is edited as one line. A line break in it, from a paste, Ctrl-J or Alt-Enter, is shown as one sign, so that
// everything that works on a line works on a message; Enter sends it.
package lineedit

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// ErrInterrupted is returned by Read when the line was given up with Ctrl-C.
var ErrInterrupted = errors.New("interrupted")

// Editor reads messages. The terminal is in raw mode only while one is read, so that Ctrl-C reaches the program otherwise.
type Editor struct {
	fd      int // of the terminal; -1: a test
	lines   *term.Terminal
	history *History
	words   []string // that Tab completes at the beginning of a line

	query, shown string // of the search: what is looked for, and the line that was found
	at           int    // and where in the history
}

// New returns an editor of a terminal. words are completed by Tab.
func New(in, out *os.File, prompt string, h *History, words []string) *Editor {
	return newEditor(in, out, int(in.Fd()), prompt, h, words)
}

func newEditor(in io.Reader, out io.Writer, fd int, prompt string, h *History, words []string) *Editor {
	e := &Editor{fd: fd, history: h, words: words}
	e.lines = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{&keys{in: in}, out}, prompt)
	e.lines.History = h
	e.lines.AutoCompleteCallback = e.key
	return e
}

// Read returns the next message. It is io.EOF after Ctrl-D on an empty line, and ErrInterrupted after Ctrl-C.
func (e *Editor) Read() (string, error) {
	if e.fd >= 0 {
		state, err := term.MakeRaw(e.fd)
		if err != nil {
			return "", err
		}
		defer term.Restore(e.fd, state)
		if width, height, err := term.GetSize(e.fd); err == nil && width > 0 {
			e.lines.SetSize(width, height)
		}
		e.lines.SetBracketedPasteMode(true)
		defer e.lines.SetBracketedPasteMode(false)
	}
	e.shown = ""
	line, err := e.lines.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	if err != nil {
		return "", err
	}
	if line == givenUp {
		return "", ErrInterrupted
	}
	return plain.Replace(line), nil
}

const (
	keyTab    = '\t'
	keySearch = 'R' - '@' // Ctrl-R
)

// key is called for keys that have no meaning yet.
func (e *Editor) key(line string, pos int, key rune) (string, int, bool) {
	switch key {
	case keyTab:
		return e.complete(line, pos)
	case keySearch:
		return e.search(line)
	}
	return "", 0, false
}

// complete finishes the word that begins the line, as far as it is clear.
func (e *Editor) complete(line string, pos int) (string, int, bool) {
	start := line[:pos]
	var fit []string
	for _, w := range e.words {
		if start != "" && strings.HasPrefix(w, start) {
			fit = append(fit, w)
		}
	}
	if len(fit) == 0 {
		return "", 0, false
	}
	common := fit[0]
	for _, w := range fit[1:] {
		for !strings.HasPrefix(w, common) {
			common = common[:len(common)-1]
		}
	}
	return common + line[pos:], len(common), true
}

// search shows the next older line of the history that holds what was typed when the search began.
func (e *Editor) search(line string) (string, int, bool) {
	if line != e.shown || e.shown == "" {
		e.query, e.at = line, -1
	}
	for i := e.at + 1; i < e.history.Len(); i++ {
		if found := e.history.At(i); strings.Contains(found, e.query) && found != line {
			e.shown, e.at = found, i
			return found, len(found), true
		}
	}
	return "", 0, false
}

// Signs that stand in a line for what would break it.
const (
	lineBreak = "␤"
	tabStop   = "␉"
)

var plain = strings.NewReplacer(lineBreak, "\n", tabStop, "\t")

// givenUp is the line that Ctrl-C makes.
const givenUp = "^C"

// Sequences that terminals send.
var (
	pasteBegin = []byte("\x1b[200~")
	pasteEnd   = []byte("\x1b[201~")
	altEnter   = []byte("\x1b\r")
)

// keys translates what a terminal sends into what the line editor knows.
type keys struct {
	in      io.Reader
	out     []byte // translated and not read yet
	held    []byte // the beginning of a sequence
	pasting bool
	crBreak bool // the last byte of a paste was a CR, so that an LF belongs to it
	raw     [4096]byte
}

func (k *keys) Read(p []byte) (int, error) {
	for len(k.out) == 0 {
		n, err := k.in.Read(k.raw[:])
		for _, b := range k.raw[:n] {
			k.feed(b)
		}
		if n == 0 && err != nil {
			return 0, err
		}
	}
	n := copy(p, k.out)
	k.out = slices.Delete(k.out, 0, n)
	return n, nil
}

func (k *keys) feed(b byte) {
	if b == 0x1b && len(k.held) > 0 { // another sequence begins
		k.flush()
	}
	k.held = append(k.held, b)
	switch text := string(k.held); {
	case text == string(pasteBegin):
		k.pasting, k.crBreak = true, false
		k.out = append(k.out, pasteBegin...) // a paste may be longer than what is typed
	case text == string(pasteEnd):
		k.pasting = false
		k.out = append(k.out, pasteEnd...)
	case text == string(altEnter):
		k.out = append(k.out, lineBreak...)
	case strings.HasPrefix(string(pasteBegin), text), strings.HasPrefix(string(pasteEnd), text), strings.HasPrefix(string(altEnter), text):
		return
	default:
		k.flush()
		return
	}
	k.held = k.held[:0]
}

func (k *keys) flush() {
	for _, b := range k.held {
		k.translate(b)
	}
	k.held = k.held[:0]
}

func (k *keys) translate(b byte) {
	wasCR := k.crBreak
	k.crBreak = false
	switch {
	case b == '\n' && wasCR:
	case b == '\n', b == '\r' && k.pasting:
		k.out = append(k.out, lineBreak...)
		k.crBreak = b == '\r'
	case b == keyTab && k.pasting:
		k.out = append(k.out, tabStop...)
	case b < ' ' && k.pasting: // no key is meant
	case b == 'C'-'@':
		k.out = append(append(k.out, 'E'-'@', 'U'-'@'), givenUp+"\r"...) // to the end, erase, send
	default:
		k.out = append(k.out, b)
	}
}

// display writes a message as the editor shows it.
func display(message string) string {
	return strings.NewReplacer("\n", lineBreak, "\t", tabStop).Replace(strings.ToValidUTF8(message, string(utf8.RuneError)))
}
