package webhooks

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
)

// Limits of mutes. A mute that nobody remembers hides what it was not meant for.
const (
	maxMutes    = 1000 // not over yet; each costs a look at every event it may be about
	maxMuteFor  = 90 * 24 * time.Hour
	maxAuthor   = 200  // characters
	maxReason   = 1000 // characters
	maxDedupKey = 255  // bytes, as in events
)

// muteDocument is a mute as users write it.
type muteDocument struct {
	webhooks []string
	mute     tocsin.Mute
	length   tocsin.Duration // "for"; 0: none
}

var muteReaders = map[string]reader[muteDocument]{
	"webhooks":    plain("a list of names or ids of webhooks", func(d *muteDocument) *[]string { return &d.webhooks }),
	"events":      {"a list of alert types, categories, or {type, collections}", readMuteEvents},
	"collections": plain("a list of texts", func(d *muteDocument) *[]string { return &d.mute.Collections }),
	"dedup_key":   plain("text", func(d *muteDocument) *string { return &d.mute.DedupKey }),
	"filter":      plain("text, a CEL expression", func(d *muteDocument) *string { return &d.mute.Filter }),
	"from":        worded("an RFC 3339 time in quotes", func(d *muteDocument) *time.Time { return &d.mute.From }, parseTime),
	"until":       worded("an RFC 3339 time in quotes", func(d *muteDocument) *time.Time { return &d.mute.Until }, parseTime),
	"for":         duration(func(d *muteDocument) *tocsin.Duration { return &d.length }),
	"author":      plain("text", func(d *muteDocument) *string { return &d.mute.Author }),
	"reason":      plain("text", func(d *muteDocument) *string { return &d.mute.Reason }),
}

// muteReadOnly are the keys of a mute's answer that are not written.
var muteReadOnly = []string{"id", "webhook_ids", "created_at", "noticed_at", "state"}

func readMuteEvents(raw json.RawMessage, d *muteDocument, p *problems, field string) bool {
	return readSelectors(raw, &d.mute.Events, p, field)
}

func decodeMute(body json.RawMessage, p *problems) (muteDocument, error) {
	d := muteDocument{mute: tocsin.Mute{WebhookIDs: []string{}, Events: []tocsin.Selector{}, Collections: []string{}}}
	err := readDocument(body, &d, muteReaders, muteReadOnly, p)
	return d, err
}

// validateMute returns the mute a document describes, but for its id.
func (s *Service) validateMute(d muteDocument, actor string, webhooks []tocsin.Webhook, p *problems) (tocsin.Mute, error) {
	m := d.mute
	if m.Author == "" {
		m.Author = actor
	}
	if len(d.webhooks)+len(m.Events)+len(m.Collections)+len(m.DedupKey)+len(m.Filter) == 0 && len(p.fields) == 0 {
		p.add("webhooks", "give at least one of webhooks, events, collections, dedup_key and filter; without any, everything would be muted")
	}
	m.WebhookIDs = muteWebhooks(d.webhooks, webhooks, p)
	s.validateSelectors(m.Events, "custom.<name>", p)
	for i, e := range m.Events {
		if e.Type == selectsNothing {
			p.add(fmt.Sprintf("events[%d]", i), `"none" selects nothing, so there is nothing to mute; leave it out`)
		}
	}
	validateCollections("collections", m.Collections, p)
	// As events may have it: whatever they say can be muted.
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	if len(m.DedupKey) > maxDedupKey || !utf8.ValidString(m.DedupKey) || strings.ContainsFunc(m.DedupKey, control) {
		p.add("dedup_key", "%q: want at most %d bytes without control characters", cut(m.DedupKey), maxDedupKey)
	}
	s.validatePeriod(&m, d.length, p)
	prose(p, "author", m.Author, maxAuthor)
	prose(p, "reason", m.Reason, maxReason)
	if m.Filter != "" {
		if len(m.Filter) > maxFilter {
			p.add("filter", "is %d bytes; at most %d are allowed", len(m.Filter), maxFilter)
		} else if err := p.take(s.CheckFilter(m.Filter)); err != nil {
			return m, fmt.Errorf("checking the filter: %w", err)
		}
	}
	return m, p.err()
}

// muteWebhooks finds webhooks by their names or ids.
func muteWebhooks(wanted []string, webhooks []tocsin.Webhook, p *problems) []string {
	ids := make([]string, 0, len(wanted))
	for i, nameOrID := range wanted {
		place := slices.IndexFunc(webhooks, func(w tocsin.Webhook) bool { return w.Name == nameOrID || w.ID == nameOrID })
		if place < 0 {
			all := make([]string, len(webhooks))
			for j, w := range webhooks {
				all[j] = w.Name
			}
			p.add(fmt.Sprintf("webhooks[%d]", i), "no webhook has the id or name %q%s", cut(nameOrID), didYouMean(nameOrID, all))
			continue
		}
		if id := webhooks[place].ID; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// validatePeriod checks from, until and for, and fills in until.
func (s *Service) validatePeriod(m *tocsin.Mute, length tocsin.Duration, p *problems) {
	if p.has("from") || p.has("until") || p.has("for") {
		return
	}
	now := s.Now().UTC()
	from := m.From
	if from.IsZero() {
		from = now
	}
	switch {
	case length != 0 && !m.Until.IsZero():
		p.add("for", "is given together with until; write one of them")
		return
	case length == 0 && m.Until.IsZero():
		p.add("until", `is required: an RFC 3339 time, or a duration in for, such as "2h"`)
		return
	case length < 0 || length.Std() > maxMuteFor:
		p.add("for", "%s is not allowed; want more than 0s and at most %s", length, tocsin.Duration(maxMuteFor))
		return
	case length != 0:
		m.Until = from.Add(length.Std())
	}
	// JSON holds no other years.
	if from.Year() < 1 || m.Until.Year() > 9999 {
		p.add("from", "%s is out of range", from.Format(time.RFC3339))
		return
	}
	field := "until"
	if length != 0 {
		field = "for"
	}
	switch {
	case !m.Until.After(now):
		p.add(field, "the mute would end at %s, and it is %s now; want a time ahead", m.Until.Format(time.RFC3339), now.Format(time.RFC3339))
	case !m.Until.After(from):
		p.add(field, "%s is not after from, %s", m.Until.Format(time.RFC3339), from.Format(time.RFC3339))
	case m.Until.Sub(from) > maxMuteFor:
		p.add(field, "the mute would last %s; at most %s are allowed", tocsin.Duration(m.Until.Sub(from).Round(time.Minute)), tocsin.Duration(maxMuteFor))
	}
}

// prose checks a text that people write for people.
func prose(p *problems, field, text string, most int) {
	odd := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	switch n := utf8.RuneCountInString(text); {
	case p.has(field):
	case strings.TrimSpace(text) == "":
		p.add(field, "is required: 1 to %d characters", most)
	case n > most:
		p.add(field, "has %d characters; at most %d are allowed", n, most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, odd):
		p.add(field, "want printable characters and line breaks")
	}
}
