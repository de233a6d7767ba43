package elasticsearch_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// quoting is how Elasticsearch refuses a value: it repeats it.
func quoting(value string) *result {
	return &result{400, "document_parsing_exception", "[1:9] failed to parse field [data.x] of type [text] in document with id '1'. Preview of field's value: '{a=" + value + "}'"}
}

// TestALongReasonIsARefusal of the event, and no reason to hold the webhook.
func TestALongReasonIsARefusal(t *testing.T) {
	for _, size := range []int{10 << 10, 100 << 10, 20 << 20} { // the last is more than is ever kept
		f := newFake(t)
		f.document = func(string, string, map[string]any) *result { return quoting(strings.Repeat("x", size)) }
		_, err := send(t, open(t, f.URL, nil), numbered(1)...)
		if got := outcome(err); got != "event" || !strings.Contains(err.Error(), "failed to parse field [data.x]") || len(err.Error()) > 4<<10 {
			t.Errorf("a reason of %d bytes: %s, want event (%.150v)", size, got, err)
		}
	}
}

// TestQuotedValuesAreRead: what is kept of an answer grows with the request, so that every
// value of a delivery may be quoted.
func TestQuotedValuesAreRead(t *testing.T) {
	f := newFake(t)
	events := numbered(20)
	for i := range events {
		events[i].Data = json.RawMessage(`{"x":"` + strings.Repeat(`\"\\`, 25<<10) + `"}`)
	}
	f.document = func(_, _ string, doc map[string]any) *result {
		if doc["title"] == "number 19" {
			return nil
		}
		return quoting(doc["data"].(map[string]any)["x"].(string))
	}
	receipt, err := send(t, open(t, f.URL, nil), events...)
	if err != nil || len(receipt.Results) != len(events) {
		t.Fatalf("%.200v, %d results", err, len(receipt.Results))
	}
	for i, r := range receipt.Results {
		if want := map[bool]string{true: "ok", false: "event"}[i == 19]; outcome(r.Err) != want {
			t.Errorf("document %d: %s, want %s (%.150v)", i, outcome(r.Err), want, r.Err)
		}
	}
}

// TestAPoisonedDocumentHoldsNoOther, wherever it is and however many there are: what is
// sent again becomes less with each attempt, until nothing is left.
func TestAPoisonedDocumentHoldsNoOther(t *testing.T) {
	const documents = 6
	for name, poisoned := range map[string]func(i int) bool{
		"the first": func(i int) bool { return i == 0 }, "one in the middle": func(i int) bool { return i == 3 }, "the last": func(i int) bool { return i == documents-1 },
		"every second": func(i int) bool { return i%2 == 1 }, "all": func(int) bool { return true },
	} {
		f := newFake(t)
		f.document = func(_, _ string, doc map[string]any) *result {
			var i int
			if _, err := fmt.Sscanf(doc["title"].(string), "number %d", &i); err == nil && poisoned(i) {
				return quoting(strings.Repeat("x", 100<<10))
			}
			return nil
		}
		dead := map[string]bool{}
		rest := numbered(documents)
		attempts := 0
		for ; len(rest) > 0 && attempts < documents; attempts++ {
			rest = attempt(t, open(t, f.URL, nil), rest, dead)
		}
		if len(rest) > 0 {
			t.Errorf("%s: %d are held after %d attempts", name, len(rest), attempts)
		}
		for i, e := range numbered(documents) {
			if dead[e.ID] != poisoned(i) {
				t.Errorf("%s: document %d is dead: %v", name, i, dead[e.ID])
			}
		}
	}
}

// attempt sends events, notes which are dead, and returns those that are to be sent again.
func attempt(t *testing.T, s tocsin.Sender, events []tocsin.Event, dead map[string]bool) (again []tocsin.Event) {
	t.Helper()
	receipt, err := send(t, s, events...)
	if err != nil && len(receipt.Results) == 0 && len(events) > 1 {
		t.Fatalf("an error about all of %d: %s, %.200v", len(events), outcome(err), err)
	}
	for i, e := range events {
		own := err
		if len(receipt.Results) > 0 {
			own = receipt.Results[i].Err
		}
		switch got := outcome(own); got {
		case "ok":
		case "event":
			dead[e.ID] = true
		case "retry unsure":
			again = append(again, e)
		default:
			t.Errorf("%s: %s", e.ID, got)
		}
	}
	return again
}

// TestCutAnswers says what they can still be taken for.
func TestCutAnswers(t *testing.T) {
	long := strings.Repeat("x", 200<<10)
	for name, row := range map[string]struct {
		documents  int
		body, want string
	}{
		"all stored":                   {2, `{"errors":false,"took":1,"items":[{"create":{"status":201,"more":"` + long, "ok"},
		"a status behind the error":    {1, `{"errors":true,"items":[{"create":{"error":{"reason":"` + long, "retry unsure"},
		"a long type":                  {1, `{"errors":true,"items":[{"create":{"status":400,"error":{"type":"` + long, "event"},
		"a long type of one of two":    {2, `{"errors":true,"items":[{"create":{"status":400,"error":{"type":"` + long, "retry unsure"},
		"the error as a text":          {1, `{"errors":true,"items":[{"create":{"status":400,"error":"` + long, "event"},
		"the pipeline is missing":      {1, `{"errors":true,"items":[{"create":{"status":400,"error":{"type":"illegal_argument_exception","reason":"pipeline with id [` + long, "webhook"},
		"too many requests":            {1, `{"errors":true,"items":[{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"` + long, "retry"},
		"errors after the items":       {1, `{"items":[{"create":{"status":400,"error":{"reason":"` + long, "event"},
		"more items than documents":    {1, `{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":201}},{"` + long, "retry unsure"},
		"a login page":                 {1, "<html>" + long, "webhook unsure"},
		"another kind of JSON":         {1, `["` + long, "webhook unsure"},
		"items that are no list":       {1, `{"errors":true,"items":{"a":"` + long, "retry unsure"},
		"a reason cut in a surrogate":  {1, `{"errors":true,"items":[{"create":{"status":400,"error":{"reason":"` + strings.Repeat(`\ud83e\udde8`, 20<<10), "event"},
		"a reason cut in an escape":    {1, `{"errors":true,"items":[{"create":{"status":400,"error":{"reason":"x` + strings.Repeat(`\\`, 100<<10), "event"},
		"a name that is longer yet":    {1, `{"errors":true,"` + long, "retry unsure"},
		"what is not asked for before": {1, `{"errors":true,"took":"` + long, "retry unsure"},
	} {
		f := newFake(t)
		f.answer = func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, row.body)
			return true
		}
		if _, err := send(t, open(t, f.URL, nil), numbered(row.documents)...); outcome(err) != row.want {
			t.Errorf("%s: %s, want %s (%.200v)", name, outcome(err), row.want, err)
		}
	}
}
