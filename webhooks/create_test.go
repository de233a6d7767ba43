package webhooks_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

func TestCreateFillsInDefaults(t *testing.T) {
	k := newKit(t)
	created := k.mustCreate(t, "soc", nil)

	w := created.Webhook
	if w.Anchor.IsZero() || w.ID == "" || w.Version != 1 {
		t.Errorf("got anchor %v, id %q, version %d", w.Anchor, w.ID, w.Version)
	}
	w.Anchor = time.Time{}
	want := tocsin.Settings{
		Name: "soc", Channel: "webhook", Events: []tocsin.Selector{}, Collections: []string{},
		Frequency: tocsin.Periodic, RunEvery: tocsin.Duration(15 * time.Minute), BatchSize: 20,
		RetryFor: tocsin.Duration(72 * time.Hour), DisableFor: tocsin.Duration(120 * time.Hour), OnResume: "deliver", Concurrency: 1,
	}
	if diff := cmp.Diff(want, w.Settings); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ring [" + w.ID + "]"}, k.conductor.take()); diff != "" {
		t.Error(diff)
	}
}

func TestCreateShowsGeneratedSecretsOnceAndSealsThem(t *testing.T) {
	k := newKit(t)
	created := k.mustCreate(t, "soc", map[string]any{
		"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"Authorization": "Bearer hush-hush"}},
	})
	secret := created.Generated["signing_secret"]
	if !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("got generated %v, want a signing secret", created.Generated)
	}
	stored, err := k.Get(t.Context(), "soc")
	if err != nil {
		t.Fatal(err)
	}
	for _, hidden := range []string{secret, "hush-hush"} {
		if bytes.Contains(stored.Config, []byte(hidden)) || bytes.Contains(stored.Sealed, []byte(hidden)) {
			t.Errorf("%q is stored in clear: %s", hidden, stored.Config)
		}
	}
	if !bytes.Contains(stored.Config, []byte(tocsin.Redacted)) {
		t.Errorf("the public configuration shows no secret is there: %s", stored.Config)
	}
}

func TestCreateReportsEverythingThatIsWrongTogether(t *testing.T) {
	k := newKit(t)
	_, err := k.Create(t.Context(), json.RawMessage(`{
		"name": "", "channel": "webhok", "evnts": [], "events": ["agent.discoverd", {"type": "threat", "colections": []}, 7],
		"min_severity": "hi", "collections": "all", "filter": "severity ==", "frequency": "sometimes", "run_every": 15, "anchor": "today",
		"batch_size": "20", "repeat_after": "soon", "retry_for": "1s", "disable_after": "9999d", "on_resume": "drop",
		"max_per_second": -1, "max_concurrent": 0, "fallback": "nobody", "escalate": [{"to": "nobody", "unles": "x"}],
		"labels": {"": "x"}, "config": [], "state": "active"}`), false)
	got := fields(t, err, tocsin.CodeInvalid)
	want := map[string][]string{
		"name":                 {"required"},
		"channel":              {`"webhok"`, `did you mean "webhook"?`, ", webhook"},
		"evnts":                {`did you mean "events"?`},
		"events[0]":            {`"agent.discoverd"`, `did you mean "agent.discovered"?`},
		"events[1].colections": {`did you mean "collections"?`},
		"events[2]":            {"got 7", "alert type"},
		"min_severity":         {`"hi"`, "info, low, medium, high, critical"},
		"collections":          {`got "all"`, "list of texts"},
		"filter":               {"line 1, column 12"},
		"frequency":            {`"sometimes"`, "periodic, instant"},
		"run_every":            {"got 15", `"15m"`},
		"anchor":               {`"today"`, "RFC 3339"},
		"batch_size":           {`got "20"`, "1 to 1000"},
		"repeat_after":         {`"soon"`, "15m"},
		"retry_for":            {"1s", "1m to 720h"},
		"disable_after":        {"1m to"},
		"on_resume":            {`"drop"`, "deliver, discard"},
		"max_per_second":       {"-1", "0 for no limit"},
		"max_concurrent":       {"0", "1 to 100"},
		"fallback":             {`"nobody"`},
		"escalate[0].unles":    {`did you mean "unless"?`},
		"escalate[0].to":       {`"nobody"`},
		"labels":               {"1 to 63"},
		"config":               {"want an object"},
		"state":                {"not a setting"},
	}
	for field, parts := range want {
		for _, part := range parts {
			if !strings.Contains(got[field], part) {
				t.Errorf("%s: got %q, want it to say %q", field, got[field], part)
			}
		}
		delete(got, field)
	}
	if len(got) > 0 {
		t.Errorf("more is wrong than should be: %v", got)
	}
	if all, err := k.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %d webhooks, %v; want nothing stored", len(all), err)
	}
}

