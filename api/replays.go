package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tocsin-alerts/tocsin/webhooks"
)

func (s *server) listReplays(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "limit", "cursor")
	page := q.page()
	if err := q.err(); err != nil {
		return err
	}
	replays, next, err := s.Webhooks.ListReplays(r.Context(), page)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(replays, next))
}

func (s *server) getReplay(w http.ResponseWriter, r *http.Request) error {
	v, err := s.Webhooks.GetReplay(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, v)
}

func (s *server) createReplay(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	raw, err := writing(w, r, "application/json")
	if err != nil {
		return reply{}, err
	}
	created, err := s.Webhooks.CreateReplay(r.Context(), raw, c.by.name(), isDryRun(r))
	if err != nil {
		return reply{}, err
	}
	c.of(created.ID, created.Webhook)
	c.to(created)
	if created.DryRun { // asked for in the document
		c.entry.Detail = "a dry run: nothing was changed"
		return reply{status: http.StatusOK, body: created}, nil
	}
	return reply{status: http.StatusCreated, body: created, location: "/v1/replays/" + url.PathEscape(created.ID)}, nil
}

// steer is a POST that changes what a replay is doing and answers with it.
func (s *server) steer(do func(context.Context, string) (webhooks.ReplayView, error)) changeFunc {
	return func(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
		before, err := s.Webhooks.GetReplay(r.Context(), r.PathValue("id"))
		if err != nil {
			return reply{}, err
		}
		c.of(before.ID, before.Webhook)
		c.from(before)
		after, err := do(r.Context(), before.ID)
		if err != nil {
			return reply{}, err
		}
		c.to(after)
		return reply{status: http.StatusOK, body: after}, nil
	}
}
