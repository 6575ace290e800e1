package jinja

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
	"join":                 "{% set a = 'x' * 64 %}{% set a = a | list | join(a) %}{% set a = a | list | join(a) %}{% set a = a | list | join(a) %}{% set a = a | list | join(a) %}",
	"format":               "{% set a = '{0}{0}{0}{0}{0}{0}{0}{0}' %}" + strings.Repeat("{% set a = a.format(a) %}", 30),
	"indent":               "{{ 'a\nb' | indent(100000000000) }}{% for i in range(65000) %}{{ messages | tojson(indent=100000000) | indent(100000) }}{% endfor %}",
	"list in itself":       "{% set l = [] %}{{ l.append(l) }}{{ l }}",
	"map in itself":        "{% set d = {'a': 1} %}{{ d.update({'d': d}) }}{{ d }}",
	"namespace in itself":  "{% set ns = namespace() %}{% set ns.ns = ns %}{{ ns }}",
	"shared lists":         "{% set l = ['x'] %}" + strings.Repeat("{% set l = [l, l] %}", 60) + "{{ l }}",
	"slice of text":        "{% for i in range(60000) %}{% for j in range(60000) %}{{ 'é'[0:999999999999] }}{% endfor %}{% endfor %}",
	"deep brackets":        "{{ " + strings.Repeat("(", 100000) + "1" + strings.Repeat(")", 100000) + " }}",
	"deep lists":           "{{ " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + " }}",
	"deep signs":           "{{ " + strings.Repeat("- ", 2000) + "1 }}",
	"deep not":             "{{ " + strings.Repeat("not ", 2000) + "1 }}",
	"deep blocks":          strings.Repeat("{% if true %}", 5000) + strings.Repeat("{% endif %}", 5000),
	"long sum":             "{{ 1" + strings.Repeat("+1", 2000) + " }}",
	"large source":         strings.Repeat("x", 1<<18+1),
	"large output":         "{% for i in range(60000) %}" + strings.Repeat("0123456789", 100) + "{% endfor %}",
	"unclosed tag":         "{{ 1 ",
	"unclosed loop":        "{% for i in [1] %}",
	"unbalanced":           "{{ x) ~ (y }}",
	"injected target":      "{% set a) ~ hone__leave( = 1 %}",
	"unknown filter":       "{{ 'x' | xmlattr }}",
	"unknown test":         "{{ 'x' is odd_one }}",
	"wide":                 "{{ 'x' | center(100000000) }}",
	"wide format":          "{{ '%1000000000d' % 1 }}",
	"power":                "{{ 10 ** 1000000000 }}",
	"private":              "{{ ''.__class__.__mro__ }}",
	"many lists":           "{% set ns = namespace(l=[]) %}{% for i in range(99999) %}{% set ns.l = ns.l + ['x' * 64] %}{% endfor %}",
	"many texts":           "{% set ns = namespace(l=[]) %}{% for i in range(2000) %}{% set ns.l = [ns.l, 'x' * 1000000] %}{% endfor %}",
	"comparing":            "{% set l = ['x'] %}{% set m = ['x'] %}" + strings.Repeat("{% set l = [l, l] %}{% set m = [m, m] %}", 60) + "{{ l == m }}",
	"unknown statement":    "{% include 'x' %}",
	"recursive loop":       "{% for x in messages recursive %}{{ loop(messages) }}{% endfor %}",
	"long or in macros":    "{% macro m(n) %}{{ (m(n+1) if n < 62 else 1) " + strings.Repeat(" or 0", 3000) + " }}{% endmacro %}{{ m(0) }}",
	"comparing deep lists": "{% set a = namespace(x=[]) %}{% set b = namespace(x=[]) %}{% for i in range(9999) %}{% set a.x = [a.x] %}{% set b.x = [b.x] %}{% endfor %}{{ a.x == b.x }}",
	"sorting deep lists":   "{% set a = namespace(x=[]) %}{% set b = namespace(x=[]) %}{% for i in range(9999) %}{% set a.x = [a.x] %}{% set b.x = [b.x] %}{% endfor %}{{ [a.x, b.x] | sort }}",
	"map of map":           "{{ ['x'] | map(*(['map'] * 100000)) | list }}",
	"unclosed raw":         "{% raw %}" + strings.Repeat("{%", 100000),
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
			if d := time.Since(start); d > 10*maxTime {
				t.Errorf("took %v", d)
			}
			t.Logf("%v: %v", time.Since(start), err)
		})
	}
}

