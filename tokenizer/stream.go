package tokenizer

// StreamDecoder turns a stream of ids into text piece by piece and never splits a character: bytes that may still become
// a character are held back until the next id or Flush. One stream, one decoder; not for concurrent use.
type StreamDecoder struct {
	p    *pipeline
	skip bool
	at   textFront
	held []byte
}

// Add takes the next id and returns the text that is certain now, possibly none.
func (d *StreamDecoder) Add(id int32) string {
	if d.skip && d.p.hidden[id] {
		return ""
	}
	before := len(d.held)
	d.held = d.p.appendToken(d.held, id, &d.at)
	if len(d.held) == before {
		return ""
	}
	keep := incompleteTail(d.held)
	out := validUTF8(string(d.held[:len(d.held)-keep]))
	d.held = append(d.held[:0], d.held[len(d.held)-keep:]...)
	return out
}

// Flush ends the stream: what was held back becomes U+FFFD. The decoder is ready for a new stream.
func (d *StreamDecoder) Flush() string {
	out := validUTF8(string(d.held))
	d.held, d.at = d.held[:0], d.p.textFront()
	return out
}
