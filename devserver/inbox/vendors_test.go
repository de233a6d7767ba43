package inbox_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net"
	"net/http"
	"net/smtp"
	"strings"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/devserver/inbox"
)

func TestVendorsAreAnsweredInTheirWords(t *testing.T) {
	k := newKit(t, inbox.Options{})
	for _, row := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", "slack-bot/api/chat.postMessage", `{"channel":"C1","text":"x"}`, 200, `"channel":"C1"`},
		{"POST", "slack-bot/api/chat.update", `{"channel":"C1","ts":"17.5"}`, 200, `"ts":"17.5"`},
		{"POST", "slack-bot/api/auth.test", ``, 200, `"ok":true`},
		{"POST", "pagerduty/v2/enqueue", `{"dedup_key":"k","payload":{"summary":"x"}}`, 202, `"dedup_key":"k"`},
		{"POST", "jira/rest/api/2/issue", `{"fields":{"summary":"x"}}`, 201, `"key":"INBOX-1"`},
		{"POST", "jira/rest/api/2/issue/bulk", `{"issueUpdates":[{},{}]}`, 201, `"key":"INBOX-3"`},
		{"GET", "jira/rest/api/2/issue/INBOX-1/transitions", ``, 200, `"name":"Done"`},
		{"POST", "jira/rest/api/2/issue/INBOX-1/transitions", `{"transition":{"id":"31"}}`, 204, ``},
		{"GET", "jira/rest/api/2/issue/INBOX-1/transitions", ``, 200, `"name":"Reopen"`},
		{"GET", "jira/rest/api/2/issue/INBOX-1", ``, 200, `"key":"done"`},
		{"POST", "jira/rest/api/2/issue/INBOX-1/comment", `{"body":"x"}`, 201, `"id"`},
		{"GET", "jira/rest/api/2/search/jql", ``, 200, `"issues":[]`},
		{"POST", "splunk/services/collector/event", `{"event":{"title":"x"}}`, 200, `"code":0`},
		{"POST", "splunk/services/collector/event", ``, 400, `"code":5`},
		{"POST", "elasticsearch/_bulk", "{\"create\":{\"_id\":\"a\"}}\n{}\n{\"create\":{\"_id\":\"b\"}}\n{}\n", 200, `"_id":"b"`},
		{"GET", "elasticsearch/", ``, 200, `"cluster_name"`},
		{"POST", "sentinel/tenant/oauth2/v2.0/token", `grant_type=client_credentials`, 200, `"access_token"`},
		{"POST", "sentinel/dataCollectionRules/dcr-1/streams/Custom-x", `[{}]`, 204, ``},
		{"POST", "datadog/api/v2/logs", `[{}]`, 202, `{}`},
		{"POST", "jira/rest/api/9/issue", ``, 404, `no vendor's API`},
	} {
		resp, body := k.do(row.method, "/inbox/"+row.path, row.body)
		if resp.StatusCode != row.status || !strings.Contains(body, row.want) {
			t.Errorf("%s %s: %d %s, want %d with %s", row.method, row.path, resp.StatusCode, body, row.status, row.want)
		}
	}
	for _, d := range k.Deliveries("") {
		if d.Method == http.MethodGet {
			t.Errorf("a question was kept as a delivery: %s", d.URL)
		}
	}
	k.SetMode(inbox.Mode{Name: "pagerduty", Status: 429, RetryAfter: 7})
	if resp, _ := k.do("POST", "/inbox/pagerduty/v2/enqueue", `{}`); resp.StatusCode != 429 || resp.Header.Get("Retry-After") != "7" {
		t.Errorf("told to fail: %d", resp.StatusCode)
	}
}

func TestBodiesAreShownUnpacked(t *testing.T) {
	k := newKit(t, inbox.Options{})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, `{"event":{"title":"packed"}}{"event":{"title":"two"}}`)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if resp, body := k.do("POST", "/inbox/splunk/services/collector/event", packed.String(), "Content-Encoding", "gzip"); resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, body)
	}
	d := k.Deliveries("splunk")[0]
	if !strings.HasPrefix(d.Body, `{"event"`) || d.Bytes != packed.Len() {
		t.Errorf("%d bytes, body %q", d.Bytes, d.Body)
	}
	if resp, _ := k.do("POST", "/inbox/splunk/services/collector/event", "not gzip", "Content-Encoding", "gzip"); resp.StatusCode != 400 {
		t.Errorf("a body that cannot be unpacked: %d", resp.StatusCode)
	}
}

