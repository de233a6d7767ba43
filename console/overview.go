package console

import (
	"cmp"
	"net/url"
	"slices"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

func overviewRoutes() []route {
	return []route{{pattern: "GET {$}", do: overview}}
}

// webhook is a webhook as the API's lists have it.
type webhook struct {
	tocsin.Webhook
	tocsin.Activity
}

// balance is a line of the ledger; Difference is what does not add up.
type balance struct {
	tocsin.Balance
	Difference int64 `json:"difference"`
}

type ledgerAnswer struct {
	Webhooks []balance `json:"webhooks"`
	Total    balance   `json:"total"`
}

// deliverySummary is a delivery as the API's lists have it.
type deliverySummary struct {
	tocsin.Delivery
	Webhook   string     `json:"webhook"`
	LastError string     `json:"last_error"`
	DueAt     *time.Time `json:"due_at"`
	Next      string     `json:"next"`
}

// overviewData is the model of how a page's data is put together: what the API said,
// and what follows from it for the reader.
type overviewData struct {
	Webhooks  int
	Total     balance
	Attention []concern
	// More says that there are more webhooks than were looked at.
	More     bool
	Channels []channelHealth
	Latest   []deliverySummary
	Flow     flow
	// PublicURL and Demo are for the first steps.
	PublicURL string
}

// concern is one thing that somebody should look at.
type concern struct {
	State, Title, Text, URL string
	Since                   *time.Time
	// rank orders: what loses time first.
	rank int
}

func overview(p *request) error {
	hooks, more, err := all[hookView](p.client, nil, "v1", "webhooks")
	if err != nil {
		return err
	}
	var ledger ledgerAnswer
	if err := p.get("/v1/ledger", &ledger); err != nil {
		return err
	}
	var latest list[deliverySummary]
	if err := p.get(at(url.Values{"limit": {"8"}}, "v1", "deliveries"), &latest); err != nil {
		return err
	}
	var incidents list[tocsin.Incident]
	if err := p.get(at(url.Values{"state": {"open"}, "limit": {"100"}}, "v1", "incidents"), &incidents); err != nil {
		return err
	}
	flow, err := p.flow()
	if err != nil {
		return err
	}
	return p.show("", "overview", "Overview", overviewData{
		Webhooks: len(hooks), More: more, Total: ledger.Total, Latest: latest.Items, PublicURL: p.publicURL(),
		Attention: concerns(hooks, ledger.Total, incidents.Items, p.now), Channels: healthOf(hooks), Flow: flow,
	})
}

// publicURL is how this Tocsin is reached, as far as anybody said; else as this visitor
// reached it.
func (p *request) publicURL() string {
	if p.console.PublicURL != "" {
		return p.console.PublicURL
	}
	if p.TLS != nil {
		return "https://" + p.Host
	}
	return "http://" + p.Host
}

// maxIncidents is how many incidents are listed one by one: they must not push what is
// wrong with webhooks out of sight.
const maxIncidents = 3

// maxConcerns is how many things are named before the rest is counted.
const maxConcerns = 12

// concerns are what needs attention, the most urgent first.
func concerns(hooks []hookView, total balance, incidents []tocsin.Incident, now time.Time) []concern {
	var found []concern
	if total.Difference != 0 {
		found = append(found, concern{State: "failed", Title: "The ledger does not add up", Text: stack{balance: total}.Wrong() + ". This is a fault in Tocsin: run tocsin ledger --verify, and report what it says.", URL: to("ledger")})
	}
	for _, h := range hooks {
		if c, ok := concernOf(h, now); ok {
			found = append(found, c)
		}
		if h.Facts != nil && h.Facts.Rejected > 0 {
			n := counted(h.Facts.Rejected, "event")
			found = append(found, concern{State: "refused", Title: h.Name, Text: n + " that came by signal in the last day could not be taken. The webhook's page says why.",
				URL: to("webhooks", h.ID), Since: h.Facts.RejectedAt, rank: 5})
		}
	}
	for n, i := range incidents {
		if n == maxIncidents {
			rest := counted(len(incidents)-n, "open incident")
			found = append(found, concern{State: "open", Title: "And " + rest, URL: to("incidents") + "?state=open", rank: 6})
			break
		}
		opened := i.OpenedAt
		found = append(found, concern{State: "open", Title: cmp.Or(i.Title, i.DedupKey), Text: "This incident was escalated, and nobody has acknowledged it.", URL: to("incidents", i.ID), Since: &opened, rank: 6})
	}
	slices.SortStableFunc(found, func(a, b concern) int { return cmp.Compare(a.rank, b.rank) })
	if n := len(found) - maxConcerns; n > 1 {
		text := counted(n, "more thing")
		found = append(found[:maxConcerns], concern{State: found[maxConcerns].State, Title: "And " + text, Text: "The list of webhooks has them all, those in trouble first.", URL: to("webhooks")})
	}
	return found
}

// concernOf is what is wrong with one webhook, if anything is.
func concernOf(h hookView, now time.Time) (concern, bool) {
	c := concern{State: string(h.State), Title: h.Name, URL: to("webhooks", h.ID), Since: &h.StateSince}
	owed := counted(h.Owed(), "event")
	dead := counted(h.Balance.Dead, "event")
	switch {
	case h.State == tocsin.StateDisabled:
		c.rank, c.Text = 2, "It was disabled"+because(h.StateReason)+" and holds "+owed+". Mend the cause, then resume it."
	case h.State == tocsin.StateFailing:
		c.rank, c.Text, c.Since = 3, "Deliveries fail: "+cmp.Or(h.LastError, "no answer")+". It holds "+owed+" until it recovers.", h.FailingSince
	case h.State == tocsin.StateActive && h.Failures > 0 && h.Owed() > 0:
		failed := counted(h.Failures, "attempt")
		c.rank, c.State, c.Since = 4, "waiting", h.FailingSince
		c.Text = "Its last " + failed + " failed: " + cmp.Or(h.LastError, "no answer") + ". It owes " + owed + " and is tried again."
	case h.late(now):
		c.rank, c.State, c.Since = 4, "waiting", h.Facts.OldestOwedAt
		c.Text = "It is active and owes " + owed + ", and the first of them has waited for " + coarse(now.Sub(*c.Since)) + ". Does a worker run?"
	case h.Balance.Dead > 0:
		c.rank, c.State, c.Text, c.Since = 5, "dead", dead+" could not be delivered. Look at why, then redeliver.", nil
		c.URL = to("dead-letters") + "?" + url.Values{"webhook": {h.Name}}.Encode()
	case h.State == tocsin.StatePaused && h.Owed() > 0:
		c.rank, c.Text = 7, "It is paused and holds "+owed+"."
	default:
		return concern{}, false
	}
	return c, true
}

// lateAfter is how much longer than its interval what is owed may wait before somebody
// should look: runs, retries and restarts take their time.
const lateAfter = 5 * time.Minute

// late reports whether what a webhook owes waits, although nothing holds it back.
func (h hookView) late(now time.Time) bool {
	if h.State != tocsin.StateActive || h.Facts == nil || h.Facts.OldestOwedAt == nil || h.DueAt != nil && h.DueAt.After(now) {
		return false
	}
	wait := lateAfter
	if h.Frequency == tocsin.Periodic {
		wait += h.RunEvery.Std()
	}
	return now.Sub(*h.Facts.OldestOwedAt) > wait
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