// TestBounded: what asks for much where little is enough gets little, soon.
func TestBounded(t *testing.T) {
	for source, want := range map[string]string{
		"{{ 1.5 | round(4000000000000000000) }}":                                                         "1.5",
		"{{ 1234.5 | round(-4000000000000000000) }}":                                                     "0.0",
		"{{ 'a'.ljust(-9223372036854775807 - 1) }}":                                                      "a",
		"{% set a = 'é' * 400000 %}{% set b = 'y' * 400000 ~ 'é' %}{{ a.strip(b) }}{{ 'éxé'.strip(b) }}": "x",
		"{% raw %} {%{{ {%- endraw -%}\n x":                                                              " {%{{x",
		"{% raw %}a\n  {% endraw %}\nx":                                                                  "a\nx",
	} {
		c, err := Compile(source)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if got, err := c.Render(Variables{}, time.Now); err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", source, got, err, want)
		}
	}
}

func renderHostile(source string) error {
	t, err := Compile(source)
	if err != nil {
		return err
	}
	message := NewObject("role", "user", "content", "hi")
	_, err = t.Render(Variables{"messages": NewList([]any{message})}, time.Now)
	return err
}

// FuzzTemplate: a template is an error or renders within its limits.
func FuzzTemplate(f *testing.F) {
	for _, source := range hostile {
		if len(source) < 2000 && !strings.Contains(source, "60000") { // those run into the time limit
			f.Add(source)
		}
	}
	f.Add("{% for m in messages %}{{ m.role }}{{ m['content'] | trim }}{{ loop.nextitem }}{% endfor %}{% if add_generation_prompt %}x{% endif %}")
	f.Add("{% macro f(a, b=1) %}{{ varargs }}{{ caller(a) if caller }}{% endmacro %}{% call(x) f([1][::-1] | sort | first) %}{{ '%5.2f' % x }}{% endcall %}{{ {'a': 1}.items() | list | tojson(indent=2) }}")
	f.Fuzz(func(t *testing.T, source string) {
		start := time.Now()
		err := renderHostile(source)
		if err != nil && strings.HasPrefix(err.Error(), "internal:") {
			t.Error(err)
		}
		if d := time.Since(start); d > 5*maxTime {
			t.Errorf("took %v", d)
		}
	})
}

// TestErrors: errors name what is wrong.
func TestErrors(t *testing.T) {
	for source, want := range map[string]string{
		"{{ x | odd }}":                       `the filter "odd" is not supported`,
		"{{ x is odd_one }}":                  `the test "odd_one" is not supported`,
		"{% include 'x' %}":                   `the statement "include" is not supported`,
		"{% if x %}":                          `"if x" is not closed`,
		"{% endif %}":                         `"endif" closes nothing`,
		"{% if x %}{% endfor %}":              `"endfor" stands where elif or else or endif is wanted`,
		"{{ 1 + }}":                           "ends early",
		"{{ x y }}":                           `unexpected "y"`,
		"{{ nothing.a }}":                     "nothing is undefined",
		"{{ nothing() }}":                     "nothing is undefined",
		"{{ 'a' + 1 }}":                       "a text and a number: + cannot join them",
		"{{ 1 // 0 }}":                        "division by zero",
		"{{ 9223372036854775807 + 1 }}":       "too large",
		"{{ 1 < 'a' }}":                       "have no order",
		"{{ [].append(1) }}":                  "the sandbox does not let a template change a list",
		"{% set x = 1 %}{% set x.a = 1 %}":    "x is no namespace",
		"{% for a, b in [[1]] %}{% endfor %}": "1 values for 2 names",
		"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}": "arguments that it does not take",
		"{{ strftime_now('%Q') }}":                    "does not know %Q",
		"{% break %}":                                 "outside a loop",
		"{{ messages | map('upper') }}":               "a generator cannot be printed",
		"{{ '{:>5}'.format(1) }}":                     "not supported",
		"{{ 'a\\x' }}":                                "damaged escape",
	} {
		if err := renderHostile(source); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", source, err, want)
		}
	}
	var raised *RaisedError
	if err := renderHostile("{{ raise_exception('no ' ~ messages[0].role) }}"); !errors.As(err, &raised) || raised.Message != "no user" {
		t.Errorf("%v", err)
	}
}
