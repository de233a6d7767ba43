package webhooks

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// Limits of the settings that are not a matter of taste but of keeping one webhook's
// row, workflow and answer small.
const (
	maxWebhooks    = 10_000 // each is a workflow, and a look at every event it may want
	maxName        = 120    // characters
	maxBatch       = 1000
	maxConcurrent  = 100
	maxSelectors   = 100
	maxCollections = 1000
	maxFilter      = 4096 // bytes
	maxLabels      = 32
	maxLabelKey    = 63  // bytes
	maxLabelValue  = 256 // bytes
	maxEscalations = 10
	maxCollection  = 1024 // bytes, as the labels of events

	maxRunEvery = 24 * time.Hour
	maxRepeat   = 30 * 24 * time.Hour // the default dedupe window
	minRetry    = time.Minute
	maxRetry    = 30 * 24 * time.Hour
	maxDisable  = 365 * 24 * time.Hour

	// selectsNothing is the word in events for webhooks that are reached as another's
	// fallback or escalation only.
	selectsNothing = "none"

	onResumeDeliver = "deliver"
	onResumeDiscard = "discard"
)

// validate checks everything about settings but the name's uniqueness and the
// channel's own configuration. id is the webhook's own, "" for a new one; others are
// all that exist.
func (s *Service) validate(w tocsin.Settings, id string, others []tocsin.Webhook, p *problems) error {
	s.validateIdentity(w, p)
	s.validateSelection(w, p)
	s.validateTiming(w, p)
	s.validateReferences(w, id, others, p)
	return s.validateFilter(w, p)
}

func (s *Service) validateFilter(w tocsin.Settings, p *problems) error {
	if w.Filter == "" || p.has("filter") {
		return nil
	}
	if len(w.Filter) > maxFilter {
		p.add("filter", "is %d bytes; at most %d are allowed", len(w.Filter), maxFilter)
		return nil
	}
	return p.take(s.CheckFilter(w.Filter))
}

func (s *Service) validateIdentity(w tocsin.Settings, p *problems) {
	if !p.has("name") {
		validateName(w.Name, p)
	}
	if names := sortedKeys(s.channels); !p.has("channel") && s.channels[w.Channel] == nil {
		if w.Channel == "" {
			p.add("channel", "is required; allowed: %s", strings.Join(names, ", "))
		} else {
			p.add("channel", "%q is not a channel%s; allowed: %s", w.Channel, didYouMean(w.Channel, names), strings.Join(names, ", "))
		}
	}
	if len(w.Labels) > maxLabels {
		p.add("labels", "has %d labels; at most %d are allowed", len(w.Labels), maxLabels)
	}
	for _, key := range sortedKeys(w.Labels) {
		switch value := w.Labels[key]; {
		case key == "" || len(key) > maxLabelKey || !printable(key):
			p.add("labels", "key %q: want 1 to %d bytes of printable characters", cut(key), maxLabelKey)
		case len(value) > maxLabelValue || !printable(value):
			p.add("labels."+key, "want at most %d bytes of printable characters", maxLabelValue)
		}
	}
}

