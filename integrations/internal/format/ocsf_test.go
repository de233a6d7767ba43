package format_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// events are the suite's, hostile ones included, the examples of all alert types, and what
// people do about incidents.
func events(t testing.TB) []tocsin.Event {
	t.Helper()
	out := append(integrationtest.Events(t), integrationtest.Shared(t)...)
	for _, at := range catalog.Default().Types() {
		var e tocsin.Event
		if err := json.Unmarshal(at.Example, &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	at := time.Date(2026, 3, 2, 8, 0, 0, 1e6, time.UTC)
	return append(out,
		tocsin.Event{ID: "ack", Source: "/tocsin", Type: tocsin.TypeIncidentAcknowledged, Status: tocsin.Firing, DedupKey: "k", Time: at,
			Data: json.RawMessage(`{"incident":"inc_1","by":"ada@example.com","note":"looking"}`)},
		tocsin.Event{ID: "res", Source: "/tocsin", Type: tocsin.TypeIncidentResolved, Status: tocsin.Resolved, DedupKey: "k", Time: at},
		tocsin.Event{ID: "bare", Source: "/s", Type: "custom.x", Time: at},
		tocsin.Event{ID: "list", Source: "/s", Type: "custom.x", Time: at, Data: json.RawMessage("[1,\n2]")},
		tocsin.Event{ID: "null", Source: "/s", Type: "threat.detected", Time: at, Data: json.RawMessage(`null`)},
		tocsin.Event{ID: "odd", Source: "/s", Type: "threat.detected", Time: at, Severity: 77,
			Data: json.RawMessage(`{"ip":"fe80::1%eth0","country":"Nirvana","actor":{"a":1},"url":"::%zz","method":7,"remediation":[],"evidence":"e"}`)},
		tocsin.Event{ID: "user", Source: "/s", Type: "threat.detected", Time: at,
			Data: json.RawMessage(`{"actor":"mallory","ip":"","url":"https://h.example/p?q=1","method":"get"}`)},
		tocsin.Event{ID: "path", Source: "/s", Type: "threat.detected", Time: at, Data: json.RawMessage(`{"url":"?q"}`)},
		tocsin.Event{ID: "empty", Source: "/s", Type: "threat.detected", Time: at, Data: json.RawMessage(`{"method":"GET"}`)},
		tocsin.Event{ID: "noSubject", Source: "/s", Type: "agent.discovered", Time: at, Data: json.RawMessage(`{}`)},
		tocsin.Event{ID: "noData", Source: "/s", Type: "agent.discovered", Subject: "agent/x", Time: at},
		tocsin.Event{ID: "float", Source: "/s", Type: "risk_score.changed", Subject: "agent/", Time: at, Data: json.RawMessage(`{"current":7.5}`)},
	)
}

func finding(t testing.TB, e tocsin.Event) []byte {
	t.Helper()
	text, err := format.OCSF(&e)
	if err != nil {
		t.Fatalf("%s: %v", e.ID, err)
	}
	return text
}

func TestEveryFindingIsOfTheSchema(t *testing.T) {
	v := newValidator(t)
	for _, e := range events(t) {
		for _, status := range []tocsin.Status{e.Status, tocsin.Firing, tocsin.Resolved} {
			e.Status = status
			for _, p := range v.check(finding(t, e)) {
				t.Errorf("%s, %s%s", e.ID, status, p)
			}
		}
	}
}

// TestTheValidatorBites breaks a finding in the ways that matter.
func TestTheValidatorBites(t *testing.T) {
	v := newValidator(t)
	good := string(finding(t, integrationtest.Pick(t, "it-threat-1")[0]))
	if p := v.check([]byte(good)); p != nil {
		t.Fatal(p)
	}
	for _, row := range [][2]string{
		{`"activity_id":1`, `"activity_id":4`}, {`"severity":"`, `"severity":"X`}, {`"class_uid":2004`, `"class_uid":2001`},
		{`"type_uid":200401`, `"type_uid":200403`}, {`"status":"New"`, `"status":"new"`}, {`"time":`, `"tim":`}, {`"time":`, `"time":0.5,"x":`},
		{`"uid":"`, `"uid":1,"x":"`}, {`"src_endpoint":`, `"source_endpoint":`}, {`"ip":"`, `"ip":"x`}, {`"version":"1.9.0",`, ``},
		{`"http_method"`, `"method"`}, {`"is_alert":true`, `"is_alert":"true"`}, {`"unmapped":{`, `"unmapped":[],"x":{`}, {`"role":"Target"`, `"role":"target"`},
	} {
		broken := strings.Replace(good, row[0], row[1], 1)
		if broken == good || v.check([]byte(broken)) == nil {
			t.Errorf("%s for %s: not noticed", row[1], row[0])
		}
	}
}

// shape is what the tests below look at.
type shape struct {
	Activity  int    `json:"activity_id"`
	TypeUID   int    `json:"type_uid"`
	StatusID  int    `json:"status_id"`
	Detail    string `json:"status_detail"`
	Severity  int    `json:"severity_id"`
	IsAlert   bool   `json:"is_alert"`
	Time      int64  `json:"time"`
	RiskScore int    `json:"risk_score"`
	Metadata  struct{ UID, Version string }
	Info      struct {
		UID, Title string
		Created    int64 `json:"created_time"`
		Modified   int64 `json:"modified_time"`
	} `json:"finding_info"`
	Evidences   []map[string]any
	Remediation struct{ Desc string }
	Unmapped    json.RawMessage
}

func shapeOf(t testing.TB, e tocsin.Event) shape {
	t.Helper()
	var s shape
	if err := json.Unmarshal(finding(t, e), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLifeOfAFinding(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		kind   string
		status tocsin.Status
		want   string // activity, type, status, alert
	}{
		{"custom.x", tocsin.Firing, "1 200401 1 true"}, {"custom.x", "", "1 200401 1 true"}, {"custom.x", tocsin.Resolved, "3 200403 4 false"},
		{tocsin.TypeIncidentAcknowledged, tocsin.Firing, "2 200402 2 false"}, {tocsin.TypeIncidentResolved, tocsin.Resolved, "3 200403 4 false"},
	} {
		e := tocsin.Event{ID: "evt", Source: "/s", Type: row.kind, Status: row.status, DedupKey: "the incident", Time: at, Data: json.RawMessage(`{"by":"ada","note":"on it"}`)}
		s := shapeOf(t, e)
		if got := fmt.Sprint(s.Activity, s.TypeUID, s.StatusID, s.IsAlert); got != row.want {
			t.Errorf("%s %s: %s, want %s", row.kind, row.status, got, row.want)
		}
		if s.Info.UID != "the incident" || s.Metadata.UID != "evt" || s.Metadata.Version != "1.9.0" || s.Time != at.UnixMilli() {
			t.Errorf("%s %s: %+v", row.kind, row.status, s)
		}
		if created := s.Info.Created == at.UnixMilli() && s.Info.Modified == 0; created != (s.Activity == 1) {
			t.Errorf("%s %s: created %d, modified %d", row.kind, row.status, s.Info.Created, s.Info.Modified)
		}
		if said := s.Detail == "Acknowledged by ada: on it" || s.Detail == "Resolved by ada: on it"; said != strings.HasPrefix(row.kind, "incident.") {
			t.Errorf("%s %s: detail %q", row.kind, row.status, s.Detail)
		}
	}
}

func TestOCSFSeverities(t *testing.T) {
	for severity, want := range map[tocsin.Severity]int{
		tocsin.SeverityNone: 0, tocsin.SeverityInfo: 1, tocsin.SeverityLow: 2, tocsin.SeverityMedium: 3, tocsin.SeverityHigh: 4, tocsin.SeverityCritical: 5,
	} {
		if got := shapeOf(t, tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Severity: severity}).Severity; got != want {
			t.Errorf("%s: %d, want %d", severity, got, want)
		}
	}
}

func TestWhatAThreatAndAnAgentShow(t *testing.T) {
	threat := shapeOf(t, integrationtest.Pick(t, "it-threat-1")[0])
	if len(threat.Evidences) != 1 || threat.Evidences[0]["src_endpoint"] == nil || threat.Evidences[0]["http_request"] == nil {
		t.Errorf("threat: %v", threat.Evidences)
	}
	own := shapeOf(t, integrationtest.Pick(t, "it-threat-own")[0])
	if own.Remediation.Desc == "" {
		t.Error("a threat with a remediation of its own: none in the finding")
	}
	agent := shapeOf(t, integrationtest.Pick(t, "it-agent")[0])
	if len(agent.Evidences) != 1 || agent.Evidences[0]["ai_agent"] == nil {
		t.Errorf("agent: %v", agent.Evidences)
	}
	if score := shapeOf(t, tocsin.Event{ID: "1", Source: "/s", Type: "risk_score.changed", Data: json.RawMessage(`{"current":78}`)}).RiskScore; score != 78 {
		t.Errorf("risk score %d, want 78", score)
	}
}

// TestNothingOfDataIsLost: it is whole under unmapped, numbers and all.
func TestNothingOfDataIsLost(t *testing.T) {
	const data = `{"n": 12345678901234567890.10,
		"s":"é\u2028<b>", "deep":{"a":[null,true]}}`
	s := shapeOf(t, tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Data: json.RawMessage(data)})
	if want := `{"n":12345678901234567890.10,"s":"é\u2028<b>","deep":{"a":[null,true]}}`; string(s.Unmapped) != want {
		t.Errorf("unmapped %s, want %s", s.Unmapped, want)
	}
	if s := shapeOf(t, tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Data: json.RawMessage(`[1]`)}); string(s.Unmapped) != `{"data":[1]}` {
		t.Errorf("unmapped %s", s.Unmapped)
	}
}

func TestMarked(t *testing.T) {
	e := tocsin.Event{ID: "1", Source: "/s", Type: "custom.x", Title: "disk full"}
	for _, title := range []string{"disk full", "[TEST] disk full"} {
		e.Title = title
		if got := shapeOf(t, *format.Marked(&e, true)).Info.Title; got != "[TEST] disk full" || e.Title != title {
			t.Errorf("%q: title %q, the event's own %q", title, got, e.Title)
		}
	}
	if format.Marked(&e, false) != &e {
		t.Error("an event that is no test is not left as it is")
	}
}
