package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"hone/internal/lineedit"
	"hone/tokenizer"
)

// talk runs a chat over lines; "^C" is one that was given up. It returns what was asked, what stands on the screen, and the
// lines that were not read.
func talk(t *testing.T, lines ...string) (asked []string, screen string, left []string) {
	t.Helper()
	var w strings.Builder
	c := &conversation{w: &w, settings: addSampling(&cobra.Command{})}
	c.read = func() (string, error) {
		if len(lines) == 0 {
			return "", io.EOF
		}
		line := lines[0]
		lines = lines[1:]
		if line == "^C" {
			return "", lineedit.ErrInterrupted
		}
		return line, nil
	}
	c.answer = func(m []tokenizer.Message) (string, error) {
		var all []string
		for _, x := range m {
			text := x.Content
			if x.Role == "system" {
				text = "[" + text + "]"
			}
			all = append(all, text)
		}
		asked = append(asked, strings.Join(all, " "))
		switch m[len(m)-1].Content {
		case "too long":
			return "", errors.New("no room")
		case "stop me":
			return "", context.Canceled
		case "how warm":
			return fmt.Sprint(c.settings.temperature), nil
		}
		return fmt.Sprintf("answer%d", len(m)), nil
	}
	if err := c.run(); err != nil {
		t.Fatal(err)
	}
	return asked, w.String(), lines
}

// TestConversation: what was said is kept, refused and interrupted messages are not, commands are obeyed.
func TestConversation(t *testing.T) {
	asked, screen, left := talk(t, "one", "", "^C", "too long", "two", "/claer", "stop me", "/clear", "three", "/etc/passwd is a path", "/exit", "never read")
	want := "one|one answer1 too long|one answer1 two|one answer1 two answer3 stop me|three|three answer1 /etc/passwd is a path"
	if got := strings.Join(asked, "|"); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	for _, part := range []string{"hone: no room", `no command /claer (did you mean "/clear"?)`} {
		if !strings.Contains(screen, part) {
			t.Errorf("no %q on the screen %q", part, screen)
		}
	}
	if len(left) != 1 {
		t.Errorf("%d lines left, want the one after /exit", len(left))
	}
}

func TestConversationCommands(t *testing.T) {
	asked, screen, _ := talk(t, "/help", "one", "/system be brief", "two", "/set temperature 0.25", "/set temperature -3", "/set temprature 1", "/set top-k many", "/set",
		"/system", "three")
	if got := strings.Join(asked, "|"); got != "one|[be brief] two|three" {
		t.Errorf("asked %q", got)
	}
	for _, part := range []string{"/set [NAME VALUE]  change a setting", "Ctrl-J", "temperature", "0.25", "another one each time",
		`no setting "temprature" (did you mean "temperature"?)`, "/set top-k many: want the value of --top-k"} {
		if !strings.Contains(screen, part) {
			t.Errorf("no %q on the screen %s", part, screen)
		}
	}
	if strings.Contains(screen, "temperature  -3") {
		t.Error("a refused setting stays")
	}
}