func TestCreateRefuses(t *testing.T) {
	k := newKit(t)
	for _, test := range []struct {
		name  string
		more  map[string]any
		field string
		say   []string
	}{
		{"run_every under a minute", map[string]any{"run_every": "59s"}, "run_every", []string{"59s", "1m to 24h"}},
		{"run_every over a day", map[string]any{"run_every": "24h1s"}, "run_every", []string{"24h0m1s", "1m to 24h"}},
		{"batch_size 0", map[string]any{"batch_size": 0}, "batch_size", []string{"0", "1 to 1000"}},
		{"batch_size 1001", map[string]any{"batch_size": 1001}, "batch_size", []string{"1001", "1 to 1000"}},
		{"a fraction of a batch", map[string]any{"batch_size": 1.5}, "batch_size", []string{"1.5", "whole number"}},
		{"max_concurrent 101", map[string]any{"max_concurrent": 101}, "max_concurrent", []string{"101"}},
		{"a long name", map[string]any{"name": strings.Repeat("ä", 121)}, "name", []string{"121", "120"}},
		{"a name with a newline", map[string]any{"name": "a\nb"}, "name", []string{`"a\nb"`, "printable"}},
		{"a name like an id", map[string]any{"name": "wh_1"}, "name", []string{"ids of webhooks"}},
		{"none and another", map[string]any{"events": []any{"none", "threat"}}, "events[0]", []string{"alone"}},
		{"custom without a name", map[string]any{"events": []any{"custom."}}, "events[0]", []string{"custom.<name>"}},
		{"an empty collection", map[string]any{"collections": []any{""}}, "collections[0]", []string{"1 to 1024"}},
		{"broken CEL", map[string]any{"filter": "severity == \n  'high"}, "filter", []string{"line 2, column 3"}},
		{"many labels", map[string]any{"labels": labels(33)}, "labels", []string{"33", "32"}},
		{"an unknown config key", map[string]any{"config": map[string]any{"url": k.receiver.URL, "metod": "PUT"}}, "config.metod", []string{"method"}},
		{"a private address", map[string]any{"config": map[string]any{"url": "http://10.0.0.1/hook"}}, "config.url", []string{"10.0.0.1"}},
		{"a scheme that is not http", map[string]any{"config": map[string]any{"url": "ftp://example.com/"}}, "config.url", []string{"http"}},
		{"credentials in the URL", map[string]any{"config": map[string]any{"url": "https://user:word@example.com/"}}, "config.url", nil},
		{"a template that does not parse", map[string]any{"config": map[string]any{"url": k.receiver.URL, "body_template": "{{"}}, "config.body_template", nil},
		{"[redacted] with nothing stored", map[string]any{"config": map[string]any{"url": k.receiver.URL, "headers": map[string]any{"X": tocsin.Redacted}}}, "config.headers.X", []string{"none is stored"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := k.Create(t.Context(), k.body("soc", test.more), false)
			got := fields(t, err, tocsin.CodeInvalid)
			message, ok := got[test.field]
			if !ok {
				t.Fatalf("got %v, want something about %s", got, test.field)
			}
			for _, part := range test.say {
				if !strings.Contains(message, part) {
					t.Errorf("got %q, want it to say %q", message, part)
				}
			}
			if strings.Contains(err.Error(), "user:word") {
				t.Errorf("shows the credentials: %v", err)
			}
		})
	}
}

func labels(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprintf("label%d", i)] = "x"
	}
	return m
}

func TestCreateTakesTheLimits(t *testing.T) {
	k := newKit(t)
	for i, more := range []map[string]any{
		{"run_every": "1m", "batch_size": 1}, {"run_every": "24h", "batch_size": 1000}, {"run_every": "1d"},
		{"name": strings.Repeat("ä", 120)}, {"labels": labels(32)}, {"max_concurrent": 100, "max_per_second": 0.5},
		{"events": []any{"none"}}, {"events": []any{"custom.mine", "threat", "agent.discovered", map[string]any{"type": "security", "collections": []any{"a"}}}},
		{"filter": nil, "batch_size": nil, "config": map[string]any{"url": k.receiver.URL}}, {"anchor": "2026-11-20T09:00:00+02:00"},
	} {
		if _, err := k.Create(t.Context(), k.body(fmt.Sprint("limits ", i), more), false); err != nil {
			t.Errorf("%v: %v", more, err)
		}
	}
}

func TestCreateRefusesWhatIsNoObject(t *testing.T) {
	k := newKit(t)
	for body, say := range map[string]string{
		"": "unexpected end", "[]": "want an object", "null": "want an object", "{\n \"name\": \"a\n\"}": "line 2, column",
	} {
		_, err := k.Create(t.Context(), json.RawMessage(body), false)
		if tocsin.CodeOf(err) != tocsin.CodeMalformed || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: got %v, want malformed with %q", body, err, say)
		}
	}
}

