package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/activities"
)

// IncidentInput starts an incident's workflow. Stored in histories: fields are added,
// never renamed.
type IncidentInput struct {
	Key string `json:"key"`
	// Last is what the previous run of the workflow knew; nil in the first.
	Last *activities.IncidentResult `json:"last,omitempty"`
	// Asked are signals that the previous run had read and not carried out.
	Asked []IncidentAsked `json:"asked,omitempty"`
	// Refused is why the latest signal was not carried out, "" when it was.
	Refused string `json:"refused,omitempty"`
	// MaxHistory is as that of WebhookInput.
	MaxHistory int `json:"max_history,omitempty"`
}

// IncidentSignal is what the signals acknowledge and resolve bring.
type IncidentSignal struct {
	By   string `json:"by"` // who it is; "temporal" when nobody says
	Note string `json:"note,omitempty"`
}

// IncidentAsked is one of these signals, and which.
type IncidentAsked struct {
	To tocsin.IncidentState `json:"to"`
	IncidentSignal
}

// IncidentStatus answers the query status of an incident.
type IncidentStatus struct {
	Key string `json:"key"`
	activities.IncidentResult
	// Doing is what the workflow does or waits for now.
	Doing string `json:"doing"`
	// Refused is why the latest signal was not carried out, "" when it was.
	Refused string `json:"refused,omitempty"`
}

// incident is one run of the workflow.
type incident struct {
	in          IncidentInput
	last        activities.IncidentResult
	changed     workflow.ReceiveChannel
	acknowledge workflow.ReceiveChannel
	resolve     workflow.ReceiveChannel
	signals     int  // read in this run
	looked      bool // in this run
	doing       string
	shown       shownIncident
}

// Incident looks after the incidents of one dedup key: it makes each step when it is due
// and carries out what people ask for by signal, until the incident is resolved. How it
// stands is in the store; the signal incident-changed only says to look there. As in
// [Webhook], it is drained before the activity, so that a change that is committed while
// that runs makes it look again. A signal of a person exists nowhere else until it is
// carried out, so none is left behind.
func Incident(ctx workflow.Context, in IncidentInput) (activities.IncidentResult, error) {
	i := &incident{in: in}
	if in.Last != nil {
		i.last, i.shown = *in.Last, shownIncidentOf(*in.Last)
	}
	if err := i.listen(ctx); err != nil {
		return i.last, err
	}
	for {
		if err := i.look(ctx); err != nil {
			return i.last, err
		}
		switch {
		case i.full(ctx):
			// Nothing blocks from here to the return, and a doorbell that is dropped costs
			// nothing: the next run begins by looking.
			return i.last, i.renew(ctx)
		case i.asked(), i.changed.Len() > 0:
		case i.last.Done:
			return i.last, nil
		default:
			if err := i.wait(ctx); err != nil {
				return i.last, err
			}
		}
	}
}

func (i *incident) listen(ctx workflow.Context) error {
	i.changed = workflow.GetSignalChannelWithOptions(ctx, SignalIncidentChanged, workflow.SignalChannelOptions{
		Description: "Doorbell: the incident was opened or changed in the store. It has no content.",
	})
	i.acknowledge = workflow.GetSignalChannelWithOptions(ctx, SignalAcknowledge, workflow.SignalChannelOptions{
		Description: `Somebody looks at the incident: {"by": "dana", "note": "on it"}. Steps with "unless": "acknowledged" are not made; whom it was escalated to is told.`,
	})
	i.resolve = workflow.GetSignalChannelWithOptions(ctx, SignalResolve, workflow.SignalChannelOptions{
		Description: `The incident is over: {"by": "dana", "note": "rolled back"}. No step follows; what it opened elsewhere is resolved.`,
	})
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryStatus,
		func() (IncidentStatus, error) {
			return IncidentStatus{Key: i.in.Key, IncidentResult: i.last, Doing: i.doing, Refused: i.in.Refused}, nil
		},
		workflow.QueryHandlerOptions{Description: "How the incident stands, its steps, and what is waited for."})
	return wrap(err, "setting query "+QueryStatus)
}

