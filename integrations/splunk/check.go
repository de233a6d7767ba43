package splunk

import (
	"context"
	"fmt"
	"net/http"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Check implements tocsin.Checker. It asks for the collector's health, and sends a
// request without any record: HEC looks at the token first, so "no data" (code 5) proves
// the token (https://docs.splunk.com/Documentation/Splunk/latest/Data/TroubleshootHTTPEventCollector#Possible_error_codes).
// With ack, it asks for an acknowledgment, which a token without the feature answers with
// code 14. That the token may write to the index shows with the first record only.
func (s *sender) Check(ctx context.Context) (string, []tocsin.Exchange, error) {
	if err := s.secure(ctx); err != nil {
		return "", nil, err
	}
	t := &try{sender: s, session: s.client.Session(s.redact)}
	found, err := t.check(ctx)
	return found, t.session.Exchanges(), err
}

func (t *try) check(ctx context.Context) (string, error) {
	a, _, err := t.ask(ctx, t.to(http.MethodGet, pathHealth, ""))
	if err != nil && a.code() != codeHealthy {
		return "", err
	}
	empty := t.to(http.MethodPost, pathEvent, "")
	empty.Header.Set("Content-Type", "application/json; charset=utf-8")
	a, _, err = t.ask(ctx, empty)
	if err != nil && a.code() != codeNoData {
		return "", err
	}
	found := "the collector is healthy and knows the token; the right to write to the index shows with the first event"
	if t.conf.index != "" {
		found = fmt.Sprintf("the collector is healthy and knows the token; the right to write to the index %s shows with the first event", t.conf.index)
	}
	if t.conf.ack {
		if _, err := t.question(ctx, []byte(`{"acks":[0]}`)); err != nil {
			return "", err
		}
		found += "; it acknowledges what is indexed"
	}
	return found, nil
}
