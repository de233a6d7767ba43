package console

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// client asks the API on behalf of one visitor: with their key, from their address. It
// calls the handler in this process, so what it may and may not do, and what the audit
// log says about it, is the API's affair.
type client struct {
	api http.Handler
	// in is the browser's request, whose address, host and origin are passed on: the API
	// limits failed tries by address, and without keys checks host and origin.
	in  *http.Request
	key string
	// Without a key: who signed in otherwise, what they may do, and how the API is told.
	user   string
	scopes []string
	as     func(ctx context.Context, user string, scopes []string) context.Context
}

// passedOn are the headers by which the API tells pages of other sites.
var passedOn = []string{"Origin", "Sec-Fetch-Site", "User-Agent"}

// get reads the answer at a path into out. Path and query are as [at] makes them.
// Errors are *Problem.
func (c client) get(path string, out any) error { return c.send(http.MethodGet, path, nil, out) }

// send sends a body as JSON (none when nil) and reads the answer into out, unless that
// is nil. Errors are *Problem.
func (c client) send(method, path string, body, out any) error {
	return c.sendIf("", method, path, body, out)
}

// sendIf is send for what is done only while the thing still has this entity tag, unless
// that is ""; otherwise the problem has CodePrecondition.
func (c client) sendIf(tag, method, path string, body, out any) error {
	kind := "application/json"
	if method == http.MethodPatch {
		kind = "application/merge-patch+json"
	}
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encoding request: %w", err)
		}
	}
	rec, err := c.do(method, path, kind, tag, raw)
	if err != nil {
		return err
	}
	if rec.status >= 300 {
		return problemOf(rec)
	}
	if out == nil || rec.body.Len() == 0 {
		return nil
	}
	if err := json.Unmarshal(rec.body.Bytes(), out); err != nil {
		return fmt.Errorf("reading the API's answer to %s %s: %w", method, path, err)
	}
	return nil
}

func (c client) do(method, path, kind, tag string, body []byte) (*recorder, error) {
	var reader io.Reader = http.NoBody
	if body != nil {
		reader = bytes.NewReader(body)
	}
	ctx := c.in.Context()
	if c.user != "" {
		ctx = c.as(ctx, c.user, c.scopes)
	}
	r, err := http.NewRequestWithContext(ctx, method, path, reader)
	if err != nil {
		return nil, fmt.Errorf("asking the API: %w", err)
	}
	r.RemoteAddr, r.Host, r.RequestURI = c.in.RemoteAddr, c.in.Host, path
	for _, name := range passedOn {
		if v := c.in.Header.Get(name); v != "" {
			r.Header.Set(name, v)
		}
	}
	if body != nil {
		r.Header.Set("Content-Type", kind)
	}
	if tag != "" {
		r.Header.Set("If-Match", tag)
	}
	if c.key != "" {
		r.Header.Set("Authorization", "Bearer "+c.key)
	}
	rec := &recorder{header: http.Header{}}
	c.api.ServeHTTP(rec, r)
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	return rec, nil
}

// at joins the segments of a path, each escaped, and adds a query without the values
// that are empty: at(q, "v1", "events", source, id).
func at(query url.Values, segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteString("/" + url.PathEscape(s))
	}
	kept := url.Values{}
	for name, values := range query {
		for _, v := range values {
			if v != "" {
				kept.Add(name, v)
			}
		}
	}
	if len(kept) > 0 {
		b.WriteString("?" + kept.Encode())
	}
	return b.String()
}

// list is a page of a list of the API.
type list[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"`
}

// maxPages bounds what all reads: 10,000 things.
const maxPages = 10

// all reads a whole list of the API; more reports that it is longer than that.
func all[T any](c client, query url.Values, segments ...string) (items []T, more bool, err error) {
	q := url.Values{"limit": {"1000"}}
	for name, values := range query {
		q[name] = values
	}
	for range maxPages {
		var page list[T]
		if err := c.get(at(q, segments...), &page); err != nil {
			return nil, false, err
		}
		items = append(items, page.Items...)
		if page.Next == "" {
			return items, false, nil
		}
		q.Set("cursor", page.Next)
	}
	return items, true, nil
}

// recorder keeps an answer of the API.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.body.Write(b)
}
