package tocsin

import (
	"context"
	"encoding/json"
	"errors"
)

// Sender sends notifications to one configured place. It is safe for concurrent use.
type Sender interface {
	// Send makes one try; it never sleeps, loops or retries. A nil error means that the
	// vendor accepted everything that Receipt.Results does not except. Errors are
	// classified with Permanent, Refused, Gone, RetryAfter and Taken; any other is retryable
	// and unsure. No error, and nothing in the Receipt, shows a secret.
	Send(ctx context.Context, n Notification) (Receipt, error)
	// Preview returns the requests that Send would make, secrets redacted, and sends
	// nothing. A template that does not render is
	// a *SendError with FaultWebhook.
	Preview(ctx context.Context, n Notification) ([]Exchange, error)
}

// Checker is a Sender whose vendor has a cheap call that proves the configuration:
// credentials, the channel or project it names, the right to write there.
type Checker interface {
	// Check makes that call and sends nothing that a person would see. found is a sentence
	// about what was found ("posts to #sec-alerts of workspace acme as tocsin"). Errors are
	// those of Send, and ErrNoCheck where this configuration has no such call.
	Check(ctx context.Context) (found string, exchanges []Exchange, err error)
}

// ErrNoCheck says that nothing proves a configuration but sending.
var ErrNoCheck = errors.New("this channel has no call that proves its configuration without sending; send a test")

// Channel is the kind of place a webhook delivers to. Configurations are JSON
// objects, here always with their secrets in clear.
type Channel interface {
	// Name is the word users write: "webhook", "slack".
	Name() string
	// Schema is the JSON Schema of the configuration; secrets have "writeOnly": true.
	Schema() json.RawMessage
	// Complete fills in what the channel generates when absent (a signing secret) and
	// its defaults. generated lists the paths of fresh secrets ("signing_secret"), which
	// are shown to the user once. It does not validate.
	Complete(config json.RawMessage) (complete json.RawMessage, generated []string, err error)
	// Validate checks everything that can be known without sending: unknown keys (with
	// a suggestion), types, templates, and that the address is one we may send to. It
	// returns an *Error with CodeInvalid whose fields start with "config.".
	Validate(ctx context.Context, config json.RawMessage) error
	// Public returns the configuration with every secret as Redacted.
	Public(config json.RawMessage) (json.RawMessage, error)
	// Open returns a sender for a valid configuration.
	Open(config json.RawMessage) (Sender, error)
	// BatchKey groups events that may share a delivery: only events with equal keys do.
	// Most channels return "" for every event.
	BatchKey(e *Event) string
}
