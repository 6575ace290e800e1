package kernel

// packRows copies kc rows of width elements to rows of 32, zeros beyond the last column.
func packRows(dst, b []float32, ldb, kc, width int) {
	if width == PanelWidth && kc > 0 && useAVX2 {
		if useAVX512 {
			copyRowsAVX512(ptr(dst), ptr(b), ldb, kc)
		} else {
			copyRowsAVX2(ptr(dst), ptr(b), ldb, kc)
		}
		return
	}
	packRowsGo(dst, b, ldb, kc, width)
}

func packRowsGo(dst, b []float32, ldb, kc, width int) {
	for j := range kc {
		row := dst[j*PanelWidth:][:PanelWidth]
		clear(row[copy(row, b[j*ldb:][:width]):])
	}
}

// Columns writes n rows of PanelWidth elements: row j holds element j of PanelWidth rows of src that are ld elements apart.
func Columns(dst, src []float32, ld, n int) { packTransposed(dst, src, ld, n, PanelWidth) }

// packTransposed turns width rows of kc elements into kc rows of 32, zeros beyond the last column.
func packTransposed(dst, b []float32, ldb, kc, width int) {
	quads := 0
	if width == PanelWidth && useAVX2 {
		quads = kc / 4
	}
	if quads > 0 {
		lanes := 8
		if useAVX512 {
			lanes = 16
		}
		for x := 0; x < PanelWidth; x += lanes {
			to, from := ptr(dst[x:]), ptr(b[x*ldb:])
			if useAVX512 {
				transposeAVX512(to, from, ldb, quads)
			} else {
				transposeAVX2(to, from, ldb, quads)
			}
		}
	}
	if done := 4 * quads; done < kc {
		packTransposedGo(dst[done*PanelWidth:], b[done:], ldb, kc-done, width)
	}
}

func packTransposedGo(dst, b []float32, ldb, kc, width int) {
	if width < PanelWidth {
		clear(dst)
	}
	for x := range width {
		for j, v := range b[x*ldb:][:kc] {
			dst[j*PanelWidth+x] = v
		}
	}
}

// packA copies rows columns of a transposed A, kc deep, to tiles of gemmMR rows.
func packA(dst, a []float32, lda, kc, rows int) {
	tile := gemmMR * kc
	tiles := rows / gemmMR
	if tiles > 0 && kc > 0 && useAVX2 {
		packTilesAVX2(ptr(dst), ptr(a), lda, kc, tiles)
	} else {
		tiles = 0
	}
	for t := tiles; t*gemmMR < rows; t++ {
		to, width := dst[t*tile:], min(gemmMR, rows-t*gemmMR)
		for j := range kc {
			copy(to[j*gemmMR:][:width], a[t*gemmMR+j*lda:])
		}
	}
}
