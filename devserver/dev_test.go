package main_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/devserver/dev"
	"github.com/tocsin-alerts/tocsin/devserver/devtest"
	"github.com/tocsin-alerts/tocsin/devserver/inbox"
)

func TestMain(m *testing.M) { devtest.Main(m) }

// kept reads the inbox of a tocsin-dev.
func kept(d *devtest.DevProcess, name string) (all []inbox.Delivery) {
	var answer struct{ Deliveries []inbox.Delivery }
	d.Must(http.MethodGet, "/inbox.json?name="+name, nil, &answer)
	return answer.Deliveries
}

// eventIDs are the events that arrived in the inbox under a name.
func eventIDs(t *testing.T, d *devtest.DevProcess, name string) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	for _, got := range kept(d, name) {
		var body struct {
			Data struct{ Alerts []struct{ ID string } }
		}
		if err := json.Unmarshal([]byte(got.Body), &body); err != nil {
			t.Fatal(err)
		}
		for _, a := range body.Data.Alerts {
			ids[a.ID] = true
		}
	}
	return ids
}

// demoNames are where the demo's deliveries of every channel arrive at once: mail comes
// when an incident is two minutes old, and the periodic webhook when its minute is over.
var demoNames = []string{
	"demo-threats", "demo-ocsf", "demo-cloudevents", "slack", "slack-bot", "teams", "pagerduty", "jira", "splunk", "syslog", "elasticsearch", "sentinel", "datadog",
}

// The demo delivers an event of every alert type, signed, also when it starts again.
func TestDemo(t *testing.T) {
	d := devtest.StartDev(t, devtest.DevOptions{Args: []string{"-demo"}})
	d.MustPrint("Demo: sent")
	common := 0 // all but the pipeline's own and threats, which have a payload without ids
	for _, alert := range catalog.Default().Types() {
		if alert.Category != "pipeline" && alert.Category != "threat" {
			common++
		}
	}
	check := func() {
		t.Helper()
		devtest.Until(t, "the demo's deliveries", func() error {
			if n := len(eventIDs(t, d, "demo-instant")); n < common {
				return fmt.Errorf("%d of %d events arrived", n, common)
			}
			for _, name := range demoNames {
				if len(kept(d, name)) == 0 {
					return fmt.Errorf("nothing for %s yet", name)
				}
			}
			return nil
		})
		for _, got := range append(kept(d, "demo-instant"), kept(d, "demo-threats")...) {
			if got.Signature != inbox.Verified {
				t.Errorf("delivery %s is %s", got.WebhookID, got.Signature)
			}
		}
		if threat := kept(d, "demo-threats")[0]; !strings.Contains(threat.Body, `"maliciousEvents"`) {
			t.Errorf("the threat's body is %s", threat.Body)
		}
	}
	check()
	d.Stop()
	d.Restart()
	d.MustPrint("Demo: sent")
	check()
	var list struct {
		Items []struct{ Name, Channel, State string }
	}
	d.Must(http.MethodGet, "/v1/webhooks", nil, &list)
	channels := map[string]bool{}
	for _, w := range list.Items {
		channels[w.Channel] = true
		if w.State != "active" {
			t.Errorf("webhook %s is %s", w.Name, w.State)
		}
	}
	var known struct{ Items []struct{ Name string } }
	d.Must(http.MethodGet, "/v1/channels", nil, &known)
	for _, c := range known.Items {
		if !channels[c.Name] {
			t.Errorf("the demo has no webhook of channel %s", c.Name)
		}
	}
	if len(list.Items) != 16 {
		t.Errorf("after two starts there are %d webhooks, want 16", len(list.Items))
	}
	d.Stop()
	plain := devtest.StartDev(t, devtest.DevOptions{DataDir: d.DataDir})
	plain.MustSend(devtest.Events("custom.later", 1)...)
	devtest.Until(t, "a message to the demo's webhook for syslog, without -demo", func() error {
		if len(kept(plain, "syslog")) == 0 {
			return errors.New("nothing yet")
		}
		return nil
	})
}

// What was acknowledged before kill -9 is delivered after it.
func TestKill9(t *testing.T) {
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{})
	d.MustCreate(map[string]any{"name": "w", "channel": "webhook", "frequency": "instant", "config": map[string]any{"url": receiver.URL("w")}})
	first := d.MustSend(devtest.Events("custom.test", 300)...)
	receiver.MustCount(1)
	receiver.Hold() // the kill comes between sending and recording
	second := d.MustSend(devtest.Events("custom.test", 300)...)
	d.Kill9()
	receiver.Release()
	d.Restart()
	receiver.MustGet(append(first, second...)...)
	receiver.MustKeepIDs()
	if b := d.MustSettle("w"); b.Delivered != 600 {
		t.Errorf("the ledger says %+v", b)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	d := devtest.StartDev(t, devtest.DevOptions{})
	second := devtest.Start(t, devtest.Dev(t), []string{"-data-dir", d.DataDir, "-api-addr", "127.0.0.1:0"}, nil)
	if code := second.MustFail(); code != 1 {
		t.Errorf("the second process ends with %d", code)
	}
	if want := fmt.Sprintf("in use by another tocsin-dev (process %d)", d.PID()); !strings.Contains(second.Output(), want) {
		t.Errorf("it says %q, want %q", second.Output(), want)
	}
	third := devtest.Start(t, devtest.Dev(t), []string{"-data-dir", t.TempDir(), "-api-addr", strings.TrimPrefix(d.URL, "http://")}, nil)
	third.MustFail()
	if !strings.Contains(third.Output(), "in use by another program") {
		t.Errorf("with the API's address taken it says %q", third.Output())
	}
	// A start that is refused leaves nothing behind.
	for flag, taken := range map[string]string{"-api-addr": strings.TrimPrefix(d.URL, "http://"), "-temporal-addr": d.TemporalAddr, "-ui-addr": d.UIAddr} {
		dir := filepath.Join(t.TempDir(), "new")
		args := []string{"-data-dir", dir, "-api-addr", "127.0.0.1:0", "-temporal-addr", "127.0.0.1:0", "-ui-addr", "127.0.0.1:0", flag, taken}
		refused := devtest.Start(t, devtest.Dev(t), args, nil)
		refused.MustFail()
		if want := flag + ": " + taken + " is in use by another program"; !strings.Contains(refused.Output(), want) {
			t.Errorf("it says %q, want %q", refused.Output(), want)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is taken, and the data directory is there: %v", flag, err)
		}
	}
}

