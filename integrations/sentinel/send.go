package sentinel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// post delivers one body. A token that is refused may have been withdrawn before its
// time, so after a 401 the same is sent once more with a fresh one: nothing of it was
// taken.
func (t *try) post(ctx context.Context, body []byte) error {
	for again := false; ; again = true {
		token, err := t.tokens.get(ctx, t.fetch)
		if err != nil {
			return fmt.Errorf("posting to sentinel: %w", err)
		}
		status, err := t.once(ctx, token, body)
		if status == http.StatusUnauthorized || status == http.StatusForbidden {
			// After a role was granted, a token from before may still lack it.
			t.tokens.drop(token)
		}
		if status != http.StatusUnauthorized || again {
			return err
		}
	}
}

// once makes one request.
func (t *try) once(ctx context.Context, token string, body []byte) (int, error) {
	if err := t.secure(ctx, t.conf.endpoint); err != nil {
		return 0, err
	}
	res, err := t.client.Do(ctx, t.request(token, body))
	t.exchanges = append(t.exchanges, res.Exchange)
	if err != nil {
		return 0, fmt.Errorf("posting to sentinel: %w", err)
	}
	return res.Status, classify(res)
}

// classify judges an answer. 204 is yes
// (https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview#rest-api-call),
// and nothing else is: a login page on the way says 200 to everything. 413 is answered with halves, 429 and 503 come with
// Retry-After. The body of an error is {"error":{"code","message"}}.
func classify(res post.Response) error {
	err := post.Classify(res.Status, res.Header, res.Exchange.ResponseBody)
	switch {
	case err != nil:
	case res.Status == http.StatusNoContent:
		return nil
	case res.BodyErr != nil: // what it says is not known
		return fmt.Errorf("posting to sentinel: %w", res.BodyErr)
	default:
		return tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody, "posting to sentinel: answered %d, and a data collection endpoint answers 204, so endpoint may be wrong, or something on the way answers in its place: %.200q",
			res.Status, res.Exchange.ResponseBody)))
	}
	var said struct {
		Error struct {
			Code string `json:"code"`
		} `json:"error"`
	}
	_ = json.Unmarshal(res.Body, &said) // what is no JSON says nothing
	switch {
	case res.Status == http.StatusForbidden:
		// https://github.com/Azure/azure-sdk-for-go/blob/main/sdk/monitor/ingestion/azlogs/README.md#troubleshooting-authorization-errors
		return fmt.Errorf("posting to sentinel: %w; give the application the role Monitoring Metrics Publisher on the data collection rule, which takes up to 30 minutes to work, "+
			"and check that the rule belongs to this endpoint", err)
	case res.Status == http.StatusNotFound:
		return fmt.Errorf("posting to sentinel: %w; check rule_id, stream, and that the rule belongs to this endpoint", err)
	case res.Status == http.StatusBadRequest && said.Error.Code == codeStream:
		s := *tocsin.Classify(err)
		s.Fault = tocsin.FaultWebhook
		return fmt.Errorf("posting to sentinel: %w; check rule_id and stream", &s)
	}
	return fmt.Errorf("posting to sentinel: %w", err)
}

// codeStream is the code of a 400 about a stream that the rule does not have, and so about
// all events.
const codeStream = "InvalidStream"
