package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/tocsin-alerts/tocsin"
)

// exchangeView is a request and its response as pages show them: the piece "exchange".
type exchangeView struct {
	tocsin.Exchange
	Request, Response bodyView
}

// bodyView is one half of an exchange.
type bodyView struct {
	Title, Size string
	Headers     map[string]string
	// Text is the body, JSON in lines; Raw is it as it was, where that is another text.
	Text, Raw string
	// Cut says what is missing.
	Cut string
}

// timing is how long one step of an exchange took, in milliseconds.
type timing struct {
	Name string
	Took float64
}

func viewExchange(x tocsin.Exchange) exchangeView {
	v := exchangeView{Exchange: x}
	v.Request = viewBody("Request", x.RequestHeaders, x.RequestBody)
	v.Request.Size = size(x.RequestBytes)
	if requestCut(x) {
		v.Request.Cut = "Only the first " + size(len(x.RequestBody)) + " of " + size(x.RequestBytes) + " are kept."
	}
	v.Response = viewBody("Response", x.ResponseHeaders, x.ResponseBody)
	v.Response.Size = size(len(x.ResponseBody))
	if len(x.ResponseBody) >= tocsin.MaxResponseKept-responseSlack {
		v.Response.Cut = "Only the first " + size(tocsin.MaxResponseKept) + " are kept; there may have been more."
	}
	return v
}

func viewExchanges(all []tocsin.Exchange) []exchangeView {
	views := make([]exchangeView, len(all))
	for i, x := range all {
		views[i] = viewExchange(x)
	}
	return views
}

const (
	// leastKept is the least that is kept of a request's body. A shorter text is whole, also
	// where it has fewer bytes than were sent, since a secret was taken out.
	leastKept = 4 << 10
	// responseSlack is by how much a body that was cut may be shorter than what is kept: it
	// ends with a whole letter, and no part of a secret.
	responseSlack = 256
)

// requestCut reports whether not all of the body is kept.
func requestCut(x tocsin.Exchange) bool {
	return x.RequestBytes > len(x.RequestBody) && len(x.RequestBody) >= leastKept-responseSlack
}

func viewBody(title string, headers map[string]string, body string) bodyView {
	v := bodyView{Title: title, Headers: headers, Text: body}
	if text := inLines(body); text != body {
		v.Text, v.Raw = text, body
	}
	return v
}

// inLines is a JSON object or list in lines, and any other text as it is.
func inLines(body string) string {
	trimmed := strings.TrimSpace(body)
	if !strings.HasPrefix(trimmed, "{") && !strings.HasPrefix(trimmed, "[") {
		return body
	}
	var b bytes.Buffer
	if json.Indent(&b, []byte(trimmed), "", "  ") != nil {
		return body
	}
	return b.String()
}

// Answered reports whether anything came back.
func (v exchangeView) Answered() bool {
	return v.Status != 0 || v.ResponseBody != "" || len(v.ResponseHeaders) > 0
}

// Answerable reports whether the lack of a status means that nothing came back: mail and
// syslog know no such numbers.
func (v exchangeView) Answerable() bool {
	return v.ResponseBody == "" && strings.HasPrefix(v.URL, "http")
}

// StatusText is what the status is called.
func (v exchangeView) StatusText() string { return http.StatusText(v.Status) }

// Tone is how the status is meant.
func (v exchangeView) Tone() string {
	switch v.Status / 100 {
	case 2:
		return "ok"
	case 4:
		return "bad"
	}
	return "warn"
}

// Steps are the parts of the time it took: what the API counts from the beginning, each
// for itself, and the whole.
func (v exchangeView) Steps() []timing {
	t, from := v.Timings, 0.0
	var steps []timing
	for _, s := range []timing{{"look-up", t.DNS}, {"connect", t.Connect}, {"TLS", t.TLS}, {"wait", t.FirstByte}} {
		if s.Took <= 0 {
			continue
		}
		steps = append(steps, timing{s.Name, max(0, s.Took-from)})
		from = max(from, s.Took)
	}
	return append(steps, timing{"in all", t.Total})
}
