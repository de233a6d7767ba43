package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tocsin-alerts/tocsin"
	"github.com/tocsin-alerts/tocsin/catalog"
	"github.com/tocsin-alerts/tocsin/internal/jsonscan"
	"github.com/tocsin-alerts/tocsin/internal/tracecontext"
)

// cloudFields are the attributes with a meaning here. Names of CloudEvents attributes
// have lower-case letters and digits only, hence dedupkey.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#naming-conventions
var cloudFields = []string{
	"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema", "data",
	"severity", "status", "dedupkey", "title", "summary", "link", "labels",
}

// cloudEvent reads a CloudEvent in structured form. Extension attributes that have no
// meaning here become labels, where collections and filters find them.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
func (d *decoder) cloudEvent(s *jsonscan.Scanner) error {
	start, e := s.Pos, d.begin()
	var version string
	extensions := map[string]string{}
	seen := map[string]bool{}
	err := s.Object(func(name []byte) error {
		field := s.Name(name)
		if seen[field] {
			d.problem(field, "appears twice")
		}
		seen[field] = true
		return d.cloudAttribute(s, e, field, &version, extensions)
	})
	if err != nil {
		return err
	}
	d.endCloud(e, version, extensions)
	d.end(e, s.Buf[start:s.Pos:s.Pos])
	return nil
}

func (d *decoder) endCloud(e *tocsin.Event, version string, extensions map[string]string) {
	if version != "1.0" && !d.problems.has(len(d.events)-1, "specversion") {
		if version == "" {
			d.problem("specversion", `is required; allowed: "1.0"`)
		} else {
			d.problem("specversion", `%s is not supported; allowed: "1.0"`, catalog.Quote(version))
		}
	}
	for name, value := range extensions {
		if e.Labels == nil {
			e.Labels = map[string]string{}
		}
		if _, given := e.Labels[name]; !given {
			e.Labels[name] = value
		}
	}
}

func (d *decoder) cloudAttribute(s *jsonscan.Scanner, e *tocsin.Event, field string, version *string, extensions map[string]string) error {
	switch field {
	case "specversion":
		return d.text(s, field, version)
	case "dedupkey":
		return d.text(s, field, &e.DedupKey)
	case "datacontenttype":
		var media string
		err := d.text(s, field, &media)
		if err == nil && !isJSON(media) {
			d.problem(field, "%s is not supported; allowed: application/json", catalog.Quote(media))
		}
		return err
	case "dataschema":
		return d.text(s, field, new(string))
	case "data_base64":
		_, err := s.Value(1)
		d.problem(field, "binary data is not supported; send JSON in data")
		return err
	case "dedup_key": // Tocsin's own spelling, which is no name of a CloudEvents attribute
	default:
		if place, err := d.nativeField(s, e, field); place >= 0 || err != nil {
			return err
		}
	}
	return d.extension(s, e, field, extensions)
}

// isJSON reports whether a datacontenttype is JSON; none is, too.
func isJSON(contentType string) bool {
	if contentType == "" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}

func (d *decoder) extension(s *jsonscan.Scanner, e *tocsin.Event, name string, extensions map[string]string) error {
	raw, err := s.Value(1)
	if err != nil {
		return err
	}
	switch {
	case !isAttributeName(name):
		d.problem(name, "%s", badAttribute(name))
	case name == "traceparent" || name == "tracestate":
		// Tracing's own (https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/distributed-tracing.md):
		// they differ for every event, and say nothing to people. One that is no traceparent is
		// as good as none: an alert is worth more than its trace.
		if name == "traceparent" && raw[0] == '"' {
			e.TraceParent = tracecontext.Format(tracecontext.Parse(jsonscan.Unquote(raw, true)))
		}
	case raw[0] == '"':
		extensions[name] = jsonscan.Unquote(raw, true)
	case raw[0] == '{' || raw[0] == '[':
		d.problem(name, "%s is %s; an extension attribute is text, a number, true or false", shorten(raw), kindOf(raw))
	case raw[0] != 'n':
		extensions[name] = string(raw)
	}
	return nil
}

func isAttributeName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
}

func badAttribute(name string) string {
	const rule = "names of CloudEvents attributes have lower-case letters and digits only"
	if near := catalog.Suggest(name, cloudFields); near != "" {
		return fmt.Sprintf("unknown attribute; did you mean %q? %s", near, rule)
	}
	return "unknown attribute; " + rule
}

// IsBinary reports whether a request is a CloudEvent in binary mode: attributes in
// ce- headers, data as the body. Such a request is for [DecodeBinary].
func IsBinary(header http.Header) bool { return header.Get("Ce-Specversion") != "" }

// DecodeBinary reads a CloudEvent in binary mode of the HTTP binding. Its errors are
// those of [Decode].
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#31-binary-content-mode
func DecodeBinary(header http.Header, body []byte) ([]tocsin.Event, error) {
	d, err := decodeBinary(header, body)
	if err != nil {
		return nil, err
	}
	if err := d.problems.err(len(d.events)); err != nil {
		return nil, err
	}
	return d.events, nil
}

func decodeBinary(header http.Header, body []byte) (*decoder, error) {
	if len(body) > MaxBodyBytes {
		return nil, tocsin.Errorf(tocsin.CodeTooLarge, "the body has more than %d bytes, the most that is accepted", MaxBodyBytes)
	}
	if contentType := header.Get("Content-Type"); !isJSON(contentType) {
		return nil, tocsin.Errorf(tocsin.CodeUnsupported, "Content-Type %s is not supported for the data of a CloudEvent; allowed: application/json", catalog.Quote(contentType))
	}
	d := &decoder{body: body}
	e := d.begin()
	if len(body) > 0 {
		if err := d.binaryData(e, body); err != nil {
			return nil, err
		}
	}
	if err := d.headers(header, e); err != nil {
		return nil, err
	}
	raw, err := encode(e)
	if err != nil {
		return nil, err
	}
	d.end(e, raw)
	return d, nil
}

func (d *decoder) binaryData(e *tocsin.Event, body []byte) error {
	if !utf8.Valid(body) {
		return malformed(body, invalidUTF8(body), "a byte that is not UTF-8")
	}
	s := &jsonscan.Scanner{Buf: body}
	err := d.whole(s, func() error { return d.data(s, &e.Data) })
	var syntax *jsonscan.SyntaxError
	if errors.As(err, &syntax) {
		return malformed(body, syntax.At, syntax.What)
	}
	return err
}

// headers reads each ce- header as if it were a member of a structured event.
func (d *decoder) headers(header http.Header, e *tocsin.Event) error {
	var version string
	extensions := map[string]string{}
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names) // for the same errors in the same order every time
	for _, name := range names {
		field, found := strings.CutPrefix(strings.ToLower(name), "ce-")
		if !found {
			continue
		}
		if field == "data" || field == "labels" || field == "data_base64" || field == "datacontenttype" {
			d.problem(field, "has no place in a header")
			continue
		}
		value, err := url.PathUnescape(header[name][0])
		if err != nil || !utf8.ValidString(value) {
			d.problem(field, "%s is not percent-encoded UTF-8", catalog.Quote(header[name][0]))
			continue
		}
		quoted, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if err := d.cloudAttribute(&jsonscan.Scanner{Buf: quoted}, e, field, &version, extensions); err != nil {
			return err
		}
	}
	d.endCloud(e, version, extensions)
	return nil
}
