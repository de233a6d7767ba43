package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/proto"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

// control is no secret: it must be found wherever secrets are looked for.
const control = "control-not-a-secret"

// planted returns secrets for webhooks, each of which can be told from all others.
func planted() canaries {
	return canaries{
		"header value":   tocsin.NewID("CANARYheader"),
		"bearer token":   tocsin.NewID("CANARYbearer"),
		"query token":    tocsin.NewID("CANARYquery") + "/+=",
		"URL query":      tocsin.NewID("CANARYurlquery"),
		"Slack URL":      tocsin.NewID("CANARYslack"),
		"signing secret": base64.StdEncoding.EncodeToString([]byte(tocsin.NewID("CANARYsign"))),
		"second secret":  base64.StdEncoding.EncodeToString([]byte(tocsin.NewID("CANARYolds"))),
		"changed header": tocsin.NewID("CANARYchanged"),
		"refused header": tocsin.NewID("CANARYrefused"),
		"URL password":   tocsin.NewID("CANARYpassword"),
		"wrong key":      "tok_" + tocsin.NewID("CANARYwrongkey"),
	}
}

// echo is a receiver that says back whatever it was told: in its answer's body, in its
// headers, and in where it redirects to.
func echo(t *testing.T, heard *capture) *httptest.Server {
	t.Helper()
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		said := fmt.Sprintf("%s %s %v %s", r.Method, r.URL, r.Header, body)
		heard.add("receiver", []byte(said))
		for name, values := range r.Header {
			w.Header()["X-Echo-"+name] = values
		}
		w.Header().Set("X-Url", r.URL.String())
		kind, slack, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		switch kind {
		case "ok":
			if slack != "" {
				said = "ok" // the one word that Slack says when all is well
			}
		case "fail":
			w.WriteHeader(http.StatusInternalServerError)
		case "refuse":
			w.WriteHeader(http.StatusUnauthorized)
		case "reject":
			w.WriteHeader(http.StatusBadRequest)
		case "redirect":
			w.Header().Set("Location", r.URL.String()+"&and="+url.QueryEscape(r.Header.Get("X-Token")))
			w.WriteHeader(http.StatusFound)
		case "hang":
			select {
			case <-over:
			case <-r.Context().Done():
			}
			return
		case "cut":
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		_, _ = io.WriteString(w, said) // a caller that left hears nothing
	}))
	t.Cleanup(func() {
		close(over)
		server.Close()
	})
	return server
}

// kinds are the ways in which the echo answers.
var kinds = []string{"ok", "fail", "refuse", "reject", "redirect", "hang", "cut"}

// configs are webhooks with a secret in every place that takes one, by name.
func configs(secret canaries, receiver string) map[string]map[string]any {
	all := map[string]map[string]any{}
	for _, kind := range kinds {
		all[kind] = map[string]any{"name": kind, "channel": "webhook", "frequency": "instant", "batch_size": 1, "labels": map[string]string{"note": control}, "config": map[string]any{
			"url":            receiver + "/" + kind + "?access=" + url.QueryEscape(secret["URL query"]),
			"headers":        map[string]string{"X-Token": secret["header value"], "Authorization": "Bearer " + secret["bearer token"]},
			"query":          map[string]string{"token": secret["query token"]},
			"signing_secret": []string{"whsec_" + secret["signing secret"], "whsec_" + secret["second secret"]},
		}}
		all["slack-"+kind] = map[string]any{"name": "slack-" + kind, "channel": "slack", "frequency": "instant", "config": map[string]any{
			"url": receiver + "/" + kind + "/services/T000/B000/" + secret["Slack URL"],
		}}
	}
	return all
}

