// Package tracecontext reads and writes where a trace can be taken up again, as the W3C's
// header traceparent and the attribute of CloudEvents with the same name say it:
// 00-<trace>-<span>-<flags>.
// https://www.w3.org/TR/trace-context/#traceparent-header
package tracecontext

import (
	"encoding/hex"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// Length of the text.
const Length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

// Parse returns the context a text names; one that is not valid for text that is none. Of
// versions to come it reads what this one has, as the specification asks.
func Parse(text string) trace.SpanContext {
	var none trace.SpanContext
	if len(text) < Length || text[2] != '-' || text[35] != '-' || text[52] != '-' || strings.ToLower(text[:Length]) != text[:Length] {
		return none
	}
	version, err := hex.DecodeString(text[:2])
	if err != nil || version[0] == 0xff || len(text) > Length && (version[0] == 0 || text[Length] != '-') {
		return none
	}
	traceID, err := trace.TraceIDFromHex(text[3:35])
	if err != nil {
		return none
	}
	spanID, err := trace.SpanIDFromHex(text[36:52])
	if err != nil {
		return none
	}
	flags, err := hex.DecodeString(text[53:55])
	if err != nil {
		return none
	}
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID, SpanID: spanID, TraceFlags: trace.TraceFlags(flags[0]) & trace.FlagsSampled, Remote: true,
	})
}

// Format is the text of a context; "" for one that is not valid.
func Format(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	return "00-" + sc.TraceID().String() + "-" + sc.SpanID().String() + "-" + (sc.TraceFlags() & trace.FlagsSampled).String()
}
