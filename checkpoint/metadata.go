package checkpoint

import "math"

// Metadata holds GGUF's key-value pairs. A value is a Go scalar of the file's width (uint8 … float64, bool, string), a
// slice of one of these, or []any for an array of arrays.
type Metadata map[string]any

// String returns the value of a string key.
func (m Metadata) String(key string) (string, bool) {
	s, ok := m[key].(string)
	return s, ok
}

// Bool returns the value of a boolean key.
func (m Metadata) Bool(key string) (v, ok bool) {
	v, ok = m[key].(bool)
	return v, ok
}

// Int returns the value of a key of any integer width that fits an int.
func (m Metadata) Int(key string) (int, bool) { return toInt(m[key]) }

// Float returns the value of a key that is a number.
func (m Metadata) Float(key string) (float64, bool) {
	switch v := m[key].(type) {
	case float32:
		return float64(v), true
	case float64:
		return v, true
	}
	n, ok := m.Int(key)
	return float64(n), ok
}

// Strings returns the value of a key that is an array of strings. It must not be changed.
func (m Metadata) Strings(key string) ([]string, bool) {
	s, ok := m[key].([]string)
	return s, ok
}

// Ints returns a copy of the value of a key that is an array of integers of any width.
func (m Metadata) Ints(key string) ([]int, bool) {
	switch v := m[key].(type) {
	case []uint8:
		return ints(v)
	case []int8:
		return ints(v)
	case []uint16:
		return ints(v)
	case []int16:
		return ints(v)
	case []uint32:
		return ints(v)
	case []int32:
		return ints(v)
	case []uint64:
		return ints(v)
	case []int64:
		return ints(v)
	}
	return nil, false
}

// Floats returns the value of a key that is an array of floating-point numbers. It must not be changed.
func (m Metadata) Floats(key string) ([]float32, bool) {
	switch v := m[key].(type) {
	case []float32:
		return v, true
	case []float64:
		out := make([]float32, len(v))
		for i, x := range v {
			out[i] = float32(x)
		}
		return out, true
	}
	return nil, false
}

type integer interface {
	uint8 | int8 | uint16 | int16 | uint32 | int32 | uint64 | int64
}

// ints converts; it reports false when a value does not fit an int.
func ints[T integer](v []T) ([]int, bool) {
	out := make([]int, len(v))
	for i, x := range v {
		if out[i] = int(x); T(out[i]) != x || (out[i] < 0) != (x < 0) {
			return nil, false
		}
	}
	return out, true
}

func toInt(v any) (int, bool) {
	switch v := v.(type) {
	case uint8:
		return int(v), true
	case int8:
		return int(v), true
	case uint16:
		return int(v), true
	case int16:
		return int(v), true
	case uint32:
		return int(v), uint64(v) <= math.MaxInt
	case int32:
		return int(v), true
	case uint64:
		return int(v), v <= math.MaxInt
	case int64:
		return int(v), v >= math.MinInt && v <= math.MaxInt
	}
	return 0, false
}