// asked reports whether somebody asked for something that is not carried out.
func (i *incident) asked() bool {
	return len(i.in.Asked) > 0 || i.acknowledge.Len() > 0 || i.resolve.Len() > 0
}

// drain reads all signals that are there, and reports whether the doorbell was among them.
func (i *incident) drain() (rang bool) {
	for i.changed.ReceiveAsync(nil) {
		i.signals++
		rang = true
	}
	i.take(i.acknowledge, tocsin.IncidentAcknowledged)
	i.take(i.resolve, tocsin.IncidentResolved)
	return rang
}

func (i *incident) take(from workflow.ReceiveChannel, to tocsin.IncidentState) {
	for {
		var s IncidentSignal
		if !from.ReceiveAsync(&s) {
			return
		}
		i.signals++
		if s.By == "" {
			s.By = "temporal"
		}
		i.in.Asked = append(i.in.Asked, IncidentAsked{to, s})
	}
}

// look carries out what people asked for and makes the steps that are due. A signal does not
// say which incident it is about. Where the doorbell was rung as well, one that was opened
// meanwhile may be known to whoever asked and not here: then it looks before, too, as the
// first look of a run does, since the run before it may have dropped the doorbell.
func (i *incident) look(ctx workflow.Context) error {
	unsure := i.drain() || !i.looked
	asked := len(i.in.Asked) > 0
	if unsure || !asked {
		if err := i.step(ctx); err != nil {
			return err
		}
	}
	if !asked || i.last.ID == "" { // there is no such incident: step said so
		return nil
	}
	if err := i.carryOut(ctx); err != nil {
		return err
	}
	return i.step(ctx)
}

// step makes the steps that are due, and finds out how the incident stands.
func (i *incident) step(ctx workflow.Context) error {
	i.looked = true
	summary := "look how the incident stands"
	if i.last.Next != "" && i.last.Wait == 0 && len(i.in.Asked) == 0 {
		summary = "escalate to " + i.last.Next
	}
	i.doing = summary
	actx := workflow.WithActivityOptions(ctx, incidentOptions(summary))
	var now activities.IncidentResult
	if err := workflow.ExecuteActivity(actx, acts.IncidentStep, activities.IncidentInput{Key: i.in.Key}).Get(ctx, &now); err != nil {
		return err
	}
	i.last = now
	if i.last.ID == "" && len(i.in.Asked) > 0 {
		i.in.Asked, i.in.Refused = nil, "there is no such incident"
	}
	return i.show(ctx)
}

// carryOut does what people asked for, about the incident that they could see. What is
// refused is said in the status, and fails nothing. What cannot be done for a while, because
// the store is away, is tried again after the next look: it must not hold up a step.
func (i *incident) carryOut(ctx workflow.Context) error {
	for len(i.in.Asked) > 0 {
		a := i.in.Asked[0]
		summary := fmt.Sprintf("%s by %s", a.To, summarized(a.By))
		i.doing = summary
		actx := workflow.WithActivityOptions(ctx, askedOptions(summary))
		err := workflow.ExecuteActivity(actx, acts.ChangeIncident, activities.IncidentChange{ID: i.last.ID, To: a.To, By: a.By, Note: a.Note}).Get(ctx, nil)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		i.in.Refused = ""
		if err != nil {
			var refused *temporal.ApplicationError
			if !errors.As(err, &refused) || !refused.NonRetryable() {
				return nil
			}
			i.in.Refused = refused.Message()
		}
		i.in.Asked = i.in.Asked[1:]
	}
	return nil
}

// summarized is a person's name as summaries show it.
func summarized(by string) string {
	if r := []rune(by); len(r) > 60 {
		by = string(r[:60]) + "…"
	}
	return markdown(by)
}

