package api

import (
	"fmt"
	"net/http"

	"github.com/tocsin-alerts/tocsin"
)

// listAudit answers who changed what, and who was not let in.
func (s *server) listAudit(w http.ResponseWriter, r *http.Request) error {
	q := readQuery(r.URL.RawQuery, "actor", "action", "object", "name", "since", "until", "limit", "cursor")
	want := tocsin.AuditQuery{
		Page: q.page(), Actor: q.text("actor"), Action: q.text("action"), Object: q.text("object"), Name: q.text("name"),
		Since: q.time("since"), Until: q.time("until"),
	}
	if err := q.err(); err != nil {
		return err
	}
	entries, next, err := s.Store.AuditEntries(r.Context(), want)
	if err != nil {
		return fmt.Errorf("listing the audit log: %w", err)
	}
	return answer(w, http.StatusOK, listed(entries, next))
}
