package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-alerts/tocsin"
)

const (
	// maxBody is the largest request taken: 10 MiB.
	maxBody = 10 << 20
	// maxDocument is the largest webhook taken: templates are long, but not that long.
	maxDocument = 1 << 20
	// believed is how much of a Content-Length room is made for before anything comes: a
	// hundred events of 1 KB fit.
	believed = 128 << 10

	// patience is how long a request waits for the store, and changePatience a change, which
	// may count for ten seconds, or send a trial. A store that hangs answers nobody, and
	// callers are better told.
	patience       = 10 * time.Second
	changePatience = 30 * time.Second
)

// errPatience is what ends a request that waited for long enough.
var errPatience = tocsin.Errorf(tocsin.CodeUnavailable, "the store does not answer: %w", context.DeadlineExceeded)

func patient(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, d, errPatience)
}

// endpoint wraps a route's handler with everything that all routes have in common.
func (s *server) endpoint(rt route) http.Handler {
	name := rt.method + " " + rt.path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &recorder{ResponseWriter: w}
		start := time.Now()
		r, span := s.traced(r, rt)
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				s.recovered(rec, r, v)
			}
			answered(span, rec.status)
			s.metrics.done(name, rec.status, time.Since(start))
		}()
		if err := s.handle(rec, r, rt); err != nil {
			s.problem(rec, r, err)
		}
	})
}

// handle lets those in who may come in.
func (s *server) handle(w http.ResponseWriter, r *http.Request, rt route) error {
	limit := patience
	if rt.change != nil {
		limit = changePatience
	}
	if !rt.upload {
		ctx, cancel := patient(r.Context(), limit)
		defer cancel()
		r = r.WithContext(ctx)
	}
	by, err := s.authorize(r, rt.scope)
	switch {
	case err != nil:
		s.refusals.note(r.Context(), by, rt.method+" "+rt.path, err)
		return err
	case rt.change == nil:
		return rt.handle(w, r)
	}
	answer, err := s.make(w, r, rt, by)
	if err != nil {
		return err
	}
	return answer.write(w)
}

// recovered answers a panic with an id that finds its stack in the log.
func (s *server) recovered(rec *recorder, r *http.Request, v any) {
	id := tocsin.NewID("req")
	s.Logger.Error("handling request: panic", "request_id", id, "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	if rec.status == 0 {
		writeProblem(rec, internalProblem(id))
	}
}

// refuse answers a request that reached no endpoint.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, route string, err error) {
	rec := &recorder{ResponseWriter: w}
	s.problem(rec, r, err)
	s.metrics.done(route, rec.status, 0)
}

// recorder remembers the status.
type recorder struct {
	http.ResponseWriter
	status int
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
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// checkBrowser guards a listener without keys against web pages: those that rebind a
// name of theirs to 127.0.0.1 send its name as Host, those that post across sites say
// so in Sec-Fetch-Site or Origin.
func (s *server) checkBrowser(r *http.Request) error {
	host := r.Host
	name := host
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		name = host[:i]
	}
	if !slices.Contains(s.Hosts, host) && !slices.Contains(s.Hosts, name) {
		return tocsin.Errorf(tocsin.CodeForbidden, "host %q is not allowed here; this API asks for no key and answers only as %s", host, strings.Join(s.Hosts, ", "))
	}
	if err := s.origin.Check(r); err != nil {
		return tocsin.Errorf(tocsin.CodeForbidden, "a page of another site may not do this: %w", err)
	}
	return nil
}

// unclean reports whether ServeMux would redirect this path.
func unclean(escaped string) bool {
	clean := path.Clean(escaped)
	return escaped != clean && escaped != clean+"/"
}

func noRoute(r *http.Request) error {
	return tocsin.Errorf(tocsin.CodeNotFound, "nothing is at %s; /openapi.yaml lists what there is (slashes within a source are written %%2F)", r.URL.EscapedPath())
}

// methodNotAllowed becomes 405.
type methodNotAllowed struct{ method, allow string }

func (e methodNotAllowed) Error() string {
	return fmt.Sprintf("%s is not allowed here; allowed: %s", e.method, e.allow)
}

// body reads a request's body up to limit; more is CodeTooLarge.
func body(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return nil, tocsin.Errorf(tocsin.CodeUnsupported, "Content-Encoding %q is not supported; send the body as it is", e)
	}
	var b bytes.Buffer
	// What is announced fits without growing, and MinRead more for the end to be seen. It is
	// believed only so far: who announces much and sends nothing takes no more room than that.
	b.Grow(int(min(max(r.ContentLength, 0), believed)) + bytes.MinRead)
	_, err := b.ReadFrom(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, tocsin.Errorf(tocsin.CodeTooLarge, "the body is larger than %d bytes", limit)
	case err != nil:
		return nil, tocsin.Errorf(tocsin.CodeMalformed, "reading body: %w", err)
	}
	return b.Bytes(), nil
}

// document reads a JSON body of one of these content types; none counts as JSON.
func document(w http.ResponseWriter, r *http.Request, types ...string) ([]byte, error) {
	given := r.Header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(given)
	if given != "" && (err != nil || !slices.Contains(types, kind)) {
		return nil, tocsin.Errorf(tocsin.CodeUnsupported, "Content-Type %q is not supported here; want %s", given, strings.Join(types, " or "))
	}
	return body(w, r, maxDocument)
}