// wrong are changes that are refused although, or because, there is a secret in them.
func wrong(secret canaries, receiver string) map[string]string {
	config := func(format string, args ...any) string {
		return `{"name": "wrong", "channel": "webhook", "config": ` + fmt.Sprintf(format, args...) + `}`
	}
	return map[string]string{
		"line break in header": config(`{"url": %q, "headers": {"X-Token": %q}}`, receiver, secret["refused header"]+"\r\nX: y"),
		"header name":          config(`{"url": %q, "headers": {"Host": %q}}`, receiver, secret["refused header"]),
		"header type":          config(`{"url": %q, "headers": {"X-Token": [%q]}}`, receiver, secret["refused header"]),
		"user info":            config(`{"url": %q}`, strings.Replace(receiver, "http://", "http://user:"+secret["URL password"]+"@", 1)),
		"user info, bad URL":   config(`{"url": %q}`, "http://user:"+secret["URL password"]+"@[::1"),
		"signing secret":       config(`{"url": %q, "signing_secret": %q}`, receiver, "whsec_!"+secret["signing secret"]),
		"signing secret, bare": config(`{"url": %q, "signing_secret": %q}`, receiver, secret["signing secret"]),
		"three secrets":        config(`{"url": %q, "signing_secret": [%[2]q, %[2]q, %[2]q]}`, receiver, "whsec_"+secret["signing secret"]),
		"query type":           config(`{"url": %q, "query": {"token": {"a": %q}}}`, receiver, secret["query token"]),
		"query twice":          config(`{"url": %q}`, receiver+"/?token="+secret["URL query"]+"&token="+secret["URL query"]),
		"cut off":              config(`{"url": %q, "headers": {"X-Token": %q`, receiver, secret["refused header"]),
		"slack without TLS":    `{"name": "wrong", "channel": "slack", "config": {"url": "http://hooks.slack.com/services/` + secret["Slack URL"] + `"}}`,
		"slack, no URL":        `{"name": "wrong", "channel": "slack", "config": {"url": "://` + secret["Slack URL"] + `"}}`,
		"unknown key":          config(`{"url": %q, "token": %q}`, receiver, secret["refused header"]),
	}
}

// Secrets are planted wherever Tocsin takes any. Deliveries succeed, fail, hang, are
// redirected and echoed; every command and endpoint is used, wrongly too; the database
// goes away meanwhile. No secret is in anything that came out: answers, errors, logs at
// debug level, metrics, histories, the database.
func TestCanarySecrets(t *testing.T) {
	secret, out, heard := planted(), newCapture(), newCapture()
	cluster := pgtest.Start(t, pgtest.Options{NoFsync: true})
	database := cluster.Database(t)
	secret["database password"] = password(t, database)
	temporal := startTemporal(t, temporalserver.Options{DBFile: filepath.Join(t.TempDir(), "temporal.db"), FrontendAddr: "127.0.0.1:0"})
	p := productionOn(t, database, temporal.Addr())
	secret["admin key"] = p.key
	ring := p.setting("TOCSIN_SECRET_KEY")
	_, encoded, _ := strings.Cut(ring, ":")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	secret["sealing key"] = string(raw)
	p.env = append(p.env, "TOCSIN_LOG_LEVEL=debug")
	inJSON := append(p.env, "TOCSIN_LOG_FORMAT=json")
	serves := []*devtest.Server{devtest.StartServe(t, p.key, p.env...), devtest.StartServe(t, p.key, inJSON...)}
	workers := []*devtest.WorkerProcess{devtest.StartWorker(t, p.env...), devtest.StartWorker(t, inJSON...)}
	p.env = append(p.env, "TOCSIN_API_URL="+serves[0].URL)

	receiver := echo(t, heard)
	x := &explorer{t: t, p: p, out: out, secret: secret, serve: serves[1].Client}
	x.apply(configs(secret, receiver.URL))
	x.keys()
	event := devtest.Events("custom.canary", 1)[0]
	event["id"], event["title"] = control, control
	serves[0].MustSend(append(devtest.Events("custom.canary", 2), event)...)
	x.awaitAttempts()
	for name, body := range wrong(secret, receiver.URL) {
		x.call(http.MethodPost, "/v1/webhooks", body)
		x.call(http.MethodPost, "/v1/webhooks?dry_run=true", body)
		x.call(http.MethodPatch, "/v1/webhooks/ok", body)
		x.file("wrong "+name, "webhooks: ["+body+"]")
	}
	x.call(http.MethodPatch, "/v1/webhooks/ok", `{"config": {"headers": {"X-Token": "`+secret["changed header"]+`"}}}`)
	x.everything()
	x.wrongKeys()
	x.misconfigured(database)
	x.outage(cluster)
	x.temporal(temporal.Addr())
	x.dump(database)
	for i, s := range serves {
		out.add("log of serve", []byte(s.Output()))
		out.add("log of worker", []byte(workers[i].Output()))
		x.metrics(s.URL, workers[i].MetricsURL)
	}
	x.signingKeys(database, ring)

	for _, what := range []string{"header value", "bearer token", "query token", "URL query", "Slack URL"} {
		heard.mustShow(t, secret[what], "receiver") // it was used, and the search finds it
	}
	out.mustShow(t, control, "API", "CLI", "dump")
	out.mustShow(t, "webhook/wh_", "log of worker", "Temporal")
	out.mustShow(t, "/v1/webhooks", "log of serve", "metrics")
	out.mustHide(t, secret)
}

