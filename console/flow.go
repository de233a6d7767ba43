package console

import (
	"net/url"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// movement is what moved in a while.
type movement struct {
	Events     int64 `json:"events"`
	Accepted   int64 `json:"accepted"`
	Delivered  int64 `json:"delivered"`
	Dead       int64 `json:"dead"`
	Suppressed int64 `json:"suppressed"`
	Attempts   int64 `json:"attempts"`
	Failed     int64 `json:"failed_attempts"`
}

// activity is what moved, by time.
type activity struct {
	Step  tocsin.Duration `json:"step"`
	Now   time.Time       `json:"now"`
	Total movement        `json:"total"`
	Spans []struct {
		Start time.Time `json:"start"`
		movement
	} `json:"spans"`
}

// flow is what the overview shows of the last hour and the last day.
type flow struct {
	Hour, Day activity
	Charts    []Chart
}

// Moved reports whether anything happened in the last day.
func (f flow) Moved() bool { return f.Day.Total != movement{} }

// flow asks what moved lately.
func (p *request) flow() (flow, error) {
	var f flow
	for window, out := range map[string]*activity{"1h": &f.Hour, "24h": &f.Day} {
		if err := p.get(at(url.Values{"window": {window}}, "v1", "activity"), out); err != nil {
			return flow{}, err
		}
	}
	f.Charts = []Chart{
		f.Hour.comeAndGone("hour", "Events in the last hour"), f.Day.comeAndGone("day", "Events in the last day"),
		f.Hour.trouble("hour-trouble", "Trouble in the last hour"), f.Day.trouble("day-trouble", "Trouble in the last day"),
	}
	return f, nil
}

// comeAndGone is what came, what is owed since, and what was delivered. One event is owed
// and delivered once for each webhook that wants it: these two lines go together.
func (a activity) comeAndGone(id, title string) Chart {
	return a.chart(id, title,
		a.series("events in", "idle", func(m movement) int64 { return m.Events }),
		a.series("owed to webhooks", "busy", func(m movement) int64 { return m.Accepted }),
		a.series("delivered", "ok", func(m movement) int64 { return m.Delivered }))
}

// trouble is what failed. It has a scale of its own: a few failures would not be seen
// beside thousands of events.
func (a activity) trouble(id, title string) Chart {
	return a.chart(id, title,
		a.series("failed attempts", "warn", func(m movement) int64 { return m.Failed }),
		a.series("dead", "bad", func(m movement) int64 { return m.Dead }))
}

func (a activity) chart(id, title string, series ...Series) Chart {
	c := Chart{ID: id, Title: title, Unit: "of one kind", Every: a.Step.Std(), Series: series}
	for _, span := range a.Spans {
		c.Times = append(c.Times, span.Start)
	}
	return c
}

// series is one number over time. What a redelivery takes back is left out: the picture
// shows what happened, the ledger what is.
func (a activity) series(name, tone string, of func(movement) int64) Series {
	s := Series{Name: name, Tone: tone}
	for _, span := range a.Spans {
		s.Values = append(s.Values, float64(max(0, of(span.movement))))
	}
	return s
}

// Success is the share of the attempts that delivered something; "" without any.
func (a activity) Success() string { return successOf(a.Total.Attempts, a.Total.Failed) }

// EventsNow and DeliveredNow are how many come and go in a second.
func (a activity) EventsNow() string { return a.rate(func(m movement) int64 { return m.Events }) }

// DeliveredNow is how many events are delivered in a second.
func (a activity) DeliveredNow() string {
	return a.rate(func(m movement) int64 { return m.Delivered })
}

// rate is a number for each second of the last full span and the one under way: one of
// them alone jumps with every new span.
func (a activity) rate(of func(movement) int64) string {
	last := a.Spans[max(0, len(a.Spans)-2):]
	if len(last) == 0 {
		return "0"
	}
	var sum int64
	for _, span := range last {
		sum += of(span.movement)
	}
	perSecond := float64(max(0, sum)) / max(1, a.Now.Sub(last[0].Start).Seconds())
	if perSecond > 0 && perSecond < 0.1 {
		return "<0.1"
	}
	return compact(perSecond)
}
