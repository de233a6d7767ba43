package api

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"

	"github.com/tocsin-alerts/tocsin"
)

// balanceView is a balance that says itself whether it adds up.
type balanceView struct {
	tocsin.Balance
	Difference int64 `json:"difference"`
}

func viewBalance(b tocsin.Balance) balanceView { return balanceView{b, b.Difference()} }

func (s *server) ledger(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "webhook")
	if err := q.err(); err != nil {
		return err
	}
	id, err := s.webhookID(r.Context(), q.text("webhook"))
	if err != nil {
		return err
	}
	balances, err := s.Store.Balances(r.Context())
	if err != nil {
		return fmt.Errorf("reading ledger: %w", err)
	}
	if id != "" {
		balances = slices.DeleteFunc(balances, func(b tocsin.Balance) bool { return b.WebhookID != id })
	}
	view := struct {
		Webhooks []balanceView `json:"webhooks"`
		Total    balanceView   `json:"total"`
	}{Webhooks: make([]balanceView, len(balances))}
	var total tocsin.Balance
	for i, b := range balances {
		view.Webhooks[i] = viewBalance(b)
		total = total.Add(b)
	}
	view.Total = viewBalance(total)
	return answer(w, http.StatusOK, view)
}

func (s *server) alertTypes(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, listed(s.Catalog.Types(), ""))
}

func (s *server) channels(w http.ResponseWriter, _ *http.Request) error {
	type channel struct {
		Name string `json:"name"`
		// Schema is the JSON Schema of config; secrets are marked writeOnly.
		Schema json.RawMessage `json:"schema"`
	}
	var all []channel
	for _, ch := range s.Webhooks.Channels {
		all = append(all, channel{ch.Name(), ch.Schema()})
	}
	return answer(w, http.StatusOK, listed(all, ""))
}

type status struct {
	Status string `json:"status"`
}

// healthy says that this process answers, whatever it depends on.
func healthy(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, status{"ok"})
}

// ready says that events can be taken in: the store is there. Temporal may be away.
func (s *server) ready(w http.ResponseWriter, r *http.Request) error {
	if err := s.Store.Ping(r.Context()); err != nil {
		return tocsin.Errorf(tocsin.CodeUnavailable, "pinging store: %w", err)
	}
	return answer(w, http.StatusOK, status{"ready"})
}

//go:embed openapi.yaml
var openAPIDocument []byte

func openAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, err := w.Write(openAPIDocument)
	return err
}
