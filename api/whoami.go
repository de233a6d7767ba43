package api

import (
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// scopeAny is what a key of any scope may do: ask what it is.
const scopeAny = "any"

// whoami says who asks, and who answers.
type whoami struct {
	// Key is what is asked with; nil where no key is asked for.
	Key *tocsin.Key `json:"key,omitempty"`
	// Open says that no key is asked for.
	Open bool `json:"open"`
	// Version is the program's that answers, and Now its clock.
	Version string    `json:"version"`
	Now     time.Time `json:"now"`
}

func (s *server) whoami(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r.URL.RawQuery).err(); err != nil {
		return err
	}
	by, err := s.authorize(r, scopeAny)
	if err != nil {
		return err
	}
	view := whoami{Open: s.Open, Version: s.Version, Now: time.Now().UTC()}
	if by.key.ID != "" {
		view.Key = &by.key
	}
	return answer(w, http.StatusOK, view)
}
