package bench

import "hone/kernel"

// Limits are what the machine itself can do with the given number of threads.
type Limits struct {
	F32GFLOPS  float64 `json:"f32_gflops"`
	BF16GFLOPS float64 `json:"bf16_gflops"` // 0: the CPU has no bf16 dot product
	Int8GOPS   float64 `json:"int8_gops"`   // 0: the CPU has no int8 dot product
	ReadGBps   float64 `json:"read_gbps"`
}

// Limit is one of them in units a second.
type Limit struct {
	Name      string
	PerSecond float64
}

// Measured runs the machine's limits on the pool; it takes about a second.
func Measured(p *kernel.Pool) Limits {
	return Limits{}
}
