package pagerduty

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
)

// The most that one value and one key keep, in bytes. Nobody reads more in an alert.
const (
	maxValue = 60 << 10
	maxKey   = 256
)

const threatType = "threat.detected"

// details are an alert's custom_details: what a person on call reads below the summary.
type details struct{ tree map[string]any }

// newDetails collects what is known of an event: the facts with their labels, the summary,
// labels, data as it came, guidance for threats, and where it came from. note hears of
// what is shortened.
func newDetails(n tocsin.Notification, e *tocsin.Event, guide *catalog.Catalog, note func(string, bool) string) (details, error) {
	d := details{map[string]any{}}
	for _, f := range alert.Facts(e) {
		d.tree[f.Label] = f.Value
	}
	if e.Summary != "" {
		d.tree["Summary"] = e.Summary
	}
	if len(e.Labels) > 0 {
		d.tree["Labels"] = labels(e.Labels)
	}
	if len(e.Data) > 0 {
		data, err := decode(e.Data)
		if err != nil {
			return d, err
		}
		d.tree["Data"] = data
	}
	if e.Type == threatType {
		text, err := json.Marshal(guide.Guidance(e))
		if err != nil {
			return d, err
		}
		if d.tree["Guidance"], err = decode(text); err != nil {
			return d, err
		}
	}
	d.tree["Event"], d.tree["Delivery"], d.tree["Webhook"] = e.ID, or(alert.DeliveryLink(n), n.DeliveryID), n.WebhookName
	each(d.tree, func(text string) string {
		long := len(text) > maxValue
		if long {
			text, _ = alert.Cut(text, maxValue, alert.Bytes)
		}
		return note(alert.Clean(text, false), long)
	})
	rename(d.tree, note)
	return d, nil
}

// rename cleans the keys of every object below v, which are the producer's, too. Keys that
// become the same are told apart by a sign at the end.
func rename(v any, note func(string, bool) string) {
	switch v := v.(type) {
	case []any:
		for i := range v {
			rename(v[i], note)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			rename(v[k], note)
			clean := note(alert.Cut(alert.Clean(k, true), maxKey, alert.Bytes))
			if clean == k {
				continue
			}
			value := v[k]
			delete(v, k)
			for _, taken := v[clean]; taken; _, taken = v[clean] {
				clean += "′"
			}
			v[clean] = value
		}
	}
}

func labels(from map[string]string) map[string]any {
	out := make(map[string]any, len(from))
	for k, v := range from {
		out[k] = v
	}
	return out
}

// decode reads JSON with its numbers as they are written.
func decode(text []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	err := dec.Decode(&v)
	return v, err
}

// each replaces every text below v, and a number by a text where readers of JSON have none
// that large. It returns v, or what v becomes.
func each(v any, change func(string) string) any {
	switch v := v.(type) {
	case string:
		return change(v)
	case json.Number:
		if _, err := v.Float64(); err != nil {
			return change(v.String())
		}
	case []any:
		for i := range v {
			v[i] = each(v[i], change)
		}
	case map[string]any:
		for k := range v {
			v[k] = each(v[k], change)
		}
	}
	return v
}

// fit encodes the request, and where it is too large, shortens the longest texts of the
// details until it is not: the others stay whole, and none is dropped. Only what is too
// large by its keys and numbers alone is left to the link.
func (d details) fit(encode func() ([]byte, error)) (body []byte, cut bool, err error) {
	body, err = encode()
	for _, part := range []string{"Data", "Labels", "Guidance"} {
		if err != nil || len(body) <= maxBody {
			return body, cut, err
		}
		cut = true
		if !d.shorten(len(body) - maxBody) {
			d.tree[part] = "left out: too large for PagerDuty; see the delivery"
		}
		body, err = encode()
	}
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the event takes %d bytes, at most %d", len(body), maxBody)
	}
	return body, cut, err
}

// shorten takes excess bytes from the longest texts; false where they do not have them.
func (d details) shorten(excess int) bool {
	var sizes []int
	each(d.tree, func(text string) string { sizes = append(sizes, size(text)); return text })
	limit, ok := water(sizes, excess)
	if ok {
		each(d.tree, func(text string) string {
			if size(text) > limit {
				text, _ = alert.Cut(text, limit, size)
			}
			return text
		})
	}
	return ok
}

// water finds the size to which the largest are to be shortened so that all together lose
// at least excess; false where they do not have that much.
func water(sizes []int, excess int) (limit int, ok bool) {
	slices.SortFunc(sizes, func(a, b int) int { return b - a })
	for i := range sizes {
		next := 0 // the level of the following, which the first i+1 may be shortened to
		if i+1 < len(sizes) {
			next = sizes[i+1]
		}
		if room := (sizes[i] - next) * (i + 1); room < excess {
			excess -= room
			continue
		}
		limit = sizes[i] - (excess+i)/(i+1)
		return limit, limit >= size("…")
	}
	return 0, false
}

// size is how many bytes a text takes in JSON.
func size(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
			n += 2
		case r < ' ', r == '\u2028', r == '\u2029', r == utf8.RuneError:
			n += 6
		default:
			n += utf8.RuneLen(r)
		}
	}
	return n
}
