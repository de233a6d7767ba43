package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/failpoint"
)

// The levels of tocsin.Activity's Announced that are not percentages.
const (
	levelNone     = 0
	levelFailing  = 1
	levelDisabled = 100
)

// announceSource is the source of the pipeline's own events.
const announceSource = "/tocsin"

// announceFor bounds one announcement. A store that is away longer must not keep the
// activity from returning.
const announceFor = 5 * time.Second

// troubleLevel is how bad a webhook's standing is: failing, for how much of
// disable_after, or disabled.
func troubleLevel(state tocsin.State, since *time.Time, disableFor time.Duration, now time.Time) int {
	switch state {
	case tocsin.StateDisabled:
		return levelDisabled
	case tocsin.StateFailing:
		if since == nil || disableFor <= 0 {
			return levelFailing
		}
		for _, percent := range []int{90, 70, 50} {
			if now.Sub(*since) >= disableFor/100*time.Duration(percent) {
				return percent
			}
		}
		return levelFailing
	}
	return levelNone
}

// notice is a step that is still to be announced.
type notice struct {
	level int
	event string // its alert type
	id    string
}

// noticeFor compares what people were told with how the webhook stands; false when they
// know. It sees nothing but the store's rows, so a process that dies between the
// two leaves nothing unsaid: the next Deliver begins with it. Event ids are made of the
// webhook, the beginning of the trouble (or of the recovery) and the level, so what is
// announced again converges. After somebody resumed the webhook people still know of the
// trouble, and of none of its percentages: SetState sees to that.
func noticeFor(w tocsin.Webhook, act tocsin.Activity, now time.Time) (notice, bool) {
	level := troubleLevel(w.State, act.FailingSince, w.DisableFor.Std(), now)
	switch {
	case level > act.Announced:
		kind, since := "webhook.failing", w.StateSince
		if level == levelDisabled {
			kind = "webhook.disabled"
		}
		if act.FailingSince != nil {
			since = *act.FailingSince
		}
		return notice{level, kind, fmt.Sprintf("%s/%s/%d/%d", kind, w.ID, since.UnixMilli(), level)}, true
	case act.Announced > levelNone && recovered(w, act):
		const kind = "webhook.recovered"
		return notice{levelNone, kind, fmt.Sprintf("%s/%s/%d", kind, w.ID, w.StateSince.UnixMilli())}, true
	}
	return notice{}, false
}

// recovered reports whether something was accepted since the trouble ended. Whoever is
// announced was failing or disabled, so the last change of state was its way back.
func recovered(w tocsin.Webhook, act tocsin.Activity) bool {
	return w.State == tocsin.StateActive && act.Failures == 0 && act.LastDelivery != nil && !act.LastDelivery.Before(w.StateSince)
}

// catchUp announces at the beginning of a Deliver what an earlier one did not come to. A
// further percentage is left to the attempt where one follows: it may succeed, or disable.
func (r *run) catchUp(ctx context.Context) {
	w, act := r.lease.Webhook, r.lease.Activity
	n, due := noticeFor(w, act, r.lease.Now)
	further := w.State == tocsin.StateFailing && act.Announced > levelNone && n.level > act.Announced
	if !due || w.State == tocsin.StateDeleted || further && !r.backsOff() {
		return
	}
	r.announcer.ask(func() error { return r.announce(ctx) })
	// Before any attempt: one that succeeds ends the trouble, and what was said of it must
	// be noted by then, or its end is never said.
	r.announcer.stop()
}

// announceAgain is when a Deliver comes back for what it could not announce.
const announceAgain = 10 * time.Second

// untold brings the workflow back soon when something could not be announced: a webhook
// that is idle, disabled or backs off may not be looked at for days, and nobody would
// know. The store's deadlines stay as they are, so nothing is sent for it.
func (r *run) untold(out DeliverResult) DeliverResult {
	later := out.Next == NextIdle || out.Next == NextParked || out.Next == NextWait && out.Wait > announceAgain
	if r.announcer.stop() && later {
		out.Next, out.Wait, out.Why = NextWait, announceAgain, "announce how it stands"
	}
	return out
}

