package tokenizer

import (
	"strings"
	"sync"
	"unicode"
)

// Classes of characters by name. The reference's tables are of a newer Unicode than Go's, from which regexp2 has its own, and its
// words are others.

// propertyAdd is what the reference counts to a property beside what regexp2 does.
var propertyAdd = map[string]func() *unicode.RangeTable{
	"L": letterAdd, "Lu": upperAdd, "Ll": lowerAdd, "Lm": modifierAdd, "Lo": otherLetterAdd, "M": combiningAdd, "N": numberAdd,
	"Nd": numberAdd, "P": signAdd, "S": symbolAdd, "Han": lazyRanges("2EBF0-2EE5D"),
}

// wordClass is \w, as the inside of a bracket expression.
var wordClass = sync.OnceValue(func() string {
	return `\p{Nl}\p{Pc}` + ranges(unicode.Other_Alphabetic) + property("L") + property("M") + property("Nd")
})

// property is \p{name}, as the inside of a bracket expression.
func property(name string) string {
	if add, ok := propertyAdd[name]; ok {
		return `\p{` + name + `}` + ranges(add())
	}
	return `\p{` + name + `}`
}

// ranges writes a table as the inside of a bracket expression.
func ranges(t *unicode.RangeTable) string {
	var b strings.Builder
	add := func(lo, hi, stride rune) {
		if stride == 1 && hi > lo {
			b.WriteString(string(lo) + "-" + string(hi))
			return
		}
		for r := lo; r <= hi; r += stride {
			b.WriteRune(r)
		}
	}
	for _, r := range t.R16 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	for _, r := range t.R32 {
		add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
	}
	return b.String()
}

// namedClass translates an escape that stands for a class, or for the edge of one, as the inside of a bracket expression; "": it is none of those.
func namedClass(escape string) (set string, negated bool) {
	switch {
	case escape == `\w` || escape == `\W`:
		return wordClass(), escape == `\W`
	case escape == `\b` || escape == `\B`:
		return wordClass(), escape == `\B`
	case escape == `\d` || escape == `\D`:
		return property("Nd"), escape == `\D`
	case len(escape) > 4 && (escape[1] == 'p' || escape[1] == 'P'):
		if name := escape[3 : len(escape)-1]; propertyAdd[name] != nil {
			return property(name), escape[1] == 'P'
		}
	}
	return "", false
}

// superscripts are word characters to the reference for \w by itself and \b, but not in brackets.
const superscripts = "²³¹¼-¾"
