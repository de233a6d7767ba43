// Package ingest is the way in: it reads what producers post, checks every event,
// finds the webhooks that are owed it, and commits both together before it answers.
//
// The way of a request, top to bottom:
//
//   - [Decode] (or [DecodeBinary]) turns a body into events: one JSON object, an array,
//     {"events": […]}, NDJSON, CloudEvents, or the published threat payload. The bytes
//     are scanned once; Event.Raw and Event.Data are parts of the body as it came.
//   - [Ingest.Submit] checks all events against the limits and the catalog, all or
//     nothing; [Ingest.Receive] does both and reports everything that is wrong at once.
//   - The matcher, compiled once per configuration revision, finds who is owed what,
//     which mutes in force at that moment suppress it, and what the webhooks that are owed
//     it escalate to others. Whether it is a repeat, and what its incident comes to, the
//     store decides.
//   - Group commit merges what concurrent requests bring into one transaction of the
//     store. While a commit is under way the next group gathers; nobody waits for a timer.
//   - After the commit, in the background, the webhooks concerned are rung, and the
//     workflows of incidents are told.
//
// [Ingest.Announce] is the same way for what Tocsin says of its own webhooks,
// [Ingest.ChangeIncident] for what people do about incidents. [Ingest.Escalation] says what
// a later step of an incident owes, [Ingest.Matches] asks one webhook about a stored event
// again, and [Ingest.Verdicts] asks all of them, and says why.
//
// JSON is read more strictly than package encoding/json reads it: text must be UTF-8,
// an event's own fields and labels must not appear twice, names are case-sensitive,
// numbers must fit 64-bit floating point, and nesting ends at 128 levels. Keys that
// appear twice inside data are kept as they came; where data is looked into (schema,
// filter) the last one counts.
package ingest