// wait waits for the next step, or for a signal.
func (i *incident) wait(ctx workflow.Context) error {
	due := func() bool { return false }
	i.doing = "waiting for a signal"
	if i.last.Next != "" {
		if i.last.Wait <= 0 {
			return nil
		}
		i.doing = "waiting to escalate to " + i.last.Next
		tctx, cancel := workflow.WithCancel(ctx)
		defer cancel()
		timer := workflow.NewTimerWithOptions(tctx, i.last.Wait, workflow.TimerOptions{Summary: "escalate to " + i.last.Next})
		due = timer.IsReady
	}
	err := workflow.Await(ctx, func() bool { return due() || i.changed.Len() > 0 || i.asked() || i.full(ctx) })
	if due() {
		i.last.Wait = 0 // the next look makes the step
	}
	return err
}

// full reports whether this run should make room for a new one.
func (i *incident) full(ctx workflow.Context) bool {
	return isFull(ctx, i.in.MaxHistory, i.signals+i.changed.Len()+i.acknowledge.Len()+i.resolve.Len())
}

// renew continues as new, with what people asked for.
func (i *incident) renew(ctx workflow.Context) error {
	i.drain()
	in := i.in
	in.Last = &i.last
	return workflow.NewContinueAsNewError(ctx, Incident, in)
}

// shownIncident is what search attributes say.
type shownIncident struct {
	webhook string
	state   tocsin.IncidentState
}

func shownIncidentOf(r activities.IncidentResult) shownIncident {
	s := shownIncident{state: r.State}
	if len(r.Steps) > 0 {
		s.webhook = r.Steps[0].Webhook
	}
	return s
}

// show brings the search attributes and the status card up to date.
func (i *incident) show(ctx workflow.Context) error {
	workflow.SetCurrentDetails(ctx, i.card(ctx))
	now := shownIncidentOf(i.last)
	if now == i.shown || now.state == "" {
		return nil
	}
	i.shown = now
	err := workflow.UpsertTypedSearchAttributes(ctx, AttrWebhook.ValueSet(now.webhook), AttrStatus.ValueSet(string(now.state)))
	return wrap(err, "setting search attributes")
}

// card is the Web UI's Current Details: tables in Markdown.
func (i *incident) card(ctx workflow.Context) string {
	l := i.last
	if l.ID == "" {
		return "There is no such incident."
	}
	card := fmt.Sprintf("| | |\n|---|---|\n| incident | `%s` |\n| state | **%s** |\n| type | `%s` |\n| severity | %s |\n| events | %d |\n| opened | %s |\n",
		l.ID, l.State, markdown(l.Type), l.Severity, l.Events, l.OpenedAt.UTC().Format(time.RFC3339))
	card += person("acknowledged", l.AcknowledgedBy, l.AcknowledgedAt) + person("resolved", l.ResolvedBy, l.ResolvedAt)
	if l.Next != "" {
		card += fmt.Sprintf("| next | **escalate to `%s`** at %s |\n", markdown(l.Next), workflow.Now(ctx).Add(l.Wait).UTC().Format(time.RFC3339))
	}
	if i.in.Refused != "" {
		card += fmt.Sprintf("| refused | `%s` |\n", markdown(i.in.Refused))
	}
	card += "\n| step | from | to | after | unless | due | |\n|---|---|---|---|---|---|---|\n"
	for n, s := range l.Steps {
		state := string(s.State)
		if s.Reason != "" {
			state += " (" + s.Reason + ")"
		}
		card += fmt.Sprintf("| %d | `%s` | `%s` | %s | %s | %s | %s |\n", n+1, markdown(s.Webhook), markdown(s.To), s.After, s.Unless, s.DueAt.UTC().Format(time.RFC3339), markdown(state))
	}
	return card
}

// person is the card's line about what somebody did, "" when nobody has.
func person(did, by string, at *time.Time) string {
	if at == nil {
		return ""
	}
	if by == "" {
		by = "an event"
	}
	return fmt.Sprintf("| %s | by `%s` at %s |\n", did, markdown(by), at.UTC().Format(time.RFC3339))
}
