package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
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
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
	"github.com/tocsin-alerts/tocsin/workflows"
)

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
