package tokenizer

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// hostile templates must end soon with an error, at compilation or when rendered.
var hostile = map[string]string{
	"endless range":        "{% for i in range(10 ** 9) %}x{% endfor %}",
	"large range":          "{% for i in range(1000000000) %}x{% endfor %}",
	"nested loops":         strings.Repeat("{% for i in range(60000) %}", 8) + "x" + strings.Repeat("{% endfor %}", 8),
	"recursive macro":      "{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}",
	"mutual macros":        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
	"recursion by default": "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
	"recursive caller":     "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{% endmacro %}{% call f() %}x{% endcall %}",
	"doubling":             "{% set a = 'xxxxxxxxxxxxxxxx' %}" + strings.Repeat("{% set a = a ~ a %}", 60) + "{{ a }}",
	"doubling in a loop":   "{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
	"doubling arguments":   "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('x') }}",
	"doubling loops":       "{% for a in ['xxxxxxxxxxxxxxxx'] %}" + strings.Repeat("{% for a in [a ~ a ~ a ~ a] %}", 30) + strings.Repeat("{% endfor %}", 31),
	"doubling block":       "{% set a = 'xxxxxxxxxxxxxxxx' %}" + strings.Repeat("{% set b %}{{ a }}{{ a }}{% endset %}{% set a %}{{ b }}{{ b }}{% endset %}", 40),
	"repetition":           "{{ 'x' * 1000000000 }}",
	"repetition computed":  "{% set n = 1000000000 %}{{ 'x' * n }}",
	"repetition twice":     "{{ 'x' * 64 * 64 * 64 * 64 * 64 * 64 }}",
	"replace":              "{% set a = 'x' * 64 %}" + strings.Repeat("{% set a = a.replace('x', a) %}", 30),
	"replace kept":         "{% set f = 'aaaa'.replace %}{{ f('a', 'bb') }}{% set g = f %}",
	"join":                 "{% set a = 'x' * 64 %}{% set a = a | list | join(a) %}{% set a = a | list | join(a) %}{% set a = a | list | join(a) %}{% set a = a | list | join(a) %}",
	"format":               "{% set a = '{0}{0}{0}{0}{0}{0}{0}{0}' %}" + strings.Repeat("{% set a = a.format(a) %}", 30),
	"indent":               "{{ 'a\nb' | indent(100000000000) }}{% for i in range(65000) %}{{ messages | tojson(indent=100000000) | indent(100000) }}{% endfor %}",
	"list in itself":       "{% set l = [] %}{{ l.append(l) }}{{ l }}",
	"map in itself":        "{% set d = {'a': 1} %}{{ d.update({'d': d}) }}{{ d }}",
	"namespace in itself":  "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}",
	"shared lists":         "{% set l = ['x'] %}" + strings.Repeat("{% set l = [l, l] %}", 60) + "{{ l }}",
	"slice":                "{{ 'é'[0:1000000000000000:2] }}",
	"slice of text":        "{% for i in range(60000) %}{% for j in range(60000) %}{{ 'é'[0:999999999999] }}{% endfor %}{% endfor %}",
	"deep brackets":        "{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}",
	"deep lists":           "{{ " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + " }}",
	"deep signs":           "{{ " + strings.Repeat("- ", 2000) + "1 }}",
	"deep not":             "{{ " + strings.Repeat("not ", 2000) + "1 }}",
	"deep blocks":          strings.Repeat("{% if true %}", 5000) + strings.Repeat("{% endif %}", 5000),
	"long sum":             "{{ 1" + strings.Repeat("+1", 2000) + " }}",
	"large source":         strings.Repeat("x", maxTemplate+1),
	"large output":         "{% for i in range(60000) %}" + strings.Repeat("0123456789", 100) + "{% endfor %}",
	"unclosed tag":         "{{ 1 ",
	"unclosed loop":        "{% for i in [1] %}",
	"unbalanced":           "{{ x) ~ (y }}",
	"reserved name":        "{% set hone__tick = 1 %}",
	"reserved call":        "{{ hone__leave() }}",
	"reserved loop":        "{% for hone__out in [1] %}{% endfor %}",
	"injected target":      "{% set a) ~ hone__leave( = 1 %}",
	"unknown filter":       "{{ 'x' | center(100000000) }}",
	"unknown statement":    "{% include 'x' %}",
	"map by filter":        "{{ ['a'] | map('upper') | list }}",
	"filter block":         "{% filter indent(100000) %}x{% endfilter %}",
	"recursive loop":       "{% for x in messages recursive %}{{ loop(messages) }}{% endfor %}",
	"json depth":           "{{ '" + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "' | fromjson }}",
}

func TestHostileTemplates(t *testing.T) {
	for name, source := range hostile {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			err := renderHostile(source)
			if err == nil {
				t.Error("no error")
			}
			// Ten times: other processes may hold the cores meanwhile; a template that nothing stops never ends.
			if d := time.Since(start); d > 10*maxRenderTime {
				t.Errorf("took %v", d)
			}
			t.Logf("%v: %v", time.Since(start), err)
		})
	}
}

func renderHostile(source string) error {
	c, err := NewChatTemplate(source, "", "")
	if err != nil {
		return err
	}
	_, err = c.Render([]Message{{"user", "hi"}}, true, nil)
	return err
}

func TestRaiseException(t *testing.T) {
	c, err := NewChatTemplate("{{ raise_exception('no ' + messages[0].role) }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Render([]Message{{"user", "hi"}}, true, nil)
	var refused *TemplateError
	if !errors.As(err, &refused) || refused.Message != "no user" {
		t.Errorf("got %v", err)
	}
}

func TestStrftimeNow(t *testing.T) {
	c, err := NewChatTemplate("{{ strftime_now('%d %b %Y, %A %H:%M %%') }}|{{ strftime_now('%-d') }}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.now = func() time.Time { return time.Date(2026, 7, 4, 9, 5, 0, 0, time.UTC) }
	got, err := c.Render(nil, false, nil)
	if want := "04 Jul 2026, Saturday 09:05 %|4"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestLargeConversation is within the limits: a megabyte of prompt in a thousand messages.
func TestLargeConversation(t *testing.T) {
	c, err := NewChatTemplate("{% set ns = namespace(all='') %}{% for m in messages %}{% set text = m.content | trim %}{{ m.role }}: {{ text }}\n{% endfor %}", "", "")
	if err != nil {
		t.Fatal(err)
	}
	messages := make([]Message, 1000)
	for i := range messages {
		messages[i] = Message{"user", strings.Repeat("word ", 200)}
	}
	out, err := c.Render(messages, true, nil)
	if want := 1000 * (len("user: ") + 999 + 1); err != nil || len(out) != want {
		t.Errorf("%d bytes, %v, want %d", len(out), err, want)
	}
}

// SmolLM2's own template puts its default system text in only when there is no system message.
func TestDefaultSystemText(t *testing.T) {
	c, err := NewChatTemplate(smolLM2(t).TemplateSource(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	without, err := c.Render([]Message{{"user", "hi"}}, false, nil)
	if err != nil || !strings.HasPrefix(without, "<|im_start|>system\nYou are a helpful AI assistant") {
		t.Errorf("%q, %v", without, err)
	}
	with, err := c.Render([]Message{{"system", "S"}, {"user", "hi"}}, false, nil)
	if want := "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"; err != nil || with != want {
		t.Errorf("%q, %v, want %q", with, err, want)
	}
}
