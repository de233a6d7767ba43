package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/webhooks"
)

// webhookView is a webhook as the API shows it: what is configured, what it is doing,
// and its ledger.
type webhookView struct {
	tocsin.Webhook
	tocsin.Activity
	Balance *balanceView `json:"balance,omitempty"`
	Facts   *factsView   `json:"facts,omitempty"`
	// Generated holds fresh secrets, in the one answer that shows them.
	Generated map[string]string `json:"generated,omitempty"`
}

// changedView is a webhook after a PATCH.
type changedView struct {
	webhookView
	Changes []webhooks.Change `json:"changes"`
}

// factsView are sums of what a webhook did lately.
type factsView struct {
	// OldestOwedAt is since when the first of what is owed waits.
	OldestOwedAt *time.Time `json:"oldest_owed_at,omitempty"`
	// Attempts counts the latest ones that ended, at most 200 and of the last day; Failed those
	// of them with which nothing was delivered. The rest is absent without any.
	Attempts    int      `json:"attempts"`
	Failed      int      `json:"failed_attempts"`
	SuccessRate *float64 `json:"success_rate,omitempty"`
	P50         *int64   `json:"p50_ms,omitempty"`
	P95         *int64   `json:"p95_ms,omitempty"`
	// Rejected counts the events of the last day that came by signal and were not taken.
	Rejected   int        `json:"rejected"`
	RejectedAt *time.Time `json:"rejected_at,omitempty"`
}

func viewFacts(f tocsin.WebhookFacts) *factsView {
	v := &factsView{OldestOwedAt: f.OldestAt, Attempts: f.Recent.Attempts, Failed: f.Recent.Failed, Rejected: f.Rejected, RejectedAt: f.RejectedAt}
	if v.Attempts > 0 {
		rate := float64(v.Attempts-v.Failed) / float64(v.Attempts)
		p50, p95 := f.Recent.P50.Milliseconds(), f.Recent.P95.Milliseconds()
		v.SuccessRate, v.P50, v.P95 = &rate, &p50, &p95
	}
	return v
}

// view adds what the store knows about a webhook.
func (s *server) view(ctx context.Context, w tocsin.Webhook) (webhookView, error) {
	views, err := s.views(ctx, []tocsin.Webhook{w})
	if err != nil {
		return webhookView{}, err
	}
	return views[0], nil
}

// views asks twice for all of a page, however many webhooks it and the store hold.
func (s *server) views(ctx context.Context, all []tocsin.Webhook) ([]webhookView, error) {
	if len(all) == 0 {
		return nil, nil
	}
	ids := make([]string, len(all))
	for i, w := range all {
		ids[i] = w.ID
	}
	activities, err := s.Store.Activities(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("reading activity: %w", err)
	}
	facts, err := s.Store.WebhookFacts(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("reading facts: %w", err)
	}
	views := make([]webhookView, len(all))
	for i, w := range all {
		f := facts[w.ID]
		b := viewBalance(f.Balance)
		b.WebhookID, b.Webhook = "", ""
		views[i] = webhookView{Webhook: w, Activity: activities[w.ID], Balance: &b, Facts: viewFacts(f)}
	}
	return views, nil
}

func (s *server) listWebhooks(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "state", "channel", "q", "limit", "cursor")
	want := tocsin.WebhookQuery{Page: q.page(), State: q.webhookState("state"), Channel: q.channel("channel", s.Webhooks.Channels), Text: q.text("q")}
	if err := q.err(); err != nil {
		return err
	}
	part, next, err := s.Store.FindWebhooks(r.Context(), want)
	if err != nil {
		return fmt.Errorf("listing webhooks: %w", err)
	}
	views, err := s.views(r.Context(), part)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(views, next))
}

func (s *server) getWebhook(w http.ResponseWriter, r *http.Request) error {
	got, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	view, err := s.view(r.Context(), got)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", got.Tag())
	return answer(w, http.StatusOK, view)
}

// writing reads the object that POST and PATCH take.
func writing(w http.ResponseWriter, r *http.Request, types ...string) ([]byte, error) {
	raw, err := document(w, r, types...)
	if err == nil && len(bytes.TrimSpace(raw)) == 0 {
		err = tocsin.Errorf(tocsin.CodeMalformed, "the body is empty; send a JSON object")
	}
	return raw, err
}

func (s *server) createWebhook(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	raw, err := writing(w, r, "application/json")
	if err != nil {
		return reply{}, err
	}
	dryRun := isDryRun(r)
	created, err := s.Webhooks.Create(r.Context(), raw, dryRun)
	if err != nil {
		return reply{}, err
	}
	if dryRun {
		return reply{status: http.StatusOK, body: webhookView{Webhook: created.Webhook}}, nil
	}
	c.of(created.Webhook.ID, created.Webhook.Name)
	c.to(created.Webhook)
	// What was just created has no history. Asking the store for it could fail, and
	// with that the one answer that shows the generated secrets.
	view := webhookView{Webhook: created.Webhook, Balance: &balanceView{}, Generated: created.Generated}
	at := "/v1/webhooks/" + url.PathEscape(created.Webhook.ID)
	return reply{status: http.StatusCreated, body: view, location: at, tag: created.Webhook.Tag()}, nil
}

