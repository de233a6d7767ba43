package inbox

import (
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"
)

// titleOf says in a line what a body is about, wherever its vendor puts that.
func titleOf(body string) string {
	var b struct {
		Payload struct { // PagerDuty
			Summary string `json:"summary"`
		} `json:"payload"`
		Action string   `json:"event_action"`
		Body   string   `json:"body"` // a comment
		Fields struct { // Jira
			Summary string `json:"summary"`
		} `json:"fields"`
		Updates []struct {
			Fields struct {
				Summary string `json:"summary"`
			} `json:"fields"`
		} `json:"issueUpdates"`
	}
	values := json.NewDecoder(strings.NewReader(body))
	if values.Decode(&b) == nil {
		switch {
		case b.Payload.Summary != "":
			return b.Action + ": " + b.Payload.Summary
		case b.Fields.Summary != "":
			return b.Fields.Summary
		case b.Body != "":
			return b.Body
		case len(b.Updates) > 0:
			return counted(len(b.Updates), "ticket", b.Updates[0].Fields.Summary)
		}
	}
	// Rows of a SIEM: the first that has a title.
	values = json.NewDecoder(strings.NewReader(body))
	for range 2 {
		var raw json.RawMessage
		if values.Decode(&raw) != nil {
			break
		}
		if title := rowTitle(raw); title != "" {
			return title
		}
	}
	if strings.HasPrefix(body, "<") { // syslog: the message is behind the structured data
		if _, message, ok := strings.Cut(body, "] "); ok {
			return firstOf(titleOf(message), message)
		}
		return body
	}
	return ""
}

// row is one event as a SIEM gets it.
type row struct {
	Title       string          `json:"title"`
	TitleColumn string          `json:"AlertTitle"`
	Message     string          `json:"message"`
	Event       json.RawMessage `json:"event"`
	Finding     struct {
		Title string `json:"title"`
	} `json:"finding_info"`
	Data struct {
		Title string `json:"title"`
	} `json:"data"`
}

func rowTitle(raw json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		if len(list) == 0 {
			return ""
		}
		return counted(len(list), "event", rowTitle(list[0]))
	}
	var r row
	if json.Unmarshal(raw, &r) != nil {
		return ""
	}
	if title := firstOf(r.Title, r.TitleColumn, r.Finding.Title, r.Data.Title); title != "" {
		return title
	}
	if len(r.Event) > 0 {
		return rowTitle(r.Event)
	}
	return r.Message
}

// mailView is what the page shows of a mail.
type mailView struct {
	Subject string
	Headers []Header
	Text    string
}

// parseMail reads what a person would read of a mail. HTML is not shown: attackers write
// what stands in it.
func parseMail(body string) *mailView {
	v := &mailView{Text: body}
	m, err := mail.ReadMessage(strings.NewReader(body))
	if err != nil {
		return v
	}
	words := new(mime.WordDecoder)
	for _, name := range []string{"From", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To"} {
		value := m.Header.Get(name)
		if plain, err := words.DecodeHeader(value); err == nil {
			value = plain
		}
		if value != "" {
			v.Headers = append(v.Headers, Header{Name: name, Value: value})
		}
		if name == "Subject" {
			v.Subject = value
		}
	}
	if text, ok := textOf(m.Header.Get("Content-Type"), m.Header.Get("Content-Transfer-Encoding"), m.Body); ok {
		v.Text = text
	}
	return v
}

// textOf is a body's first part of plain text.
func textOf(contentType, encoding string, body io.Reader) (string, bool) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil {
		return "", false
	}
	if strings.HasPrefix(media, "multipart/") {
		parts := multipart.NewReader(body, params["boundary"])
		for {
			part, err := parts.NextRawPart()
			if err != nil {
				return "", false
			}
			if text, ok := textOf(part.Header.Get("Content-Type"), part.Header.Get("Content-Transfer-Encoding"), part); ok {
				return text, true
			}
		}
	}
	if media != "text/plain" {
		return "", false
	}
	if strings.EqualFold(encoding, "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(io.LimitReader(body, maxShown))
	return string(text), err == nil
}
