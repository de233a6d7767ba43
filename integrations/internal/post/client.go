package post

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

const (
	// DefaultTimeout is the total time of one request; Standard Webhooks recommends 15
	// to 30 s.
	DefaultTimeout = 20 * time.Second
	// DefaultUserAgent is what receivers see.
	DefaultUserAgent = "Tocsin/1"
	// MaxKeepBody is the most that a Request may ask to keep of an answer.
	MaxKeepBody = 16 << 20
	// MaxRequestKept is how much of a request's body the record of a Send keeps.
	MaxRequestKept = 64 << 10
	// maxAcceptedKept is the same for a request that was answered with 2xx. People look for
	// what was sent where it was refused; records of batches that were accepted were half of
	// what a delivery cost the store.
	maxAcceptedKept = 4 << 10

	maxResponseHeader = 64 << 10
	// maxDrain is how much more than what is kept is read so that the connection can
	// be used again; beyond that, closing it is cheaper.
	maxDrain = 64 << 10
)

// Resolver looks up the addresses of a name; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Options configure a Client. The zero value is ready for production.
type Options struct {
	// AllowCIDRs are ranges that may be sent to although they are not public.
	AllowCIDRs []netip.Prefix
	// Timeout of one request from look-up to the last byte of the answer; 0:
	// DefaultTimeout.
	Timeout time.Duration
	// UserAgent; "": DefaultUserAgent.
	UserAgent string
	// RootCAs verify receivers; nil: the system's.
	RootCAs *x509.CertPool
	// Resolver; nil: the system's.
	Resolver Resolver
}

// Client sends requests under the rules in the package comment. It is safe for
// concurrent use and meant to be shared: connections are pooled across webhooks.
type Client struct {
	opts  Options
	guard guard
	tls   *tls.Config
	http  *http.Transport // not an http.Client: that one follows redirects

	mu     sync.Mutex
	others map[TLS]*Client // by WithTLS
}

// New returns a Client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.UserAgent == "" {
		o.UserAgent = DefaultUserAgent
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	return newClient(o, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs})
}

