package jira_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
)

// TestJirasWords: whose fault each refusal is, and what it is called.
func TestJirasWords(t *testing.T) {
	said := func(text string) string { return `{"errorMessages":[],"errors":{` + text + `}}` }
	for _, row := range []struct {
		status int
		header http.Header
		body   string
		want   tocsin.Fault
		unsure bool
		words  string
	}{
		{400, nil, said(`"summary":"You must specify a summary of the issue."`), tocsin.FaultEvent, false, "400 Bad Request: summary: You must specify"},
		{400, nil, said(`"description":"The entered text is too long. It exceeds the allowed limit of 32,767 characters."`), tocsin.FaultEvent, false, "description: The entered"},
		{400, nil, said(`"project":"valid project is required"`), tocsin.FaultWebhook, false, "project: valid project is required"},
		{400, nil, said(`"issuetype":"The issue type selected is invalid."`), tocsin.FaultWebhook, false, "issuetype:"},
		{400, nil, said(`"components":"Component name 'x' is not valid"`), tocsin.FaultWebhook, false, "components:"},
		{400, nil, said(`"assignee":"User 'x' does not exist."`), tocsin.FaultWebhook, false, "assignee:"},
		{400, nil, said(`"customfield_1":"Team is required."`), tocsin.FaultWebhook, false, "customfield_1: Team is required."},
		{400, nil, said(`"customfield_1":"Team is required.","summary":"no"`), tocsin.FaultWebhook, false, "customfield_1: Team is required.; summary: no"},
		{400, nil, `{"errorMessages":["INVALID_INPUT"],"errors":{}}`, tocsin.FaultEvent, false, "400 Bad Request: INVALID_INPUT"},
		{401, http.Header{"X-Seraph-Loginreason": {"AUTHENTICATED_FAILED"}}, "Basic authentication with passwords is deprecated.", tocsin.FaultWebhook, false, "look at deployment, email and token"},
		{403, http.Header{"X-Seraph-Loginreason": {"AUTHENTICATION_DENIED"}}, "", tocsin.FaultWebhook, false, "CAPTCHA"},
		{404, nil, `{"errorMessages":["Site temporarily unavailable"]}`, tocsin.FaultWebhook, false, "Site temporarily unavailable"},
		{410, nil, `{"errorMessages":["The requested API has been removed."]}`, tocsin.FaultWebhook, false, "removed this part of its API"},
		{429, http.Header{"Retry-After": {"9"}}, "", tocsin.FaultRetry, false, "429 Too Many Requests"},
		{503, http.Header{"Retry-After": {"9"}}, "", tocsin.FaultRetry, true, "503"},
		{200, nil, "<html>log in</html>", tocsin.FaultWebhook, true, "may not be Jira's address"},
		{201, nil, `{"id":"../../x","key":"a b"}`, tocsin.FaultWebhook, true, "may not be Jira's address"},
	} {
		for _, events := range [][]tocsin.Event{{event("a", 1)}, {event("a", 1), event("b", 1)}} {
			f := newFake(t, true)
			f.fail = func(*http.Request) (int, http.Header, string) { return row.status, row.header, row.body }
			o := f.open("").send(events...)
			err := o.err
			if o.Results != nil {
				err = o.Results[1].Err
			}
			fail := tocsin.Classify(err)
			if fail.Fault != row.want || fail.Unsure != row.unsure || !strings.Contains(err.Error(), row.words) {
				t.Errorf("%d %s for %d events: got %+v (%v), want %s, unsure %v, %q", row.status, row.body, len(events), fail, err, row.want, row.unsure, row.words)
			}
			if want := 9 * time.Second; row.header.Get("Retry-After") != "" && fail.After != want {
				t.Errorf("%d: wait %s, want %s", row.status, fail.After, want)
			}
		}
	}
}

// TestARefusedBulkIsTriedOneByOne: a whole request that is refused says nothing of which
// ticket is to blame.
func TestARefusedBulkIsTriedOneByOne(t *testing.T) {
	f := newFake(t, true)
	f.fail = func(r *http.Request) (int, http.Header, string) {
		if strings.HasSuffix(r.URL.Path, "/bulk") {
			return 413, nil, ""
		}
		return 0, nil, ""
	}
	w := f.open("")
	bad := event("b", 1)
	bad.Title = "poison"
	o := w.send(event("a", 1), bad, event("c", 1))
	if diff := cmp.Diff([]tocsin.Fault{"", tocsin.FaultEvent, ""}, o.faults(3)); diff != "" {
		t.Errorf("%v; faults (-want +got):\n%s", o.err, diff)
	}
	f.want("POST issue/bulk", "POST issue", "POST issue", "POST issue")
}

