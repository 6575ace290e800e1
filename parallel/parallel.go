// Package parallel spreads one computation over several members: groups and their collectives, one file a transport.
package parallel

// Group is the set of ranks that share a computation. All ranks call the same collectives in the same order.
// Sums are taken in rank order, so that every rank and every run sees the same bits.
type Group interface {
	Rank() int
	Size() int
	// AllReduce replaces x on every rank by the sum over the ranks.
	AllReduce(x []float32)
	// AllGather returns every rank's x, by rank; the slices are valid until the next collective.
	AllGather(x []float32) [][]float32
}
