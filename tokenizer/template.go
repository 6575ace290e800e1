package tokenizer

// TemplateOf compiles the chat template that came with a tokenizer, with its own BOS and EOS texts. It is nil, without
// an error, when there is none.
func TemplateOf(t Tokenizer) (*ChatTemplate, error) {
	source := t.TemplateSource()
	if source == "" {
		return nil, nil
	}
	var bos, eos string
	if p, ok := t.(*pipeline); ok {
		bos, eos = p.source.bos, p.source.eos
	}
	return NewChatTemplate(source, bos, eos)
}
