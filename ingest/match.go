package ingest

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// matcher finds the webhooks that are owed an event, and the mutes that keep it from
// them. It is compiled from one revision of the configuration and never changes: what
// depends on the time is asked of each event.
type matcher struct {
	revision int64
	catalog  *catalog.Catalog
	rules    []rule
	byID     map[string]int   // places of the rules by their webhooks
	filters  []*Filter        // each expression once
	channels []tocsin.Channel // those the rules name
	// buckets hold the rules, lowest minimal severity first, so that a search ends at the
	// first rule that wants more.
	buckets *buckets
	muter   *muter // nil when there are no mutes
	targets []int  // places of the rules that an incident may have reached
}

// rule is a webhook's, but for what the buckets know already.
type rule struct {
	webhookID   string
	min         tocsin.Severity
	filter      int // place in filters, -1 for none
	channel     int // place in channels, -1 for one this process does not have
	repeatAfter time.Duration
	steps       []escalation // what being owed an event brings about
}

// compiler makes a matcher.
type compiler struct {
	*matcher
	places map[string]int // of the filters, by their text
	cache  *filterCache
	log    *slog.Logger
}

// compile makes a matcher. Filters that were compiled before are taken from the cache.
func compile(conf tocsin.Configuration, cat *catalog.Catalog, channels []tocsin.Channel, filters *filterCache, log *slog.Logger) *matcher {
	n := len(conf.Webhooks)
	m := &matcher{revision: conf.Revision, catalog: cat, channels: channels, byID: make(map[string]int, n), rules: make([]rule, 0, n)}
	c := compiler{m, map[string]int{}, filters, log}
	selections := make([]selection, n)
	for i := range conf.Webhooks {
		selections[i] = selectionOf(&conf.Webhooks[i])
	}
	m.buckets = newBuckets(cat, selections)
	// In this order they enter every bucket.
	for _, i := range bySeverity(conf.Webhooks) {
		if conf.Webhooks[i].State != tocsin.StateDeleted {
			c.webhook(&conf.Webhooks[i], selections[i])
		}
	}
	c.escalations(conf.Webhooks)
	c.mutes(conf.Mutes)
	filters.keep(c.places)
	return m
}

// bySeverity returns the places of webhooks, the lowest minimal severity first, and otherwise
// as they are.
func bySeverity(webhooks []tocsin.Webhook) []int {
	places := make([]int, len(webhooks))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return int(webhooks[a].MinSeverity) - int(webhooks[b].MinSeverity) })
	return places
}

func (c *compiler) webhook(w *tocsin.Webhook, s selection) {
	filter, err := c.filter(w.Filter)
	place := len(c.rules)
	c.byID[w.ID] = place
	c.rules = append(c.rules, rule{
		webhookID: w.ID, min: w.MinSeverity, filter: filter, repeatAfter: w.RepeatAfter.Std(),
		channel: slices.IndexFunc(c.channels, func(ch tocsin.Channel) bool { return ch.Name() == w.Channel }),
	})
	if err != nil {
		// It was accepted when it was saved; a later version knows it no longer.
		c.log.Error("a webhook's filter does not compile; the webhook gets no events", "webhook", w.Name, "error", err)
		return
	}
	c.buckets.add(place, s)
}

// filter returns the place of an expression; -1 for none.
func (c *compiler) filter(expr string) (int, error) {
	if expr == "" {
		return -1, nil
	}
	if place, ok := c.places[expr]; ok {
		return place, nil
	}
	f, err := c.cache.get(expr)
	if err != nil {
		return -1, err
	}
	c.places[expr] = len(c.filters)
	c.filters = append(c.filters, f)
	return c.places[expr], nil
}

// match returns what is owed for an event, whose defaults are filled in and which is
// received at this moment, and what is owed to those that its incident has reached. The
// webhooks in also are owed it whatever they select. Nobody is owed what is announced
// about itself.
func (m *matcher) match(e *tocsin.Event, at time.Time, also ...string) (owed, reach []tocsin.Obligation) {
	r := run{m: m, at: at, subject: subject{event: e, category: m.catalog.Category(e.Type)}}
	if r.subject.category == catalog.CategoryPipeline {
		r.about = about(e)
	}
	open, narrow := m.buckets.find(&r.subject)
	r.take(open)
	r.take(narrow)
	for _, id := range also {
		place, known := m.byID[id]
		if known && !slices.ContainsFunc(r.owed, func(o tocsin.Obligation) bool { return o.WebhookID == id }) {
			r.owe(&m.rules[place], 1)
		}
	}
	return r.owed, r.reach()
}

// run is the matching of one event.
type run struct {
	m       *matcher
	at      time.Time
	subject subject
	about   string // the webhook that is owed nothing, "" for none
	owed    []tocsin.Obligation
	// said holds each filter's answer, keys each channel's batch key, once known.
	said []answer
	keys []*string
	// mutes are those that are in force and match the event, once known.
	mutes     []*mute
	haveMutes bool
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
		r.owe(rule, len(places))
	}
}

// owe adds what a rule's webhook is owed; likely is how many there may be.
func (r *run) owe(rule *rule, likely int) {
	if rule.webhookID == r.about {
		return
	}
	if r.owed == nil {
		r.owed = make([]tocsin.Obligation, 0, min(likely, 1024))
	}
	o := r.obligation(rule)
	if len(rule.steps) > 0 && o.Suppressed == "" && escalates(r.subject.event) {
		o.Escalate = r.escalate(rule)
	}
	r.owed = append(r.owed, o)
}

// obligation is what a rule's webhook is owed by the event, whatever it selects.
func (r *run) obligation(rule *rule) tocsin.Obligation {
	o := tocsin.Obligation{WebhookID: rule.webhookID, BatchKey: r.batchKey(rule.channel)}
	if r.m.muter != nil {
		o.Suppressed = r.muted(rule.webhookID)
	}
	// What is announced is never a repeat: a webhook that is failing and one that was
	// disabled are the same incident with the same status.
	if o.Suppressed == "" && r.subject.category != catalog.CategoryPipeline {
		o.RepeatAfter = rule.repeatAfter
	}
	return o
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

// keep forgets the filters that nobody has any more.
func (c *filterCache) keep(used map[string]int) {
	for expr := range c.compiled {
		if _, ok := used[expr]; !ok {
			delete(c.compiled, expr)
		}
	}
}
