package integrationtest

import (
	"bytes"
	stdcmp "cmp"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	tocsin "github.com/tocsin-alerts/tocsin"
)

var update = flag.Bool("update", false, "write the golden files of channels")

// cases are the deliveries of the golden files.
func cases(t *testing.T, s Spec) map[string]tocsin.Notification {
	bare := Pick(t, "it-agent")[0]
	bare = tocsin.Event{ID: bare.ID, Source: bare.Source, Type: bare.Type, Severity: bare.Severity, Status: bare.Status, Time: bare.Time}
	trial := one(t)
	trial.Test = true
	out := map[string]tocsin.Notification{
		"one": one(t), "test": trial, "bare": Notify(bare), "every-type": Notify(ordinary(t)...),
		"resolved": Notify(Pick(t, "it-traffic-back")...), "threats": Notify(Pick(t, "it-threat-1", "it-threat-2")...),
		"threat-own-guidance": Notify(Pick(t, "it-threat-own")...), "hostile": Notify(Pick(t, "it-hostile")...),
		"scripts": Notify(Pick(t, "it-scripts")...), "forty": Notify(many(t, 40)...),
		"shared": Notify(Shared(t)...), "shared-hostile": Notify(Shared(t, "evt-hostile")...), "shared-unicode": Notify(Shared(t, "evt-unicode")...),
	}
	for name, events := range s.Events {
		out[name] = Notify(events...)
	}
	return maps.Clone(out)
}

// goldenFile is what a golden file holds of each request.
type goldenFile struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

func testGolden(t *testing.T, s Spec) {
	o := s.open(t, client(t, 0), s.example())
	for name, n := range cases(t, s) {
		t.Run(name, func(t *testing.T) {
			before := apart(n.Events)
			exchanges, err := o.Preview(bg(t), n)
			if err != nil {
				t.Fatalf("Preview: %v", err)
			}
			if diff := cmp.Diff(before, n.Events); diff != "" {
				t.Errorf("rendering changed the events, which other deliveries share (-before +after):\n%s", diff)
			}
			var out []goldenFile
			for _, x := range exchanges {
				if !utf8.ValidString(x.RequestBody) {
					t.Error("the body is not UTF-8")
				}
				out = append(out, goldenFile{x.Method, x.URL, x.RequestHeaders, readable(x.RequestBody)})
			}
			compareGolden(t, filepath.Join("testdata", stdcmp.Or(s.Golden, "golden"), name+".json"), out)
		})
	}
}

// apart is the events with nothing shared.
func apart(events []tocsin.Event) []tocsin.Event {
	out := slices.Clone(events)
	for i := range out {
		e := &out[i]
		e.Labels, e.Raw, e.Data = maps.Clone(e.Labels), bytes.Clone(e.Raw), bytes.Clone(e.Data)
	}
	return out
}

// readable is a JSON body as it is, any other as text.
func readable(body string) any {
	if json.Valid([]byte(body)) {
		return json.RawMessage(body)
	}
	return body
}

func compareGolden(t *testing.T, path string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("reading the golden file (write it with -update): %v", err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; -update writes it anew):\n%s", path, diff)
	}
}

// testLimits renders texts one short of each limit, at it and one over, in runes of
// one to four bytes and in those that an encoder escapes.
func testLimits(t *testing.T, s Spec) {
	o := s.open(t, client(t, 0), s.example())
	for _, limit := range s.Limits {
		for _, r := range []string{"a", "é", "名", "🧨", "&", "<", `"`} {
			for _, over := range []int{-1, 0, 1} {
				text := ofSize(limit.Size, r, limit.Max+over)
				x, err := o.Preview(bg(t), Notify(limit.Event(text)))
				if err != nil {
					t.Fatalf("%s of %q: %v", limit.Name, r, err)
				}
				got := limit.Rendered(t, x[0].RequestBody)
				switch {
				case limit.Size(got) > limit.Max || !utf8.ValidString(got):
					t.Errorf("%s of %q, %+d: rendered as %d, at most %d", limit.Name, r, over, limit.Size(got), limit.Max)
				case over <= 0 && got != text:
					t.Errorf("%s of %q, %+d: shortened although it fits", limit.Name, r, over)
				case over > 0 && (!strings.HasSuffix(got, "…") || limit.Size(got) < limit.Max-limit.Size(r)):
					t.Errorf("%s of %q, %+d: rendered as %d ending in %q, want just under %d and …", limit.Name, r, over,
						limit.Size(got), got[max(0, len(got)-6):], limit.Max)
				}
			}
		}
	}
}

// ofSize repeats r up to a size, and fills up with a.
func ofSize(size func(string) int, r string, want int) string {
	text := strings.Repeat(r, want/size(r))
	return text + strings.Repeat("a", want-size(text))
}
