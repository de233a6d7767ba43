package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	tocsin "github.com/tocsin-alerts/tocsin"
)

const (
	defaultAPIURL = "http://127.0.0.1:8080"
	// maxAnswer bounds what is read of one answer.
	maxAnswer = 64 << 20
	// callTimeout is longer than a test delivery to a slow receiver takes.
	callTimeout = time.Minute
)

// apiClient calls the HTTP API.
type apiClient struct {
	base string
	key  tocsin.Secret
	http *http.Client
}

// client returns the client that flags and environment ask for.
func (p *program) client() (*apiClient, error) {
	raw := p.apiURL
	if raw == "" {
		raw = p.Getenv("TOCSIN_API_URL")
	}
	if raw == "" {
		raw = defaultAPIURL
	}
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, usagef("TOCSIN_API_URL: %q is not an http or https URL; write for example %s", raw, defaultAPIURL)
	}
	return &apiClient{
		base: strings.TrimRight(raw, "/"),
		key:  tocsin.NewSecret(strings.TrimSpace(p.Getenv("TOCSIN_API_KEY"))),
		http: &http.Client{Timeout: callTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}, nil
}

// call sends body (nil, []byte as it is, or a value as JSON) and decodes the answer
// into out, unless that is nil. An answer that is not 2xx is a *tocsin.Error; an API
// that cannot be reached is one with CodeUnavailable.
func (c *apiClient) call(ctx context.Context, method, path string, query url.Values, body, out any) error {
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	return c.send(ctx, method, path, query, contentType, body, out, "")
}

// callIf is call for what is done only while a webhook is as it was read: otherwise the
// error is CodePrecondition.
func (c *apiClient) callIf(ctx context.Context, tag, method, path string, body, out any) error {
	contentType := ""
	if body != nil {
		contentType = "application/json"
	}
	return c.send(ctx, method, path, nil, contentType, body, out, tag)
}

// send sends body. A webhook is changed only while it has the tag ifMatch; "" for however it is.
func (c *apiClient) send(ctx context.Context, method, path string, query url.Values, contentType string, body, out any, ifMatch string) error {
	content, ok := body.([]byte)
	if body != nil && !ok {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encoding the request: %w", err)
		}
	}
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("building the request: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if ifMatch != "" {
		req.Header.Set("If-Match", ifMatch)
	}
	if !c.key.IsZero() {
		req.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return unreachable(c.base, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return unreachable(c.base, err)
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return readProblem(resp, answer)
	}
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the answer of %s: %w; is TOCSIN_API_URL right?", c.base, err)
	}
	return nil
}

// unreachable says which address did not answer, and why, without the path.
func unreachable(base string, err error) error {
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("calling the API: %w", err)
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return tocsin.Errorf(tocsin.CodeUnavailable, "calling the API at %s (TOCSIN_API_URL): %w", base, err)
}

// problem is RFC 9457's object as the API writes it.
type problem struct {
	Title  string              `json:"title"`
	Detail string              `json:"detail"`
	Code   tocsin.Code         `json:"code"`
	Errors []tocsin.FieldError `json:"errors"`
}

var codeOfStatus = map[int]tocsin.Code{
	400: tocsin.CodeMalformed, 401: tocsin.CodeUnauthorized, 403: tocsin.CodeForbidden, 404: tocsin.CodeNotFound,
	409: tocsin.CodeConflict, 412: tocsin.CodePrecondition, 413: tocsin.CodeTooLarge, 415: tocsin.CodeUnsupported, 422: tocsin.CodeInvalid,
	429: tocsin.CodeUnavailable, 502: tocsin.CodeUnavailable, 503: tocsin.CodeUnavailable, 504: tocsin.CodeUnavailable,
}

// fieldText is how an error shows one field.
func fieldText(f tocsin.FieldError) string {
	one := tocsin.Error{Message: "x", Fields: []tocsin.FieldError{f}}
	return strings.TrimPrefix(one.Error(), "x: ")
}

// withoutField is a problem's detail without its single field, which the detail repeats
// for those who show only that; the title when nothing else is left.
func withoutField(detail, title string, f tocsin.FieldError) string {
	for _, repeated := range []string{fieldText(f), f.Message} {
		if detail == repeated {
			return first(title, detail)
		}
		detail = strings.TrimSuffix(detail, ": "+repeated)
	}
	return detail
}

// readProblem turns an answer that is not 2xx into an error.
func readProblem(resp *http.Response, body []byte) error {
	e := &tocsin.Error{Code: codeOfStatus[resp.StatusCode], Message: resp.Status}
	if e.Code == "" {
		e.Code = tocsin.CodeInternal
	}
	mediaType, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var pr problem
	if !strings.HasSuffix(mediaType, "json") || json.Unmarshal(body, &pr) != nil {
		e.Message = fmt.Sprintf("the API answered %s; is TOCSIN_API_URL right?", resp.Status)
		return e
	}
	if knownCode(pr.Code) {
		e.Code = pr.Code
	}
	for _, text := range []string{pr.Title, pr.Detail} {
		if text != "" {
			e.Message = text
		}
	}
	e.Fields = pr.Errors
	if len(e.Fields) == 1 {
		e.Message = withoutField(e.Message, pr.Title, e.Fields[0])
	}
	if e.Code == tocsin.CodeUnauthorized {
		e.Message += "; put an API key into TOCSIN_API_KEY (make one with `tocsin keys create`)"
	}
	if wait := resp.Header.Get("Retry-After"); wait != "" {
		e.Message += "; try again in " + wait + " s"
	}
	return e
}
