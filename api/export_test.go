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

// Document is openapi.yaml.
func Document() []byte { return openAPIDocument }

// NextOf is the sentence about a delivery, NextOfPending that about an event in none.
func NextOf(d tocsin.Delivery, w tocsin.Webhook, a tocsin.Activity, now time.Time) string {
	return nextOf(d, owner{w, a, now})
}

func NextOfPending(w tocsin.Webhook, a tocsin.Activity, now time.Time) string {
	return nextOfPending(owner{w, a, now})
}
