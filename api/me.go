package api

import (
	"cmp"
	"net/http"
	"time"
)

// me says who asks, and what answers: a client with a key finds out what it is good for without trying
// what it may not do, which the audit log would count as refusals.
func (s *server) me(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r.URL.RawQuery).err(); err != nil {
		return err
	}
	by, err := s.authorize(r, scopeAny)
	if err != nil {
		return err
	}
	view := struct {
		Actor     string     `json:"actor"`
		Name      string     `json:"name,omitempty"`
		Scopes    []string   `json:"scopes"`
		ExpiresAt *time.Time `json:"expires_at,omitempty"`
		Open      bool       `json:"open"`
		Version   string     `json:"version"`
		Now       time.Time  `json:"now"`
	}{by.actor, cmp.Or(by.key.Name, by.user), by.scopes, by.key.ExpiresAt, s.Open, s.Version, time.Now().UTC()}
	if s.Open {
		view.Scopes = []string{ScopeIngest, ScopeRead, ScopeAdmin}
	}
	return answer(w, http.StatusOK, view)
}
