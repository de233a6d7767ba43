package inbox_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/devserver/inbox"
)

// kit is an inbox behind a real HTTP server.
type kit struct {
	*inbox.Inbox
	t   *testing.T
	url string
}

func newKit(t *testing.T, o inbox.Options) *kit {
	t.Helper()
	in := inbox.New(o)
	server := httptest.NewServer(in)
	t.Cleanup(server.Close)
	return &kit{in, t, server.URL}
}

func (k *kit) do(method, path, body string, header ...string) (*http.Response, string) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), method, k.url+path, strings.NewReader(body))
	if err != nil {
		k.t.Fatal(err)
	}
	for n := 0; n+1 < len(header); n += 2 {
		if header[n] == "Host" {
			req.Host = header[n+1]
		}
		req.Header.Set(header[n], header[n+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		k.t.Fatal(err)
	}
	return resp, string(text)
}

func (k *kit) post(path, body string, header ...string) int {
	k.t.Helper()
	resp, _ := k.do(http.MethodPost, path, body, header...)
	return resp.StatusCode
}

func (k *kit) page(path string) string {
	k.t.Helper()
	resp, text := k.do(http.MethodGet, path, "")
	if resp.StatusCode != http.StatusOK {
		k.t.Fatalf("GET %s answers %s", path, resp.Status)
	}
	return text
}

func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("the page lacks %q", p)
		}
	}
}

const alerts = `{"type":"alerts","timestamp":"2026-03-01T10:00:00Z","data":{"webhook":"w","delivery":"dlv_1","count":2,"alerts":[` +
	`{"id":"a","title":"Prompt injection in the mail agent","severity":"medium","status":"firing"},{"id":"b","title":"Second","severity":"critical","status":"firing"}]}}`

func TestEmptyPageShowsHowToSend(t *testing.T) {
	k := newKit(t, inbox.Options{BaseURL: "http://127.0.0.1:8080"})
	mustContain(t, k.page("/inbox"), "Nothing yet", "http://127.0.0.1:8080/inbox/anything", "curl -H")
	mustContain(t, k.page("/inbox/mine"), "Nothing for mine yet", "http://127.0.0.1:8080/inbox/mine")
}

func TestPageShowsDeliveries(t *testing.T) {
	k := newKit(t, inbox.Options{})
	if status := k.post("/inbox/one", alerts, "X-Mine", "yes", "Webhook-Id", "dlv_1"); status != 200 {
		t.Fatalf("answered %d", status)
	}
	k.post("/inbox/two", `plain & simple`)
	all := k.page("/inbox")
	mustContain(t, all, "2 alerts: Prompt injection in the mail agent", "sev-critical", "x-mine", "dlv_1", "plain &amp; simple")
	one := k.page("/inbox/one")
	if strings.Contains(one, "simple") {
		t.Error("the page for one shows what came for two")
	}
	if resp, body := k.do("GET", "/inbox/_raw/1", ""); body != alerts || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("raw body: %s %q", resp.Header.Get("Content-Type"), body)
	}
}