func newClient(o Options, conf *tls.Config) *Client {
	c := &Client{opts: o, guard: newGuard(o.AllowCIDRs), tls: conf}
	c.http = &http.Transport{
		Proxy:                  nil, // a proxy would do the look-up, unchecked
		DialContext:            c.dial,
		TLSClientConfig:        conf.Clone(),
		TLSHandshakeTimeout:    10 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           1024,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxResponseHeader,
		DisableCompression:     true, // what is recorded is what came, and nothing inflates
		// A connection that died in silence is found before the next request needs it.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
	return c
}

// Close closes idle connections, those of clients made by WithTLS too.
func (c *Client) Close() {
	c.http.CloseIdleConnections()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.others {
		other.Close()
	}
}

// Timeout is the total time of one request.
func (c *Client) Timeout() time.Duration { return c.opts.Timeout }

// Request is one request to make.
type Request struct {
	Method string
	URL    string
	Header http.Header // a User-Agent is added when there is none
	Body   []byte
	// Redact keeps secrets out of the record and the errors; nil: there are none.
	Redact *Redactor
	// HidePath says that the URL's path and query are secrets.
	HidePath bool
	// KeepBody is how many bytes of the answer's body the Response holds, at most
	// [MaxKeepBody]; 0: tocsin.MaxResponseKept. The record keeps no more than that anyway.
	KeepBody int
	// Shown is what records show as the body, for one that is compressed; nil: Body.
	Shown []byte
}

// Response is what came back. Its body and header are as received: they may hold
// secrets that the receiver repeats; the Exchange does not.
type Response struct {
	Status int // 0: no response
	Header http.Header
	Body   []byte // first KeepBody bytes
	// BodyCut says that the body was longer than what is in Body.
	BodyCut bool
	// BodyErr says that reading the body ended early; the status stands all the same.
	BodyErr  error
	Exchange tocsin.Exchange
}

// Do makes one request. An error means that there was no response; it is classified,
// of some Class, and holds no secret. Any status is a response: see Classify. The
// Exchange is there in both cases.
func (c *Client) Do(ctx context.Context, r Request) (res Response, err error) {
	ctx, span := traced(ctx, &r)
	defer func() { answered(span, res.Status, err) }()
	res.Exchange = c.record(r)
	defer func() {
		keep := MaxRequestKept
		if res.Status/100 == 2 {
			keep = maxAcceptedKept
		}
		res.Exchange.RequestBody = r.Redact.head(r.shown(), keep, false)
	}()
	req, err := c.build(ctx, r)
	if err != nil {
		return res, tocsin.Refused(&Error{Class: ClassInternal, Message: r.Redact.Text(err.Error())})
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	t := newTracer()
	resp, err := c.http.RoundTrip(req.WithContext(t.attach(ctx)))
	if err != nil {
		t.finish(&res.Exchange)
		return res, transportError(err, t.step(), t.sent(), r.Redact)
	}
	res.Status, res.Header = resp.StatusCode, resp.Header
	if resp.StatusCode == http.StatusSwitchingProtocols {
		// What follows is no body but the connection itself, which no deadline ends.
		_ = resp.Body.Close()
	} else {
		res.read(resp.Body, r)
	}
	t.finish(&res.Exchange)
	res.Exchange.Status = resp.StatusCode
	res.Exchange.ResponseHeaders = shownResponse(resp.Header, r.Redact)
	return res, nil
}

// read keeps the first bytes of the body, reads a bounded rest and closes it.
func (res *Response) read(body io.ReadCloser, r Request) {
	defer body.Close() //nolint:errcheck // nothing depends on how a read body closes
	redact, keep := r.Redact, tocsin.MaxResponseKept
	if r.KeepBody > 0 {
		keep = min(r.KeepBody, MaxKeepBody)
	}
	window := max(keep, tocsin.MaxResponseKept) + redact.longest() + 1
	kept, err := io.ReadAll(io.LimitReader(body, int64(window)))
	more := len(kept) == window
	if err == nil && more {
		_, err = io.CopyN(io.Discard, body, maxDrain)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		class, text := sortTransport(err, StepAnswer)
		if class != ClassTimeout {
			class = ClassBody
		}
		res.BodyErr = tocsin.Unsure(&Error{Class: class, Message: redact.Text("reading the answer's body: " + text), Err: cause(err)})
		more = true
	}
	res.Exchange.ResponseBody = redact.head(kept, tocsin.MaxResponseKept, more)
	res.Body, res.BodyCut = kept[:min(len(kept), keep)], len(kept) > keep
}

// Preview returns the record of a request that is not made, with its whole body.
func (c *Client) Preview(r Request) tocsin.Exchange {
	x := c.record(r)
	// All of it, even where what stands for a secret is longer than the secret.
	x.RequestBody = storable(r.Redact.Text(string(r.shown())))
	return x
}

// shown is the body as people see it.
func (r *Request) shown() []byte {
	if r.Shown != nil {
		return r.Shown
	}
	return r.Body
}

// record fills in the request's half of an Exchange, without the body.
func (c *Client) record(r Request) tocsin.Exchange {
	x := tocsin.Exchange{Method: r.Method, RequestBytes: len(r.Body)}
	if u, err := parseURL(r.URL); err == nil {
		x.URL = r.Redact.redactURL(u, r.HidePath)
	}
	header := r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	c.userAgent(header)
	x.RequestHeaders = shownRequest(header, r.Redact)
	return x
}

func (c *Client) userAgent(h http.Header) {
	if h.Get("User-Agent") == "" {
		h.Set("User-Agent", c.opts.UserAgent)
	}
}

// build makes the http.Request.
func (c *Client) build(ctx context.Context, r Request) (*http.Request, error) {
	if _, err := parseURL(r.URL); err != nil {
		return nil, fmt.Errorf("the URL %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, errors.New("the method or the URL cannot be used")
	}
	if r.Header != nil {
		req.Header = r.Header.Clone()
	}
	c.userAgent(req.Header)
	return req, nil
}
