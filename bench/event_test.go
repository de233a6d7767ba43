package main

import (
	"fmt"
	"testing"

	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// What is sent is what a producer would send: valid, of the size that is documented, and
// each event another one.
func TestRequestsAreValidEvents(t *testing.T) {
	for _, n := range []int{1, 3} {
		body := appendRequest(nil, "identity", 7, n, 1_770_000_000_000_000)
		events, err := ingest.Decode("application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != n {
			t.Fatalf("%d events in a request of %d", len(events), n)
		}
		for i := range events {
			e := &events[i]
			if problems := catalog.Default().Validate(e); len(problems) > 0 {
				t.Errorf("event %d: %v", i, problems)
			}
			if len(e.Raw) != eventBytes {
				t.Errorf("event %d has %d bytes, want %d", i, len(e.Raw), eventBytes)
			}
			if want := eventID(uint64(7+i), 1_770_000_000_000_000); e.ID != want || len(e.ID) != idBytes {
				t.Errorf("event %d is %q, want %q", i, e.ID, want)
			}
			if want := fmt.Sprintf("agent/refund-bot-%04d", 7+i); e.Subject != want || e.Collection() != "identity" || e.Type != eventType || e.Source != source {
				t.Errorf("event %d is of %s, %s, %s, %s", i, e.Subject, e.Collection(), e.Type, e.Source)
			}
		}
	}
}

func TestCollectionsHaveOneWidth(t *testing.T) {
	for _, c := range []string{besideCollection, collectionOf(0), collectionOf(9_999)} {
		if len(c) != len(collection) {
			t.Errorf("%q does not fit where %q is", c, collection)
		}
	}
}

func TestScanIDs(t *testing.T) {
	body := appendEvent([]byte(`{"type":"alerts","data":{"delivery":"dlv_1","alerts":[`), collection, 12, 34)
	body = append(appendEvent(append(body, ','), collection, 9_999_999_999, 1_770_000_000_000_001), `]}}`...)
	type seen struct {
		seq uint64
		due int64
	}
	var got []seen
	if err := scanIDs(body, func(seq uint64, due int64) { got = append(got, seen{seq, due}) }); err != nil {
		t.Fatal(err)
	}
	if want := []seen{{12, 34}, {9_999_999_999, 1_770_000_000_000_001}}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, bad := range []string{`{"id":"bn-123"}`, `{"id":"bn-00000x0000-0000000000000000"}`, `{"id":"bn-0000000000-000000000000000x"}`} {
		if err := scanIDs([]byte(bad), func(uint64, int64) {}); err == nil {
			t.Errorf("%s is read without an error", bad)
		}
	}
}
