package api_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tocsin-alerts/tocsin"
)

// found are the ids of a list.
func (k *kit) found(path string) []string {
	k.t.Helper()
	var page struct{ Items []struct{ ID string } }
	k.want(http.StatusOK, &page, "GET", path, "")
	ids := []string{}
	for _, i := range page.Items {
		ids = append(ids, i.ID)
	}
	return ids
}

func (k *kit) finds(path string, want ...string) {
	k.t.Helper()
	if diff := cmp.Diff(append([]string{}, want...), k.found(path)); diff != "" {
		k.t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestEventsAreFoundByDedupKey(t *testing.T) {
	k := newKit(t)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", "["+event("a", `, "dedup_key": "disk & co"`)+","+event("b", "")+","+event("c", `, "dedup_key": "disk & co"`)+"]")
	k.finds("/v1/events?dedup_key="+url.QueryEscape("disk & co"), "c", "a")
	k.finds("/v1/events?dedup_key=disk")
}

func TestIncidentsAreFoundBySeverity(t *testing.T) {
	k := newKit(t)
	k.create("pager", `, "events": ["none"]`)
	k.create("soc", `, "escalate": [{"to": "pager"}]`)
	k.want(http.StatusAccepted, nil, "POST", "/v1/events", event("a", `, "dedup_key": "one"`)) // high
	all := k.found("/v1/incidents")
	if len(all) != 1 {
		t.Fatalf("got %v", all)
	}
	k.finds("/v1/incidents?min_severity=high", all...)
	k.finds("/v1/incidents?min_severity=high&state=open", all...)
	k.finds("/v1/incidents?min_severity=critical")
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/incidents?min_severity=bad", "").says(t, "min_severity")
}

func TestDeliveriesAreFoundByWhatBecameOfTheirEvents(t *testing.T) {
	k := newKit(t)
	soc := k.create("soc", "")
	deliver := func(outcome tocsin.Outcome, events ...string) string {
		for _, id := range events {
			k.want(http.StatusAccepted, nil, "POST", "/v1/events", event(id, ""))
		}
		outcome.Attempt = tocsin.Attempt{Outcome: "partial"}
		return k.deliver(soc.ID, func(tocsin.Claimed) tocsin.Outcome { return outcome })
	}
	deliver(tocsin.Outcome{State: tocsin.DeliveryDelivered}, "a")
	partly := deliver(tocsin.Outcome{State: tocsin.DeliveryDelivered, Dead: map[int]string{1: "422"}}, "b", "c")
	parts := []tocsin.Child{{ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{0}}, {ID: tocsin.NewID(tocsin.PrefixDelivery), Places: []int{1}}}
	split := deliver(tocsin.Outcome{State: tocsin.DeliverySplit, Children: parts}, "d", "e")
	for _, base := range []string{"/v1/deliveries?", "/v1/webhooks/soc/deliveries?"} {
		k.finds(base+"with_dead=true", partly)
		k.finds(base+"with_dead=true&state=delivered", partly)
		k.finds(base + "with_dead=true&state=dead")
		if got := k.found(base + "parent=" + split); len(got) != 2 {
			t.Errorf("%s: got %v", base, got)
		}
		k.finds(base + "parent=" + partly)
	}
	k.refused(http.StatusUnprocessableEntity, tocsin.CodeInvalid, "GET", "/v1/deliveries?with_dead=maybe", "").says(t, "with_dead")
}
