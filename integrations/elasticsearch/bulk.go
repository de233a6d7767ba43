package elasticsearch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/batch"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// The bounds of one request. A cluster takes 100 MB by default (http.max_content_length, of
// the body before compression), hosted ones as little as 10 MB, and both advise far less:
// https://www.elastic.co/docs/reference/elasticsearch/configuration-reference/networking-settings#http-settings
// https://docs.aws.amazon.com/opensearch-service/latest/developerguide/limits.html#network-limits
const (
	maxBody  = 8 << 20
	maxItems = 1000
)

// The parts of an answer that are kept: a line about each document, and what else a
// proxy may say. A reason quotes the whole value that could not be parsed, whose quotes
// are escaped once more, so the documents count twice. What is longer: cut.go.
const (
	keepAnswer   = 16 << 10
	keepItem     = 4 << 10
	keepDocument = 2
)

// wanted leaves out of an answer what is not looked at.
// https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options#common-options-response-filtering
const wanted = "errors,error.type,error.reason,status,items.*.status,items.*.error.type,items.*.error.reason"

// plan renders every event and says which share a request.
func (s *sender) plan(n tocsin.Notification) ([][]byte, []batch.Span, error) {
	if len(n.Events) == 0 {
		return nil, nil, tocsin.Refused(post.Errorf(post.ClassRender, "the delivery has no events"))
	}
	records := make([][]byte, len(n.Events))
	for i := range n.Events {
		r, err := s.record(format.Marked(&n.Events[i], n.Test))
		if err != nil {
			return nil, nil, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering the document: %s", s.redact.Text(err.Error())))
		}
		records[i] = r
	}
	return records, batch.Pack(batch.Sizes(records), maxBody, maxItems, 0, 0), nil
}

// action is the line before a document.
type action struct {
	Create struct {
		Index string `json:"_index,omitempty"`
		ID    string `json:"_id"`
	} `json:"create"`
}

// record is the two lines of one event.
func (s *sender) record(e *tocsin.Event) ([]byte, error) {
	at := timeOf(e)
	var a action
	a.Create.ID = format.UID(e)
	if s.config.layout != "" {
		a.Create.Index = s.config.indexOf(dayOf(e))
	}
	head, err := json.Marshal(a)
	if err != nil {
		return nil, err
	}
	doc, err := formats[s.config.format](e)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(len(head) + len(doc) + 64)
	b.Write(head)
	// Data streams want @timestamp, and so do the tools that look at them. The formats are
	// objects with members, on one line, and none has a member of that name.
	fmt.Fprintf(&b, "\n{\"@timestamp\":%q,", at.UTC().Format(time.RFC3339Nano))
	b.Write(doc[1:])
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// timeOf is when the event happened, or was received.
func timeOf(e *tocsin.Event) time.Time {
	switch {
	case !e.Time.IsZero():
		return e.Time
	case !e.ReceivedAt.IsZero():
		return e.ReceivedAt
	}
	return time.Unix(0, 0)
}

// maxLate is how long after it happened an event may come and still be in the index of its
// own time.
const maxLate = 7 * 24 * time.Hour

// dayOf is the time that the index goes by: when it happened, but when it was received
// where the two are far apart. The producer says when it happened, and an index for each
// day that somebody makes up soon takes all the shards that a cluster may have
// (https://www.elastic.co/docs/reference/autoops-insights/max_shards_per_node).
func dayOf(e *tocsin.Event) time.Time {
	at := timeOf(e)
	if late := e.ReceivedAt.Sub(at); !e.ReceivedAt.IsZero() && (late > maxLate || late < -tocsin.MaxFuture) {
		return e.ReceivedAt
	}
	return at
}

// request is one bulk request. An index that is the same for all is in the path, so that a
// cluster may forbid others in the body (rest.action.multi.allow_explicit_index).
func (s *sender) request(records [][]byte) post.Request {
	path := s.config.url
	if s.config.layout == "" {
		path += "/" + url.PathEscape(s.config.index)
	}
	query := url.Values{"filter_path": {wanted}}
	if s.config.pipeline != "" {
		query.Set("pipeline", s.config.pipeline)
	}
	header := s.header()
	header.Set("Content-Type", "application/x-ndjson")
	body := bytes.Join(records, nil)
	r := post.Request{Method: http.MethodPost, URL: path + "/_bulk?" + query.Encode(), Header: header, Body: body,
		KeepBody: min(keepAnswer+keepItem*len(records)+keepDocument*len(body), post.MaxKeepBody)}
	if s.config.gzip {
		header.Set("Content-Encoding", "gzip")
		r.Body, r.Shown = batch.Gzip(body), body
	}
	return r
}

// header is what every request has.
func (s *sender) header() http.Header {
	h := http.Header{"Accept": {"application/json"}}
	if s.config.auth != "" {
		h.Set("Authorization", s.config.auth)
	}
	return h
}
