package ingest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

const sourceReserved = `source: "/tocsin" is reserved for what Tocsin itself announces`

// Events with Tocsin's own source come from Tocsin alone: their ids would be taken from
// what it announces.
func TestReservedSourceIsRefused(t *testing.T) {
	s := newStore(hook("all"))
	in, _ := start(t, s)
	for name, way := range map[string]func() error{
		"native": func() error {
			_, err := in.Receive(t.Context(), http.Header{"Content-Type": {"application/json"}}, []byte(`{"id":"a","source":"/tocsin","type":"custom.x"}`))
			return err
		},
		"CloudEvent": func() error {
			_, err := in.Receive(t.Context(), http.Header{"Content-Type": {"application/cloudevents+json"}}, []byte(`{"specversion":"1.0","id":"b","source":"/tocsin","type":"custom.x"}`))
			return err
		},
		"binary CloudEvent": func() error {
			h := http.Header{"Content-Type": {"application/json"}, "Ce-Specversion": {"1.0"}, "Ce-Id": {"c"}, "Ce-Source": {"/tocsin"}, "Ce-Type": {"custom.x"}}
			_, err := in.Receive(t.Context(), h, []byte(`{}`))
			return err
		},
	} {
		if err := way(); tocsin.CodeOf(err) != tocsin.CodeInvalid || !strings.Contains(err.Error(), sourceReserved) {
			t.Errorf("%s: got %v, want %s", name, err, sourceReserved)
		}
	}
	mixed := []tocsin.Event{{ID: "d", Source: "/tocsin", Type: "custom.x"}, {ID: "e", Source: "/tocsin/own", Type: "custom.x"}}
	result, rejected, err := in.SubmitEach(t.Context(), mixed)
	if err != nil || result.Accepted != 1 || len(rejected) != 1 || *rejected[0].Index != 0 || !strings.Contains(rejected[0].Field+": "+rejected[0].Message, sourceReserved) {
		t.Errorf("got %+v, %+v, %v", result, rejected, err)
	}
	if len(s.events) != 1 {
		t.Errorf("%d events are stored, want one", len(s.events))
	}
}

// Where the id of a change is taken all the same, by an event that an older version took
// in, nobody is told that the incident is resolved while it is not.
func TestChangeWhoseIDIsTaken(t *testing.T) {
	s := newScene(t, nil)
	id := s.open("1").ID
	for to, kind := range map[tocsin.IncidentState]string{
		tocsin.IncidentAcknowledged: tocsin.TypeIncidentAcknowledged, tocsin.IncidentResolved: tocsin.TypeIncidentResolved,
	} {
		s.submit(tocsin.Event{ID: kind + "/" + id, Source: "/tocsin", Type: "custom.x", Status: tocsin.Firing})
		i, err := s.in.ChangeIncident(t.Context(), id, to, "dana", "")
		if tocsin.CodeOf(err) != tocsin.CodeConflict || strings.Contains(err.Error(), "resolved already") || !strings.Contains(err.Error(), kind+"/"+id) || i.State != tocsin.IncidentOpen {
			t.Errorf("%s: got %+v, %v", to, i, err)
		}
	}
}
