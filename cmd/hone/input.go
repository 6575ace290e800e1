package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxPiped bounds what is read from standard input: a text longer than any context is a mistake.
const maxPiped = 1 << 30

// piped reads standard input when it is no terminal; ok is false when it is one.
func piped(cmd *cobra.Command) (text string, ok bool, err error) {
	if interactive(cmd) {
		return "", false, nil
	}
	b, err := io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxPiped+1))
	if err != nil {
		return "", true, fmt.Errorf("standard input: %w", err)
	}
	if len(b) > maxPiped {
		return "", true, fmt.Errorf("standard input: more than %s of text", bytesText(maxPiped))
	}
	return string(b), true, nil
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
		b, err := os.ReadFile(file)
		return string(b), err
	}
	text, ok, err := piped(cmd)
	if err == nil && !ok {
		err = usagef("no text: give TEXT, --file FILE, or pipe it in; usage: hone %s", cmd.Use)
	}
	return text, err
}
