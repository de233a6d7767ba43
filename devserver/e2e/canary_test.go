package e2e_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/temporalserver"
	"github.com/tocsin-alerts/tocsin/store/postgres/pgtest"
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
