// Package webhook is the channel for plain HTTP receivers: a JSON body, the user's
// headers and query parameters, and a Standard Webhooks signature
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//
// The body is one of three:
//
//   - the published threat payload, for a delivery of threat.detected events
//     (payload.go);
//   - the alerts envelope, for any other;
//   - the user's own template (template.go), which may use the variables
//     ${AKTO.changes_info.…} (changes.go).
//
// A template that does not render is the event's fault ([tocsin.FaultEvent]): it
// rendered for the samples when it was saved, so what differs is the event. If it was
// the template after all, every event is rejected, and ten single rejections in a row
// make the webhook failing, which holds its events.
package webhook
