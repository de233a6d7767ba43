package elasticsearch_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// outcome is a classification in a word.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	s := tocsin.Classify(err)
	if s.Unsure {
		return string(s.Fault) + " unsure"
	}
	return string(s.Fault)
}

// TestErrorWords has the types and reasons that Elasticsearch and OpenSearch document or
// show in their issue trackers, as the result of one document and of the whole request.
func TestErrorWords(t *testing.T) {
	for _, row := range []struct {
		status       int
		kind, reason string
		want         string // of a document
		whole        string // of the request; "" for the same
	}{
		{201, "", "", "ok", ""}, {200, "", "", "ok", ""},
		{409, "version_conflict_engine_exception", "[1]: version conflict, document already exists (current version [1])", "ok", "retry"},
		{400, "mapper_parsing_exception", "failed to parse field [data.n] of type [long]", "event", ""},
		{400, "document_parsing_exception", "[1:9] failed to parse field [data.n] of type [long] in document with id '1'", "event", ""},
		{400, "strict_dynamic_mapping_exception", "[1:9] mapping set to strict, dynamic introduction of [x] is not allowed", "event", ""},
		{400, "illegal_argument_exception", "Limit of total fields [1000] has been exceeded while adding new fields [1]", "event", ""},
		{400, "illegal_argument_exception", "Document contains at least one immense term in field=\"data.x\"", "event", ""},
		{400, "illegal_argument_exception", "mapper [data.x] cannot be changed from type [long] to [text]", "event", ""},
		{400, "illegal_argument_exception", "pipeline with id [x] does not exist", "webhook", ""},
		{400, "illegal_argument_exception", "no write index is defined for alias [a]. The write index may be explicitly disabled", "webhook", ""},
		{400, "illegal_argument_exception", "only write ops with an op_type of create are allowed in data streams", "webhook", ""},
		{400, "illegal_argument_exception", "explicit index in bulk is not allowed", "webhook", ""},
		{400, "validation_exception", "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [1000]/[1000] maximum normal shards open;", "webhook", ""},
		{400, "invalid_index_name_exception", "Invalid index name [A]", "webhook", ""},
		{400, "index_closed_exception", "closed", "webhook", ""},
		{400, "never_heard_of_exception", "", "event", ""},
		{404, "index_not_found_exception", "no such index [a] and [action.auto_create_index] is [false]", "webhook", ""},
		{403, "security_exception", "action [indices:data/write/bulk[s]] is unauthorized", "webhook", ""},
		{403, "cluster_block_exception", "index [a] blocked by: [FORBIDDEN/8/index write (api)];", "webhook", ""},
		{403, "cluster_block_exception", "index [a] blocked by: [FORBIDDEN/12/index read-only / allow delete (api)];", "retry", ""},
		{429, "cluster_block_exception", "index [a] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];", "retry", ""},
		{429, "es_rejected_execution_exception", "rejected execution of primary operation", "retry", ""},
		{429, "rejected_execution_exception", "rejected execution of coordinating operation", "retry", ""},
		{429, "circuit_breaking_exception", "[parent] Data too large", "retry", ""},
		{503, "unavailable_shards_exception", "[a][0] primary shard is not active Timeout: [1m]", "retry unsure", ""},
		{503, "process_cluster_event_timeout_exception", "failed to process cluster event (auto create [a]) within 1m", "retry unsure", ""},
		{500, "null_pointer_exception", "", "retry unsure", ""},
	} {
		f := newFake(t)
		f.document = func(string, string, map[string]any) *result { return &result{row.status, row.kind, row.reason} }
		_, err := send(t, open(t, f.URL, nil), numbered(1)...)
		if got := outcome(err); got != row.want {
			t.Errorf("document %d %s %s: %s, want %s (%v)", row.status, row.kind, row.reason, got, row.want, err)
		}
		if row.kind != "" && err != nil && !strings.Contains(err.Error(), row.kind) {
			t.Errorf("document %d %s: the error does not say so: %v", row.status, row.kind, err)
		}
		if row.status < 300 {
			continue
		}
		f = newFake(t)
		f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			fail(w, row.status, row.kind, row.reason)
			return true
		}
		want := row.whole
		if want == "" {
			want = row.want
		}
		if _, err := send(t, open(t, f.URL, nil), numbered(1)...); outcome(err) != want {
			t.Errorf("request %d %s: %s, want %s (%v)", row.status, row.kind, outcome(err), want, err)
		}
	}
}

// TestResultsByDocument: what is stored is not sent again, what is dead says so alone, and
// the rest is to be sent again with one error in common.
func TestResultsByDocument(t *testing.T) {
	by := map[string]result{
		"number 1": {400, "document_parsing_exception", "no"}, "number 3": {429, "es_rejected_execution_exception", "later"},
		"number 4": {409, "version_conflict_engine_exception", "there"}, "number 5": {503, "unavailable_shards_exception", "later"},
	}
	f := newFake(t)
	f.document = func(_, _ string, doc map[string]any) *result {
		if r, ok := by[doc["title"].(string)]; ok {
			return &r
		}
		return nil
	}
	s := open(t, f.URL, nil)
	receipt, err := send(t, s, numbered(7)...)
	if err != nil || len(receipt.Results) != 7 {
		t.Fatalf("%v, %d results", err, len(receipt.Results))
	}
	for i, want := range []string{"ok", "event", "ok", "retry", "ok", "retry", "ok"} {
		if got := outcome(receipt.Results[i].Err); got != want {
			t.Errorf("document %d: %s, want %s (%v)", i, got, want, receipt.Results[i].Err)
		}
	}
	if f.stored("tocsin-alerts") != 3 {
		t.Errorf("%d stored", f.stored("tocsin-alerts"))
	}
	by["number 5"] = result{404, "index_not_found_exception", "no such index"}
	receipt, err = send(t, s, numbered(7)...)
	if err != nil || outcome(receipt.Results[3].Err) != "webhook" || outcome(receipt.Results[5].Err) != "webhook" || outcome(receipt.Results[1].Err) != "event" {
		t.Errorf("with the webhook's fault among them: %v, %v", receipt.Results, err)
	}
}