// TestThePageShowsWhatPeopleWouldSee sends one of each, with hostile text in it.
func TestThePageShowsWhatPeopleWouldSee(t *testing.T) {
	k := newKit(t, inbox.Options{})
	const hostile = `<script>alert(1)</script>`
	for path, body := range map[string]string{
		"teams": `{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"body":[
			{"type":"TextBlock","weight":"Bolder","text":"card \\*title\\* ` + hostile + `"},{"type":"Container","items":[{"type":"RichTextBlock","inlines":[{"type":"TextRun","text":"Severity: ","weight":"bolder"},{"type":"TextRun","text":"*high*"}]}]},{"type":"FactSet","facts":[{"title":"Actor","value":"eve"}]},
			{"type":"ActionSet","actions":[{"title":"Open","url":"javascript:alert(1)"},{"title":"Fine","url":"https://h.example/"}]}]}}]}`,
		"pagerduty/v2/enqueue":            `{"event_action":"trigger","payload":{"summary":"page me ` + hostile + `"}}`,
		"jira/rest/api/2/issue":           `{"fields":{"summary":"a ticket"}}`,
		"jira/rest/api/2/issue/bulk":      `{"issueUpdates":[{"fields":{"summary":"bulk one"}},{"fields":{"summary":"x"}}]}`,
		"splunk/services/collector/event": `{"event":{"title":"hec one"}}{"event":{"title":"hec two"}}`,
		"elasticsearch/_bulk":             "{\"create\":{}}\n{\"title\":\"indexed\"}\n",
		"ocsf":                            `[{"finding_info":{"title":"a finding"}}]`,
		"datadog/api/v2/logs":             `[{"message":"a log"},{"message":"b"}]`,
	} {
		if resp, body := k.do("POST", "/inbox/"+path, body); resp.StatusCode >= 300 {
			t.Fatalf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	_, page := k.do("GET", "/inbox", "")
	for _, want := range []string{
		"card *title* &lt;script&gt;", "<b>Actor</b> eve", "<b>Severity: </b>*high*", `href="https://h.example/"`, "trigger: page me", ">a ticket<", "2 tickets: bulk one", ">hec one<",
		">indexed<", ">a finding<", "2 events: a log",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %s", want)
		}
	}
	if strings.Contains(page, hostile) || strings.Contains(page, `href="javascript`) {
		t.Error("something hostile is on the page as it came")
	}
}

func TestMailAndSyslogArrive(t *testing.T) {
	k := newKit(t, inbox.Options{})
	addr, closed, err := k.ListenSMTP("email", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	mail := "From: a@h.example\r\nTo: b@h.example\r\nSubject: =?utf-8?q?It_b=C3=BCrns?=\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: multipart/alternative; boundary=B\r\n\r\n--B\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" +
		"fire =3D hot\r\n--B\r\nContent-Type: text/html\r\n\r\n<b>not shown</b>\r\n--B--\r\n"
	if err := smtp.SendMail(addr, nil, "a@h.example", []string{"b@h.example"}, []byte(mail)); err != nil {
		t.Fatal(err)
	}
	_, page := k.do("GET", "/inbox/email", "")
	for _, want := range []string{"It bürns", "fire = hot"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not show %q of a mail", want)
		}
	}
	k.SetMode(inbox.Mode{Name: "email", Status: 503})
	if err := smtp.SendMail(addr, nil, "a@h.example", []string{"b@h.example"}, []byte(mail)); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("told to fail: %v", err)
	}
	if err := closed(); err != nil {
		t.Errorf("closing: %v", err)
	}

	addr, closed, err = k.ListenSyslog("syslog", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprint(conn, "8 <14>1 ab9 <14>1 abc"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.After(10 * time.Second); len(k.Deliveries("syslog")) < 2; {
		select {
		case <-deadline:
			t.Fatalf("%d messages arrived, want 2", len(k.Deliveries("syslog")))
		case <-time.After(time.Millisecond):
		}
	}
	if got := k.Deliveries("syslog")[0].Body; got != "<14>1 abc" {
		t.Errorf("the second message is %q", got)
	}
	if err := closed(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives the listener")
	}
}
