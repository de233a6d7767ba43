package demo_test

import (
	"encoding/json"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/devserver/demo"
)

// Every alert type that a producer may report has an event that is valid, new, and of
// now.
func TestEvents(t *testing.T) {
	c := catalog.Default()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	events, err := demo.Events(c, now)
	if err != nil {
		t.Fatal(err)
	}
	if own := 6; len(events) != len(c.Types())-own {
		t.Errorf("%d events for %d alert types, of which %d are Tocsin's own", len(events), len(c.Types()), own)
	}
	ids := map[string]bool{}
	for _, raw := range events {
		text, err := json.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		var e tocsin.Event
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		if c.Category(e.Type) == catalog.CategoryPipeline {
			t.Errorf("%s is Tocsin's own", e.Type)
		}
		if problems := c.Validate(&e); len(problems) > 0 {
			t.Errorf("%s: %v", e.Type, problems)
		}
		if ids[e.ID] || !e.Time.Equal(now) {
			t.Errorf("%s has id %s and time %v", e.Type, e.ID, e.Time)
		}
		ids[e.ID] = true
		if e.Type != "threat.detected" {
			continue
		}
		var threat struct{ Timestamp int64 }
		if err := json.Unmarshal(e.Data, &threat); err != nil {
			t.Fatal(err)
		}
		if age := now.Sub(time.Unix(threat.Timestamp, 0)); age < 0 || age > 24*time.Hour {
			t.Errorf("the threat is %v old", age)
		}
	}
}
