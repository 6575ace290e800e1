//go:build noasm || !amd64

package kernel

const fastBF16 = false
