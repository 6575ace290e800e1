package checkpoint

import (
	"fmt"
	"math"
	"testing"
)

func TestMetadataInts(t *testing.T) {
	m := Metadata{
		"u8": uint8(255), "i8": int8(-128), "u16": uint16(65535), "i16": int16(-32768), "u32": uint32(math.MaxUint32), "i32": int32(-1),
		"u64": uint64(1 << 62), "i64": int64(-1 << 62), "big": uint64(math.MaxUint64), "text": "7", "f": float32(7),
	}
	for key, want := range map[string]int{
		"u8": 255, "i8": -128, "u16": 65535, "i16": -32768, "u32": math.MaxUint32, "i32": -1, "u64": 1 << 62, "i64": -1 << 62,
	} {
		if v, ok := m.Int(key); !ok || v != want {
			t.Errorf("%s = %d %v, want %d", key, v, ok, want)
		}
	}
	for _, key := range []string{"big", "text", "f", "absent"} {
		if v, ok := m.Int(key); ok {
			t.Errorf("%s was read as the integer %d", key, v)
		}
	}
}

func TestMetadataArrays(t *testing.T) {
	m := Metadata{
		"u8": []uint8{1, 2}, "i8": []int8{-1, 2}, "u16": []uint16{1, 2}, "i16": []int16{-1, 2}, "u32": []uint32{1, 2}, "i32": []int32{-1, 2},
		"u64": []uint64{1, 2}, "i64": []int64{-1, 2}, "f32": []float32{-1, 2}, "f64": []float64{-1, 2},
		"big": []uint64{1, math.MaxUint64}, "s": []string{"a"},
	}
	for key := range m {
		ints, isInts := m.Ints(key)
		floats, isFloats := m.Floats(key)
		switch key {
		case "u8", "u16", "u32", "u64":
			if !isInts || fmt.Sprint(ints) != "[1 2]" || isFloats {
				t.Errorf("%s: %v %v", key, ints, isInts)
			}
		case "i8", "i16", "i32", "i64":
			if !isInts || fmt.Sprint(ints) != "[-1 2]" || isFloats {
				t.Errorf("%s: %v %v", key, ints, isInts)
			}
		case "f32", "f64":
			if !isFloats || fmt.Sprint(floats) != "[-1 2]" || isInts {
				t.Errorf("%s: %v %v", key, floats, isFloats)
			}
		default:
			if isInts || isFloats {
				t.Errorf("%s was read as numbers", key)
			}
		}
	}
	if s, ok := m.Strings("s"); !ok || len(s) != 1 {
		t.Errorf("strings %v %v", s, ok)
	}
	if _, ok := m.String("s"); ok {
		t.Error("a list was read as one string")
	}
}
