package api

import (
	"net/http"
	"strconv"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/internal/audit"
)

// change is what a handler says about the change it makes, for the audit log.
type change struct {
	// by is who makes it.
	by    caller
	entry *tocsin.AuditEntry
}

// of names what the change is about.
func (c *change) of(id, name string) { c.entry.Object, c.entry.Name = id, name }

// from and to take the object before and after, in a form that holds no secret.
func (c *change) from(v any) { c.entry.Before = audit.Public(v) }
func (c *change) to(v any)   { c.entry.After = audit.Public(v) }

// webhook notes a webhook before the change.
func (c *change) webhook(w tocsin.Webhook) {
	c.of(w.ID, w.Name)
	c.from(w)
}

// reply is what a change is answered with, once its entry is complete: who has the
// answer finds the entry.
type reply struct {
	status int
	// body is sent as JSON; nil for none.
	body any
	// location is where what was created is found; "" for no such header.
	location string
	// tag is the entity tag of what is answered; "" where it has none.
	tag string
}

func (a reply) write(w http.ResponseWriter) error {
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.tag != "" {
		w.Header().Set("ETag", a.tag)
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return nil
	}
	return answer(w, a.status, a.body)
}

// changeFunc handles a route that changes something.
type changeFunc func(http.ResponseWriter, *http.Request, *change) (reply, error)

// make carries out a change and writes it down, before and after. A dry run changes
// nothing, and so is not written down.
func (s *server) make(w http.ResponseWriter, r *http.Request, rt route, by caller) (reply, error) {
	if err := rt.checkQuery(r); err != nil {
		return reply{}, err
	}
	entry := tocsin.AuditEntry{Actor: by.actor, Address: by.address, Action: rt.action}
	if rt.dryRun && isDryRun(r) {
		return rt.change(w, r, &change{by, &entry})
	}
	var answer reply
	err := audit.Change(r.Context(), s.Logger, s.Store, entry, func(e *tocsin.AuditEntry) (err error) {
		answer, err = rt.change(w, r, &change{by, e})
		return err
	})
	return answer, err
}

// checkQuery refuses parameters that a change does not have: dry_run above all, where
// it would be ignored.
func (rt route) checkQuery(r *http.Request) error {
	var names []string
	if rt.dryRun {
		names = append(names, paramDryRun)
	}
	q := readQuery(r.URL.RawQuery, names...)
	if rt.dryRun {
		q.flag(paramDryRun)
	}
	return q.err()
}

const paramDryRun = "dry_run"

// isDryRun reports whether a query that was checked asks for a dry run.
func isDryRun(r *http.Request) bool {
	dry, err := strconv.ParseBool(r.URL.Query().Get(paramDryRun))
	return err == nil && dry
}
