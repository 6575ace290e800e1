package tokenizer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// SentencePiece (Kudo and Richardson 2018, arXiv 1808.06226): the text is normalised as a whole, white space becomes
// U+2581, and pieces are chosen by their scores: by merging (BPE) or by the best sum (Unigram).

// pieceKind is the type of a piece, with the numbers that GGUF and SentencePiece's own files share.
type pieceKind uint8

const (
	kindNormal      pieceKind = 1
	kindUnknown     pieceKind = 2
	kindControl     pieceKind = 3
	kindUserDefined pieceKind = 4
	kindUnused      pieceKind = 5
	kindByte        pieceKind = 6
)

// spm is a vocabulary of SentencePiece.
type spm struct {
	pieces   []string
	scores   []float32
	kinds    []pieceKind
	unk      int32 // -1: none
	fallback bool  // characters without a piece become the pieces of their bytes
	rules    spmRules
	// cut: user-defined pieces are cut out of the text before it is normalised, as GGUF files mean it; otherwise they are
	// found while it is normalised, as SentencePiece itself does.
	cut bool
	// frontOnly: only the front of the whole text gets a space, not what follows a special token.
	frontOnly bool
}

func (v *spm) kind(id int) pieceKind {
	if v.kinds == nil {
		return kindNormal
	}
	return v.kinds[id]
}

// inText tells whether a piece can be found in a text.
func (v *spm) inText(id int) bool {
	k := v.kind(id)
	return k == kindNormal || k == kindUserDefined || k == kindUnused
}

// check refuses scores that cannot be compared and empty pieces.
func (v *spm) check() error {
	if len(v.scores) != len(v.pieces) {
		return fmt.Errorf("tokenizer: %d scores for %d pieces", len(v.scores), len(v.pieces))
	}
	for id, s := range v.scores {
		if math.IsNaN(float64(s)) || math.IsInf(float64(s), 0) {
			return fmt.Errorf("tokenizer: piece %d (%s) has score %v", id, quote(v.pieces[id]), s)
		}
	}
	return nil
}

// vocab maps the spelling of each piece to its id; of equal spellings the highest id counts.
func (v *spm) vocab() map[string]int32 {
	vocab := make(map[string]int32, len(v.pieces))
	for id, piece := range v.pieces {
		vocab[piece] = int32(id)
	}
	return vocab
}

// bytes returns the ids of the byte pieces, nil without fallback.
func (v *spm) bytes() (*[256]int32, error) {
	if !v.fallback {
		return nil, nil
	}
	var ids [256]int32
	for i := range ids {
		ids[i] = -1
	}
	for id, piece := range v.pieces {
		if b, ok := byteToken(piece); ok && v.kind(id) == kindByte {
			ids[b] = int32(id)
		}
	}
	if i := slices.Index(ids[:], -1); i >= 0 {
		return nil, fmt.Errorf("tokenizer: it falls back to bytes, but has no piece <0x%02X>", i)
	}
	return &ids, nil
}

// Limits of pieces. The work on a piece is the square of its length; real vocabularies stay far below.
const (
	maxPiece     = 1 << 12 // bytes of one
	maxPieceWork = 1 << 31 // sum of squares
)

// pieceWork adds up the work on pieces and refuses what is too much.
type pieceWork int

func (w *pieceWork) add(id, bytes, weight int) error {
	if bytes > maxPiece {
		return fmt.Errorf("tokenizer: piece %d has %d bytes, at most %d are allowed", id, bytes, maxPiece)
	}
	if *w += pieceWork(weight * bytes * bytes); *w > maxPieceWork {
		return fmt.Errorf("tokenizer: the pieces up to %d are too long all together", id)
	}
	return nil
}

// eachSplit calls yield for each way to put a piece together from two symbols.
func (v *spm) eachSplit(symbol func(string) (int32, bool), yield func(id, left, right int32)) error {
	var work pieceWork
	for id, piece := range v.pieces {
		if !v.inText(id) {
			continue
		}
		if err := work.add(id, len(piece), 1); err != nil {
			return err
		}
		for i := range piece {
			if i == 0 {
				continue
			}
			if left, ok := symbol(piece[:i]); ok {
				if right, ok := symbol(piece[i:]); ok {
					yield(int32(id), left, right)
				}
			}
		}
	}
	return nil
}

// bpe builds SentencePiece's BPE: of all neighbouring symbols that together are a piece the one of the highest score is
// merged first, the leftmost of equal ones.
func (v *spm) bpe(vocab map[string]int32) (*charBPE, error) {
	symbol := func(s string) (int32, bool) {
		if id, ok := vocab[s]; ok && v.inText(int(id)) {
			return id, true
		}
		r, n := utf8.DecodeRuneInString(s)
		return unknownChar(r), n == len(s)
	}
	ranks := v.ranks()
	var splits [][3]int32
	if err := v.eachSplit(symbol, func(id, left, right int32) { splits = append(splits, [3]int32{id, left, right}) }); err != nil {
		return nil, err
	}
	pairs := newPairTable(len(splits))
	for _, s := range splits {
		pairs.put(s[1], s[2], ranks[s[0]], s[0], false)
	}
	m := newCharBPE(vocab, pairs)
	for id, piece := range v.pieces {
		if r, n := utf8.DecodeRuneInString(piece); n == len(piece) && n > 0 && v.inText(id) {
			m.setChar(r, int32(id))
		}
	}
	m.late, m.unk = true, v.unk
	var err error
	if m.fallback, err = v.bytes(); err != nil {
		return nil, err
	}
	m.cuts = newWordCuts(v.texts)
	m.cuts.on = m.char('▁') >= 0
	m.unused, err = v.unusedParts(m)
	return m, err
}

