package openapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Reporter takes what is wrong: a *testing.T.
type Reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// Handler holds every exchange with a handler against the document.
func (d *Document) Handler(t Reporter, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent := &copied{ReadCloser: r.Body}
		got := &recorder{ResponseWriter: w}
		if r.Body != nil {
			r.Body = sent
		}
		u := *r.URL
		h.ServeHTTP(got, r)
		if got.status == 0 { // the client went away, or an empty 200
			return
		}
		d.report(t, Exchange{
			Method: r.Method, URL: &u, Header: r.Header, Body: sent.b.Bytes(),
			Status: got.status, AnswerHeader: w.Header(), Answer: got.b.Bytes(),
		})
	})
}

func (d *Document) report(t Reporter, x Exchange) {
	t.Helper()
	if err := d.Check(x); err != nil {
		t.Errorf("%s %.300s → %d is not what the OpenAPI document says: %v\nrequest: %s\nanswer: %s",
			x.Method, x.URL.RequestURI(), x.Status, err, short(x.Body), short(x.Answer))
	}
}

// copied keeps what is read.
type copied struct {
	io.ReadCloser
	b bytes.Buffer
}

func (c *copied) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.b.Write(p[:n])
	return n, err
}

// recorder keeps what is answered.
type recorder struct {
	http.ResponseWriter
	status int
	b      bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.b.Write(b)
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Transport holds every exchange of a client against the document. Nil is
// http.DefaultTransport.
func (d *Document) Transport(t Reporter, through http.RoundTripper) http.RoundTripper {
	if through == nil {
		through = http.DefaultTransport
	}
	return transport{d, t, through}
}

type transport struct {
	d       *Document
	t       Reporter
	through http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	sent := &copied{ReadCloser: r.Body}
	if r.Body != nil {
		r = r.Clone(r.Context())
		r.Body = sent
	}
	resp, err := t.through.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	answer, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("reading answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(answer))
	t.d.report(t.t, Exchange{
		Method: r.Method, URL: r.URL, Header: r.Header, Body: sent.b.Bytes(),
		Status: resp.StatusCode, AnswerHeader: resp.Header, Answer: answer,
	})
	return resp, nil
}
