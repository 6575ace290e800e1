package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hone/tokenizer"
)

const chatHelp = `An empty line does nothing. /clear begins a new conversation, /exit (or Ctrl-D) leaves.
Ctrl-C while the model writes stops the answer.
`

// converse chats in the terminal until the user leaves.
func (f *runFlags) converse(cmd *cobra.Command, g *generator) error {
	if g.template == nil {
		return usagef("%s has no chat template, so it cannot chat: give a PROMPT to go on from", g.model.Path)
	}
	f.sampling.liven()
	lines, err := newTerminal(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	fmt.Fprint(w, chatHelp)
	return conversation(lines.read, w, func(messages []tokenizer.Message) (string, error) {
		ids, err := g.chat(messages)
		if err != nil {
			return "", err
		}
		ctx, stop := signal.NotifyContext(context.WithoutCancel(cmd.Context()), os.Interrupt)
		defer stop()
		out, _, err := g.answer(ctx, f.sampling.request(ids), w)
		return out.Text, err
	})
}

// conversation is the loop of a chat: read a message, have it answered, remember both. A refused or interrupted message
// is reported and the chat goes on; read's io.EOF ends it.
func conversation(read func() (string, error), w io.Writer, answer func([]tokenizer.Message) (string, error)) error {
	var messages []tokenizer.Message
	for {
		line, err := read()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch line = strings.TrimSpace(line); line {
		case "":
			continue
		case "/exit":
			return nil
		case "/clear":
			messages = nil
			continue
		}
		if strings.HasPrefix(line, "/") && !strings.Contains(line, " ") {
			fmt.Fprintf(w, "no command %s%s\n%s", line, didYouMean(line, []string{"/clear", "/exit"}), chatHelp)
			continue
		}
		asked := append(messages, tokenizer.Message{Role: "user", Content: line})
		text, err := answer(asked)
		fmt.Fprintln(w)
		switch {
		case errors.Is(err, context.Canceled) && text == "":
			continue
		case err != nil && !errors.Is(err, context.Canceled):
			fmt.Fprintf(w, "hone: %v; /clear begins a new conversation\n", err)
			continue
		}
		messages = append(asked, tokenizer.Message{Role: "assistant", Content: text})
	}
}

// terminal reads edited lines. It is in raw mode only while a line is read, so that Ctrl-C reaches the program otherwise.
type terminal struct {
	fd    int
	lines *term.Terminal
}

func newTerminal(in, out *os.File) (*terminal, error) {
	t := &terminal{fd: int(in.Fd())}
	t.lines = term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{in, out}, "> ")
	if width, height, err := term.GetSize(t.fd); err == nil && width > 0 {
		if err := t.lines.SetSize(width, height); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *terminal) read() (string, error) {
	state, err := term.MakeRaw(t.fd)
	if err != nil {
		return "", err
	}
	defer term.Restore(t.fd, state)
	line, err := t.lines.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	return line, err
}
