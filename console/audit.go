package console

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

func auditRoutes() []route {
	return []route{{pattern: "GET audit", do: auditLog}}
}

// auditRow is an entry as the list shows it.
type auditRow struct {
	logEntry
	// Diff is what the entry changed, field by field.
	Diff []fieldChange
	// URL is the page of what it is about, "" where there is none.
	URL string
}

// Kind says what became of a field: added, removed or changed.
func (c fieldChange) Kind() string {
	switch {
	case blank(c.From):
		return "added"
	case blank(c.To):
		return "removed"
	}
	return "changed"
}

// diff compares two versions of something field by field. Where one of them is none, all
// fields of the other were added or removed.
func diff(before, after json.RawMessage) []fieldChange {
	from, to := objectOf(before), objectOf(after)
	if from == nil && to == nil {
		return nil
	}
	return slices.DeleteFunc(changesOf(from, to), func(c fieldChange) bool { return slices.Contains(noChange, c.Field) })
}

// What says in a word or two what the entry holds to open.
func (r auditRow) What() string {
	n := counted(len(r.Diff), "field")
	switch from, to := objectOf(r.Before) != nil, objectOf(r.After) != nil; {
	case from && to:
		return n + " changed"
	case to && strings.HasSuffix(r.Action, ".create"):
		return "created with " + n
	case to:
		return "settings: " + n
	case from:
		return "what it was: " + n
	}
	return ""
}

// OutcomeText is the outcome in words; "" in the log is a change that nobody finished.
func (r auditRow) OutcomeText() string {
	if r.Outcome == "" {
		return "unknown"
	}
	return r.Outcome
}

// pagesOf says which pages are about things whose ids begin so.
var pagesOf = map[string]string{
	tocsin.PrefixWebhook: "webhooks", tocsin.PrefixDelivery: "deliveries", tocsin.PrefixKey: "keys",
	tocsin.PrefixReplay: "replays", tocsin.PrefixIncident: "incidents",
}

// pageOf is the address of what an entry is about; "" for what is gone or has no page.
func pageOf(e logEntry) string {
	kind, _, _ := strings.Cut(e.Object, "_")
	page := pagesOf[kind]
	if page == "" || strings.HasSuffix(e.Action, ".delete") {
		return ""
	}
	return to(page, e.Object)
}

type auditData struct {
	Items  []auditRow
	Pager  Pager
	Filter url.Values
	Period period
	// Actions are suggestions.
	Actions []string
}

// auditActions are what the API and our own commands write.
var auditActions = []string{
	"webhook.create", "webhook.change", "webhook.delete", "webhook.pause", "webhook.resume", "webhook.run", "webhook.test", "webhook.check",
	"webhook.rotate_secret", "delivery.redeliver", "replay.create", "replay.pause", "replay.resume", "replay.cancel", "mute.create", "mute.end",
	"incident.acknowledge", "incident.resolve", "key.create", "key.rotate", "key.delete", "secrets.rotate_signing_key", "secrets.reseal",
	"store.migrate", "store.prune", "api.refuse",
}

// Filtered reports whether anything is asked for.
func (d auditData) Filtered() bool {
	return d.Filter.Get("action")+d.Filter.Get("actor")+d.Filter.Get("object")+d.Period.Within != "" || d.Period.Exact()
}

func auditLog(p *request) error {
	data := auditData{Filter: p.filters("50", "action", "actor", "object"), Actions: auditActions}
	data.Period = p.period(data.Filter)
	var page list[logEntry]
	if err := p.get(at(data.Filter, "v1", "audit"), &page); err != nil {
		return p.refused(err, "audit", "audit", "Audit log", data)
	}
	for _, e := range page.Items {
		data.Items = append(data.Items, auditRow{e, diff(e.Before, e.After), pageOf(e)})
	}
	data.Pager = p.pager(page.Next)
	return p.show("audit", "audit", "Audit log", data)
}