func (s *server) changeWebhook(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	raw, err := writing(w, r, "application/merge-patch+json", "application/json")
	if err != nil {
		return reply{}, err
	}
	when, err := s.ifMatch(r)
	if err != nil {
		return reply{}, err
	}
	before, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	c.webhook(before)
	changed, err := s.Webhooks.ChangeIf(r.Context(), r.PathValue("id"), raw, isDryRun(r), when)
	if err != nil {
		return reply{}, err
	}
	c.to(changed.Webhook)
	answer := reply{status: http.StatusOK, body: s.changedView(r.Context(), changed)}
	if !isDryRun(r) { // what it would be has no version yet
		answer.tag = changed.Webhook.Tag()
	}
	return answer, nil
}

// changedView is the answer to a PATCH. It is given whether or not the store can say
// more: the change is made, and its secrets are shown this once.
func (s *server) changedView(ctx context.Context, changed webhooks.Changed) changedView {
	view, err := s.view(ctx, changed.Webhook)
	if err != nil {
		view = webhookView{Webhook: changed.Webhook}
	}
	view.Generated = changed.Generated
	return changedView{view, changed.Changes}
}

func (s *server) deleteWebhook(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	when, err := s.ifMatch(r)
	if err != nil {
		return reply{}, err
	}
	before, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	c.webhook(before)
	if err := s.Webhooks.DeleteIf(r.Context(), r.PathValue("id"), when); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusNoContent}, nil
}

// act is a POST that changes what a webhook is doing and answers with it.
func (s *server) act(do func(context.Context, string) (tocsin.Webhook, error)) changeFunc {
	return func(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
		before, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
		if err != nil {
			return reply{}, err
		}
		c.webhook(before)
		after, err := do(r.Context(), r.PathValue("id"))
		if err != nil {
			return reply{}, err
		}
		c.to(after)
		view, err := s.view(r.Context(), after)
		if err != nil {
			view = webhookView{Webhook: after} // it is done, whatever else can be said
		}
		return reply{status: http.StatusOK, body: view, tag: after.Tag()}, nil
	}
}

// tested is what came of a test or a check: the request was made, whatever the vendor said.
type tested struct {
	OK        bool              `json:"ok"`
	Error     string            `json:"error,omitempty"`
	Found     string            `json:"found,omitempty"` // by a check
	Exchanges []tocsin.Exchange `json:"exchanges"`
	Truncated int               `json:"truncated,omitempty"`
}

func (s *server) testWebhook(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	w, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	c.of(w.ID, w.Name)
	receipt, err := s.Webhooks.Test(r.Context(), r.PathValue("id"))
	view, err := viewTest(receipt, err)
	return reply{status: http.StatusOK, body: view}, err
}

// viewTest is the answer to a test, unless nothing could be sent: then it returns the error.
func viewTest(receipt tocsin.Receipt, err error) (tested, error) {
	if !fromSender(err) {
		return tested{}, err
	}
	for _, result := range receipt.Results {
		if err == nil {
			err = result.Err
		}
	}
	view := newTested(receipt.Exchanges, err)
	view.Truncated = receipt.Truncated
	return view, nil
}

func newTested(exchanges []tocsin.Exchange, err error) tested {
	view := tested{OK: err == nil, Exchanges: exchanges}
	if err != nil {
		view.Error = err.Error()
	}
	if view.Exchanges == nil {
		view.Exchanges = []tocsin.Exchange{}
	}
	return view
}

func (s *server) checkWebhook(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	w, err := s.Webhooks.Get(r.Context(), r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	c.of(w.ID, w.Name)
	found, exchanges, err := s.Webhooks.Check(r.Context(), r.PathValue("id"))
	view, err := viewCheck(found, exchanges, err)
	return reply{status: http.StatusOK, body: view}, err
}

// viewCheck is the answer to a check, unless nobody could be asked: then it returns the error.
func viewCheck(found string, exchanges []tocsin.Exchange, err error) (tested, error) {
	if !fromSender(err) {
		return tested{}, err
	}
	view := newTested(exchanges, err)
	view.Found = found
	return view, nil
}

// fromSender tells what a vendor said from what kept us from asking.
func fromSender(err error) bool {
	var sent *tocsin.SendError
	var own *tocsin.Error
	return err == nil || errors.As(err, &sent) || !errors.As(err, &own)
}

func (s *server) previewWebhook(w http.ResponseWriter, r *http.Request) error {
	exchanges, err := s.Webhooks.Preview(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(exchanges, ""))
}
