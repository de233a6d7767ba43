package activities

import (
	"testing"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// What is announced follows from what people were told and how the webhook stands.
func TestNoticeFor(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	after := func(d time.Duration) *time.Time { at := began.Add(d); return &at }
	now := began.Add(10 * time.Hour)
	tests := []struct {
		name      string
		state     tocsin.State
		announced int
		failures  int
		since     *time.Time // of the failures
		delivered *time.Time // last
		disable   time.Duration

		level int
		event string
		none  bool
	}{
		{name: "healthy", state: tocsin.StateActive, none: true},
		{name: "failed a little", state: tocsin.StateActive, failures: 2, since: after(0), none: true},
		{name: "failing", state: tocsin.StateFailing, failures: 5, since: after(9 * time.Hour), disable: 20 * time.Hour, level: 1, event: "webhook.failing"},
		{name: "failing, never disabled", state: tocsin.StateFailing, failures: 5, since: after(0), level: 1, event: "webhook.failing"},
		{name: "failing, known", state: tocsin.StateFailing, announced: 1, failures: 6, since: after(time.Hour), disable: 20 * time.Hour, none: true},
		{name: "half", state: tocsin.StateFailing, announced: 1, failures: 6, since: after(0), disable: 20 * time.Hour, level: 50, event: "webhook.failing"},
		{name: "half, known", state: tocsin.StateFailing, announced: 50, failures: 6, since: after(0), disable: 20 * time.Hour, none: true},
		{name: "70 percent, nothing known", state: tocsin.StateFailing, failures: 6, since: after(0), disable: 14 * time.Hour, level: 70, event: "webhook.failing"},
		{name: "90 percent", state: tocsin.StateFailing, announced: 70, failures: 6, since: after(0), disable: 11 * time.Hour, level: 90, event: "webhook.failing"},
		{name: "over, not disabled yet", state: tocsin.StateFailing, announced: 90, failures: 6, since: after(0), disable: 9 * time.Hour, none: true},
		{name: "disabled", state: tocsin.StateDisabled, announced: 90, failures: 7, since: after(0), disable: 9 * time.Hour, level: 100, event: "webhook.disabled"},
		{name: "disabled at once", state: tocsin.StateDisabled, failures: 1, since: after(0), level: 100, event: "webhook.disabled"},
		{name: "disabled, known", state: tocsin.StateDisabled, announced: 100, failures: 7, since: after(0), none: true},
		{name: "paused in trouble", state: tocsin.StatePaused, announced: 50, failures: 7, since: after(0), none: true},
		{name: "recovered", state: tocsin.StateActive, announced: 50, delivered: after(0), level: 0, event: "webhook.recovered"},
		{name: "resumed after disabling", state: tocsin.StateActive, announced: 100, delivered: after(-time.Hour), none: true},
		{name: "resumed after failing", state: tocsin.StateActive, announced: 1, none: true},
		{name: "resumed, failed again", state: tocsin.StateActive, announced: 1, failures: 1, since: after(time.Hour), delivered: after(time.Minute), none: true},
		{name: "resumed, disabled again", state: tocsin.StateDisabled, announced: 1, failures: 1, since: after(9 * time.Hour), level: 100, event: "webhook.disabled"},
		{name: "resumed, failing again", state: tocsin.StateFailing, announced: 1, failures: 5, since: after(9 * time.Hour), disable: 20 * time.Hour, none: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := tocsin.Webhook{ID: "wh_1", State: tt.state, StateSince: began}
			w.DisableFor = tocsin.Duration(tt.disable)
			act := tocsin.Activity{Failures: tt.failures, FailingSince: tt.since, Announced: tt.announced, LastDelivery: tt.delivered}
			n, due := noticeFor(w, act, now)
			if due == tt.none || n.level != tt.level || n.event != tt.event || (n.id == "") != tt.none {
				t.Errorf("got %+v %v", n, due)
			}
			if again, _ := noticeFor(w, act, now.Add(time.Second)); again != n {
				t.Errorf("a second later it is %+v, not %+v: submitting it again would not converge", again, n)
			}
		})
	}
}
