//go:build !noasm

package kernel

// pause tells the core that the thread spins; one PAUSE lasts 15 to 50 ns.
func pause(n int) { pauseAsm(n) }