// tell announces what an attempt changed. It goes by what this Deliver counted, which
// costs nothing; what is announced is then read from the store.
func (r *run) tell(ctx context.Context) {
	r.mu.Lock()
	level := troubleLevel(r.state, r.failingSince, r.lease.Webhook.DisableFor.Std(), r.now())
	due := level > r.announced || r.announced > levelNone && r.failures == 0 && r.deliveries > 0
	r.mu.Unlock()
	if due {
		r.announcer.ask(func() error { return r.announce(ctx) })
	}
}

// announcer makes announcements beside the deliveries, one at a time, so that none is
// delayed by them. What fails is left to the next Deliver.
type announcer struct {
	mu     sync.Mutex
	busy   bool
	again  bool // asked since it last looked
	failed bool
	untold bool // what failed may be said by the next Deliver
	under  sync.WaitGroup
}

func (n *announcer) ask(announce func() error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.again = true
	if n.busy || n.failed {
		return
	}
	n.busy = true
	n.under.Go(func() {
		for n.next() {
			if err := announce(); err != nil {
				n.mu.Lock()
				n.failed, n.untold = true, !hopeless(err)
				n.mu.Unlock()
			}
		}
	})
}

// next reports whether there is something to look at again.
func (n *announcer) next() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	more := n.again && !n.failed
	n.again, n.busy = false, more
	return more
}

// hopeless reports whether there is nothing to come back for: another Deliver has the
// webhook and says it, or it would be refused again.
func hopeless(err error) bool {
	return errors.Is(err, tocsin.ErrFenced) || tocsin.CodeOf(err) == tocsin.CodeInvalid
}

// stop waits for what is under way, and reports whether something is left to be said.
func (n *announcer) stop() (untold bool) {
	n.under.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.untold
}

// announce brings people up to date about the webhook. Its error was logged.
func (r *run) announce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), announceFor)
	defer cancel()
	err := r.announceNow(ctx)
	if errors.Is(err, tocsin.ErrFenced) {
		return err
	}
	if err != nil {
		r.a.logger().Warn("announcing how a webhook stands: the next delivery will try again", "webhook", r.lease.Webhook.Name, "error", err)
	}
	return err
}

func (r *run) announceNow(ctx context.Context) error {
	id := r.lease.Webhook.ID
	w, err := r.store.Webhook(ctx, id)
	if err != nil {
		return fmt.Errorf("reading webhook: %w", err)
	}
	all, err := r.store.Activities(ctx, id)
	if err != nil {
		return fmt.Errorf("reading the webhook's activity: %w", err)
	}
	act := all[id]
	n, due := noticeFor(w, act, r.now())
	if !due || w.State == tocsin.StateDeleted {
		r.setAnnounced(act.Announced)
		return nil
	}
	if err := r.submitNotice(ctx, n, w, act); err != nil {
		return err
	}
	failpoint.Hit("announce.submitted")
	if err := r.store.Announce(ctx, r.lease.Fence, n.level); err != nil {
		return fmt.Errorf("noting what was announced: %w", err)
	}
	r.setAnnounced(n.level)
	return nil
}

func (r *run) setAnnounced(level int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.announced = level
}

