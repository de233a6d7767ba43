package cli_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/app"
	"github.com/tocsin-alerts/tocsin/starter/internal/cli"
	"github.com/tocsin-alerts/tocsin/store/sqlite"
)

// filledIn is what people put into the variables of a draft.
var filledIn = map[string]string{
	"WEBHOOK_URL": "https://192.88.100.1/hook", "SLACK_URL": "https://hooks.slack.com/services/T000/B000/abcdefghijkl",
	"TEAMS_URL":             "https://prod-1.westeurope.logic.azure.com/workflows/x/triggers/manual/paths/invoke?sig=s",
	"PAGERDUTY_ROUTING_KEY": "0123456789abcdef0123456789abcdef", "JIRA_TOKEN": "t0ken",
	"SPLUNK_TOKEN": "11111111-2222-3333-4444-555555555555", "DATADOG_API_KEY": "0123456789abcdef0123456789abcdef",
	"SENTINEL_TENANT_ID": "tenant", "SENTINEL_CLIENT_ID": "client", "SENTINEL_CLIENT_SECRET": "hush",
}

// run runs a command in this process.
func run(t *testing.T, getenv func(string) string, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Run(t.Context(), cli.Env{Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Getenv: getenv, Version: "v0.0.0-test"}, args)
	return code, out.String(), errs.String()
}

// serveAPI serves the real API on a fresh store.
func serveAPI(t *testing.T) (url string) {
	t.Helper()
	ring, err := tocsin.ParseKeyRing(tocsin.GenerateKey("test"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "tocsin.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &system{ring: ring, store: db}
	t.Cleanup(s.stop)
	s.stops = append(s.stops, func() { db.Close() })
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler, err := s.assemble(false)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func TestDraftOfEveryChannelApplies(t *testing.T) {
	url := serveAPI(t)
	used := map[string]bool{}
	for _, ch := range app.Channels() {
		t.Run(ch.Name(), func(t *testing.T) {
			text, variables, err := cli.Draft(ch)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range variables {
				used[v] = true
				if filledIn[v] == "" {
					t.Errorf("nothing is known to fill in for %s", v)
				}
			}
			getenv := func(name string) string {
				if name == "TOCSIN_API_URL" {
					return url
				}
				return filledIn[name]
			}
			if code, out, errs := run(t, getenv, text, "webhooks", "apply", "-f", "-", "--dry-run"); code != 0 || !strings.Contains(out, "+ my-"+ch.Name()) {
				t.Errorf("exit code %d\n%s\n%s\n%s", code, out, errs, text)
			}
		})
	}
	for name := range filledIn {
		if !used[name] {
			t.Errorf("%s is in no draft", name)
		}
	}
}

// A comment that is made a setting is still YAML that means what it shows.
func TestDraftCommentsAreSettings(t *testing.T) {
	for _, ch := range app.Channels() {
		text, _, err := cli.Draft(ch)
		if err != nil {
			t.Fatal(err)
		}
		var schema struct {
			Properties map[string]struct {
				Description string
			} `json:"properties"`
		}
		if err := json.Unmarshal(ch.Schema(), &schema); err != nil {
			t.Fatal(err)
		}
		for key := range schema.Properties {
			line := ""
			for l := range strings.Lines(text) {
				if l = strings.TrimSpace(l); strings.HasPrefix(l, "# "+key+": ") || strings.HasPrefix(l, key+": ") {
					line = strings.TrimPrefix(l, "# ")
				}
			}
			var value map[string]any
			if err := yaml.Unmarshal([]byte(line), &value); err != nil || value[key] == nil {
				t.Errorf("%s: %s: the line %q says nothing: %v", ch.Name(), key, line, err)
			}
		}
	}
}

func TestDraftExplainsEverySetting(t *testing.T) {
	want := slices.DeleteFunc(cli.Settings(), func(name string) bool { return name == "name" || name == "channel" })
	got := slices.Collect(maps.Keys(cli.DraftSettings()))
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-) and what drafts explain (+) differ:\n%s", diff)
	}
}

// The values that drafts show as defaults are those of a webhook that says nothing.
func TestDraftShowsTheDefaults(t *testing.T) {
	url := serveAPI(t)
	getenv := func(name string) string { return map[string]string{"TOCSIN_API_URL": url}[name] }
	bare := "webhooks: [{name: bare, channel: webhook, config: {url: 'https://192.88.100.1/x'}}]"
	if code, _, errs := run(t, getenv, bare, "webhooks", "apply", "-f", "-"); code != 0 {
		t.Fatal(errs)
	}
	_, out, _ := run(t, getenv, "", "webhooks", "get", "bare", "-o", "json")
	var have map[string]any
	if err := json.Unmarshal([]byte(out), &have); err != nil {
		t.Fatal(err)
	}
	shown := cli.DraftSettings()
	for _, name := range []string{"run_every", "batch_size", "repeat_after", "retry_for", "disable_after", "on_resume", "max_per_second", "max_concurrent"} {
		var value any
		if err := yaml.Unmarshal([]byte(shown[name]), &value); err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(have[name]); string(got) != jsonText(t, value) && have[name] != nil {
			t.Errorf("%s: a draft shows %s, the default is %s", name, jsonText(t, value), got)
		}
	}
}

func jsonText(t *testing.T, value any) string {
	t.Helper()
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
