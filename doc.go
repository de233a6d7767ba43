// Package tocsin is the domain of a durable alert pipeline for agentic systems:
// the words every other package speaks, and nothing that needs a library.
//
// Producers report an [Event]. People configure a [Webhook]: which events, where,
// how often. Ingest commits an event together with one pending row for each webhook
// that matched, in one transaction, before it answers. Every webhook runs as one
// long-lived Temporal workflow; its Deliver activity freezes pending rows into a
// [Delivery], opens an [Attempt], hands a [Notification] to the channel's [Sender]
// and records the [Receipt].
//
// # Goals
//
//   - An honest ack: what was answered with 202 is committed and owed.
//   - Conservation: accepted = delivered + pending + in_flight + dead + suppressed,
//     for every webhook at any time ([Balance]).
//   - Held, not dropped: a webhook's fault never costs an event.
//   - One delivery id across attempts, crashes and redelivery.
//
// # Non-goals
//
// Exactly-once delivery (receivers deduplicate by the delivery id), detecting
// anomalies (producers report events), and being a general message broker.
//
// # Reading order
//
// event.go, webhook.go, delivery.go, channel.go, store.go and history.go hold the nouns
// and the interfaces; errors.go says how failures are told apart; secret.go and
// keyring.go keep secrets out of sight. Imports point one way: mains → app →
// {workflows → activities, api, console, ingest → catalog, integrations, store} →
// tocsin.
package tocsin
