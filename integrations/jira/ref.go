package jira

import (
	"encoding/json"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// The states of a ref.
const (
	open     = "open"
	resolved = "resolved"
	// unsure: a ticket may have been created, and its key is not known.
	unsure = "unsure"
	// deleted: the ticket is out of reach, and the incident has none.
	deleted = "deleted"
)

// ref is what is remembered of a dedup key. Its JSON form is stored; fields are added,
// never renamed.
type ref struct {
	// ID is Jira's number for the ticket, which stays when the ticket is moved; Key is for
	// people.
	ID  string `json:"id,omitempty"`
	Key string `json:"key,omitempty"`
	// Site is the address of the Jira that the ticket is in: numbers of one Jira mean other
	// tickets in another.
	Site   string `json:"site,omitempty"`
	Status string `json:"status"`
	// At is when the ticket may have been created, for unsure.
	At *time.Time `json:"at,omitempty"`
	// Seq is the highest number of an event that was told, or that needed no ticket any more;
	// 0: not known.
	Seq int64 `json:"seq,omitempty"`
	// Said marks the event that was last told on the ticket, so that a retry goes on behind
	// it.
	Said string `json:"said,omitempty"`
	// Doubt marks the event of which it is not known whether it was told.
	Doubt string `json:"doubt,omitempty"`
	// LostID and LostKey are of the ticket that was out of reach before this one.
	LostID  string `json:"lost_id,omitempty"`
	LostKey string `json:"lost_key,omitempty"`
	// Seen says that Jira has shown this ticket to the account.
	Seen bool `json:"seen,omitempty"`
}

// readRef reads a stored ref. What is of another Jira, or says nothing, is none.
func readRef(raw json.RawMessage, site string) ref {
	var r ref
	if json.Unmarshal(raw, &r) != nil || r.Site != site || r.ticket() == "" && r.Status != unsure && r.Seq <= 0 && r.LostID == "" {
		return ref{}
	}
	return r
}

// ticket is how Jira finds the ticket, or "" without one.
func (r ref) ticket() string {
	switch {
	case r.Status == deleted || r.Status == unsure:
		return ""
	case digits(r.ID):
		return r.ID
	case fieldID.MatchString(r.Key):
		return r.Key
	}
	return ""
}

// older reports whether something newer than an event was told: deliveries are sent again,
// and may come late. The same event again is not older: somebody wants it.
func (r ref) older(e *tocsin.Event) bool { return e.Seq != 0 && e.Seq < r.Seq }

// digits reports whether text is a number: it goes into a path.
func digits(text string) bool {
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

// kind is what an event asks of a ticket.
type kind int

const (
	fires kind = iota
	acknowledges
	resolves
)

func kindOf(e *tocsin.Event) kind {
	switch {
	case e.Type == tocsin.TypeIncidentAcknowledged:
		return acknowledges
	case e.Status == tocsin.Resolved:
		return resolves
	}
	return fires
}
