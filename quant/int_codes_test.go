package quant

import (
	"strings"
	"testing"
)

// NewInt refuses codes beyond the format's bits and keeps all others, at widths that fill blocks of 32 and those that do not.
func TestNewIntCodes(t *testing.T) {
	for _, cols := range []int{1, 15, 17, 32, 37, 64, 95} {
		for bad := -1; bad < cols; bad++ {
			m, err := NewInt("int4-row", 2, cols, func(codes []uint8, scale []float32, _ []uint8, i int) error {
				for j := range codes {
					codes[j] = uint8((i + 3*j) % 16)
				}
				if i == 1 && bad >= 0 {
					codes[bad] = 16
				}
				scale[0] = 1
				return nil
			})
			if bad >= 0 {
				if err == nil || !strings.Contains(err.Error(), "has code 16") {
					t.Fatalf("width %d: code 16 in column %d: %v", cols, bad, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			row := make([]float32, cols)
			for i := range 2 {
				m.ReadRow(row, i)
				for j, v := range row {
					if want := float32((i+3*j)%16 - 8); v != want {
						t.Fatalf("width %d: [%d %d] = %v, want %v", cols, i, j, v, want)
					}
				}
			}
		}
	}
}
