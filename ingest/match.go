package ingest

import (
	"fmt"
	"log/slog"
	"slices"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// nothing is the selector of webhooks that are reached as another's fallback or
// escalation only.
const nothing = "none"

// matcher finds the webhooks that are owed an event. It is compiled from one revision
// of the configuration and never changes.
type matcher struct {
	revision int64
	catalog  *catalog.Catalog
	rules    []rule
	filters  []*Filter        // each expression once
	channels []tocsin.Channel // those the rules name
	byType   map[string]*bucket
	custom   *bucket // types under custom. that no webhook names
}

// rule is a webhook's, but for what the buckets know already.
type rule struct {
	webhookID string
	min       tocsin.Severity
	filter    int // place in filters, -1 for none
	channel   int // place in channels, -1 for one this process does not have
}

// bucket holds the places of the rules that may want events of one type, lowest
// minimal severity first, so that a search ends at the first rule that wants more.
type bucket struct {
	open         []int            // of any collection
	byCollection map[string][]int // of these only
}

// compile makes a matcher. Filters that were compiled before are taken from old.
func compile(revision int64, webhooks []tocsin.Webhook, cat *catalog.Catalog, channels []tocsin.Channel, filters *filterCache, log *slog.Logger) *matcher {
	m := &matcher{revision: revision, catalog: cat, channels: channels, byType: map[string]*bucket{}, custom: newBucket()}
	for _, t := range cat.Types() {
		m.byType[t.Type] = newBucket()
	}
	for _, w := range webhooks {
		for _, s := range w.Events {
			if catalog.IsCustom(s.Type) && m.byType[s.Type] == nil {
				m.byType[s.Type] = newBucket()
			}
		}
	}
	places := map[string]int{}
	for i := range webhooks {
		w := &webhooks[i]
		if w.State == tocsin.StateDeleted {
			continue
		}
		filter := -1
		if w.Filter != "" {
			f, err := filters.get(w.Filter)
			if err != nil {
				// It was accepted when it was saved; a later version knows it no longer.
				log.Error("a webhook's filter does not compile; the webhook gets no events", "webhook", w.Name, "error", err)
				continue
			}
			place, ok := places[w.Filter]
			if !ok {
				place = len(m.filters)
				places[w.Filter], m.filters = place, append(m.filters, f)
			}
			filter = place
		}
		m.add(w, filter)
	}
	m.sort()
	filters.keep(places)
	return m
}

func newBucket() *bucket { return &bucket{byCollection: map[string][]int{}} }

// add enters a webhook into the bucket of every type it selects.
func (m *matcher) add(w *tocsin.Webhook, filter int) {
	place := len(m.rules)
	m.rules = append(m.rules, rule{
		webhookID: w.ID, min: w.MinSeverity, filter: filter,
		channel: slices.IndexFunc(m.channels, func(c tocsin.Channel) bool { return c.Name() == w.Channel }),
	})
	enter := func(b *bucket, name, category string) {
		collections, ok := selects(w, name, category)
		if !ok {
			return
		}
		if collections == nil {
			b.open = append(b.open, place)
		}
		for _, c := range collections {
			b.byCollection[c] = append(b.byCollection[c], place)
		}
	}
	for name, b := range m.byType {
		enter(b, name, m.catalog.Category(name))
	}
	enter(m.custom, catalog.CustomPrefix, catalog.CategoryCustom)
}

// selects says whether a webhook's selectors and collections let events of a type
// through, and of which collections; nil means all of them.
func selects(w *tocsin.Webhook, name, category string) (collections []string, ok bool) {
	if len(w.Events) == 0 {
		return all(w.Collections), category != catalog.CategoryPipeline
	}
	for _, s := range w.Events {
		if s.Type != name && s.Type != category || s.Type == nothing {
			continue
		}
		if len(s.Collections) == 0 {
			return all(w.Collections), true
		}
		for _, c := range s.Collections {
			if (len(w.Collections) == 0 || slices.Contains(w.Collections, c)) && !slices.Contains(collections, c) {
				collections = append(collections, c)
			}
		}
	}
	return collections, len(collections) > 0
}

// all makes an empty list of collections nil.
func all(collections []string) []string {
	if len(collections) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(collections)))
}

func (m *matcher) sort() {
	byMin := func(a, b int) int { return int(m.rules[a].min) - int(m.rules[b].min) }
	for _, b := range m.byType {
		b.sort(byMin)
	}
	m.custom.sort(byMin)
}

func (b *bucket) sort(cmp func(a, b int) int) {
	slices.SortStableFunc(b.open, cmp)
	for _, places := range b.byCollection {
		slices.SortStableFunc(places, cmp)
	}
}

// match returns what is owed for an event, whose defaults are filled in.
func (m *matcher) match(e *tocsin.Event) []tocsin.Obligation {
	b := m.byType[e.Type]
	if b == nil {
		b = m.custom
	}
	r := run{m: m, subject: subject{event: e, category: m.catalog.Category(e.Type)}}
	r.take(b.open)
	if len(b.byCollection) > 0 {
		if collection := r.subject.collectionName(); collection != "" {
			r.take(b.byCollection[collection])
		}
	}
	return r.owed
}

// run is the matching of one event.
type run struct {
	m       *matcher
	subject subject
	owed    []tocsin.Obligation
	// said holds each filter's answer, keys each channel's batch key, once known.
	said []answer
	keys []*string
}

type answer int8

const (
	unknown answer = iota
	yes
	no
)

func (r *run) take(places []int) {
	for _, place := range places {
		rule := &r.m.rules[place]
		if rule.min > r.subject.event.Severity {
			return // as do all that follow
		}
		if rule.filter >= 0 && !r.passes(rule.filter) {
			continue
		}
		if r.owed == nil {
			r.owed = make([]tocsin.Obligation, 0, min(len(places), 1024))
		}
		r.owed = append(r.owed, tocsin.Obligation{WebhookID: rule.webhookID, BatchKey: r.batchKey(rule.channel)})
	}
}

func (r *run) passes(filter int) bool {
	if r.said == nil {
		r.said = make([]answer, len(r.m.filters))
	}
	if r.said[filter] == unknown {
		r.said[filter] = no
		// A filter that cannot be evaluated says no; Verdicts tell why.
		if ok, err := r.m.filters[filter].match(&r.subject); ok && err == nil {
			r.said[filter] = yes
		}
	}
	return r.said[filter] == yes
}

func (r *run) batchKey(channel int) string {
	if channel < 0 {
		return ""
	}
	if r.keys == nil {
		r.keys = make([]*string, len(r.m.channels))
	}
	if r.keys[channel] == nil {
		key := r.m.channels[channel].BatchKey(r.subject.event)
		r.keys[channel] = &key
	}
	return *r.keys[channel]
}

// filterCache keeps compiled filters from one revision to the next. It is for one
// goroutine at a time.
type filterCache struct{ compiled map[string]*Filter }

func (c *filterCache) get(expr string) (*Filter, error) {
	if f := c.compiled[expr]; f != nil {
		return f, nil
	}
	f, err := CompileFilter(expr)
	if err != nil {
		return nil, fmt.Errorf("compiling a stored filter: %w", err)
	}
	if c.compiled == nil {
		c.compiled = map[string]*Filter{}
	}
	c.compiled[expr] = f
	return f, nil
}

// keep forgets the filters that no webhook has any more.
func (c *filterCache) keep(used map[string]int) {
	for expr := range c.compiled {
		if _, ok := used[expr]; !ok {
			delete(c.compiled, expr)
		}
	}
}
