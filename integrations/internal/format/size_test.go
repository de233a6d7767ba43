package format_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
)

// renderers are all formats.
var renderers = map[string]func(*tocsin.Event) ([]byte, error){
	"JSON":       func(e *tocsin.Event) ([]byte, error) { return format.JSON(e) },
	"OCSF":       func(e *tocsin.Event) ([]byte, error) { return format.OCSF(e) },
	"CloudEvent": func(e *tocsin.Event) ([]byte, error) { return format.CloudEvent(e) },
	"CEF":        func(e *tocsin.Event) ([]byte, error) { return []byte(format.CEF(e, "1")), nil },
	"LEEF":       func(e *tocsin.Event) ([]byte, error) { return []byte(format.LEEF(e, "1")), nil },
}

// What an output may be of an event, as a multiple of it: texts stand in several attributes,
// and some characters need escapes. A URL stands in the most, and is percent-encoded in some.
const (
	timesText = 6
	timesURL  = 16
)

// checkSize holds every format to a multiple of the event, and what all outputs have besides.
func checkSize(t testing.TB, name string, e *tocsin.Event, times int) {
	t.Helper()
	text, err := format.JSON(e)
	if err != nil {
		t.Fatal(err)
	}
	most := times*len(text) + 32<<10
	for format, render := range renderers {
		if out, err := render(e); err != nil || len(out) > most {
			t.Errorf("%s: %d bytes of %s of an event of %d bytes (%v)", name, len(out), format, len(text), err)
		}
	}
}

// listKeys are the keys of data that are lists.
var listKeys = []string{"cwe", "references", "affected", "capabilities"}

// manyItems is data of about size bytes with many short items under one key, and a long
// reference, category and remediation beside them.
func manyItems(key string, size int) json.RawMessage {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"category":%q,"remediation":"r","references":[%q],%q:[`, strings.Repeat("y", size/4), strings.Repeat("x", size/4), key)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `"%05d",`, i)
	}
	return append(bytes.TrimSuffix(b.Bytes(), []byte(",")), "]}"...)
}

// hostileEvents have 256 KiB in the places that formats repeat or escape.
func hostileEvents() map[string]*tocsin.Event {
	const size = 256 << 10
	of := func(kind string, data json.RawMessage) *tocsin.Event {
		return &tocsin.Event{ID: "1", Source: "/s", Type: kind, Subject: "agent/x", Time: time.Unix(1e9, 0), Data: data}
	}
	out := map[string]*tocsin.Event{}
	for kind, keys := range map[string][]string{
		"vulnerability.found": {"evidence", "test_id", "remediation"}, "threat.detected": {"url", "actor", "filterId"}, "agent.discovered": {"framework"},
	} {
		for _, key := range listKeys {
			out[kind+" "+key] = of(kind, manyItems(key, size))
		}
		for _, key := range keys {
			for _, unit := range []string{"<", "é", "\u2028", "^|="} {
				text := strings.Repeat(unit, size/len(unit))
				if key == "url" {
					text = "https://h/" + text
				}
				out[kind+" "+key+" "+unit] = of(kind, json.RawMessage(`{"`+key+`":"`+text+`"}`))
			}
		}
	}
	labels := of("custom.x", nil)
	labels.Labels = map[string]string{}
	for i := range 10_000 {
		labels.Labels[fmt.Sprintf("K%04d", i)] = `"\"`
	}
	out["labels"] = labels
	return out
}

// TestNoEventBecomesHuge: whatever an event of the largest size holds, no format makes more
// of it than a small multiple.
func TestNoEventBecomesHuge(t *testing.T) {
	for name, e := range hostileEvents() {
		times := timesText
		if strings.Contains(name, " url ") {
			times = timesURL
		}
		checkSize(t, name, e, times)
	}
}

