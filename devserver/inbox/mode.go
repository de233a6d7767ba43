package inbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Mode is how the inbox answers.
type Mode struct {
	// Name is whose requests it is for; "" for all that have no mode of their own.
	Name string `json:"name"`
	// Status is the answer's; 0 closes the connection without one.
	Status int `json:"status"`
	// Left is for how many more requests; 0 until switched back.
	Left int `json:"left,omitempty"`
	// RetryAfter is that header in seconds; 0 is none.
	RetryAfter int `json:"retry_after,omitempty"`
}

var fine = Mode{Status: http.StatusOK}

// modes holds what differs from answering 200.
type modes struct {
	mu     sync.Mutex
	byName map[string]Mode
}

// take returns the answer to the next request for name, and counts it.
func (m *modes) take(name string) Mode {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range []string{name, ""} {
		mode, ok := m.byName[key]
		if !ok {
			continue
		}
		if mode.Left == 1 {
			delete(m.byName, key)
		} else if mode.Left > 1 {
			left := mode
			left.Left--
			m.byName[key] = left
		}
		return mode
	}
	return fine
}

func (m *modes) set(mode Mode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byName == nil {
		m.byName = map[string]Mode{}
	}
	if mode.Status == http.StatusOK {
		delete(m.byName, mode.Name)
		return
	}
	m.byName[mode.Name] = mode
}

func (m *modes) all() []Mode {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.byName), func(a, b Mode) int { return cmp.Compare(a.Name, b.Name) })
}

// SetMode makes the inbox answer as mode says; Status 200 switches back.
func (i *Inbox) SetMode(mode Mode) { i.modes.set(mode) }

func (i *Inbox) setMode(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	mode, err := parseMode(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	i.modes.set(mode)
	// A form gets its page back, a program the modes.
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/inbox", http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"modes": i.modes.all()}) // an error means that the reader went away
}

func parseMode(r *http.Request) (Mode, error) {
	mode := Mode{Name: strings.TrimSpace(r.PostFormValue("name"))}
	if mode.Name != "" && !nameForm.MatchString(mode.Name) {
		return mode, fmt.Errorf("name: %q is not a name of the inbox", mode.Name)
	}
	if status := r.PostFormValue("status"); status != "drop" {
		n, err := strconv.Atoi(status)
		if err != nil || n < 200 || n > 599 {
			return mode, fmt.Errorf("status: %q is neither 200 to 599 nor drop", status)
		}
		mode.Status = n
	}
	for field, to := range map[string]*int{"times": &mode.Left, "retry_after": &mode.RetryAfter} {
		text := r.PostFormValue(field)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > 1_000_000 {
			return mode, fmt.Errorf("%s: %q is not a number from 0 to 1000000", field, text)
		}
		*to = n
	}
	return mode, nil
}

// write answers a delivery for name.
func (m Mode) write(w http.ResponseWriter, name string) {
	if m.Status == 0 {
		panic(http.ErrAbortHandler) // net/http's way to close the connection
	}
	if m.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(m.RetryAfter))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(m.Status)
	switch {
	case m.Status == http.StatusNoContent || m.Status == http.StatusNotModified:
	case m.Status < 300:
		_, _ = io.WriteString(w, "ok")
	default:
		_, _ = fmt.Fprintf(w, "the inbox was told to answer %s with %d", name, m.Status) // #nosec G705 -- text/plain
	}
}

// write answers as a vendor does.
func (r reply) write(w http.ResponseWriter) {
	switch body := r.body.(type) {
	case nil:
		w.WriteHeader(r.status)
	case string:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(r.status)
		_, _ = io.WriteString(w, body) // #nosec G705 -- text/plain
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(r.status)
		_ = json.NewEncoder(w).Encode(body) // an error means that the sender went away
	}
}
