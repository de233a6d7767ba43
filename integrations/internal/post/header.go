package post

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxHeaderValue is the longest header value taken, in bytes.
const maxHeaderValue = 8 << 10

// reservedHeaders are set by the client or by HTTP itself.
var reservedHeaders = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true,
	"te": true, "trailer": true, "upgrade": true, "expect": true, "http2-settings": true,
}

// CheckHeader says whether a user may set this header: a valid name that HTTP, the
// proxy or the signature does not own, and a value without CR, LF and other control
// characters. The value is never repeated in the error.
func CheckHeader(name, value string) error {
	lower := strings.ToLower(name)
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		return fmt.Errorf("%q is not a header name", name)
	case reservedHeaders[lower]:
		return fmt.Errorf("%s is set by the client itself", name)
	case strings.HasPrefix(lower, "proxy-"):
		return fmt.Errorf("%s belongs to proxies", name)
	case strings.HasPrefix(lower, "webhook-"):
		return fmt.Errorf("%s belongs to the signature", name)
	case !httpguts.ValidHeaderFieldValue(value):
		return fmt.Errorf("the value contains a line break or another control character")
	case len(value) > maxHeaderValue:
		return fmt.Errorf("the value is %d bytes long; at most %d", len(value), maxHeaderValue)
	}
	return nil
}

// openHeaders are the request headers whose values are shown: they hold no secret.
var openHeaders = map[string]bool{
	"Content-Type": true, "Content-Encoding": true, "Accept": true, "User-Agent": true, "Accept-Language": true,
	"Webhook-Id": true, "Webhook-Timestamp": true, "Webhook-Signature": true, "Tocsin-Test": true,
	"Traceparent": true, // ids alone
}

// OpenHeader reports whether a request header's value may be shown. A user's header
// with any other name is a secret.
func OpenHeader(name string) bool { return openHeaders[textproto.CanonicalMIMEHeaderKey(name)] }

// maxRecordedHeaders bounds what an Exchange keeps of a response's headers.
const (
	maxRecordedHeaders = 64
	maxRecordedValue   = 1 << 10
)

// shownRequest returns request headers for an Exchange.
func shownRequest(h http.Header, r *Redactor) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		if OpenHeader(name) {
			out[name] = r.Text(strings.Join(values, ", "))
		} else {
			out[name] = "[redacted]"
		}
	}
	return out
}

// shownResponse returns response headers for an Exchange. Cookies are the receiver's
// secrets.
func shownResponse(h http.Header, r *Redactor) map[string]string {
	out := make(map[string]string, len(h))
	for name, values := range h {
		if len(out) == maxRecordedHeaders {
			break
		}
		if name == "Set-Cookie" {
			out[name] = "[redacted]"
			continue
		}
		out[storable(r.Text(name))] = r.head([]byte(strings.Join(values, ", ")), maxRecordedValue, false)
	}
	return out
}
