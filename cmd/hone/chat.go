package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hone/engine"
	"hone/internal/lineedit"
	"hone/store"
	"hone/tokenizer"
)

// converse chats in the terminal until the user leaves.
func (f *runFlags) converse(cmd *cobra.Command, g *generator) error {
	if g.template == nil {
		return usagef("%s has no chat template, so it cannot chat: give a PROMPT to go on from", g.model.Path)
	}
	f.sampling.liven()
	takesSignals(cmd.Context())
	w := cmd.OutOrStdout()
	history, err := f.history()
	if err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: %v; what you type is not kept\n", err)
		history = &lineedit.History{}
	}
	c := &conversation{w: w, settings: f.sampling}
	editor := lineedit.New(os.Stdin, os.Stdout, "> ", history, c.words())
	c.read = editor.Read
	c.answer = func(messages []tokenizer.Message) (string, error) {
		ids, err := g.chat(messages)
		if err != nil {
			return "", err
		}
		ctx, stop := signal.NotifyContext(context.WithoutCancel(cmd.Context()), os.Interrupt)
		defer stop()
		out, _, err := g.answer(ctx, f.sampling.request(ids), terminal(w))
		if err == nil && out.Finish == engine.FinishLength {
			fmt.Fprintf(w, "\nnote: cut off after %d tokens; /set max-tokens N allows more, as far as --ctx goes", len(out.Tokens))
		}
		return out.Text, err
	}
	fmt.Fprintf(w, "%s; /help lists commands, Ctrl-D leaves\n", g.model.Path)
	return c.run()
}

// history is that of all chats, in the store's folder.
func (f *runFlags) history() (*lineedit.History, error) {
	if f.noHistory {
		return lineedit.OpenHistory("")
	}
	dir, err := store.DefaultDir()
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("history: %w", err)
	}
	return lineedit.OpenHistory(filepath.Join(dir, "history"))
}

// conversation is a chat: messages are read, answered, and both remembered. A refused or interrupted message is reported and
// the chat goes on.
type conversation struct {
	read     func() (string, error) // io.EOF ends the chat
	answer   func([]tokenizer.Message) (string, error)
	w        io.Writer
	settings *sampling

	system   string // "": none
	messages []tokenizer.Message
}

// errLeave is returned by the command that ends a chat.
var errLeave = errors.New("leave")

// chatCommand is a line that begins with a slash.
type chatCommand struct {
	name, words, help string
	run               func(c *conversation, words string) error
}

var chatCommands []chatCommand

func init() { // the commands' help lists the commands
	chatCommands = []chatCommand{
		{"/help", "", "this list", (*conversation).help},
		{"/clear", "", "forget what was said and begin a new conversation", (*conversation).clear},
		{"/system", "[TEXT]", "set what the model is told before the conversation, and begin a new one; without TEXT: nothing", (*conversation).setSystem},
		{"/set", "[NAME VALUE]", "change a setting, such as temperature 0.2; without words: show all", (*conversation).set},
		{"/exit", "", "leave, like Ctrl-D", func(*conversation, string) error { return errLeave }},
	}
}

const chatKeys = `
Ctrl-C          gives the line up, or stops the answer
Ctrl-J          begins a new line in a message, like Alt-Enter; Enter sends it
Up, Ctrl-R      bring back what was typed before; Tab completes a command
`

func (c *conversation) run() error {
	for {
		line, err := c.read()
		switch {
		case errors.Is(err, lineedit.ErrInterrupted):
			continue
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if command, words, ok := c.command(line); ok {
			if err := command(c, words); err == errLeave {
				return nil
			} else if err != nil {
				fmt.Fprintf(c.w, "hone: %v\n", err)
			}
			continue
		}
		c.ask(line)
	}
}

// command finds the command that a line names. A line that only looks like a path or a text is none.
func (c *conversation) command(line string) (run func(*conversation, string) error, words string, ok bool) {
	name, words, _ := strings.Cut(line, " ")
	if !strings.HasPrefix(name, "/") || strings.ContainsAny(name[1:], "/\n") {
		return nil, "", false
	}
	var names []string
	for _, k := range chatCommands {
		if k.name == name {
			return k.run, strings.TrimSpace(words), true
		}
		names = append(names, k.name)
	}
	return func(*conversation, string) error {
		return fmt.Errorf("no command %s%s; /help lists all", name, didYouMean(name, names))
	}, "", true
}

// ask has a message answered.
func (c *conversation) ask(text string) {
	asked := slices.Clone(c.messages)
	if c.system != "" && len(asked) == 0 {
		asked = append(asked, tokenizer.Message{Role: "system", Content: c.system})
	}
	asked = append(asked, tokenizer.Message{Role: "user", Content: text})
	answer, err := c.answer(asked)
	fmt.Fprintln(c.w)
	switch {
	case errors.Is(err, context.Canceled) && answer == "":
		return
	case err != nil && !errors.Is(err, context.Canceled):
		fmt.Fprintf(c.w, "hone: %v; /clear begins a new conversation\n", err)
		return
	}
	c.messages = append(asked, tokenizer.Message{Role: "assistant", Content: answer})
}

func (c *conversation) help(string) error {
	var rows [][]string
	for _, k := range chatCommands {
		rows = append(rows, []string{strings.TrimSpace(k.name + " " + k.words), k.help})
	}
	if err := table(c.w, rows); err != nil {
		return err
	}
	_, err := io.WriteString(c.w, chatKeys)
	return err
}

func (c *conversation) clear(string) error {
	c.messages = nil
	return nil
}

func (c *conversation) setSystem(text string) error {
	c.system = text
	return c.clear("")
}

// chatSettings are the flags that a chat may change.
var chatSettings = []string{"temperature", "top-p", "top-k", "min-p", "max-tokens", "seed"}

// set changes a setting, which has the name and the rules of its flag.
func (c *conversation) set(words string) error {
	name, value, _ := strings.Cut(words, " ")
	if name == "" {
		var rows [][]string
		for _, s := range chatSettings {
			f := c.settings.flags.Lookup(s)
			value := f.Value.String()
			if s == "seed" && !f.Changed {
				value = "another one each time"
			}
			rows = append(rows, []string{s, value})
		}
		return table(c.w, rows)
	}
	if !slices.Contains(chatSettings, name) {
		return fmt.Errorf("no setting %q%s; there are %s", name, didYouMean(name, slices.Clone(chatSettings)), strings.Join(chatSettings, ", "))
	}
	f := c.settings.flags.Lookup(name)
	before := f.Value.String()
	if err := c.settings.flags.Set(name, strings.TrimSpace(value)); err != nil {
		return fmt.Errorf("/set %s %s: want the value of --%s: %s", name, value, name, f.Usage)
	}
	if err := c.settings.check(); err != nil {
		return errors.Join(err, c.settings.flags.Set(name, before))
	}
	return nil
}

// words are what Tab completes.
func (c *conversation) words() []string {
	var out []string
	for _, k := range chatCommands {
		out = append(out, strings.TrimSpace(k.name)+map[bool]string{true: " "}[k.words != ""])
	}
	for _, s := range chatSettings {
		out = append(out, "/set "+s+" ")
	}
	return out
}
