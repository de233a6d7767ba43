package activities

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

type statusError int

func (e statusError) Error() string   { return fmt.Sprintf("status %d", int(e)) }
func (e statusError) HTTPStatus() int { return int(e) }

func TestJudgeSaysWhoseFaultItIs(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	day := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	long := day.Add(-73 * time.Hour)
	later := long.Add(time.Hour)
	soon := day.Add(-time.Hour)
	older, recent := day.Add(-120*time.Hour), day.Add(-59*time.Hour)
	tests := []struct {
		name      string
		events    int
		failures  int
		rejected  int
		state     tocsin.State
		uncertain bool
		first     *time.Time
		last      *time.Time
		since     *time.Time // when the failures began
		results   []tocsin.Result
		err       error

		want     tocsin.DeliveryState
		dead     int
		children []int // their sizes
		webhook  tocsin.State
		stop     bool
		backoff  time.Duration
		outcome  string
	}{
		{name: "accepted", events: 3, want: tocsin.DeliveryDelivered, outcome: "delivered"},
		{name: "a failing webhook recovers", events: 1, state: tocsin.StateFailing, want: tocsin.DeliveryDelivered, webhook: tocsin.StateActive, outcome: "delivered"},
		{name: "a plain error is tried again", events: 2, err: boom, want: tocsin.DeliveryReady, stop: true, backoff: time.Second, outcome: "retryable"},
		{name: "Retry-After is kept", events: 2, err: tocsin.RetryAfter(boom, time.Minute), want: tocsin.DeliveryReady, stop: true, backoff: time.Minute, outcome: "retryable"},
		{name: "five failures in a row", events: 1, failures: 4, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: 5 * time.Second, outcome: "retryable"},
		{name: "a rejected batch is halved", events: 5, err: tocsin.Permanent(boom), want: tocsin.DeliverySplit, children: []int{2, 3}, outcome: "permanent"},
		{name: "a rejected single event is dead", events: 1, err: tocsin.Permanent(boom), want: tocsin.DeliveryDead, outcome: "permanent"},
		{name: "the tenth rejection is the webhook's fault", events: 1, rejected: 9, err: tocsin.Permanent(boom), want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "a batch is halved all the same", events: 2, rejected: 9, err: tocsin.Permanent(boom), want: tocsin.DeliverySplit, children: []int{1, 1}, outcome: "permanent"},
		{name: "a rejection after an outage is the event's fault", events: 1, failures: 12, err: tocsin.Permanent(boom), want: tocsin.DeliveryDead, outcome: "permanent"},
		{name: "wrong credentials hold", events: 4, err: tocsin.Refused(boom), want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "a refused batch is halved when others go through", events: 4, first: &long, last: &later, err: tocsin.Refused(boom), want: tocsin.DeliverySplit, children: []int{2, 2}, outcome: "permanent"},
		{name: "but not one that may have been accepted", events: 4, uncertain: true, first: &long, last: &later, err: tocsin.Refused(boom), want: tocsin.DeliveryDead, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "a refused event is dead after retry_for", events: 1, first: &long, last: &later, err: tocsin.Refused(boom), want: tocsin.DeliveryDead, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "a refused event is held when nothing goes through any more", events: 1, failures: 9, first: &long, last: &later, since: &later, err: tocsin.Refused(boom), want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: 10 * time.Second, outcome: "refused"},
		{name: "a refused event is held before", events: 1, first: &soon, last: &day, err: tocsin.Refused(boom), want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "taken, to be asked again", events: 2, failures: 7, err: tocsin.Taken(boom, 5*time.Second), want: tocsin.DeliveryReady, stop: true, backoff: 5 * time.Second, outcome: "retryable"},
		{name: "the longest wait counts", events: 2, results: []tocsin.Result{{Err: tocsin.RetryAfter(boom, time.Hour)}, {Err: boom}}, want: tocsin.DeliveryReady, stop: true, backoff: time.Hour, outcome: "retryable"},
		{name: "the gravest fault counts", events: 2, results: []tocsin.Result{{Err: tocsin.Refused(boom)}, {Err: boom}}, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "gone disables and holds", events: 4, err: tocsin.Gone(boom), want: tocsin.DeliveryReady, webhook: tocsin.StateDisabled, stop: true, outcome: "gone"},
		{name: "409 after an unknown outcome", events: 1, uncertain: true, err: tocsin.Permanent(statusError(409)), want: tocsin.DeliveryDelivered, outcome: "delivered"},
		{name: "409 otherwise", events: 1, err: tocsin.Permanent(statusError(409)), want: tocsin.DeliveryDead, outcome: "permanent"},
		{name: "some events refused by name", events: 3, results: []tocsin.Result{{}, {Err: tocsin.Permanent(boom)}, {}}, want: tocsin.DeliveryDelivered, dead: 1, outcome: "delivered"},
		{name: "all events refused by name", events: 2, results: []tocsin.Result{{Err: tocsin.Permanent(boom)}, {Err: tocsin.Permanent(boom)}}, want: tocsin.DeliverySplit, children: []int{1, 1}, outcome: "permanent"},
		{name: "one event refused by name", events: 1, results: []tocsin.Result{{Err: tocsin.Permanent(boom)}}, want: tocsin.DeliveryDead, outcome: "permanent"},
		{name: "the tenth refused by name is the webhook's fault", events: 1, rejected: 9, results: []tocsin.Result{{Err: tocsin.Permanent(boom)}}, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: time.Second, outcome: "refused"},
		{name: "some events to be tried again", events: 4, results: []tocsin.Result{{}, {Err: boom}, {Err: tocsin.Permanent(boom)}, {Err: boom}}, want: tocsin.DeliverySplit, dead: 1, children: []int{2}, stop: true, backoff: time.Second, outcome: "partial"},
		{name: "dead and to be tried again, none taken", events: 2, state: tocsin.StateFailing, failures: 2, results: []tocsin.Result{{Err: tocsin.Permanent(boom)}, {Err: tocsin.RetryAfter(boom, time.Minute)}}, want: tocsin.DeliverySplit, dead: 1, children: []int{1}, stop: true, backoff: time.Minute, outcome: "partial"},
		{name: "all events to be tried again", events: 2, results: []tocsin.Result{{Err: boom}, {Err: boom}}, want: tocsin.DeliveryReady, stop: true, backoff: time.Second, outcome: "retryable"},
		{name: "retry_for is over, others were delivered", events: 1, first: &long, last: &later, err: boom, want: tocsin.DeliveryDead, stop: true, backoff: time.Second, outcome: "retryable"},
		{name: "retry_for is over, with a Retry-After", events: 1, failures: 4, state: tocsin.StateFailing, first: &long, last: &later, err: tocsin.RetryAfter(boom, time.Hour), want: tocsin.DeliveryDead, webhook: tocsin.StateFailing, stop: true, backoff: time.Hour, outcome: "retryable"},
		{name: "retry_for is over, nothing was delivered", events: 1, first: &long, err: boom, want: tocsin.DeliveryReady, stop: true, backoff: time.Second, outcome: "retryable"},
		{name: "failed for less than half of disable_after", events: 1, failures: 2, since: &recent, err: boom, want: tocsin.DeliveryReady, stop: true, backoff: 3 * time.Second, outcome: "retryable"},
		{name: "failed for more than half of disable_after", events: 1, failures: 2, since: &long, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: 3 * time.Second, outcome: "retryable"},
		{name: "failed for disable_after", events: 2, failures: 4, state: tocsin.StateFailing, since: &older, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateDisabled, stop: true, outcome: "retryable"},
		{name: "failed for disable_after, not known as failing", events: 2, failures: 4, since: &older, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: 5 * time.Second, outcome: "retryable"},
		{name: "failed for disable_after, not often", events: 2, failures: 3, state: tocsin.StateFailing, since: &older, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: 4 * time.Second, outcome: "retryable"},
		{name: "failed once, and long ago", events: 2, failures: 1, since: &older, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateFailing, stop: true, backoff: 2 * time.Second, outcome: "retryable"},
		{name: "no failure, and a time left over", events: 2, since: &older, err: boom, want: tocsin.DeliveryReady, stop: true, backoff: time.Second, outcome: "retryable"},
		{name: "refused for disable_after", events: 2, failures: 4, state: tocsin.StateFailing, since: &older, err: tocsin.Refused(boom), want: tocsin.DeliveryReady, webhook: tocsin.StateDisabled, stop: true, outcome: "refused"},
		{name: "all events put off for disable_after", events: 2, failures: 4, state: tocsin.StateFailing, since: &older, results: []tocsin.Result{{Err: boom}, {Err: boom}}, want: tocsin.DeliveryReady, webhook: tocsin.StateDisabled, stop: true, outcome: "retryable"},
		{name: "dead and put off for disable_after", events: 2, failures: 4, state: tocsin.StateFailing, since: &older, results: []tocsin.Result{{Err: tocsin.Permanent(boom)}, {Err: boom}}, want: tocsin.DeliverySplit, dead: 1, children: []int{1}, webhook: tocsin.StateDisabled, stop: true, backoff: 5 * time.Second, outcome: "partial"},
		{name: "accepted in part after disable_after", events: 2, failures: 2, since: &older, results: []tocsin.Result{{}, {Err: boom}}, want: tocsin.DeliverySplit, children: []int{1}, stop: true, backoff: time.Second, outcome: "partial"},
		{name: "an event's own fault after disable_after", events: 1, failures: 2, since: &older, err: tocsin.Permanent(boom), want: tocsin.DeliveryDead, outcome: "permanent"},
		{name: "retry_for and disable_after are over: held, not dead", events: 1, failures: 4, state: tocsin.StateFailing, since: &older, first: &older, last: &later, err: boom, want: tocsin.DeliveryReady, webhook: tocsin.StateDisabled, stop: true, outcome: "retryable"},
	}
	backoff := func(failures int, after time.Duration) time.Duration {
		return max(time.Duration(failures)*time.Second, after)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.state == "" {
				tt.state = tocsin.StateActive
			}
			s := standing{failures: tt.failures, rejections: tt.rejected, lastDelivery: tt.last, failingSince: tt.since}
			s.webhook.State = tt.state
			s.webhook.RetryFor = tocsin.Duration(72 * time.Hour)
			s.webhook.DisableFor = tocsin.Duration(120 * time.Hour)
			c := tocsin.Claimed{Delivery: tocsin.Delivery{ID: "dlv_1", FirstAttempt: tt.first}, At: day, Uncertain: tt.uncertain, Events: make([]tocsin.Event, tt.events)}
			v := judge(s, c, tocsin.Attempt{Number: 1}, tocsin.Receipt{Results: tt.results}, tt.err, backoff)
			o := v.outcome
			if o.State != tt.want || o.WebhookState != tt.webhook || v.stop != tt.stop || o.Backoff != tt.backoff || len(o.Dead) != tt.dead || o.Attempt.Outcome != tt.outcome {
				t.Errorf("got state %s webhook %q stop %v backoff %s dead %v outcome %q", o.State, o.WebhookState, v.stop, o.Backoff, o.Dead, o.Attempt.Outcome)
			}
			if len(o.Children) != len(tt.children) {
				t.Fatalf("got %d children, want %d", len(o.Children), len(tt.children))
			}
			for i, child := range o.Children {
				if len(child.Places) != tt.children[i] || child.ID == "" {
					t.Errorf("child %d is %+v, want %d places", i, child, tt.children[i])
				}
			}
		})
	}
}

