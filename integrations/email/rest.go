package email

import (
	"errors"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// answered is what a server said that is no yes, and to what.
type answered struct {
	error
	at   step
	code int
}

// Unwrap returns the error that has the class.
func (a *answered) Unwrap() error { return a.error }

// rest says what becomes of the rest of the recipients when others have the mail and the
// transaction failed. ok is false when that says nothing of them, and is the webhook's.
func rest(to []string, err error) (sent outcome, ok bool) {
	var who []refusal
	for _, addr := range to {
		who = append(who, refusal{to: addr, err: err})
	}
	if tocsin.Classify(err).Fault == tocsin.FaultEvent {
		return outcome{refused: who}, true // the others have this very message: it must be neither split nor given up
	}
	var a *answered
	if !errors.As(err, &a) {
		return outcome{}, false // no connection, or a lost one
	}
	switch a.at {
	case stepFrom, stepTo, stepData, stepMessage:
	default:
		return outcome{}, false
	}
	switch {
	case a.code >= 500 && a.code <= 599:
		return outcome{refused: who}, true
	case a.code >= 400 && a.code <= 499 && a.at != stepFrom: // there it says nothing of a recipient yet
		return outcome{deferred: who}, true
	}
	return outcome{}, false
}