func TestHostileTextStaysText(t *testing.T) {
	k := newKit(t, inbox.Options{})
	evil := `<script>alert(1)</script>`
	body, err := json.Marshal(map[string]any{"text": evil, "blocks": []any{
		map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": "<javascript:alert(1)|click> " + evil + " <|>"}},
		map[string]any{"type": "actions", "elements": []any{map[string]any{"type": "button", "text": map[string]any{"type": "plain_text", "text": evil}, "url": "javascript:alert(1)"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	k.post("/inbox/slack?"+url.QueryEscape(evil), string(body), "X-Evil", evil, "Webhook-Id", evil)
	k.post("/inbox/other", evil)
	resp, page := k.do("GET", "/inbox", "")
	if strings.Contains(page, evil) || strings.Contains(page, `href="javascript`) {
		t.Error("attacker text reaches the page unescaped")
	}
	policy := resp.Header.Get("Content-Security-Policy")
	mustContain(t, policy, "default-src 'none'", "script-src 'nonce-", "frame-ancestors 'none'", "form-action 'self'")
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if strings.Contains(page, " style=") || strings.Contains(page, " onclick=") {
		t.Error("the page has inline code that its policy forbids")
	}
}

func TestSlackIsPreviewed(t *testing.T) {
	k := newKit(t, inbox.Options{})
	resp, answer := k.do("POST", "/inbox/slack", `{"text":"Fallback","attachments":[{"color":"#d00000","blocks":[
		{"type":"header","text":{"type":"plain_text","text":"Tool &amp; agent"}},
		{"type":"section","text":{"type":"mrkdwn","text":"*bold* and snake_case_name <https://example.com/a|details> <!here>"},"fields":[{"type":"mrkdwn","text":"*Severity*\nhigh"}]}]}]}`)
	if resp.StatusCode != 200 || answer != "ok" {
		t.Errorf("answered %d %q, Slack says 200 ok", resp.StatusCode, answer)
	}
	mustContain(t, k.page("/inbox"), `<h3 class="att danger">Tool &amp; agent</h3>`, "<b>bold</b>", "snake_case_name",
		`href="https://example.com/a"`, ">details</a>", `<span class="mention">@here</span>`, "<b>Severity</b>\nhigh")
}

func TestSignatures(t *testing.T) {
	now := time.Now()
	k := newKit(t, inbox.Options{Now: func() time.Time { return now }})
	secret := "whsec_" + base64.StdEncoding.EncodeToString([]byte("a secret of thirty-two bytes ...."))
	if err := k.Expect("known", tocsin.NewSecret(secret)); err != nil {
		t.Fatal(err)
	}
	signer, err := standard.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	send := func(name string, at time.Time, body string) inbox.Signature {
		t.Helper()
		signature, err := signer.Sign("dlv_1", at, []byte(alerts))
		if err != nil {
			t.Fatal(err)
		}
		k.post("/inbox/"+name, body, "webhook-id", "dlv_1", "webhook-timestamp", fmt.Sprint(at.Unix()), "webhook-signature", "v1,b2xk "+signature)
		return k.Deliveries(name)[0].Signature
	}
	got := []inbox.Signature{
		send("known", now, alerts), send("known", now, alerts+" "), send("known", now.Add(-time.Hour), alerts), send("stranger", now, alerts),
	}
	k.post("/inbox/known", alerts)
	got = append(got, k.Deliveries("known")[0].Signature)
	want := []inbox.Signature{inbox.Verified, inbox.WrongKey, inbox.OutOfDate, inbox.Unknown, inbox.Unsigned}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := k.Expect("known", tocsin.NewSecret("no secret")); err == nil || strings.Contains(err.Error(), "no secret") {
		t.Errorf("a malformed secret gives %v", err)
	}
}

func TestModes(t *testing.T) {
	k := newKit(t, inbox.Options{})
	mode := func(form string, header ...string) int {
		return k.post("/inbox/_mode", form, append(header, "Content-Type", "application/x-www-form-urlencoded")...)
	}
	if status := mode("status=503&times=2&retry_after=7"); status != 200 {
		t.Fatalf("setting the mode answers %d", status)
	}
	mustContain(t, k.page("/inbox"), "Retry-After 7 s", "2 more times")
	first, _ := k.do("POST", "/inbox/a", "1", "Webhook-Id", "same")
	if got := first.Header.Get("Retry-After"); first.StatusCode != 503 || got != "7" {
		t.Errorf("answered %d, Retry-After %q", first.StatusCode, got)
	}
	got := []int{k.post("/inbox/b", "2"), k.post("/inbox/a", "3", "Webhook-Id", "same")}
	mode("name=a&status=410")
	got = append(got, k.post("/inbox/a", "4"), k.post("/inbox/a", "5"), k.post("/inbox/b", "6"), k.post("/inbox/b?fail=429", "7"))
	mode("name=a&status=200")
	got = append(got, k.post("/inbox/a", "8"))
	if diff := cmp.Diff([]int{503, 200, 410, 410, 200, 429, 200}, got); diff != "" {
		t.Error(diff)
	}
	second := k.Deliveries("a")[3]
	if second.Body != "3" || second.Attempt != 2 {
		t.Errorf("the second try is %+v", second)
	}

	if status := mode("status=drop&times=1", "Accept", "text/html"); status != http.StatusSeeOther {
		t.Errorf("the form's answer is %d", status)
	}
	if resp, err := http.Post(k.url+"/inbox/a", "text/plain", strings.NewReader("9")); err == nil {
		t.Errorf("a dropped request was answered: %s", resp.Status)
	}
	if d := k.Deliveries("a")[0]; d.Body != "9" || d.Status != 0 {
		t.Errorf("the dropped request is kept as %+v", d)
	}

	for form, want := range map[string]string{"status=99": "status", "status=503&times=-1": "times", "status=503&name=../x": "name"} {
		if resp, text := k.do("POST", "/inbox/_mode", form, "Content-Type", "application/x-www-form-urlencoded"); resp.StatusCode != 422 || !strings.Contains(text, want) {
			t.Errorf("%s answers %d %q", form, resp.StatusCode, text)
		}
	}
}

func TestOtherPagesCannotSteer(t *testing.T) {
	k := newKit(t, inbox.Options{Hosts: []string{"127.0.0.1", "localhost"}})
	for _, path := range []string{"/inbox/_mode", "/inbox/_clear"} {
		if got := k.post(path, "status=503", "Content-Type", "application/x-www-form-urlencoded", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); got != http.StatusForbidden {
			t.Errorf("POST %s from another page answers %d", path, got)
		}
	}
	if resp, _ := k.do("GET", "/inbox.json", "", "Host", "rebound.example"); resp.StatusCode != http.StatusMisdirectedRequest {
		t.Errorf("another host's name answers %s", resp.Status)
	}
}

func TestKeepsABoundedNumber(t *testing.T) {
	k := newKit(t, inbox.Options{Keep: 3, KeepBytes: 64 << 10})
	for n := range 5 {
		k.post("/inbox/n", fmt.Sprint(n))
	}
	bodies := func() (all []string) {
		for _, d := range k.Deliveries("") {
			all = append(all, d.Body[:1])
		}
		return all
	}
	if diff := cmp.Diff([]string{"4", "3", "2"}, bodies()); diff != "" {
		t.Error(diff)
	}
	k.post("/inbox/n", "x"+strings.Repeat("y", 60<<10))
	k.post("/inbox/n", "z"+strings.Repeat("y", 70<<10))
	if diff := cmp.Diff([]string{"z"}, bodies()); diff != "" {
		t.Error(diff)
	}
	mustContain(t, k.page("/inbox"), "The rest is in the body as it came")
	if got := k.post("/inbox/n", strings.Repeat("x", inbox.MaxBody+1)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the limit answers %d", got)
	}
}

func TestPageStaysSmall(t *testing.T) {
	k := newKit(t, inbox.Options{})
	for n := range 70 {
		k.post("/inbox/n", fmt.Sprintf("body-%02d.", n))
		k.post("/inbox/other", "x")
	}
	count := func(page string) int { return strings.Count(page, `<details class="delivery"`) }
	all, first := k.page("/inbox"), k.page("/inbox/n")
	if count(all) != 30 || count(first) != 30 {
		t.Errorf("the pages show %d and %d deliveries, want 30", count(all), count(first))
	}
	seen, pages := 0, 0
	older := regexp.MustCompile(`href="(\?before=\d+)"`)
	for page := first; ; pages++ {
		for n := range count(page) {
			mustContain(t, page, fmt.Sprintf("body-%02d.", 69-seen-n))
		}
		seen += count(page)
		next := older.FindStringSubmatch(page)
		if next == nil {
			break
		}
		page = k.page("/inbox/n" + next[1])
		mustContain(t, page, `<a href="?">Latest</a>`)
	}
	if seen != 70 || pages != 2 {
		t.Errorf("%d deliveries on %d further pages, want 70 on 2", seen, pages)
	}
}

func TestJSONForPrograms(t *testing.T) {
	k := newKit(t, inbox.Options{})
	for _, name := range []string{"a", "b", "a"} {
		k.post("/inbox/"+name, alerts, "Webhook-Id", "dlv_"+name)
	}
	var got struct {
		Received   int
		Deliveries []inbox.Delivery
	}
	if err := json.Unmarshal([]byte(k.page("/inbox.json?name=a&limit=1")), &got); err != nil {
		t.Fatal(err)
	}
	if got.Received != 3 || len(got.Deliveries) != 1 || got.Deliveries[0].Seq != 3 || got.Deliveries[0].WebhookID != "dlv_a" || got.Deliveries[0].Body != alerts {
		t.Errorf("got %+v", got)
	}
	if status := k.post("/inbox/_mine", "x"); status != http.StatusNotFound {
		t.Errorf("a name with a leading underscore answers %d", status)
	}
	if status := k.post("/inbox/_clear", ""); status != http.StatusSeeOther || len(k.Deliveries("")) != 0 {
		t.Errorf("clearing answers %d and leaves %d", status, len(k.Deliveries("")))
	}
}
