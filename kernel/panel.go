package kernel

// PanelWidth is the number of columns that Panel computes.
const PanelWidth = 32

// Panel is the shared f32 micro-kernel: C[m,32] = A[m,k]·B[k,32], with acc C += A·B. All are row-major; lda, ldb and ldc
// are the distances between rows. Each element of C is one chain of k multiply-adds in the order of k, which starts
// at 0 or, with acc, at the old value: neither m nor a cut of k into several calls changes a bit.
func Panel(m, k int, a []float32, lda int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	if m <= 0 {
		return
	}
	checkMatrix("C", m, PanelWidth, len(c), ldc)
	checkMatrix("A", m, k, len(a), lda)
	checkMatrix("B", k, PanelWidth, len(b), ldb)
	panel(m, k, a, lda, 1, b, ldb, c, ldc, acc)
}

// panel is Panel with element A[i,j] at a[i*rs+j*ks].
func panel(m, k int, a []float32, rs, ks int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	for i := 0; raceEnabled && i < m; i++ {
		writes(c[i*ldc:][:PanelWidth])
	}
	if useAVX2 {
		add := 0
		if acc {
			add = 1
		}
		pa, pb, pc := ptr(a), ptr(b), ptr(c)
		if useAVX512 {
			panelAVX512(m, k, pa, rs, ks, pb, ldb, pc, ldc, add)
		} else {
			panelAVX2(m, k, pa, rs, ks, pb, ldb, pc, ldc, add)
		}
		return
	}
	panelGo(m, k, a, rs, ks, b, ldb, c, ldc, acc)
}

func panelGo(m, k int, a []float32, rs, ks int, b []float32, ldb int, c []float32, ldc int, acc bool) {
	for i := range m {
		var s [PanelWidth]float32
		row := (*[PanelWidth]float32)(c[i*ldc:])
		if acc {
			s = *row
		}
		for j := range k {
			v := a[i*rs+j*ks]
			for x, w := range (*[PanelWidth]float32)(b[j*ldb:]) {
				s[x] += v * w
			}
		}
		*row = s
	}
}
