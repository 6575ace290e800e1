//go:build !linux

package kernel

import "testing"

// guarded returns n elements; guard pages are made on Linux alone.
func guarded[T any](_ testing.TB, n int, _ bool) []T { return make([]T, n) }
