package console

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// hookView is a webhook with what the API knows about it.
type hookView struct {
	webhook
	Balance balance    `json:"balance"`
	Facts   *hookFacts `json:"facts"`
}

// hookFacts are sums of what a webhook did lately; nil where the API has none.
type hookFacts struct {
	OldestOwedAt *time.Time `json:"oldest_owed_at"`
	Attempts     int        `json:"attempts"`
	Failed       int        `json:"failed_attempts"`
	SuccessRate  *float64   `json:"success_rate"`
	P50          *int64     `json:"p50_ms"`
	P95          *int64     `json:"p95_ms"`
	Rejected     int        `json:"rejected"`
	RejectedAt   *time.Time `json:"rejected_at"`
}

// Rate is the share of attempts that delivered, as people read it; "" without any.
func (h hookView) Rate() string {
	if h.Facts == nil || h.Facts.SuccessRate == nil {
		return ""
	}
	// Not rounded up: 100 % is said of what never failed.
	return trim(float64(int64(*h.Facts.SuccessRate*1000))/10) + " %"
}

// P95 is how long 95 of 100 attempts took at most; "" without any.
func (h hookView) P95() string {
	if h.Facts == nil || h.Facts.P95 == nil {
		return ""
	}
	return milliseconds(float64(*h.Facts.P95))
}

// Owed is how many events wait for it, in a delivery or not.
func (h hookView) Owed() int64 { return h.Balance.Pending + h.Balance.InFlight }

// NextAt is when it does something next by itself; nil for when an event comes.
func (h hookView) NextAt() *time.Time {
	if !h.State.Delivers() {
		return nil
	}
	if h.DueAt != nil && h.Failures > 0 {
		return h.DueAt
	}
	return h.NextRun
}

// Next says in a sentence what happens next, and why.
func (h hookView) Next() string {
	owed := counted(h.Balance.Pending+h.Balance.InFlight, "event")
	failed := counted(h.Failures, "failure")
	switch {
	case h.State == tocsin.StatePaused:
		return "Nothing, while it is paused. It holds " + owed + "."
	case h.State == tocsin.StateDisabled:
		return "Nothing, while it is disabled. It holds " + owed + "; mend the cause, then resume it."
	case h.Failures > 0 && h.DueAt != nil:
		return "The next try, after " + failed + " in a row."
	case h.Failures > 0 && h.Owed() > 0:
		return "The next try, as soon as it is its turn, after " + failed + " in a row."
	case h.NextRun != nil:
		return "The next run, with " + owed + "."
	case h.Frequency == tocsin.Instant && h.Owed() > 0:
		return "It delivers " + owed + "."
	case h.Frequency == tocsin.Instant:
		return "It delivers as soon as an event comes."
	}
	return "The next run follows the next event; runs are " + h.RunEvery.String() + " apart."
}

// trouble orders webhooks: what needs somebody comes first.
func (h hookView) trouble() int {
	switch {
	case h.State == tocsin.StateDisabled:
		return 0
	case h.State == tocsin.StateFailing:
		return 1
	case h.Balance.Dead > 0:
		return 2
	case h.State == tocsin.StatePaused:
		return 3
	case h.Failures > 0:
		return 4
	}
	return 5
}

// webhooksData is the list.
type webhooksData struct {
	Webhooks []hookView
	// Found is how many there are by the filters, All how many in all; More that there are
	// more than were read.
	Found, All     int
	More           bool
	State, Channel string
	Text           string
	States         []string
	Channels       []string
	// Facts says that the API has success rates and latencies.
	Facts          bool
	Previous, Next string
}

// hooksOnPage is how many webhooks stand on one page of the list.
const hooksOnPage = 100

func listWebhooks(p *request) error {
	hooks, more, err := all[hookView](p.client, nil, "v1", "webhooks")
	if err != nil {
		return err
	}
	q := p.URL.Query()
	data := webhooksData{
		All: len(hooks), More: more, State: q.Get("state"), Channel: q.Get("channel"), Text: strings.TrimSpace(q.Get("q")),
		States: []string{"active", "failing", "disabled", "paused"},
	}
	for _, h := range hooks {
		data.Channels = append(data.Channels, h.Channel)
		data.Facts = data.Facts || h.Facts != nil
	}
	slices.Sort(data.Channels)
	data.Channels = slices.Compact(data.Channels)
	found := slices.DeleteFunc(hooks, func(h hookView) bool { return !data.wants(h) })
	slices.SortStableFunc(found, func(a, b hookView) int {
		return cmp.Or(cmp.Compare(a.trouble(), b.trouble()), strings.Compare(a.Name, b.Name))
	})
	data.Found = len(found)
	data.page(p, found)
	return p.show("webhooks", "webhooks", "Webhooks", data)
}

// wants reports whether the filters let a webhook through. They are applied here, where all
// webhooks are at hand: the order is by trouble, which the API's is not.
func (d webhooksData) wants(h hookView) bool {
	if d.State != "" && string(h.State) != d.State || d.Channel != "" && h.Channel != d.Channel {
		return false
	}
	texts := []string{h.Name, h.ID, h.LastError}
	for _, v := range h.Labels {
		texts = append(texts, v)
	}
	texts = append(texts, configTexts(h.Config)...)
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(d.Text))
	})
}

// configTexts are the texts of a configuration, by which people look for a receiver.
func configTexts(raw json.RawMessage) []string {
	var members map[string]any
	if json.Unmarshal(raw, &members) != nil {
		return nil
	}
	var texts []string
	for _, v := range members {
		if text, ok := v.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// page cuts out what stands on this page.
func (d *webhooksData) page(p *request, found []hookView) {
	from, _ := strconv.Atoi(p.URL.Query().Get("from")) // 0 for the first page
	from = max(0, min(from, len(found)))
	end := min(len(found), from+hooksOnPage)
	d.Webhooks = found[from:end]
	link := func(from int) string {
		q := url.Values{"from": {strconv.Itoa(from)}}
		for name, value := range map[string]string{"state": d.State, "channel": d.Channel, "q": d.Text} {
			if value != "" {
				q.Set(name, value)
			}
		}
		return to("webhooks") + "?" + q.Encode()
	}
	if from > 0 {
		d.Previous = link(max(0, from-hooksOnPage))
	}
	if end < len(found) {
		d.Next = link(end)
	}
}

// Filtered reports whether not all are asked for.
func (d webhooksData) Filtered() bool { return d.State != "" || d.Channel != "" || d.Text != "" }
