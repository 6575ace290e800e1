package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hone/internal/until"
)

// maxText bounds what is read from standard input or --file: a text longer than any context is a mistake, and a device
// never ends.
const maxText = 1 << 30

// leave does work that cannot be broken off, and leaves it behind when ctx ends: then the program is about to end too.
func leave[T any](ctx context.Context, work func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := work()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return *new(T), context.Cause(ctx)
	}
}

// readText reads a bounded text, as long as ctx lasts; name is where it comes from.
func readText(ctx context.Context, name string, r io.Reader) (string, error) {
	b, err := leave(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(until.Reader(ctx, r), maxText+1)) })
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	if len(b) > maxText {
		return "", fmt.Errorf("%s: more than %s of text", name, bytesText(maxText))
	}
	return string(b), nil
}

// piped reads standard input when it is no terminal; ok is false when it is one.
func piped(cmd *cobra.Command) (text string, ok bool, err error) {
	if interactive(cmd) {
		return "", false, nil
	}
	text, err = readText(cmd.Context(), "standard input", cmd.InOrStdin())
	return text, true, err
}

// interactive tells whether standard input is a terminal.
func interactive(cmd *cobra.Command) bool {
	f, ok := cmd.InOrStdin().(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// inputText finds a verb's text: its second word, --file, or standard input.
func inputText(cmd *cobra.Command, args []string, file string) (string, error) {
	switch {
	case len(args) > 1 && file != "":
		return "", usagef("both TEXT and --file %s are given; give one of them", file)
	case len(args) > 1:
		return args[1], nil
	case file != "":
		return readFile(cmd.Context(), "file", file)
	}
	text, ok, err := piped(cmd)
	if err == nil && !ok {
		err = usagef("no text: give TEXT, --file FILE, or pipe it in; usage: hone %s", cmd.Use)
	}
	return text, err
}

// readFile reads the bounded text of a file that a flag names.
func readFile(ctx context.Context, flag, path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("--%s: %w", flag, err)
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return "", fmt.Errorf("--%s: %s is a folder: name a file", flag, path)
	} else if err == nil && st.Size() > maxText {
		return "", fmt.Errorf("--%s: %s has %s; at most %s of text are taken", flag, path, bytesText(st.Size()), bytesText(maxText))
	}
	return readText(ctx, "--"+flag+": "+path, f)
}

// noteBytes says that a text is not all UTF-8.
func noteBytes(w io.Writer, name, text string) {
	if !utf8.ValidString(text) {
		fmt.Fprintf(w, "note: %s holds bytes that are no UTF-8; each is read as U+FFFD\n", name)
	}
}

// checkOutput refuses a path that nothing can be written to, before long work: its folder has to be there.
func checkOutput(path string) error {
	folder := filepath.Dir(filepath.Clean(path))
	if st, err := os.Stat(folder); err != nil {
		return fmt.Errorf("%s cannot be written: %w; make that folder first, or name another place", path, err)
	} else if !st.IsDir() {
		return fmt.Errorf("%s cannot be written: %s is no folder", path, folder)
	}
	return nil
}
