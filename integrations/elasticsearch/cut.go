package elasticsearch

import (
	"bytes"
	"encoding/json"
	"errors"
)

// enoughReason is how many bytes of a reason say what is to be known of it: those that are
// the webhook's fault are shorter by far.
const enoughReason = 1 << 10

// errKind says that a value is not what it should be.
var errKind = errors.New("another kind of value")

// salvage reads of an answer that is cut off what came before the cut. Elasticsearch
// quotes values that it cannot parse in full, so how long an answer is is up to whoever
// wrote the event. The last item is there when its status was read; doubtful says that its
// reason was not, which may say whose fault it is.
//
// The status comes before the error:
// https://github.com/elastic/elasticsearch/blob/main/server/src/main/java/org/elasticsearch/action/bulk/BulkItemResponse.java
func salvage(body []byte) (a answer, doubtful bool) {
	s := salvager{body: body, Decoder: json.NewDecoder(bytes.NewReader(body))}
	// Its error is the cut, wherever that is.
	_ = s.object(func(name string) error {
		switch name {
		case "errors":
			return s.Decode(&a.Errors)
		case "error":
			return s.problem(&a.Error)
		case "items":
			return s.list(func() error {
				it, err := s.item()
				if err == nil || it.Status != 0 {
					a.Items = append(a.Items, map[string]item{"": it})
					doubtful = err != nil && it.Error.Reason == ""
				}
				return err
			})
		}
		return s.skip()
	})
	return a, doubtful
}

// salvager reads JSON value by value, and so all that is before a cut.
type salvager struct {
	*json.Decoder
	body []byte
}

// item reads the result of one document; with an error, what there is of it.
func (s salvager) item() (it item, err error) {
	err = s.object(func(string) error { // one member, named after the action
		return s.object(func(name string) error {
			switch name {
			case "status":
				err := s.Decode(&it.Status)
				if s.InputOffset() == int64(len(s.body)) {
					it.Status = 0 // there may be more digits
				}
				return err
			case "error":
				return s.problem(&it.Error)
			}
			return s.skip()
		})
	})
	return it, err
}

// problem reads an error; of a reason that is cut, the beginning.
func (s salvager) problem(p *problem) error {
	begin, err := s.Token()
	if text, ok := begin.(string); ok || err != nil {
		p.Reason = text
		return err
	}
	return s.members(begin, '{', s.named(func(name string) error {
		switch name {
		case "type":
			return s.Decode(&p.Type)
		case "reason":
			rest := s.body[s.InputOffset():]
			err := s.Decode(&p.Reason)
			if err != nil {
				p.Reason = beginning(rest)
			}
			return err
		}
		return s.skip()
	}))
}

// beginning is that of a text which rest, behind its name, has no end of; "" when that is
// too little.
func beginning(rest []byte) string {
	rest, quoted := bytes.CutPrefix(bytes.TrimLeft(rest, ": \t\r\n"), []byte(`"`))
	if !quoted || len(rest) < enoughReason {
		return ""
	}
	const escape = len(`\ud800\udc00`) // the longest that may be cut in two
	for end := enoughReason; end > enoughReason-escape; end-- {
		var text string
		whole := bytes.ToValidUTF8(rest[:end], nil) // the cut may go through a rune, too
		if json.Unmarshal([]byte(`"`+string(whole)+`"`), &text) == nil {
			return text
		}
	}
	return ""
}

// object calls each with the name of every member, whose value it reads.
func (s salvager) object(each func(name string) error) error {
	begin, err := s.Token()
	if err != nil {
		return err
	}
	return s.members(begin, '{', s.named(each))
}

// list calls each for every element, which it reads.
func (s salvager) list(each func() error) error {
	begin, err := s.Token()
	if err != nil {
		return err
	}
	return s.members(begin, '[', each)
}

// members calls each until the object or the list that begins so is over.
func (s salvager) members(begin json.Token, want json.Delim, each func() error) error {
	if begin != want {
		return errKind
	}
	for s.More() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err := s.Token()
	return err
}

// named reads a member's name before its value.
func (s salvager) named(each func(name string) error) func() error {
	return func() error {
		name, err := s.Token()
		if err != nil {
			return err
		}
		text, _ := name.(string) // the decoder lets nothing else be a name
		return each(text)
	}
}

// skip reads a value and drops it.
func (s salvager) skip() error { return s.Decode(new(json.RawMessage)) }
