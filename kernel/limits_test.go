package kernel

import "testing"

func TestLimits(t *testing.T) {
	p := NewPool(2)
	defer p.Close()
	each(t, func(t *testing.T) {
		l := Limits{p.Workers(), PeakF32(p, 0.02), PeakBF16(p, 0.02), PeakInt8(p, 0.02), ReadBandwidth(p, 0.02, 8<<20)}
		if l.F32GFLOPS <= 0.01 || l.ReadGBps <= 0.1 {
			t.Errorf("%+v: too slow to be true", l)
		}
		if (l.BF16GFLOPS > 0) != useBF16 || (l.Int8GOPS > 0) != useAVX2 {
			t.Errorf("%+v: a rate without its instruction, or the other way round", l)
		}
		t.Logf("%+v", l)
	})
}

func BenchmarkLimits(b *testing.B) {
	for _, workers := range []int{1, 2} {
		p := NewPool(workers)
		defer p.Close()
		l := MeasureLimits(p, 0.5)
		b.Logf("%+v", l)
	}
}