// TestBulkAnswersThatDoNotAddUp: tickets that cannot be told apart are looked for, and none
// is taken for another's.
func TestBulkAnswersThatDoNotAddUp(t *testing.T) {
	for _, body := range []string{
		`{"issues":[{"id":"10001"}]}`, `{"issues":[{"id":"10001"},{"id":"10002"},{"id":"10003"}]}`, `{"issues":[{"id":"10001"},{"id":""}]}`,
		`{"issues":[{"id":"10001"}],"errors":[{"status":400,"failedElementNumber":2}]}`, `{"issues":[{"id":"10001"}],"errors":[{"status":400}]}`,
		`{"issues":[],"errors":[{"status":400,"failedElementNumber":0},{"status":400,"failedElementNumber":0}]}`,
	} {
		f := newFake(t, false)
		f.fail = func(r *http.Request) (int, http.Header, string) {
			if strings.HasSuffix(r.URL.Path, "/bulk") {
				return 201, nil, body
			}
			return 0, nil, ""
		}
		w := f.open("")
		o := w.send(event("a", 1), event("b", 1))
		if fail := tocsin.Classify(o.err); fail.Fault != tocsin.FaultRetry || !fail.Unsure {
			t.Errorf("%s: got %+v (%v), want something unsure", body, fail, o.err)
		}
		f.take()
		w.now = w.now.Add(time.Hour)
		w.attempt(true, true, event("a", 1), event("b", 1))
		if got := f.take(); len(got) == 0 || got[0] != "GET search" {
			t.Errorf("%s: then %q, want a search first", body, got)
		}
	}
}

// TestAPartSplitOffRemembersItsDoubt: the second request's answer is lost. What is left
// becomes a delivery of its own, of which no attempt is known; the refs know.
func TestAPartSplitOffRemembersItsDoubt(t *testing.T) {
	f := newFake(t, false)
	w := f.open("")
	count := 0
	f.lose = func(*http.Request) bool { count++; return count == 2 }
	var events []tocsin.Event
	for _, key := range strings.Split("abcdefghijklmn", "") {
		events = append(events, event(key, 1))
	}
	o := w.send(events...)
	if got := o.faults(14); o.err != nil || got[9] != "" || got[10] != tocsin.FaultRetry || got[13] != tocsin.FaultRetry {
		t.Fatalf("%v: %v", o.err, got)
	}
	w.now = w.now.Add(2 * time.Minute)
	w.good(w.attempt(false, true, events[10:]...))
	if len(f.issues) != 14 {
		t.Errorf("%d tickets, want 14", len(f.issues))
	}
}

// TestAnEventIsToldOnce: sent again, the last event of a ticket adds nothing.
func TestAnEventIsToldOnce(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	for _, e := range []tocsin.Event{event("k", 1), event("k", 1), event("k", 2), event("k", 2)} {
		w.good(w.send(e))
	}
	if n := len(f.issues[0].comments); n != 1 {
		t.Errorf("%d comments, want 1", n)
	}
}

// TestTheWrongDeployment: a Cloud site that is called Data Center. The search was removed
// there; that does not disable the webhook.
func TestTheWrongDeployment(t *testing.T) {
	f := newFake(t, true)
	f.auth = "Bearer " + token
	w := f.open(`"deployment":"datacenter","email":null`)
	o := w.attempt(true, true, event("k", 1))
	if fail := tocsin.Classify(o.err); fail.Fault != tocsin.FaultWebhook || !strings.Contains(o.err.Error(), "deployment may be wrong") {
		t.Errorf("got %+v (%v)", fail, o.err)
	}
}

// TestNoTimeIsLeft: the rest waits for the next attempt, and what was done is known.
func TestNoTimeIsLeft(t *testing.T) {
	f := newFake(t, true)
	w := f.open("")
	n := integrationtest.Notify(event("k", 1), event("k", 2))
	ctx, cancel := context.WithTimeout(t.Context(), 1900*time.Millisecond) // less than another request is given
	defer cancel()
	receipt, err := w.sender.Send(ctx, n)
	if err != nil || receipt.Results[0].Err != nil || receipt.Results[1].Err == nil || receipt.Refs["k"] == nil {
		t.Fatalf("got %+v, %v; want the first accepted and the second to come", receipt, err)
	}
	if fail := tocsin.Classify(receipt.Results[1].Err); fail.Fault != tocsin.FaultRetry || fail.Unsure {
		t.Errorf("got %+v", fail)
	}
	f.want("POST issue")
}

// TestAnswersMayRepeatSecrets: what Jira says of one ticket among others is shown without.
func TestAnswersMayRepeatSecrets(t *testing.T) {
	f := newFake(t, true)
	f.fail = func(*http.Request) (int, http.Header, string) {
		return 400, nil, `{"issues":[],"errors":[{"status":400,"failedElementNumber":0,"elementErrors":{"errorMessages":["` + token + `"],"errors":{"summary":"` + token + `"}}},
			{"status":400,"failedElementNumber":1,"elementErrors":{"errorMessages":[],"errors":{"project":"` + token + `"}}}]}`
	}
	o := f.open("").send(event("a", 1), event("b", 1))
	for _, r := range o.Results {
		if r.Err == nil || strings.Contains(r.Err.Error(), token) || !strings.Contains(r.Err.Error(), "[redacted]") {
			t.Errorf("the error is %v", r.Err)
		}
	}
}

func TestCertificatesOfYourOwn(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(yes))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // the refusal is what is tested
	server.StartTLS()
	defer server.Close()
	f := &fake{t: t, Server: server}
	if o := f.open("").send(event("k", 1)); o.err == nil || !strings.Contains(o.err.Error(), "certificate") {
		t.Errorf("without them: got %v", o.err)
	}
	w := f.open(`"ca_cert":` + quoted(certificate(server)))
	w.good(w.send(event("k", 1)))
}