func validateName(name string, p *problems) {
	switch n := utf8.RuneCountInString(name); {
	case name == "":
		p.add("name", "is required")
	case n > maxName:
		p.add("name", "has %d characters; at most %d are allowed", n, maxName)
	case !printable(name) || strings.TrimSpace(name) != name:
		p.add("name", "%q: want printable characters, with no space at either end", name)
	case strings.HasPrefix(name, tocsin.PrefixWebhook+"_"):
		p.add("name", `%q begins with "wh_", as only ids of webhooks do`, name)
	}
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// cut keeps a message short whatever it quotes.
func cut(text string) string {
	if len(text) <= 80 {
		return text
	}
	return strings.ToValidUTF8(text[:80], "") + "…"
}

func (s *Service) validateSelection(w tocsin.Settings, p *problems) {
	s.validateSelectors(w.Events, "custom.<name> or none", p)
	for i, e := range w.Events {
		if e.Type == selectsNothing && len(w.Events) > 1 {
			p.add(fmt.Sprintf("events[%d]", i), `"none" stands alone: it says that nothing is matched`)
		}
	}
	if !p.has("collections") {
		validateCollections("collections", w.Collections, p)
	}
}

// validateSelectors checks a list of alert types and categories; others says what else
// the list may hold.
func (s *Service) validateSelectors(list []tocsin.Selector, others string, p *problems) {
	if len(list) > maxSelectors {
		p.add("events", "has %d entries; at most %d are allowed", len(list), maxSelectors)
	}
	for i, e := range list {
		at := fmt.Sprintf("events[%d]", i)
		if !p.has(at) && !s.selects(e.Type) {
			p.add(at, "%q is neither an alert type nor a category%s; see /v1/alert-types, or use %s", cut(e.Type), didYouMean(e.Type, s.selectorWords()), others)
		}
		validateCollections(at+".collections", e.Collections, p)
	}
}

func validateCollections(at string, list []string, p *problems) {
	if len(list) > maxCollections {
		p.add(at, "has %d entries; at most %d are allowed", len(list), maxCollections)
	}
	for i, c := range list {
		if c == "" || len(c) > maxCollection {
			p.add(fmt.Sprintf("%s[%d]", at, i), "want 1 to %d bytes", maxCollection)
		}
	}
}

// selects reports whether a word means something in events.
func (s *Service) selects(word string) bool {
	return catalog.IsCustom(word) && printable(word) || slices.Contains(s.selectorWords(), word)
}

// selectorWords are all words that events may hold, but for custom types.
func (s *Service) selectorWords() []string {
	words := append(s.Catalog.Categories(), selectsNothing)
	for _, t := range s.Catalog.Types() {
		words = append(words, t.Type)
	}
	return words
}

func (s *Service) validateTiming(w tocsin.Settings, p *problems) {
	if !p.has("frequency") && w.Frequency != tocsin.Periodic && w.Frequency != tocsin.Instant {
		p.add("frequency", `%q is not a frequency; allowed: periodic, instant`, cut(string(w.Frequency)))
	}
	if !p.has("on_resume") && w.OnResume != onResumeDeliver && w.OnResume != onResumeDiscard {
		p.add("on_resume", `%q is not allowed; allowed: deliver, discard`, cut(w.OnResume))
	}
	between(p, "run_every", w.RunEvery, s.MinRunEvery, maxRunEvery)
	between(p, "repeat_after", w.RepeatAfter, 0, maxRepeat)
	between(p, "retry_for", w.RetryFor, minRetry, maxRetry)
	between(p, "disable_after", w.DisableFor, minRetry, maxDisable)
	if !p.has("batch_size") && (w.BatchSize < 1 || w.BatchSize > maxBatch) {
		p.add("batch_size", "%d is not allowed; want 1 to %d", w.BatchSize, maxBatch)
	}
	if !p.has("max_concurrent") && (w.Concurrency < 1 || w.Concurrency > maxConcurrent) {
		p.add("max_concurrent", "%d is not allowed; want 1 to %d", w.Concurrency, maxConcurrent)
	}
	if !p.has("max_per_second") && (w.MaxRate < 0 || math.IsInf(w.MaxRate, 0) || math.IsNaN(w.MaxRate)) {
		p.add("max_per_second", "%v is not allowed; want 0 for no limit, or more", w.MaxRate)
	}
}

func between(p *problems, field string, d tocsin.Duration, low, high time.Duration) {
	if !p.has(field) && (d.Std() < low || d.Std() > high) {
		p.add(field, "%s is not allowed; want %s to %s", d, tocsin.Duration(low), tocsin.Duration(high))
	}
}

// validateReferences checks that fallback and escalate name webhooks that exist, and
// that following them from any webhook comes to an end: events that a failing webhook
// hands on must not come back to it.
func (s *Service) validateReferences(w tocsin.Settings, id string, others []tocsin.Webhook, p *problems) {
	links := map[string][]string{}
	for _, o := range others {
		if o.ID != id {
			links[o.Name] = references(o.Settings)
		}
	}
	check := func(field, to string) {
		_, exists := links[to]
		switch {
		case p.has(field):
		case to == w.Name && to != "":
			p.add(field, "%q is this webhook itself", cut(to))
		case !exists:
			p.add(field, "no webhook is named %q%s", cut(to), didYouMean(to, slices.Collect(maps.Keys(links))))
		default:
			if path := pathTo(links, to, w.Name, nil); path != nil {
				p.add(field, "makes a circle: %s", strings.Join(append([]string{w.Name}, path...), " → "))
			}
		}
	}
	if w.Fallback != "" {
		check("fallback", w.Fallback)
	}
	validateEscalations(w, id, others, check, p)
}

func references(w tocsin.Settings) []string {
	var to []string
	if w.Fallback != "" {
		to = append(to, w.Fallback)
	}
	for _, e := range w.Escalate {
		to = append(to, e.To)
	}
	return to
}

// pathTo returns the names from one webhook to another along their references, nil
// when there is no way. There are no circles among links, or were none when they were
// saved: seen keeps even those from going round for ever.
func pathTo(links map[string][]string, from, to string, seen map[string]bool) []string {
	if seen == nil {
		seen = map[string]bool{}
	}
	if from == to {
		return []string{to}
	}
	if seen[from] {
		return nil
	}
	seen[from] = true
	for _, next := range links[from] {
		if path := pathTo(links, next, to, seen); path != nil {
			return append([]string{from}, path...)
		}
	}
	return nil
}

// users names the webhooks that hand events on to the named one.
func users(name string, all []tocsin.Webhook) []string {
	var names []string
	for _, o := range all {
		if slices.Contains(references(o.Settings), name) && o.Name != name {
			names = append(names, o.Name)
		}
	}
	return names
}

// validateConfig completes and checks a channel's configuration, secrets in clear.
func (s *Service) validateConfig(ctx context.Context, channel string, config []byte, p *problems) (complete []byte, generated []string, err error) {
	ch := s.channels[channel]
	if ch == nil || p.has("config") {
		return config, nil, nil
	}
	complete, generated, err = ch.Complete(config)
	if err != nil {
		// What cannot be completed is not valid either, and Validate says it better.
		if verr := ch.Validate(ctx, config); verr != nil {
			err = verr
		}
		return config, nil, p.takeConfig(err)
	}
	return complete, generated, p.takeConfig(ch.Validate(ctx, complete))
}

// takeConfig is take for what a channel says about its configuration.
func (p *problems) takeConfig(err error) error {
	var e *tocsin.Error
	if errors.As(err, &e) && e.Code == tocsin.CodeInvalid && len(e.Fields) == 0 {
		p.add("config", "%s", e.Message)
		return nil
	}
	return p.take(err)
}
