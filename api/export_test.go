package api

import (
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// Routes lists "METHOD path" of every route, to hold it against the document.
func Routes() []string {
	s := &server{}
	var all []string
	for _, r := range s.routes() {
		all = append(all, r.method+" "+r.path)
	}
	return all
}

// Actions returns the action that each route is audited as, "" for none.
func Actions() map[string]string {
	all := map[string]string{}
	for _, r := range (&server{}).routes() {
		all[r.method+" "+r.path] = r.action
	}
	return all
}

// Document is openapi.yaml.
func Document() []byte { return openAPIDocument }

// NextOf is the sentence about a delivery, NextOfPending that about an event in none.
func NextOf(d tocsin.Delivery, w tocsin.Webhook, a tocsin.Activity, now time.Time) string {
	return nextOf(d, owner{w, a, now})
}

func NextOfPending(w tocsin.Webhook, a tocsin.Activity, now time.Time) string {
	return nextOfPending(owner{w, a, now})
}

// Tries counts failed authentication.
type Tries struct{ tries }

// Failed is what authenticate calls for a failed try.
func (t *Tries) Failed(address string, now time.Time, err error) error {
	return t.failed(address, now, err)
}

// MayLookUp is what authenticate asks before it looks an unknown key up.
func (t *Tries) MayLookUp(address string, now time.Time) error { return t.mayLookUp(address, now) }

// Clients is how many clients are remembered.
func (t *Tries) Clients() int { return len(t.failing) }
