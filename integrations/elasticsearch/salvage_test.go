package elasticsearch

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestEveryCut of an answer leaves the items before it as they were, and of the one it
// goes through nothing that is not so.
func TestEveryCut(t *testing.T) {
	reason := strings.Repeat(`preview of "é\`+"\u2028🧨", 100)
	said := map[string]any{"took": 3, "errors": true, "ingest_took": map[string]any{"x": []int{1}}, "items": []any{
		map[string]any{"create": map[string]any{"_id": "1", "status": 201, "zzz": []any{map[string]any{"status": 7}}}},
		map[string]any{"create": map[string]any{}},
		map[string]any{"create": map[string]any{"an": "other", "status": 400, "terror": 1, "error": "as text"}},
		json.RawMessage(`{"create":{"status":400,"error":{"type":"document_parsing_exception","reason":` + quote(t, reason) + `,"caused_by":{"type":"x","reason":"y"}}}}`),
		json.RawMessage(`{"create":{"status":429,"error":{"type":"es_rejected_execution_exception","reason":"later"}}}`),
	}}
	body, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	want := []problem{{}, {}, {"", "as text"}, {"document_parsing_exception", reason}, {"es_rejected_execution_exception", "later"}}
	status := []int{201, 0, 400, 400, 429}
	most := 0
	for end := range len(body) + 1 {
		a, doubtful := salvage(body[:end])
		if len(a.Items) < most {
			t.Fatalf("cut at %d: %d items, one less than before", end, len(a.Items))
		}
		most = len(a.Items)
		for i, it := range a.Items {
			got := it[""]
			last := i == len(a.Items)-1
			if got.Status != status[i] || !strings.HasPrefix(want[i].Type, got.Error.Type) || !strings.HasPrefix(want[i].Reason, got.Error.Reason) {
				t.Fatalf("cut at %d: item %d is %+v", end, i, got)
			}
			if want[i].Reason != "" && got.Error.Reason == "" && (!last || !doubtful) {
				t.Fatalf("cut at %d: item %d has no reason, and that is not said", end, i)
			}
		}
	}
	if most != 4+1 {
		t.Errorf("%d items of the whole answer", most)
	}
}

func quote(t *testing.T, text string) string {
	t.Helper()
	b, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
