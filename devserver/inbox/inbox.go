// Package inbox is a receiver to try deliveries on: it keeps the latest in memory, shows
// them on a page, checks their signatures, and can be told to fail.
//
//	POST /inbox/{name}        takes a delivery (any method but GET, HEAD and OPTIONS)
//	any /inbox/{name}/{path}  the same in the words of the vendor whose API has such a path
//	GET  /inbox, /inbox/{name}  the page; ?before= number
//	GET  /                    redirects to the page
//	GET  /inbox.json          the same for programs; ?name=, ?limit=
//	GET  /inbox/_raw/{number} one body as it came
//	POST /inbox/_mode         form: name, status (a number or "drop"), times, retry_after
//	POST /inbox/_clear        forgets everything
//
// POST /inbox/{name}?fail=503 answers that request with 503, whatever the mode.
package inbox

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// MaxBody is the largest body taken: 10 MiB. Larger ones are answered with 413.
const MaxBody = 10 << 20

// Options configure an Inbox.
type Options struct {
	// Keep is how many deliveries are kept at most; 0 is 500.
	Keep int
	// KeepBytes bounds what they take in memory together, bodies and headers; 0 is 32 MiB.
	KeepBytes int
	// BaseURL is where the page is reached, without a final slash; it is shown in the
	// curl lines.
	BaseURL string
	// Hosts are the Host headers that are answered, so that a page of another origin
	// cannot reach the inbox through a name that it points at loopback. Empty: any.
	Hosts []string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Inbox is the receiver. Make it with New; it is safe for concurrent use.
type Inbox struct {
	options Options
	mux     *http.ServeMux
	box     box
	modes   modes
	secrets secrets
	tickets tracker
}

// New returns an empty inbox that answers everything with 200.
func New(o Options) *Inbox {
	if o.Keep == 0 {
		o.Keep = 500
	}
	if o.KeepBytes == 0 {
		o.KeepBytes = 32 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	i := &Inbox{options: o, mux: http.NewServeMux()}
	i.box.keep, i.box.keepBytes = o.Keep, o.KeepBytes
	// Only our own page, and programs that are no browser, may change what it does.
	own := http.NewCrossOriginProtection()
	i.mux.HandleFunc("GET /inbox", i.page)
	i.mux.HandleFunc("GET /inbox/{$}", i.page)
	i.mux.HandleFunc("GET /inbox/{name}", i.page)
	i.mux.HandleFunc("GET /inbox.json", i.list)
	i.mux.HandleFunc("GET /inbox/_raw/{seq}", i.raw)
	i.mux.Handle("POST /inbox/_mode", own.Handler(http.HandlerFunc(i.setMode)))
	i.mux.Handle("POST /inbox/_clear", own.Handler(http.HandlerFunc(i.clear)))
	i.mux.HandleFunc("/inbox/{name}", i.receive)
	i.mux.HandleFunc("/inbox/{name}/{rest...}", i.receiveVendor)
	return i
}

// Handlers returns the inbox by the patterns it is to be mounted at.
func (i *Inbox) Handlers() map[string]http.Handler {
	return map[string]http.Handler{"/inbox": i, "/inbox/": i, "/inbox.json": i}
}

// ServeHTTP implements http.Handler.
func (i *Inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !i.knownHost(r.Host) {
		http.Error(w, "this inbox answers to its own address only", http.StatusMisdirectedRequest)
		return
	}
	i.mux.ServeHTTP(w, r)
}

func (i *Inbox) knownHost(host string) bool {
	if len(i.options.Hosts) == 0 {
		return true
	}
	bare := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		bare = h
	}
	for _, allowed := range i.options.Hosts {
		if strings.EqualFold(allowed, host) || strings.EqualFold(allowed, bare) {
			return true
		}
	}
	return false
}

// Expect makes the inbox check deliveries for name against a signing secret
// ("whsec_…"). It replaces an earlier one. An error when it is not such a secret.
func (i *Inbox) Expect(name string, secret tocsin.Secret) error { return i.secrets.set(name, secret) }

// Deliveries returns what is kept, newest first; name "" is all.
func (i *Inbox) Deliveries(name string) []Delivery { return i.box.list(name) }

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (i *Inbox) receive(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if !nameForm.MatchString(name) {
		http.Error(w, "a name has 1 to 64 letters, digits, dots, hyphens and underscores", http.StatusNotFound)
		return
	}
	if r.Method == http.MethodOptions {
		w.Header().Set("Allow", "GET, POST, PUT, PATCH")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	// Slack's incoming webhooks answer "ok":
	// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
	i.take(w, r, name, false, func(string) reply { return reply{http.StatusOK, "ok"} })
}

// take keeps a request, unless it only asks something, and answers it: as yes says, unless it
// is told otherwise.
func (i *Inbox) take(w http.ResponseWriter, r *http.Request, name string, asks bool, yes func(body string) reply) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		http.Error(w, "body over 10 MiB", http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		return // the sender went away
	}
	shown, err := unpacked(r, body)
	if err != nil {
		http.Error(w, "the body cannot be unpacked: "+err.Error(), http.StatusBadRequest)
		return
	}
	mode := i.answerTo(name, r)
	said := reply{status: mode.Status}
	if mode == fine {
		said = yes(string(shown))
	}
	now := i.options.Now()
	if !asks {
		i.box.add(Delivery{
			Name: name, ReceivedAt: now, Method: r.Method, URL: r.URL.RequestURI(), Remote: r.RemoteAddr,
			Headers: sortedHeaders(r), Body: string(shown), Bytes: len(body), WebhookID: r.Header.Get("webhook-id"),
			Signature: i.secrets.verify(name, r.Header, body, now), Status: said.status,
		})
	}
	if mode != fine {
		mode.write(w, name)
		return
	}
	said.write(w)
}

// answerTo decides how a request is answered: by its own wish, or by the mode.
func (i *Inbox) answerTo(name string, r *http.Request) Mode {
	if status, err := strconv.Atoi(r.URL.Query().Get("fail")); err == nil && status >= 200 && status <= 599 {
		return Mode{Status: status}
	}
	return i.modes.take(name)
}

func (i *Inbox) list(w http.ResponseWriter, r *http.Request) {
	all := i.box.list(r.URL.Query().Get("name"))
	if limit, err := strconv.Atoi(r.URL.Query().Get("limit")); err == nil && limit >= 0 && limit < len(all) {
		all = all[:limit]
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(map[string]any{ // an error means that the reader went away
		"deliveries": all, "received": i.box.total(), "modes": i.modes.all(),
	})
}

func (i *Inbox) raw(w http.ResponseWriter, r *http.Request) {
	seq, err := strconv.Atoi(r.PathValue("seq"))
	d, ok := i.box.find(seq)
	if err != nil || !ok {
		http.NotFound(w, r)
		return
	}
	// Attackers write bodies: never let a browser run one.
	w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, d.Body)
}

func (i *Inbox) clear(w http.ResponseWriter, r *http.Request) {
	i.box.clear()
	http.Redirect(w, r, "/inbox", http.StatusSeeOther)
}
