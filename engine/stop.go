package engine

import "bytes"

// stopper releases a text piece by piece and ends it before a stop string, wherever the pieces are cut. What can still
// become a stop string is held back.
type stopper struct {
	stops [][]byte
	held  []byte
}

func newStopper(stops []string) *stopper {
	s := &stopper{}
	for _, x := range stops {
		s.stops = append(s.stops, []byte(x))
	}
	return s
}

// add takes the next piece and appends what is free to go to dst. found is the index of the stop string that ended the
// text, -1 if none did: the one that is complete first, the longest of several. After one is found nothing is held.
func (s *stopper) add(dst []byte, piece string) (out []byte, found int) {
	if len(s.stops) == 0 {
		return append(dst, piece...), -1
	}
	s.held = append(s.held, piece...)
	if found, at := s.find(); found >= 0 {
		dst = append(dst, s.held[:at]...)
		s.held = s.held[:0]
		return dst, found
	}
	keep := s.tail()
	free := len(s.held) - keep
	dst = append(dst, s.held[:free]...)
	s.held = append(s.held[:0], s.held[free:]...)
	return dst, -1
}

// flush releases what is held: no more pieces come.
func (s *stopper) flush(dst []byte) []byte {
	dst = append(dst, s.held...)
	s.held = s.held[:0]
	return dst
}

// find returns the stop string in the held text that ends first, the longest of those, and where it starts.
func (s *stopper) find() (found, at int) {
	found, end := -1, 0
	for i, stop := range s.stops {
		p := bytes.Index(s.held, stop)
		if p < 0 {
			continue
		}
		if e := p + len(stop); found < 0 || e < end || e == end && p < at {
			found, at, end = i, p, e
		}
	}
	return found, at
}

// tail returns the length of the longest end of the held text that begins a stop string.
func (s *stopper) tail() int {
	best := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(s.held)); n > best; n-- {
			if bytes.HasSuffix(s.held, stop[:n]) {
				best = n
			}
		}
	}
	return best
}