func TestNamesAreUnique(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "soc", nil)
	_, err := k.Create(t.Context(), k.body("soc", nil), false)
	got := fields(t, err, tocsin.CodeConflict)
	if !strings.Contains(got["name"], `"soc"`) || !errors.Is(err, tocsin.ErrNameTaken) {
		t.Errorf("got %v", err)
	}
	// Together with another mistake it is one of several things to put right.
	_, err = k.Create(t.Context(), k.body("soc", map[string]any{"batch_size": 0}), false)
	if got := fields(t, err, tocsin.CodeInvalid); got["name"] == "" || got["batch_size"] == "" {
		t.Errorf("got %v, want both fields", got)
	}
	if err := k.Delete(t.Context(), "soc"); err != nil {
		t.Fatal(err)
	}
	k.mustCreate(t, "soc", nil)
}

func TestOneOfManyGetsTheName(t *testing.T) {
	k := newKit(t)
	errs := make(chan error)
	for range 8 {
		go func() {
			_, err := k.Create(t.Context(), k.body("soc", nil), false)
			errs <- err
		}()
	}
	won := 0
	for range 8 {
		err := <-errs
		if err == nil {
			won++
		} else if got := fields(t, err, tocsin.CodeConflict); got["name"] == "" {
			t.Errorf("got %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d webhooks got the name", won)
	}
}

func TestDryRunStoresNothing(t *testing.T) {
	k := newKit(t)
	created, err := k.Create(t.Context(), k.body("soc", nil), true)
	if err != nil {
		t.Fatal(err)
	}
	if created.Webhook.ID != "" || len(created.Generated) != 0 || created.Webhook.BatchSize != 20 {
		t.Errorf("got %+v", created)
	}
	if all, err := k.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %d webhooks, %v", len(all), err)
	}
	if calls := k.conductor.take(); len(calls) != 0 {
		t.Errorf("told the workflow %v", calls)
	}
}

func TestCreateAnswersWhileTemporalIsAway(t *testing.T) {
	k := newKit(t)
	k.conductor.err = errors.New("connection refused")
	ctx, cancel := context.WithCancel(t.Context())
	// The caller goes away right after the commit: the workflow is told all the same.
	k.conductor.told = func(inner context.Context, _ string) {
		cancel()
		if inner.Err() != nil {
			t.Error("the caller's going away reached the conductor")
		}
		if _, ok := inner.Deadline(); !ok {
			t.Error("a Temporal that hangs would hang the answer")
		}
	}
	created, err := k.Create(ctx, k.body("soc", nil), false)
	if err != nil || created.Webhook.ID == "" {
		t.Errorf("got %+v, %v", created, err)
	}
}

func TestReferencesMustExistAndComeToAnEnd(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "c", nil)
	k.mustCreate(t, "b", map[string]any{"fallback": "c"})
	k.mustCreate(t, "a", map[string]any{"escalate": []any{map[string]any{"to": "b", "after": "5m", "min_severity": "high", "unless": "acknowledged"}}})

	change := func(name, patch string) error {
		_, err := k.Change(t.Context(), name, json.RawMessage(patch), false)
		return err
	}
	if got := fields(t, change("c", `{"fallback":"a"}`), tocsin.CodeInvalid); !strings.Contains(got["fallback"], "c → a → b → c") {
		t.Errorf("got %v, want the circle", got)
	}
	if got := fields(t, change("c", `{"fallback":"c"}`), tocsin.CodeInvalid); !strings.Contains(got["fallback"], "itself") {
		t.Errorf("got %v", got)
	}
	if got := fields(t, change("c", `{"escalate":[{"to":"x"}]}`), tocsin.CodeInvalid); got["escalate[0].to"] == "" {
		t.Errorf("got %v", got)
	}
	if got := fields(t, change("c", `{"name":"d"}`), tocsin.CodeInvalid); !strings.Contains(got["name"], "b names") {
		t.Errorf("got %v, want that b still names it", got)
	}
	if err := k.Delete(t.Context(), "c"); tocsin.CodeOf(err) != tocsin.CodeConflict {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := change("b", `{"fallback":null}`); err != nil {
		t.Fatal(err)
	}
	if err := change("c", `{"fallback":"a"}`); err != nil {
		t.Errorf("no circle any more: %v", err)
	}
}

func TestNewSaysWhatIsMissing(t *testing.T) {
	for _, c := range []webhooks.Config{{}, {Store: newKit(t).store}} {
		if _, err := webhooks.New(c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// crowded is a store with as many webhooks as are allowed.
type crowded struct{ tocsin.Store }

func (crowded) ListWebhooks(context.Context) (int64, []tocsin.Webhook, error) {
	return 1, make([]tocsin.Webhook, 10_000), nil
}

func TestWebhooksAreBounded(t *testing.T) {
	k := newKit(t, func(c *webhooks.Config) { c.Store = crowded{c.Store} })
	_, err := k.Create(t.Context(), k.body("one-more", nil), false)
	if tocsin.CodeOf(err) != tocsin.CodeConflict || !strings.Contains(err.Error(), "there are 10000 webhooks; at most 10000 are allowed") {
		t.Errorf("got %v", err)
	}
}
