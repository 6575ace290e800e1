package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"hone/tokenizer"
)

// TestConversation: history is kept, refused and interrupted messages are not, commands are obeyed.
func TestConversation(t *testing.T) {
	lines := []string{"one", "", "too long", "two", "/claer", "stop me", "/clear", "three", "/exit", "never read"}
	read := func() (string, error) {
		if len(lines) == 0 {
			return "", io.EOF
		}
		line := lines[0]
		lines = lines[1:]
		return line, nil
	}
	var asked []string
	var screen strings.Builder
	err := conversation(read, &screen, func(m []tokenizer.Message) (string, error) {
		var all []string
		for _, x := range m {
			all = append(all, x.Content)
		}
		asked = append(asked, strings.Join(all, " "))
		switch m[len(m)-1].Content {
		case "too long":
			return "", errors.New("no room")
		case "stop me":
			return "", context.Canceled
		}
		return fmt.Sprintf("answer%d", len(m)), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "one|one answer1 too long|one answer1 two|one answer1 two answer3 stop me|three"
	if got := strings.Join(asked, "|"); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	for _, part := range []string{"hone: no room", `no command /claer (did you mean "/clear"?)`} {
		if !strings.Contains(screen.String(), part) {
			t.Errorf("no %q on the screen %q", part, screen.String())
		}
	}
	if len(lines) != 1 {
		t.Errorf("%d lines left, want the one after /exit", len(lines))
	}
}