// setting is the value of one of the processes' variables.
func (p *production) setting(name string) string {
	for _, v := range p.env {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	p.t.Fatalf("%s is not set", name)
	return ""
}

// signingKeys adds the private halves of the installation's keys to what is looked for.
func (x *explorer) signingKeys(database, text string) {
	x.t.Helper()
	store, err := app.OpenStore(x.t.Context(), database, nil)
	if err != nil {
		x.t.Fatal(err)
	}
	defer store.Close()
	ring, err := tocsin.ParseKeyRing(text)
	if err != nil {
		x.t.Fatal(err)
	}
	keys, err := store.SigningKeys(x.t.Context())
	if err != nil || len(keys) == 0 {
		x.t.Errorf("there are no signing keys to look for (%v)", err)
	}
	for _, k := range keys {
		seed, err := ring.Open(k.Sealed, k.ID)
		if err != nil {
			x.t.Fatal(err)
		}
		x.secret["signing key "+k.ID] = string(seed)
	}
}

func password(t *testing.T, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	word, _ := u.User.Password()
	return word
}

// explorer uses Tocsin in every way and keeps what comes out.
type explorer struct {
	t      *testing.T
	p      *production
	out    *capture
	secret canaries
	serve  devtest.Client
}

// call makes a request and keeps the answer.
func (x *explorer) call(method, path, body string) answered {
	x.t.Helper()
	got, err := request(method, x.serve, path, []byte(body))
	if err != nil {
		x.t.Errorf("%s %s: %v", method, path, err)
	}
	x.out.add("API", fmt.Appendf(nil, "%s %s: %d %v\n%s", method, path, got.status, got.header, got.body))
	if got.status == http.StatusInternalServerError {
		x.t.Errorf("%s %s answers %d %s", method, path, got.status, got.body)
	}
	return got
}

// run uses the command line in both forms of output and keeps what it prints; it may
// fail.
func (x *explorer) run(args ...string) {
	x.t.Helper()
	for _, form := range []string{"text", "json"} {
		x.runWith(nil, append(args, "-o", form)...)
	}
}

func (x *explorer) runWith(env []string, args ...string) {
	x.t.Helper()
	cmd := exec.Command(devtest.Tocsin(x.t), args...)
	cmd.Env = append(append(append(os.Environ(), x.p.env...), "TOCSIN_API_KEY="+x.p.key), env...)
	printed, err := cmd.CombinedOutput()
	x.out.add("CLI", fmt.Appendf(nil, "$ tocsin %s\n%s%v", strings.Join(args, " "), printed, err))
	if strings.Contains(string(printed), "unknown command") || strings.Contains(string(printed), "unknown flag") {
		x.t.Errorf("tocsin %s: %s", strings.Join(args, " "), printed)
	}
}

// apply creates webhooks from a file, then shows a plan that changes their secrets.
func (x *explorer) apply(all map[string]map[string]any) {
	x.t.Helper()
	var list []map[string]any
	for _, w := range all {
		list = append(list, w)
	}
	text, err := json.Marshal(map[string]any{"webhooks": list})
	if err != nil {
		x.t.Fatal(err)
	}
	x.file("webhooks", string(text), "--yes")
	x.file("again", string(text), "--yes")
	changed := strings.ReplaceAll(string(text), x.secret["header value"], x.secret["changed header"])
	x.file("changed", changed, "--dry-run")
	var page struct{ Items []tocsin.Webhook }
	x.serve.Must(http.MethodGet, "/v1/webhooks?limit=1000", nil, &page)
	if len(page.Items) != len(all) {
		x.t.Fatalf("%d webhooks were applied, want %d:\n%s", len(page.Items), len(all), x.out.all["CLI"])
	}
}

// file applies a file; it may be refused.
func (x *explorer) file(name, text string, flags ...string) {
	x.t.Helper()
	path := filepath.Join(x.t.TempDir(), strings.ReplaceAll(name, " ", "-")+".yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		x.t.Fatal(err)
	}
	x.run(append([]string{"webhooks", "apply", "-f", path}, flags...)...)
}

// keys makes API keys, whose texts are secrets from then on.
func (x *explorer) keys() {
	x.t.Helper()
	for _, args := range [][]string{{"keys", "create", "reader", "--scopes", "read"}, {"keys", "rotate", "reader"}} {
		var made struct{ Key string }
		if err := json.Unmarshal([]byte(x.p.tocsin(append(args, "-o", "json")...)), &made); err != nil || made.Key == "" {
			x.t.Fatalf("tocsin %v: %v", args, err)
		}
		x.secret["key of "+strings.Join(args, " ")] = made.Key
	}
}

// awaitAttempts waits until every webhook has an attempt that ended.
func (x *explorer) awaitAttempts() {
	x.t.Helper()
	for _, kind := range kinds {
		for _, name := range []string{kind, "slack-" + kind} {
			devtest.Until(x.t, "an attempt of "+name, func() error {
				var w struct{ tocsin.Activity }
				x.serve.Must(http.MethodGet, "/v1/webhooks/"+name, nil, &w)
				if w.Failures == 0 && w.LastError == "" && w.LastDelivery == nil {
					return errNotYet
				}
				return nil
			})
		}
	}
}

// everything reads whatever can be read, by API and command line.
func (x *explorer) everything() {
	x.t.Helper()
	for _, path := range []string{
		"/v1/webhooks?limit=1000", "/v1/deliveries?limit=1000", "/v1/events", "/v1/events/%2Fdevtest/" + control, "/v1/events/%2Fdevtest/" + control + "/why", "/v1/ledger",
		"/v1/alert-types", "/v1/channels", "/v1/keys", "/v1/audit?limit=1000", "/v1/mutes", "/v1/replays", "/openapi.yaml", "/metrics", "/-/ready", "/-/healthy", "/.well-known/tocsin-keys", "/nowhere?token=1",
	} {
		x.call(http.MethodGet, path, "")
	}
	for _, args := range [][]string{
		{"webhooks", "list"}, {"deliveries", "list"}, {"events", "list"}, {"events", "why", "/devtest", control}, {"ledger"}, {"ledger", "--verify"},
		{"keys", "list"}, {"audit", "list"}, {"mutes", "list"}, {"replay", "list"}, {"version"}, {"migrate"},
	} {
		x.run(args...)
	}
	var deliveries struct{ Items []tocsin.Delivery }
	x.serve.Must(http.MethodGet, "/v1/deliveries?limit=1000", nil, &deliveries)
	for _, d := range deliveries.Items {
		x.call(http.MethodGet, "/v1/deliveries/"+d.ID, "")
	}
	x.run("deliveries", "get", deliveries.Items[0].ID)
	for _, kind := range kinds {
		for _, name := range []string{kind, "slack-" + kind} {
			x.call(http.MethodGet, "/v1/webhooks/"+name, "")
			x.call(http.MethodPost, "/v1/webhooks/"+name+"/preview", "")
			x.call(http.MethodGet, "/v1/webhooks/"+name+"/preview", "")
			x.call(http.MethodGet, "/v1/webhooks/"+name+"/deliveries", "")
			x.run("webhooks", "get", name)
			x.run("webhooks", "preview", name)
			if kind != "hang" { // as long as its attempt, and it says the same
				x.call(http.MethodPost, "/v1/webhooks/"+name+"/test", "")
				x.run("webhooks", "test", name)
			}
		}
	}
}

// wrongKeys comes with keys that are none.
func (x *explorer) wrongKeys() {
	x.t.Helper()
	stranger := *x
	stranger.serve.Key = x.secret["wrong key"]
	for _, path := range []string{"/v1/webhooks", "/v1/ledger", "/metrics"} {
		stranger.call(http.MethodGet, path, "")
	}
	x.runWith([]string{"TOCSIN_API_KEY=" + x.secret["wrong key"]}, "webhooks", "list")
}

// misconfigured starts programs with settings that are wrong, secrets and all.
func (x *explorer) misconfigured(database string) {
	x.t.Helper()
	away := strings.NewReplacer("127.0.0.1:", "127.0.0.1:1,127.0.0.1:").Replace(database)
	gone, err := url.Parse(database)
	if err != nil {
		x.t.Fatal(err)
	}
	gone.Host = "127.0.0.1:1"
	for _, env := range [][]string{
		{"TOCSIN_DATABASE_URL=" + gone.String()},
		{"TOCSIN_DATABASE_URL=" + strings.Replace(database, "sslmode=disable", "sslmode=nonsense", 1)},
		{"TOCSIN_DATABASE_URL=" + strings.Replace(database, "127.0.0.1:", "127.0.0.1:x", 1)},
		{"TOCSIN_DATABASE_URL=" + strings.Replace(away, "postgres://", "mysql://", 1)},
		{"TOCSIN_DATABASE_URL=host=127.0.0.1 password=" + x.secret["database password"] + " port=none"},
		{"TOCSIN_SECRET_KEY=k:" + base64.StdEncoding.EncodeToString([]byte(x.secret["sealing key"])) + "AA"},
		{"TOCSIN_SECRET_KEY=" + base64.StdEncoding.EncodeToString([]byte(x.secret["sealing key"]))},
	} {
		for _, args := range [][]string{{"migrate"}, {"serve", "--listen", "127.0.0.1:0"}} {
			if strings.HasPrefix(env[0], "TOCSIN_SECRET_KEY") && args[0] == "migrate" {
				continue // it needs none
			}
			x.runWith(env, args...)
		}
	}
}

// outage takes the database away, so that its errors are logged and answered too.
func (x *explorer) outage(cluster *pgtest.Cluster) {
	x.t.Helper()
	if err := cluster.StopImmediate(); err != nil {
		x.t.Fatal(err)
	}
	mustBeDown(x.t, x.serve)
	x.call(http.MethodGet, "/v1/webhooks", "")
	x.call(http.MethodPost, "/v1/events", `{"id": "1", "source": "/x", "type": "custom.canary"}`)
	x.run("ledger", "--verify")
	if err := cluster.Restart(); err != nil {
		x.t.Fatal(err)
	}
	devtest.Until(x.t, "the database to be back", func() error {
		if got, err := request(http.MethodGet, x.serve, "/-/ready", nil); err != nil || got.status != http.StatusOK {
			return errNotYet
		}
		return nil
	})
}

// temporal keeps every history, what is known of every workflow, and its status.
func (x *explorer) temporal(address string) {
	x.t.Helper()
	c, err := client.Dial(client.Options{HostPort: address})
	if err != nil {
		x.t.Fatal(err)
	}
	defer c.Close()
	all, err := c.ListWorkflow(x.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 1000})
	if err != nil {
		x.t.Fatal(err)
	}
	for _, e := range all.GetExecutions() {
		x.keep(e)
		id, run := e.GetExecution().GetWorkflowId(), e.GetExecution().GetRunId()
		var h history.History
		for it := c.GetWorkflowHistory(x.t.Context(), id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); it.HasNext(); {
			event, err := it.Next()
			if err != nil {
				x.t.Fatal(err)
			}
			h.Events = append(h.Events, event)
		}
		x.keep(&h)
		if described, err := c.DescribeWorkflowExecution(x.t.Context(), id, run); err == nil {
			x.keep(described)
		}
		if strings.HasPrefix(id, "webhook/") {
			text, err := json.Marshal(status(x.t, c, id))
			if err != nil {
				x.t.Fatal(err)
			}
			x.out.add("Temporal", text)
		}
	}
	if v, err := c.QueryWorkflow(x.t.Context(), all.GetExecutions()[0].GetExecution().GetWorkflowId(), "", workflows.QueryStatus); err == nil {
		x.out.add("Temporal", fmt.Append(nil, v))
	}
}

