package console

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
)

// whyAnswer is what the API says of an event.
type whyAnswer struct {
	Event    eventAnswer `json:"event"`
	Verdicts []verdict   `json:"verdicts"`
	Traces   []trace     `json:"traces"`
}

// verdict is what a webhook's present configuration makes of an event.
type verdict struct {
	WebhookID     string          `json:"webhook_id"`
	Webhook       string          `json:"webhook"`
	Matched       bool            `json:"matched"`
	Clause        string          `json:"clause"`
	Detail        string          `json:"detail"`
	FilterFailed  bool            `json:"filter_failed"`
	FallbackOf    string          `json:"fallback_of"`
	EscalatedFrom []string        `json:"escalated_from"`
	Mute          string          `json:"mute"`
	RepeatAfter   tocsin.Duration `json:"repeat_after"`
	Note          string          `json:"note"`
	// Owed reports whether it was ever owed the event.
	Owed bool `json:"-"`
}

// trace is one obligation and where it went.
type trace struct {
	WebhookID  string           `json:"webhook_id"`
	Webhook    string           `json:"webhook"`
	Generation int64            `json:"generation"`
	Bucket     string           `json:"bucket"`
	Reason     string           `json:"reason"`
	Delivery   *deliverySummary `json:"delivery"`
	Next       string           `json:"next"`
	// Again says that the webhook was owed it before.
	Again bool `json:"-"`
}

type eventData struct {
	whyAnswer
	Incident *incident
	// Seen is of the state that is shown, so that nothing is sent while it is the same.
	Seen string
	// Settled says that nothing is owed any more.
	Settled bool
	// Wanted counts the webhooks that match now.
	Wanted int
}

func showEvent(p *request) error {
	var why whyAnswer
	if err := p.get(at(nil, "v1", "events", p.PathValue("source"), p.PathValue("id"), "why"), &why); err != nil {
		return err
	}
	data := eventData{whyAnswer: why, Settled: true}
	for _, t := range why.Traces {
		data.Settled = data.Settled && t.Bucket != "pending" && t.Bucket != "in_flight"
		data.Seen += t.Bucket[:1]
		if t.Delivery != nil {
			data.Seen += fmt.Sprint(t.Delivery.Attempts)
		}
	}
	if p.isPart() && p.URL.Query().Get("seen") == data.Seen {
		p.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	data.sort()
	var err error
	if data.Incident, err = p.incidentOf(why.Event.DedupKey); err != nil {
		return err
	}
	return p.show("events", "event", why.Event.Heading(), data)
}

// sort puts the webhooks that want the event first and counts them, and finds what was
// owed again.
func (d *eventData) sort() {
	owed := map[string]bool{}
	for i := range d.Traces {
		t := &d.Traces[i]
		t.Again, owed[t.WebhookID] = owed[t.WebhookID], true
	}
	for i := range d.Verdicts {
		v := &d.Verdicts[i]
		if v.Owed = owed[v.WebhookID]; v.Matched {
			d.Wanted++
		}
	}
	slices.SortStableFunc(d.Verdicts, func(a, b verdict) int {
		switch {
		case a.Matched == b.Matched:
			return 0
		case a.Matched:
			return -1
		}
		return 1
	})
}

// incidentOf finds the latest incident that an event belongs to; nil for none.
func (p *request) incidentOf(dedupKey string) (*incident, error) {
	if dedupKey == "" {
		return nil, nil
	}
	var page list[incident]
	err := p.get(at(url.Values{"dedup_key": {dedupKey}, "limit": {"1"}}, "v1", "incidents"), &page)
	if err != nil || len(page.Items) == 0 {
		return nil, err
	}
	return &page.Items[0], nil
}

// clauses are what the parts of a webhook are called that can keep an event from it.
var clauses = map[string]string{
	"created":      "It came before the webhook was there",
	"itself":       "It is about this webhook itself",
	"events":       "Its type is not selected",
	"min_severity": "It is not severe enough",
	"collections":  "Its collection is not selected",
	"filter":       "The filter says no",
}

// Words is the verdict as a sentence.
func (v verdict) Words() string {
	switch {
	case v.FilterFailed:
		return "The filter could not be evaluated for it"
	case !v.Matched:
		if words := clauses[v.Clause]; words != "" {
			return words
		}
		return v.Clause
	case v.Note != "":
		return sentence(v.Note)
	}
	return "All of its settings say yes"
}

// sentence begins with a capital.
func sentence(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[n:]
}

// OweURL is the form that owes the event to a webhook that never was; "" where that is
// not possible, or not wanted by its settings.
func (d eventData) OweURL(v verdict) string {
	if v.Owed || v.FallbackOf != "" || len(v.EscalatedFrom) > 0 || v.Mute != "" || !v.Matched && v.Clause != "created" {
		return ""
	}
	return d.replayURL(v.WebhookID, tocsin.ReplayMissing)
}

// AgainURL is the form that owes again what was suppressed; "" for anything else: a
// delivery's own page sends it again.
func (d eventData) AgainURL(t trace) string {
	if t.Bucket != "suppressed" || t.Delivery != nil {
		return ""
	}
	return d.replayURL(t.WebhookID, tocsin.ReplaySuppressed)
}

// replayURL is the form of a replay that is narrowed to the event as far as a replay can
// be: its type, and the millisecond in which it came.
func (d eventData) replayURL(webhook string, what tocsin.ReplayWhat) string {
	from := d.Event.Received.Truncate(time.Millisecond)
	return to("replays", "new") + "?" + url.Values{
		"webhook": {webhook}, "what": {string(what)}, "types": {d.Event.Type},
		"since": {clock(from)}, "until": {clock(from.Add(time.Millisecond))},
	}.Encode()
}

// MuteURL is the form of a mute of the incident that the event belongs to.
func (d eventData) MuteURL() string { return muteURL(d.Event.DedupKey, d.Event.Heading()) }

// muteURL is the form of a mute of a dedup key.
func muteURL(dedupKey, title string) string {
	return to("mutes", "new") + "?" + url.Values{"dedup_key": {dedupKey}, "about": {title}}.Encode()
}

// MutedBy is the id of the mute that a reason names; "" for any other reason.
func (t trace) MutedBy() string {
	id, is := strings.CutPrefix(t.Reason, tocsin.ReasonMuted+" ")
	if !is || strings.Contains(id, " ") {
		return ""
	}
	return id
}

// TypeURL is a search for events of the same type.
func (d eventData) TypeURL() string { return searchURL("type", d.Event.Type) }

// SubjectURL is a search for events of the same subject.
func (d eventData) SubjectURL() string { return searchURL("subject", d.Event.Subject) }

// SourceURL is a search for events of the same source.
func (d eventData) SourceURL() string { return searchURL("source", d.Event.Source) }

func searchURL(name, value string) string {
	return to("events") + "?" + url.Values{name: {value}}.Encode()
}

// Late reports whether it was received notably later than it happened.
func (d eventData) Late() bool { return d.Event.Received.Sub(d.Event.Time) > 2*time.Second }
