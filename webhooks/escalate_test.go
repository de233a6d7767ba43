package webhooks_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tocsin-alerts/tocsin"
)

type object = map[string]any

func escalates(entries ...object) object { return object{"escalate": entries} }

func TestEscalationsAreChecked(t *testing.T) {
	k := newKit(t)
	k.mustCreate(t, "pager", object{"events": []any{"none"}})
	body := k.body("soc", escalates(
		object{"to": "pager", "after": "31d"}, object{"to": "pager", "min_severity": "huge"}, object{"to": "pager", "unless": "resolved"},
		object{"to": "soc"}, object{"to": "pager", "after": "5m"}, object{"to": "pager", "after": "5m", "unless": "acknowledged"},
		object{"to": "pager", "after": "5m", "min_severity": "high"}, object{"after": "5m"}, object{"to": "pager", "after": "-1m"},
	))
	_, err := k.Create(t.Context(), body, false)
	got := fields(t, err, tocsin.CodeInvalid)
	for field, says := range map[string]string{
		"escalate[0].after": "744h", "escalate[1].min_severity": `"huge"`, "escalate[2].unless": `"resolved"`, "escalate[3].to": "itself",
		"escalate[5]": `as escalate[4] does`, "escalate[7].to": `""`, "escalate[8].after": "-1m",
	} {
		if !strings.Contains(got[field], says) {
			t.Errorf("%s: got %q, want %s", field, got[field], says)
		}
		delete(got, field)
	}
	if len(got) > 0 {
		t.Errorf("more than asked for: %v", got)
	}
}

// Chains may not come to more steps than an incident can hold, whichever of their webhooks
// is changed last.
func TestChainsAreBounded(t *testing.T) {
	k := newKit(t)
	level := func(n int) (entries []object) {
		for m := range 10 {
			entries = append(entries, object{"to": fmt.Sprint("l", n), "after": fmt.Sprintf("%dm", m+1)})
		}
		return entries
	}
	k.mustCreate(t, "l0", nil)
	k.mustCreate(t, "l1", escalates(level(0)...))
	k.mustCreate(t, "l2", escalates(level(1)[:9]...))
	k.mustCreate(t, "l3", escalates(level(2)[:1]...)) // 1 + 9 × (1 + 10) = 100
	_, err := k.Create(t.Context(), k.body("l4", escalates(level(3)[:1]...)), false)
	if got := fields(t, err, tocsin.CodeInvalid); !strings.Contains(got["escalate"], `"l4" come to more than 100 steps`) {
		t.Errorf("got %v", got)
	}
	k.mustCreate(t, "side", nil)
	patch, err := json.Marshal(escalates(object{"to": "side"}))
	if err != nil {
		t.Fatal(err)
	}
	_, err = k.Change(t.Context(), "l0", patch, false)
	if got := fields(t, err, tocsin.CodeInvalid); !strings.Contains(got["escalate"], "come to more than 100 steps") {
		t.Errorf("got %v", got)
	}
}