// keep keeps a message as JSON, and as it is on the wire, where payloads are plain.
func (x *explorer) keep(m proto.Message) {
	x.t.Helper()
	text, err := temporalproto.CustomJSONMarshalOptions{}.Marshal(m)
	if err != nil {
		x.t.Fatal(err)
	}
	wire, err := proto.Marshal(m)
	if err != nil {
		x.t.Fatal(err)
	}
	x.out.add("Temporal", text)
	x.out.add("Temporal", wire)
}

// dump keeps the whole database.
func (x *explorer) dump(database string) {
	x.t.Helper()
	cmd := exec.Command("pg_dump", "--inserts", "--dbname", database)
	text, err := cmd.Output()
	if err != nil {
		x.t.Fatalf("dumping the database: %v", err)
	}
	x.out.add("dump", text)
}

func (x *explorer) metrics(urls ...string) {
	x.t.Helper()
	for _, u := range urls {
		got, err := request(http.MethodGet, devtest.Client{URL: u, Key: x.p.key}, "/metrics", nil)
		if err != nil {
			x.t.Fatal(err)
		}
		x.out.add("metrics", got.body)
	}
}

// The same for tocsin-dev: its folder holds no secret but in the key ring's file, which
// nobody else may read.
func TestCanarySecretsOnDisk(t *testing.T) {
	secret, out, heard := planted(), newCapture(), newCapture()
	receiver := echo(t, heard)
	d := devtest.StartDev(t, devtest.DevOptions{Args: []string{"-log-level", "debug"}})
	for name, w := range configs(secret, receiver.URL) {
		if !strings.Contains(name, "hang") {
			d.MustCreate(w)
		}
	}
	event := devtest.Events("custom.canary", 1)[0]
	event["title"] = control
	d.MustSend(event)
	d.MustSettle("ok")
	d.MustSettle("slack-ok")
	d.Stop()
	ring, err := os.ReadFile(filepath.Join(d.DataDir, "secret-key"))
	if err != nil {
		t.Fatal(err)
	}
	_, secret["sealing key"], _ = strings.Cut(strings.TrimSpace(string(ring)), ":")
	out.addFiles(t, d.DataDir, "secret-key")
	out.add("output", []byte(d.Output()))
	heard.mustShow(t, secret["Slack URL"], "receiver")
	out.mustShow(t, control, "file tocsin.db")
	out.mustShow(t, "webhook/wh_", "file temporal.db")
	out.mustHide(t, secret)
}
