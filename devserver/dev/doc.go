// Package dev is tocsin-dev as an object: the production parts of package app, on a
// SQLite store, beside an embedded Temporal server (package temporalserver) and an inbox
// (package inbox).
//
// Everything lives in one data directory:
//
//	tocsin.db        events, webhooks and what is owed (the truth)
//	temporal.db      the workflows
//	secret-key       the key ring that seals secrets, made once; keep it with tocsin.db
//	tocsin-dev.log   what happened, rotated once when it grows
//	tocsin-dev.lock  held while a process uses the directory
//
// With Config.TemporalOnly it is the Temporal server and its Web UI alone, for those who run
// `tocsin serve` and tocsin-worker themselves.
//
// The API asks for no key, so it listens on loopback only and answers only requests that
// name loopback as their host. Killing the process loses nothing that was acknowledged.
package dev
