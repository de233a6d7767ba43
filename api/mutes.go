package api

import (
	"net/http"
	"net/url"

	"github.com/tocsin-alerts/tocsin"
)

func (s *server) listMutes(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "ended", "limit", "cursor")
	want := tocsin.MuteQuery{Page: q.page(), Ended: q.flag("ended")}
	if err := q.err(); err != nil {
		return err
	}
	mutes, next, err := s.Webhooks.ListMutes(r.Context(), want)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, listed(mutes, next))
}

func (s *server) getMute(w http.ResponseWriter, r *http.Request) error {
	m, err := s.Webhooks.GetMute(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, m)
}

func (s *server) createMute(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	raw, err := writing(w, r, "application/json")
	if err != nil {
		return reply{}, err
	}
	m, err := s.Webhooks.CreateMute(r.Context(), raw, c.by.name())
	if err != nil {
		return reply{}, err
	}
	c.of(m.ID, "")
	c.to(m)
	return reply{status: http.StatusCreated, body: m, location: "/v1/mutes/" + url.PathEscape(m.ID)}, nil
}

func (s *server) endMute(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	before, err := s.Webhooks.GetMute(r.Context(), r.PathValue("id"))
	if err != nil {
		return reply{}, err
	}
	c.of(before.ID, "")
	c.from(before)
	m, err := s.Webhooks.EndMute(r.Context(), before.ID)
	if err != nil {
		return reply{}, err
	}
	c.to(m)
	return reply{status: http.StatusOK, body: m}, nil
}
