package console

import (
	"net/url"
	"strings"
	"time"
)

// option is one of several in a form.
type option struct{ Value, Text string }

// options are values that speak for themselves, after one for none of them.
func options(none string, values ...string) []option {
	all := []option{{"", none}}
	for _, v := range values {
		all = append(all, option{v, strings.ReplaceAll(v, "_", " ")})
	}
	return all
}

// period is what a list is narrowed to in time: the last while, or from and until as
// browsers write times. All of it may be empty.
type period struct{ Within, Since, Until string }

// withins are the whiles that lists offer.
var withins = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}

// Options are what a list offers.
func (period) Options() []option {
	return []option{{"", "Any time"}, {"1h", "Last hour"}, {"24h", "Last day"}, {"7d", "Last 7 days"}, {"30d", "Last 30 days"}}
}

// Exact reports whether the times were given one by one.
func (t period) Exact() bool { return t.Since != "" || t.Until != "" }

// period reads the page's period and puts it into what the API is asked. A last while wins
// over times given one by one.
func (p *request) period(ask url.Values) period {
	q := p.URL.Query()
	if d, known := withins[q.Get("within")]; known {
		ask.Set("since", p.now.Add(-d).UTC().Format(time.RFC3339))
		return period{Within: q.Get("within")}
	}
	since, until := q.Get("since"), q.Get("until")
	ask.Set("since", asTime(since))
	ask.Set("until", asTime(until))
	return period{Since: asLocal(since), Until: asLocal(until)}
}

// locals are how browsers write the times of forms, which mean UTC here.
var locals = []string{"2006-01-02T15:04", "2006-01-02T15:04:05.999999999"}

// asTime is a time of a form as the API takes it; what is none stays as it is, for the API
// to say so.
func asTime(text string) string {
	text = strings.TrimSpace(text)
	for _, layout := range locals {
		if t, err := time.Parse(layout, text); err == nil {
			return t.Format(time.RFC3339Nano)
		}
	}
	return text
}

// asLocal is a time as the fields of forms take it, in UTC.
func asLocal(text string) string {
	if t, err := time.Parse(time.RFC3339, strings.TrimSpace(text)); err == nil {
		return formTime(t)
	}
	return text
}

// formTime is a time as the fields of forms take it, in UTC, to the millisecond.
func formTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999") }
