package parallel

import "sync"

// NewMemory returns the n members of a group that lives in one process.
func NewMemory(n int) []Group {
	shared := &memory{parts: make([][]float32, n)}
	shared.cond = sync.NewCond(&shared.mu)
	members := make([]Group, n)
	for i := range members {
		members[i] = &memoryRank{shared, i}
	}
	return members
}

type memory struct {
	mu      sync.Mutex
	cond    *sync.Cond
	arrived int
	round   int
	parts   [][]float32
}

type memoryRank struct {
	*memory
	rank int
}

func (m *memoryRank) Rank() int { return m.rank }
func (m *memoryRank) Size() int { return len(m.parts) }

// wait is a barrier: the last rank to come opens it.
func (m *memory) wait() {
	m.mu.Lock()
	defer m.mu.Unlock()
	round := m.round
	if m.arrived++; m.arrived == len(m.parts) {
		m.arrived = 0
		m.round++
		m.cond.Broadcast()
		return
	}
	for round == m.round {
		m.cond.Wait()
	}
}

func (m *memoryRank) AllReduce(x []float32) {
	parts := m.AllGather(x)
	for i := range x {
		var sum float32
		for _, p := range parts {
			sum += p[i]
		}
		x[i] = sum
	}
}

func (m *memoryRank) AllGather(x []float32) [][]float32 {
	m.wait() // the last round's slices may be reused only when all have read them
	m.parts[m.rank] = append(m.parts[m.rank][:0], x...)
	m.wait()
	return m.parts
}
