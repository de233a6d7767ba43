package console

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

func deadLettersRoutes() []route {
	return []route{
		{pattern: "GET dead-letters", do: deadLetters},
		{pattern: "POST dead-letters/redeliver", do: redeliverTicked},
	}
}

// deadPage is how many dead deliveries a page has: each is read with its events.
const deadPage = "20"

type deadData struct {
	// Hooks are the webhooks with dead events.
	Hooks  []balance
	Items  []deadDelivery
	Pager  Pager
	Filter url.Values
	Period period
	Names  []string
}

// deadDelivery is a delivery with what is known of why.
type deadDelivery struct {
	deliverySummary
	Events []memberEvent
	// More counts the events that are not shown.
	More int
	// Why is its reason, for a list.
	Why string
	// Class says what kind of error the last attempt ended with, in words.
	Class string
	// Answer is the status of the last answer, 0 for none.
	Answer int
}

// Partly reports whether the delivery is not dead itself: some of its events are.
func (d deadDelivery) Partly() bool { return d.State != tocsin.DeliveryDead }

// Filtered reports whether anything is asked for.
func (d deadData) Filtered() bool {
	return d.Filter.Get("webhook")+d.Period.Within != "" || d.Period.Exact()
}

func deadLetters(p *request) error {
	data := deadData{Filter: p.filters(deadPage, "webhook")}
	data.Filter.Set("webhook", p.hookName(data.Filter.Get("webhook")))
	data.Period = p.period(data.Filter)
	data.Filter.Set("with_dead", "true")
	if err := p.deadHooks(&data); err != nil {
		return err
	}
	var page list[deliverySummary]
	if err := p.get(at(data.Filter, "v1", "deliveries"), &page); err != nil {
		return p.refused(ofFilter(err, "webhook"), "dead-letters", "dead-letters", "Dead letters", data)
	}
	for _, d := range page.Items {
		one, err := p.deadDelivery(d)
		if err != nil {
			return err
		}
		data.Items = append(data.Items, one)
	}
	data.Pager = p.pager(page.Next)
	return p.show("dead-letters", "dead-letters", "Dead letters", data)
}

// deadHooks finds the webhooks with dead events; all of them, or the one that is asked for.
func (p *request) deadHooks(d *deadData) error {
	var ledger ledgerAnswer
	if err := p.get("/v1/ledger", &ledger); err != nil {
		return err
	}
	want := d.Filter.Get("webhook")
	for _, b := range ledger.Webhooks {
		if b.Dead == 0 {
			continue
		}
		d.Names = append(d.Names, b.Webhook)
		if want == "" || want == b.WebhookID || want == b.Webhook {
			d.Hooks = append(d.Hooks, b)
		}
	}
	return nil
}

// shownDead is how many events of a dead delivery are shown.
const shownDead = 3

// deadDelivery reads the events of a delivery and how its last attempt ended.
func (p *request) deadDelivery(d deliverySummary) (deadDelivery, error) {
	var whole deliveryAnswer
	err := p.get(at(nil, "v1", "deliveries", d.ID), &whole)
	if isNotFound(err) { // pruned meanwhile
		return deadDelivery{deliverySummary: d, Why: shorten(d.Reason)}, nil
	}
	if err != nil {
		return deadDelivery{}, err
	}
	one := deadDelivery{deliverySummary: d, Why: shorten(d.Reason), Events: whole.Events}
	if n := len(one.Events); n > shownDead {
		one.Events, one.More = one.Events[:shownDead], n-shownDead
	}
	if n := len(whole.Log); n > 0 {
		last := whole.Log[n-1]
		one.Class = classes[last.ErrorClass]
		if m := len(last.Exchanges); m > 0 {
			one.Answer = last.Exchanges[m-1].Status
		}
	}
	return one, nil
}

// ReplayURL is the form of a replay of what is dead of a webhook, in the same time.
func (d deadData) ReplayURL(b balance) string {
	q := url.Values{"webhook": {b.Webhook}, "what": {string(tocsin.ReplayDead)}}
	for _, name := range []string{"since", "until"} {
		if at := d.Filter.Get(name); at != "" {
			q.Set(name, at)
		}
	}
	return to("replays", "new") + "?" + q.Encode()
}

// ticked is what becomes of a delivery that was ticked.
type ticked struct {
	ID string
	// Wrong is why it is not sent again.
	Wrong string
}

type tickedData struct {
	Items []ticked
	// Done says that they were sent again; else it is asked whether they shall be.
	Done bool
	// Sent counts those that were.
	Sent int
	// Back is the list that they were ticked in.
	Back string
}

// maxTicked is how many deliveries can be ticked at once.
const maxTicked = 200

// redeliverTicked asks whether ticked deliveries shall be sent again, and then does it, one
// after the other.
func redeliverTicked(p *request) error {
	if !p.me.Can(admin) {
		return forbidden("Deliveries are sent again with a key of scope admin.")
	}
	data := tickedData{Done: p.typed("sure") != "", Back: backTo(p.typed("back"), to("dead-letters"))}
	ids := p.PostForm["id"]
	if len(ids) == 0 {
		return p.done(data.Back, "Nothing was ticked, so nothing was sent.")
	}
	stopped := ""
	for n, id := range ids {
		one := ticked{ID: id, Wrong: stopped}
		switch {
		case n >= maxTicked:
			one.Wrong = "more were ticked than can be sent at once; take a replay"
		case data.Done && stopped == "":
			var err error
			if one.Wrong, stopped, err = p.redeliverOne(id); err != nil {
				return err
			}
		}
		if one.Wrong == "" {
			data.Sent++
		}
		data.Items = append(data.Items, one)
	}
	return p.show("dead-letters", "dead-letters-redeliver", "Redeliver", data)
}

// redeliverOne returns why a delivery cannot be sent again, and why the others need not be
// tried where that is not about this one alone.
func (p *request) redeliverOne(id string) (wrong, stop string, err error) {
	err = p.send(http.MethodPost, at(nil, "v1", "deliveries", id, "redeliver"), nil, nil)
	var problem *Problem
	switch {
	case err == nil:
		return "", "", nil
	case !errors.As(err, &problem) || problem.Code == tocsin.CodeForbidden || problem.Code == tocsin.CodeUnauthorized:
		return "", "", err
	case problem.Code == tocsin.CodeConflict || problem.Code == tocsin.CodeNotFound:
		return problem.Error(), "", nil
	}
	return problem.Error(), "not tried after that", nil
}

// backTo is an address of ours, or the other one.
func backTo(address, otherwise string) string {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "" || u.Host != "" || !strings.HasPrefix(u.Path, Base) || strings.ContainsAny(address, "\\\r\n") {
		return otherwise
	}
	return address
}
