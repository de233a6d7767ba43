package elasticsearch_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a cluster that holds bulk requests to their documented form and remembers
// documents.
// https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk
type fake struct {
	t   *testing.T
	URL string

	auth     string                                             // wanted in Authorization; "": none
	streams  map[string]bool                                    // which indices are data streams
	maxBody  int                                                // http.max_content_length, of the body before compression; 0: none
	answer   func(w http.ResponseWriter, r *http.Request) bool  // answers in place of the fake, when it returns true
	document func(index, id string, doc map[string]any) *result // says no in place of the index; nil: stores

	mu       sync.Mutex
	docs     map[string]map[string]map[string]any // index, id
	requests []string                             // path and query
	bodies   []int                                // their sizes, unpacked
}

// result is how one document fares.
type result struct {
	status       int
	kind, reason string
}

func newFake(t *testing.T) *fake {
	f := &fake{t: t, docs: map[string]map[string]map[string]any{}, streams: map[string]bool{}}
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests = append(f.requests, r.URL.RequestURI())
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	if f.auth != "" && r.Header.Get("Authorization") != f.auth {
		fail(w, 401, "security_exception", "unable to authenticate user for REST request")
		return
	}
	if f.answer != nil && f.answer(w, r) {
		return
	}
	path := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	if r.Method != http.MethodPost || path[len(path)-1] != "_bulk" || len(path) > 2 {
		fail(w, 400, "illegal_argument_exception", "no handler found for uri ["+r.URL.Path+"]")
		return
	}
	index := ""
	if len(path) == 2 {
		index, _ = url.PathUnescape(path[0]) // it was one path
	}
	f.bulk(w, r, index)
}

func fail(w http.ResponseWriter, status int, kind, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"type": kind, "reason": reason}, "status": status}) // a test
}

// unpacked reads the body as a cluster does.
func (f *fake) unpacked(r *http.Request) ([]byte, error) {
	from := io.Reader(r.Body)
	switch r.Header.Get("Content-Encoding") {
	case "gzip":
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		from = z
	case "":
	default:
		return nil, fmt.Errorf("content encoding %q", r.Header.Get("Content-Encoding"))
	}
	return io.ReadAll(from)
}

func (f *fake) bulk(w http.ResponseWriter, r *http.Request, index string) {
	body, err := f.unpacked(r)
	f.bodies = append(f.bodies, len(body))
	switch {
	case err != nil:
		fail(w, 400, "parse_exception", err.Error())
		return
	case f.maxBody > 0 && len(body) > f.maxBody:
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	case r.Header.Get("Content-Type") != "application/x-ndjson":
		fail(w, 406, "media_type_header_exception", "Content-Type header ["+r.Header.Get("Content-Type")+"] is not supported")
		return
	case !bytes.HasSuffix(body, []byte("\n")):
		fail(w, 400, "illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]")
		return
	}
	lines := bytes.Split(body[:len(body)-1], []byte("\n"))
	if len(lines)%2 != 0 {
		fail(w, 400, "illegal_argument_exception", "Malformed action/metadata line")
		return
	}
	errs, items := false, []item{}
	for i := 0; i < len(lines); i += 2 {
		res, err := f.create(index, lines[i], lines[i+1])
		if err != nil {
			fail(w, 400, "illegal_argument_exception", err.Error())
			return
		}
		var it item // errors before items, status before error, as a cluster has them
		if it.Create.Status = res.status; res.kind != "" {
			errs = true
			it.Create.Error = &problem{res.kind, res.reason}
		}
		items = append(items, it)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // a test
		Errors bool   `json:"errors"`
		Items  []item `json:"items"`
	}{errs, items})
}

// item is the result of one document.
// https://github.com/elastic/elasticsearch/blob/main/server/src/main/java/org/elasticsearch/action/bulk/BulkItemResponse.java
type item struct {
	Create struct {
		Status int      `json:"status"`
		Error  *problem `json:"error,omitempty"`
	} `json:"create"`
}

type problem struct {
	Type   string `json:"type"`
	Reason string `json:"reason"`
}

// create stores one document; an error is about the whole request.
func (f *fake) create(index string, action, source []byte) (result, error) {
	var head map[string]struct {
		Index string `json:"_index"`
		ID    string `json:"_id"`
	}
	if err := json.Unmarshal(action, &head); err != nil || len(head) != 1 {
		return result{}, fmt.Errorf("Malformed action/metadata line: %s", action) //nolint:staticcheck // Elasticsearch's words
	}
	meta, ok := head["create"]
	if meta.Index != "" {
		index = meta.Index
	}
	switch {
	case !ok:
		return result{400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams"}, nil
	case index == "":
		return result{}, fmt.Errorf("Validation Failed: 1: index is missing") //nolint:staticcheck // Elasticsearch's words
	case len(meta.ID) > 512:
		return result{400, "illegal_argument_exception", "id is too long"}, nil
	case strings.ToLower(index) != index || strings.ContainsAny(index, `\/*?"<>| ,#:`):
		return result{400, "invalid_index_name_exception", "Invalid index name [" + index + "]"}, nil
	}
	var doc map[string]any
	if err := json.Unmarshal(source, &doc); err != nil {
		return result{400, "document_parsing_exception", "failed to parse: " + err.Error()}, nil
	}
	at, _ := doc["@timestamp"].(string)
	if _, err := time.Parse(time.RFC3339Nano, at); err != nil && f.streams[index] {
		return result{400, "document_parsing_exception", "data stream timestamp field [@timestamp] is missing"}, nil
	}
	if f.document != nil {
		if res := f.document(index, meta.ID, doc); res != nil {
			return *res, nil
		}
	}
	if f.docs[index] == nil {
		f.docs[index] = map[string]map[string]any{}
	}
	if f.docs[index][meta.ID] != nil {
		return result{409, "version_conflict_engine_exception", "[" + meta.ID + "]: version conflict, document already exists (current version [1])"}, nil
	}
	f.docs[index][meta.ID] = doc
	return result{status: 201}, nil
}

// stored counts the documents of an index.
func (f *fake) stored(index string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.docs[index])
}