// submitNotice stores the event, owed to the webhook's fallback too.
func (r *run) submitNotice(ctx context.Context, n notice, w tocsin.Webhook, act tocsin.Activity) error {
	var also []string
	if w.Fallback != "" {
		f, err := r.store.WebhookByName(ctx, w.Fallback)
		switch {
		case err == nil:
			also = append(also, f.ID)
		case !errors.Is(err, tocsin.ErrNotFound):
			return fmt.Errorf("finding the fallback %s: %w", w.Fallback, err)
		}
	}
	owed, err := r.owed(ctx, w.ID)
	if err != nil {
		return err
	}
	r.mu.Lock()
	brief := r.failure
	r.mu.Unlock()
	e, err := n.write(w, act, r.now(), brief, owed)
	if err != nil {
		return err
	}
	if _, err := r.a.Submit.Announce(ctx, e, also...); err != nil {
		return fmt.Errorf("submitting %s: %w", n.event, err)
	}
	r.a.logger().Info("announced", "type", n.event, "webhook", w.Name, "level", n.level)
	return nil
}

// owed counts what is held for the webhook.
func (r *run) owed(ctx context.Context, id string) (int64, error) {
	b, err := r.balance(ctx, id)
	return b.Pending + b.InFlight, err
}

// balance is the webhook's line of the ledger; zero when there is none.
func (r *run) balance(ctx context.Context, id string) (tocsin.Balance, error) {
	balances, err := r.store.Balances(ctx)
	if err != nil {
		return tocsin.Balance{}, fmt.Errorf("counting what is owed: %w", err)
	}
	for _, b := range balances {
		if b.WebhookID == id {
			return b, nil
		}
	}
	return tocsin.Balance{}, nil
}

// standingData is the data of the webhook.* alert types.
type standingData struct {
	Webhook   string    `json:"webhook"`
	WebhookID string    `json:"webhook_id"`
	Channel   string    `json:"channel"`
	Reason    string    `json:"reason"`
	Since     time.Time `json:"since"`
	Owed      int64     `json:"owed"`
}

// write makes the event. Its reason is in our own words: what a receiver answers may
// repeat the events it was sent.
func (n notice) write(w tocsin.Webhook, act tocsin.Activity, now time.Time, brief string, owed int64) (tocsin.Event, error) {
	d := standingData{Webhook: w.Name, WebhookID: w.ID, Channel: w.Channel, Reason: ownWords(w.StateReason), Since: w.StateSince, Owed: owed}
	if act.FailingSince != nil {
		d.Since = *act.FailingSince
	}
	e := tocsin.Event{
		ID: n.id, Source: announceSource, Type: n.event, Subject: "webhook/" + w.Name, DedupKey: "webhook/" + w.ID,
		Status: tocsin.Firing,
	}
	switch {
	case n.level == levelNone:
		d.Reason, brief = "a delivery was accepted", ""
		e.Status, e.Title = tocsin.Resolved, "Webhook "+w.Name+" delivers again"
		e.Summary = fmt.Sprintf("A delivery was accepted; %d held events are on their way.", owed)
	case n.level == levelDisabled:
		e.Title = "Webhook " + w.Name + " was disabled"
	case n.level == levelFailing:
		e.Title = "Webhook " + w.Name + " is failing"
	default:
		lasted := inDays(now.Sub(d.Since))
		d.Reason = "nothing but failures for " + lasted
		e.Title = "Webhook " + w.Name + " has been failing for " + lasted
	}
	if brief != "" {
		d.Reason += " (" + brief + ")"
	}
	if e.Summary == "" {
		e.Summary = n.outlook(w, d)
	}
	var err error
	e.Data, err = json.Marshal(d)
	return e, err
}

// outlook says what is the matter and what follows.
func (n notice) outlook(w tocsin.Webhook, d standingData) string {
	text := fmt.Sprintf("%s; %d events are held.", d.Reason, d.Owed)
	switch {
	case n.level == levelDisabled:
		text += " They are kept until somebody resumes the webhook."
	case w.DisableFor > 0:
		text += fmt.Sprintf(" If nothing is accepted, it is disabled from %s on.", d.Since.Add(w.DisableFor.Std()).UTC().Format(time.RFC3339))
	}
	return text
}

// ownWords is the part of a state's reason that is ours: what the receiver said follows
// a colon.
func ownWords(reason string) string {
	ours, _, _ := strings.Cut(reason, ": ")
	return ours
}
