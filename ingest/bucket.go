package ingest

import (
	"slices"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
)

// nothing is the selector of webhooks that are reached as another's fallback or
// escalation only.
const nothing = "none"

// selection is what webhooks and mutes choose events by besides filters.
type selection struct {
	events      []tocsin.Selector
	collections []string
}

func selectionOf(w *tocsin.Webhook) selection { return selection{w.Events, w.Collections} }

// wants says whether the selectors and collections let events of a type through, and of
// which collections; nil means all of them.
func (s selection) wants(name, category string) (collections []string, ok bool) {
	if len(s.events) == 0 {
		return all(s.collections), category != catalog.CategoryPipeline
	}
	for _, e := range s.events {
		if e.Type != name && e.Type != category || e.Type == nothing {
			continue
		}
		if len(e.Collections) == 0 {
			return all(s.collections), true
		}
		for _, c := range e.Collections {
			if (len(s.collections) == 0 || slices.Contains(s.collections, c)) && !slices.Contains(collections, c) {
				collections = append(collections, c)
			}
		}
	}
	return collections, len(collections) > 0
}

// takes says whether one event is let through.
func (s selection) takes(e *subject) bool {
	collections, ok := s.wants(e.event.Type, e.category)
	return ok && (collections == nil || slices.Contains(collections, e.collectionName()))
}

// all makes an empty list of collections nil.
func all(collections []string) []string {
	if len(collections) == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(collections)))
}

// buckets hold the places of selections in some list, by the types that they let through.
type buckets struct {
	all    []*bucket
	byType map[string]*bucket
	custom *bucket // types under custom. that nobody names
}

// bucket holds the places of those that may want events of one type, in the order in
// which they were added.
type bucket struct {
	name, category string
	open           []int            // of any collection
	byCollection   map[string][]int // of these only
}

func (b *buckets) bucket(name, category string) *bucket {
	made := &bucket{name: name, category: category, byCollection: map[string][]int{}}
	b.all = append(b.all, made)
	return made
}

// newBuckets makes the buckets that these selections need.
func newBuckets(cat *catalog.Catalog, selections []selection) *buckets {
	b := &buckets{byType: map[string]*bucket{}}
	b.custom = b.bucket(catalog.CustomPrefix, catalog.CategoryCustom)
	for _, t := range cat.Types() {
		b.byType[t.Type] = b.bucket(t.Type, t.Category)
	}
	for _, s := range selections {
		for _, e := range s.events {
			if catalog.IsCustom(e.Type) && b.byType[e.Type] == nil {
				b.byType[e.Type] = b.bucket(e.Type, catalog.CategoryCustom)
			}
		}
	}
	return b
}

// add enters a place into the bucket of every type that is selected.
func (b *buckets) add(place int, s selection) {
	for _, in := range b.all {
		collections, ok := s.wants(in.name, in.category)
		if !ok {
			continue
		}
		if collections == nil {
			in.open = append(in.open, place)
		}
		for _, c := range collections {
			in.byCollection[c] = append(in.byCollection[c], place)
		}
	}
}

// find returns the two lists of places that may want an event; the second is of its
// collection only.
func (b *buckets) find(s *subject) (open, narrow []int) {
	in := b.byType[s.event.Type]
	if in == nil {
		in = b.custom
	}
	if len(in.byCollection) > 0 {
		if collection := s.collectionName(); collection != "" {
			narrow = in.byCollection[collection]
		}
	}
	return in.open, narrow
}
