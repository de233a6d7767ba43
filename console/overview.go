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
	Charts   []Chart
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

// channelHealth is how the webhooks of one channel do.
type channelHealth struct {
	Channel                   string
	Webhooks, Healthy         int
	Delivered, Pending, Dead  int64
	LastDelivery              *time.Time
	Failing, Disabled, Paused int
}

func overview(p *request) error {
	hooks, more, err := all[webhook](p.client, nil, "v1", "webhooks")
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
	byID := map[string]balance{}
	for _, b := range ledger.Webhooks {
		byID[b.WebhookID] = b
	}
	return p.show("", "overview", "Overview", overviewData{
		Webhooks: len(hooks), More: more, Total: ledger.Total, Latest: latest.Items, PublicURL: p.publicURL(),
		Attention: concerns(hooks, byID, ledger.Total, incidents.Items), Channels: healthOf(hooks, byID),
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

// concerns are what needs attention, the most urgent first.
func concerns(hooks []webhook, balances map[string]balance, total balance, incidents []tocsin.Incident) []concern {
	var found []concern
	if total.Difference != 0 {
		n, _ := plural(total.Difference, "event")
		found = append(found, concern{State: "failed", Title: "The ledger does not add up", Text: n + " cannot be accounted for. This is a fault in Tocsin: run tocsin ledger --verify, and report what it says.", URL: to("ledger")})
	}
	for _, h := range hooks {
		if c, ok := concernOf(h, balances[h.ID]); ok {
			found = append(found, c)
		}
	}
	for n, i := range incidents {
		if n == maxIncidents {
			rest, _ := plural(len(incidents)-n, "open incident")
			found = append(found, concern{State: "open", Title: "And " + rest, URL: to("incidents") + "?state=open", rank: 1})
			break
		}
		opened := i.OpenedAt
		found = append(found, concern{State: "open", Title: cmp.Or(i.Title, i.DedupKey), Text: "This incident was escalated, and nobody has acknowledged it.", URL: to("incidents", i.ID), Since: &opened, rank: 1})
	}
	slices.SortStableFunc(found, func(a, b concern) int { return cmp.Compare(a.rank, b.rank) })
	return found
}

// concernOf is what is wrong with one webhook, if anything is.
func concernOf(h webhook, b balance) (concern, bool) {
	c := concern{State: string(h.State), Title: h.Name, URL: to("webhooks", h.ID), Since: &h.StateSince}
	owed, _ := plural(b.Pending+b.InFlight, "event")
	dead, _ := plural(b.Dead, "event")
	switch {
	case h.State == tocsin.StateDisabled:
		c.rank, c.Text = 2, "It was disabled"+because(h.StateReason)+" and holds "+owed+". Mend the cause, then resume it."
	case h.State == tocsin.StateFailing:
		c.rank, c.Text, c.Since = 3, "Deliveries fail: "+cmp.Or(h.LastError, "no answer")+". "+owed+" are held until it recovers.", h.FailingSince
	case b.Dead > 0:
		c.rank, c.State, c.Text, c.Since = 4, "dead", dead+" could not be delivered. Look at why, then redeliver.", nil
		c.URL = to("dead-letters") + "?" + url.Values{"webhook": {h.ID}}.Encode()
	case h.State == tocsin.StatePaused && b.Pending+b.InFlight > 0:
		c.rank, c.Text = 5, "It is paused and holds "+owed+"."
	default:
		return concern{}, false
	}
	return c, true
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// healthOf adds up webhooks by channel, in the order of the alphabet.
func healthOf(hooks []webhook, balances map[string]balance) []channelHealth {
	found := map[string]*channelHealth{}
	for _, h := range hooks {
		c := found[h.Channel]
		if c == nil {
			c = &channelHealth{Channel: h.Channel}
			found[h.Channel] = c
		}
		c.add(h, balances[h.ID])
	}
	var out []channelHealth
	for _, c := range found {
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b channelHealth) int { return cmp.Compare(a.Channel, b.Channel) })
	return out
}

func (c *channelHealth) add(h webhook, b balance) {
	c.Webhooks++
	c.Delivered += b.Delivered
	c.Pending += b.Pending + b.InFlight
	c.Dead += b.Dead
	if h.LastDelivery != nil && (c.LastDelivery == nil || h.LastDelivery.After(*c.LastDelivery)) {
		c.LastDelivery = h.LastDelivery
	}
	switch h.State {
	case tocsin.StateActive:
		c.Healthy++
	case tocsin.StateFailing:
		c.Failing++
	case tocsin.StateDisabled:
		c.Disabled++
	case tocsin.StatePaused:
		c.Paused++
	}
}
