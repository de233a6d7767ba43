// Package webhook is the channel for plain HTTP receivers: a JSON body, the user's
// headers and query parameters, and a Standard Webhooks signature
// (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
//
// With format tocsin, the body is one of three:
//
//   - the published threat payload, for a delivery of threat.detected events
//     (payload.go);
//   - the alerts envelope, for any other;
//   - the user's own template (template.go), which may use the variables
//     ${AKTO.changes_info.…} (changes.go).
//
// With the formats ocsf and cloudevents it is a JSON array with one element for each event
// (formats.go).
//
// A template that does not render is the webhook's fault ([tocsin.FaultWebhook]): it
// holds its events until the template is mended. A template is a program, so its time,
// steps, depth and output are bounded (template.go).
//
// Every request is signed twice over the same text: with the webhook's own secret (v1),
// or with both while it is rotated, and with the ed25519 keys of the installation that
// are in force (v1a), whose public halves are published (sign.go).
package webhook
