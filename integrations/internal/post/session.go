package post

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"

	tocsin "github.com/tocsin-alerts/tocsin"
)

// libraryBody is how much of an answer a library that reads bodies itself is given.
const libraryBody = 4 << 20

// Session makes the requests of one Send, for channels that need several, and remembers
// them. It is safe for concurrent use.
type Session struct {
	client *Client
	redact *Redactor

	mu        sync.Mutex
	exchanges []tocsin.Exchange
}

// Session begins one; redact holds for all its requests.
func (c *Client) Session(redact *Redactor) *Session { return &Session{client: c, redact: redact} }

// Do is [Client.Do] with the session's Redactor.
func (s *Session) Do(ctx context.Context, r Request) (Response, error) {
	r.Redact = s.redact
	res, err := s.client.Do(ctx, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exchanges = append(s.exchanges, res.Exchange)
	return res, err
}

// Exchanges are the requests made so far, in the order they ended.
func (s *Session) Exchanges() []tocsin.Exchange {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]tocsin.Exchange(nil), s.exchanges...)
}

// HTTP returns a client for libraries that want one. Its requests are the session's: the
// same rules for addresses, time and bytes, no redirects, and all of them remembered. An
// answer of more than 4 MiB ends in an error after that. Errors keep their class for
// errors.As; the library may put the URL into their text.
func (s *Session) HTTP(hidePath bool) *http.Client {
	return &http.Client{
		Transport:     &transport{session: s, hidePath: hidePath},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// transport makes a library's requests through a session.
type transport struct {
	session  *Session
	hidePath bool
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		defer req.Body.Close() //nolint:errcheck // it is in memory
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, tocsin.RetryAfter(Errorf(ClassInternal, "reading the request's body: %w", err), 0)
		}
	}
	res, err := t.session.Do(req.Context(), Request{
		Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: body, HidePath: t.hidePath, KeepBody: libraryBody,
	})
	if err != nil {
		return nil, err
	}
	read := io.Reader(bytes.NewReader(res.Body))
	switch {
	case res.BodyErr != nil:
		read = io.MultiReader(read, broken{res.BodyErr})
	case res.BodyCut:
		read = io.MultiReader(read, broken{tocsin.Unsure(Errorf(ClassBody, "the answer is longer than %d bytes", libraryBody))})
	}
	return &http.Response{
		StatusCode: res.Status, Status: http.StatusText(res.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: res.Header, Body: io.NopCloser(read), ContentLength: -1, Request: req,
	}, nil
}

// broken is the end of a body that was lost.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }
