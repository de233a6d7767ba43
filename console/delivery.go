package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// deliveryAnswer is a delivery as the API has it.
type deliveryAnswer struct {
	deliverySummary
	Log    []tocsin.Attempt `json:"attempt_log"`
	Events []memberEvent    `json:"events"`
}

// memberEvent names an event.
type memberEvent struct {
	Source   string          `json:"source"`
	ID       string          `json:"id"`
	Type     string          `json:"type"`
	Severity tocsin.Severity `json:"severity"`
	Title    string          `json:"title"`
}

// Heading is what an event is called in a list.
func (e memberEvent) Heading() string { return heading(e.Title, e.Type) }

// heading is a title, or where there is none the type.
func heading(title, kind string) string {
	if title == "" {
		return kind
	}
	return title
}

type deliveryData struct {
	deliveryAnswer
	// Hook is its webhook; nil when that is deleted.
	Hook *webhook
	// Latest is the attempt that counts, Earlier the ones before it, newest first. Left
	// counts those that are not shown.
	Latest  *attemptView
	Earlier []attemptView
	Left    int
	// Children are the deliveries it was split into, as far as they are found.
	Children []deliverySummary
	// MoreEvents counts the events that are not listed.
	MoreEvents  int
	WorkflowURL string
	// Seen is of the state that is shown, so that nothing is sent while it is the same.
	Seen string
}

// attemptView is an attempt in words.
type attemptView struct {
	tocsin.Attempt
	Views []exchangeView
	// Gap is how long after the attempt before it began.
	Gap time.Duration
}

const (
	// shownAttempts is how many attempts are shown unless all are asked for.
	shownAttempts = 10
	// shownEvents is the same for events.
	shownEvents = 50
)

func showDelivery(p *request) error {
	var d deliveryAnswer
	if err := p.get(at(nil, "v1", "deliveries", p.PathValue("id")), &d); err != nil {
		return err
	}
	data := deliveryData{deliveryAnswer: d, Seen: fmt.Sprintf("%s-%d-%d", d.State, d.Attempts, finished(d.Log))}
	if p.URL.Query().Get("part") == "attempts" && p.URL.Query().Get("seen") == data.Seen {
		p.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	all := p.URL.Query().Get("all") != ""
	data.attempts(all)
	if n := len(data.Events); n > shownEvents && !all {
		data.Events, data.MoreEvents = data.Events[:shownEvents], n-shownEvents
	}
	if p.console.WorkflowURL != nil {
		data.WorkflowURL = p.console.WorkflowURL(d.WebhookID)
	}
	var err error
	if data.Hook, err = p.hook(d.WebhookID); err != nil {
		return err
	}
	if data.Children, err = p.children(d); err != nil {
		return err
	}
	return p.show("deliveries", "delivery", "Delivery "+d.ID, data)
}

// hook finds a webhook; nil for a deleted one.
func (p *request) hook(id string) (*webhook, error) {
	var w webhook
	err := p.get(at(nil, "v1", "webhooks", id), &w)
	if isNotFound(err) {
		return nil, nil
	}
	return &w, err
}

func isNotFound(err error) bool {
	var problem *Problem
	return errors.As(err, &problem) && problem.Code == tocsin.CodeNotFound
}

func finished(log []tocsin.Attempt) int {
	n := 0
	for _, a := range log {
		if a.FinishedAt != nil {
			n++
		}
	}
	return n
}

// attempts puts the log in order for reading.
func (d *deliveryData) attempts(all bool) {
	for i := len(d.Log) - 1; i >= 0; i-- {
		a := attemptView{Attempt: d.Log[i]}
		if i > 0 {
			a.Gap = a.StartedAt.Sub(d.Log[i-1].StartedAt)
		}
		switch {
		case d.Latest == nil:
			a.Views = viewExchanges(a.Exchanges)
			d.Latest = &a
		case all || len(d.Earlier) < shownAttempts-1:
			a.Views = viewExchanges(a.Exchanges)
			d.Earlier = append(d.Earlier, a)
		default:
			d.Left++
		}
	}
}

// children are what a delivery was split into.
func (p *request) children(d deliveryAnswer) ([]deliverySummary, error) {
	if d.State != tocsin.DeliverySplit {
		return nil, nil
	}
	var page list[deliverySummary]
	err := p.get(at(url.Values{"limit": {"1000"}, "parent": {d.ID}}, "v1", "deliveries"), &page)
	return page.Items, err
}

// clock is a time as the API takes it.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func redeliver(p *request) error {
	id := p.PathValue("id")
	if err := p.send(http.MethodPost, at(nil, "v1", "deliveries", id, "redeliver"), nil, nil); err != nil {
		return err
	}
	return p.done(to("deliveries", id), "The delivery goes out again, under its own id.")
}

