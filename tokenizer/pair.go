package tokenizer

import (
	"encoding/json"
	"fmt"
)

// pairText and its neighbour templateText stand for the second and the first text of a pair.
const pairText = templateText - 1

// pairRule says how two texts become one sequence: ids and texts in order, each with its token type.
type pairRule struct {
	items []pairItem
	err   error // why the file has no rule that is known; a text alone may still be encoded
}

type pairItem struct{ id, kind int32 }

// separator is the token that stands between the two texts beside the after tokens that stand after each; -1 if there is none.
func (r pairRule) separator(after int) int32 {
	for i, item := range r.items {
		if item.id == pairText && i > after && after > 0 && r.items[i-1-after].id >= 0 {
			return r.items[i-1].id
		}
	}
	return -1
}

// pairPart is what a post-processor says of pairs.
type pairPart struct {
	Type       string
	Processors []json.RawMessage
	Sep, Cls   *tokenAndID
	Pair       []struct {
		SpecialToken, Sequence *struct {
			ID   string
			Type int32 `json:"type_id"`
		}
	}
	SpecialTokens map[string]struct{ IDs []int32 } `json:"special_tokens"`
}

// parsePair reads a post-processor's rule for two texts. Without one the second text follows the first.
func parsePair(raw json.RawMessage) pairRule {
	rule := pairRule{items: []pairItem{{templateText, 0}, {pairText, 1}}}
	found := 0
	rule.err = applyPair(&rule, raw, &found, 0)
	return rule
}

func applyPair(rule *pairRule, raw json.RawMessage, found *int, depth int) error {
	var p *pairPart
	if err := json.Unmarshal(orNull(raw), &p); err != nil || p == nil {
		return err
	}
	if depth > maxPairDepth {
		return fmt.Errorf("tokenizer: post-processors are nested %d deep", depth)
	}
	var items []pairItem
	switch p.Type {
	case "Sequence":
		for _, one := range p.Processors {
			if err := applyPair(rule, one, found, depth+1); err != nil {
				return err
			}
		}
		return nil
	case "ByteLevel":
		return nil
	case "BertProcessing", "RobertaProcessing":
		if p.Cls == nil || p.Sep == nil {
			return fmt.Errorf("tokenizer: post-processor %s lacks cls or sep", p.Type)
		}
		items = []pairItem{{p.Cls.id, 0}, {templateText, 0}, {p.Sep.id, 0}}
		if p.Type == "RobertaProcessing" {
			items = append(items, pairItem{p.Sep.id, 0}, pairItem{pairText, 0}, pairItem{p.Sep.id, 0})
		} else {
			items = append(items, pairItem{pairText, 1}, pairItem{p.Sep.id, 1})
		}
	case "TemplateProcessing":
		var err error
		if items, err = p.template(); err != nil {
			return err
		}
	default:
		return &UnsupportedError{Kind: "post-processor", Name: p.Type}
	}
	if *found++; *found > 1 {
		return fmt.Errorf("tokenizer: two post-processors add tokens to a pair of texts, which is not supported")
	}
	rule.items = items
	return nil
}

const maxPairDepth = 8

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

func (p *pairPart) template() ([]pairItem, error) {
	var items []pairItem
	texts := map[string]int32{"A": templateText, "B": pairText}
	for _, item := range p.Pair {
		switch {
		case item.Sequence != nil && texts[item.Sequence.ID] != 0:
			items = append(items, pairItem{texts[item.Sequence.ID], item.Sequence.Type})
			delete(texts, item.Sequence.ID)
		case item.SpecialToken != nil:
			t, ok := p.SpecialTokens[item.SpecialToken.ID]
			if !ok {
				return nil, fmt.Errorf("tokenizer: the pair template's token %s is not among its special tokens", quote(item.SpecialToken.ID))
			}
			for _, id := range t.IDs {
				items = append(items, pairItem{id, item.SpecialToken.Type})
			}
		default:
			return nil, fmt.Errorf("tokenizer: the pair template has an item that is neither a special token nor one of the texts A and B, each once")
		}
		if len(items) > 1<<16 {
			return nil, fmt.Errorf("tokenizer: the post-processor adds %d ids", len(items))
		}
	}
	if len(texts) > 0 {
		return nil, fmt.Errorf("tokenizer: the pair template does not hold both texts, A and B")
	}
	return items, nil
}

// EncodePair puts two texts together as the file's post-processor says. Without AddSpecial the second follows the first.
func (p *pipeline) EncodePair(a, b string, opt EncodeOptions) (ids, types []int32, err error) {
	defer caughtPattern(&ids, &err)
	rule := p.pair
	if !opt.AddSpecial {
		rule = parsePair(nil)
	}
	if rule.err != nil {
		return nil, nil, rule.err
	}
	for _, item := range rule.items {
		switch {
		case item.id == templateText:
			ids = p.appendText(ids, validUTF8(a), opt)
		case item.id == pairText:
			ids = p.appendText(ids, validUTF8(b), opt)
		case !p.has(item.id):
			return nil, nil, fmt.Errorf("tokenizer: the post-processor adds id %d to a pair, but the highest id is %d", item.id, len(p.tokens)-1)
		default:
			ids = append(ids, item.id)
		}
		for len(types) < len(ids) {
			types = append(types, item.kind)
		}
	}
	return ids, types, nil
}
