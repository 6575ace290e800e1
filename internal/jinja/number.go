package jinja

import "math"

// integers computes with whole numbers; one beyond 64 bits is an error, where Python goes on.
func integers(op string, a, b int64) any {
	var out int64
	ok := true
	switch op {
	case "+":
		out = a + b
		ok = (out > a) == (b > 0)
	case "-":
		out = a - b
		ok = (out < a) == (b > 0)
	case "*":
		out = a * b
		ok = a == 0 || out/a == b && !(a == -1 && b == math.MinInt64)
	case "//", "%":
		if b == 0 {
			fail("division by zero")
		}
		quotient, rest := a/b, a%b
		if rest != 0 && (rest < 0) != (b < 0) {
			quotient, rest = quotient-1, rest+b
		}
		if op == "//" {
			return quotient
		}
		return rest
	case "**":
		return power(a, b)
	}
	if !ok {
		fail("a number became too large")
	}
	return out
}

func power(a, b int64) any {
	if b < 0 {
		return math.Pow(float64(a), float64(b))
	}
	out := int64(1)
	for range min(b, 64) {
		out = integers("*", out, a).(int64)
	}
	if b > 64 && a != 0 && a != 1 && a != -1 {
		fail("a number became too large")
	}
	if a == -1 && b%2 != 0 {
		return int64(-1)
	}
	return out
}

func floats(op string, a, b float64) any {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "**":
		return math.Pow(a, b)
	}
	if b == 0 {
		fail("division by zero")
	}
	switch op {
	case "/":
		return a / b
	case "//":
		return math.Floor(a / b)
	}
	rest := math.Mod(a, b)
	if rest != 0 && (rest < 0) != (b < 0) {
		rest += b
	}
	return rest
}

// numberOf returns a value as a number; truth values count.
func numberOf(v any) (i int64, f float64, integer, ok bool) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1, 1, true, true
		}
		return 0, 0, true, true
	case int64:
		return v, float64(v), true, true
	case float64:
		return 0, v, false, true
	}
	return 0, 0, false, false
}

func compare[T int64 | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
