package model

// XLM-RoBERTa (Conneau et al. 2020): RoBERTa with a vocabulary of a hundred languages.
func init() {
	register(Arch{Name: "xlm-roberta", GGUF: "bert", Claims: inHF, Design: designRoBERTa,
		HF: []string{"XLMRobertaModel", "XLMRobertaForMaskedLM", "XLMRobertaForSequenceClassification"}})
}
