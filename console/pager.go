package console

import (
	"net/url"
	"strings"
)

// Pager leads through a list of the API, which only knows the way to older things: the
// cursors of the pages before are carried along in the address.
type Pager struct{ Newest, Newer, Older string }

// maxTrail is how many pages back "newer" leads at most; "newest" always does.
const maxTrail = 20

// newest is the trail's word for the first page, which has no cursor.
const newest = "-"

// trailMark stands between cursors, which are of letters, digits and . _ - , : / + =.
const trailMark = "~"

// pager makes the links around a page of a list; next is what the API said. The API is
// asked for the page with p.cursor.
func (p *request) pager(next string) Pager {
	q := p.URL.Query()
	q.Del("part")
	cursor := q.Get("cursor")
	var trail []string
	if t := q.Get("trail"); t != "" {
		trail = strings.Split(t, trailMark)
	}
	q.Del("trail")
	q.Del("cursor")
	var out Pager
	if cursor != "" {
		out.Newest = p.link(q, "", nil)
	}
	if len(trail) > 0 {
		out.Newer = p.link(q, trail[len(trail)-1], trail[:len(trail)-1])
	}
	if next != "" {
		if cursor == "" {
			cursor = newest
		}
		trail = append(trail, cursor)
		out.Older = p.link(q, next, trail[max(0, len(trail)-maxTrail):])
	}
	return out
}

func (p *request) link(filters url.Values, cursor string, trail []string) string {
	q := url.Values{}
	for name, values := range filters {
		q[name] = values
	}
	if cursor != "" && cursor != newest {
		q.Set("cursor", cursor)
	}
	if len(trail) > 0 {
		q.Set("trail", strings.Join(trail, trailMark))
	}
	if len(q) == 0 {
		return p.URL.EscapedPath()
	}
	return p.URL.EscapedPath() + "?" + q.Encode()
}

// filters takes what a list is asked for from the page's address: the named parameters,
// the cursor, and how many.
func (p *request) filters(limit string, names ...string) url.Values {
	q := url.Values{"limit": {limit}, "cursor": {p.URL.Query().Get("cursor")}}
	for _, name := range names {
		q.Set(name, strings.TrimSpace(p.URL.Query().Get(name)))
	}
	return q
}