func TestInDays(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		2 * time.Second: "2s", 61 * time.Minute: "1h1m", 5 * 24 * time.Hour: "5d", 60*time.Hour + 10*time.Second: "2d12h", 48*time.Hour - time.Second: "2d",
	} {
		if got := inDays(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

// TestJudgeKeepsWhatIsKnown of a delivery in parts, whatever the error beside it says.
func TestJudgeKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	now := func(int, time.Duration) time.Duration { return 0 }
	c := tocsin.Claimed{Delivery: tocsin.Delivery{ID: "dlv_1"}, Events: make([]tocsin.Event, 3)}
	results := []tocsin.Result{{}, {Err: tocsin.Unsure(boom)}, {Err: boom}}
	v := judge(standing{}, c, tocsin.Attempt{Number: 1}, tocsin.Receipt{Results: results}, tocsin.RetryAfter(boom, time.Second), now)
	if o := v.outcome; o.State != tocsin.DeliverySplit || len(o.Children) != 1 || len(o.Children[0].Places) != 2 || !o.Unsure {
		t.Errorf("what was accepted is sent again, or the doubt about the rest forgotten: %+v", o)
	}
	for _, fault := range []error{boom, tocsin.Refused(boom), tocsin.Permanent(boom)} {
		v := judge(standing{}, c, tocsin.Attempt{Number: 1}, tocsin.Receipt{Results: []tocsin.Result{{Err: fault}, {Err: fault}, {Err: fault}}}, nil, now)
		if a := v.outcome.Attempt; a.Error == "" || a.ErrorClass == "" {
			t.Errorf("%v: the attempt ended as %s, and does not say why", fault, a.Outcome)
		}
	}
}

// TestManyRequestsAreKeptInPart: the first and the last, and how many are missing.
func TestManyRequestsAreKeptInPart(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int{0: 0, 1: 0, 50: 0, 51: 1, 2000: 1950} {
		all := make([]tocsin.Exchange, n)
		for i := range all {
			all[i].RequestBytes = i
		}
		kept, out := bounded(all)
		if out != want || len(kept) != n-want || n > 50 && (kept[24].RequestBytes != 24 || kept[25].RequestBytes != n-25) {
			t.Errorf("of %d: %d kept, %d left out", n, len(kept), out)
		}
	}
}
