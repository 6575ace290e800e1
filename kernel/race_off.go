//go:build !race

package kernel

const raceEnabled = false

func reads[T any]([]T)  {}
func writes[T any]([]T) {}
