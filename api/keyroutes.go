package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

// defaultOverlap is how long the old text of a rotated key or secret works unless
// something else is said: long enough to be replaced everywhere in a day's work.
const defaultOverlap = 24 * time.Hour

func overlapOf(text string) (time.Duration, error) {
	if text == "" {
		return defaultOverlap, nil
	}
	d, err := tocsin.ParseDuration(text)
	if err != nil {
		return 0, tocsin.Invalid("overlap", "%v", err)
	}
	return d.Std(), nil
}

// shownKey is a key and its text, in the one answer that shows it.
type shownKey struct {
	tocsin.Key
	Text string `json:"key"`
}

func (s *server) listKeys(w http.ResponseWriter, r *http.Request) error {
	if err := readQuery(r.URL.RawQuery).err(); err != nil {
		return err
	}
	keys, err := s.Store.ListKeys(r.Context())
	if err != nil {
		return fmt.Errorf("listing keys: %w", err)
	}
	return answer(w, http.StatusOK, listed(keys, ""))
}

func (s *server) createKey(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	asked, err := object[struct {
		Name    string   `json:"name"`
		Scopes  []string `json:"scopes"`
		Expires string   `json:"expires"`
	}](w, r)
	if err != nil {
		return reply{}, err
	}
	expires, err := ParseExpiry(asked.Expires, time.Now())
	if err != nil {
		return reply{}, err
	}
	key, text, err := CreateKey(r.Context(), s.Store, asked.Name, asked.Scopes, expires)
	if err != nil {
		return reply{}, err
	}
	c.of(key.ID, key.Name)
	c.to(key)
	return reply{status: http.StatusCreated, body: shownKey{key, text}}, nil
}

// key finds the key that a path names and notes it.
func (s *server) key(r *http.Request, c *change) (tocsin.Key, error) {
	key, err := FindKey(r.Context(), s.Store, r.PathValue("id"))
	if err != nil {
		return key, err
	}
	c.of(key.ID, key.Name)
	c.from(key)
	if key.ID == c.by.key.ID {
		c.entry.Detail = "its own key"
	}
	return key, nil
}

// deleteKey deletes a key, also the one that asks for it: whoever finds a key of theirs
// published must be able to.
func (s *server) deleteKey(_ http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	key, err := s.key(r, c)
	if err != nil {
		return reply{}, err
	}
	if err := s.Store.DeleteKey(r.Context(), key.ID); err != nil {
		return reply{}, fmt.Errorf("deleting key: %w", err)
	}
	s.keys.forget(key.ID)
	return reply{status: http.StatusNoContent}, nil
}

func (s *server) rotateKey(w http.ResponseWriter, r *http.Request, c *change) (reply, error) {
	asked, err := object[struct {
		Overlap string `json:"overlap"`
		Expires string `json:"expires"`
	}](w, r)
	if err != nil {
		return reply{}, err
	}
	key, err := s.key(r, c)
	if err != nil {
		return reply{}, err
	}
	expires, err := ParseExpiry(asked.Expires, time.Now())
	if err != nil {
		return reply{}, err
	}
	overlap, err := overlapOf(asked.Overlap)
	if err != nil {
		return reply{}, err
	}
	key, text, err := RotateKey(r.Context(), s.Store, key.ID, overlap, expires)
	if err != nil {
		return reply{}, err
	}
	s.keys.forget(key.ID)
	c.to(key)
	return reply{status: http.StatusOK, body: shownKey{key, text}}, nil
}
