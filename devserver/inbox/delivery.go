package inbox

import (
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// Header is one header line of a request.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Delivery is one request as it came.
type Delivery struct {
	// Seq counts the requests from 1.
	Seq        int       `json:"seq"`
	Name       string    `json:"name"`
	ReceivedAt time.Time `json:"received_at"`
	Method     string    `json:"method"`
	URL        string    `json:"url"` // path and query
	Remote     string    `json:"remote"`
	Headers    []Header  `json:"headers"`
	Body       string    `json:"body"`
	Bytes      int       `json:"bytes"`
	// WebhookID is the header of that name, Attempt how often this inbox has seen it for
	// this name, from 1, as far as it remembers; 0 without the header.
	WebhookID string    `json:"webhook_id,omitempty"`
	Attempt   int       `json:"attempt,omitempty"`
	Signature Signature `json:"signature"`
	// Status is what the inbox answered; 0 when it closed the connection.
	Status int `json:"status"`
}

func (d *Delivery) size() int {
	n := len(d.Body) + len(d.URL) + 256
	for _, h := range d.Headers {
		n += len(h.Name) + len(h.Value)
	}
	return n
}

func sortedHeaders(r *http.Request) []Header {
	all := []Header{{Name: "host", Value: r.Host}}
	for name, values := range r.Header {
		for _, v := range values {
			all = append(all, Header{Name: strings.ToLower(name), Value: v})
		}
	}
	sort.SliceStable(all, func(a, b int) bool { return all[a].Name < all[b].Name })
	return all
}

// box holds the latest deliveries, oldest first.
type box struct {
	keep, keepBytes int

	mu    sync.Mutex
	all   []Delivery
	bytes int
	seq   int
}

func (b *box) add(d Delivery) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seq++
	d.Seq = b.seq
	if d.WebhookID != "" {
		d.Attempt = 1
		for n := len(b.all) - 1; n >= 0; n-- {
			if b.all[n].WebhookID == d.WebhookID && b.all[n].Name == d.Name {
				d.Attempt = b.all[n].Attempt + 1
				break
			}
		}
	}
	b.all = append(b.all, d)
	b.bytes += d.size()
	drop := 0
	for len(b.all)-drop > b.keep || (b.bytes > b.keepBytes && drop < len(b.all)-1) {
		b.bytes -= b.all[drop].size()
		b.all[drop] = Delivery{} // let its body go
		drop++
	}
	b.all = b.all[drop:]
}

func (b *box) list(name string) []Delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := []Delivery{}
	for n := len(b.all) - 1; n >= 0; n-- {
		if name == "" || b.all[n].Name == name {
			out = append(out, b.all[n])
		}
	}
	return out
}

func (b *box) find(seq int) (Delivery, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.all {
		if d.Seq == seq {
			return d, true
		}
	}
	return Delivery{}, false
}

// total is how many there ever were.
func (b *box) total() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.seq
}

func (b *box) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all, b.bytes = nil, 0
}
