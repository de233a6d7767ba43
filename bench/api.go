package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// api is a client of the HTTP API, for all but events.
type api struct {
	url, key string
	client   *http.Client
}

// apiTimeout bounds a call; the slowest one counts ten million events.
const apiTimeout = 30 * time.Second

func newAPI(url, key string) *api {
	return &api{url: url, key: key, client: &http.Client{Timeout: apiTimeout, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
}

func (a *api) close() { a.client.CloseIdleConnections() }

// call makes a request that has to succeed and decodes the answer into out, if that is
// not nil.
func (a *api) call(ctx context.Context, method, path string, in, out any) error {
	var content io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.key != "" {
		req.Header.Set("Authorization", "Bearer "+a.key)
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= 300:
		return fmt.Errorf("%s %s answers %d: %s", method, path, resp.StatusCode, answer)
	case out == nil:
		return nil
	}
	return json.Unmarshal(answer, out)
}

// webhook creates an instant webhook for path n of the receiver and returns its id.
// settings are added to the rest.
func (r *rig) webhook(ctx context.Context, n int, settings map[string]any) (string, error) {
	w := map[string]any{"name": fmt.Sprintf("bench-%d", n), "channel": "webhook", "frequency": "instant", "batch_size": 100,
		"config": map[string]any{"url": r.receiver.url(n)}}
	for name, value := range settings {
		w[name] = value
	}
	var made struct{ ID string }
	if err := r.api.call(ctx, http.MethodPost, "/v1/webhooks", w, &made); err != nil {
		return "", fmt.Errorf("creating a webhook: %w", err)
	}
	return made.ID, nil
}

// settled waits until the ledger has so many events as delivered to each of so many
// webhooks, and nothing else: what arrived is recorded a moment later.
func (r *rig) settled(ctx context.Context, events uint64, webhooks int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		var ledger struct{ Webhooks []tocsin.Balance }
		if err := r.api.call(ctx, http.MethodGet, "/v1/ledger", nil, &ledger); err != nil {
			return fmt.Errorf("reading the ledger: %w", err)
		}
		right := 0
		for _, b := range ledger.Webhooks {
			n := int64(events) // #nosec G115 -- ten digits
			if want := (tocsin.Balance{WebhookID: b.WebhookID, Webhook: b.Webhook, Accepted: n, Delivered: n}); b == want {
				right++
			}
		}
		if right == webhooks {
			return nil
		}
		if !sleepUntil(ctx, time.Now().Add(20*time.Millisecond)) {
			return fmt.Errorf("of %d events acknowledged, the ledger says %+v", events, ledger.Webhooks)
		}
	}
}
