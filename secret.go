package tocsin

import (
	"encoding/json"
	"log/slog"
)

// Redacted is what a secret looks like wherever it is printed, logged or encoded.
// Written back in a configuration it means: keep the secret that is stored.
const Redacted = "[redacted]"

// Secret is a value that must not be shown. It prints, logs and encodes as
// [Redacted]; [Secret.Reveal] is the one way to the text. The zero value is no
// secret, and encodes as "".
type Secret struct{ text string }

// NewSecret wraps text.
func NewSecret(text string) Secret { return Secret{text} }

// Reveal returns the text. Call it only where the text leaves for its vendor.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == "" }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return Redacted
}

// GoString implements fmt.GoStringer, for %#v.
func (s Secret) GoString() string { return "tocsin.Secret(" + s.String() + ")" }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON writes the redacted form.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads the text.
func (s *Secret) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &s.text) }
