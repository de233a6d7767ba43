package ingest_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/ingest"
)

// Fingerprints are stored, and compared with those of later versions: what made them must
// not change.
func TestFingerprintsStay(t *testing.T) {
	e := tocsin.Event{
		ID: "a-1", Source: "/s", Type: "custom.x", Subject: "agent/a", Severity: tocsin.SeverityHigh, Status: tocsin.Resolved,
		Time: time.Unix(1772440200, 500_000_000), DedupKey: "k", Title: "Té", Summary: strings.Repeat("s", 300), Link: "https://x.example/1",
		Labels: map[string]string{"b": "2", "a": "1"}, Data: json.RawMessage(`{ "n": 1.0 }`),
	}
	const want = "c316544c3c8a431f025f3598f62edb38"
	if got := hex.EncodeToString(ingest.Fingerprint(&e)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
