package jira_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"testing"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/integrationtest"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// webhook is a webhook of one fake, with what a store would remember for it.
type webhook struct {
	t      *testing.T
	sender tocsin.Sender
	refs   map[string]json.RawMessage
	now    time.Time
}

// open opens a sender; settings are further keys of the configuration.
func (f *fake) open(settings string) *webhook {
	f.t.Helper()
	client := post.New(post.Options{AllowCIDRs: loopback})
	f.t.Cleanup(client.Close)
	account := `"deployment":"datacenter"`
	if f.cloud {
		account = `"deployment":"cloud","email":"alerts@acme.example"`
	}
	if settings != "" {
		settings = "," + settings
	}
	c := newChannel(client, slog.New(slog.NewTextHandler(io.Discard, nil)))
	config, _, err := c.Complete(json.RawMessage(fmt.Sprintf(`{"url":%q,%s,"token":%q,"project":"SEC"%s}`, f.URL, account, token, settings)))
	if err != nil {
		f.t.Fatal(err)
	}
	if err := c.Validate(f.t.Context(), config); err != nil {
		f.t.Fatal(err)
	}
	s, err := c.Open(config)
	if err != nil {
		f.t.Fatal(err)
	}
	return &webhook{t: f.t, sender: s, refs: map[string]json.RawMessage{}, now: integrationtest.At}
}

// outcome is what a send came to.
type outcome struct {
	tocsin.Receipt
	err error
}

// send sends events as a first attempt and remembers the refs, as the pipeline does.
func (w *webhook) send(events ...tocsin.Event) outcome { return w.attempt(false, true, events...) }

// attempt sends events. uncertain says that an earlier attempt's outcome is not known;
// recorded, that the refs are stored afterwards: a process that dies stores nothing.
func (w *webhook) attempt(uncertain, recorded bool, events ...tocsin.Event) outcome {
	w.t.Helper()
	n := integrationtest.Notify(events...)
	n.At, n.Uncertain, n.Refs = w.now, uncertain, maps.Clone(w.refs)
	receipt, err := w.sender.Send(w.t.Context(), n)
	if recorded {
		maps.Copy(w.refs, receipt.Refs)
	}
	return outcome{receipt, err}
}

// faults are what became of the events of an outcome: "" for accepted.
func (o outcome) faults(n int) []tocsin.Fault {
	out := make([]tocsin.Fault, n)
	for i := range out {
		err := o.err
		if o.Results != nil {
			err = o.Results[i].Err
		}
		if err != nil {
			out[i] = tocsin.Classify(err).Fault
		}
	}
	return out
}

// good fails unless all was accepted.
func (w *webhook) good(o outcome) {
	w.t.Helper()
	if o.err != nil || o.Results != nil {
		w.t.Fatalf("got %v and results %v, want all accepted", o.err, o.Results)
	}
}

// want compares the requests made since the last call.
func (f *fake) want(requests ...string) {
	f.t.Helper()
	if got := f.take(); !slices.Equal(got, requests) {
		f.t.Errorf("requests %q, want %q", got, requests)
	}
}

// event is the n-th event of an incident.
func event(key string, n int) tocsin.Event {
	return tocsin.Event{
		ID: fmt.Sprintf("%s-%d", key, n), Source: "/s", Type: "finding.critical", Severity: tocsin.SeverityCritical, Status: tocsin.Firing,
		Time: integrationtest.At, DedupKey: key, Title: fmt.Sprintf("finding %s, %d", key, n), Subject: "agent/x",
	}
}

// over is an event that resolves.
func over(key string, n int) tocsin.Event {
	e := event(key, n)
	e.Status = tocsin.Resolved
	return e
}

// notifyTest is a trial.
func notifyTest(events ...tocsin.Event) tocsin.Notification {
	n := integrationtest.Notify(events...)
	n.Test = true
	return n
}