// Temporal alone, for a tocsin serve and a tocsin-worker of one's own: no store, no key ring,
// no API.
func TestTemporalOnly(t *testing.T) {
	dir, temporal, metrics := t.TempDir(), devtest.FreeAddr(t), devtest.FreeAddr(t)
	p := devtest.Start(t, devtest.Dev(t), []string{"-temporal-only", "-data-dir", dir, "-temporal-addr", temporal,
		"-ui-addr", devtest.FreeAddr(t), "-temporal-metrics-addr", metrics}, nil)
	p.MustPrint(dev.Ready)
	for _, want := range []string{"TEMPORAL_ADDRESS=" + temporal, "http://" + metrics + "/metrics"} {
		p.MustPrint(want)
	}
	for _, name := range []string{"tocsin.db", "secret-key"} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there (%v)", name, err)
		}
	}
	p.Stop()
}

// The first signal waits for a slow delivery and says so, the second does not wait.
func TestASecondSignalStopsAtOnce(t *testing.T) {
	receiver := devtest.NewReceiver(t)
	d := devtest.StartDev(t, devtest.DevOptions{})
	d.MustCreate(map[string]any{"name": "slow", "channel": "webhook", "frequency": "instant", "config": map[string]any{"url": receiver.URL("slow")}})
	receiver.Hold()
	ids := d.MustSend(devtest.Events("custom.test", 3)...)
	receiver.MustCount(1)
	interrupt := func() {
		t.Helper()
		if err := syscall.Kill(d.PID(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
	}
	interrupt()
	d.MustPrint("waiting for deliveries under way; Ctrl-C again to stop now")
	began := time.Now()
	interrupt()
	if code := d.MustFail(); code != 1 {
		t.Errorf("it ends with %d", code)
	}
	t.Logf("it ended %v after the second signal", time.Since(began))
	if !strings.Contains(d.Output(), "stopped at once by a second signal") {
		t.Errorf("it says %q", d.Output())
	}
	receiver.Release()
	d.Restart()
	receiver.MustGet(ids...)
	d.MustSettle("slow")
}

func TestTheRootLeadsBrowsersToTheConsole(t *testing.T) {
	d := devtest.StartDev(t, devtest.DevOptions{})
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(path, accept string) *http.Response {
		r, err := http.NewRequestWithContext(t.Context(), "GET", d.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	if resp := get("/", "text/html,*/*"); resp.StatusCode != http.StatusFound || resp.Header.Get("Location") != "/console/" {
		t.Errorf("GET / answers %s, Location %q", resp.Status, resp.Header.Get("Location"))
	}
	if resp := get("/console/", "text/html"); resp.StatusCode != http.StatusOK {
		t.Errorf("the console answers %s", resp.Status)
	}
	for path, accept := range map[string]string{"/": "*/*", "//": "text/html", "/v1/../console/": "text/html"} {
		if resp := get(path, accept); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("GET %s answers %s %s, want the API's problem", path, resp.Status, resp.Header.Get("Content-Type"))
		}
	}
}

func TestDataDirectoryIsPrivate(t *testing.T) {
	d := devtest.StartDev(t, devtest.DevOptions{DataDir: filepath.Join(t.TempDir(), "data")})
	for name, want := range map[string]os.FileMode{".": 0o700, "secret-key": 0o600, "tocsin-dev.log": 0o600} {
		info, err := os.Stat(filepath.Join(d.DataDir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
	d.Stop()
	key := filepath.Join(d.DataDir, "secret-key")
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	again := devtest.Start(t, devtest.Dev(t), []string{"-data-dir", d.DataDir, "-api-addr", "127.0.0.1:0"}, nil)
	again.MustFail()
	if !strings.Contains(again.Output(), "chmod 600") {
		t.Errorf("with a key that others may read it says %q", again.Output())
	}
	// A new key would make the stored secrets unreadable without saying so.
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	lost := devtest.Start(t, devtest.Dev(t), []string{"-data-dir", d.DataDir, "-api-addr", "127.0.0.1:0"}, nil)
	lost.MustFail()
	if !strings.Contains(lost.Output(), "secret-key is gone") {
		t.Errorf("without its key it says %q", lost.Output())
	}
}

func TestOtherHostsAreRefused(t *testing.T) {
	d := devtest.StartDev(t, devtest.DevOptions{})
	for _, path := range []string{"/v1/webhooks", "/inbox"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "rebound.example"
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("%s answers %s to another host's name", path, resp.Status)
		}
	}
}