// Open reports whether something is still to happen.
func (d deliverySummary) Open() bool {
	return d.State == tocsin.DeliveryReady || d.State == tocsin.DeliverySending
}

// Says is what there is to know beside the state, in a list.
func (d deliverySummary) Says() string {
	switch {
	case d.Reason != "":
		return shorten(d.Reason)
	case d.Open() && d.LastError != "":
		return shorten(d.LastError)
	case d.Open():
		return d.Next
	}
	return ""
}

// Soon is what comes next; a long reason is in full where it belongs.
func (d deliverySummary) Soon() string {
	if d.Reason == "" {
		return d.Next
	}
	return strings.Replace(d.Next, d.Reason, shorten(d.Reason), 1)
}

// longest is how much of what receivers say is shown in a list: they like to say it with
// whole pages.
const longest = 160

// shorten cuts a text for a list.
func shorten(text string) string {
	letters := []rune(text)
	if len(letters) <= longest {
		return text
	}
	return strings.TrimRight(string(letters[:longest]), " .…") + "…"
}

// Took is how long the attempt took in milliseconds, 0 while it is under way.
func (a attemptView) Took() float64 {
	if a.FinishedAt == nil {
		return 0
	}
	return float64(a.FinishedAt.Sub(a.StartedAt).Microseconds()) / 1000
}

// Brief is the error, for a line.
func (a attemptView) Brief() string { return shorten(a.Error) }

// GapText says how long after the one before it began; "" for the first.
func (a attemptView) GapText() string {
	if a.Gap <= 0 {
		return ""
	}
	return coarse(a.Gap) + " after the attempt before"
}

// classes are what the classes of errors mean.
var classes = map[string]string{
	"dns":      "The host's name was not resolved.",
	"connect":  "No connection was made: nothing listens there, or something in between refuses.",
	"tls":      "The secure connection was not made: look at the certificate and the host's name in it.",
	"timeout":  "The receiver took too long. It may have acted on it all the same.",
	"reset":    "The connection broke before an answer came. The receiver may have acted on it all the same.",
	"status":   "The receiver answered, and said no.",
	"egress":   "The address may not be reached from here (egress rules). Nothing was sent.",
	"render":   "The request could not be made from these events with the present configuration. Nothing was sent.",
	"body":     "The receiver answered with what cannot be read.",
	"internal": "This is a fault of Tocsin, not of the receiver.",
}

// ClassText says what the class of its error means.
func (a attemptView) ClassText() string { return classes[a.ErrorClass] }

// outcomes are what they mean for the delivery.
var outcomes = map[string]string{
	"retryable": "It is tried again.",
	"permanent": "The receiver refuses these events. A batch is split in half to find out which; a single one is dead.",
	"refused":   "The receiver refuses this webhook, whatever is in it: look at its address and credentials. Events are held until that is mended.",
	"gone":      "The receiver is gone for good. The webhook was disabled.",
	"partial":   "Part of the events was accepted; those are not sent again.",
	"unknown":   "No outcome was recorded: the process ended in between. The receiver may have it; the next attempt has the same id, so that it can tell.",
}

// OutcomeText says what the outcome means for the delivery.
func (a attemptView) OutcomeText() string {
	if a.FinishedAt == nil && a.Outcome == "unknown" {
		return "It is under way, or its process has ended without a record."
	}
	return outcomes[a.Outcome]
}