// TestAllTheSame: when no document is stored for one reason, that is Send's error.
func TestAllTheSame(t *testing.T) {
	for _, row := range []struct {
		result
		want string
	}{{result{429, "es_rejected_execution_exception", ""}, "retry"}, {result{404, "index_not_found_exception", ""}, "webhook"}} {
		f := newFake(t)
		f.document = func(string, string, map[string]any) *result { return &row.result }
		if _, err := send(t, open(t, f.URL, nil), numbered(5)...); outcome(err) != row.want {
			t.Errorf("%s: %v", row.kind, err)
		}
	}
}

func TestRetryAfterOfADocument(t *testing.T) {
	f := newFake(t)
	f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "17")
		_, _ = io.WriteString(w, `{"errors":true,"items":[{"create":{"status":429,"error":{"type":"es_rejected_execution_exception"}}}]}`)
		return true
	}
	if _, err := send(t, open(t, f.URL, nil), numbered(1)...); tocsin.Classify(err).After != 17*time.Second {
		t.Errorf("%v: after %s", err, tocsin.Classify(err).After)
	}
}

// TestAnswersThatCannotBeBelieved: documents may be stored all the same.
func TestAnswersThatCannotBeBelieved(t *testing.T) {
	long := `{"errors":true,"items":[{"create":{"status":400,"error":{"reason":"` + strings.Repeat("x", 64<<10) + `"}}}]}`
	for body, want := range map[string]string{
		"": "webhook unsure", "<html>login</html>": "webhook unsure", "{}": "webhook unsure", `{"errors":null}`: "webhook unsure", "[]": "webhook unsure",
		`{"errors":true}`: "retry unsure", `{"errors":true,"items":[]}`: "retry unsure", `{"errors":true,"items":[{},{}]}`: "retry unsure",
		`{"errors":true,"items":[{}]}`: "retry unsure", `{"errors":true,"items":[{"create":{}}]}`: "retry unsure", `{"errors":true,"items":[{"create":{"status":201}}]}`: "ok",
		`{"errors":true,"items":[{"create":{"status":400,"error":"as text"}}]}`: "event", long: "event",
		`{"errors":true,"items":[{"index":{"status":409}}]}`: "ok", `{"errors":false,"items":[{"create":{"status":201}}]}`: "ok",
	} {
		f := newFake(t)
		f.answer = func(w http.ResponseWriter, _ *http.Request) bool { _, _ = io.WriteString(w, body); return true }
		if _, err := send(t, open(t, f.URL, nil), numbered(1)...); outcome(err) != want {
			t.Errorf("%.80s: %s, want %s (%v)", body, outcome(err), want, err)
		}
	}
}

// TestALongAnswerIsRead: a line for each of many documents, nearly all with reasons.
func TestALongAnswerIsRead(t *testing.T) {
	f := newFake(t)
	f.document = func(_, _ string, doc map[string]any) *result {
		if doc["title"] == "number 7" {
			return nil
		}
		return &result{400, "document_parsing_exception", strings.Repeat("é", 1000)}
	}
	receipt, err := send(t, open(t, f.URL, nil), numbered(1000)...)
	if err != nil || len(receipt.Results) != 1000 || receipt.Results[7].Err != nil || len(fmt.Sprint(receipt.Results[999].Err)) > 2000 {
		t.Errorf("%.200v, %d results", err, len(receipt.Results))
	}
}

// TestNoneTaken: a strict mapping refuses every event, and the events are not to blame. No
// result kills them; single ones are counted by the pipeline.
func TestNoneTaken(t *testing.T) {
	f := newFake(t)
	f.document = func(string, string, map[string]any) *result {
		return &result{400, "strict_dynamic_mapping_exception", "mapping set to strict"}
	}
	s := open(t, f.URL, nil)
	receipt, err := send(t, s, numbered(5)...)
	if outcome(err) != "event" || receipt.Results != nil {
		t.Errorf("five: %v, results %v; want them to be halved", err, receipt.Results)
	}
	// The second request of a delivery: its events are handed back.
	f.document = func(_, _ string, doc map[string]any) *result {
		if len(doc["title"].(string)) > len("number 999") {
			return &result{400, "strict_dynamic_mapping_exception", "mapping set to strict"}
		}
		return nil
	}
	receipt, err = send(t, s, numbered(1005)...)
	if err != nil || len(receipt.Results) != 1005 || receipt.Results[999].Err != nil || outcome(receipt.Results[1000].Err) != "retry" {
		t.Errorf("1005: %v, %d results", err, len(receipt.Results))
	}
}

// TestASecretInAReason is hidden: a cluster may repeat what it got.
func TestASecretInAReason(t *testing.T) {
	f := newFake(t)
	f.document = func(string, string, map[string]any) *result {
		return &result{400, "document_parsing_exception", "s3cret-password was in the request"}
	}
	receipt, err := send(t, open(t, f.URL, map[string]any{"username": "u", "password": "s3cret-password"}), numbered(2)...)
	if text := fmt.Sprintf("%v %+v", err, receipt); strings.Contains(text, "s3cret-password") {
		t.Error(text)
	}
}
