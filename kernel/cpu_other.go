//go:build noasm || !amd64

package kernel

// noAssembly is what the bodies of unreachable assembly functions panic with.
const noAssembly = "kernel: this build has no assembly"

// No assembly in this build: the compiler drops every branch behind these.
const (
	useAVX2   = false
	useAVX512 = false
	useVNNI   = false
	useBF16   = false
)

func bestLevel() int { return levelGo }

func setLevel(int) {}
