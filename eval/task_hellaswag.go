package eval

import (
	"fmt"
	"regexp"
	"strings"
)

// HellaSwag (Zellers et al. 2019): the ending that goes on from a scene. Layouts: JSONL with ctx_a, ctx_b, endings and
// label; or six lines an item: scene, index of the right ending, four endings.
func init() {
	register(Task{Name: "hellaswag", About: "the ending that goes on from a scene", Kind: Choose, Read: readHellaSwag})
}

type hellaSwag struct {
	Activity string `json:"activity_label"`
	Ctx      string `json:"ctx"`
	CtxA     string `json:"ctx_a"`
	CtxB     string `json:"ctx_b"`
	Endings  []string
	Label    label
}

func readHellaSwag(data []byte) ([]Item, error) {
	if l := lines(data); len(l) > 0 && !strings.HasPrefix(strings.TrimSpace(l[0].text), "{") && !strings.HasPrefix(strings.TrimSpace(l[0].text), "[{") {
		return readSixLines(l)
	}
	return itemsOf(data, func(r hellaSwag) (Item, error) {
		ctx := r.Ctx
		if r.CtxA != "" || r.CtxB != "" {
			ctx = r.CtxA + " " + capital(r.CtxB)
		}
		if r.Activity != "" {
			ctx = r.Activity + ": " + ctx
		}
		it := Item{Context: plainScene(ctx)}
		var names []string
		for i, e := range r.Endings {
			it.Choices = append(it.Choices, plainScene(e))
			names = append(names, fmt.Sprint(i))
		}
		var err error
		it.Answer, err = r.Label.among(names...)
		return it, err
	})
}

func readSixLines(l []line) ([]Item, error) {
	if len(l)%6 != 0 {
		return nil, fmt.Errorf("%d lines of text are no multiple of 6: scene, index, four endings", len(l))
	}
	var items []Item
	for i := 0; i < len(l); i += 6 {
		it := Item{Context: l[i].text}
		for _, e := range l[i+2 : i+6] {
			it.Choices = append(it.Choices, e.text)
		}
		var err error
		if it.Answer, err = label(strings.TrimSpace(l[i+1].text)).among("0", "1", "2", "3"); err != nil {
			return nil, fmt.Errorf("line %d: %w", l[i+1].number, err)
		}
		items = append(items, it)
	}
	return items, nil
}

var bracketed = regexp.MustCompile(`\[.*?\]`)

// plainScene takes out the marks of the WikiHow part: "[title]" ends a sentence, other brackets mean nothing.
func plainScene(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), " [title]", ". ")
	return strings.ReplaceAll(bracketed.ReplaceAllString(s, ""), "  ", " ")
}

// capital writes the first letter large and all others small, as the benchmark's own preparation does.
func capital(s string) string {
	r := []rune(s)
	if len(r) == 0 {
		return ""
	}
	return strings.ToUpper(string(r[0])) + strings.ToLower(string(r[1:]))
}
