package jira

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// Preview implements tocsin.Sender: it goes the way of Send against a pretended Jira that
// creates every ticket, finds each as it was left, and has one transition for each category.
// Numbers that only Jira knows are 0.
func (s *sender) Preview(ctx context.Context, n tocsin.Notification) ([]tocsin.Exchange, error) {
	if len(n.Events) == 0 {
		return nil, s.ready(ctx, n)
	}
	p := &pretended{s: s, done: map[string]bool{}}
	for _, raw := range n.Refs {
		if r := readRef(raw, s.config.url); r.ticket() != "" {
			p.done[r.ticket()] = r.Status == resolved
		}
	}
	// Whether an earlier attempt arrived cannot be known without asking.
	n.Uncertain = false
	api, err := newAPI(s.config, s.redact, p.do)
	if err != nil {
		return nil, err
	}
	r := s.newRun(n, api)
	r.all(ctx)
	_, err = r.receipt()
	return p.exchanges, err
}

// pretended answers like a Jira without faults.
type pretended struct {
	s         *sender
	exchanges []tocsin.Exchange
	done      map[string]bool // by ticket
}

func (p *pretended) do(req *http.Request, body []byte, _ int) answer {
	p.exchanges = append(p.exchanges, p.s.client.Preview(post.Request{
		Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: body, Redact: p.s.redact,
	}))
	said := p.answer(req.Method, req.URL.Path, body)
	return answer{status: http.StatusOK, header: http.Header{}, body: []byte(said), shown: said}
}

func (p *pretended) answer(method, path string, body []byte) string {
	_, at, _ := strings.Cut(path, "/rest/api/2/")
	parts := strings.Split(at, "/")
	const ticket = `{"id":"0","key":"NEW-0"}`
	switch {
	case at == "issue":
		return ticket
	case at == "issue/bulk":
		n := bytes.Count(body, []byte(`"issuetype":`))
		return `{"issues":[` + strings.TrimSuffix(strings.Repeat(ticket+",", n), ",") + `]}`
	case len(parts) == 2 && method == http.MethodGet:
		category := categoryNew
		if p.done[parts[1]] {
			category = categoryDone
		}
		return fmt.Sprintf(`{"fields":{"status":{"statusCategory":{"key":%q}}}}`, category)
	case len(parts) == 3 && parts[2] == "transitions" && method == http.MethodGet:
		return p.transitions()
	case len(parts) == 3 && parts[2] == "transitions":
		p.done[parts[1]] = !p.done[parts[1]]
	}
	return "{}"
}

// transitions are those that the configuration names, or one for each category.
func (p *pretended) transitions() string {
	type target struct {
		Category struct {
			Key string `json:"key"`
		} `json:"statusCategory"`
	}
	type transition struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		To   target `json:"to"`
	}
	var list []transition
	for _, pair := range [][2]string{{categoryDone, p.s.config.resolveTransition}, {categoryNew, p.s.config.reopenTransition}} {
		t := transition{ID: "0", Name: pair[1]}
		t.To.Category.Key = pair[0]
		list = append(list, t)
	}
	text, _ := json.Marshal(map[string]any{"transitions": list}) // strings always encode
	return string(text)
}
