package batch

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// The sizes of what is left of an event that does not fit, in bytes.
const (
	briefText = 4 << 10
	briefName = 512
)

// Fit renders an event into at most limit bytes: in full, else without its data, else
// without labels and with short texts. What was left out is said in data, and the link
// stays. It reports whether anything was.
func Fit(e *tocsin.Event, limit int, render func(*tocsin.Event) ([]byte, error)) ([]byte, bool, error) {
	out, err := render(e)
	if err != nil || len(out) <= limit {
		return out, false, err
	}
	for _, shorten := range []func(tocsin.Event) *tocsin.Event{withoutData, summary} {
		if out, err = render(shorten(*e)); err != nil || len(out) <= limit {
			return out, true, err
		}
	}
	return nil, true, fmt.Errorf("the event takes %d bytes even in short; at most %d", len(out), limit)
}

// withoutData puts a note in place of the data.
func withoutData(e tocsin.Event) *tocsin.Event {
	e.Data, e.Raw = note(len(e.Data)), nil
	return &e
}

// note says that data was left out; by its name, so that nobody takes it for data.
func note(size int) json.RawMessage {
	text, _ := json.Marshal(map[string]any{"tocsin_truncated": true, "bytes": size}) // always encodes
	return text
}

// summary keeps what identifies the event, and short texts.
func summary(e tocsin.Event) *tocsin.Event {
	short := withoutData(e)
	short.Labels = nil
	short.Title, _ = alert.Cut(e.Title, briefName, alert.Bytes)
	short.Summary, _ = alert.Cut(e.Summary, briefText, alert.Bytes)
	short.Subject, _ = alert.Cut(e.Subject, briefName, alert.Bytes)
	if len(e.Link) > briefText {
		short.Link = "" // half a link leads nowhere
	}
	return short
}

// Gzip compresses a body. Equal bodies give equal bytes.
func Gzip(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(body) // a buffer takes everything
	_ = z.Close()
	return b.Bytes()
}
