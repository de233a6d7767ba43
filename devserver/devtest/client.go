package devtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// Client speaks to an API. Its Must methods fail the test.
type Client struct {
	t   testing.TB
	URL string // without a final slash
	Key string // "" sends none
}

// NewClient returns a client for the API at url.
func NewClient(t testing.TB, url, key string) Client { return Client{t: t, URL: url, Key: key} }

// Do makes a request with a JSON body, or none when body is nil, and returns status and
// answer.
func (c Client) Do(method, path string, body any) (int, []byte, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, c.URL+path, content)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if c.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.Key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// Must makes a request that has to succeed and decodes the answer into out, if that is
// not nil.
func (c Client) Must(method, path string, body, out any) {
	c.t.Helper()
	status, answer, err := c.Do(method, path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if status >= 300 {
		c.t.Fatalf("%s %s answers %d: %s", method, path, status, answer)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(answer, out); err != nil {
		c.t.Fatalf("%s %s answers %s: %v", method, path, answer, err)
	}
}

// MustCreate creates a webhook and returns it.
func (c Client) MustCreate(webhook map[string]any) tocsin.Webhook {
	c.t.Helper()
	var made tocsin.Webhook
	c.Must(http.MethodPost, "/v1/webhooks", webhook, &made)
	return made
}

// MustSend submits events in requests of 100 and returns their ids once all are
// acknowledged.
func (c Client) MustSend(events ...map[string]any) []string {
	c.t.Helper()
	var ids []string
	for begin := 0; begin < len(events); begin += 100 {
		batch := events[begin:min(begin+100, len(events))]
		c.Must(http.MethodPost, "/v1/events", map[string]any{"events": batch}, nil)
		for _, e := range batch {
			ids = append(ids, fmt.Sprint(e["id"]))
		}
	}
	return ids
}

// Balances returns the ledger of every webhook by name.
func (c Client) Balances() (map[string]tocsin.Balance, error) {
	status, answer, err := c.Do(http.MethodGet, "/v1/ledger", nil)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, fmt.Errorf("the ledger answers %d: %s", status, answer)
	}
	var ledger struct {
		Webhooks []tocsin.Balance `json:"webhooks"`
	}
	if err := json.Unmarshal(answer, &ledger); err != nil {
		return nil, err
	}
	byName := map[string]tocsin.Balance{}
	for _, b := range ledger.Webhooks {
		byName[b.Webhook] = b
	}
	return byName, nil
}

// MustSettle waits until nothing is pending or in flight for a webhook, checks that its
// ledger adds up, and returns it.
func (c Client) MustSettle(webhook string) tocsin.Balance {
	c.t.Helper()
	var b tocsin.Balance
	Until(c.t, "webhook "+webhook+" to settle", func() error {
		all, err := c.Balances()
		if err != nil {
			return err
		}
		if b = all[webhook]; b.Accepted == 0 || b.Pending+b.InFlight > 0 {
			return fmt.Errorf("the ledger says %+v", b)
		}
		return nil
	})
	if d := b.Difference(); d != 0 {
		c.t.Errorf("the ledger of %s is off by %d: %+v", webhook, d, b)
	}
	return b
}

// Events returns n events of one alert type, with ids never used before. The type must
// ask for no data, as those under custom. do.
func Events(alertType string, n int) []map[string]any {
	all := make([]map[string]any, n)
	for i := range all {
		all[i] = map[string]any{
			"id": tocsin.NewID("test"), "source": "/devtest", "type": alertType, "severity": "high",
			"subject": fmt.Sprintf("thing-%d", i%50), "title": fmt.Sprintf("Test event %d", i),
		}
	}
	return all
}
