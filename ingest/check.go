package ingest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// The limits of an event's texts, in bytes.
const (
	maxKey        = 255 // id, source, type, dedup_key
	maxSubject    = 2048
	maxTitle      = 4096
	maxSummary    = 32 << 10
	maxLink       = 2048
	maxLabels     = 64
	maxLabelName  = 128
	maxLabelValue = 1024
)

// earliest is the least time of an event. Splunk takes none before it, CEF and OCSF count
// from it, and JSON has no year below 0, which 0000-01-01T00:00:00+02:00 is in UTC. What
// is older is a time that somebody failed to set.
var earliest = time.Unix(0, 0).UTC()

// check looks at one event's fields and calls bad for each that is wrong. It looks at
// everything but the type and what the type's schema says about data.
func check(e *tocsin.Event, now time.Time, bad func(field, message string)) {
	c := checker{bad: bad}
	c.key("id", e.ID)
	c.key("source", e.Source)
	c.key("type", e.Type)
	if e.DedupKey != "" {
		c.key("dedup_key", e.DedupKey)
	}
	c.text("subject", e.Subject, maxSubject, false)
	c.text("title", e.Title, maxTitle, true)
	c.text("summary", e.Summary, maxSummary, true)
	c.link(e.Link)
	c.labels(e.Labels)
	if e.Severity < tocsin.SeverityNone || e.Severity > tocsin.SeverityCritical {
		bad("severity", fmt.Sprintf("%d is not a severity; allowed: %s", e.Severity, strings.Join(tocsin.Severities(), ", ")))
	}
	if e.Status != "" && e.Status != tocsin.Firing && e.Status != tocsin.Resolved {
		bad("status", fmt.Sprintf("%s is not a status; allowed: %s, %s", catalog.Quote(string(e.Status)), tocsin.Firing, tocsin.Resolved))
	}
	c.time(e.Time, now)
}

type checker struct{ bad func(field, message string) }

// key checks a required name.
func (c checker) key(field, text string) {
	if text == "" {
		c.bad(field, fmt.Sprintf("is required: text of 1 to %d bytes", maxKey))
		return
	}
	c.text(field, text, maxKey, false)
}

// text checks length and characters.
func (c checker) text(field, text string, most int, prose bool) {
	if message := wrong(text, most, prose); message != "" {
		c.bad(field, message)
	}
}

// wrong says what is wrong with a text's length or characters, "" for nothing. Control
// characters have no place in a name, and some databases and protocols end or split text
// at them; in prose line breaks and tabs are usual.
func wrong(text string, most int, prose bool) string {
	if len(text) > most {
		return fmt.Sprintf("%s has %d bytes; at most %d are allowed", catalog.Quote(text), len(text), most)
	}
	if !utf8.ValidString(text) {
		return fmt.Sprintf("%s is not UTF-8", catalog.Quote(text))
	}
	for _, r := range text {
		if (r < ' ' || r == 0x7f) && (!prose || r != '\n' && r != '\r' && r != '\t') {
			return fmt.Sprintf("%s contains the control character %U", catalog.Quote(text), r)
		}
	}
	return ""
}

// time checks when it happened; the zero time is none given.
func (c checker) time(at, now time.Time) {
	switch {
	case at.After(now.Add(tocsin.MaxFuture)):
		c.bad("time", fmt.Sprintf("%s is more than %d minutes ahead of now, %s", at.Format(time.RFC3339), int(tocsin.MaxFuture.Minutes()), now.UTC().Format(time.RFC3339)))
	case at.Before(earliest) && !at.IsZero():
		c.bad("time", fmt.Sprintf("%s is too early; allowed: %s or later, or none for the time of receipt", at.Format(time.RFC3339Nano), earliest.Format(time.RFC3339)))
	}
}

func (c checker) link(link string) {
	if link == "" {
		return
	}
	c.text("link", link, maxLink, false)
	u, err := url.Parse(link)
	switch {
	case err != nil || u.Scheme != "https" || u.Host == "":
		c.bad("link", fmt.Sprintf("%s is not a link; allowed: https://host/…", catalog.Quote(link)))
	case u.User != nil:
		c.bad("link", "must not contain a user name or password")
	}
}

func (c checker) labels(labels map[string]string) {
	if len(labels) > maxLabels {
		c.bad("labels", fmt.Sprintf("has %d labels; at most %d are allowed", len(labels), maxLabels))
		return
	}
	for name, value := range labels {
		if name == "" {
			c.bad("labels", "has a label without a name")
			continue
		}
		if len(name) > maxLabelName {
			c.bad("labels", fmt.Sprintf("the name %s has %d bytes; at most %d are allowed", catalog.Quote(name), len(name), maxLabelName))
			continue
		}
		c.text("labels", name, maxLabelName, false)
		if message := wrong(value, maxLabelValue, true); message != "" {
			c.bad("labels."+name, message)
		}
	}
}

// complete gives an event that was not read by Decode its bytes, and checks them.
func complete(e *tocsin.Event, bad func(field, message string)) {
	if len(e.Raw) == 0 {
		if len(e.Data) > 0 && !json.Valid(e.Data) {
			bad("data", "is not JSON")
			return
		}
		raw, err := encode(e)
		if err != nil {
			bad("", err.Error())
			return
		}
		e.Raw = raw
	}
	if len(e.Raw) > tocsin.MaxEventBytes {
		bad("", fmt.Sprintf("the event has %d bytes; at most %d are accepted", len(e.Raw), tocsin.MaxEventBytes))
	}
}
