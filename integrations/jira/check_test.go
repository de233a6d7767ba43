package jira_test

import (
	"net/http"
	"strings"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// check asks the fake what the configuration comes to.
func (f *fake) check(settings string) (string, []tocsin.Exchange, error) {
	f.t.Helper()
	return f.open(settings).sender.(tocsin.Checker).Check(f.t.Context())
}

func TestCheck(t *testing.T) {
	both(t, func(t *testing.T, f *fake) {
		found, exchanges, err := f.check("")
		if err != nil || found != "creates tickets of type Task in project SEC as Tocsin Bot" || len(exchanges) != 3 || len(f.issues) != 0 {
			t.Errorf("got %q, %d exchanges, %v", found, len(exchanges), err)
		}
		f.offScreen = []string{"labels", "priority"}
		if found, _, err := f.check(`"issue_type":"bug"`); err != nil || found != "creates tickets of type Bug in project SEC as Tocsin Bot, without labels, which the create screen does not have" {
			t.Errorf("got %q, %v", found, err)
		}
		f.required = map[string]string{"customfield_10042": "Team"}
		if _, _, err := f.check(""); tocsin.Classify(err).Fault != tocsin.FaultWebhook || !strings.Contains(err.Error(), "customfield_10042 (Team)") {
			t.Errorf("a required field: got %v", err)
		}
		if _, _, err := f.check(`"custom_fields":{"customfield_10042":"x"}`); err != nil {
			t.Errorf("a required field that is set: %v", err)
		}
		if _, _, err := f.check(`"issue_type":"Incident"`); tocsin.Classify(err).Fault != tocsin.FaultWebhook || !strings.Contains(err.Error(), "it has: Task, Bug") {
			t.Errorf("another issue type: got %v", err)
		}
		f.auth = "other"
		if _, exchanges, err := f.check(""); tocsin.Classify(err).Fault != tocsin.FaultWebhook || len(exchanges) != 1 {
			t.Errorf("a wrong token: got %v", err)
		}
	})
}

// TestCheckOfAnOldServer: before 8.4 the project itself says its issue types.
func TestCheckOfAnOldServer(t *testing.T) {
	f := newFake(t, false)
	f.fail = func(r *http.Request) (int, http.Header, string) {
		switch {
		case strings.Contains(r.URL.Path, "createmeta"):
			return 404, nil, "null for uri"
		case r.URL.Path == "/rest/api/2/project/SEC":
			return 200, nil, `{"key":"SEC","issueTypes":[{"id":"1","name":"Task"}]}`
		}
		return 0, nil, ""
	}
	if found, _, err := f.check(""); err != nil || found != "creates tickets of type Task in project SEC as Tocsin Bot" {
		t.Errorf("got %q, %v", found, err)
	}
}
