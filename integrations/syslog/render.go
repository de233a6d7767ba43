package syslog

import (
	"encoding/json"
	"net/url"

	tocsin "github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/integrations/internal/alert"
	"github.com/tocsin-alerts/tocsin/integrations/internal/format"
	"github.com/tocsin-alerts/tocsin/integrations/internal/post"
)

// formatVersion is the version in the headers of CEF and LEEF: that of the mapping, not of
// the program, since receivers' rules go by it.
const formatVersion = "1.0"

// render makes a frame of each event, and counts the events that were shortened.
func (s *sender) render(n tocsin.Notification) ([][]byte, int, error) {
	if len(n.Events) == 0 {
		return nil, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering syslog: the delivery has no events"))
	}
	hostname := s.conf.hostname
	if hostname == "" {
		if u, err := url.Parse(n.PublicURL); err == nil {
			hostname = u.Hostname()
		}
	}
	frames, truncated := make([][]byte, len(n.Events)), 0
	for i := range n.Events {
		message, cut, err := s.conf.message(n, &n.Events[i], hostname)
		if err != nil {
			return nil, 0, tocsin.Permanent(post.Errorf(post.ClassRender, "rendering syslog: %v", err))
		}
		frames[i] = s.conf.frame(message)
		if cut {
			truncated++
		}
	}
	return frames, truncated, nil
}

// message is one event as a message of at most maxBytes.
func (c *config) message(n tocsin.Notification, e *tocsin.Event, hostname string) (string, bool, error) {
	marked := format.Marked(e, n.Test)
	names := []param{{"type", e.Type}, {"id", e.ID}, {"source", e.Source}}
	params := []param{
		{"uid", format.UID(e)}, {"delivery", n.DeliveryID}, {"webhook", n.WebhookID}, {"status", status(e)}, {"severity", e.Severity.String()},
	}
	if n.Test {
		params = append(params, param{"test", "true"})
	}
	head := c.header(e, hostname)
	data := c.element(append(append(params, names...), param{"dedup_key", alert.DedupKey(e)}), 0)
	// Where the names take half of the message, they go; uid still names the event.
	if len(head)+len(data) > c.maxBytes/2 {
		data = c.element(append(params, param{"dedup_key", alert.DedupKey(e)}), 24)
	}
	start := head + data + " "
	if c.bom {
		start += bom
	}
	body, cut, err := c.body(marked, c.maxBytes-len(start))
	if err == nil && cut {
		// The mark takes room of its own.
		start = head + data[:len(data)-1] + ` truncated="true"] `
		if c.bom {
			start += bom
		}
		body, _, err = c.body(marked, c.maxBytes-len(start))
	}
	return start + body, cut, err
}

func status(e *tocsin.Event) string {
	if e.Status == "" {
		return string(tocsin.Firing)
	}
	return string(e.Status)
}

// body is the event in the configured format, in at most room bytes.
func (c *config) body(e *tocsin.Event, room int) (string, bool, error) {
	switch c.format {
	case asCEF:
		text, cut := format.CEFWithin(e, formatVersion, room)
		return text, cut, fits(text, room)
	case asLEEF:
		text, cut := format.LEEFWithin(e, formatVersion, room)
		return text, cut, fits(text, room)
	case asOCSF:
		return reduce(e, room, format.OCSF)
	case asCloudEvents:
		return reduce(e, room, format.CloudEvent)
	}
	return reduce(e, room, format.JSON)
}

// fits is an error for a text that is longer than room, which none is in practice.
func fits(text string, room int) error {
	if len(text) > room {
		return post.Errorf(post.ClassRender, "the smallest form has %d bytes, and %d are left; raise max_bytes", len(text), room)
	}
	return nil
}

// reduce encodes less and less of an event until it fits, always as whole JSON: all of it;
// without data; without labels but collection and with a shorter summary; names alone.
func reduce(e *tocsin.Event, room int, encode func(*tocsin.Event) (json.RawMessage, error)) (string, bool, error) {
	less := *e
	for step := 0; ; step++ {
		switch step {
		case 1:
			less.Data = nil
			// What events are selected by stays, also where it came from data.
			less.Labels = map[string]string{}
			for name, value := range e.Labels {
				less.Labels[name] = value
			}
			if collection := e.Collection(); collection != "" {
				less.Labels["collection"] = collection
			}
		case 2:
			less.Labels = nil
			if collection, _ := alert.Cut(e.Collection(), 64, alert.Bytes); collection != "" {
				less.Labels = map[string]string{"collection": collection}
			}
		case 3:
			less.Summary, _ = alert.Cut(e.Summary, 1024, inJSON)
		case 4:
			less.Summary, _ = alert.Cut(e.Summary, 256, inJSON)
			less.Title, _ = alert.Cut(e.Title, 256, inJSON)
			less.Subject, _ = alert.Cut(e.Subject, 128, inJSON)
		case 5:
			less.Summary, less.Link, less.Labels = "", "", nil
			less.Title, _ = alert.Cut(alert.Name(e), 64, inJSON)
			less.Subject, _ = alert.Cut(e.Subject, 32, inJSON)
			less.ID, less.Source, less.DedupKey, less.Type = short(e.ID), short(e.Source), short(alert.DedupKey(e)), short(e.Type)
		}
		text, err := encode(&less)
		if err != nil {
			return "", false, err
		}
		if len(text) <= room || step == 5 {
			return string(text), step > 0, fits(string(text), room)
		}
	}
}

// inJSON measures text as JSON has it.
func inJSON(text string) int {
	quoted, err := json.Marshal(text)
	if err != nil {
		return len(text)
	}
	return len(quoted) - 2
}

func short(name string) string {
	text, _ := alert.Cut(name, 40, inJSON)
	return text
}
