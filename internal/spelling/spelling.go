// Package spelling finds what a mistyped word was meant to be.
package spelling

// Distance counts the insertions, deletions and substitutions of bytes that turn a into b (Levenshtein 1966). Words are
// short: it takes time len(a)·len(b) and memory len(b).
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