// TestOCSFAllocatesInProportion: neither does it take more memory on the way. Decoding the
// lists, encoding and growing buffers have their share in the factor.
func TestOCSFAllocatesInProportion(t *testing.T) {
	for _, key := range listKeys {
		e := &tocsin.Event{ID: "1", Source: "/s", Type: "vulnerability.found", Data: manyItems(key, 256<<10)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := format.OCSF(e)
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; err != nil || spent > 64*uint64(len(e.Data)) {
			t.Errorf("%s: %d bytes allocated for %d bytes of data (%v)", key, spent, len(e.Data), err)
		}
	}
}

// lists is what a finding has of what data lists.
type lists struct {
	Resources       []struct{ UID, Role string }
	Vulnerabilities []struct {
		Title      string
		CWE        struct{ UID string }
		References []string
	}
	Remediation struct{ References []string }
	Unmapped    json.RawMessage
}

// TestListsOfAFindingEnd: a finding has the first 50 of each list, each once, says references and
// category once, and has everything under unmapped.
func TestListsOfAFindingEnd(t *testing.T) {
	const many = 33_000
	number := func(i int) string { return fmt.Sprintf("n%d", i) }
	for _, n := range []int{1, 49, 50, 51, many} {
		items := make([]string, 0, 2*n)
		for i := range n {
			items = append(items, number(i), number(i)) // each twice
		}
		affected, err := json.Marshal(items)
		if err != nil {
			t.Fatal(err)
		}
		short, err := json.Marshal(items[:min(len(items), 2000)])
		if err != nil {
			t.Fatal(err)
		}
		data := fmt.Sprintf(`{"category":"c","remediation":"r","affected":%s,"cwe":%s,"references":%s}`, affected, short, short)
		e := tocsin.Event{ID: "1", Source: "/s", Type: "vulnerability.found", Subject: "agent/x", Labels: map[string]string{"collection": "c"}, Data: json.RawMessage(data)}
		var f lists
		if err := json.Unmarshal(finding(t, e), &f); err != nil {
			t.Fatal(err)
		}
		checkResources(t, n, f)
		checkVulnerabilities(t, min(n, 50), f)
		if string(f.Unmapped) != data {
			t.Errorf("%d: %d bytes under unmapped, want %d", n, len(f.Unmapped), len(data))
		}
	}
}

func checkResources(t *testing.T, n int, f lists) {
	t.Helper()
	roles := map[string]int{}
	for _, r := range f.Resources {
		roles[r.Role]++
	}
	if roles["Target"] != 1 || roles["Affected"] != min(n, 50) || roles["Related"] != 1 {
		t.Errorf("%d affected: %v", n, roles)
	}
}

func checkVulnerabilities(t *testing.T, want int, f lists) {
	t.Helper()
	if len(f.Vulnerabilities) != want || len(f.Remediation.References) != want {
		t.Errorf("%d vulnerabilities and %d references, want %d", len(f.Vulnerabilities), len(f.Remediation.References), want)
	}
	for i, v := range f.Vulnerabilities {
		if first := i == 0; v.CWE.UID == "" || (v.Title == "c") != first || (len(v.References) == want) != first || !first && v.References != nil {
			t.Errorf("vulnerability %d: %q, %q, %d references", i, v.Title, v.CWE.UID, len(v.References))
		}
	}
}

// FuzzSize repeats whatever there is in whatever place: no output is larger than a small
// multiple of the event.
func FuzzSize(f *testing.F) {
	for i := range listKeys {
		f.Add("vulnerability.found", uint8(i), "CWE-1", "https://example.com/<>", uint16(9000))
	}
	f.Add("threat.detected", uint8(0), "\x01", "https://h/é\u2028", uint16(100))
	f.Add("agent.discovered", uint8(3), "\"", "\\", uint16(100))
	f.Fuzz(func(t *testing.T, kind string, key uint8, item, text string, n uint16) {
		if !utf8.ValidString(kind + item + text) {
			return // ingest lets none such in
		}
		const most = 32 << 10
		items := make([]string, min(int(n), most/(len(item)+8)))
		for i := range items {
			items[i] = fmt.Sprint(item, i)
		}
		long := strings.Repeat(text, min(int(n), (most/8)/(len(text)+1)))
		data := map[string]any{"category": long, "url": text + long, "remediation": long, "test_id": long, "references": []string{long}}
		data[listKeys[int(key)%len(listKeys)]] = items
		encoded, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		checkSize(t, kind, &tocsin.Event{ID: "1", Source: "/s", Type: kind, Subject: item, Time: time.Unix(1e9, 0), Labels: map[string]string{item: long}, Data: encoded}, timesURL)
	})
}

// BenchmarkOCSFOfManyItems shows time and memory in proportion to the data.
func BenchmarkOCSFOfManyItems(b *testing.B) {
	for _, key := range listKeys {
		for _, size := range []int{16 << 10, 256 << 10} {
			e := &tocsin.Event{ID: "1", Source: "/s", Type: "vulnerability.found", Data: manyItems(key, size)}
			b.Run(fmt.Sprintf("%s/%dKiB", key, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(e.Data)))
				for b.Loop() {
					if _, err := format.OCSF(e); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
