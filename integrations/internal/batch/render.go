package batch

import (
	"bytes"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// Rendered are the events of a delivery as records, and which of them share a request.
type Rendered struct {
	Records   [][]byte
	Spans     []Span
	Truncated int // events of which something was left out
}

// Render renders every event into at most limit bytes, as Fit does. render may report that
// it shortened something itself. Who calls it packs the records into Spans. Errors are the
// event's own; channel is for their words.
func Render(channel string, n tocsin.Notification, limit int, render func(*tocsin.Event) (text []byte, cut bool, err error)) (Rendered, error) {
	refuse := func(format string, args ...any) error {
		return tocsin.Permanent(post.Errorf(post.ClassRender, "rendering for "+channel+": "+format, args...))
	}
	if len(n.Events) == 0 {
		return Rendered{}, refuse("the delivery has no events")
	}
	var out Rendered
	for i := range n.Events {
		shortened := false
		text, cut, err := Fit(&n.Events[i], limit, func(e *tocsin.Event) ([]byte, error) {
			text, own, err := render(e)
			shortened = shortened || own
			return text, err
		})
		if err != nil {
			return Rendered{}, refuse("%v", err)
		}
		if cut || shortened {
			out.Truncated++
		}
		out.Records = append(out.Records, text)
	}
	return out, nil
}

// Array is the body of one request: a JSON array of its records.
func (r Rendered) Array(s Span) []byte {
	return append(append([]byte("["), bytes.Join(r.Records[s.From:s.To], []byte(","))...), ']')
}

// Lines is the body of one request: its records one after another, and nothing around them.
func (r Rendered) Lines(s Span) []byte { return bytes.Join(r.Records[s.From:s.To], []byte("\n")) }
