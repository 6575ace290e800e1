//go:build noasm || !amd64

package kernel

// pause burns about n times 40 ns, in a way that the compiler keeps.
func pause(n int) {
	for i := range n * 32 {
		pauseSink(i)
	}
}

//go:noinline
func pauseSink(int) {}
