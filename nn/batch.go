// Package nn holds the program of a model, its one executor and the ops they run.
package nn

// BlockTokens is the number of positions in one block of the paged KV cache. Attention walks keys in tiles of this
// size at fixed absolute positions, so the cut of a prompt into chunks changes no bit.
const BlockTokens = 32

// Seq is one sequence's share of a batch: rows [Offset, Offset+Len) hold positions [Pos, Pos+Len).
type Seq struct {
	Offset, Len, Pos int
	// Blocks is the KV block table: position p lives in block Blocks[p/BlockTokens]. It covers Pos+Len positions.
	// nil means that the batch's own rows are all the keys and values there are (Pos is then 0).
	Blocks []int32
}

// Batch is one step's input: flat rows of tokens and the sequences they belong to.
type Batch struct {
	Tokens []int32
	Seqs   []Seq
	// Types is the token type of each row, for encoders that read two texts at once; nil: all 0.
	Types []int32
	// Stop, if set, is asked before each op; its error ends Forward, and there are no hidden states to read then. For long
	// batches that somebody may give up.
	Stop func() error
}

func (b *Batch) typeOf(row int) int {
	if b.Types == nil {
		return 0
	}
	return int(b.Types[row])
}
