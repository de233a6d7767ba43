package jira

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/andygrunwald/go-jira"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

const (
	// keepRead is how much of an answer to a question is read: transitions come with every
	// value that their fields allow, and a search with descriptions.
	keepRead = 4 << 20
	// keepWrite is enough for the answer to ten new tickets.
	keepWrite = 64 << 10
	// maxCalls bounds the requests of one send, all of which are in the record of its attempt.
	// A thousand comments would make it megabytes.
	maxCalls = 200
	// minLeft is the least time for another request; with less, what is left is for the
	// next attempt.
	minLeft = 2 * time.Second
)

// answer is what Jira said to one request. go-jira loses the body of errors, so it is
// kept here.
type answer struct {
	status int
	header http.Header
	body   []byte
	shown  string // the body without secrets
	cut    bool   // the body is longer than what was read
	err    error  // there was no answer, or its body was lost
	read   bool   // the request asked, and changed nothing
}

// doer makes one request.
type doer func(req *http.Request, body []byte, keep int) answer

// live makes requests for real.
func live(session *post.Session) doer {
	return func(req *http.Request, body []byte, keep int) answer {
		res, err := session.Do(req.Context(), post.Request{Method: req.Method, URL: req.URL.String(), Header: req.Header, Body: body, KeepBody: keep})
		if err == nil {
			err = res.BodyErr
		}
		return answer{status: res.Status, header: res.Header, body: res.Body, shown: res.Exchange.ResponseBody, cut: res.BodyCut, err: err}
	}
}

// api is Jira's REST API as this channel uses it: go-jira's types and calls over our own
// client. It is for one goroutine.
type api struct {
	config config
	redact *post.Redactor
	do     doer
	jira   *jira.Client
	last   answer
	calls  int
}

func newAPI(c config, redact *post.Redactor, do doer) (*api, error) {
	a := &api{config: c, redact: redact, do: do}
	var err error
	if a.jira, err = jira.NewClient(a, c.url); err != nil {
		// The error would quote the address.
		return nil, tocsin.Refused(post.Errorf(post.ClassInternal, "writing to jira: the URL cannot be read"))
	}
	return a, nil
}

// errNoAnswer is for go-jira, which needs an error; the real one is in last.
var errNoAnswer = errors.New("no answer")

// Do is what go-jira makes its requests with.
func (a *api) Do(req *http.Request) (*http.Response, error) {
	a.last = answer{read: req.Method == http.MethodGet}
	if err := a.room(req.Context()); err != nil {
		a.last.err = err
		return nil, errNoAnswer
	}
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	req.Header.Set("Authorization", a.config.authorization())
	// Names of transitions are in the account's language otherwise.
	req.Header.Set("Accept-Language", "en")
	req.Header.Set("Accept", "application/json")
	keep := keepWrite
	if a.last.read {
		keep = keepRead
	}
	read := a.last.read
	a.last = a.do(req, body, keep)
	a.last.read = read
	a.calls++
	if a.last.status == 0 {
		return nil, errNoAnswer
	}
	return &http.Response{
		StatusCode: a.last.status, Status: http.StatusText(a.last.status), Header: a.last.header,
		Body: io.NopCloser(bytes.NewReader(a.last.body)), Request: req,
	}, nil
}

// room reports whether there may be another request. The first is always made.
func (a *api) room(ctx context.Context) error {
	if a.calls >= maxCalls {
		return tocsin.RetryAfter(post.Errorf(post.ClassInternal, "%d requests are enough for one attempt; the rest takes another attempt", maxCalls), 0)
	}
	deadline, ok := ctx.Deadline()
	if a.calls == 0 || !ok || time.Until(deadline) >= minLeft {
		return nil
	}
	return tocsin.RetryAfter(post.Errorf(post.ClassTimeout, "no time is left for another request; what is left follows"), 0)
}

// ask makes a request that go-jira has no call for. What comes back is decoded to out.
func (a *api) ask(ctx context.Context, method, path string, in, out any) error {
	req, err := a.jira.NewRequestWithContext(ctx, method, path, in)
	if err != nil {
		return err
	}
	_, err = a.jira.Do(req, out)
	return err
}

// outcome is nil when the last request was accepted; err is what go-jira made of it.
// doing is a gerund. decoded says that the answer's body is needed.
func (a *api) outcome(doing string, err error, decoded bool) error {
	switch {
	case a.last.status == 0 && a.last.err == nil:
		return tocsin.Permanent(post.Errorf(post.ClassRender, "%s: encoding the request", doing))
	case a.last.status == 0:
		return fmt.Errorf("%s: %w", doing, a.sure(a.last.err))
	}
	if refused := a.last.classify(); refused != nil {
		return fmt.Errorf("%s: %w", doing, a.sure(refused))
	}
	if !decoded || err == nil && a.last.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, a.sure(a.last.unreadable()))
}

// sure takes the doubt from errors of requests that change nothing. Nothing of an event is
// in them, so none is its fault.
func (a *api) sure(err error) error {
	if !a.last.read {
		return err
	}
	c := *tocsin.Classify(err)
	c.Unsure = false
	if c.Fault == tocsin.FaultEvent {
		c.Fault = tocsin.FaultWebhook
	}
	if r := (*refusal)(nil); errors.As(err, &r) {
		return &refusal{status: r.status, said: r.said, err: &c}
	}
	return &c
}

// unreadable is the error for a 2xx whose body is not what was asked for.
func (a *answer) unreadable() error {
	switch {
	case a.err != nil:
		return a.err
	case a.cut:
		return tocsin.Unsure(post.Errorf(post.ClassBody, "the answer is too long"))
	}
	return tocsin.Unsure(tocsin.Refused(post.Errorf(post.ClassBody,
		"answered %d, but not as Jira does, so this may not be Jira's address: %.200q", a.status, a.shown)))
}
