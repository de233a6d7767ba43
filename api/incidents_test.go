package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

func TestIncidents(t *testing.T) {
	k := newKit(t)
	k.create("pager", `, "events": ["none"]`)
	k.create("soc", `, "escalate": [{"to": "pager"}, {"to": "pager", "after": "30m", "unless": "acknowledged"}]`)
	type incident struct {
		tocsin.Incident
		Steps []struct {
			tocsin.IncidentStep
			Webhook string
			ToName  string `json:"to_name"`
		} `json:"steps"`
	}
	var page struct {
		Items []incident
		Next  string
	}
	k.want(http.StatusOK, &page, "GET", "/v1/incidents", "")
	if page.Items == nil || len(page.Items) != 0 {
		t.Errorf("got %+v, want an empty list", page)
	}
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", "["+event("one", `, "dedup_key": "a"`)+","+event("two", `, "dedup_key": "b"`)+"]")
	k.want(http.StatusOK, &page, "GET", "/v1/incidents?limit=1&state=unresolved", "")
	if len(page.Items) != 1 || page.Next == "" {
		t.Fatalf("got %+v", page)
	}
	k.want(http.StatusOK, &page, "GET", "/v1/incidents?dedup_key=a&state=open&since=2020-01-01T00:00:00Z&until=2100-01-01T00:00:00Z", "")
	if len(page.Items) != 1 || page.Items[0].DedupKey != "a" || len(page.Items[0].Steps) != 2 || page.Items[0].Steps[0].ToName != "pager" || page.Items[0].Steps[1].Webhook != "soc" {
		t.Fatalf("got %+v", page)
	}
	path := "/v1/incidents/" + page.Items[0].ID

	var i incident
	k.want(http.StatusOK, &i, "POST", path+"/acknowledge", `{"note": "on it"}`)
	if i.State != tocsin.IncidentAcknowledged || i.AcknowledgedBy != "root" || i.Steps[1].State != tocsin.StepSkipped {
		t.Errorf("got %+v", i)
	}
	if e := k.entry("incident.acknowledge", tocsin.AuditDone); e.Object != i.ID || !strings.Contains(string(e.Before), `"open"`) || !strings.Contains(string(e.After), `"acknowledged"`) {
		t.Errorf("got %+v", e)
	}
	k.want(http.StatusOK, &i, "POST", path+"/acknowledge", "")
	k.want(http.StatusOK, &i, "POST", path+"/resolve", `{}`)
	if i.State != tocsin.IncidentResolved || i.ResolvedBy != "root" {
		t.Errorf("got %+v", i)
	}
	k.entry("incident.resolve", tocsin.AuditDone)
	k.want(http.StatusOK, &i, "GET", path, "")
	if i.ResolvedAt == nil {
		t.Errorf("got %+v", i)
	}
	var told tocsin.Event
	k.want(http.StatusOK, &told, "GET", "/v1/events/%2Ftocsin/incident.acknowledged%2F"+i.ID, "")
	if told.Summary != "on it" {
		t.Errorf("got %+v", told)
	}
}

func TestIncidentsThatAreRefused(t *testing.T) {
	k := newKit(t)
	k.create("pager", `, "events": ["none"]`)
	k.create("soc", `, "escalate": [{"to": "pager"}]`)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("one", ""))
	var page struct{ Items []tocsin.Incident }
	k.want(http.StatusOK, &page, "GET", "/v1/incidents", "")
	path := "/v1/incidents/" + page.Items[0].ID
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/incidents?state=closed", "").says(t, "state")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/incidents?webhook=soc", "").says(t, "webhook")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "GET", "/v1/incidents/inc_none", "")
	k.refused(http.StatusNotFound, tocsin.CodeNotFound, "POST", "/v1/incidents/inc_none/resolve", "")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path+"/resolve", `{"notes": "x"}`).says(t, "notes")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path+"/resolve", `{"note": 7}`).says(t, "note")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "POST", path+"/resolve", `{"note": "`+strings.Repeat("x", 5000)+`"}`).says(t, "note")
	k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", path+"/resolve", `[]`)
	k.refused(http.StatusBadRequest, tocsin.CodeMalformed, "POST", path+"/resolve", `null`)
	k.want(http.StatusOK, nil, "POST", path+"/resolve", "")
	k.refused(http.StatusConflict, tocsin.CodeConflict, "POST", path+"/acknowledge", "")
	k.entry("incident.acknowledge", tocsin.AuditRefused)
	k.key = k.newKey("see", "read")
	k.refused(http.StatusForbidden, tocsin.CodeForbidden, "POST", path+"/resolve", "")
	k.want(http.StatusOK, &page, "GET", "/v1/incidents", "")
}