// texts yields the pieces that can be found in a text.
func (v *spm) texts(yield func(string) bool) {
	for id, piece := range v.pieces {
		if v.inText(id) && !yield(piece) {
			return
		}
	}
}

// ranks orders scores from the highest; equal scores have equal ranks.
func (v *spm) ranks() []int32 {
	order := slices.Clone(v.scores)
	slices.Sort(order)
	order = slices.Compact(order)
	ranks := make([]int32, len(v.scores))
	for id, s := range v.scores {
		at, _ := slices.BinarySearch(order, s)
		ranks[id] = int32(len(order) - 1 - at)
	}
	return ranks
}

// unusedParts says what each unused piece is made of: the two symbols whose merge would be it.
func (v *spm) unusedParts(m *charBPE) (map[int32][]int32, error) {
	parts := map[int32][]int32{}
	var work pieceWork
	for id, piece := range v.pieces {
		if v.kind(id) != kindUnused || utf8.RuneCountInString(piece) < 2 {
			continue
		}
		if err := work.add(id, len(piece), 64); err != nil { // merging it is dearer than looking at its splits
			return nil, err
		}
		var word []int32
		for _, r := range piece {
			word = append(word, m.char(r))
		}
		parts[int32(id)] = m.mergeExcept(word, int32(id))
	}
	return parts, nil
}

// mergeExcept merges word without ever making one token: the slow plain definition of mergeShort and mergeLong.
func (m *bpe) mergeExcept(word []int32, except int32) []int32 {
	for {
		best := merge{rank: noRank}
		at := 0
		for i := range len(word) - 1 {
			if found := m.merges.get(word[i], word[i+1]); found.id != except && found.rank < best.rank {
				best, at = found, i
			}
		}
		if best.rank == noRank {
			return word
		}
		word[at] = best.id
		word = slices.Delete(word, at+1, at+2)
	}
}

// added lists the pieces that are cut out of a text: control and unknown ones where special tokens are read, and the
// user-defined ones, which Unigram finds by itself if they are not cut.
func (v *spm) added(modelType string) []addedToken {
	var out []addedToken
	for id, piece := range v.pieces {
		switch v.kind(id) {
		case kindControl, kindUnknown:
			out = append(out, addedToken{ID: int32(id), Content: piece, Special: true})
		case kindUserDefined:
			if v.cut || modelType == "SPM" {
				out = append(out, addedToken{ID: int32(id), Content: piece, Normalized: !v.cut})
			}
		}
	}
	return out
}

// spmRules is how SentencePiece normalises a text.
type spmRules struct {
	chars       *charsmap // nil: characters stay
	prefix      bool      // a space goes before the text
	suffix      bool      // … after it instead
	squeeze     bool      // no spaces at the ends, one between words
	escape      bool      // spaces are written as U+2581
	userDefined *addedSet // texts that stay as they are, nil: none
}

func (n *spmRules) normalize(s string) string {
	if s == "" {
		return s
	}
	if n.chars == nil && !n.squeeze && !n.suffix && n.escape && n.userDefined == nil {
		return n.simple(s)
	}
	space := " "
	if n.escape {
		space = phantomSpace
	}
	i := 0
	for n.squeeze && i < len(s) {
		text, size := n.step(s[i:])
		if text != " " {
			break
		}
		i += size
	}
	if i == len(s) {
		return ""
	}
	out := make([]byte, 0, len(s)+len(s)/4+8)
	if n.prefix && !n.suffix {
		out = append(out, space...)
	}
	for inSpace := n.squeeze; i < len(s); {
		text, size := n.step(s[i:])
		i += size
		for inSpace && strings.HasPrefix(text, " ") {
			text = text[1:]
		}
		if text == "" {
			continue
		}
		for j := range len(text) {
			if text[j] == ' ' {
				out = append(out, space...)
			} else {
				out = append(out, text[j])
			}
		}
		inSpace = n.squeeze && text[len(text)-1] == ' '
	}
	if n.squeeze {
		for len(out) > 0 && strings.HasSuffix(string(out[max(0, len(out)-len(space)):]), space) {
			out = out[:len(out)-len(space)]
		}
	}
	if n.suffix && n.prefix {
		out = append(out, space...)
	}
	return string(out)
}

// simple is normalize without anything but spaces to write.
func (n *spmRules) simple(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2*strings.Count(s, " ") + len(phantomSpace))
	if n.prefix {
		b.WriteString(phantomSpace)
	}
	for {
		i := strings.IndexByte(s, ' ')
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i])
		b.WriteString(phantomSpace)
		s = s[i+1:]
	}
}

// step returns what the longest known beginning of s, or its first character, becomes, and its size.
func (n *spmRules) step(s string) (text string, size int) {
	if n.userDefined != nil && n.userDefined.first[s[0]] {
		if index, end := n.userDefined.longest(s, 0); index >= 0 {
			return s[:end], end
		}
	}
	if n.chars != nil {
		if text, size := n.chars.longest(s); size > 0 {
			return text, size
		}
	}
	_, size = utf8.DecodeRuneInString(s)
	return s[:size], size
}
